//! QONNX: weights as `BipolarQuant`, quantisers as `MultiThreshold`
//! ([operators](https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops)).
//! Types of codes and sums are noted as quantisation annotations, which FINN reads.

use super::graph::{Attr, Graph, Value};
use super::layers::{Dialect, Scope, Steps};
use halfwave_infer::Kind;

/// The domain of both operators.
const DOMAIN: &str = "qonnx.custom_op.general";

/// See the module.
pub(super) struct Qonnx;

impl Dialect for Qonnx {
    /// Plane j is quantised to ±2^j; the planes are added.
    fn weights(&self, scope: &mut Scope<'_>, array: &str, planes: &[Vec<i8>], shape: &[usize]) -> Value {
        let mut total: Option<Value> = None;
        for (j, plane) in planes.iter().enumerate() {
            let suffix = if planes.len() == 1 { String::new() } else { format!("_plane{j}") };
            let values: Vec<_> = plane.iter().map(|&sign| f32::from(sign)).collect();
            let signs = scope.floats(&format!("{array}{suffix}"), shape, &values);
            let scale = scope.float(&format!("{array}{suffix}_scale"), (1 << j) as f32);
            let name = scope.part(&format!("{array}{suffix}"));
            let bipolar = scope.graph.custom((DOMAIN, "BipolarQuant"), &name, &[&signs, &scale], &[], &signs);
            if j == 0 {
                scope.graph.annotate(&bipolar, "BIPOLAR");
            }
            total = Some(match total {
                Some(total) => {
                    let part = format!("{array}_planes{}", j + 1);
                    let sum = scope.node("Add", &part, &[&total, &bipolar], &[], &signs);
                    scope.graph.annotate(&sum, &format!("INT{}", j + 2));
                    sum
                }
                None => bipolar,
            });
        }
        total.expect("a base has a plane")
    }

    /// `MultiThreshold` counts the thresholds t with x ≥ t; x > t is x ≥ the next float above t.
    fn codes(&self, scope: &mut Scope<'_>, x: &Value, steps: &Steps) -> Value {
        let mut thresholds = steps.by_channel();
        if !steps.at_least {
            thresholds.iter_mut().for_each(|t| *t = t.next_up());
        }
        let thresholds = scope.floats("thresholds", &[steps.channels, steps.count], &thresholds);
        let ty = codes(steps.bits);
        let attributes = [
            ("out_dtype", Attr::Text(&ty)),
            ("out_scale", Attr::Float(1.0)),
            ("out_bias", Attr::Float(0.0)),
            ("data_layout", Attr::Text("NCHW")),
        ];
        let name = scope.part("");
        scope.graph.custom((DOMAIN, "MultiThreshold"), &name, &[x, &thresholds], &attributes, x)
    }

    fn note(&self, graph: &mut Graph, value: &Value, kind: Kind) {
        match kind {
            Kind::Float => {}
            Kind::Codes(bits) => graph.annotate(value, &codes(bits)),
            Kind::Sums(largest) => graph.annotate(value, &format!("INT{}", largest.ilog2() + 2)),
        }
    }
}

/// The name of a type of codes.
fn codes(bits: u8) -> String {
    if bits == 1 { "BINARY".into() } else { format!("UINT{bits}") }
}
