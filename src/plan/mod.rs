//! The plan: a step as pure data (slots, launches, uniforms, ports), without wgpu types.
//!
//! **Invariant:** values alive at the same time have different slots. A slot is a whole GPU buffer,
//! except in plans for low memory, where transient slots share buffers ([`Packing`]).
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
pub use memory::{Memory, SavedTensor};
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
    /// Index of the slot.
    pub slot: usize,
    /// The type that operations see; the slot may be longer.
    pub ty: TensorType,
    /// For a value in half precision, its row in the table of scales ([`crate::halves`]).
    pub scale: Option<usize>,
}

impl Place {
    /// Returns its type in memory.
    pub fn stored(&self) -> TensorType {
        if self.scale.is_some() { self.ty.with(Encoding::F16) } else { self.ty.clone() }
    }
}

/// A named place that is written or read between runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Port {
    /// Unique among the plan's inputs, outputs or state.
    pub name: String,
    /// Its location.
    pub place: Place,
}

/// Owner and lifetime of a slot's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// Owned by the plan; its values live within a step.
    Transient,
    /// An input or output, owned by the step's caller.
    Port,
    /// Owned by the session: the tensor persists between steps and is shared by the session's
    /// plans.
    State,
}

/// A buffer of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Its length in u32 words: that of its longest value.
    pub words: usize,
    /// Its owner and lifetime.
    pub lifetime: Lifetime,
}

/// One dispatch.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Index among the plan's kernels.
    pub kernel: usize,
    /// Slot and length in words of each binding of the kernel.
    pub bindings: Vec<(usize, usize)>,
    /// Byte offset of the uniform in the plan's uniforms; `None` if the kernel has none.
    pub uniform: Option<u32>,
    /// Workgroups in x and y.
    pub groups: [u32; 2],
    /// The data that it moves and the operations that it computes.
    pub cost: Cost,
}

/// A node of the graph with its memory and its dispatches.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanNode {
    /// The value that it computes, as numbered in the graph.
    pub value: Value,
    /// The operation, for its reference implementation (`reference`) and its cost.
    pub op: Op,
    /// The layer that it belongs to.
    pub layer: String,
    /// The part of a step that it belongs to.
    pub phase: Phase,
    /// Places of its inputs.
    pub inputs: Vec<Place>,
    /// Place of its output.
    pub output: Place,
    /// Its dispatches, as a range of the plan's steps. Nodes computed by one dispatch share it.
    pub steps: Range<usize>,
    /// Whether its output stays in registers, because only nodes of the same dispatch read it.
    pub in_register: bool,
    /// The kernel selected for it, if there were several candidates.
    pub offer: Option<Offer>,
    /// Operands whose numbers must be finite: inputs, and the output.
    pub checked: Vec<Operand>,
    /// Slots that are free afterwards.
    pub frees: Vec<usize>,
}

/// Returns the rank of a node in the fault word; the first node of a step has the highest.
fn rank(graph: &Graph, value: Value) -> u32 {
    (graph.nodes().len() + graph.behind - value.0) as u32
}

impl PlanNode {
    /// Whether an input or the output is stored in half precision.
    pub fn half(&self) -> bool {
        self.inputs.iter().chain([&self.output]).any(|place| place.scale.is_some())
    }

    /// Returns its activity within a step.
    pub fn activity(&self) -> Activity {
        self.op.activity().unwrap_or(match self.phase {
            Phase::Forward => Activity::Forward,
            Phase::Backward => Activity::Dx,
            Phase::Update => Activity::Update,
        })
    }
}

/// A compiled step.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The device class that it was compiled for.
    pub class: DeviceClass,
    /// Buffers, or parts of them.
    pub slots: Vec<Slot>,
    /// Location of transient slots that are parts of buffers.
    pub packing: Option<Packing>,
    /// Distinct kernels.
    pub kernels: Vec<Kernel>,
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// Nodes in order; leaves have no dispatch.
    pub nodes: Vec<PlanNode>,
    /// Whether it runs between parts of another plan ([`Backend::run_part`](crate::backend::Backend::run_part)), so
    /// that it shares no transient memory with it.
    pub nested: bool,
    /// Number of nodes of the plan that runs after this one in the same step.
    pub behind: usize,
    /// All uniforms, at the device's alignment, as words.
    pub uniforms: Vec<u32>,
    /// Places written before each run.
    pub inputs: Vec<Port>,
    /// Places read after a run.
    pub outputs: Vec<Port>,
    /// Places that persist between runs.
    pub state: Vec<Port>,
    /// Memory use.
    pub memory: Memory,
}

