//! A network on a device, trained on arrays: no recipe file, no data set, no folder.
//!
//! ```
//! use halfwave::prelude::*;
//! # fn main() -> halfwave::Result<()> {
//! let mut network = Network::builder([1, 8, 8], 10)
//!     .layer(Conv { filters: 16, padding: [1, 1], ..Conv::default() })
//!     .layer(BatchNorm::default())
//!     .layer(Hwgq::default())
//!     .layer(Linear { units: 10, ..Linear::default() })
//!     .optimizer(Optimizer::new(0.01, Adam::default()))
//!     .build(CpuBackend::new())
//!     .block_on()?;
//! let (images, labels) = (vec![0.5; 64 * 8 * 8], vec![3; 64]);
//! for _ in 0..3 {
//!     network.train_step(&images, &labels).block_on()?;
//! }
//! let losses = network.measured().block_on()?;
//! assert!(losses[2].loss < losses[0].loss);
//! assert_eq!(network.classify(&images[..64]).block_on()?, [3]);
//! # Ok(())
//! # }
//! ```

mod builder;

pub use builder::Builder;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::ops::evaluation_record::winner;
use crate::recipe::Recipe;
use crate::train::session::{Measured, Session};
use crate::train::{Checkpoint, Position};

/// A network on a device, with its optimiser's state. Images are floats `[n, h, w, c]`; labels are
/// below the number of classes.
pub struct Network {
    recipe: Recipe,
    session: Session,
    /// The learning rate of the next steps; initially the optimiser's.
    pub learning_rate: f32,
}

impl Network {
    /// Describes a network layer by layer, for images of `[channels, height, width]`.
    pub fn builder(input: [usize; 3], classes: usize) -> Builder {
        Builder::new(input, classes)
    }

    /// Creates the network of a recipe on a device, with initial weights from the recipe's seed.
    ///
    /// # Errors
    ///
    /// Returns an error if the model is invalid or does not fit the device.
    pub async fn new(recipe: Recipe, backend: impl Into<Box<dyn Backend>>) -> Result<Self> {
        let session = Session::new(&recipe, backend.into(), false).await?;
        let learning_rate = recipe.train.optimizer.lr;
        Ok(Self { recipe, session, learning_rate })
    }

    /// Creates the network of a checkpoint on a device, with the optimiser's state.
    ///
    /// # Errors
    ///
    /// Returns an error if the checkpoint's recipe is invalid, its tensors do not fit it, or the
    /// model does not fit the device.
    pub async fn restored(checkpoint: &Checkpoint, backend: impl Into<Box<dyn Backend>>) -> Result<Self> {
        let mut network = Self::new(Recipe::parse(&checkpoint.recipe, "the checkpoint's recipe")?, backend).await?;
        network.session.set_tensors(&checkpoint.tensors, "", checkpoint.position.step)?;
        Ok(network)
    }

    /// Trains on one batch. Does not wait for the device: [`Network::measured`] returns losses.
    /// Each number of images below the recipe's batch has its own plan, which is kept: use few.
    ///
    /// # Errors
    ///
    /// Returns an error if there are more images than the recipe's batch, their lengths or labels
    /// do not fit the model, or the device is lost.
    pub async fn train_step(&mut self, images: &[f32], labels: &[u32]) -> Result<()> {
        let (batch, classes) = (self.recipe.train.batch, self.recipe.model.classes);
        let found = self.images(images)?;
        if found != labels.len() || !(1..=batch).contains(&found) {
            return Err(Error::Usage(format!(
                "{found} images and {} labels; give as many labels as images, from 1 to train.batch = {batch}",
                labels.len()
            )));
        }
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            return Err(Error::Usage(format!("label {label}: labels are below the {classes} classes")));
        }
        self.session.train_step(images, labels, self.learning_rate).await
    }

    /// Loss and accuracy of all steps since the last call; waits for the device.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn measured(&mut self) -> Result<Vec<Measured>> {
        self.session.measured().await
    }

    /// Computes one value per class and image, with running statistics.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of values is not that of whole images, the device is lost, or
    /// a value within the network is not finite.
    pub async fn logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        self.images(images)?;
        self.session.logits(images).await
    }

    /// Returns the most probable class of each image.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Network::logits`] does.
    pub async fn classify(&mut self, images: &[f32]) -> Result<Vec<usize>> {
        let logits = self.logits(images).await?;
        Ok(logits.chunks_exact(self.recipe.model.classes).map(winner).collect())
    }

    /// Returns the weights, running statistics and the optimiser's state, which
    /// [`Checkpoint::to_bytes`] turns into a safetensors file that the command line reads too.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn checkpoint(&mut self) -> Result<Checkpoint> {
        let (recipe, tensors) = (self.recipe.to_toml(), self.session.tensors().await?);
        let position = Position { step: self.session.steps(), ..Position::default() };
        Ok(Checkpoint { recipe, position, trained_on: None, tensors })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The session, for plans, tensors and inspections.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Returns the number of images that these values make up.
    fn images(&self, values: &[f32]) -> Result<usize> {
        let [c, h, w] = self.recipe.model.input;
        let len = c * h * w;
        match values.len().is_multiple_of(len) {
            true => Ok(values.len() / len),
            false => Err(Error::Usage(format!(
                "{} values are not a whole number of images of {h} × {w} × {c} = {len} values",
                values.len()
            ))),
        }
    }
}
