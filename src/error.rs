//! Every mistake a user can make, as a value that says what to do about it.
//!
//! **Invariant:** bugs are asserts with a message; whatever input, device or disk can cause is an [`Error`].

use std::path::PathBuf;

/// What helps where memory does not suffice: nothing is changed without being asked for.
pub(crate) const LESS_MEMORY: &str =
    "use a smaller batch, or in the recipe's [train] memory = \"low\", or accumulate = 2 or more for micro-batches";

/// What helps where a single tensor is so many times as large as a device takes: it has this size however much else is kept.
pub(crate) fn smaller_tensors(times: u64) -> String {
    let parts = times.max(2);
    format!(
        "use a smaller batch, or in the recipe's [train] accumulate = {parts} or more for micro-batches (memory = \"low\" makes no tensor smaller)"
    )
}

/// What went wrong, in words a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe that cannot be a run: where it stands, which layer or key, and what to do.
    #[error("{file}:{line}: {message}")]
    Recipe {
        /// The recipe's path, or a name for an embedded one.
        file: String,
        /// The line in that file, counted from 1.
        line: usize,
        /// Layer or key, what is wrong and what would be right.
        message: String,
    },
    /// Data that is missing, truncated or of another kind than asked for.
    #[error("{0}")]
    Data(String),
    /// A checkpoint or start file that does not fit the model.
    #[error("{path}: {message}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Which tensor, its shape, the shape that was expected.
        message: String,
    },
    /// No such adapter, a lost device, a limit that a plan exceeds.
    #[error("{0}")]
    Device(String),
    /// A model the compiler cannot turn into a plan.
    #[error("{0}")]
    Model(String),
    /// Reading or writing a file failed.
    #[error("{path}: {}", io_words(.source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// Somebody asked to stop ([`Stop`](crate::stop::Stop)): no mistake, and nothing that was finished is lost.
    #[error("stopped on request")]
    Stopped,
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the system said, or more where that does not say what to do.
pub(crate) fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::IsADirectory => "this is a folder; give the name of a file".to_string(),
        _ => error.to_string(),
    }
}

impl Error {
    /// Says which path an I/O error belongs to: `.map_err(Error::io(&path))`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
