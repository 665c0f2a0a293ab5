//! `update`: appends the optimiser: for each parameter its state and an update in place; before them, where asked for, the gradients' common scale.

use super::fixed_point::updated;
use super::optimizer::{Moments, Optimizer, Rule};
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::ops::adam::{Adam, Moment};
use crate::ops::add::Add;
use crate::ops::bop::Bop;
use crate::ops::clamp::Clamp;
use crate::ops::clip::{ClipScale, SquareSum};
use crate::ops::scale::Scale;
use crate::ops::sgd::{Sgd, SgdNesterov, SgdVelocity};
use crate::ops::{Graph, Leaf, Op, Role};
use crate::tensor::TensorType;

/// Appends the update of every leaf in `gradients`. State is added, named as [`Optimizer`] says, and the input "rates" `[4]`: [`Optimizer::rates`]. Leaves named in
/// `binary` are weights that an optimiser may flip.
///
/// # Errors
/// When a gradient does not have its leaf's type.
pub fn update(graph: &mut Graph, gradients: &[(Value, Value)], optimizer: &Optimizer, binary: &[String]) -> Result<()> {
    graph.at("optimizer", Phase::Update);
    let rates = graph.add(Leaf::input("rates", TensorType::f32(&[4])), &[])?;
    let gradients = match optimizer.clip_norm {
        Some(max_norm) => clipped(graph, gradients, max_norm)?,
        None => gradients.to_vec(),
    };
    for (leaf, gradient) in gradients {
        let node = graph.node(leaf);
        let (layer, ty) = (node.layer.clone(), node.ty.clone());
        let Op::Leaf(Leaf { name, .. }) = &node.op else { unreachable!("gradients of leaves") };
        let name = name.clone();
        let binary = binary.contains(&name);
        graph.at(&layer, Phase::Update);
        let weight = name.ends_with(".weight") && ty.shape.len() == 4;
        let (lr_scale, decay) = optimizer.settings(&name, weight);
        let mut states = Vec::new();
        for what in optimizer.states(binary) {
            let (name, ty) = (format!("{what}/{name}"), ty.clone());
            states.push(graph.add(Leaf { name, ty, role: Role::State { trained: false } }, &[])?);
        }
        let moment = |second, beta: f64, decay| Moment { second, keep: beta as f32, take: (1.0 - beta) as f32, decay };
        let mut adam = |Moments { beta1, beta2, eps }, coupled, decoupled| {
            let first = graph.add(moment(false, beta1, coupled), &[states[0], leaf, gradient])?;
            let second = graph.add(moment(true, beta2, coupled), &[states[1], leaf, gradient])?;
            graph.add(Adam { eps, lr_scale, decay: decoupled }, &[leaf, first, second, rates])
        };
        match optimizer.rule {
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
    }
    Ok(())
}

/// Appends what keeps the leaves of these names in [−1, 1] after their update.
///
/// # Errors
/// None after [`update`].
pub fn clip_weights(graph: &mut Graph, names: &[String]) -> Result<()> {
    let named = |node: &crate::graph::Node<Op>| matches!(&node.op, Op::Leaf(leaf) if names.contains(&leaf.name));
    let leaves: Vec<_> = graph.iter().filter(|(_, node)| named(node)).map(|(value, _)| value).collect();
    for leaf in leaves {
        let (updated, layer) = (updated(graph, leaf), graph.node(leaf).layer.clone());
        graph.at(&layer, Phase::Update);
        graph.add(Clamp, &[updated])?;
    }
    Ok(())
}

/// Gradients whose square sums are added one after the other; the totals of so many are added in pairs: see [`crate::ops::sum`].
const IN_TURN: usize = 64;

/// Appends the global norm, and every gradient times what it asks for.
fn clipped(graph: &mut Graph, gradients: &[(Value, Value)], max_norm: f32) -> Result<Vec<(Value, Value)>> {
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
    let Some(&total) = totals.first() else { return Ok(Vec::new()) };
    let scale = graph.add(ClipScale { max_norm }, &[total])?;
    gradients.iter().map(|&(leaf, gradient)| Ok((leaf, graph.add(Scale, &[gradient, scale])?))).collect()
}
