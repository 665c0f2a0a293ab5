//! `fuse`: named rewrites that keep values out of memory. Each replaces one node; what becomes dead is dropped by `simplify`.
//!
//! **fold-batch-norm.** A quantiser, an activation or a gradient of one that reads `batch_norm(x, coef)` reads x and coef itself. The normalised floats are then
//! never written: the forward pass reads 2 bytes and writes b bits a value, the backward pass recomputes the surrogate's slope from the saved sums.

use super::join::join;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::{Graph, Op};

/// Applies the rewrites.
///
/// # Errors
/// None in a verified graph.
pub fn fuse(graph: &Graph) -> Result<Graph> {
    join(graph)?.rebuild(|new, _, node, inputs| {
        let inputs = fold_batch_norm(new, &node.op, inputs);
        new.add(node.op.clone(), &inputs).map(Some)
    })
}

fn fold_batch_norm(graph: &Graph, op: &Op, inputs: &[Value]) -> Vec<Value> {
    // The place of x, and how many inputs there are while nothing is folded.
    let (reader, unfolded) = match op {
        Op::Relu(_) | Op::Activation(_) => (0, 1),
        Op::Quantise(op) => (0, 1 + usize::from(op.scale.is_some())),
        Op::QuantiseBackward(op) => (1, 2 + usize::from(op.scaled)),
        Op::QuantiseScale(_) => (1, 3),
        Op::Prelu(_) | Op::PreluSlope(_) | Op::CountSaturated(_) => (1, 2),
        Op::PreluBackward(_) => (2, 3),
        Op::Fixed(op) => (op.reader(), op.reader() + 1),
        Op::FixedBackward(op) => (op.reader(), op.reader() + 1),
        _ => return inputs.to_vec(),
    };
    if inputs.len() != unfolded {
        return inputs.to_vec();
    }
    let source = graph.node(inputs[reader]);
    match source.op {
        Op::BatchNorm(_) => [&inputs[..reader], &source.inputs, &inputs[reader + 1..]].concat(),
        _ => inputs.to_vec(),
    }
}
