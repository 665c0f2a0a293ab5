//! A request to stop, checked between the work items of a backend.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop, shared by all clones. It can be made from any thread; a backend that was
/// given a clone ([`Backend::stop_by`](crate::backend::Backend::stop_by)) then refuses new work
/// with [`Error::Stopped`], but can still be read, so that everything that is finished can be
/// saved.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Requests the stop; it cannot be withdrawn.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether a stop was requested.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Fails once a stop was requested.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stopped`] in that case.
    pub fn check(&self) -> Result<()> {
        if self.asked() { Err(Error::Stopped) } else { Ok(()) }
    }
}
