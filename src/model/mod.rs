//! A network as data: a list of layers, each naming its inputs. Nothing is computed here.
//!
//! **Invariant:** `Layer::from` is never empty and names earlier layers or [`INPUT`];
//! [`Model::shapes`] checks this and all other rules for models. Shapes are (channels, height,
//! width) of one image.
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
mod custom;
mod definition;
mod fixed;
mod keys;
mod layers;
mod parameters;
mod products;
mod quantisers;
mod shapes;
mod summary;
#[cfg(test)]
mod tests;
mod weights;

pub use custom::{Custom, CustomKind, Number, Size};
pub use definition::{Codes, Definition, Learned, Shape};
pub use fixed::{FORMAT_ADVICE, Fixed, Rounding, format_fits};

pub use layers::{Add, BatchNorm, Concat, Dropout, Flatten, GlobalAvgPool, Pool, Prelu, Relu, Slice};
pub use parameters::{DIGITS, Layout, Parameter, Role, trained_len};
pub use products::{Conv, Linear};
pub use quantisers::{
    Apot, Dorefa, Hwgq, Levels, Lsq, Pact, Sign, SignPadding, Surrogate, Uniform, ZeroBin, uniform_step,
};
pub use summary::{LayerSummary, ModelSummary};
pub use weights::{Alpha, FixedWeights, Form, Packed, WeightGradient, Weights};

use crate::ops::curve::{CURVES, Curve, Row};
use crate::schema::Keys;
use std::sync::LazyLock;

/// The name of the model's input in `Layer::from`; no layer may have this name.
pub const INPUT: &str = "input";

/// A network that classifies images.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Channels, height and width of an image.
    pub input: [usize; 3],
    /// Number of classes, which is the number of values of the last layer.
    pub classes: usize,
    /// The layers, inputs before users; the outputs of the last one are the logits.
    pub layers: Vec<Layer>,
}

/// A layer. Its tensors are named after it, as in PyTorch: `conv1.weight`, `bn1.running_mean`, …
///
/// Two layers are equal if they compute the same; their lines in a recipe are ignored.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Unique; letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// The names of its inputs: earlier layers, or [`INPUT`]. Never empty.
    pub from: Vec<String>,
    /// The line of the recipe on which the layer begins, counted from 1; 0 if there is none, or if
    /// the layer is defined in the recipe that this one extends.
    pub line: usize,
    /// What it computes.
    pub kind: LayerKind,
}

impl Layer {
    /// Creates a layer with a single input.
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

/// Description of a kind of layer, for listings.
#[derive(Clone, Debug)]
pub struct LayerDescription {
    /// Its name in a recipe.
    pub name: &'static str,
    /// Its formula.
    pub formula: &'static str,
    /// The source of the formula.
    pub source: &'static str,
    /// A layer of this kind with all defaults.
    pub start: LayerKind,
}

#[doc(hidden)] // its former name
pub use LayerDescription as Kind;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($settings:ident) = $word:literal: $formula:literal, $source:literal;)*) => {
        /// The computation of a layer.
        #[derive(Clone, Debug, PartialEq)]
        pub enum LayerKind {
            $($(#[$doc])* #[doc = concat!("`", $word, "`: `", $formula, "`")] $name($settings),)*
            /// An element-wise activation function of [`CURVES`].
            Activation(Curve),
            /// A kind that is registered by [`CustomKind::register`].
            Custom(Custom),
        }

        static KINDS: LazyLock<Vec<LayerDescription>> = LazyLock::new(|| {
            let curve = |row: &'static Row| {
                let Row { name, formula, source, .. } = *row;
                LayerDescription { name, formula, source, start: LayerKind::Activation(Curve::from(row)) }
            };
            let start = |name, formula, source, start| LayerDescription { name, formula, source, start };
            let mut kinds = vec![$(start($word, $formula, $source, LayerKind::$name($settings::default()))),*];
            let behind = kinds.iter().position(|kind| kind.name == "relu").map_or(0, |at| at + 1);
            kinds.splice(behind..behind, CURVES.iter().map(curve));
            kinds
        });

        impl LayerKind {
            /// Returns its name in a recipe.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $word,)*
                    Self::Activation(curve) => curve.row().name,
                    Self::Custom(custom) => custom.name(),
                }
            }

            /// Returns its definition.
            pub fn definition(&self) -> &dyn Definition {
                match self {
                    $(Self::$name(settings) => settings,)*
                    Self::Activation(curve) => curve,
                    Self::Custom(custom) => custom,
                }
            }

            /// Returns its keys.
            pub fn keys(&mut self) -> &mut dyn Keys {
                match self {
                    $(Self::$name(settings) => settings,)*
                    Self::Activation(curve) => curve,
                    Self::Custom(custom) => custom,
                }
            }
        }
    };
}

/// Returns the kinds of layers of this crate, in the order in which they are listed.
pub fn builtin_kinds() -> &'static [LayerDescription] {
    &KINDS
}

/// Returns all kinds of layers: those of this crate, then the registered ones.
pub fn kinds() -> Vec<LayerDescription> {
    builtin_kinds().iter().cloned().chain(custom::registered().into_iter().map(CustomKind::describe)).collect()
}

