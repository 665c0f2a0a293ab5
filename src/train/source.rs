//! Training images that do not lie on the device: each batch is read when it is needed, natively ahead of that.

use crate::data::Dataset;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::{Part, Prefetch};
use crate::error::Result;
use std::sync::Arc;

/// Reads the batches of a run in their order.
pub(super) struct Source {
    dataset: Arc<Dataset>,
    /// What is read ahead, and the step whose batch comes next of it.
    #[cfg(not(target_arch = "wasm32"))]
    ahead: Option<(u64, Prefetch)>,
}

impl Source {
    pub(super) fn new(dataset: Arc<Dataset>) -> Self {
        Self {
            dataset,
            #[cfg(not(target_arch = "wasm32"))]
            ahead: None,
        }
    }

    /// The bytes of batch `at` of an epoch's `batches`, for the step of that number. Steps in their order are fastest.
    ///
    /// # Errors
    /// When a picture cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn batch(&mut self, step: u64, batches: &[Vec<u32>], at: usize) -> Result<Vec<u8>> {
        let (_, mut ahead) = match self.ahead.take().filter(|(next, _)| *next == step) {
            Some(known) => known,
            None => (step, Prefetch::new(self.dataset.clone(), Part::Train, batches[at..].to_vec())?),
        };
        let batch = ahead.next().expect("a batch for each step")?;
        // Nothing is left to be read behind the last one; the next epoch has an order of its own.
        self.ahead = (at + 1 < batches.len()).then_some((step + 1, ahead));
        Ok(batch.pixels)
    }

    /// The same, when it is asked for: there are no threads.
    ///
    /// # Errors
    /// None: everything is in memory.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn batch(&mut self, _step: u64, batches: &[Vec<u32>], at: usize) -> Result<Vec<u8>> {
        self.dataset.train.read(&batches[at])
    }
}
