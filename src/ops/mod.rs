//! The operations: one file per operation, and the list of all of them.
//!
//! Each file has the same order: formula, shapes, source · uniform · attribute struct · `infer` ·
//! `backward` · `program` (kernels and workgroups) · `reference` (the reference implementation:
//! plain loops on the CPU) · `samples`. Everything else (tests, benchmarks, names in traces) is
//! derived from the list at the end of this file.
//!
//! **Gradient convention.** An encoded tensor *represents* a real one: codes c represent Δ·c, sums
//! s of a binary convolution represent α·Δ·s, signs represent α·sign(W). The gradient of a node is
//! the gradient of the real tensor that it represents, always `F32` and of the same shape.

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::{self, Phase, Typed, Value};
use crate::kernel::Program;
use crate::tensor::{Encoding, Tensor, TensorType, View, ViewMut};
use crate::variant::Offer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

pub mod abc_weight;
pub mod accumulate;
pub mod activation;
pub mod adam;
pub mod add;
pub mod avg_pool;
pub mod batch_norm;
pub mod batch_norm_backward;
#[cfg(not(target_arch = "wasm32"))]
pub mod batch_norm_moments;
pub mod batch_norm_stats;
pub mod bconv;
pub mod bconv_backward;
pub mod bias;
pub mod bop;
mod channels;
pub mod clamp;
pub mod class_loss;
pub mod clip;
pub mod code;
#[cfg(not(target_arch = "wasm32"))]
pub mod compress;
pub mod concat;
pub mod conv;
pub mod conv_backward;
mod coop;
pub mod count_saturated;
pub mod curve;
pub mod custom;
pub mod decode;
#[cfg(not(target_arch = "wasm32"))]
pub mod decompress;
pub mod dorefa_gradient;
pub mod dorefa_weight;
pub mod dropout;
pub mod evaluation_record;
pub mod fixed;
pub mod flatten;
pub mod fusion;
pub mod gather;
mod gemm;
pub mod half_scales;
pub mod input_scale;
pub mod leaf;
pub mod lion;
pub mod max_abs;
pub mod max_pool;
pub mod max_unpool;
pub mod mean;
mod outer;
pub mod pad;
pub mod prelu;
mod product;
pub mod quantise;
pub mod quantise_backward;
pub mod record;
pub mod relu;
pub mod row;
pub mod rule;
pub mod sample;
pub mod scale;
pub mod sgd;
pub mod sign;
pub mod slice;
pub mod softmax_cross_entropy;
pub mod sum;
#[cfg(not(target_arch = "wasm32"))]
pub mod synchronise;
pub mod threshold;
pub mod unpack;
pub mod update;
#[cfg(not(target_arch = "wasm32"))]
pub mod vote;
pub mod window;

pub use add::elementwise;
pub use custom::{Custom, CustomOperation};
pub use leaf::{Leaf, Role};
pub use sample::Sample;
use update::Update;

/// A graph over the operations of this module.
pub type Graph = graph::Graph<Op>;

/// Role of a launch within a training step; profiles are grouped by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Forward pass, from images to loss.
    Forward,
    /// Gradients of activations.
    Dx,
    /// Gradients of weights.
    Dw,
    /// Statistics of batch-norms, forward and backward, and per-channel values derived from them.
    Statistics,
    /// Weight updates from gradients.
    Update,
    /// Quantisation to codes and packed signs.
    Pack,
    /// Fetching the batch, and recording results that are read later: loss and accuracy.
    Data,
}

/// Input into which a preceding batch-norm can be folded; the batch-norm's coefficients then become
/// the next input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fold {
    /// Index of the input.
    pub input: usize,
    /// Number of inputs after it while nothing is folded.
    pub trailing: usize,
}

impl Fold {
    /// Index of the coefficients among `inputs` inputs, or `None` if nothing is folded.
    pub fn coef(self, inputs: usize) -> Option<usize> {
        (inputs > self.input + 1 + self.trailing).then_some(self.input + 1)
    }
}

