//! `simplify`: equal operations on equal inputs are computed once; identities and unused values are
//! dropped.

use crate::error::Result;
use crate::graph::{Typed, Value};
use crate::ops::{Graph, Op};

/// Merges common subexpressions and drops dead values; effects (in-place updates) and outputs stay.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub fn simplify(graph: &Graph) -> Result<Graph> {
    let shared = share(graph)?;
    drop_dead(&shared)
}

fn share(graph: &Graph) -> Result<Graph> {
    // Quadratic in the number of nodes, of which there are hundreds.
    let mut known: Vec<(Op, Vec<Value>, Value)> = Vec::new();
    graph.rebuild(|new, _, node, inputs| {
        // Only its gradient differs from the identity, and the backward pass has been built.
        if let Op::DorefaGradient(_) = node.op {
            return Ok(Some(inputs[0]));
        }
        // A row is recomputed wherever it is read: merged into the reader, it may cost nothing.
        let pure = node.op.in_place().is_none() && !matches!(node.op, Op::Leaf(_) | Op::Row(_));
        if pure && let Some((.., value)) = known.iter().find(|(op, from, _)| *op == node.op && from == inputs) {
            return Ok(Some(*value));
        }
        let value = new.add(node.op.clone(), inputs)?;
        if pure {
            known.push((node.op.clone(), inputs.to_vec(), value));
        }
        Ok(Some(value))
    })
}

fn drop_dead(graph: &Graph) -> Result<Graph> {
    let mut needed = vec![false; graph.nodes().len()];
    for (_, value) in &graph.outputs {
        needed[value.0] = true;
    }
    for (value, node) in graph.iter().rev() {
        needed[value.0] |= node.op.in_place().is_some();
        if needed[value.0] {
            node.inputs.iter().for_each(|input| needed[input.0] = true);
        }
    }
    graph.rebuild(|new, value, node, inputs| {
        if !needed[value.0] {
            return Ok(None);
        }
        new.add(node.op.clone(), inputs).map(Some)
    })
}
