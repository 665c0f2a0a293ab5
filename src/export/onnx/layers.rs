//! Each layer of a folded network as nodes. Tensors are floats in the order N, C, H, W; codes and
//! sums are floats with integer values, which are exact below 2^24.
//!
//! Constants are the first operand of `Mul` and `Add`: onnxruntime folds those that are the second
//! operand into the weights of a convolution before them, and integer sums would no longer be exact.

use super::conv;
use super::graph::{Attr, Element, Graph, Value};
use halfwave_infer::{Curve, Kind, Layer, Op, Type, Window};

/// What differs between the forms in which a network is written.
pub(super) trait Dialect {
    /// Adds integer weights `[k, c, r, s]`, the sum of 2^j times plane j of ±1, and returns them as
    /// floats.
    fn weights(&self, scope: &mut Scope<'_>, array: &str, planes: &[Vec<i8>], shape: &[usize]) -> Value;

    /// Adds the number of thresholds that each x reaches.
    fn codes(&self, scope: &mut Scope<'_>, x: &Value, steps: &Steps) -> Value;

    /// Notes that a tensor's elements are of this kind.
    fn note(&self, _: &mut Graph, _: &Value, _: Kind) {}
}

/// The thresholds of a quantiser.
pub(super) struct Steps {
    pub(super) count: usize,
    /// Number of channels with thresholds of their own; 1 if all have the same.
    pub(super) channels: usize,
    /// `[count, channels]`.
    pub(super) values: Vec<f32>,
    /// Whether a value equal to a threshold reaches it.
    pub(super) at_least: bool,
    /// Bits of the codes.
    pub(super) bits: u8,
}

impl Steps {
    /// The thresholds as `[channels, count]`.
    pub(super) fn by_channel(&self) -> Vec<f32> {
        let at = |i: usize| self.values[i % self.count * self.channels + i / self.count];
        (0..self.values.len()).map(at).collect()
    }
}

/// The nodes of one layer. The last one has the layer's name, the others `<layer>/<part>`; arrays
/// are called `<layer>.<array>`.
pub(super) struct Scope<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) layer: &'a str,
}

impl Scope<'_> {
    /// Adds a node with the type of `like`; `part` is empty for the layer's last node.
    pub(super) fn node(
        &mut self,
        operator: &str,
        part: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attr<'_>)],
        like: &Value,
    ) -> Value {
        let name = self.part(part);
        self.graph.node(operator, &name, inputs, attributes, like)
    }

    /// The name of a part of the layer.
    pub(super) fn part(&self, part: &str) -> String {
        if part.is_empty() { self.layer.to_string() } else { format!("{}/{part}", self.layer) }
    }

    /// The name of an array of the layer.
    pub(super) fn array(&self, array: &str) -> String {
        format!("{}.{array}", self.layer)
    }

    /// Adds an array of floats.
    pub(super) fn floats(&mut self, array: &str, shape: &[usize], values: &[f32]) -> Value {
        let name = self.array(array);
        self.graph.floats(&name, shape, values)
    }

    /// Adds a float for each channel, or one for all.
    pub(super) fn channels(&mut self, array: &str, values: &[f32]) -> Value {
        self.floats(array, &[values.len(), 1, 1], values)
    }

    /// Adds one float.
    pub(super) fn float(&mut self, array: &str, value: f32) -> Value {
        let name = self.array(array);
        self.graph.float(&name, value)
    }

    /// Adds a list of integers.
    pub(super) fn ints(&mut self, array: &str, values: &[i64]) -> Value {
        let name = self.array(array);
        self.graph.ints(&name, values)
    }

    /// Adds factor·x + summand as two nodes, without those that change nothing.
    pub(super) fn scale(&mut self, part: &str, x: &Value, factor: Option<&Value>, summand: Option<&Value>) -> Value {
        let first = if summand.is_some() { "gain" } else { "" };
        let scaled = factor.map(|factor| self.node("Mul", &join(part, first), &[factor, x], &[], x));
        let x = scaled.as_ref().unwrap_or(x);
        match summand {
            Some(summand) => self.node("Add", part, &[summand, x], &[], x),
            None => x.clone(),
        }
    }
}

/// A part of a part.
fn join(part: &str, inner: &str) -> String {
    let separator = if part.is_empty() || inner.is_empty() { "" } else { "/" };
    format!("{part}{separator}{inner}")
}

