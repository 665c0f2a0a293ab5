//! `build`: converts a model to a forward graph.
//!
//! **Invariant:** codes and sums stay encoded as long as possible; they are decoded only for layers
//! that compute in floats. A max-pool after a binary convolution pools the exact sums.

mod products;

use super::fixed_point::{count_saturated, parameter_leaf, random_leaf, rounded};
use super::image_input::{self, ImageInput};
use crate::error::{Error, Result};
use crate::graph::{Phase, Value};
use crate::model::{BatchNorm, Codes, Conv, Definition, Fixed, LayerKind, Linear, Model, Parameter, SignPadding};
use crate::ops::{
    Graph, Op,
    add::Add,
    batch_norm, batch_norm_stats,
    code::Code,
    decode::Decode,
    dropout::Dropout,
    fixed,
    input_scale::{InputScale, ScaleRows},
    max_pool::MaxPool,
    prelu::Prelu,
    quantise::Quantise,
    window::Window,
};
use crate::random;
use crate::tensor::Encoding;
use products::Product;

/// The purpose of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Training: batch-norms use the statistics of the batch and update the running statistics.
    Train,
    /// Inference: batch-norms use the running statistics.
    Infer,
}

/// A layer's output: a value and its interpretation.
#[derive(Clone)]
struct Signal {
    value: Value,
    /// The numbers that the codes represent; for sums, their step.
    code: Code,
    /// The learned scale of codes.
    scale: Option<Value>,
    /// For signs, the value whose signs they are.
    signs_of: Option<Value>,
    /// Whether a convolution pads signs with +1.
    ones_around: bool,
    /// The scale of each filter, if the value is the sums of a packed convolution.
    alpha: Option<Value>,
    /// The largest possible magnitude of sums; otherwise 0.
    largest: usize,
}

impl Signal {
    fn float(value: Value) -> Self {
        Self {
            value,
            code: Code::Uniform(1.0),
            scale: None,
            signs_of: None,
            ones_around: false,
            alpha: None,
            largest: 0,
        }
    }
}

/// Builds the forward graph for `batch` images; its logits are `[n, 1, 1, classes]`.
///
/// Leaves: those of [`ImageInput`]; if random numbers are drawn, input "random" `[4]` = seed low, seed
/// high, step low, step high; the model's [parameters](Model::parameters).
///
/// # Errors
///
/// Returns an error if a layer's shapes do not fit; the message names the layer.
pub fn build(model: &Model, batch: usize, image_input: &ImageInput, mode: Mode) -> Result<(Graph, Value)> {
    build_part(model, [batch, batch], image_input, mode)
}

/// Like [`build`], for `batch` of the images over which batch-norms compute their statistics: `together` images of
/// all ranks.
pub(super) fn build_part(
    model: &Model,
    [batch, together]: [usize; 2],
    image_input: &ImageInput,
    mode: Mode,
) -> Result<(Graph, Value)> {
    let parameters = model.parameters().map_err(|error| Error::Model(error.to_string()))?;
    let mut builder = Builder { graph: Graph::new(), mode, parameters, images: [batch, together] };
    let images = Signal::float(image_input::images(&mut builder.graph, model, batch, image_input, mode)?);
    let mut signals: Vec<Signal> = Vec::new();
    for (index, layer) in model.layers.iter().enumerate() {
        builder.graph.at(&layer.name, Phase::Forward);
        let sources = model.reads(index)?.into_iter();
        let inputs: Vec<Signal> = sources.map(|at| at.map_or(&images, |at| &signals[at]).clone()).collect();
        signals.push(builder.layer(&layer.name, &layer.kind, &inputs)?);
    }
    let logits = builder.logits(signals.pop().unwrap_or(images), model.classes)?;
    Ok((builder.graph, logits))
}

struct Builder {
    graph: Graph,
    mode: Mode,
    parameters: Vec<Parameter>,
    /// The images of this graph, and those over which batch-norms compute their statistics.
    images: [usize; 2],
}

