//! A program without MPI, which refuses to be one of several processes.

use super::Launcher;
use crate::cli::device::Opened;
use halfwave::data::Dataset;
use halfwave::recipe::Recipe;
use halfwave::train::Trainer;
use halfwave::{Error, Result};

/// Never created.
pub(in crate::cli) enum Group {}

impl Group {
    pub(super) fn join(launcher: Launcher, ranks: usize) -> Result<Self> {
        let advice = match launcher {
            Launcher::Mpi => "build it with MPI: cargo install --path . --features mpi",
            launcher => launcher.advice(),
        };
        Err(Error::Usage(format!("this process is one of {ranks}, but this halfwave is built without MPI; {advice}")))
    }

    pub(in crate::cli) fn leads(&self) -> bool {
        match *self {}
    }

    pub(in crate::cli) fn fail(&self, _error: &Error) -> ! {
        match *self {}
    }

    pub(in crate::cli) fn abort(&self) -> ! {
        match *self {}
    }

    pub(in crate::cli) fn open(&self, _wanted: Option<&str>) -> Result<Opened> {
        match *self {}
    }

    pub(in crate::cli) fn trainer(&self, _recipe: Recipe, _data: Dataset, _opened: Opened) -> Result<Trainer> {
        match *self {}
    }

    pub(in crate::cli) fn wait(&self) -> Result<()> {
        match *self {}
    }
}
