//! Everything below a folder, except what systems and tools leave there.
//!
//! **Invariant:** the walk terminates, whatever links there are: a link to a folder passed on the
//! way is not followed, nor are more than [`MOST_LINKS`] nested links. No file is opened.
use super::layout::is_system;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Maximum number of nested folder links that are followed: a data set, a split and a class may
/// each be one.
const MOST_LINKS: usize = 3;

/// An entry that is not a folder.
pub(super) struct Leaf {
    /// Path relative to the folder, with slashes.
    pub(super) path: String,
    /// Why it cannot be a picture, without examining its contents.
    pub(super) fault: Option<&'static str>,
}

/// The entries below a folder.
#[derive(Default)]
pub(super) struct Tree {
    /// Ordered by path.
    pub(super) leaves: Vec<Leaf>,
    /// Every folder, relative to the top, in no particular order.
    pub(super) folders: Vec<String>,
}

impl Tree {
    /// Walks through `dir`.
    ///
    /// # Errors
    ///
    /// Returns an error if a folder cannot be read, or its name is not UTF-8.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let top = std::fs::canonicalize(dir).map_err(Error::io(dir))?;
        // Folders still to be read: the path relative to `dir`, and the targets of the links that
        // led there.
        let mut waiting: Vec<(String, Vec<PathBuf>)> = vec![(String::new(), Vec::new())];
        while let Some((prefix, links)) = waiting.pop() {
            let here = dir.join(&prefix);
            for entry in std::fs::read_dir(&here).map_err(Error::io(&here))? {
                let entry = entry.map_err(Error::io(&here))?;
                let (name, fault) = match entry.file_name().into_string() {
                    Ok(name) => (name, None),
                    Err(name) => (name.to_string_lossy().into_owned(), Some("its name is not UTF-8")),
                };
                if is_system(&name) {
                    continue;
                }
                let (path, whole) = (format!("{prefix}{name}"), entry.path());
                let mut kind = entry.file_type().map_err(Error::io(&whole))?;
                let link = kind.is_symlink();
                if link && let Ok(target) = std::fs::metadata(&whole) {
                    kind = target.file_type();
                }
                if !kind.is_dir() {
                    let special = match () {
                        () if kind.is_symlink() => Some("a link that leads nowhere"),
                        () if !kind.is_file() => Some("a pipe or device"),
                        () => fault,
                    };
                    tree.leaves.push(Leaf { path, fault: special });
                    continue;
                }
                if fault.is_some() {
                    let message = format!("the name of the folder {path} is not UTF-8; give it another name");
                    return Err(Error::Data(format!("folder, {}: {message}", dir.display())));
                }
                let mut links = links.clone();
                if link {
                    let target = std::fs::canonicalize(&whole).map_err(Error::io(&whole))?;
                    let here = std::fs::canonicalize(&here).map_err(Error::io(&here))?;
                    let passed = [&top, &here].into_iter().chain(&links).any(|passed| passed.starts_with(&target));
                    if passed || links.len() == MOST_LINKS {
                        tree.leaves.push(Leaf { path, fault: Some("a link to a folder above it") });
                        continue;
                    }
                    links.push(target);
                }
                tree.folders.push(path.clone());
                waiting.push((path + "/", links));
            }
        }
        tree.leaves.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// Names of the folders in `parent`, which is empty or ends with a slash, ordered.
    pub(super) fn folders_in(&self, parent: &str) -> Vec<&str> {
        let names = self.folders.iter().filter_map(|path| path.strip_prefix(parent));
        let mut names: Vec<&str> = names.filter(|name| !name.contains('/')).collect();
        names.sort_unstable();
        names
    }
}
