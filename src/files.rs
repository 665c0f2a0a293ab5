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
