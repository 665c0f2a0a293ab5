//! What a plan's memory is used for, and what the same step would take in floats.

use super::slots::assign;
use crate::graph::{Phase, Value};
use crate::ops::{Graph, Op};
use crate::tensor::{Encoding, TensorType};
use std::ops::Range;

/// Something that the forward pass keeps for the backward pass.
#[derive(Clone, PartialEq, Debug)]
pub struct Saved {
    /// The layer that made it.
    pub layer: String,
    /// The operation that made it.
    pub stem: &'static str,
    /// How it is kept.
    pub ty: TensorType,
}

impl Saved {
    /// Bytes as it is kept.
    pub fn bytes(&self) -> u64 {
        self.ty.bytes() as u64
    }

    /// Bytes of the f32 tensor that it stands for.
    pub fn f32_bytes(&self) -> u64 {
        self.ty.with(Encoding::F32).bytes() as u64
    }
}

/// The account of a plan's memory, in bytes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    /// Parameters, optimiser state, running statistics.
    pub state: u64,
    /// Inputs and outputs of the step.
    pub ports: u64,
    /// Buffers that values share within a step.
    pub transient: u64,
    /// All of them: the peak, for nothing is allocated during a step.
    pub peak: u64,
    /// The peak of the same step with every saved activation in f32.
    pub peak_f32: u64,
    /// What is kept for the backward pass.
    pub saved: Vec<Saved>,
}

fn is_activation(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    node.phase == Phase::Forward
        && !matches!(node.op, Op::Leaf(_) | Op::Gather(_)) // images come from outside
        && node.ty.shape.len() == 4
        && node.ty.encoding != Encoding::U32
}

/// Values that the forward pass keeps for the backward pass.
pub(super) fn saved(graph: &Graph) -> Vec<Value> {
    let mut kept = vec![false; graph.nodes().len()];
    for node in graph.nodes().iter().filter(|node| node.phase == Phase::Backward) {
        node.inputs.iter().for_each(|input| kept[input.0] = true);
    }
    (0..kept.len()).map(Value).filter(|&value| kept[value.0] && is_activation(graph, value)).collect()
}

/// Peak bytes with every saved activation in f32.
pub(super) fn peak_f32(
    graph: &Graph,
    units: &[Range<usize>],
    scratch: impl Fn(Value) -> Vec<usize>,
    lasting: &[(Value, Value)],
) -> u64 {
    let saved = saved(graph);
    let words = |value: Value| {
        let ty = graph.ty(value);
        if saved.contains(&value) { ty.with(Encoding::F32).words() } else { graph.stored(value).words() }
    };
    assign(graph, units, words, scratch, lasting).bytes()
}