kinds! {
    Conv(Conv) = "conv": "y[n, i, j, k] = Σ x[n, i·stride + r·dilation − padding, j·stride + s·dilation − padding, c]·w[k, c, r, s], c over the channels of k's group", "weights: binary, Rastegari et al., 2016, arXiv 1603.05279; dorefa, Zhou et al., 2016, arXiv 1606.06160; abc, Lin, Zhao, Pan, 2017, arXiv 1711.11294; fixed, Gupta et al., 2015, arXiv 1502.02551";
    Linear(Linear) = "linear": "y[n, k] = Σ x[n, i]·w[k, i] + b[k], over the input flattened in C, H, W order", "weights: as for conv";
    BatchNorm(BatchNorm) = "batch_norm": "y = γ·(x − mean)/√(variance + eps) + β, each channel over batch, height and width", "Ioffe, Szegedy, 2015, arXiv 1502.03167";
    Hwgq(Hwgq) = "hwgq": "0 for x ≤ 0, else the level q_i with t_i < x ≤ t_{i+1}; t_1 = 0, t_i = (q_{i−1} + q_i)/2", "Cai, He, Sun, Vasconcelos, 2017, arXiv 1702.00953";
    Sign(Sign) = "sign": "+1 for x ≥ 0, else −1", "Courbariaux et al., 2016, arXiv 1602.02830; Liu et al., 2018, arXiv 1808.00278 (polynomial)";
    Dorefa(Dorefa) = "dorefa": "round(n·min(max(x, 0), 1))/n, n = 2^bits − 1; halfway between two levels, the lower", "Zhou et al., 2016, arXiv 1606.06160";
    Uniform(Uniform) = "uniform": "c/n·round(n·min(max(x, 0), c)/c), n = 2^bits − 1; halfway between two levels, the lower", "Jacob et al., 2018, arXiv 1712.05877 (ReLU6)";
    Pact(Pact) = "pact": "s/n·round(n·min(max(x, 0), s)/s), n = 2^bits − 1, s learned: ds = Σ dy over x > s", "Choi et al., 2018, arXiv 1805.06085";
    Lsq(Lsq) = "lsq": "s·min(max(round(x/s), 0), n), n = 2^bits − 1, s learned: ds = Σ dy·(round(x/s) − x/s inside, n above)/√(N·n), N the elements of x", "Esser et al., 2020, arXiv 1902.08153";
    Apot(Apot) = "apot": "s·q, q the nearest to x/s of 0 and the sums of one term of each set, divided by the largest sum: of 1, 1/2, 1/4 or 0 with 2 bits; of 1, 1/2, 1/8 or 0 and 1/4 or 0 with 3; of 1, 1/4, 1/16 or 0 and 1/2, 1/8, 1/32 or 0 with 4; s learned: ds = Σ dy·(q − x/s inside, 1 above)", "Li, Dong, Wang, 2020, arXiv 1909.13144";
    Fixed(Fixed) = "fixed": "the nearest of the multiples of 2^−FL from −2^(IL−1) to 2^(IL−1) − 2^−FL, or stochastically one of the two neighbours of x", "Gupta et al., 2015, arXiv 1502.02551";
    Relu(Relu) = "relu": "max(x, 0)", "";
    Prelu(Prelu) = "prelu": "x for x > 0, else a_c·x with a learned slope per channel, initially 0.25", "He, Zhang, Ren, Sun, 2015, arXiv 1502.01852";
    MaxPool(Pool) = "max_pool": "the largest value of each window; among equal values the first in row order", "";
    AvgPool(Pool) = "avg_pool": "the mean of each window; padding counts as zeros", "";
    GlobalAvgPool(GlobalAvgPool) = "global_avg_pool": "the mean of each channel: height and width become 1", "";
    Add(Add) = "add": "the sum of two or more inputs of the same shape", "";
    Concat(Concat) = "concat": "the channels of two or more inputs of the same height and width, concatenated", "";
    Slice(Slice) = "slice": "the channels from `first` on, `count` of them", "";
    Flatten(Flatten) = "flatten": "all values as channels of one pixel, in C, H, W order: y[n, (c·h + i)·w + j] = x[n, c, i, j]", "";
    Dropout(Dropout) = "dropout": "x/(1 − rate) where the number drawn from [0, 1) is at least rate, else 0; in inference x", "Srivastava et al., 2014, JMLR 15(56)";
}

macro_rules! settings {
    ($($name:ident),* $(,)?) => {
        $(impl From<$name> for LayerKind {
            fn from(settings: $name) -> Self {
                Self::$name(settings)
            }
        })*
    };
}

settings! {
    Conv, Linear, BatchNorm, Hwgq, Sign, Dorefa, Uniform, Pact, Lsq, Apot, Fixed, Relu, Prelu, GlobalAvgPool, Add, Concat, Slice, Flatten,
    Dropout,
}

impl LayerKind {
    /// Returns the kind of this name in recipes with its defaults, such as `"tanh"`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such kind; the message lists all kinds.
    pub fn named(name: &str) -> crate::Result<Self> {
        let kinds = kinds();
        kinds.iter().find(|kind| kind.name == name).map(|kind| kind.start.clone()).ok_or_else(|| {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            crate::Error::Usage(format!("unknown kind of layer \"{name}\"; expected one of {}", names.join(", ")))
        })
    }

    /// Returns how it uses its weights; `None` for a layer without weights.
    pub fn weights(&self) -> Option<Weights> {
        match self {
            Self::Conv(conv) => Some(conv.weights),
            Self::Linear(linear) => Some(linear.weights),
            _ => None,
        }
    }

    /// Whether its output consists of codes.
    pub fn makes_codes(&self) -> bool {
        self.definition().codes().is_some()
    }

    /// Returns how its weights are packed into bits, if they are.
    pub fn packed_weights(&self) -> Option<Packed> {
        self.weights()?.packed()
    }
}

/// An error in a model, with its location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// Index of the layer in [`Model::layers`]; `None` for an error in the model as a whole.
    pub layer: Option<usize>,
    /// The layer, the shapes, and what to do.
    pub message: String,
    /// Whether the layer fits everything but [`Model::classes`].
    pub classes: bool,
}

impl From<ModelError> for crate::Error {
    fn from(error: ModelError) -> Self {
        Self::Model(error.message)
    }
}
