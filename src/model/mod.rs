//! A network as data: a list of layers, each naming where its input comes from. Nothing here computes.
//!
//! **Invariant:** `Layer::from` is always filled in, with names of earlier layers or [`INPUT`]; [`Model::shapes`] checks that
//! and everything else that can be wrong with a model. Shapes are (channels, height, width) of one image.
//!
//! ```
//! use halfwave::model::{Conv, Layer, LayerKind, Linear, Model, INPUT};
//! let model = Model {
//!     input: [1, 8, 8],
//!     classes: 10,
//!     layers: vec![
//!         Layer::new("conv1", INPUT, LayerKind::Conv(Conv { filters: 16, padding: [1, 1], ..Conv::default() })),
//!         Layer::new("fc", "conv1", LayerKind::Linear(Linear { units: 10, ..Linear::default() })),
//!     ],
//! };
//! assert_eq!(model.shapes()?, [[16, 8, 8], [10, 1, 1]]);
//! # Ok::<(), halfwave::model::ModelError>(())
//! ```
mod shapes;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// The name by which a layer takes the model's input; no layer may be called so.
pub const INPUT: &str = "input";

/// A network that sorts images into classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Channels, height and width of an image.
    pub input: [usize; 3],
    /// How many classes there are: the last layer's number of values.
    pub classes: usize,
    /// The layers, inputs before users; the last one's output are the logits.
    pub layers: Vec<Layer>,
}

/// One layer. Its tensors are named after it, as PyTorch does: `conv1.weight`, `bn1.running_mean`, …
///
/// Two layers are equal when they do the same, whatever line of a recipe they stand on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// Unique; letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// Whose outputs this layer takes: names of earlier layers, or [`INPUT`]. Never empty.
    pub from: Vec<String>,
    /// The line of the recipe that this layer begins on, counted from 1; 0 where there is no recipe.
    pub line: usize,
    /// What it computes.
    #[serde(flatten)]
    pub kind: LayerKind,
}

impl Layer {
    /// A layer that takes one other's output.
    pub fn new(name: &str, from: &str, kind: LayerKind) -> Self {
        Self { name: name.into(), from: vec![from.into()], line: 0, kind }
    }
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, from, line: _, kind } = self;
        *name == other.name && *from == other.from && *kind == other.kind
    }
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerKind {
    /// A 2-d convolution (cross-correlation, as everywhere in the field).
    Conv(Conv),
    /// Normalises each channel over batch, height and width.
    BatchNorm(BatchNorm),
    /// Half-wave Gaussian quantisation: 0 for x ≤ 0, else one of 2^bits − 1 positive levels.
    Hwgq(Hwgq),
    /// max(x, 0).
    Relu,
    /// The largest value of each window; among equal ones the first in row order.
    MaxPool(Pool),
    /// The mean of each window; padding counts as zeros, as in PyTorch.
    AvgPool(Pool),
    /// The mean of each channel: height and width become 1.
    GlobalAvgPool,
    /// A fully connected layer over the input flattened in C, H, W order.
    Linear(Linear),
    /// The sum of two or more inputs of the same shape.
    Add,
}

impl LayerKind {
    /// The word that a recipe uses for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv(_) => "conv",
            Self::BatchNorm(_) => "batch_norm",
            Self::Hwgq(_) => "hwgq",
            Self::Relu => "relu",
            Self::MaxPool(_) => "max_pool",
            Self::AvgPool(_) => "avg_pool",
            Self::GlobalAvgPool => "global_avg_pool",
            Self::Linear(_) => "linear",
            Self::Add => "add",
        }
    }

    /// How it uses its weights; nothing where it has none.
    pub fn weights(&self) -> Option<Weights> {
        match self {
            Self::Conv(conv) => Some(conv.weights),
            Self::Linear(linear) => Some(linear.weights),
            _ => None,
        }
    }
}

/// How a layer uses its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// As they are.
    #[default]
    Float,
    /// α·sign(w), with one α = mean |w| per filter; the floats stay as latent weights.
    Binary,
}

/// A convolution. Pairs are (vertical, horizontal).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Height and width of a filter; 3 × 3 by default.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows; 1 by default.
    pub stride: [usize; 2],
    /// Zeros around the input, on each side; none by default.
    pub padding: [usize; 2],
    /// Whether one value a filter is added; not by default, and never with binary weights.
    pub bias: bool,
    /// Float by default.
    pub weights: Weights,
}

impl Default for Conv {
    fn default() -> Self {
        Self { filters: 1, kernel: [3, 3], stride: [1, 1], padding: [0, 0], bias: false, weights: Weights::Float }
    }
}

/// Batch normalisation with PyTorch's rules: biased variance in the batch, unbiased in the running average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Whether a learned scale and shift follow; yes by default.
    pub affine: bool,
    /// The share of each new batch in the running statistics; 0.1 by default.
    pub momentum: f32,
    /// Added to the variance; 1e-5 by default.
    pub eps: f32,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { affine: true, momentum: 0.1, eps: 1e-5 }
    }
}

/// The half-wave Gaussian quantiser with uniform levels Δ, 2Δ, …, (2^bits − 1)·Δ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hwgq {
    /// 1 to 4; 2 by default.
    pub bits: u32,
    /// Whose derivative stands in for the quantiser's; clipped by default.
    pub surrogate: Surrogate,
}

impl Default for Hwgq {
    fn default() -> Self {
        Self { bits: 2, surrogate: Surrogate::Clipped }
    }
}

/// The function whose derivative a quantiser has in the backward pass; q_m is its top level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surrogate {
    /// x: 1 everywhere.
    Identity,
    /// max(x, 0): 1 for x > 0.
    Vanilla,
    /// min(max(x, 0), q_m): 1 on (0, q_m].
    #[default]
    Clipped,
    /// As clipped, but 1/(x − q_m + 1) above q_m.
    LogTailed,
}

/// Windows of a pooling layer. Pairs are (vertical, horizontal).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows; the kernel by default.
    pub stride: [usize; 2],
    /// Rim around the input, smaller than the kernel; none by default.
    pub padding: [usize; 2],
}

impl Pool {
    /// Windows of `kernel` × `kernel` that neither overlap nor leave gaps.
    pub fn square(kernel: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [kernel; 2], padding: [0; 2] }
    }
}

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Outputs.
    pub units: usize,
    /// Whether one value a unit is added; yes by default with float weights, never with binary ones.
    pub bias: bool,
    /// Float by default.
    pub weights: Weights,
}

impl Default for Linear {
    fn default() -> Self {
        Self { units: 1, bias: true, weights: Weights::Float }
    }
}

/// What is wrong with a model, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// The layer's place in [`Model::layers`]; none if it is the model as a whole.
    pub layer: Option<usize>,
    /// Layer, shapes, and what to do.
    pub message: String,
}

impl From<ModelError> for crate::Error {
    fn from(error: ModelError) -> Self {
        Self::Model(error.message)
    }
}
