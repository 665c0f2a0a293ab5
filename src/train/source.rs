//! How training images reach the device: they are kept in its memory if they fit; else each batch is read
//! when needed, and natively read ahead.

use super::session;
use crate::caps::Caps;
use crate::data::Dataset;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::{Part, Prefetch};
use crate::error::Result;
use crate::pass::{ImageInput, Store};
use crate::recipe::Recipe;
use std::sync::Arc;

/// Training sets of more bytes are sent to the device batch by batch.
const RESIDENT_BYTES: usize = 1 << 30;

/// Reads the batches of a run in order.
pub(super) struct Source {
    dataset: Arc<Dataset>,
    /// The prefetched batches, and the step of the next one.
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

    /// The bytes of batch `at` of an epoch's `batches`, of the images that `part` selects from each,
    /// for the step of that number. Steps in order are fastest.
    ///
    /// # Errors
    ///
    /// Returns an error if a picture cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn batch<'a>(
        &mut self,
        step: u64,
        batches: &'a [Vec<u32>],
        at: usize,
        part: impl Fn(&'a Vec<u32>) -> &'a [u32],
    ) -> Result<Vec<u8>> {
        let (_, mut ahead) = match self.ahead.take().filter(|(next, _)| *next == step) {
            Some(known) => known,
            None => {
                let parts = batches[at..].iter().map(|batch| part(batch).to_vec()).collect();
                (step, Prefetch::new(self.dataset.clone(), Part::Train, parts)?)
            }
        };
        let batch = ahead.next().expect("a batch for each step")?;
        // Nothing is left to read after the last batch; the next epoch has a different order.
        self.ahead = (at + 1 < batches.len()).then_some((step + 1, ahead));
        Ok(batch.pixels)
    }

    /// Like the native version, but read on request: there are no threads.
    ///
    /// # Errors
    ///
    /// Returns an error if a picture cannot be read; this does not occur, because everything is in
    /// memory.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn batch<'a>(
        &mut self,
        _step: u64,
        batches: &'a [Vec<u32>],
        at: usize,
        part: impl Fn(&'a Vec<u32>) -> &'a [u32],
    ) -> Result<Vec<u8>> {
        self.dataset.train.read(part(&batches[at]))
    }
}

/// How the images of a data set reach a device: they are kept in its memory if they fit.
pub(super) fn image_input(recipe: &Recipe, dataset: &Dataset, caps: &Caps) -> ImageInput {
    let mut image_input = session::batch_input(recipe);
    let ImageInput::Bytes(bytes) = &mut image_input else { unreachable!("a recipe's images are bytes") };
    let train = &dataset.train;
    let part_images = caps.max_binding_bytes.min(caps.max_buffer_bytes) as usize / train.image_len().max(1);
    if train.in_memory().is_some_and(|pixels| pixels.len() <= RESIDENT_BYTES) && part_images > 0 {
        bytes.store = Store::Resident { images: train.len(), part_images: part_images.min(train.len()) };
    }
    image_input
}
