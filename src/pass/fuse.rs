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
    let reader = match op {
        Op::Hwgq(_) | Op::Relu(_) | Op::Activation(_) => 0,
        Op::HwgqBackward(_) | Op::Prelu(_) | Op::PreluSlope(_) | Op::CountSaturated(_) => 1,
        Op::PreluBackward(_) => 2,
        Op::Fixed(fixed) => fixed.reader(),
        Op::FixedBackward(fixed) => fixed.reader(),
        _ => return inputs.to_vec(),
    };
    if inputs.len() > reader + 1 {
        return inputs.to_vec(); // folded already
    }
    let source = graph.node(inputs[reader]);
    match source.op {
        Op::BatchNorm(_) => [&inputs[..reader], &source.inputs].concat(),
        _ => inputs.to_vec(),
    }
}
