//! `fuse`: named rewrites that keep values out of memory. Each replaces one node; what becomes dead is dropped by `simplify`.
//!
//! **fold-batch-norm.** A quantiser, an activation or a gradient of one that reads `batch_norm(x, coef)` reads x and coef itself. The normalised floats are then
//! never written: the forward pass reads 2 bytes and writes b bits a value, the backward pass recomputes the surrogate's slope from the saved sums.
//!
//! **fold-activation.** The two gradients of a batch-norm that read the gradient of a quantiser or rectifier right behind it read dy instead, and multiply it by the slope themselves.

use super::join::join;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::batch_norm_backward::{BatchNormDx, BatchNormSums};
use crate::ops::quantise_backward::QuantiseBackward;
use crate::ops::{Graph, Op};

/// Applies the rewrites.
///
/// # Errors
/// None in a verified graph.
pub fn fuse(graph: &Graph) -> Result<Graph> {
    join(graph)?.rebuild(|new, _, node, inputs| {
        let inputs = fold_batch_norm(new, &node.op, inputs);
        let (op, inputs) = fold_activation(new, &node.op, inputs);
        new.add(op, &inputs).map(Some)
    })
}

fn fold_batch_norm(graph: &Graph, op: &Op, inputs: &[Value]) -> Vec<Value> {
    let Some(fold) = op.folds().filter(|fold| fold.coef(inputs.len()).is_none()) else { return inputs.to_vec() };
    let source = graph.node(inputs[fold.at]);
    match source.op {
        Op::BatchNorm(_) => [&inputs[..fold.at], &source.inputs, &inputs[fold.at + 1..]].concat(),
        _ => inputs.to_vec(),
    }
}

fn fold_activation(graph: &Graph, op: &Op, inputs: Vec<Value>) -> (Op, Vec<Value>) {
    let folds: fn(Option<QuantiseBackward>) -> Op = match op {
        Op::BatchNormSums(BatchNormSums { through: None }) => |through| BatchNormSums { through }.into(),
        Op::BatchNormDx(BatchNormDx { through: None }) => |through| BatchNormDx { through }.into(),
        _ => return (op.clone(), inputs),
    };
    let dz = graph.node(inputs[2]);
    let is_mapped = |values: &[Value]| *values == inputs[..2];
    let (through, scale) = match &dz.op {
        Op::QuantiseBackward(slope) if dz.inputs.len() > 2 && is_mapped(&dz.inputs[1..3]) => (*slope, dz.inputs.get(3)),
        Op::ReluBackward(_) => match graph.node(dz.inputs[1]) {
            y if matches!(y.op, Op::Relu(_)) && is_mapped(&y.inputs) => (QuantiseBackward::RECTIFIER, None),
            _ => return (op.clone(), inputs),
        },
        _ => return (op.clone(), inputs),
    };
    let folded = [&inputs[..2], &dz.inputs[..1], &inputs[3..]].concat().into_iter().chain(scale.copied());
    (folds(Some(through)), folded.collect())
}