/// One operation: its type rules, its gradient, its kernels and its reference implementation on the
/// CPU.
pub trait Operation {
    /// Name of the operation: that of its file and shaders, used in traces and tests.
    fn stem(&self) -> &'static str;

    /// Type of the output, or a message that says which shapes are wrong and what is expected.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// Index of the input whose memory the output reuses.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// The input into which a batch-norm can be folded.
    fn folds(&self) -> Option<Fold> {
        None
    }

    /// Appends the nodes that compute the gradient; appends nothing if no gradient flows.
    ///
    /// # Errors
    ///
    /// Returns an error if the appended nodes are invalid or the operation has no derivative.
    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Err(crate::Error::Model(format!("{} has no derivative", self.stem())))
    }

    /// The launches that compute the output on a device.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program;

    /// Kernel variants that the device supports, the default one first; empty if there is only one
    /// kernel. [`Caps::choices`] selects a variant.
    fn candidates(&self, _inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Vec<Offer> {
        Vec::new()
    }

    /// Computes the output with plain loops on the CPU. An input that is updated in place is passed
    /// with its old contents.
    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>);

    /// Role within a step, if it differs from the one implied by the node's phase.
    fn activity(&self) -> Option<Activity> {
        None
    }

    /// Bound on |device − reference| relative to the largest magnitude of the reference output
    /// (`reference`); 0 if exact.
    fn tolerance(&self, output: &TensorType) -> f32 {
        if output.encoding == Encoding::F32 { 2e-5 } else { 0.0 }
    }
}

/// Context of an operation's differentiation.
pub struct Backward<'g> {
    pub(crate) graph: &'g mut Graph,
    pub(crate) node: Value,
    pub(crate) dy: Value,
    pub(crate) wanted: &'g [bool],
    pub(crate) gradients: &'g mut Vec<Option<Value>>,
}

impl Backward<'_> {
    /// Returns the node's input at `index`.
    pub fn input(&self, index: usize) -> Value {
        self.graph.node(self.node).inputs[index]
    }

    /// Returns all inputs of the node.
    pub fn inputs(&self) -> &[Value] {
        &self.graph.node(self.node).inputs
    }

    /// Returns the type of the node's input at `index`.
    pub fn input_type(&self, index: usize) -> TensorType {
        self.graph.ty(self.input(index)).clone()
    }

    /// Returns the type of a value.
    pub fn type_of(&self, value: Value) -> &TensorType {
        self.graph.ty(value)
    }

    /// Returns the node's output.
    pub fn output(&self) -> Value {
        self.node
    }

    /// Returns the gradient of the node's output.
    pub fn dy(&self) -> Value {
        self.dy
    }

    /// Whether the gradient of the input at `index` is needed.
    pub fn needs_gradient(&self, index: usize) -> bool {
        self.wanted[self.input(index).0]
    }

    /// Appends a node of the backward pass.
    ///
    /// # Errors
    ///
    /// Returns an error if the input types are invalid for the operation.
    pub fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.add(op, inputs)
    }

    /// Appends a node that belongs to the forward pass although only the backward pass reads it.
    ///
    /// # Errors
    ///
    /// Returns an error if the input types are invalid for the operation.
    pub fn add_forward(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.in_phase(Phase::Forward, |graph| graph.add(op, inputs))
    }

    /// Adds a contribution to the gradient of the input at `index`; contributions of several
    /// readers are summed.
    ///
    /// # Errors
    ///
    /// Returns an error if the shapes do not match.
    pub fn accumulate(&mut self, index: usize, gradient: Value) -> Result<()> {
        let input = self.input(index);
        let sum = match self.gradients[input.0] {
            None => gradient,
            Some(before) => self.graph.add(add::Add, &[before, gradient])?,
        };
        self.gradients[input.0] = Some(sum);
        Ok(())
    }
}

