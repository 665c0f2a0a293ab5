//! Everything below a folder, but for what systems and tools leave there.
//!
//! **Invariant:** the walk ends, whatever links there are: one to a folder that was passed on the way is not followed, nor are more than
//! [`MOST_LINKS`] inside each other. No file is opened.
use super::layout::is_system;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Links to folders that are followed inside each other: a data set, a split and a class may each be one.
const MOST_LINKS: usize = 3;

/// Something that is no folder.
pub(super) struct Leaf {
    /// From the folder on, with slashes.
    pub(super) path: String,
    /// Why it cannot be a picture, without looking into it.
    pub(super) fault: Option<&'static str>,
}

/// What is below a folder.
#[derive(Default)]
pub(super) struct Tree {
    /// In the order of the paths.
    pub(super) leaves: Vec<Leaf>,
    /// Every folder, from the top on, in no order.
    pub(super) folders: Vec<String>,
}

impl Tree {
    /// Walks through `dir`.
    ///
    /// Errors: a folder that cannot be read; the name of a folder that is not UTF-8.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let top = std::fs::canonicalize(dir).map_err(Error::io(dir))?;
        // What is still to be read: the path from `dir` on, the links that led there, and where the innermost of them leads.
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

    /// Names of the folders in the one called `parent`, which is empty or ends with a slash, in order.
    pub(super) fn folders_in(&self, parent: &str) -> Vec<&str> {
        let names = self.folders.iter().filter_map(|path| path.strip_prefix(parent));
        let mut names: Vec<&str> = names.filter(|name| !name.contains('/')).collect();
        names.sort_unstable();
        names
    }
}
