//! Packed files in the program: written from a checkpoint, evaluated on a data set.

use super::card::{RECIPE, of_run};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::train::evaluate::{Evaluation, ImageResult};
use crate::train::run::SavedRun;
use halfwave_infer::{Network, Runner};
use std::path::{Path, PathBuf};

/// Images that are read at once.
const AT_ONCE: usize = 1024;

/// Folds a checkpoint, whose classes have these names, as [`of_run`] does.
///
/// # Errors
///
/// Returns an error as [`fold`](super::fold()) does.
pub fn of_checkpoint(saved: &SavedRun, classes: &[String]) -> Result<Network> {
    of_run(&saved.checkpoint, &saved.recipe, classes)
}

/// A packed file that is ready to run.
#[derive(Debug)]
pub struct Packed {
    /// The file.
    pub path: PathBuf,
    /// The network.
    pub runner: Runner,
    /// The recipe that it was trained by.
    pub recipe: Recipe,
}

impl Packed {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// Returns an error if they are not a packed network, or its card has no recipe.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        let bad = |message: String| Error::Checkpoint { path: path.to_path_buf(), message };
        let network = Network::read(bytes).map_err(|error| bad(error.to_string()))?;
        let recipe = network.card.get(RECIPE).ok_or_else(|| {
            bad("this packed network does not say how its images are prepared (its card has no recipe); export its checkpoint again".into())
        })?;
        let recipe = Recipe::parse(recipe, "its recipe").map_err(|error| bad(error.to_string()))?;
        let [h, w, c] = network.input.shape;
        if recipe.model.input != [c, h, w] || recipe.model.classes != network.classes.len() {
            return Err(bad("its recipe describes another network; export its checkpoint again".into()));
        }
        let runner = Runner::new(network).map_err(|error| bad(error.to_string()))?;
        Ok(Self { path: path.to_path_buf(), runner, recipe })
    }

    /// Returns the logits of images: bytes N, H, W, C.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a whole number of images.
    pub fn logits(&self, images: &[u8], threads: usize) -> Result<Vec<f32>> {
        self.runner.batch(images, threads).map_err(|error| Error::Data(error.to_string()))
    }

    /// Evaluates the network on a split, on all images except damaged pictures. `logits` computes
    /// those of images: [`Packed::logits`], or a [`DeviceRunner`](super::DeviceRunner)'s.
    ///
    /// # Errors
    ///
    /// Returns an error if a picture cannot be read, or the one of `logits`.
    pub fn evaluate(&self, split: &Split, mut logits: impl FnMut(&[u8]) -> Result<Vec<f32>>) -> Result<Evaluation> {
        let all: Vec<u32> = (0..split.len() as u32).collect();
        let (classes, loss) = (self.recipe.model.classes, &self.recipe.train.loss);
        let (mut labels, mut results) = (Vec::new(), Vec::new());
        for chunk in all.chunks(AT_ONCE) {
            let (pixels, of_chunk) = split.intact_centre_crops(chunk)?;
            let logits = logits(&pixels)?;
            let rows = logits.chunks_exact(classes).zip(&of_chunk);
            results.extend(rows.map(|(logits, &label)| ImageResult::new(logits, label as usize, loss)));
            labels.extend(of_chunk);
        }
        if labels.is_empty() && !split.is_empty() {
            return Err(Error::Data("none of the pictures to evaluate on can be decoded; provide intact ones".into()));
        }
        Ok(Evaluation::of(classes, &labels, &results))
    }
}
