//! Reads a run's folder written by [`super::run`], during the run or afterwards.

use super::metrics::Row;
use super::run::{METRICS, RUN_INFO, RunInfo, kept};
use crate::error::{Error, Result};
use crate::files;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Contents of a run's folder except its checkpoint, [`super::run::SavedRun`].
#[derive(Debug)]
pub struct Folder {
    /// The folder.
    pub dir: PathBuf,
    /// Device, settings and size of the run.
    pub about: RunInfo,
    /// All complete rows; one that is being written is omitted.
    pub rows: Vec<Row>,
}

fn holds_run(dir: &Path) -> bool {
    dir.join(RUN_INFO).is_file()
}

/// Returns the folder of the run to which a file belongs; any other path as it is.
pub fn of_file(path: &Path) -> PathBuf {
    let parent = path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    parent.filter(|dir| path.is_file() && holds_run(dir)).unwrap_or(path).to_path_buf()
}

/// Returns the folder itself if it holds a run, else those of its subfolders that do, and the runs
/// of the sweeps among them, in natural order: `digits-2` before `digits-10`.
///
/// # Errors
///
/// Returns an error if the folder cannot be read or holds no run.
pub fn runs_in(dir: &Path) -> Result<Vec<PathBuf>> {
    if holds_run(dir) || !dir.is_dir() {
        return Ok(vec![dir.to_path_buf()]);
    }
    let inside = |dir: &Path| -> std::io::Result<Vec<PathBuf>> {
        let mut paths: Vec<_> = fs::read_dir(dir)?.flatten().map(|entry| entry.path()).collect();
        paths.sort_by_key(|path| natural(&path.file_name().unwrap_or_default().to_string_lossy()));
        Ok(paths)
    };
    let mut runs = Vec::new();
    for path in inside(dir).map_err(Error::io(dir))? {
        match holds_run(&path) {
            true => runs.push(path),
            // What is no folder, or cannot be read, holds no runs.
            false => runs.extend(inside(&path).unwrap_or_default().into_iter().filter(|path| holds_run(path))),
        }
    }
    if runs.is_empty() {
        return Err(Error::Usage(format!(
            "{} holds no run, and none of its folders does; name a folder written by halfwave train or halfwave sweep",
            dir.display()
        )));
    }
    Ok(runs)
}

/// Returns a key that orders whole numbers in names by their value, and fractions as they are.
fn natural(name: &str) -> (Vec<(u64, String)>, String) {
    let mut key: Vec<(u64, String)> = vec![(0, String::new())];
    for character in name.chars() {
        let (number, text) = key.last_mut().expect("never empty");
        let in_fraction = text.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with('.');
        match character.to_digit(10) {
            Some(digit) if text.is_empty() => *number = number.saturating_mul(10).saturating_add(digit.into()),
            Some(digit) if !in_fraction => key.push((digit.into(), String::new())),
            _ => text.push(character),
        }
    }
    (key, name.into())
}

impl Folder {
    /// Reads a run's folder.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder is missing or holds no run, or its contents are damaged.
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let what = if dir.exists() { "not a folder" } else { "no such folder" };
            return Err(Error::Usage(format!("{}: {what}; name one written by halfwave train", dir.display())));
        }
        let read = |name: &str| {
            files::read_to_string(&dir.join(name)).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::Usage(format!(
                    "{} holds no run: there is no {name}; name a folder written by halfwave train",
                    dir.display()
                )),
                _ => Error::io(dir.join(name))(error),
            })
        };
        let about = serde_json::from_str(&read(RUN_INFO)?).map_err(|error| {
            Error::Data(format!("{}: not what halfwave train writes there ({error})", dir.join(RUN_INFO).display()))
        })?;
        let (_, rows) = kept(&read(METRICS)?, &dir.join(METRICS), |_| true)?;
        Ok(Self { dir: dir.to_path_buf(), about, rows })
    }

    /// Name of the folder.
    pub fn name(&self) -> String {
        let named = |dir: &Path| dir.file_name().map(|name| name.to_string_lossy().into_owned());
        // A path such as `.` or `..` has a name once it is resolved.
        let resolved = || fs::canonicalize(&self.dir).ok().and_then(|dir| named(&dir));
        named(&self.dir).or_else(resolved).unwrap_or_else(|| "run".into())
    }
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn names_are_ordered_by_their_numbers() {
        let ordered = ["digits-2", "digits-10", "lr=0.01-seed2", "lr=0.01-seed10", "lr=0.1-seed0", "v2.1", "v10.0"];
        assert!(ordered.is_sorted_by(|a, b| natural(a) < natural(b)));
        assert_ne!(natural("a1"), natural("a01"));
    }
}
