//! The plan: a step as pure data. Slots, launches, uniforms, ports; no wgpu type in it.
//!
//! **Invariant:** values alive at the same time have different slots; a slot is a whole GPU buffer, but in a plan that is to take little memory, where transient ones share buffers ([`Packing`]).
//! **Invariant:** a plan does not change during a run; learning rate and step number are inputs.

mod arrange;
mod cells;
mod dispatches;
mod lower;
mod memory;
mod merge;
mod pack;
mod print;
mod slots;
mod tenants;

pub use arrange::arrange;
pub use lower::{Together, lower, together};
pub use memory::{Memory, Saved};
pub use pack::Packing;
pub use slots::Assignment;

use crate::bits::{FNV_START, fnv_1a};
use crate::caps::{Choice, DeviceClass};
use crate::graph::{Phase, Value};
use crate::kernel::{Cost, Kernel, Operand};
use crate::ops::{Activity, Graph, Op};
use crate::tensor::{Encoding, TensorType};
use crate::variant::Offer;
use std::collections::BTreeMap;
use std::ops::Range;

/// A tensor in a slot.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// Which slot.
    pub slot: usize,
    /// What operations see there; the slot may be longer.
    pub ty: TensorType,
    /// Where it lies there in half precision: its row in the table of scales ([`crate::halves`]).
    pub scale: Option<usize>,
}

impl Place {
    /// How it lies in memory.
    pub fn stored(&self) -> TensorType {
        if self.scale.is_some() { self.ty.with(Encoding::F16) } else { self.ty.clone() }
    }
}

/// A place with a name, to write or to read between runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Port {
    /// Unique among the plan's inputs, outputs or state.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// Who owns a slot's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tenancy {
    /// This plan: values come and go within a step.
    Transient,
    /// The step's caller: an input or output.
    Port,
    /// The session: the tensor lives on from step to step and is shared by its plans.
    State,
}

/// A buffer of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Its length in u32 words: that of its longest tenant.
    pub words: usize,
    /// Who owns it.
    pub tenancy: Tenancy,
}

/// One dispatch.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Index among the plan's kernels.
    pub kernel: usize,
    /// For each binding of the kernel the slot and the length in words.
    pub bindings: Vec<(usize, usize)>,
    /// Byte offset of the uniform in the plan's uniforms; `None` where the kernel has none.
    pub uniform: Option<u32>,
    /// Workgroups in x and y.
    pub groups: [u32; 2],
    /// What it moves and computes.
    pub cost: Cost,
}

/// A node of the graph with its memory and its dispatches.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanNode {
    /// The value that it makes, as numbered in the graph.
    pub value: Value,
    /// The operation, for its twin and its cost.
    pub op: Op,
    /// The layer it stems from.
    pub layer: String,
    /// The part of a step it belongs to.
    pub phase: Phase,
    /// Where its inputs lie.
    pub inputs: Vec<Place>,
    /// Where its output goes.
    pub output: Place,
    /// Its dispatches among the plan's steps. Nodes that one dispatch computes together have it in common.
    pub steps: Range<usize>,
    /// Whether its output stays in registers, since only nodes of the same dispatch read it.
    pub in_register: bool,
    /// The kernel that was chosen for it, where there was a choice.
    pub offer: Option<Offer>,
    /// Its operands whose numbers must be finite: inputs, and the output.
    pub checked: Vec<Operand>,
    /// Slots whose tenants are dead afterwards.
    pub frees: Vec<usize>,
}

/// The rank of a node in the fault word: the first of a step's nodes has the highest.
fn rank(graph: &Graph, value: Value) -> u32 {
    (graph.nodes().len() + graph.behind - value.0) as u32
}

impl PlanNode {
    /// Whether an input or its output is stored in half precision.
    pub fn half(&self) -> bool {
        self.inputs.iter().chain([&self.output]).any(|place| place.scale.is_some())
    }

    /// What it does within a step.
    pub fn activity(&self) -> Activity {
        self.op.activity().unwrap_or(match self.phase {
            Phase::Forward => Activity::Forward,
            Phase::Backward => Activity::Dx,
            Phase::Update => Activity::Update,
        })
    }
}

/// A step, compiled.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The class of devices it was made for.
    pub class: DeviceClass,
    /// Buffers, or parts of them.
    pub slots: Vec<Slot>,
    /// Where transient slots lie that are parts of buffers.
    pub packing: Option<Packing>,
    /// Different kernels.
    pub kernels: Vec<Kernel>,
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// Nodes in order; leaves have no dispatch.
    pub nodes: Vec<PlanNode>,
    /// Nodes of the plan that runs behind this one in the same step.
    pub behind: usize,
    /// All uniforms, at the device's alignment, as words.
    pub uniforms: Vec<u32>,
    /// Written before each run.
    pub inputs: Vec<Port>,
    /// Read after a run.
    pub outputs: Vec<Port>,
    /// Kept from run to run.
    pub state: Vec<Port>,
    /// What the memory is used for.
    pub memory: Memory,
}

