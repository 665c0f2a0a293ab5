//! The operations: one file each, and the one list of them.
//!
//! A file reads top to bottom: formula, shapes, source · uniform · attribute struct · `infer` · `backward` · `program` (kernels and groups) · `twin` (plain
//! loops on the CPU) · `samples`. Everything else (tests, benches, names in a trace) is derived from the list at the end of this file.
//!
//! **Convention of gradients.** An encoded tensor *stands for* a real one: codes c for Δ·c, sums s of a binary convolution for α·Δ·s, signs for α·sign(W).
//! The gradient of a node is the gradient of the real tensor it stands for, always `F32` and of the same shape.

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
pub mod concat;
pub mod conv;
pub mod conv_backward;
mod coop;
pub mod count_saturated;
pub mod curve;
pub mod decode;
pub mod dorefa_gradient;
pub mod dorefa_weight;
pub mod dropout;
pub mod fixed;
pub mod flatten;
pub mod gather;
mod gemm;
pub mod half_scales;
pub mod input_scale;
pub mod joint;
pub mod judge;
pub mod leaf;
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
pub mod sample;
pub mod scale;
pub mod sgd;
pub mod sign;
pub mod slice;
pub mod softmax_cross_entropy;
pub mod sum;
pub mod unpack;
pub mod window;

pub use leaf::{Leaf, Role};
pub use sample::Sample;

/// The graph over the operations of this module.
pub type Graph = graph::Graph<Op>;

/// What a launch does within a step: the groups that a profile adds up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// From images to loss.
    Forward,
    /// Gradients of activations.
    Dx,
    /// Gradients of weights.
    Dw,
    /// Statistics of batch-norms, forward and backward, and what follows from them for each channel.
    Statistics,
    /// From gradients to new weights.
    Update,
    /// Making codes and packed signs.
    Pack,
    /// Getting the batch, and keeping what is read later: loss and accuracy.
    Data,
}

/// The input in front of which a batch-norm can be folded: its coefficients are then the next input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fold {
    /// The input's place.
    pub at: usize,
    /// Inputs behind it while nothing is folded.
    pub behind: usize,
}

impl Fold {
    /// Where the coefficients are among so many inputs, if something is folded.
    pub fn coef(self, inputs: usize) -> Option<usize> {
        (inputs > self.at + 1 + self.behind).then_some(self.at + 1)
    }
}

/// One operation: what it means, how a device does it, how the CPU does it.
pub trait Operation {
    /// Name of the file, of the shaders, in traces and tests.
    fn stem(&self) -> &'static str;

    /// The output's type, or which shapes do not fit and what would.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// The input whose memory the output takes over.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// The input in front of which a batch-norm can be folded.
    fn folds(&self) -> Option<Fold> {
        None
    }

    /// Appends the nodes of the gradient; nothing where no gradient flows.
    ///
    /// # Errors
    /// When the appended nodes do not fit, or when the operation has no derivative.
    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Err(crate::Error::Model(format!("{} has no derivative", self.stem())))
    }

    /// The launches that compute the output on a device.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program;

    /// The kernels that a device can run for it, the one that a plan takes first; none where there is no choice. [`Caps::choices`] asks for one.
    fn candidates(&self, _inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Vec<Offer> {
        Vec::new()
    }

    /// The output by plain loops. An input that is updated in place is passed as it was before.
    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>);

    /// What it does within a step, where the phase that it belongs to does not say it.
    fn activity(&self) -> Option<Activity> {
        None
    }

    /// Bound on |device − twin| relative to the largest magnitude of the twin's output; 0 where exact.
    fn tolerance(&self, output: &TensorType) -> f32 {
        if output.encoding == Encoding::F32 { 2e-5 } else { 0.0 }
    }
}

/// What an operation sees while it is differentiated.
pub struct Backward<'g> {
    pub(crate) graph: &'g mut Graph,
    pub(crate) node: Value,
    pub(crate) dy: Value,
    pub(crate) wanted: &'g [bool],
    pub(crate) gradients: &'g mut Vec<Option<Value>>,
}

