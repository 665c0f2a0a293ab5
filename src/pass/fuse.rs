//! `fuse`: named rewrites that keep values out of memory. Each replaces one node; what becomes dead is dropped by `simplify`.
//!
//! **fold-batch-norm.** A quantiser, an activation or a gradient of one that reads `batch_norm(x, coef)` reads x and coef itself. The normalised floats are then
//! never written: the forward pass reads 2 bytes and writes b bits a value, the backward pass recomputes the surrogate's slope from the saved sums.
//!
//! **fold-rectifier.** A max-pool whose windows do not overlap reads a batch-norm's x and coef in place of relu(batch_norm(x, coef)).
//!
//! **fold-activation.** The two gradients of a batch-norm that read the gradient of a quantiser or rectifier right behind it read dy instead, and multiply it by the slope themselves.
//!
//! **fold-unpool.** The same two read the gradient of a max-pool right behind through its argmax. A batch-norm's gradient whose one reader is that of a max-pool is written through the argmax.
//!
//! **fold-add.** A batch-norm's gradient whose one reader adds it to one that was known before does that itself.

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
/// None in a verified graph.
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
    let source = graph.node(inputs[fold.at]);
    match source.op {
        Op::BatchNorm(_) => [&inputs[..fold.at], &source.inputs, &inputs[fold.at + 1..]].concat(),
        _ => inputs.to_vec(),
    }
}

/// Pools what a batch-norm and a rectifier make of x, where pools alone read the rectifier. Its gradient reads it, too, until it is folded.
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

/// Reads dz through the pool behind the batch-norm.
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

/// Writes a batch-norm's gradient, which nobody else reads, through the pool in front of it.
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

/// Adds to a batch-norm's gradient, which nobody else reads, the one by another path. So only where that one is known first, lest what the batch-norm's reads lives longer.
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
