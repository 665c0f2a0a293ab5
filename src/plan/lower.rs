//! `lower`: compiles a graph to a plan within the limits of a device.

use super::cells::{Cells, leaf, value_of};
use super::dispatches::Launches;
use super::{
    Assignment, Lifetime, Memory, Place, Plan, PlanNode, Port, SavedTensor, Slot, Step, dispatches, memory, pack, rank,
    slots, tenants,
};
use crate::caps::Caps;
use crate::error::{Error, Result, smaller_tensors};
use crate::graph::Value;
use crate::halves::{SCALES, SEEN};
use crate::kernel::{Cost, FAULT, Held, Kernel, Launch, Operand, Program, fold};
use crate::ops::{Graph, Op, Role, fusion};
use crate::tensor::{Encoding, TensorType};
use crate::variant::Offer;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Compiles a verified graph.
///
/// # Errors
///
/// Returns an error if a tensor exceeds the device's limits; the message names the tensor, its
/// bytes and the limit.
pub fn lower(graph: &Graph, caps: &Caps) -> Result<Plan> {
    check_names(graph);
    let units = fusion::units(graph);
    let programs = programs(graph, &units, caps);
    check_limits(graph, &programs, caps)?;
    let cells = Cells::new(graph, &programs);
    let Launches { all, registers, postponed } = dispatches::launches(&cells, &units, caps);
    let sets = dispatches::sets(&cells, all, caps);
    let ranges = dispatches::ranges(&units, &sets);
    let tenants = tenants::tenants(&cells, &ranges, &sets, &postponed);
    let (mut assignment, packing) = if graph.compact {
        let most_words = (caps.max_buffer_bytes / 4).min(usize::MAX as u64) as usize;
        let (packed, locations) = pack::pack(&cells, &ranges, &sets, &tenants, most_words);
        (packed, Some(locations))
    } else {
        (slots::assign(&tenants, &ranges), None)
    };
    let fault = fault_place(graph, &programs, &mut assignment);
    let place = |value: Value| {
        let node = graph.node(value);
        Place { slot: assignment.slot_of[value.0], ty: node.ty.clone(), scale: node.scale }
    };
    let seen = leaf(graph, SEEN).map(place);

    let mut lowering =
        Lowering { caps, kernels: Vec::new(), known: HashMap::new(), steps: Vec::new(), uniforms: Vec::new() };
    // By node.
    let mut steps: Vec<Option<Range<usize>>> = vec![None; graph.nodes().len()];
    for set in &sets {
        let rank = |value: Value| rank(graph, value);
        let bound = dispatches::one(set, rank);
        let slot = |cell: usize| match cells.what(cell) {
            (value, None) => assignment.slot_of[value.0],
            (node, Some(index)) => assignment.scratch_of[node.0][index],
        };
        let bindings = bound.held.iter().zip(&bound.words).map(|(&held, &words)| match held {
            Held::Buffer(cell) => (slot(cell), words),
            Held::Fault => fault.as_ref().map(|place| (place.slot, place.ty.words())).expect("a place for faults"),
            Held::Seen => seen.as_ref().map(|place| (place.slot, place.ty.words())).expect("a table beside the scales"),
            Held::Register(_) => unreachable!("a register is not bound"),
        });
        let bindings: Vec<_> = bindings.collect();
        let launch = match &packing {
            Some(packing) => packing.shared(&bound.launch, &bindings),
            None => bound.launch.clone(),
        };
        let step = lowering.step(&launch, bindings, rank(bound.nodes[0]));
        for node in &bound.nodes {
            steps[node.0].get_or_insert(step..step).end = step + 1;
        }
    }
    let mut nodes = Vec::new();
    for (value, node) in graph.iter() {
        let inputs: Vec<Place> = node.inputs.iter().map(|&input| place(input)).collect();
        nodes.push(PlanNode {
            value,
            op: node.op.clone(),
            layer: node.layer.clone(),
            phase: node.phase,
            inputs,
            output: place(value),
            steps: steps[value.0].clone().unwrap_or(0..0),
            offer: offer(graph, value, caps),
            in_register: registers.contains(&value),
            checked: checked(&programs, &units, value),
            frees: assignment.frees[value.0].clone(),
        });
    }
    let port = |name: &str, value: Value| Port { name: name.to_string(), place: place(value) };
    let leaves = |wanted: fn(Role) -> bool| {
        let leaves = graph.iter().filter_map(move |(value, node)| match &node.op {
            Op::Leaf(leaf) if wanted(leaf.role) => Some((leaf.name.clone(), value)),
            _ => None,
        });
        leaves.map(|(name, value)| port(&name, value)).collect::<Vec<_>>()
    };
    let bytes = |lifetime: Lifetime| match &packing {
        Some(packing) if lifetime == Lifetime::Transient => packing.buffers.iter().map(|&words| words as u64 * 4).sum(),
        _ => assignment.slots.iter().filter(|slot| slot.lifetime == lifetime).map(|slot| slot.words as u64 * 4).sum(),
    };
    let [state, ports, transient]: [u64; 3] = [Lifetime::State, Lifetime::Port, Lifetime::Transient].map(bytes);
    let memory = Memory {
        state,
        ports,
        transient,
        peak: state + ports + transient,
        peak_f32: memory::peak_f32(graph, &ranges, &tenants),
        saved: memory::saved(graph)
            .into_iter()
            .map(|value| {
                let node = graph.node(value);
                SavedTensor { layer: node.layer.clone(), stem: node.op.stem(), ty: graph.stored(value) }
            })
            .collect(),
    };
    let Lowering { kernels, steps, uniforms, .. } = lowering;
    let mut state = leaves(|role| role != Role::Input);
    if let Some(place) = fault.filter(|_| state.iter().all(|port| port.name != FAULT)) {
        state.push(Port { name: FAULT.to_string(), place });
    }
    Ok(Plan {
        class: caps.class,
        kernels,
        steps,
        uniforms,
        nodes,
        nested: graph.nested,
        behind: graph.behind,
        inputs: leaves(|role| role == Role::Input),
        outputs: graph.outputs.iter().map(|(name, value)| port(name, *value)).collect(),
        state,
        slots: assignment.slots,
        packing,
        memory,
    })
}