impl Backward<'_> {
    /// The node's nth input.
    pub fn input(&self, index: usize) -> Value {
        self.graph.node(self.node).inputs[index]
    }

    /// All of the node's inputs.
    pub fn inputs(&self) -> &[Value] {
        &self.graph.node(self.node).inputs
    }

    /// The type of the node's nth input.
    pub fn input_type(&self, index: usize) -> TensorType {
        self.graph.ty(self.input(index)).clone()
    }

    /// The type of a value.
    pub fn type_of(&self, value: Value) -> &TensorType {
        self.graph.ty(value)
    }

    /// The node's output.
    pub fn output(&self) -> Value {
        self.node
    }

    /// The gradient of the node's output.
    pub fn dy(&self) -> Value {
        self.dy
    }

    /// Whether anybody needs the gradient of the nth input.
    pub fn wants(&self, index: usize) -> bool {
        self.wanted[self.input(index).0]
    }

    /// Appends a node of the backward pass.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.add(op, inputs)
    }

    /// Appends a node that belongs to the forward pass, though only the backward pass reads it.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn add_forward(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.in_phase(Phase::Forward, |graph| graph.add(op, inputs))
    }

    /// Gives the gradient of the nth input; several readers' gradients add up.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn give(&mut self, index: usize, gradient: Value) -> Result<()> {
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
    ($($module:ident::$name:ident),* $(,)?) => {
        /// Every operation, closed.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Op {
            $(#[doc = concat!("See [`", stringify!($module), "`](mod@", stringify!($module), ").")] $name($module::$name)),*
        }

        $(impl From<$module::$name> for Op {
            fn from(op: $module::$name) -> Self {
                Self::$name(op)
            }
        })*

        impl std::ops::Deref for Op {
            type Target = dyn Operation;
            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$name(op) => op),*
                }
            }
        }

        /// Small cases of every operation, with odd sizes; none may be without.
        pub fn samples() -> Vec<Sample> {
            let mut all = Vec::new();
            $({
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
    quantise::Quantise, quantise_backward::QuantiseBackward, quantise_backward::QuantiseScale,
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
    mean::Mean, record::Record, judge::Judge, scale::Scale, scale::Total,
    accumulate::Accumulate,
    sgd::SgdVelocity, sgd::Sgd, sgd::SgdNesterov,
    adam::Moment, adam::Adam, bop::Bop, clamp::Clamp,
    clip::SquareSum, clip::ClipScale,
    half_scales::HalfScales, half_scales::HalfSeen,
}

impl Typed for Op {
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        (**self).infer(inputs)
    }

    fn in_place(&self) -> Option<usize> {
        (**self).in_place()
    }
}

impl Op {
    /// The operation with its shapes, in words: the key of what was chosen for it in [`Caps::choices`].
    pub fn site(&self, inputs: &[&TensorType], output: &TensorType) -> String {
        let inputs: Vec<_> = inputs.iter().map(ToString::to_string).collect();
        format!("{} {} -> {output}", self.stem(), inputs.join(", "))
    }

    /// The device as the operation sees it with these shapes.
    pub fn caps<'c>(&self, inputs: &[&TensorType], output: &TensorType, caps: &'c Caps) -> Cow<'c, Caps> {
        if caps.choices.is_empty() { Cow::Borrowed(caps) } else { caps.at(self.stem(), &self.site(inputs, output)) }
    }

    /// Runs the twin on host tensors.
    ///
    /// # Panics
    /// When the inputs' types do not fit.
    pub fn evaluate(&self, inputs: &[&Tensor]) -> Tensor {
        let types: Vec<_> = inputs.iter().map(|t| &t.ty).collect();
        let ty = self.infer(&types).unwrap_or_else(|message| panic!("{}: {message}", self.stem()));
        let views: Vec<_> = inputs.iter().map(|t| t.view()).collect();
        let mut out = Tensor::zeros(ty);
        self.twin(&views, &mut out.view_mut());
        out
    }
}

/// A graph of one operation: inputs "in0", "in1", …, output "out", and the value that it makes.
///
/// # Errors
/// When the types do not fit.
pub fn alone(op: &Op, inputs: &[TensorType]) -> Result<(Graph, Value)> {
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

/// `Err` with what was expected unless the number of inputs is right.
pub(crate) fn arity(inputs: &[&TensorType], count: usize) -> Result<(), String> {
    if inputs.len() == count { Ok(()) } else { Err(format!("{count} inputs expected, not {}", inputs.len())) }
}

/// `Err` naming both types unless they are equal.
pub(crate) fn same(what: &str, got: &TensorType, expected: &TensorType) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got}, but {expected} fits")) }
}

/// `Err` unless the tensor holds floats.
pub(crate) fn float(what: &str, ty: &TensorType) -> Result<(), String> {
    if ty.encoding == Encoding::F32 { Ok(()) } else { Err(format!("{what} must be f32, not {ty}")) }
}

/// The axes of an activation, or an `Err` that names its type.
pub(crate) fn nhwc(what: &str, ty: &TensorType) -> Result<[usize; 4], String> {
    ty.shape.as_slice().try_into().map_err(|_| format!("{what} must be [n, h, w, c], not {ty}"))
}
