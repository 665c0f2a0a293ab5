//! Files of weights as given by users: a safetensors file, or a folder with a checkpoint.

use super::foreign::{self, START};
use super::run::{CHECKPOINT, RUN_INFO};
use crate::error::{Error, Result};
use crate::files::open;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Reads a file of weights, or the checkpoint in a run's folder; returned with the file's path.
///
/// # Errors
///
/// Returns an error if it cannot be read. A file recognised as another kind is not read to its end:
/// the message says which kind it is.
pub fn read(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let path = if path.is_dir() { checkpoint(path)? } else { path.to_path_buf() };
    let mut bytes = Vec::new();
    let mut file = open(&path).map_err(Error::io(&path))?;
    file.by_ref().take(START as u64).read_to_end(&mut bytes).map_err(Error::io(&path))?;
    if let Some(message) = foreign::recognise(&bytes, &path) {
        return Err(Error::Checkpoint { path, message });
    }
    file.read_to_end(&mut bytes).map_err(Error::io(&path))?;
    Ok((path, bytes))
}

/// The checkpoint in a folder.
fn checkpoint(dir: &Path) -> Result<PathBuf> {
    let path = dir.join(CHECKPOINT);
    if path.exists() {
        return Ok(path);
    }
    let entries = fs::read_dir(dir).map_err(Error::io(dir))?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut others: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).collect();
    others.sort();
    let advice = match others.first() {
        Some(other) => format!("name the file, such as {}", other.display()),
        None if dir.join(RUN_INFO).exists() => {
            "it holds the remains of a run that ended before its first checkpoint; delete it".to_string()
        }
        None => "name a run's folder, or a file".to_string(),
    };
    Err(Error::Usage(format!("{}: no {CHECKPOINT} in this folder; {advice}", dir.display())))
}
