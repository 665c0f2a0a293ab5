//! A run's folder, to look at: what [`super::run`] has written there, while the run goes on or afterwards.

use super::metrics::Row;
use super::run::{ABOUT, About, METRICS, kept};
use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a run's folder tells besides its checkpoint, [`super::run::Saved`].
#[derive(Debug)]
pub struct Folder {
    /// The folder.
    pub dir: PathBuf,
    /// What the run is on, and of what size.
    pub about: About,
    /// All whole rows; one that is being written is left out.
    pub rows: Vec<Row>,
}

impl Folder {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// When it is missing or no run's, or what it holds is damaged.
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::Usage(format!(
                "{}: there is no such folder; name one that halfwave train has written",
                dir.display()
            )));
        }
        let read = |name: &str| {
            fs::read_to_string(dir.join(name)).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::Usage(format!(
                    "{} holds no run: there is no {name}; name a folder that halfwave train has written",
                    dir.display()
                )),
                _ => Error::io(dir.join(name))(error),
            })
        };
        let about = serde_json::from_str(&read(ABOUT)?).map_err(|error| {
            Error::Data(format!("{}: not what halfwave train writes there ({error})", dir.join(ABOUT).display()))
        })?;
        let (_, rows) = kept(&read(METRICS)?, &dir.join(METRICS), |_| true)?;
        Ok(Self { dir: dir.to_path_buf(), about, rows })
    }

    /// The folder's own name.
    pub fn name(&self) -> String {
        let named = |dir: &Path| dir.file_name().map(|name| name.to_string_lossy().into_owned());
        // A path as `.` or `..` has a name once it is resolved.
        let resolved = || fs::canonicalize(&self.dir).ok().and_then(|dir| named(&dir));
        named(&self.dir).or_else(resolved).unwrap_or_else(|| "run".into())
    }
}
