//! Files that appear whole or not at all.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes a file under another name, flushes it to the disk and renames it, so that `path` is never half a file.
///
/// # Errors
/// When the file cannot be written; an older file of that name is kept then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = (|| {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    })();
    written.map_err(|error| {
        // What is left of a failed attempt is of no use; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&part);
        Error::io(path)(error)
    })
}

/// Tries whether [`replace`] can write a file, before somebody works long for its content. Nothing is left behind.
///
/// # Errors
/// When the folder does not exist or refuses, or the name is that of something else than a file.
pub fn check(path: &Path) -> Result<()> {
    // The finished file takes this name, whatever bears it now: better no folder and no device.
    if path.exists() && !path.is_file() {
        return Err(Error::Usage(format!("{} is not a regular file; give the name of one", path.display())));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, b"halfwave").and_then(|()| std::fs::remove_file(&part)).map_err(Error::io(path))
}