impl Builder {
    /// Returns the leaf of a layer's parameter.
    fn parameter(&mut self, layer: &str, what: &str) -> Result<Value> {
        parameter_leaf(&mut self.graph, &self.parameters, &format!("{layer}.{what}"))
    }

    fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.add(op, inputs)
    }

    /// Returns the float tensor that a signal represents.
    fn float(&mut self, signal: &Signal) -> Result<Value> {
        if self.graph.ty(signal.value).encoding == Encoding::F32 {
            return Ok(signal.value);
        }
        let inputs: Vec<_> = [Some(signal.value), signal.alpha.or(signal.scale)].into_iter().flatten().collect();
        self.add(Decode { code: signal.code.clone() }, &inputs)
    }

    fn layer(&mut self, name: &str, kind: &LayerKind, inputs: &[Signal]) -> Result<Signal> {
        let x = &inputs[0];
        Ok(match kind {
            LayerKind::Conv(conv) => {
                let window = conv.window();
                let Conv { groups, weights, bias, .. } = *conv;
                let y = self.product(name, x, &Product { window, groups, weights, bias })?;
                let y = match x.signs_of {
                    Some(real) if conv.input_scale => {
                        let scale = self.add(InputScale { window }, &[real])?;
                        let y = self.float(&y)?;
                        Signal::float(self.add(ScaleRows, &[y, scale])?)
                    }
                    _ => y,
                };
                self.rounded_gradient(name, y, weights.packed())?
            }
            LayerKind::Linear(linear) => {
                // A window as large as the input: the weight [k, c·h·w] is [k, c, h, w] in memory.
                let [_, h, w, _] = self.graph.ty(x.value).nhwc();
                let window = Window::new([h, w], [1, 1], [0, 0]);
                let Linear { weights, bias, .. } = *linear;
                let y = self.product(name, x, &Product { window, groups: 1, weights, bias })?;
                self.rounded_gradient(name, y, weights.packed())?
            }
            LayerKind::BatchNorm(settings) => Signal::float(self.batch_norm(name, x, settings)?),
            LayerKind::Sign(settings) => {
                let x = Signal::float(self.float(x)?);
                let value = self.add(Quantise::sign(settings.surrogate), &[x.value])?;
                let ones_around = settings.padding == SignPadding::One;
                Signal { code: Code::Sign, ones_around, signs_of: Some(x.value), ..Signal::float(value) }
            }
            LayerKind::Fixed(settings) => Signal::float(self.fixed(name, x, settings)?),
            LayerKind::Prelu(_) => {
                let x = self.float(x)?;
                let slope = self.parameter(name, "weight")?;
                Signal::float(self.add(Prelu, &[slope, x])?)
            }
            LayerKind::MaxPool(pool) => {
                let window = pool.window();
                Signal { value: self.add(MaxPool { window }, &[x.value])?, ..x.clone() }
            }
            LayerKind::Add(_) => {
                let mut sum = self.float(x)?;
                for other in &inputs[1..] {
                    let other = self.float(other)?;
                    sum = self.add(Add, &[sum, other])?;
                }
                Signal::float(sum)
            }
            // Decoded here too, so that its readers compute in the same way in both modes.
            LayerKind::Dropout(_) if self.mode == Mode::Infer => Signal::float(self.float(x)?),
            LayerKind::Dropout(settings) => {
                let (x, random) = (self.float(x)?, self.random()?);
                let stream = random::stream(&format!("{name}/dropout")) as u32;
                Signal::float(self.add(Dropout { rate: settings.rate, stream }, &[x, random])?)
            }
            kind => self.single(name, kind.definition(), inputs)?,
        })
    }

    /// Appends a layer that is a single operation.
    fn single(&mut self, name: &str, definition: &dyn Definition, inputs: &[Signal]) -> Result<Signal> {
        let mut operands = inputs.iter().map(|input| self.float(input)).collect::<Result<Vec<_>>>()?;
        let shape = |value: &Value| {
            let [_, h, w, c] = self.graph.ty(*value).nhwc();
            [c, h, w]
        };
        let shapes: Vec<_> = operands.iter().map(shape).collect();
        for learned in definition.learned(shapes[0][0]) {
            operands.push(self.parameter(name, learned.name)?);
        }
        let op = definition.operation(&shapes).expect("a kind of layer without nodes of its own is one operation");
        let signal = Signal::float(self.add(op, &operands)?);
        Ok(match definition.codes() {
            None => signal,
            Some(Codes { code, scaled }) => {
                Signal { code, scale: operands.last().copied().filter(|_| scaled), ..signal }
            }
        })
    }

    fn random(&mut self) -> Result<Value> {
        random_leaf(&mut self.graph)
    }

    /// Appends a layer in fixed point, which counts saturated values.
    fn fixed(&mut self, name: &str, x: &Signal, settings: &Fixed) -> Result<Value> {
        let x = self.float(x)?;
        if self.mode == Mode::Infer {
            let value = fixed::Quantiser::nearest(settings.format);
            return rounded(&mut self.graph, fixed::Fixed { value, gradient: None, in_place: false }, x);
        }
        let quantiser =
            |format, what: &str| fixed::Quantiser::new(format, settings.rounding, &format!("{name}/{what}"));
        let value = quantiser(settings.format, "rounding");
        let gradient = settings.gradient_format.map(|format| quantiser(format, "gradient"));
        count_saturated(&mut self.graph, &self.parameters, name, x, value.format)?;
        rounded(&mut self.graph, fixed::Fixed { value, gradient, in_place: false }, x)
    }

    fn batch_norm(&mut self, name: &str, x: &Signal, settings: &BatchNorm) -> Result<Value> {
        let [images, together] = self.images;
        let rows = self.graph.ty(x.value).rows() / images * together;
        // Statistics of sums are exact while they fit 64 bits; otherwise, and for codes, they are
        // computed in floats.
        let exact = x.alpha.is_some() && batch_norm_stats::exact_fits(x.largest, rows);
        let x = if exact { x.clone() } else { Signal::float(self.float(x)?) };
        let running = self.parameter(name, "running")?;
        let affine: &[&str] = if settings.affine { &["weight", "bias"] } else { &[] };
        let affine = affine.iter().map(|part| self.parameter(name, part)).collect::<Result<Vec<_>>>()?;
        let scaled = x.alpha.is_some();
        let stats = match self.mode {
            Mode::Infer => running,
            Mode::Train if rows < 2 => {
                return Err(Error::Model(format!(
                    "layer \"{name}\": batch-norm needs more than one value per channel to train; use a larger batch, or drop_last = true"
                )));
            }
            Mode::Train => self.add(batch_norm_stats::BatchNormStats { largest: x.largest }, &[x.value])?,
        };
        let op = batch_norm::BatchNormCoef {
            eps: settings.eps,
            step: x.code.step(),
            scaled,
            affine: settings.affine,
            running: self.mode == Mode::Infer,
        };
        let inputs: Vec<_> = [stats].into_iter().chain(x.alpha).chain(affine).collect();
        let coef = self.add(op, &inputs)?;
        if self.mode == Mode::Train {
            let op = batch_norm::BatchNormRunning { momentum: settings.momentum, rows, step: x.code.step(), scaled };
            let inputs: Vec<_> = [Some(running), Some(stats), x.alpha].into_iter().flatten().collect();
            self.add(op, &inputs)?;
        }
        self.add(batch_norm::BatchNorm, &[x.value, coef])
    }

    /// Returns the last signal as `[n, 1, 1, classes]` floats.
    fn logits(&mut self, last: Signal, classes: usize) -> Result<Value> {
        let value = self.float(&last)?;
        let [_, h, w, c] = self.graph.ty(value).nhwc();
        if [h, w, c] != [1, 1, classes] {
            return Err(Error::Model(format!(
                "the last layer has {c}×{h}×{w} values per image; {classes} classes need {classes}×1×1: end with a linear layer"
            )));
        }
        Ok(value)
    }
}
