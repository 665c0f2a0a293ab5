//! `build`: a model becomes a forward graph.
//!
//! **Invariant:** codes and sums travel encoded as far as they can; they are decoded only for a layer that computes in floats. A max-pool behind a binary convolution
//! pools the exact sums.

use crate::error::{Error, Result};
use crate::graph::{Phase, Value};
use crate::model::{BatchNorm, INPUT, LayerKind, Model, Weights};
use crate::ops::{
    Graph, Leaf, Op, Role, add::Add, avg_pool::AvgPool, batch_norm, batch_norm_stats, bconv, bias::Bias, conv,
    decode::Decode, hwgq::Hwgq, max_pool::MaxPool, relu::Relu, sign, window::Window,
};
use crate::tensor::{Encoding, TensorType};
use std::collections::HashMap;

/// What the graph is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Statistics of the batch; running statistics are updated.
    Train,
    /// Running statistics; logits.
    Infer,
}

/// A layer's output: a value and what it stands for.
#[derive(Clone, Copy)]
struct Signal {
    value: Value,
    /// Δ where the value is codes or sums, else 1.
    step: f32,
    /// α where the value is sums of a binary convolution.
    alpha: Option<Value>,
    /// The largest magnitude of sums; else 0.
    largest: usize,
}

impl Signal {
    fn float(value: Value) -> Self {
        Self { value, step: 1.0, alpha: None, largest: 0 }
    }
}

/// Builds the forward graph for `batch` images; its logits are `[n, 1, 1, classes]`.
///
/// Leaves: input "images" `[n, h, w, c]`; state "`layer`.weight" `[r, s, c, k]`, "`layer`.bias" `[k]`, "`layer`.affine" and "`layer`.running" `[2, c]`.
///
/// # Errors
/// When a layer does not fit; the message names it.
pub fn build(model: &Model, batch: usize, mode: Mode) -> Result<(Graph, Value)> {
    model.shapes().map_err(|error| Error::Model(error.to_string()))?;
    let mut builder = Builder { graph: Graph::new(), mode };
    let [c, h, w] = model.input;
    builder.graph.at(INPUT, Phase::Forward);
    let images = builder.graph.add(Leaf::input("images", TensorType::f32(&[batch, h, w, c])), &[])?;
    let mut signals = HashMap::from([(INPUT, Signal::float(images))]);
    let mut last = signals[INPUT];
    for layer in &model.layers {
        builder.graph.at(&layer.name, Phase::Forward);
        let inputs: Vec<Signal> = layer.from.iter().map(|name| signals[name.as_str()]).collect();
        last = builder.layer(&layer.name, &layer.kind, &inputs)?;
        signals.insert(&layer.name, last);
    }
    let logits = builder.logits(last, model.classes)?;
    Ok((builder.graph, logits))
}

fn state(graph: &mut Graph, name: &str, shape: &[usize], trained: bool) -> Result<Value> {
    graph.add(Leaf { name: name.to_string(), ty: TensorType::f32(shape), role: Role::State { trained } }, &[])
}

struct Builder {
    graph: Graph,
    mode: Mode,
}