/// Checks that no two leaves have the same name: only one of them would be written.
fn check_names(graph: &Graph) {
    let mut names = HashSet::new();
    for (_, node) in graph.iter() {
        if let Op::Leaf(leaf) = &node.op {
            assert!(names.insert(&leaf.name), "two leaves have the name {}", leaf.name);
        }
    }
}

/// Returns the kernel that computes a node, if there are several candidates.
fn offer(graph: &Graph, value: Value, caps: &Caps) -> Option<Offer> {
    let node = graph.node(value);
    let inputs: Vec<_> = node.inputs.iter().map(|&input| graph.ty(input)).collect();
    node.op.candidates(&inputs, &node.ty, &fusion::seen_by(graph, node, caps)).into_iter().next()
}

/// Returns programs by node: the launches of a unit are stored with its first node.
pub(super) fn programs(graph: &Graph, units: &[Range<usize>], caps: &Caps) -> Vec<Program> {
    let mut programs = vec![Program::default(); graph.nodes().len()];
    let rows = leaf(graph, SCALES).map_or(0, |scales| graph.ty(scales).rows());
    for unit in units {
        let mut program = fusion::program(graph, unit.clone(), caps);
        let row =
            |operand: Operand| value_of(graph, Value(unit.start), operand).and_then(|value| graph.node(value).scale);
        program.launches = program.launches.into_iter().map(|launch| launch.store_half(rows, row)).collect();
        programs[unit.start] = program;
    }
    programs
}

/// Schedule and slots of a plan whose slots are whole buffers.
pub struct Together {
    /// The nodes of the graph in ranges that are computed at the same time.
    pub ranges: Vec<Range<usize>>,
    /// Nodes whose scratch is needed until another node is computed.
    pub lasting: Vec<(Value, Value)>,
    /// The slots of values and scratch.
    pub assignment: Assignment,
}

/// Determines which nodes of a graph are computed at the same time, and the slots of their values.
pub fn together(graph: &Graph, caps: &Caps) -> Together {
    let units = fusion::units(graph);
    let programs = programs(graph, &units, caps);
    let cells = Cells::new(graph, &programs);
    let Launches { all, postponed: lasting, .. } = dispatches::launches(&cells, &units, caps);
    let sets = dispatches::sets(&cells, all, caps);
    let ranges = dispatches::ranges(&units, &sets);
    let assignment = slots::assign(&tenants::tenants(&cells, &ranges, &sets, &lasting), &ranges);
    Together { ranges, lasting, assignment }
}

/// Returns the operands of a node that the launches of its unit check.
fn checked(programs: &[Program], units: &[Range<usize>], value: Value) -> Vec<Operand> {
    let unit = &units[units.partition_point(|unit| unit.end <= value.0)];
    let own = |operand: Operand| match (operand, value.0 - unit.start) {
        (Operand::Input(_) | Operand::Output, 0) => Some(operand),
        (Operand::InputOf(behind, index), at) if behind == at => Some(Operand::Input(index)),
        (Operand::OutputOf(behind), at) if behind == at => Some(Operand::Output),
        _ => None,
    };
    let bindings = programs[unit.start].launches.iter();
    let bindings = bindings.flat_map(|launch| launch.kernel.bindings.iter().zip(&launch.operands));
    let mut checked: Vec<_> =
        bindings.filter(|(binding, _)| binding.finite).filter_map(|(_, &operand)| own(operand)).collect();
    checked.dedup();
    checked
}

