//! Errors that users can cause, with advice on how to fix them.
//!
//! **Invariant:** bugs are assertions with a message; everything that input, devices or disks can
//! cause is an [`Error`].

use std::path::PathBuf;

/// Advice when memory does not suffice: settings are never changed without being asked for.
pub(crate) const LESS_MEMORY: &str =
    "use a smaller batch, or in the recipe's [train] memory = \"low\", or accumulate = 2 or more for micro-batches";

/// Advice when a single tensor is `times` times as large as the device allows, regardless of what
/// else is stored.
pub(crate) fn smaller_tensors(times: u64) -> String {
    let parts = times.max(2);
    format!(
        "use a smaller batch, or in the recipe's [train] accumulate = {parts} or more for micro-batches (memory = \"low\" makes no tensor smaller)"
    )
}

/// An error, described so that a user can act on it. Programs match variants, or [`Error::kind`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An invalid recipe: the position, the layer or key, and what to do.
    #[error("{file}{}: {message}{excerpt}", line_words(*.line))]
    Recipe {
        /// The recipe's path, a name for an embedded one, or the option that changes it.
        file: String,
        /// The line in that file, counted from 1; 0 for an option.
        line: usize,
        /// Layer or key, what is wrong and what would be correct.
        message: String,
        /// Two lines, each after a line break: the line of the file, and `^^^` below what the
        /// message is about; empty if there is nothing to point at.
        excerpt: String,
    },
    /// Data that is missing, truncated or of another kind than expected.
    #[error("{0}")]
    Data(String),
    /// A checkpoint or file of initial weights that does not fit the model.
    #[error("{path}: {message}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The tensor, its shape and the expected shape.
        message: String,
    },
    /// No such adapter, or a lost device: open it again and continue from the last checkpoint.
    #[error("{0}")]
    Device(String),
    /// The device has too little memory, or binds less at once than a tensor needs.
    #[error("{0}")]
    Memory(String),
    /// A model that the compiler cannot turn into a plan.
    #[error("{0}")]
    Model(String),
    /// A value is NaN or infinite: training has diverged, or a network does not fit its input.
    #[error("{0}")]
    Diverged(String),
    /// Reading or writing a file failed.
    #[error("{path}: {}", io_words(.source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Options that cannot be combined.
    #[error("{0}")]
    Usage(String),
    /// A stop was requested ([`Stop`](crate::stop::Stop)): not a mistake, and nothing that was
    /// finished is lost.
    #[error("stopped on request")]
    Stopped,
}

/// The result of every fallible operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a path, and what to do about it; errors that have no advice in the system's
/// words.
pub(crate) fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind as Kind;
    let words = match error.kind() {
        Kind::IsADirectory => "this is a folder; give the name of a file",
        Kind::NotFound => "no such file or folder; check the path",
        Kind::AlreadyExists => "a file of that name already exists; choose another name",
        Kind::PermissionDenied => "permission denied; change its permissions, or choose another path",
        Kind::NotADirectory => "a part of this path is a file; choose another path",
        Kind::ReadOnlyFilesystem => "the disk is read-only; choose a path on another disk",
        Kind::StorageFull => "no space left; free some, or choose a path on another disk",
        Kind::QuotaExceeded => "the disk quota is exceeded; free some space, or choose a path on another disk",
        Kind::InvalidFilename => "not a valid name; choose a shorter or simpler one",
        Kind::ResourceBusy => "another program uses it; close that program",
        _ => return error.to_string(),
    };
    words.to_string()
}

/// The line behind a file's name: ":12".
fn line_words(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

impl Error {
    /// Returns the name of the variant in lower case: the `kind` of errors in JavaScript.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Recipe { .. } => "recipe",
            Self::Data(_) => "data",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Device(_) => "device",
            Self::Memory(_) => "memory",
            Self::Model(_) => "model",
            Self::Diverged(_) => "diverged",
            Self::Io { .. } => "io",
            Self::Usage(_) => "usage",
            Self::Stopped => "stopped",
        }
    }

    /// Adds the path to an I/O error: `.map_err(Error::io(&path))`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