impl Plan {
    /// Returns the buffer of a slot and its offset in words. The buffer is either the slot's own,
    /// with the same number, or a shared one; shared buffers are numbered after all slots.
    pub fn buffer(&self, slot: usize) -> (usize, usize) {
        let shared = self.packing.as_ref().and_then(|packing| packing.at.get(slot).copied().flatten());
        shared.map_or((slot, 0), |(buffer, begin)| (self.slots.len() + buffer, begin))
    }

    /// Returns the lengths of all buffers by number, in words; 0 for slots that are parts of
    /// others.
    pub fn buffers(&self) -> Vec<usize> {
        let own =
            (0..self.slots.len()).map(|slot| if self.buffer(slot).0 == slot { self.slots[slot].words } else { 0 });
        own.chain(self.packing.iter().flat_map(|packing| packing.buffers.iter().copied())).collect()
    }

    /// Returns the input, output or state port of this name.
    pub fn port(&self, name: &str) -> Option<&Port> {
        [&self.inputs, &self.outputs, &self.state].into_iter().flatten().find(|port| port.name == name)
    }

    /// Returns the kernels selected for expensive operations, by site, in the form in which
    /// [`Caps::choices`](crate::caps::Caps::choices) requests them.
    pub fn choices(&self) -> BTreeMap<String, Choice> {
        let chosen = self.nodes.iter().filter_map(|node| {
            let Offer { kernel, parts, .. } = node.offer.as_ref()?;
            let inputs: Vec<_> = node.inputs.iter().map(|place| &place.ty).collect();
            // Including a single part: without a number, a kernel that splits its sum would use its
            // own estimate.
            let choice = Choice { kernel: (*kernel).to_string(), parts: Some(*parts) };
            Some((node.op.site(&inputs, &node.output.ty), choice))
        });
        chosen.collect()
    }

    /// Returns the layers that a dispatch belongs to, each once, joined with plus signs; empty if
    /// there are none.
    pub fn layers(&self, step: usize) -> String {
        let mut layers: Vec<&str> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.steps.contains(&step) && !node.layer.is_empty()) {
            if !layers.contains(&&*node.layer) {
                layers.push(&node.layer);
            }
        }
        layers.join("+")
    }

    /// Returns the rank of the node at an index, as it is written to the fault word.
    pub fn rank(&self, index: usize) -> u32 {
        (self.nodes.len() + self.behind - index) as u32
    }

    /// Returns the node identified by a fault word, the first with non-finite numbers; `None` if
    /// the word is 0.
    pub fn faulty(&self, word: u32) -> Option<&PlanNode> {
        (0..self.nodes.len()).find(|&index| self.rank(index) == word).map(|index| &self.nodes[index])
    }

    /// Returns the number of launches that wait for an earlier one, because they touch a buffer
    /// that it wrote, or write one that it touched. The others can overlap with earlier launches.
    ///
    /// A buffer that was waited for is waited for again when its use changes, as in wgpu, which
    /// synchronises each buffer separately.
    pub fn waits(&self) -> usize {
        // Slots, then shared buffers.
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

    /// Returns a hash that identifies the plan (FNV-1a over everything that is executed).
    pub fn hash(&self) -> u64 {
        let kernels = self.kernels.iter().fold(FNV_START, |hash, kernel| fnv_1a(hash, kernel.wgsl().as_bytes()));
        let steps: Vec<_> =
            self.steps.iter().map(|step| (step.kernel, &step.bindings, step.uniform, step.groups)).collect();
        let packing = self.packing.as_ref().map_or(String::new(), |packing| format!("{packing:?}"));
        fnv_1a(kernels, format!("{:?}{steps:?}{:?}{packing}", self.slots, self.uniforms).as_bytes())
    }
}
