//! A checkpoint: tensors under PyTorch's names and layouts in one safetensors file, with the recipe and the position in the run.
//!
//! `conv1.weight` (O, I, H, W), `fc.weight` (O, I), `bn1.running_mean`, …; `velocity/<name>`, `moment1/<name>`, … are the optimiser's state. The header's one metadata key `halfwave` is JSON: recipe, position.
//! The same state gives the same bytes.

use super::{parameters, session};
use crate::data::Normalise;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The name of the mean image that is taken off, `[h, w, c]`.
pub const MEAN_IMAGE: &str = "input.mean";

/// A float tensor on the host, in row order.
#[derive(Clone, PartialEq, Debug)]
pub struct HostTensor {
    /// Axis lengths; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f32>,
}

/// Where in a run a checkpoint was taken.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Steps done in the epoch that is under way.
    pub batch: u64,
    /// Images seen in it.
    pub seen: u64,
    /// Of those, classified correctly before the update.
    pub correct: u64,
    /// The epoch with the best accuracy so far, counted from 1; 0 before any was measured.
    #[serde(default)]
    pub best_epoch: u64,
    /// That accuracy.
    #[serde(default)]
    pub best_accuracy: f32,
    /// Whether the run has ended before its time, because it did not get better.
    #[serde(default)]
    pub stopped: bool,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: String,
    recipe: String,
    position: Position,
}

/// What a checkpoint holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// The resolved recipe.
    pub recipe: String,
    /// Where in the run.
    pub position: Position,
    /// Parameters, running statistics and the optimiser's state.
    pub tensors: BTreeMap<String, HostTensor>,
}

/// Tensors as the bytes of a safetensors file.
pub fn to_bytes(tensors: &BTreeMap<String, HostTensor>, header: Option<String>) -> Vec<u8> {
    let views: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = bytemuck::cast_slice(&tensor.values);
            (name, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).expect("shape and values agree"))
        })
        .collect();
    let metadata = header.map(|header| HashMap::from([("halfwave".to_string(), header)]));
    safetensors::serialize(views, metadata).expect("float tensors can be written")
}

/// Reads the float tensors of a safetensors file.
///
/// # Errors
/// When it is truncated, not a safetensors file, or holds something else than f32.
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<(BTreeMap<String, HostTensor>, Option<String>)> {
    let bad = |message: String| Error::Checkpoint { path: path.to_path_buf(), message };
    let unreadable = |error| bad(format!("this is no complete safetensors file ({error})"));
    let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(bad(format!("the tensor {name} is {:?}; only F32 is read", view.dtype())));
        }
        let values = bytemuck::pod_collect_to_vec(view.data());
        tensors.insert(name.to_string(), HostTensor { shape: view.shape().to_vec(), values });
    }
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get("halfwave").cloned());
    Ok((tensors, header))
}

impl Checkpoint {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            version: env!("CARGO_PKG_VERSION").to_string(),
            recipe: self.recipe.clone(),
            position: self.position,
        };
        to_bytes(&self.tensors, Some(serde_json::to_string(&header).expect("a header is JSON")))
    }

    /// Reads a checkpoint; `path` is for messages.
    ///
    /// # Errors
    /// When the bytes are truncated or were not written by halfwave.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let (tensors, header) = from_bytes(bytes, path)?;
        let bad = |message: &str| Error::Checkpoint { path: path.to_path_buf(), message: message.to_string() };
        let header =
            header.ok_or_else(|| bad("this safetensors file is no checkpoint of halfwave: it holds no recipe"))?;
        let header: Header = serde_json::from_str(&header).map_err(|_| bad("the checkpoint's header is damaged"))?;
        Ok(Self { recipe: header.recipe, position: header.position, tensors })
    }

    /// How its recipe's images become the network's input.
    ///
    /// # Errors
    /// When the recipe takes off a mean image and there is none, or one of another size than the set's images.
    pub fn normalise(&self, recipe: &Recipe) -> Result<Normalise> {
        let mut normalise = Normalise::new(recipe);
        if recipe.data.mean_image {
            let mean = self.tensors.get(MEAN_IMAGE);
            let mean = mean.ok_or_else(|| Error::Model(format!("the mean image, {MEAN_IMAGE}, is missing")))?;
            let wanted = recipe.data.set.source().iter().product::<usize>();
            if mean.values.len() != wanted {
                let found = mean.values.len();
                return Err(Error::Model(format!("the mean image, {MEAN_IMAGE}, has {found} values, not {wanted}")));
            }
            normalise.mean = Some(mean.values.clone());
        }
        Ok(normalise)
    }

    /// That it holds every tensor of a recipe's model and of its optimiser.
    ///
    /// # Errors
    /// With the tensor that is missing or has another shape.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        let get = |name: &str| self.tensors.get(name).cloned();
        for parameter in parameters::of(&recipe.model)? {
            let states = session::states(&recipe.train.optimizer, &parameter).iter().map(|state| format!("{state}/"));
            for prefix in [String::new()].into_iter().chain(states) {
                if parameter.find(&prefix, get)?.is_none() {
                    return Err(Error::Model(format!("the tensor {prefix}{} is missing", parameter.host()[0].0)));
                }
            }
        }
        self.normalise(recipe).map(|_| ())
    }
}
