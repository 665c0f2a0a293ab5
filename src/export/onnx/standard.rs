//! Standard operators only.

use super::graph::{Attr, Element, Value};
use super::layers::{Dialect, Scope, Steps, to};
use super::{OnnxOptions, Weights};

/// Weights are integers that a `Cast` converts to floats; thresholds are comparisons.
pub(super) struct Standard {
    options: OnnxOptions,
}

impl Standard {
    pub(super) fn new(options: &OnnxOptions) -> Self {
        Self { options: *options }
    }

    /// The element type of weights of this many planes.
    fn element(&self, planes: usize) -> Element {
        match (self.options.weights, planes) {
            // From −2 to 1, and from −8 to 7.
            (Weights::Int2, 1) => Element::Int2,
            (Weights::Int2 | Weights::Int4, 1..=3) => Element::Int4,
            _ => Element::Int8,
        }
    }
}

impl Dialect for Standard {
    fn weights(&self, scope: &mut Scope<'_>, array: &str, planes: &[Vec<i8>], shape: &[usize]) -> Value {
        let value = |i: usize| planes.iter().enumerate().map(|(j, plane)| plane[i] << j).sum::<i8>();
        let values: Vec<i8> = (0..planes[0].len()).map(value).collect();
        let element = self.element(planes.len());
        let (bytes, opset) = match element {
            Element::Int2 => (pack(&values, 2), 25),
            Element::Int4 => (pack(&values, 4), 21),
            _ => (pack(&values, 8), 0),
        };
        scope.graph.opset = scope.graph.opset.max(opset);
        let name = scope.array(array);
        let stored = scope.graph.initialiser(&name, element, shape, bytes);
        scope.node("Cast", array, &[&stored], &[to(Element::Float)], &stored.of(Element::Float))
    }

    fn codes(&self, scope: &mut Scope<'_>, x: &Value, steps: &Steps) -> Value {
        let Steps { count, channels, at_least, .. } = *steps;
        let operator = if at_least { "GreaterOrEqual" } else { "Greater" };
        if count == 1 {
            let thresholds = scope.channels("thresholds", &steps.values);
            let reached = scope.node(operator, "reached", &[x, &thresholds], &[], &x.of(Element::Bool));
            return scope.node("Cast", "", &[&reached], &[to(Element::Float)], x);
        }
        // [n, c, 1, h, w] is compared with [c, count, 1, 1], and the comparisons are added.
        let (thresholds, axis) = (steps.by_channel(), scope.ints("axis", &[2]));
        let thresholds = scope.floats("thresholds", &[channels, count, 1, 1], &thresholds);
        let [c, h, w] = [x.shape[0], x.shape[1], x.shape[2]];
        let (single, many) = (x.shaped(&[c, 1, h, w]), x.shaped(&[c, count, h, w]));
        let single = scope.node("Unsqueeze", "unsqueeze", &[x, &axis], &[], &single);
        let reached = scope.node(operator, "reached", &[&single, &thresholds], &[], &many.of(Element::Bool));
        let ones = scope.node("Cast", "ones", &[&reached], &[to(Element::Float)], &many);
        scope.node("ReduceSum", "", &[&ones, &axis], &[("keepdims", Attr::Int(0))], x)
    }
}

/// Packs integers of this many bits into bytes, the first one into the lowest bits.
fn pack(values: &[i8], bits: usize) -> Vec<u8> {
    let mask = (1u16 << bits) - 1;
    let byte = |values: &[i8]| {
        values.iter().rev().fold(0, |byte: u16, &value| byte << bits | u16::from(value as u8) & mask) as u8
    };
    values.chunks(8 / bits).map(byte).collect()
}
