//! The plan: a step as pure data. Slots, launches, uniforms, ports; no wgpu type in it.
//!
//! **Invariant:** values alive at the same time have different slots; a slot is a whole GPU buffer.
//! **Invariant:** a plan does not change during a run; learning rate and step number are inputs.

mod lower;
mod memory;
mod merge;
mod print;
mod slots;

pub use lower::lower;
pub use memory::{Memory, Saved};
pub use slots::{Assignment, assign};

use crate::bits::{FNV_START, fnv_1a};
use crate::caps::LaunchShape;
use crate::graph::{Phase, Value};
use crate::kernel::{Cost, Kernel, Operand};
use crate::ops::{Activity, Op};
use crate::tensor::TensorType;
use std::ops::Range;

/// A tensor in a slot.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// Which slot.
    pub slot: usize,
    /// What lies there; the slot may be longer.
    pub ty: TensorType,
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
    /// Its operands whose numbers must be finite: inputs, and the output.
    pub checked: Vec<Operand>,
    /// Slots whose tenants are dead afterwards.
    pub frees: Vec<usize>,
}

/// The rank of a node in the fault word: the first of a plan's nodes has the highest.
fn rank(nodes: usize, index: usize) -> u32 {
    (nodes - index) as u32
}

impl PlanNode {
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
    /// The launch shape it was made for.
    pub shape: LaunchShape,
    /// Buffers.
    pub slots: Vec<Slot>,
    /// Different kernels.
    pub kernels: Vec<Kernel>,
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// Nodes in order; leaves have no dispatch.
    pub nodes: Vec<PlanNode>,
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
    /// The port of this name among inputs, outputs and state.
    pub fn port(&self, name: &str) -> Option<&Port> {
        [&self.inputs, &self.outputs, &self.state].into_iter().flatten().find(|port| port.name == name)
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
        rank(self.nodes.len(), index)
    }

    /// The node that a fault word names, the first whose numbers were not all finite; `None` where the word is 0.
    pub fn faulty(&self, word: u32) -> Option<&PlanNode> {
        (0..self.nodes.len()).find(|&index| self.rank(index) == word).map(|index| &self.nodes[index])
    }

    /// Launches that wait for an earlier one, because they touch a buffer that it wrote, or write one that it touched. The others run beside what is under way.
    ///
    /// A buffer that was waited for is waited for again when it is used in another way, as by wgpu, which synchronises each buffer by itself.
    pub fn waits(&self) -> usize {
        let mut written: Vec<Option<bool>> = vec![None; self.slots.len()];
        let waits = self.steps.iter().filter(|step| {
            let bindings = || self.kernels[step.kernel].bindings.iter().zip(&step.bindings);
            let waits =
                bindings().any(|(binding, (slot, _))| written[*slot].is_some_and(|before| before || binding.write));
            bindings().for_each(|(binding, &(slot, _))| written[slot] = Some(binding.write));
            waits
        });
        waits.count()
    }

    /// A number that differs where plans do (FNV-1a over everything that is executed).
    pub fn hash(&self) -> u64 {
        let kernels = self.kernels.iter().fold(FNV_START, |hash, kernel| fnv_1a(hash, kernel.wgsl().as_bytes()));
        let steps: Vec<_> =
            self.steps.iter().map(|step| (step.kernel, &step.bindings, step.uniform, step.groups)).collect();
        fnv_1a(kernels, format!("{:?}{steps:?}{:?}", self.slots, self.uniforms).as_bytes())
    }
}
