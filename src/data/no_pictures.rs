//! Takes the place of `picture` in builds without the feature `image`, which decode no picture
//! files.

use super::Fit;
use crate::{Error, Result};
use std::path::Path;

const MESSAGE: &str = "this build reads no pictures; enable the feature `image` of halfwave";

/// Why a file does not give a picture: see `picture`.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) brief: String,
    pub(super) unread: bool,
}

impl Fault {
    pub(super) fn known() -> Self {
        Self { brief: MESSAGE.to_string(), unread: false }
    }

    pub(super) fn of(self, path: &Path) -> Error {
        Error::Data(format!("{}: {}", path.display(), self.brief))
    }
}

pub(super) fn fitted(_path: &Path, _shape: [usize; 3], _fit: Fit) -> Result<Vec<u8>, Fault> {
    Err(Fault::known())
}

pub(super) fn check(_path: &Path) -> Result<(), Fault> {
    Err(Fault::known())
}

pub(super) struct Look {
    pub(super) size: [u32; 2],
    pub(super) grey: bool,
}

pub(super) fn look(_path: &Path) -> Result<Look, Fault> {
    Err(Fault::known())
}
