//! Reads a run's folder written by [`super::run`], during the run or afterwards.

use super::metrics::Row;
use super::run::{METRICS, RUN_INFO, RunInfo, kept};
use crate::error::{Error, Result};
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

/// Returns the folder itself if it holds a run, else those of its subfolders that do, in natural
/// order: `digits-2` before `digits-10`.
///
/// # Errors
///
/// Returns an error if the folder is missing or holds no run.
pub fn runs_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let holds_run = |dir: &Path| dir.join(RUN_INFO).is_file();
    if holds_run(dir) || !dir.is_dir() {
        return Ok(vec![dir.to_path_buf()]);
    }
    let entries = fs::read_dir(dir).map_err(Error::io(dir))?;
    let mut runs: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| holds_run(path)).collect();
    runs.sort_by_key(|path| natural(&path.file_name().unwrap_or_default().to_string_lossy()));
    if runs.is_empty() {
        return Err(Error::Usage(format!(
            "{} holds no run, and none of its folders does; name a folder written by halfwave train",
            dir.display()
        )));
    }
    Ok(runs)
}

/// Returns a key that orders numbers in names by their value.
fn natural(name: &str) -> Vec<(u64, String)> {
    let mut key: Vec<(u64, String)> = vec![(0, String::new())];
    for character in name.chars() {
        let (number, text) = key.last_mut().expect("never empty");
        match character.to_digit(10) {
            Some(digit) if text.is_empty() => *number = number.saturating_mul(10).saturating_add(digit.into()),
            Some(digit) => key.push((digit.into(), String::new())),
            None => text.push(character),
        }
    }
    key
}

impl Folder {
    /// Reads a run's folder.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder is missing or holds no run, or its contents are damaged.
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::Usage(format!("{}: no such folder; name one written by halfwave train", dir.display())));
        }
        let read = |name: &str| {
            fs::read_to_string(dir.join(name)).map_err(|error| match error.kind() {
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