/// The attributes of a window, for convolutions and pools.
pub(super) fn window(window: &Window) -> Vec<(&'static str, Attr<'static>)> {
    let pair = |[a, b]: [usize; 2]| vec![a as i64, b as i64];
    let pads = [window.padding, window.padding].concat().iter().map(|&n| n as i64).collect();
    let mut attributes = vec![
        ("kernel_shape", Attr::Ints(pair(window.kernel))),
        ("strides", Attr::Ints(pair(window.stride))),
        ("pads", Attr::Ints(pads)),
    ];
    if window.dilation != [1, 1] {
        attributes.push(("dilations", Attr::Ints(pair(window.dilation))));
    }
    attributes
}

/// Adds a layer's nodes and returns its output.
pub(super) fn lower(
    graph: &mut Graph,
    dialect: &dyn Dialect,
    layer: &Layer,
    inputs: &[(&Value, &Type)],
    output: &Type,
) -> Value {
    let scope = &mut Scope { graph, layer: &layer.name };
    let (x, ty) = inputs[0];
    let [h, w, c] = output.shape;
    let like = &x.shaped(&[c, h, w]);
    match &layer.op {
        Op::Conv { .. } => conv::floats(scope, &layer.op, x, ty, like),
        Op::PackedConv { .. } => conv::packed(scope, dialect, &layer.op, x, ty, like),
        Op::Affine { gain, shift, .. } => {
            let gain = (!gain.is_empty()).then(|| scope.channels("gain", gain));
            let shift = (!shift.is_empty()).then(|| scope.channels("shift", shift));
            match (&gain, &shift) {
                (None, None) => scope.node("Identity", "", &[x], &[], like),
                _ => scope.scale("", x, gain.as_ref(), shift.as_ref()),
            }
        }
        Op::Threshold { count, thresholds, falling, .. } => {
            let rising = if falling.is_empty() {
                x.clone()
            } else {
                let signs: Vec<_> = falling.iter().map(|&falls| if falls != 0 { -1.0 } else { 1.0 }).collect();
                let signs = scope.channels("direction", &signs);
                scope.node("Mul", "direction", &[&signs, x], &[], x)
            };
            let values = thresholds.iter().map(|&t| t as f32).collect();
            let steps = Steps { count: *count, channels: c, values, at_least: true, bits: bits(output) };
            dialect.codes(scope, &rising, &steps)
        }
        Op::Quantise { count, at_least, thresholds } => {
            let values = thresholds.clone();
            let steps = Steps { count: *count, channels: 1, values, at_least: *at_least, bits: bits(output) };
            dialect.codes(scope, x, &steps)
        }
        Op::Decode { values, .. } => decode(scope, values, x),
        Op::Round { integer, fraction } => {
            let (step, half) = ((-f32::from(*fraction)).exp2(), (f32::from(*integer) - 1.0).exp2());
            let [low, high] = [scope.float("low", -half), scope.float("high", half - step)];
            let [per_unit, step] = [scope.float("per_unit", 1.0 / step), scope.float("step", step)];
            let clipped = scope.node("Clip", "clip", &[x, &low, &high], &[], x);
            let scaled = scope.node("Mul", "scale", &[&per_unit, &clipped], &[], x);
            let rounded = scope.node("Round", "round", &[&scaled], &[], x);
            scope.node("Mul", "", &[&step, &rounded], &[], x)
        }
        Op::Relu => scope.node("Relu", "", &[x], &[], x),
        Op::Prelu { slope } => {
            let slope = scope.channels("slope", slope);
            scope.node("PRelu", "", &[x, &slope], &[], x)
        }
        Op::Activation { curve, number } => activation(scope, *curve, number[0], x),
        Op::MaxPool { window } => scope.node("MaxPool", "", &[x], &self::window(window), like),
        Op::AvgPool { window } => average(scope, "", window, x, like),
        Op::Add => scope.node("Add", "", &[x, inputs[1].0], &[], x),
        Op::Concat => {
            let inputs: Vec<_> = inputs.iter().map(|(value, _)| *value).collect();
            scope.node("Concat", "", &inputs, &[("axis", Attr::Int(1))], like)
        }
        Op::Slice { first, count } => {
            let [first, end, axis] =
                [("first", *first), ("end", first + count), ("axis", 1)].map(|(name, n)| scope.ints(name, &[n as i64]));
            scope.node("Slice", "", &[x, &first, &end, &axis], &[], like)
        }
        Op::Flatten => {
            let shape = scope.ints("shape", &[0, -1, 1, 1]);
            scope.node("Reshape", "", &[x, &shape], &[], like)
        }
        Op::Pad { border: [rows, columns] } => {
            let border = [0, 0, *rows as i64, *columns as i64];
            let [pads, one] = [scope.ints("pads", &[border, border].concat()), scope.float("one", 1.0)];
            scope.node("Pad", "", &[x, &pads, &one], &[], like)
        }
        Op::InputScale { window } => {
            let [h, w, _] = ty.shape;
            let magnitudes = scope.node("Abs", "abs", &[x], &[], x);
            let axes = scope.ints("axes", &[1]);
            let means = scope.node("ReduceMean", "mean", &[&magnitudes, &axes], &[], &x.shaped(&[1, h, w]));
            average(scope, "", window, &means, like)
        }
        Op::ScalePixels => scope.node("Mul", "", &[x, inputs[1].0], &[], x),
    }
}

