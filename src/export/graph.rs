//! A folded network as a graph of the engine, for large batches on a device.

use crate::error::{Error, Result};
use crate::graph::{Phase, Value};
use crate::ops::code::{Code, SignPlanes};
use crate::ops::quantise::{Quantise, Surrogate};
use crate::ops::{
    Graph, Leaf, Op, Role, activation, add, avg_pool, batch_norm, bconv, bias, concat, conv, curve, decode, fixed,
    flatten, input_scale, max_pool, pad, prelu, relu, slice, threshold, window,
};
use crate::tensor::{LANES, Tensor, TensorType};
use halfwave_infer::{Coding, Network, Op as Folded, Window};

impl From<Window> for window::Window {
    fn from(window: Window) -> Self {
        let Window { kernel, stride, padding, dilation } = window;
        Self { kernel, stride, padding, dilation }
    }
}

/// A graph and the contents of its state.
pub(super) struct Lowered {
    /// Input "images" `[n, h, w, c]`, output "logits".
    pub(super) graph: Graph,
    /// The arrays, by the names of their leaves.
    pub(super) arrays: Vec<(String, Tensor)>,
}

/// Builds the graph of a network for `batch` images.
///
/// # Errors
///
/// Returns an error if a layer has no kernel: a packed convolution with free levels or several bases.
pub(super) fn graph(network: &Network, batch: usize) -> Result<Lowered> {
    let wrong = |error: halfwave_infer::Error| Error::Model(error.to_string());
    let types = network.types().map_err(wrong)?;
    let mut lowered = Lowered { graph: Graph::new(), arrays: Vec::new() };
    let [h, w, c] = network.input.shape;
    lowered.graph.at("input", Phase::Forward);
    let images = lowered.graph.add(Leaf::input("images", TensorType::f32(&[batch, h, w, c])), &[])?;
    let mut values = vec![images];
    for layer in &network.layers {
        lowered.graph.at(&layer.name, Phase::Forward);
        let inputs: Vec<Value> = layer.from.iter().map(|&from| values[from]).collect();
        let channels = types[layer.from[0]].channels();
        let value = lowered.layer(&layer.name, &layer.op, &inputs, channels)?;
        values.push(value);
    }
    lowered.graph.output("logits", values[values.len() - 1]);
    Ok(lowered)
}

impl Lowered {
    fn leaf(&mut self, name: &str, what: &str, tensor: Tensor) -> Result<Value> {
        let name = format!("{name}.{what}");
        let ty = tensor.ty.clone();
        self.arrays.push((name.clone(), tensor));
        self.graph.add(Leaf { name, ty, role: Role::State { trained: false } }, &[])
    }

    fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.add(op, inputs)
    }

    fn layer(&mut self, name: &str, op: &Folded, inputs: &[Value], channels: usize) -> Result<Value> {
        let x = inputs[0];
        let no_kernel =
            |what: &str| Error::Model(format!("layer \"{name}\": {what} runs on the processor only; omit --adapter"));
        match op {
            Folded::Conv { window, filters, weight } => {
                let weight = padded(weight, channels, *filters);
                let shape = [window.kernel[0], window.kernel[1], channels.next_multiple_of(LANES), *filters];
                let weight = self.leaf(name, "weight", Tensor::from_f32(&shape, &weight))?;
                self.add(conv::Conv { window: (*window).into() }, &[x, weight])
            }
            Folded::PackedConv { .. } if op.combines() => Err(no_kernel("a packed convolution with free coefficients")),
            Folded::PackedConv { window, filters, coding, planes, signs, .. } => {
                let code = if *coding == Coding::Sign { Code::Sign } else { Code::Uniform(1.0) };
                let signs = self.leaf(name, "signs", by_tap(signs, window, *planes, *filters))?;
                let alpha = self.leaf(name, "alpha", Tensor::from_f32(&[*filters], &vec![1.0; *filters]))?;
                let op = bconv::Bconv { window: (*window).into(), code, planes: SignPlanes::Binary(*planes) };
                self.add(op, &[x, signs, alpha])
            }
            Folded::Affine { gain, shift, .. } if gain.is_empty() => {
                let shift = self.leaf(name, "shift", Tensor::from_f32(&[channels], shift))?;
                self.add(bias::Bias, &[x, shift])
            }
            Folded::Affine { gain, shift, .. } => {
                let mut coef = vec![0.0; 5 * channels];
                coef[channels..2 * channels].copy_from_slice(gain);
                coef[2 * channels..][..shift.len()].copy_from_slice(shift);
                let coef = self.leaf(name, "coef", Tensor::from_f32(&[5, channels], &coef))?;
                self.add(batch_norm::BatchNorm, &[x, coef])
            }
            Folded::Threshold { count, thresholds, falling, .. } => {
                let sign = |c: usize| if falling.get(c) == Some(&1) { -1.0 } else { 1.0 };
                let limits: Vec<f32> = (0..channels).map(sign).chain(thresholds.iter().map(|&t| t as f32)).collect();
                let limits = self.leaf(name, "limits", Tensor::from_f32(&[count + 1, channels], &limits))?;
                self.add(threshold::Threshold { count: *count }, &[x, limits])
            }
            Folded::Quantise { at_least, thresholds, .. } => {
                let (thresholds, at_least) = (thresholds.clone(), *at_least);
                self.add(Quantise { thresholds, at_least, surrogate: Surrogate::Identity, top: 1.0, scale: None }, &[x])
            }
            Folded::Decode { values, .. } if values[0] == 0.0 => {
                self.add(decode::Decode { code: Code::Levels(values[1..].to_vec()) }, &[x])
            }
            Folded::Decode { values, .. } if values.len() == 2 && values[0] == -values[1] => {
                let scale = self.leaf(name, "scale", Tensor::from_f32(&[1], &values[1..]))?;
                self.add(decode::Decode { code: Code::Sign }, &[x, scale])
            }
            Folded::Decode { .. } => Err(no_kernel("a table without 0")),
            Folded::Round { integer, fraction } => {
                let format = fixed::Format::new([usize::from(*integer), usize::from(*fraction)]);
                let value = fixed::Quantiser { format, rounding: fixed::Rounding::Nearest, stream: 0 };
                self.add(fixed::Fixed { value, gradient: None, in_place: false }, &[x])
            }
            Folded::Relu => self.add(relu::Relu, &[x]),
            Folded::Prelu { slope } => {
                let slope = self.leaf(name, "slope", Tensor::from_f32(&[channels], slope))?;
                self.add(prelu::Prelu, &[slope, x])
            }
            Folded::Activation { curve, number } => {
                let known = halfwave_infer::Curve::ALL.iter().find(|(_, known)| known == curve);
                let curve =
                    known.and_then(|(name, _)| curve::Curve::of(name)).ok_or_else(|| no_kernel("this function"))?;
                self.add(activation::Activation { curve: curve.with(number[0]) }, &[x])
            }
            Folded::MaxPool { window } => self.add(max_pool::MaxPool { window: (*window).into() }, &[x]),
            Folded::AvgPool { window } => self.add(avg_pool::AvgPool { window: (*window).into() }, &[x]),
            Folded::Add => self.add(add::Add, inputs),
            Folded::Concat => self.add(concat::Concat, inputs),
            Folded::Slice { first, count } => self.add(slice::Slice { first: *first, count: *count }, &[x]),
            Folded::Flatten => self.add(flatten::Flatten, &[x]),
            Folded::Pad { border } => self.add(pad::Pad { rim: *border }, &[x]),
            Folded::InputScale { window } => self.add(input_scale::InputScale { window: (*window).into() }, &[x]),
            Folded::ScalePixels => self.add(input_scale::ScaleRows, inputs),
        }
    }
}

/// A weight `[r, s, c, k]` with c padded to whole quads.
fn padded(weight: &[f32], channels: usize, filters: usize) -> Vec<f32> {
    let lanes = channels.next_multiple_of(LANES);
    let mut out = vec![0.0; weight.len() / channels * lanes];
    for (out, tap) in out.chunks_exact_mut(lanes * filters).zip(weight.chunks_exact(channels * filters)) {
        out[..tap.len()].copy_from_slice(tap);
    }
    out
}

/// Signs `[J, k, r, s, ⌈c/32⌉]` as `[r, s, ⌈c/32⌉·J, k]`.
fn by_tap(signs: &[u32], window: &Window, planes: usize, filters: usize) -> Tensor {
    let rows = signs.len() / planes / filters;
    let [r, s] = window.kernel;
    let order = (0..rows).flat_map(|row| (0..planes).flat_map(move |j| (0..filters).map(move |k| (row, j, k))));
    let words: Vec<u32> = order.map(|(row, j, k)| signs[(j * filters + k) * rows + row]).collect();
    Tensor::from_u32(&[r, s, rows / (r * s) * planes, filters], &words)
}
