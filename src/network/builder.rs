//! A network described layer by layer, in code instead of a recipe file.

use super::Network;
use crate::backend::Backend;
use crate::error::Result;
use crate::model::{INPUT, Layer, LayerKind, Model};
use crate::pass::{Loss, Optimizer};
use crate::recipe::{Data, Recipe, Train};

/// A network under construction. Each layer reads the one before it, unless [`Builder::from`] names
/// its inputs.
#[derive(Clone, Debug)]
pub struct Builder {
    model: Model,
    train: Train,
    data: Option<Data>,
}

impl Builder {
    pub(super) fn new(input: [usize; 3], classes: usize) -> Self {
        Self { model: Model { input, classes, layers: Vec::new() }, train: Train::default(), data: None }
    }

    /// Appends a layer, called after its kind and its number among the layers of that kind, as in
    /// "conv2", until [`Builder::named`].
    #[must_use]
    pub fn layer(mut self, kind: impl Into<LayerKind>) -> Self {
        let kind = kind.into();
        let same = self.model.layers.iter().filter(|layer| layer.kind.name() == kind.name()).count();
        let from = self.model.layers.last().map_or(INPUT, |layer| &layer.name).to_string();
        self.model.layers.push(Layer::new(&format!("{}{}", kind.name(), same + 1), &from, kind));
        self
    }

    /// Names the last layer.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        if let Some(layer) = self.model.layers.last_mut() {
            layer.name = name.to_string();
        }
        self
    }

    /// Sets the inputs of the last layer: names of earlier layers, or "input".
    #[must_use]
    pub fn from(mut self, inputs: &[&str]) -> Self {
        if let Some(layer) = self.model.layers.last_mut() {
            layer.from = inputs.iter().map(ToString::to_string).collect();
        }
        self
    }

    /// Sets how it is trained; by default [`Train::default`].
    #[must_use]
    pub fn train(self, train: Train) -> Self {
        Self { train, ..self }
    }

    /// Sets the number of images per step.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.train.batch = batch;
        self
    }

    /// Sets the optimiser.
    #[must_use]
    pub fn optimizer(mut self, optimizer: Optimizer) -> Self {
        self.train.optimizer = optimizer;
        self
    }

    /// Sets the loss function.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.train.loss = loss;
        self
    }

    /// Sets the seed of all random numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.train.seed = seed;
        self
    }

    /// Sets the data set, for a [`Trainer`](crate::train::Trainer); it is not needed for training
    /// on arrays.
    #[must_use]
    pub fn data(self, data: impl Into<Data>) -> Self {
        Self { data: Some(data.into()), ..self }
    }

    /// Returns the model.
    ///
    /// # Errors
    ///
    /// Returns an error if a layer is invalid or does not fit its inputs.
    pub fn model(self) -> Result<Model> {
        self.model.shapes()?;
        Ok(self.model)
    }

    /// Returns the recipe.
    ///
    /// # Errors
    ///
    /// Returns the first mistake that [`Recipe::parse`] would find in it.
    pub fn recipe(self) -> Result<Recipe> {
        let Self { model, train, data } = self;
        model.shapes()?;
        let data = data.unwrap_or_else(|| Data::arrays(&model));
        Recipe { model, data, train }.checked()
    }

    /// Creates the network on a device.
    ///
    /// # Errors
    ///
    /// Returns an error if the recipe is invalid or does not fit the device.
    pub async fn build(self, backend: impl Into<Box<dyn Backend>>) -> Result<Network> {
        Network::new(self.recipe()?, backend).await
    }
}