fn bits(ty: &Type) -> u8 {
    if let Kind::Codes(bits) = ty.kind { bits } else { 0 }
}

/// The mean of each window; padding counts as zeros. `AveragePool` refuses windows that lie entirely
/// in the padding: a `Pad` precedes it then.
fn average(scope: &mut Scope<'_>, part: &str, under: &Window, x: &Value, like: &Value) -> Value {
    let Window { kernel, padding, dilation, .. } = *under;
    let mut under = *under;
    let mut padded = x.clone();
    if (0..2).any(|axis| padding[axis] >= kernel[axis]) {
        let border = [0, 0, padding[0] as i64, padding[1] as i64];
        let pads = scope.ints("pads", &[border, border].concat());
        let [c, h, w] = [x.shape[0], x.shape[1] + 2 * padding[0], x.shape[2] + 2 * padding[1]];
        padded = scope.node("Pad", "pad", &[x, &pads], &[], &x.shaped(&[c, h, w]));
        under.padding = [0; 2];
    }
    let mut attributes = window(&under);
    attributes.push(("count_include_pad", Attr::Int(1)));
    if dilation != [1, 1] {
        scope.graph.opset = scope.graph.opset.max(19);
    }
    scope.node("AveragePool", part, &[&padded], &attributes, like)
}

/// Codes to floats: a factor and a summand where they give exactly these values, else a table.
fn decode(scope: &mut Scope<'_>, values: &[f32], x: &Value) -> Value {
    let (shift, gain) = (values[0], values[1] - values[0]);
    let linear = values.iter().enumerate().all(|(code, &value)| code as f32 * gain + shift == value);
    if linear {
        let gain = scope.float("gain", gain);
        let shift = (shift != 0.0).then(|| scope.float("shift", shift));
        return scope.scale("", x, Some(&gain), shift.as_ref());
    }
    let table = scope.floats("values", &[values.len()], values);
    let indices = scope.node("Cast", "code", &[x], &[to(Element::Int32)], &x.of(Element::Int32));
    scope.node("Gather", "", &[&table, &indices], &[("axis", Attr::Int(0))], x)
}

/// The attribute of a conversion.
pub(super) fn to(element: Element) -> (&'static str, Attr<'static>) {
    ("to", Attr::Int(element as i64))
}

fn activation(scope: &mut Scope<'_>, curve: Curve, number: f32, x: &Value) -> Value {
    let mut clip = |low: f32, high: f32| {
        let [low, high] = [scope.float("low", low), scope.float("high", high)];
        scope.node("Clip", "", &[x, &low, &high], &[], x)
    };
    match curve {
        Curve::ClippedRelu => clip(0.0, number),
        Curve::HardTanh => clip(-1.0, 1.0),
        Curve::LogTailedRelu => {
            let [t, one] = [scope.float("number", number), scope.float("one", 1.0)];
            let beyond = scope.node("Sub", "beyond", &[x, &t], &[], x);
            let more = scope.node("Add", "more", &[&one, &beyond], &[], x);
            let log = scope.node("Log", "log", &[&more], &[], x);
            let tail = scope.node("Add", "tail", &[&t, &log], &[], x);
            let relu = scope.node("Relu", "relu", &[x], &[], x);
            let above = scope.node("Greater", "above", &[x, &t], &[], &x.of(Element::Bool));
            scope.node("Where", "", &[&above, &tail, &relu], &[], x)
        }
        Curve::Tanh => scope.node("Tanh", "", &[x], &[], x),
        Curve::Sigmoid => scope.node("Sigmoid", "", &[x], &[], x),
        Curve::Silu => {
            let sigmoid = scope.node("Sigmoid", "sigmoid", &[x], &[], x);
            scope.node("Mul", "", &[x, &sigmoid], &[], x)
        }
        Curve::LeakyRelu => scope.node("LeakyRelu", "", &[x], &[("alpha", Attr::Float(number))], x),
    }
}