/// Returns the place of the fault word: the leaf of that name, or else a separate slot if a launch
/// needs one.
fn fault_place(graph: &Graph, programs: &[Program], assignment: &mut Assignment) -> Option<Place> {
    let ty = TensorType::new(&[1], Encoding::U32);
    if let Some(value) = leaf(graph, FAULT) {
        return Some(Place { slot: assignment.slot_of[value.0], ty, scale: None });
    }
    if !programs.iter().flat_map(|program| &program.launches).any(|launch| launch.kernel.checks()) {
        return None;
    }
    assignment.slots.push(Slot { words: ty.words(), lifetime: Lifetime::State });
    Some(Place { slot: assignment.slots.len() - 1, ty, scale: None })
}

struct Lowering<'a> {
    caps: &'a Caps,
    kernels: Vec<Kernel>,
    known: HashMap<Kernel, usize>,
    steps: Vec<Step>,
    uniforms: Vec<u32>,
}

impl Lowering<'_> {
    /// Appends a launch, and returns the index of its step.
    fn step(&mut self, launch: &Launch, bindings: Vec<(usize, usize)>, rank: u32) -> usize {
        let kernel = *self.known.entry(launch.kernel.clone()).or_insert_with(|| {
            self.kernels.push(launch.kernel.clone());
            self.kernels.len() - 1
        });
        let params = launch.params.iter().copied().chain(launch.kernel.ranked().then_some(rank));
        let params: Vec<_> = params.collect();
        let uniform = (!params.is_empty()).then(|| {
            let align_words = self.caps.uniform_align_bytes / 4;
            self.uniforms.resize(self.uniforms.len().next_multiple_of(align_words), 0);
            let offset = self.uniforms.len() * 4;
            self.uniforms.extend(&params);
            // A uniform binding must lie entirely inside the buffer: pad to 16 bytes.
            self.uniforms.resize(self.uniforms.len().next_multiple_of(4), 0);
            offset as u32
        });
        let cost = Cost {
            bytes: launch.moved_words.unwrap_or(0) as u64 * 4,
            float_ops: launch.float_ops as u64,
            bit_ops: launch.bit_ops as u64,
            dot_ops: 0, // no kernel uses packed dot products
            matrix_ops: launch.matrix_ops as u64,
            executed: launch.executed as u64,
        };
        self.steps.push(Step { kernel, bindings, uniform, groups: fold(launch.groups, self.caps.max_groups), cost });
        self.steps.len() - 1
    }
}

fn check_limits(graph: &Graph, programs: &[Program], caps: &Caps) -> Result<()> {
    let limit = caps.max_binding_bytes.min(caps.max_buffer_bytes);
    for (value, node) in graph.iter() {
        let what = match &node.op {
            Op::Leaf(leaf) => leaf.name.clone(),
            op => format!("{} of layer \"{}\"", op.stem(), node.layer),
        };
        let scratch = programs[value.0].scratch_words.iter().map(|&words| words * 4);
        let stored = graph.stored(value);
        for bytes in std::iter::once(stored.bytes()).chain(scratch) {
            let bytes = bytes as u64;
            if bytes > limit {
                // Leaves other than inputs do not depend on the batch size.
                let advice = match &node.op {
                    Op::Leaf(leaf) if leaf.role != Role::Input => "use a narrower layer".to_string(),
                    _ if stored.encoding == Encoding::F32 => {
                        smaller_tensors(bytes.div_ceil(limit)) + ", or precision = \"mixed\", or a narrower layer"
                    }
                    _ => smaller_tensors(bytes.div_ceil(limit)) + ", or a narrower layer",
                };
                return Err(Error::Memory(format!(
                    "{what} ({stored}) takes {bytes} bytes, but this device binds at most {limit} bytes at once; {advice}"
                )));
            }
        }
        for launch in &programs[value.0].launches {
            let [x, y] = fold(launch.groups, caps.max_groups);
            if x.max(y) as usize > caps.max_groups {
                return Err(Error::Memory(format!(
                    "{what} ({}) needs {} workgroups, but this device dispatches at most {} × {}; {}",
                    node.ty,
                    launch.groups,
                    caps.max_groups,
                    caps.max_groups,
                    smaller_tensors(2)
                )));
            }
        }
    }
    Ok(())
}
