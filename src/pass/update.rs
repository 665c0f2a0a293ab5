//! `update`: appends the optimiser: for each parameter a velocity and an in-place update.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::ops::{Graph, Leaf, Op, Role, sgd};
use crate::tensor::TensorType;

/// Stochastic gradient descent; the learning rate is an input of the step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sgd {
    /// μ.
    pub momentum: f32,
    /// On convolution and linear weights only.
    pub weight_decay: f32,
}

/// Appends the update of every leaf in `gradients`. State "velocity/…" is added, and the input "lr" `[1]`.
///
/// # Errors
/// When a gradient does not have its leaf's type.
pub fn update(graph: &mut Graph, gradients: &[(Value, Value)], optimizer: &Sgd) -> Result<()> {
    graph.at("optimizer", Phase::Update);
    let lr = graph.add(Leaf::input("lr", TensorType::f32(&[1])), &[])?;
    for &(leaf, gradient) in gradients {
        let node = graph.node(leaf);
        let (layer, ty) = (node.layer.clone(), node.ty.clone());
        let Op::Leaf(Leaf { name, .. }) = &node.op else { unreachable!("gradients of leaves") };
        let (name, decays) = (format!("velocity/{name}"), name.ends_with(".weight"));
        graph.at(&layer, Phase::Update);
        let velocity = graph.add(Leaf { name, ty, role: Role::State { trained: false } }, &[])?;
        let decay = if decays { optimizer.weight_decay } else { 0.0 };
        let op = sgd::SgdVelocity { momentum: optimizer.momentum, decay };
        let velocity = graph.add(op, &[velocity, leaf, gradient])?;
        graph.add(sgd::Sgd, &[leaf, velocity, lr])?;
    }
    Ok(())
}
