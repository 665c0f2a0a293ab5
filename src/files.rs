//! Files that appear whole or not at all, and their names in commands.

use crate::error::{Error, Result};
use std::ffi::OsStr;
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

/// The same of a file that is not to take the place of another.
///
/// # Errors
/// As [`check`]; when there is a file of that name.
pub fn check_new(path: &Path) -> Result<()> {
    check(path)?;
    if path.exists() {
        let message = "there is a file of that name already; choose another name, or remove it";
        return Err(Error::Usage(format!("{}: {message}", path.display())));
    }
    Ok(())
}

/// A word for a command that a person copies into a shell: the same text, in quotes where the shell would read it otherwise.
///
/// ```
/// # use halfwave::files::quoted;
/// assert_eq!(quoted("runs/digits-1"), "runs/digits-1");
/// # #[cfg(unix)]
/// assert_eq!(quoted("Anna's runs"), r"'Anna'\''s runs'");
/// ```
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    // What begins with a dash would be an option.
    let start = if word.as_encoded_bytes().starts_with(b"-") { "./" } else { "" };
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => format!("{start}{text}"),
        Some(text) if cfg!(windows) => format!("\"{start}{text}\""),
        Some(text) if !text.contains(char::is_control) => format!("'{start}{}'", text.replace('\'', r"'\''")),
        // Control characters, and what is not Unicode, as escapes of bash, zsh and ksh.
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

/// Whether every shell takes this character as it is.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-./:=@%+,".contains(c) || cfg!(windows) && c == '\\'
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    /// What a shell makes of a word is the word.
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
