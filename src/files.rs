//! Opening of files, atomic writing, and quoting of their names in commands.

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Opens a file or folder for reading. Pipes and devices are refused: opening a pipe would wait for
/// a writer, and reading from a device may never end.
///
/// # Errors
///
/// Returns an error if it cannot be opened, or is something else.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    match kind.is_file() || kind.is_dir() {
        true => File::open(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file; give the name of one")),
    }
}

/// Reads a file as text.
///
/// # Errors
///
/// Returns an error if it cannot be read, is not a regular file, or not text in UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    io::read_to_string(open(path)?)
}

/// Writes a file under a unique temporary name in the same folder, flushes it to the disk and
/// renames it, so that `path` is never partially written, and processes that write the same file at
/// the same time do not interfere.
///
/// # Errors
///
/// Returns an error if the file cannot be written; an older file of that name is kept then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let (part, file) = temporary(path).map_err(Error::io(path))?;
    finish(path, &part, file, bytes)
}

/// Like [`replace`], for a run's folder where no other process writes ([`crate::train::claim`]):
/// the temporary name is `path` + `.part`, so that the remains of a killed process are overwritten
/// rather than left beside.
///
/// # Errors
///
/// Returns an error as [`replace`] does.
pub fn replace_claimed(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = File::create(&part).map_err(Error::io(path))?;
    finish(path, &part, file, bytes)
}

/// A new file in the folder of `path`, under a unique name.
fn temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    loop {
        // The name is short regardless of `path`: names have at most 255 bytes.
        let part = path.with_file_name(format!(".halfwave-{process}-{}.part", NEXT.fetch_add(1, Ordering::Relaxed)));
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            // Left by a killed process that had the same process ID.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (part, file)),
        }
    }
}

/// Writes a temporary file and renames it.
fn finish(path: &Path, part: &Path, mut file: File, bytes: &[u8]) -> Result<()> {
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    written.and_then(|()| fs::rename(part, path)).map_err(|error| {
        // The remains of a failed attempt are useless; failing to remove them changes nothing.
        let _ = fs::remove_file(part);
        Error::io(path)(error)
    })
}

/// Checks whether [`replace`] can write a file, before its contents are computed. Nothing is left
/// behind.
///
/// # Errors
///
/// Returns an error if the folder does not exist or cannot be written, or the name is not that of a
/// regular file.
pub fn check(path: &Path) -> Result<()> {
    // The finished file replaces whatever has this name, so folders and devices are refused.
    if path.is_dir() {
        return Err(Error::io(path)(io::ErrorKind::IsADirectory.into()));
    }
    if path.exists() && !path.is_file() {
        return Err(Error::Usage(format!("{} is not a regular file; give the name of one", path.display())));
    }
    let (part, mut file) = temporary(path).map_err(Error::io(path))?;
    let written = file.write_all(b"halfwave");
    drop(file);
    let removed = fs::remove_file(&part);
    written.and(removed).map_err(Error::io(path))
}

/// Checks the files that a command is to write, before it does any work: each with [`check`], and
/// that none is another one of them or one of `inputs`, under whatever name.
///
/// # Errors
///
/// Returns an error if this is not so.
pub fn check_outputs<'a>(
    outputs: impl IntoIterator<Item = &'a PathBuf>,
    inputs: impl IntoIterator<Item = PathBuf>,
) -> Result<()> {
    let mut used: Vec<_> = inputs.into_iter().map(|input| resolved(&input)).collect();
    for output in outputs {
        let file = resolved(output);
        if used.contains(&file) {
            let message = "this would overwrite a file that the same command reads or writes; give another name";
            return Err(Error::Usage(format!("{}: {message}", output.display())));
        }
        check(output)?;
        used.push(file);
    }
    Ok(())
}

/// The path of a file without links, whether it exists or not.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let missing = || Some(fs::canonicalize(folder).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(missing).unwrap_or_else(|| path.to_path_buf())
}

/// Like [`check`], for a file that must not replace another.
///
/// # Errors
///
/// Returns an error as [`check`] does, or if there is a file of that name.
pub fn check_new(path: &Path) -> Result<()> {
    check(path)?;
    if path.exists() {
        let message = "a file of that name already exists; choose another name, or remove it";
        return Err(Error::Usage(format!("{}: {message}", path.display())));
    }
    Ok(())
}

/// A word for a command to be copied into a shell: the same text, in quotes where the shell would
/// interpret it.
///
/// ```
/// # use halfwave::files::quoted;
/// assert_eq!(quoted("runs/digits-1"), "runs/digits-1");
/// # #[cfg(unix)]
/// assert_eq!(quoted("Anna's runs"), r"'Anna'\''s runs'");
/// ```
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    // A word that starts with a dash would be an option.
    let start = if word.as_encoded_bytes().starts_with(b"-") { "./" } else { "" };
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => format!("{start}{text}"),
        Some(text) if cfg!(windows) => format!("\"{start}{text}\""),
        Some(text) if !text.contains(char::is_control) => format!("'{start}{}'", text.replace('\'', r"'\''")),
        // Control characters, and bytes that are not Unicode, as escapes of bash, zsh and ksh.
        _ => {
            let escaped = word.as_encoded_bytes().iter().map(|&byte| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            });
            format!("$'{start}{}'", escaped.collect::<String>())
        }
    }
}

/// Whether every shell takes this character literally.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-./:=@%+,".contains(c) || cfg!(windows) && c == '\\'
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    /// Every reader sees one of the contents, complete, and no temporary files are left; other
    /// files stay.
    #[test]
    fn many_replace_a_file_at_once() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("file.json");
        fs::write(base.path().join("file.json.part"), "the user's own").unwrap();
        let content = |writer: u8| vec![writer; 10_000 + usize::from(writer)];
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        check(path).unwrap();
                        replace(path, &content(writer)).unwrap();
                        let found = fs::read(path).unwrap();
                        assert_eq!(found, content(found[0]));
                    }
                });
            }
        });
        let mut names: Vec<_> = fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file.json", "file.json.part"]);
        assert_eq!(fs::read_to_string(base.path().join("file.json.part")).unwrap(), "the user's own");
    }

    /// A shell parses a quoted word as the original word.
    #[test]
    fn a_shell_reads_quoted_words_as_they_are() {
        let words: [&[u8]; 20] = [
            b"plain",
            b"runs/digits-1.toml",
            "größe/日本".as_bytes(),
            b"a b",
            b" a ",
            b"it's",
            b"''",
            b"say \"hi\"",
            b"$HOME",
            b"`ls`",
            b"a;b&c|d>e<f",
            b"*?[a]{b,c}",
            b"~",
            b"#x",
            b"!x",
            b"(x)",
            b"back\\slash",
            b"",
            b"line\nbreak and 'quote' and \\",
            b"latin \xe9\xff1",
        ];
        for word in words {
            let command = format!("printf %s {}", quoted(OsStr::from_bytes(word)));
            let output = Command::new("bash").args(["-c", &command]).output().unwrap();
            assert_eq!(output.stdout, word, "{command}");
        }
        assert_eq!(["runs/a-1", "größe", "a=b"].map(quoted), ["runs/a-1", "größe", "a=b"]);
        assert_eq!(["-x", "- x"].map(quoted), ["./-x", "'./- x'"]);
    }
}