impl Plan {
    /// The buffer of a slot, and the word where it begins there: its own of its number, or one that several have in common, numbered behind all slots.
    pub fn buffer(&self, slot: usize) -> (usize, usize) {
        let shared = self.packing.as_ref().and_then(|packing| packing.at.get(slot).copied().flatten());
        shared.map_or((slot, 0), |(buffer, begin)| (self.slots.len() + buffer, begin))
    }

    /// The lengths of all buffers by number, in words; 0 of slots that are parts of others.
    pub fn buffers(&self) -> Vec<usize> {
        let own =
            (0..self.slots.len()).map(|slot| if self.buffer(slot).0 == slot { self.slots[slot].words } else { 0 });
        own.chain(self.packing.iter().flat_map(|packing| packing.buffers.iter().copied())).collect()
    }

    /// The port of this name among inputs, outputs and state.
    pub fn port(&self, name: &str) -> Option<&Port> {
        [&self.inputs, &self.outputs, &self.state].into_iter().flatten().find(|port| port.name == name)
    }

    /// The kernels that were chosen for its heavy operations, by their sites, as [`Caps::choices`](crate::caps::Caps::choices) asks for them again.
    pub fn choices(&self) -> BTreeMap<String, Choice> {
        let chosen = self.nodes.iter().filter_map(|node| {
            let Offer { kernel, parts, .. } = node.offer.as_ref()?;
            let inputs: Vec<_> = node.inputs.iter().map(|place| &place.ty).collect();
            // One part too: without a number, a kernel that cuts its sum would follow its own estimate.
            let choice = Choice { kernel: (*kernel).to_string(), parts: Some(*parts) };
            Some((node.op.site(&inputs, &node.output.ty), choice))
        });
        chosen.collect()
    }

    /// The layers that a dispatch works for, each once, with plus signs between; empty where it belongs to none.
    pub fn layers(&self, step: usize) -> String {
        let mut layers: Vec<&str> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.steps.contains(&step) && !node.layer.is_empty()) {
            if !layers.contains(&&*node.layer) {
                layers.push(&node.layer);
            }
        }
        layers.join("+")
    }

    /// The rank of the node at an index, as it is written to the fault word.
    pub fn rank(&self, index: usize) -> u32 {
        (self.nodes.len() + self.behind - index) as u32
    }

    /// The node that a fault word names, the first whose numbers were not all finite; `None` where the word is 0.
    pub fn faulty(&self, word: u32) -> Option<&PlanNode> {
        (0..self.nodes.len()).find(|&index| self.rank(index) == word).map(|index| &self.nodes[index])
    }

    /// Launches that wait for an earlier one, because they touch a buffer that it wrote, or write one that it touched. The others run beside what is under way.
    ///
    /// A buffer that was waited for is waited for again when it is used in another way, as by wgpu, which synchronises each buffer by itself.
    pub fn waits(&self) -> usize {
        // Slots, then the buffers that several have in common.
        let shared = self.packing.as_ref().map_or(0, |packing| packing.buffers.len());
        let mut written: Vec<Option<bool>> = vec![None; self.slots.len() + shared];
        let waits = self.steps.iter().filter(|step| {
            let bindings = || self.kernels[step.kernel].bindings.iter().zip(&step.bindings);
            let waits = bindings().any(|(binding, (slot, _))| {
                written[self.buffer(*slot).0].is_some_and(|before| before || binding.write)
            });
            bindings().for_each(|(binding, &(slot, _))| written[self.buffer(slot).0] = Some(binding.write));
            waits
        });
        waits.count()
    }

    /// A number that differs where plans do (FNV-1a over everything that is executed).
    pub fn hash(&self) -> u64 {
        let kernels = self.kernels.iter().fold(FNV_START, |hash, kernel| fnv_1a(hash, kernel.wgsl().as_bytes()));
        let steps: Vec<_> =
            self.steps.iter().map(|step| (step.kernel, &step.bindings, step.uniform, step.groups)).collect();
        let packing = self.packing.as_ref().map_or(String::new(), |packing| format!("{packing:?}"));
        fnv_1a(kernels, format!("{:?}{steps:?}{:?}{packing}", self.slots, self.uniforms).as_bytes())
    }
}
