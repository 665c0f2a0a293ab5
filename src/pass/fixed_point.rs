//! Parameters in fixed point (Gupta et al., 2015), and the nodes for their random numbers and
//! saturation counts.
//!
//! A parameter is kept on its grid. The optimiser computes in f32, and its result is rounded once,
//! in place. Because the parameter was on the grid, this equals rounding the update w(new) − w to
//! the same ε: stochastic rounding has the same mean, and both saturate.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::{Parameter, Rounding};
use crate::ops::count_saturated::CountSaturated;
use crate::ops::fixed::{Fixed, Format, Quantiser};
use crate::ops::{Graph, Leaf, Op, Role};
use crate::random;
use crate::tensor::{Encoding, TensorType};

impl Quantiser {
    /// Creates a quantiser of a validated format \[IL, FL\]; random numbers come from the stream of
    /// this name.
    pub(super) fn new(format: [usize; 2], rounding: Rounding, stream: &str) -> Self {
        let stream = if rounding == Rounding::Nearest { 0 } else { random::stream(stream) as u32 };
        Self { format: Format::new(format), rounding, stream }
    }

    /// Creates a quantiser that rounds to nearest.
    pub(super) fn nearest(format: [usize; 2]) -> Self {
        Self { format: Format::new(format), rounding: Rounding::Nearest, stream: 0 }
    }
}

/// Returns the leaf of this name.
fn leaf(graph: &Graph, name: &str) -> Option<Value> {
    let named = |op: &Op| matches!(op, Op::Leaf(leaf) if leaf.name == name);
    graph.iter().find(|(_, node)| named(&node.op)).map(|(value, _)| value)
}

/// Returns the leaf of the parameter of this name, which must be in the table.
pub(super) fn parameter_leaf(graph: &mut Graph, parameters: &[Parameter], name: &str) -> Result<Value> {
    if let Some(value) = leaf(graph, name) {
        return Ok(value);
    }
    let parameter = parameters.iter().find(|parameter| parameter.name == name).expect("the layer has it");
    let role = Role::State { trained: parameter.trained() };
    graph.add(Leaf { name: name.to_string(), ty: parameter.ty(), role }, &[])
}

/// Returns the input for random numbers, one leaf for the whole graph.
pub(super) fn random_leaf(graph: &mut Graph) -> Result<Value> {
    match leaf(graph, "random") {
        Some(random) => Ok(random),
        None => graph.add(Leaf::input("random", TensorType::new(&[4], Encoding::U32)), &[]),
    }
}

/// Appends the rounding of x.
pub(super) fn rounded(graph: &mut Graph, op: Fixed, x: Value) -> Result<Value> {
    let random = if op.uses_random() { Some(random_leaf(graph)?) } else { None };
    let inputs: Vec<_> = random.into_iter().chain([x]).collect();
    graph.add(op, &inputs)
}

/// Appends the count of saturated values, kept in a layer's parameter of two words.
pub(super) fn count_saturated(
    graph: &mut Graph,
    parameters: &[Parameter],
    layer: &str,
    x: Value,
    format: Format,
) -> Result<()> {
    let counter = parameter_leaf(graph, parameters, &format!("{layer}.saturated"))?;
    let counter = updated(graph, counter);
    graph.add(CountSaturated { format }, &[counter, x])?;
    Ok(())
}

/// Returns the latest in-place update of a state value.
pub(super) fn updated(graph: &Graph, state: Value) -> Value {
    let mut at = state;
    for (value, node) in graph.iter() {
        if node.op.in_place().is_some_and(|index| node.inputs[index] == at) {
            at = value;
        }
    }
    at
}

/// Appends the rounding of fixed-point parameters to their grids after their update.
///
/// # Errors
///
/// Never returns an error after [`update`](super::update()).
pub(super) fn round_parameters(graph: &mut Graph, parameters: &[Parameter]) -> Result<()> {
    for Parameter { layer, name, fixed, .. } in parameters {
        let Some((format, rounding)) = *fixed else { continue };
        graph.at(layer, Phase::Update);
        let value = Quantiser::new(format, rounding, &format!("{name}/update"));
        let op = Fixed { value, gradient: None, in_place: true };
        let parameter = parameter_leaf(graph, parameters, name)?;
        let wide = updated(graph, parameter);
        count_saturated(graph, parameters, layer, wide, value.format)?;
        rounded(graph, op, wide)?;
    }
    Ok(())
}
