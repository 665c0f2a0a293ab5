//! Memory use of a step: the contents of every buffer over time, what is live at the peak, and what
//! is saved for the backward pass.
//!
//! Nothing is allocated during a step, so the total is constant; only the tensors stored in it
//! change.

use crate::ops::Op;
use crate::plan::{Lifetime, Plan};
use serde::{Deserialize, Serialize};

/// The lifetime of a tensor in a buffer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(rename = "Tenant"))]
pub struct Allocation {
    /// The layer that it belongs to; empty if there is none.
    pub layer: String,
    /// The operation that computes it, or the name of an input or a state tensor.
    pub stem: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its bytes.
    pub bytes: u64,
    /// The step that computes it.
    pub from: usize,
    /// The step before which its lifetime ends.
    pub to: usize,
}

/// A buffer and the tensors stored in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct BufferUse {
    /// Its bytes.
    pub bytes: u64,
    /// "state", "port" (inputs and outputs) or "transient".
    #[serde(rename = "tenancy")] // its name in version 1 of the format
    #[cfg_attr(feature = "typescript", tsify(type = "\"state\" | \"port\" | \"transient\""))]
    pub lifetime: String,
    /// Its tensors, in order of their lifetimes.
    #[cfg_attr(feature = "typescript", tsify(type = "Tenant[]"))]
    pub tenants: Vec<Allocation>,
}

/// A tensor that the forward pass saves for the backward pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct SavedTensor {
    /// The layer that computed it.
    pub layer: String,
    /// The operation that computed it.
    pub stem: String,
    /// The type that it is stored in.
    #[serde(rename = "type")]
    pub ty: String,
    /// Bytes as stored.
    pub bytes: u64,
    /// Bytes of the f32 tensor that it represents.
    pub f32_bytes: u64,
}

/// Memory use, in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(rename = "ProfileMemory", missing_as_null))]
pub struct Memory {
    /// Parameters, optimiser state, running statistics.
    pub state_bytes: u64,
    /// Inputs and outputs of the step.
    pub port_bytes: u64,
    /// Buffers shared by values with disjoint lifetimes within a step.
    pub transient_bytes: u64,
    /// The total.
    pub peak_bytes: u64,
    /// The total if every saved activation were stored in f32.
    pub peak_f32_bytes: u64,
    /// The step with the most live bytes.
    pub peak_step: usize,
    /// Live bytes in that step; the rest of the total is unused space in buffers larger than their
    /// contents, or free.
    pub alive_bytes: u64,
    /// Memory reported by the backend's allocator, including all plans and staging buffers of the
    /// device, if it reports any; browsers do not.
    pub allocator_bytes: Option<u64>,
    /// What is saved for the backward pass.
    pub saved: Vec<SavedTensor>,
    /// All buffers.
    pub slots: Vec<BufferUse>,
}

impl Memory {
    /// Computes the memory use of a plan.
    pub fn of(plan: &Plan, allocator_bytes: Option<u64>) -> Self {
        let slots = slots(plan);
        let alive = |step: usize| {
            let tenants = slots.iter().flat_map(|slot| &slot.tenants);
            tenants.filter(|tenant| (tenant.from..tenant.to).contains(&step)).map(|tenant| tenant.bytes).sum()
        };
        let steps: Vec<u64> = (0..plan.steps.len()).map(alive).collect();
        let alive_bytes = steps.iter().copied().max().unwrap_or(0);
        let saved = plan.memory.saved.iter().map(|saved| SavedTensor {
            layer: saved.layer.clone(),
            stem: saved.stem.to_string(),
            ty: saved.ty.to_string(),
            bytes: saved.bytes(),
            f32_bytes: saved.f32_bytes(),
        });
        Self {
            state_bytes: plan.memory.state,
            port_bytes: plan.memory.ports,
            transient_bytes: plan.memory.transient,
            peak_bytes: plan.memory.peak,
            peak_f32_bytes: plan.memory.peak_f32,
            peak_step: steps.iter().position(|&bytes| bytes == alive_bytes).unwrap_or(0),
            alive_bytes,
            allocator_bytes,
            saved: saved.collect(),
            slots,
        }
    }

    /// Returns the tensors that are live in a step, in descending order of size.
    pub fn alive(&self, step: usize) -> Vec<&Allocation> {
        let tenants = self.slots.iter().flat_map(|slot| &slot.tenants);
        let mut alive: Vec<_> = tenants.filter(|tenant| (tenant.from..tenant.to).contains(&step)).collect();
        alive.sort_by_key(|tenant| std::cmp::Reverse(tenant.bytes));
        alive
    }
}

/// Derives the buffers and the lifetimes of their tensors from the schedule.
fn slots(plan: &Plan) -> Vec<BufferUse> {
    let name = |lifetime| match lifetime {
        Lifetime::Transient => "transient",
        Lifetime::Port => "port",
        Lifetime::State => "state",
    };
    let mut slots: Vec<_> = plan
        .slots
        .iter()
        .map(|slot| BufferUse {
            bytes: slot.words as u64 * 4,
            lifetime: name(slot.lifetime).to_string(),
            tenants: Vec::new(),
        })
        .collect();
    let mut open = vec![false; slots.len()];
    // Buffers of values that are kept in registers instead.
    let mut unused = vec![false; slots.len()];
    let end = plan.steps.len();
    for node in &plan.nodes {
        let slot = node.output.slot;
        let stem = match &node.op {
            Op::Leaf(leaf) => leaf.name.clone(),
            op => op.stem().to_string(),
        };
        let tenant = |from, bytes, stem: String, ty: String| Allocation {
            layer: node.layer.clone(),
            stem,
            ty,
            bytes,
            from,
            to: end,
        };
        // An update in place does not start a new lifetime.
        if node.in_register {
            unused[slot] = true;
        } else if node.op.in_place().is_none() {
            let from = if matches!(node.op, Op::Leaf(_)) { 0 } else { node.steps.start };
            slots[slot].tenants.push(tenant(
                from,
                node.output.stored().bytes() as u64,
                stem.clone(),
                node.output.stored().to_string(),
            ));
            open[slot] = true;
        }
        for &freed in &node.frees {
            if std::mem::take(&mut unused[freed]) {
                continue;
            }
            if !open[freed] {
                // Scratch memory, which belongs to a node but is not a value. It belongs to the
                // node of the first launch since the previous lifetime that binds it.
                let since = slots[freed].tenants.last().map_or(0, |last| last.to);
                let binds = |step: &usize| plan.steps[*step].bindings.iter().any(|&(slot, _)| slot == freed);
                let from = (since..node.steps.end).find(binds).unwrap_or(node.steps.start);
                let bindings = plan.steps[from..node.steps.end].iter().flat_map(|step| &step.bindings);
                let words = bindings.filter(|&&(slot, _)| slot == freed).map(|&(_, words)| words).max().unwrap_or(0);
                let owners = plan.nodes.iter().filter(|owner| owner.steps.start == from);
                let owner = owners.max_by_key(|owner| owner.steps.len()).unwrap_or(node);
                let stem = format!("{} scratch", owner.op.stem());
                let scratch = tenant(from, words as u64 * 4, stem, format!("{words} words"));
                slots[freed].tenants.push(Allocation { layer: owner.layer.clone(), ..scratch });
            }
            open[freed] = false;
            if let Some(last) = slots[freed].tenants.last_mut() {
                last.to = node.steps.end;
            }
        }
    }
    slots
}
