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
