//! `fuse`: named rewrites that avoid writing intermediate values to memory. Each replaces one node;
//! nodes that become dead are dropped by `simplify`.
//!
//! **fold-batch-norm.** A quantiser, an activation or the gradient of one that reads `batch_norm(x,
//! coef)` reads x and coef instead. The normalised floats are then never written: the forward pass
//! reads 2 bytes and writes b bits per value, and the backward pass recomputes the slope of the
//! surrogate from the saved sums.
//!
//! **fold-rectifier.** A max-pool with non-overlapping windows reads a batch-norm's x and coef
//! instead of relu(batch_norm(x, coef)).
//!
//! **fold-activation.** The two gradients of a batch-norm that read the gradient of the quantiser
//! or rectifier directly after it read dy instead, and multiply it by the slope themselves.
//!
//! **fold-unpool.** The same two gradients read the gradient of a max-pool directly after the
//! batch-norm through its argmax. A batch-norm's gradient whose only reader is the gradient of a
//! max-pool is written through the argmax.
//!
//! **fold-add.** A batch-norm's gradient whose only reader adds it to a gradient computed earlier
//! performs that addition itself.

use super::join::join;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::batch_norm_backward::{BatchNormDx, BatchNormSums, Unpool};
use crate::ops::max_pool::{MaxPool, MaxPoolArgmax, has_argmax};
use crate::ops::quantise_backward::QuantiseBackward;
use crate::ops::{Graph, Op};

/// Applies the rewrites.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub fn fuse(graph: &Graph) -> Result<Graph> {
    let graph = join(graph)?;
    let readers = |value: Value| -> Vec<&Op> {
        let readers = graph.iter().filter(|(_, reader)| reader.inputs.contains(&value));
        readers.map(|(_, reader)| &reader.op).collect()
    };
    graph.rebuild(|new, _, node, inputs| {
        let inputs = fold_batch_norm(new, &node.op, inputs);
        let inputs = fold_rectifier(new, &node.op, inputs, || readers(node.inputs[0]));
        let (op, inputs) = fold_activation(new, &node.op, inputs);
        let (op, inputs) = fold_unpool(new, op, inputs);
        let (op, inputs) = write_unpooled(new, op, inputs, || readers(node.inputs[0]));
        let (op, inputs) = add_gradient(new, op, inputs, |at| readers(node.inputs[at]));
        new.add(op, &inputs).map(Some)
    })
}

fn fold_batch_norm(graph: &Graph, op: &Op, inputs: &[Value]) -> Vec<Value> {
    let Some(fold) = op.folds().filter(|fold| fold.coef(inputs.len()).is_none()) else { return inputs.to_vec() };
    let source = graph.node(inputs[fold.input]);
    match source.op {
        Op::BatchNorm(_) => [&inputs[..fold.input], &source.inputs, &inputs[fold.input + 1..]].concat(),
        _ => inputs.to_vec(),
    }
}

/// Pools relu(batch_norm(x)) directly from x, if only pools read the rectifier. The rectifier's
/// gradient, too, reads it until it is folded.
fn fold_rectifier<'g>(graph: &Graph, op: &Op, inputs: Vec<Value>, readers: impl Fn() -> Vec<&'g Op>) -> Vec<Value> {
    let (Op::MaxPool(MaxPool { window }) | Op::MaxPoolArgmax(MaxPoolArgmax { window })) = op else { return inputs };
    let y = graph.node(inputs[0]);
    let folds = |op: &Op| matches!(op, Op::MaxPool(_) | Op::MaxPoolArgmax(_) | Op::ReluBackward(_));
    match y.op {
        Op::Relu(_) if y.inputs.len() == 2 && has_argmax(window) && readers().into_iter().all(folds) => {
            y.inputs.clone()
        }
        _ => inputs,
    }
}

fn fold_activation(graph: &Graph, op: &Op, inputs: Vec<Value>) -> (Op, Vec<Value>) {
    let folds: fn(Option<QuantiseBackward>) -> Op = match op {
        Op::BatchNormSums(BatchNormSums { through: None, .. }) => {
            |through| BatchNormSums { through, unpool: None }.into()
        }
        Op::BatchNormDx(BatchNormDx { through: None, .. }) => {
            |through| BatchNormDx { through, unpool: None, plus: false, in_place: false }.into()
        }
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

/// Reads dz through the pool after the batch-norm.
fn fold_unpool(graph: &Graph, op: Op, mut inputs: Vec<Value>) -> (Op, Vec<Value>) {
    let (Op::BatchNormSums(BatchNormSums { unpool: None, .. }) | Op::BatchNormDx(BatchNormDx { unpool: None, .. })) =
        op
    else {
        return (op, inputs);
    };
    let dz = graph.node(inputs[2]);
    let Op::MaxUnpool(pool) = dz.op else { return (op, inputs) };
    inputs[2] = dz.inputs[0];
    inputs.push(dz.inputs[1]);
    let op = match op {
        Op::BatchNormSums(BatchNormSums { through, .. }) => BatchNormSums { through, unpool: Some(pool) }.into(),
        Op::BatchNormDx(op) => BatchNormDx { unpool: Some(Unpool::Read(pool)), ..op }.into(),
        op => op,
    };
    (op, inputs)
}

/// Writes a batch-norm's gradient, which has no other reader, through the pool before it.
fn write_unpooled<'g>(
    graph: &Graph,
    op: Op,
    inputs: Vec<Value>,
    readers: impl Fn() -> Vec<&'g Op>,
) -> (Op, Vec<Value>) {
    let Op::MaxUnpool(pool) = op else { return (op, inputs) };
    let dx = graph.node(inputs[0]);
    match dx.op {
        Op::BatchNormDx(op @ BatchNormDx { unpool: None, .. }) if pool.leaves_nothing() && readers().len() == 1 => {
            let unpool = Some(Unpool::Written(pool));
            (BatchNormDx { unpool, ..op }.into(), dx.inputs.iter().copied().chain([inputs[1]]).collect())
        }
        _ => (op, inputs),
    }
}

/// Adds the gradient of another path to a batch-norm's gradient, which has no other reader. Done
/// only if the other gradient is computed first; otherwise the batch-norm's inputs would live
/// longer.
fn add_gradient<'g>(
    graph: &Graph,
    op: Op,
    inputs: Vec<Value>,
    readers: impl Fn(usize) -> Vec<&'g Op>,
) -> (Op, Vec<Value>) {
    let (Op::Add(_), [a, b]) = (&op, &inputs[..]) else { return (op, inputs) };
    let (at, other) = if a > b { (0, *b) } else { (1, *a) };
    let dx = graph.node(inputs[at]);
    let written = |unpool| matches!(unpool, Some(Unpool::Written(_)));
    match dx.op {
        Op::BatchNormDx(op @ BatchNormDx { plus: false, .. })
            if a != b && !written(op.unpool) && readers(at).len() == 1 =>
        {
            let (front, behind) = dx.inputs.split_at(4);
            (BatchNormDx { plus: true, ..op }.into(), [front, &[other], behind].concat())
        }
        _ => (op, inputs),
    }
}