macro_rules! ops {
    ($($(#[$attribute:meta])* $module:ident::$name:ident),* $(,)?) => {
        /// An operation.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Op {
            $($(#[$attribute])* #[doc = concat!("See [`", stringify!($module), "`](mod@", stringify!($module), ").")] $name($module::$name),)*
            /// An operation from outside of this crate.
            Custom(custom::Custom),
        }

        $($(#[$attribute])* impl From<$module::$name> for Op {
            fn from(op: $module::$name) -> Self {
                Self::$name(op)
            }
        })*

        impl std::ops::Deref for Op {
            type Target = dyn Operation;
            fn deref(&self) -> &Self::Target {
                match self {
                    $($(#[$attribute])* Self::$name(op) => op,)*
                    Self::Custom(op) => op,
                }
            }
        }

        /// Small test cases of every operation of this crate, with odd sizes; each must have at least
        /// one.
        pub fn samples() -> Vec<Sample> {
            let mut all = Vec::new();
            $($(#[$attribute])* {
                let samples = $module::$name::samples();
                assert!(!samples.is_empty() || stringify!($name) == "Leaf", "{} has no samples", stringify!($name));
                all.extend(samples);
            })*
            all
        }
    };
}

ops! {
    leaf::Leaf, gather::Gather,
    conv::Conv, conv_backward::ConvDx, conv_backward::ConvDw,
    sign::Sign, sign::Alpha, sign::XnorGradient, unpack::Unpack,
    dorefa_weight::DorefaThresholds, dorefa_weight::DorefaWeight, dorefa_weight::DorefaWeightBackward,
    abc_weight::AbcThresholds, abc_weight::AbcAlpha, abc_weight::AbcWeight,
    input_scale::InputScale, input_scale::ScaleRows,
    bconv::Bconv, bconv_backward::BconvDx, bconv_backward::BconvDw,
    decode::Decode, pad::Pad, pad::PadBackward, bias::Bias, bias::ChannelSum, add::Add,
    batch_norm_stats::BatchNormStats, batch_norm::BatchNormCoef, batch_norm::BatchNormRunning, batch_norm::BatchNorm,
    batch_norm_backward::BatchNormSums, batch_norm_backward::BatchNormDx,
    threshold::Threshold, quantise::Quantise, quantise_backward::QuantiseBackward, quantise_backward::QuantiseScale,
    relu::Relu, relu::ReluBackward,
    activation::Activation, activation::ActivationBackward,
    prelu::Prelu, prelu::PreluBackward, prelu::PreluSlope,
    fixed::Fixed, fixed::FixedBackward, count_saturated::CountSaturated,
    max_abs::MaxAbs, dorefa_gradient::DorefaGradient, dorefa_gradient::DorefaGradientBackward,
    dropout::Dropout,
    slice::Slice, slice::SliceBackward, row::Row, concat::Concat, flatten::Flatten, flatten::FlattenBackward,
    max_pool::MaxPool, max_pool::MaxPoolBackward, max_pool::MaxPoolArgmax, max_unpool::MaxUnpool,
    avg_pool::AvgPool, avg_pool::AvgPoolBackward,
    softmax_cross_entropy::SoftmaxCrossEntropy, softmax_cross_entropy::SoftmaxCrossEntropyBackward,
    class_loss::ClassLoss, class_loss::ClassLossBackward,
    mean::Mean, record::Record, evaluation_record::EvaluationRecord, scale::Scale, scale::Total,
    accumulate::Accumulate,
    sgd::SgdVelocity, sgd::SgdStep, sgd::SgdNesterov,
    adam::Moment, adam::AdamStep, bop::BopStep, lion::LionStep, clamp::Clamp,
    clip::SquareSum, clip::ClipScale,
    half_scales::HalfScales, half_scales::HalfSeen,
    // Only several processes exchange messages.
    #[cfg(not(target_arch = "wasm32"))] batch_norm_moments::BatchNormMoments,
    #[cfg(not(target_arch = "wasm32"))] batch_norm_moments::BatchNormFinish,
    #[cfg(not(target_arch = "wasm32"))] synchronise::Synchronise,
    #[cfg(not(target_arch = "wasm32"))] compress::Compress,
    #[cfg(not(target_arch = "wasm32"))] decompress::Decompress,
    #[cfg(not(target_arch = "wasm32"))] decompress::Feedback,
    #[cfg(not(target_arch = "wasm32"))] vote::Vote,
    #[cfg(not(target_arch = "wasm32"))] vote::Flip,
}

rule::rules! { sgd::Sgd, adam::Adam, adam::AdamW, bop::Bop, lion::Lion }

impl Typed for Op {
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        (**self).infer(inputs)
    }

    fn in_place(&self) -> Option<usize> {
        (**self).in_place()
    }
}

impl Op {
    /// The operation and its shapes as text: the key of its entry in [`Caps::choices`].
    pub fn site(&self, inputs: &[&TensorType], output: &TensorType) -> String {
        let inputs: Vec<_> = inputs.iter().map(ToString::to_string).collect();
        format!("{} {} -> {output}", self.stem(), inputs.join(", "))
    }

    /// The device capabilities with the kernel variant that was chosen for these shapes.
    pub fn caps<'c>(&self, inputs: &[&TensorType], output: &TensorType, caps: &'c Caps) -> Cow<'c, Caps> {
        if caps.choices.is_empty() { Cow::Borrowed(caps) } else { caps.at(self.stem(), &self.site(inputs, output)) }
    }

    /// Runs the reference implementation on host tensors.
    ///
    /// # Panics
    ///
    /// Panics if the types of the inputs are invalid.
    pub fn evaluate(&self, inputs: &[&Tensor]) -> Tensor {
        let types: Vec<_> = inputs.iter().map(|t| &t.ty).collect();
        let ty = self.infer(&types).unwrap_or_else(|message| panic!("{}: {message}", self.stem()));
        let views: Vec<_> = inputs.iter().map(|t| t.view()).collect();
        let mut out = Tensor::zeros(ty);
        self.reference(&views, &mut out.view_mut());
        out
    }
}

/// Builds a graph of one operation with inputs "in0", "in1", … and output "out"; returns it with
/// the output's value.
///
/// # Errors
///
/// Returns an error if the input types are invalid for the operation.
pub fn single_op_graph(op: &Op, inputs: &[TensorType]) -> Result<(Graph, Value)> {
    let mut graph = Graph::new();
    graph.at(op.stem(), graph::Phase::Forward);
    let leaf = |(i, ty): (usize, &TensorType)| Leaf::input(&format!("in{i}"), ty.clone());
    let leaves: Vec<_> = inputs.iter().enumerate().map(leaf).collect();
    let inputs = leaves.into_iter().map(|leaf| graph.add(leaf, &[])).collect::<Result<Vec<_>>>()?;
    let out = graph.add(op.clone(), &inputs)?;
    graph.output("out", out);
    graph.verify();
    Ok((graph, out))
}

/// Returns an error that states the expected count unless the number of inputs is right.
pub fn arity(inputs: &[&TensorType], count: usize) -> Result<(), String> {
    if inputs.len() == count { Ok(()) } else { Err(format!("expected {count} inputs, got {}", inputs.len())) }
}

/// Returns an error that names both types unless they are equal.
pub fn same(what: &str, got: &TensorType, expected: &TensorType) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got}, expected {expected}")) }
}

/// Returns an error unless the tensor is `F32`.
pub fn float(what: &str, ty: &TensorType) -> Result<(), String> {
    if ty.encoding == Encoding::F32 { Ok(()) } else { Err(format!("{what} must be f32, not {ty}")) }
}

/// Axes of an activation, or an error that names its type.
pub fn nhwc(what: &str, ty: &TensorType) -> Result<[usize; 4], String> {
    ty.shape.as_slice().try_into().map_err(|_| format!("{what} must be [n, h, w, c], not {ty}"))
}
