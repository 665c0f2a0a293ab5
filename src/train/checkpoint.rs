//! Checkpoints: tensors under PyTorch's names and layouts in one safetensors file, with the recipe
//! and the position in the run.
//!
//! `conv1.weight` (O, I, H, W), `fc.weight` (O, I), `bn1.running_mean`, …; `velocity/<name>`,
//! `moment1/<name>`, … are the optimiser's state. The header's only metadata key, `halfwave`, is
//! JSON: the recipe (with the input normalisation spelt out), the position, and what the network
//! was trained on (its class names). The same state gives the same bytes.

use super::session;
use super::trained_on::TrainedOn;
use crate::data::Normalise;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

pub use super::stored::{HostTensor, from_bytes, to_bytes};

/// Name of the mean image that is subtracted, `[h, w, c]`.
pub const MEAN_IMAGE: &str = "input.mean";

/// Position in a run at which a checkpoint was taken.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(rename = "RunPosition"))]
pub struct Position {
    /// Steps completed.
    pub step: u64,
    /// Epochs completed.
    pub epoch: u64,
    /// Steps completed in the current epoch.
    pub batch: u64,
    /// Images seen in the current epoch.
    pub seen: u64,
    /// Images of the current epoch classified correctly before the update.
    pub correct: u64,
    /// Epoch with the best validation accuracy so far, counted from 1; 0 before the first
    /// measurement, and without validation images.
    #[serde(default)]
    pub best_epoch: u64,
    /// That accuracy.
    #[serde(default)]
    pub best_accuracy: f32,
    /// `best_epoch` and `best_accuracy` before an incomplete epoch at the end of the run became the
    /// best: a longer run has no such epoch, and returns to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_whole: Option<(u64, f32)>,
    /// Whether the run was stopped before its full length because it did not improve.
    #[serde(default)]
    pub stopped: bool,
    /// Whether the steps of an epoch, or of the run, are completed, but not the evaluation after
    /// them.
    #[serde(default)]
    pub unevaluated: bool,
}

impl Position {
    /// Whether a run of `total_steps` ends here: all steps and the evaluation after them are
    /// completed, or it was stopped early.
    pub fn over(&self, total_steps: u64) -> bool {
        self.stopped || self.step >= total_steps && !self.unevaluated
    }

    /// Where a run of `total_steps`, with validation images or without, goes on from here.
    ///
    /// A longer run forgets the evaluation of an incomplete epoch, which it completes; in checkpoints
    /// of earlier versions the best of the epochs before it is unknown, and the next one becomes the
    /// best. Without validation images there is no best epoch, which earlier versions chose by the
    /// test images.
    pub(super) fn resumed(mut self, total_steps: u64, validated: bool) -> Self {
        if !validated {
            (self.best_epoch, self.best_accuracy, self.best_whole, self.stopped) = (0, 0.0, None, false);
        }
        if self.best_epoch > self.epoch && !self.over(total_steps) {
            (self.best_epoch, self.best_accuracy) = self.best_whole.take().unwrap_or_default();
        }
        self
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: String,
    recipe: String,
    position: Position,
    /// Absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trained_on: Option<TrainedOn>,
}

/// Contents of a checkpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// The resolved recipe.
    pub recipe: String,
    /// Position in the run.
    pub position: Position,
    /// What the network was trained on; unknown in checkpoints of earlier versions.
    pub trained_on: Option<TrainedOn>,
    /// Parameters, running statistics and the optimiser's state.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl Checkpoint {
    /// Serialises the checkpoint into the bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            version: crate::version::VERSION.to_string(),
            recipe: self.recipe.clone(),
            position: self.position,
            trained_on: self.trained_on.clone(),
        };
        to_bytes(&self.tensors, Some(serde_json::to_string(&header).expect("a header is JSON")))
    }

    /// Reads a checkpoint; `path` is used in messages.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are truncated or were not written by halfwave.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let (tensors, header) = from_bytes(bytes, path)?;
        let bad = |message: &str| Error::Checkpoint { path: path.to_path_buf(), message: message.to_string() };
        if halfwave_infer::is_packed(bytes) {
            return Err(bad(
                "this is a packed network, which does not contain latent weights; give the checkpoint that it was exported from",
            ));
        }
        let header = header.ok_or_else(|| {
            bad("this safetensors file is not a halfwave checkpoint: it contains weights without a recipe; give the checkpoint or the run's folder that they are from")
        })?;
        let header: Header = serde_json::from_str(&header).map_err(|_| bad("the checkpoint's header is damaged"))?;
        let Header { recipe, position, trained_on, .. } = header;
        Ok(Self { recipe, position, trained_on, tensors })
    }

    /// The network's class names, in the order of its outputs. For a checkpoint of an earlier
    /// version they are known if its recipe's data set defines names.
    pub fn class_names(&self, recipe: &Recipe) -> Option<Vec<String>> {
        self.trained_on.as_ref().map(|facts| facts.classes.clone()).or_else(|| recipe.data.set.class_names())
    }

    /// How the images of its recipe are normalised for the network.
    ///
    /// # Errors
    ///
    /// Returns an error if the recipe subtracts a mean image, and it is missing or its size differs
    /// from that of the data set's images.
    pub fn normalise(&self, recipe: &Recipe) -> Result<Normalise> {
        let mut normalise = Normalise::new(&recipe.data);
        if recipe.data.mean_image {
            let mean = self.tensors.get(MEAN_IMAGE);
            let mean = mean.ok_or_else(|| Error::Model(format!("the mean image, {MEAN_IMAGE}, is missing")))?;
            let wanted = recipe.data.set.source().iter().product::<usize>();
            if mean.values.len() != wanted {
                let found = mean.values.len();
                return Err(Error::Model(format!("the mean image, {MEAN_IMAGE}, has {found} values, not {wanted}")));
            }
            mean.check_finite(MEAN_IMAGE)?;
            normalise.mean = Some(mean.values.clone());
        }
        Ok(normalise)
    }

    /// Checks that the checkpoint holds every tensor of a recipe's model and of its optimiser.
    ///
    /// # Errors
    ///
    /// Returns an error if a tensor is missing, has another shape, or holds values that are not
    /// finite; the message names it.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        let (classes, facts) = (recipe.model.classes, self.trained_on.as_ref());
        if let Some(names) = facts.map(|facts| facts.classes.len()).filter(|&names| names != classes) {
            return Err(Error::Model(format!("its header is damaged: {names} class names for {classes} classes")));
        }
        let get = |name: &str| self.tensors.get(name).cloned();
        for parameter in recipe.model.parameters()? {
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
