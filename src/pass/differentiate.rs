//! `differentiate`: appends the backward pass, in reverse order of the nodes.
//!
//! **Invariant:** a node is differentiated once, after all its readers, when the sum of their
//! gradients is complete.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::ops::{Backward, Graph, Op, Role};

/// Appends the gradients of `root` with respect to every trained leaf, and returns them in the
/// order of the leaves.
///
/// `seed` is the gradient of the root; `None` if the root is itself the objective.
///
/// # Errors
///
/// Returns an error if an operation between the root and a trained leaf has no derivative.
pub fn differentiate(graph: &mut Graph, root: Value, seed: Option<Value>) -> Result<Vec<(Value, Value)>> {
    // A value's gradient is needed if the value depends on a trained leaf.
    let mut wanted = Vec::with_capacity(graph.nodes().len());
    for (_, node) in graph.iter() {
        let trained = matches!(&node.op, Op::Leaf(leaf) if leaf.role == Role::State { trained: true });
        wanted.push(trained || node.inputs.iter().any(|input| wanted[input.0]));
    }
    let mut gradients: Vec<Option<Value>> = vec![None; graph.nodes().len()];
    gradients[root.0] = Some(seed.unwrap_or(root));
    for id in (0..=root.0).rev() {
        let Some(dy) = gradients[id] else { continue };
        let node = graph.node(Value(id));
        if !wanted[id] || node.inputs.is_empty() {
            continue;
        }
        let (op, layer) = (node.op.clone(), node.layer.clone());
        graph.at(&layer, Phase::Backward);
        op.backward(&mut Backward { graph, node: Value(id), dy, wanted: &wanted, gradients: &mut gradients })?;
    }
    let trained =
        |value: Value| matches!(&graph.node(value).op, Op::Leaf(leaf) if leaf.role == Role::State { trained: true });
    let leaves = (0..wanted.len()).map(Value).filter(|&value| trained(value));
    Ok(leaves.filter_map(|leaf| Some((leaf, gradients[leaf.0]?))).collect())
}
