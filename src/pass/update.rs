//! `update`: appends the optimiser: for each parameter its state and an update in place; before them, where asked for, the gradients' common scale.

use super::optimizer::{Moments, Optimizer, Rule};
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::Role;
use crate::ops::adam::{Adam, Moment};
use crate::ops::add::Add;
use crate::ops::bop::Bop;
use crate::ops::clamp::Clamp;
use crate::ops::clip::{ClipScale, SquareSum};
use crate::ops::scale::Scale;
use crate::ops::sgd::{Sgd, SgdNesterov, SgdVelocity};
use crate::ops::{self, Graph, Leaf, Op};
use crate::tensor::TensorType;

/// Appends the update of every leaf in `gradients`. State is added, named as [`Optimizer`] says, and the input "rates" `[4]`: [`Optimizer::rates`]. `role` is told names of
/// leaves. The nodes of one leaf follow each other, so that a plan can make one launch of them and of those of other leaves.
///
/// # Errors
/// When a gradient does not have its leaf's type.
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
            Role::Trained | Role::Kept => (false, false, false),
        };
        graph.at(&layer, Phase::Update);
        let (lr_scale, decay) = optimizer.settings(&name, weight);
        let mut states = Vec::new();
        for what in optimizer.states(binary) {
            let (name, ty) = (format!("{what}/{name}"), ty.clone());
            states.push(graph.add(Leaf { name, ty, role: ops::Role::State { trained: false } }, &[])?);
        }
        let gradient = match graph.node(gradient).op.clone() {
            // Anew, where it is read: the launch of the update can read it where it lies.
            Op::Row(row) => graph.add(row, &graph.node(gradient).inputs.clone())?,
            _ => gradient,
        };
        let gradient = match scale {
            Some(scale) => graph.add(Scale, &[gradient, scale])?,
            None => gradient,
        };
        let moment = |second, beta: f64, decay| Moment { second, keep: beta as f32, take: (1.0 - beta) as f32, decay };
        let mut adam = |Moments { beta1, beta2, eps }, coupled, decoupled| {
            let first = graph.add(moment(false, beta1, coupled), &[states[0], leaf, gradient])?;
            let second = graph.add(moment(true, beta2, coupled), &[states[1], leaf, gradient])?;
            graph.add(Adam { eps, lr_scale, decay: decoupled }, &[leaf, first, second, rates])
        };
        let updated = match optimizer.rule {
            Rule::Sgd { momentum, nesterov } => {
                let velocity = graph.add(SgdVelocity { momentum, decay }, &[states[0], leaf, gradient])?;
                if nesterov {
                    graph.add(SgdNesterov { momentum, decay, lr_scale }, &[leaf, velocity, gradient, rates])?
                } else {
                    graph.add(Sgd { lr_scale }, &[leaf, velocity, rates])?
                }
            }
            Rule::Bop { gamma, threshold, .. } if binary => {
                let momentum = graph.add(moment(false, 1.0 - gamma, 0.0), &[states[0], leaf, gradient])?;
                graph.add(Bop { threshold }, &[leaf, momentum])?
            }
            Rule::Adam(moments) | Rule::Bop { moments, .. } => adam(moments, decay, 0.0)?,
            Rule::AdamW(moments) => adam(moments, 0.0, decay)?,
        };
        if clipped {
            graph.add(Clamp, &[updated])?;
        }
    }
    Ok(())
}

/// Gradients whose square sums are added one after the other; the totals of so many are added in pairs: see [`crate::ops::sum`].
const IN_TURN: usize = 64;

/// Appends the global norm, and the factor that it asks for of every gradient, if there are any.
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
