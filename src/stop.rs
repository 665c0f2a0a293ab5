//! A request to stop, heard between any two pieces of work of a backend.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop: clones share it. Whoever leads the work asks, from any thread; a backend that was given a clone ([`Backend::stop_by`](crate::backend::Backend::stop_by)) refuses new work
/// with [`Error::Stopped`] from then on, but still gives what it holds, so that everything that is finished can be saved.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks; there is no way back.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody has asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Fails once somebody has asked.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn check(&self) -> Result<()> {
        if self.asked() { Err(Error::Stopped) } else { Ok(()) }
    }
}
