//! `join`: gradients of slices that together cover a whole tensor are concatenated, instead of
//! being padded with zeros and added up.
//!
//! If x is read through the slices x₁ … x_g, its gradient is Σ slice_backward(dx_i): g tensors as
//! large as x and g − 1 sums. If the slices are disjoint and cover x, this equals concat(dx₁, …,
//! dx_g) bit for bit, because every other summand of a channel is zero.

use crate::error::Result;
use crate::graph::Value;
use crate::ops::{Graph, Op, add::Add, concat::Concat};

/// Applies the rewrite.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub(super) fn join(graph: &Graph) -> Result<Graph> {
    graph.rebuild(|new, _, node, inputs| {
        let parts = if let Op::Add(_) = node.op { whole(new, inputs, node.ty.channels()) } else { None };
        let made = match parts {
            None => new.add(node.op.clone(), inputs)?,
            Some((slices, None)) => new.add(Concat, &slices)?,
            Some((slices, Some(other))) => {
                let joined = new.add(Concat, &slices)?;
                new.add(Add, &[other, joined])?
            }
        };
        Ok(Some(made))
    })
}

/// Returns the gradients of slices among the summands, in the order of their channels, and the only
/// other summand if there is one; `None` unless the slices cover all channels.
fn whole(graph: &Graph, summands: &[Value], channels: usize) -> Option<(Vec<Value>, Option<Value>)> {
    let (mut open, mut slices, mut others) = (summands.to_vec(), Vec::new(), Vec::new());
    while let Some(value) = open.pop() {
        let node = graph.node(value);
        match &node.op {
            Op::Add(_) => open.extend(&node.inputs),
            Op::SliceBackward(slice) => slices.push((slice.first, node.inputs[0])),
            _ => others.push(value),
        }
    }
    slices.sort_unstable();
    let mut next = 0;
    for &(first, value) in &slices {
        if first != next {
            return None;
        }
        next += graph.ty(value).channels();
    }
    // With two other summands the order of additions would change.
    let fits = next == channels && slices.len() > 1 && others.len() <= 1;
    fits.then(|| (slices.into_iter().map(|(_, value)| value).collect(), others.pop()))
}
