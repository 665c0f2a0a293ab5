//! Errors, which can be matched by kind.

use alloc::string::String;
use core::fmt;

/// A result with this crate's error.
pub type Result<T> = core::result::Result<T, Error>;

/// Why a network cannot be read or an image not be classified. The message says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes are not a complete packed network.
    File(String),
    /// The network's layers do not fit together, or exceed the limits.
    Network(String),
    /// The image does not have the network's input shape.
    Image(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File(message) | Self::Network(message) | Self::Image(message)) = self;
        f.write_str(message)
    }
}

impl core::error::Error for Error {}
