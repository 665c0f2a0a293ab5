//! Memory use of a plan, compared with the same step in floats.

use super::slots::assign;
use super::tenants::Allocation;
use super::{Plan, Port};
use crate::graph::{Phase, Value};
use crate::ops::{Graph, Op};
use crate::tensor::{Encoding, TensorType};
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::ops::Range;

/// A value that the forward pass saves for the backward pass.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SavedTensor {
    /// The layer that computed it.
    pub layer: String,
    /// The operation that computed it.
    pub stem: &'static str,
    /// Its type.
    #[serde(rename = "type", serialize_with = "as_text")]
    pub ty: TensorType,
}

/// Writes a type as plans print it, such as `u2[64, 8, 8, 16]`.
fn as_text<S: Serializer>(ty: &TensorType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(ty)
}

impl SavedTensor {
    /// Bytes in the saved encoding.
    pub fn bytes(&self) -> u64 {
        self.ty.bytes() as u64
    }

    /// Bytes of the f32 tensor that it represents.
    pub fn f32_bytes(&self) -> u64 {
        self.ty.with(Encoding::F32).bytes() as u64
    }
}

/// Memory use of a plan, in bytes.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Memory {
    /// Parameters, optimiser state, running statistics.
    pub state: u64,
    /// Inputs and outputs of the step.
    pub ports: u64,
    /// Buffers that values share within a step.
    pub transient: u64,
    /// Total, which is the peak because nothing is allocated during a step.
    pub peak: u64,
    /// Peak of the same step with every saved activation in f32.
    pub peak_f32: u64,
    /// Values saved for the backward pass.
    pub saved: Vec<SavedTensor>,
}

impl Plan {
    /// Returns the bytes used by the plans of one step when all are loaded on a device. They share
    /// state buffers of the same name, and transient buffers, which those that are not nested and those
    /// that are have apart.
    pub fn peak_of<'a>(plans: impl IntoIterator<Item = &'a Self>) -> u64 {
        let (mut state, mut ports, mut transient) = (HashMap::new(), 0, [0; 2]);
        for plan in plans {
            let length = |port: &Port| plan.slots[port.place.slot].words as u64 * 4;
            state.extend(plan.state.iter().map(|port| (port.name.clone(), length(port))));
            ports += plan.memory.ports;
            let most = &mut transient[usize::from(plan.nested)];
            *most = plan.memory.transient.max(*most);
        }
        state.into_values().sum::<u64>() + ports + transient.into_iter().sum::<u64>()
    }
}

fn is_activation(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    node.phase == Phase::Forward
        && !matches!(node.op, Op::Leaf(_) | Op::Gather(_)) // images come from outside
        && node.ty.shape.len() == 4
        && node.ty.encoding != Encoding::U32
}

/// Returns the values that the forward pass saves for the backward pass.
pub(super) fn saved(graph: &Graph) -> Vec<Value> {
    let mut kept = vec![false; graph.nodes().len()];
    for node in graph.nodes().iter().filter(|node| node.phase == Phase::Backward) {
        node.inputs.iter().for_each(|input| kept[input.0] = true);
    }
    (0..kept.len()).map(Value).filter(|&value| kept[value.0] && is_activation(graph, value)).collect()
}

/// Returns the peak in bytes with every saved activation in f32, in whole buffers.
pub(super) fn peak_f32(graph: &Graph, ranges: &[Range<usize>], tenants: &[Allocation]) -> u64 {
    let mut tenants = tenants.to_vec();
    let mut tenant_of: Vec<Option<usize>> = vec![None; graph.nodes().len()];
    for (index, tenant) in tenants.iter().enumerate() {
        tenant.values.iter().for_each(|value| tenant_of[value.0] = Some(index));
    }
    for value in saved(graph) {
        let tenant = tenant_of[value.0].expect("every value has a slot");
        tenants[tenant].words = graph.ty(value).with(Encoding::F32).words();
    }
    assign(&tenants, ranges).slots.iter().map(|slot| slot.words as u64 * 4).sum()
}
