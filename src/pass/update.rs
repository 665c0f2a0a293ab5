//! `update`: appends the optimiser: for each parameter its state and an in-place update, preceded
//! by the gradients' common scale if clipping is requested.

use super::{Optimizer, Target};
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::Role;
use crate::ops::add::Add;
use crate::ops::clamp::Clamp;
use crate::ops::clip::{ClipScale, SquareSum};
use crate::ops::scale::Scale;
use crate::ops::{self, Graph, Leaf, Op};
use crate::tensor::TensorType;

/// Appends the update of every leaf in `gradients`. State is added with the names given in
/// [`Optimizer`], and so is the input "rates" `[4]`: [`Optimizer::rates`]. `role` is called with
/// the names of leaves. The nodes of one leaf are adjacent, so that a plan can merge them, with
/// those of other leaves, into one launch.
///
/// # Errors
///
/// Returns an error if a gradient does not have its leaf's type.
pub fn update(
    graph: &mut Graph,
    gradients: &[(Value, Value)],
    optimizer: &Optimizer,
    role: impl Fn(&str) -> Role,
) -> Result<()> {
    graph.at("optimizer", Phase::Update);
    let rates = graph.add(Leaf::input("rates", TensorType::f32(&[4])), &[])?;
    let scale = match optimizer.clip_norm {
        Some(max_norm) => norm_scale(graph, gradients, max_norm)?,
        None => None,
    };
    for &(leaf, gradient) in gradients {
        let node = graph.node(leaf);
        let (layer, ty) = (node.layer.clone(), node.ty.clone());
        let Op::Leaf(Leaf { name, .. }) = &node.op else { unreachable!("gradients of leaves") };
        let name = name.clone();
        let (binary, weight, clipped) = match role(&name) {
            Role::Weight { binary, clipped } => (binary, true, clipped),
            Role::Trained | Role::Untrained => (false, false, false),
        };
        graph.at(&layer, Phase::Update);
        let (lr_scale, decay) = optimizer.settings(&name, weight);
        let mut states = [rates; 2];
        // Where ranks vote, the state belongs to their votes.
        let voted = optimizer.votes(binary);
        let kept = if voted { &[] } else { optimizer.states(binary) };
        for (state, what) in states.iter_mut().zip(kept) {
            let (name, ty) = (format!("{what}/{name}"), ty.clone());
            *state = graph.add(Leaf { name, ty, role: ops::Role::State { trained: false } }, &[])?;
        }
        let gradient = anew(graph, gradient)?;
        let gradient = match scale {
            Some(scale) => graph.add(Scale, &[gradient, scale])?,
            None => gradient,
        };
        let mut target = Target { graph, weight: leaf, gradient, rates, states, lr_scale, decay, binary };
        let rule = &optimizer.rule;
        let updated = if voted { rule.follow(&mut target)? } else { rule.append(&mut target)? };
        if clipped {
            graph.add(Clamp, &[updated])?;
        }
    }
    Ok(())
}

/// Duplicates a gradient that is a row, so that the launch that reads it can read the row in place.
pub(super) fn anew(graph: &mut Graph, gradient: Value) -> Result<Value> {
    match graph.node(gradient).op.clone() {
        Op::Row(row) => graph.add(row, &graph.node(gradient).inputs.clone()),
        _ => Ok(gradient),
    }
}

/// Number of gradients whose square sums are added sequentially; the totals of such chunks are
/// added pairwise: see [`crate::ops::sum`].
const IN_TURN: usize = 64;

/// Appends the global norm of the gradients and the factor that clips them; `None` without
/// gradients.
fn norm_scale(graph: &mut Graph, gradients: &[(Value, Value)], max_norm: f32) -> Result<Option<Value>> {
    let mut totals = Vec::new();
    for gradients in gradients.chunks(IN_TURN) {
        let mut total = None;
        for &(_, gradient) in gradients {
            let inputs: Vec<_> = [Some(gradient), total].into_iter().flatten().collect();
            total = Some(graph.add(SquareSum, &inputs)?);
        }
        totals.extend(total);
    }
    while totals.len() > 1 {
        let pairs = totals.chunks(2).map(|pair| if pair.len() == 2 { graph.add(Add, pair) } else { Ok(pair[0]) });
        totals = pairs.collect::<Result<_>>()?;
    }
    totals.first().map(|&total| graph.add(ClipScale { max_norm }, &[total])).transpose()
}