impl Builder {
    fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.add(op, inputs)
    }

    /// The float tensor that a signal stands for.
    fn float(&mut self, signal: Signal) -> Result<Value> {
        match (self.graph.ty(signal.value).encoding, signal.alpha) {
            (Encoding::F32, _) => Ok(signal.value),
            (_, Some(alpha)) => self.add(Decode { step: signal.step }, &[signal.value, alpha]),
            (_, None) => self.add(Decode { step: signal.step }, &[signal.value]),
        }
    }

    fn layer(&mut self, name: &str, kind: &LayerKind, inputs: &[Signal]) -> Result<Signal> {
        let x = inputs[0];
        Ok(match kind {
            LayerKind::Conv(conv) => {
                let window = Window::new(conv.kernel, conv.stride, conv.padding);
                self.product(name, x, window, conv.filters, conv.weights, conv.bias)?
            }
            LayerKind::Linear(linear) => {
                // A window as large as the input: the weight [k, c·h·w] is [k, c, h, w] in memory.
                let [_, h, w, _] = self.graph.ty(x.value).nhwc();
                let window = Window::new([h, w], [1, 1], [0, 0]);
                self.product(name, x, window, linear.units, linear.weights, linear.bias)?
            }
            LayerKind::BatchNorm(settings) => Signal::float(self.batch_norm(name, x, settings)?),
            LayerKind::Hwgq(settings) => {
                let op = Hwgq::uniform(settings.bits as u8, settings.surrogate);
                let x = self.float(x)?;
                Signal { value: self.add(op, &[x])?, step: op.step, alpha: None, largest: 0 }
            }
            LayerKind::Relu => {
                let x = self.float(x)?;
                Signal::float(self.add(Relu, &[x])?)
            }
            LayerKind::MaxPool(pool) => {
                let window = Window::new(pool.kernel, pool.stride, pool.padding);
                Signal { value: self.add(MaxPool { window }, &[x.value])?, ..x }
            }
            LayerKind::AvgPool(pool) => {
                let window = Window::new(pool.kernel, pool.stride, pool.padding);
                let x = self.float(x)?;
                Signal::float(self.add(AvgPool { window }, &[x])?)
            }
            LayerKind::GlobalAvgPool => {
                let [_, h, w, _] = self.graph.ty(x.value).nhwc();
                let x = self.float(x)?;
                let window = Window::new([h, w], [h, w], [0, 0]);
                Signal::float(self.add(AvgPool { window }, &[x])?)
            }
            LayerKind::Add => {
                let mut sum = self.float(x)?;
                for &other in &inputs[1..] {
                    let other = self.float(other)?;
                    sum = self.add(Add, &[sum, other])?;
                }
                Signal::float(sum)
            }
        })
    }

    /// A convolution or linear layer, float or binary.
    fn product(
        &mut self,
        name: &str,
        x: Signal,
        window: Window,
        filters: usize,
        weights: Weights,
        bias: bool,
    ) -> Result<Signal> {
        let input = self.graph.ty(x.value).clone();
        let [r, s] = window.kernel;
        let weight = state(&mut self.graph, &format!("{name}.weight"), &[r, s, input.lanes(), filters], true)?;
        if let (Weights::Binary, Encoding::Planes(bits)) = (weights, input.encoding) {
            let channels = input.channels();
            let signs = self.add(sign::Sign { channels }, &[weight])?;
            let alpha = self.add(sign::Alpha { channels }, &[weight])?;
            let value = self.add(bconv::Bconv { window, step: x.step }, &[x.value, signs, alpha])?;
            let largest = bconv::largest_sum(&window, bits, channels);
            return Ok(Signal { value, step: x.step, alpha: Some(alpha), largest });
        }
        assert!(weights == Weights::Float, "the model was checked: binary weights read codes");
        let x = self.float(x)?;
        let y = self.add(conv::Conv { window }, &[x, weight])?;
        if !bias {
            return Ok(Signal::float(y));
        }
        let bias = state(&mut self.graph, &format!("{name}.bias"), &[filters], true)?;
        Ok(Signal::float(self.add(Bias, &[y, bias])?))
    }

    fn batch_norm(&mut self, name: &str, x: Signal, settings: &BatchNorm) -> Result<Value> {
        let rows = self.graph.ty(x.value).rows();
        // Statistics of sums are exact while they fit 64 bits; beyond that, and for codes, floats.
        let exact = x.alpha.is_some() && batch_norm_stats::exact_fits(x.largest, rows);
        let x = if exact { x } else { Signal::float(self.float(x)?) };
        let channels = self.graph.ty(x.value).channels();
        let running = state(&mut self.graph, &format!("{name}.running"), &[2, channels], false)?;
        let affine = match settings.affine {
            true => Some(state(&mut self.graph, &format!("{name}.affine"), &[2, channels], true)?),
            false => None,
        };
        let scaled = x.alpha.is_some();
        let stats = match self.mode {
            Mode::Infer => running,
            Mode::Train if rows < 2 => {
                return Err(Error::Model(format!(
                    "layer \"{name}\": batch-norm needs more than one value a channel to train; use a larger batch, or drop_last = true"
                )));
            }
            Mode::Train => self.add(batch_norm_stats::BatchNormStats { largest: x.largest }, &[x.value])?,
        };
        let op = batch_norm::BatchNormCoef {
            eps: settings.eps,
            step: x.step,
            scaled,
            affine: affine.is_some(),
            running: self.mode == Mode::Infer,
        };
        let inputs: Vec<_> = [Some(stats), x.alpha, affine].into_iter().flatten().collect();
        let coef = self.add(op, &inputs)?;
        if self.mode == Mode::Train {
            let op = batch_norm::BatchNormRunning { momentum: settings.momentum, rows, step: x.step, scaled };
            let inputs: Vec<_> = [Some(running), Some(stats), x.alpha].into_iter().flatten().collect();
            self.add(op, &inputs)?;
        }
        self.add(batch_norm::BatchNorm, &[x.value, coef])
    }

    /// The last signal as `[n, 1, 1, classes]` floats.
    fn logits(&mut self, last: Signal, classes: usize) -> Result<Value> {
        let value = self.float(last)?;
        let [_, h, w, c] = self.graph.ty(value).nhwc();
        if [h, w, c] != [1, 1, classes] {
            return Err(Error::Model(format!(
                "the last layer makes {c}×{h}×{w} values an image; {classes} classes need {classes}×1×1: end with a linear layer"
            )));
        }
        Ok(value)
    }
}
