//! Parameters in fixed point (Gupta et al., 2015), and what drawing and counting need in a graph.
//!
//! A parameter is kept on its grid. The optimiser computes wide; its result is rounded once, in place. Since the parameter lay on the grid, that is the same as rounding the
//! update w(new) − w to the same ε: stochastically with the same mean, and saturating.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::{Model, Rounding, WeightMode};
use crate::ops::count_saturated::CountSaturated;
use crate::ops::fixed::{self, Fixed, Format, Quantiser};
use crate::ops::{Graph, Leaf, Op, Role};
use crate::random;
use crate::tensor::{Encoding, TensorType};

impl Quantiser {
    /// Of a format \[IL, FL\] that was checked; random numbers come from the stream of this name.
    pub(super) fn new(format: [usize; 2], rounding: Rounding, stream: &str) -> Self {
        let rounding = match rounding {
            Rounding::Nearest => fixed::Rounding::Nearest,
            Rounding::Stochastic => fixed::Rounding::Stochastic { stream: random::stream(stream) as u32 },
        };
        Self { format: Format::new(format), rounding }
    }

    /// To the nearest.
    pub(super) fn nearest(format: [usize; 2]) -> Self {
        Self { format: Format::new(format), rounding: fixed::Rounding::Nearest }
    }
}

/// The leaf of this name.
fn leaf(graph: &Graph, name: &str) -> Option<Value> {
    let named = |op: &Op| matches!(op, Op::Leaf(leaf) if leaf.name == name);
    graph.iter().find(|(_, node)| named(&node.op)).map(|(value, _)| value)
}

/// What random numbers are drawn with: one leaf for the whole graph.
pub(super) fn random_leaf(graph: &mut Graph) -> Result<Value> {
    match leaf(graph, "random") {
        Some(random) => Ok(random),
        None => graph.add(Leaf::input("random", TensorType::new(&[4], Encoding::U32)), &[]),
    }
}

/// Appends the rounding of x.
pub(super) fn rounded(graph: &mut Graph, op: Fixed, x: Value) -> Result<Value> {
    let random = if op.draws() { Some(random_leaf(graph)?) } else { None };
    let inputs: Vec<_> = random.into_iter().chain([x]).collect();
    graph.add(op, &inputs)
}

/// Appends the count of what saturates, as state "`layer`.saturated" `[2]`: the words of a number of 64 bits.
pub(super) fn count_saturated(graph: &mut Graph, layer: &str, x: Value, format: Format) -> Result<()> {
    let name = format!("{layer}.saturated");
    let counter = match leaf(graph, &name) {
        Some(counter) => updated(graph, counter),
        None => {
            let ty = TensorType::new(&[2], Encoding::U32);
            graph.add(Leaf { name, ty, role: Role::State { trained: false } }, &[])?
        }
    };
    graph.add(CountSaturated { format }, &[counter, x])?;
    Ok(())
}

/// What has become of state by now.
pub(super) fn updated(graph: &Graph, state: Value) -> Value {
    let mut at = state;
    for (value, node) in graph.iter() {
        if node.op.in_place().is_some_and(|index| node.inputs[index] == at) {
            at = value;
        }
    }
    at
}

/// Appends what keeps the parameters of all layers with weights in fixed point on their grids, after their update.
///
/// # Errors
/// None after [`update`](super::update()).
pub(super) fn settle(graph: &mut Graph, model: &Model) -> Result<()> {
    for layer in &model.layers {
        let Some(weights) = layer.kind.weights().filter(|weights| weights.mode == WeightMode::Fixed) else { continue };
        graph.at(&layer.name, Phase::Update);
        for part in ["weight", "bias"] {
            let name = format!("{}.{part}", layer.name);
            let Some(parameter) = leaf(graph, &name) else { continue };
            let value = Quantiser::new(weights.format, weights.rounding, &format!("{name}/update"));
            let op = Fixed { value, gradient: None, in_place: true };
            let wide = updated(graph, parameter);
            count_saturated(graph, &layer.name, wide, value.format)?;
            rounded(graph, op, wide)?;
        }
    }
    Ok(())
}
