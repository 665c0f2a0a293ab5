//! `lower`: a graph becomes a plan, under the limits of a device.

use super::{Assignment, Memory, Place, Plan, PlanNode, Port, Saved, Slot, Step, Tenancy, memory, merge, rank, slots};
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::Value;
use crate::kernel::{Cost, FAULT, Kernel, Launch, Operand, Program, fold};
use crate::ops::{Graph, Op, Role, joint};
use crate::tensor::{Encoding, TensorType};
use std::collections::HashMap;
use std::ops::Range;

/// Compiles a verified graph.
///
/// # Errors
/// When a tensor exceeds the device's limits; the message names it, its bytes and the limit.
pub fn lower(graph: &Graph, caps: &Caps) -> Result<Plan> {
    let units = joint::units(graph);
    // By node: the launches of a unit stand with its first.
    let mut programs = vec![Program::default(); graph.nodes().len()];
    units.iter().for_each(|unit| programs[unit.start] = joint::program(graph, unit.clone(), caps));
    check_limits(graph, &programs, caps)?;
    let scratch = |value: Value| programs[value.0].scratch_words.clone();
    let mut assignment = slots::assign(graph, &units, |value| graph.ty(value).words(), scratch);
    let fault = fault_place(graph, &programs, &mut assignment);
    let fault_word = || fault.as_ref().map(|place| (place.slot, place.ty.words())).expect("a place for faults");
    let place = |value: Value| Place { slot: assignment.slot_of[value.0], ty: graph.ty(value).clone() };

    let mut lowering =
        Lowering { caps, kernels: Vec::new(), known: HashMap::new(), steps: Vec::new(), uniforms: Vec::new() };
    let mut nodes = Vec::new();
    let groups = merge::groups(graph, &programs, &assignment);
    let (mut groups, mut shared, mut registers) = (groups.iter().peekable(), HashMap::new(), Vec::new());
    for (value, node) in graph.iter() {
        let inputs: Vec<Place> = node.inputs.iter().map(|&input| place(input)).collect();
        let output = place(value);
        let program = &programs[value.0];
        let first = lowering.steps.len();
        if let Some(group) = groups.next_if(|group| group[0][0] == value) {
            let rank = |value: Value| rank(graph.nodes().len(), value.0);
            let (launch, bindings) = merge::launch(graph, &programs, &assignment, group, rank);
            registers.extend(merge::registers(graph, &programs, &assignment, group));
            let bindings = bindings.into_iter().map(|place| place.unwrap_or_else(fault_word));
            lowering.step(&launch, bindings.collect(), |_| false, rank(value));
            shared.extend(group.iter().flatten().map(|&member| (member, first..first + 1)));
        }
        for launch in program.launches.iter().filter(|_| !shared.contains_key(&value)) {
            let bound = |place: &Place| (place.slot, place.ty.words());
            let member = |behind: usize| Value(value.0 + behind);
            let bindings = launch.operands.iter().map(|operand| match *operand {
                Operand::Input(index) => bound(&inputs[index]),
                Operand::Output => bound(&output),
                Operand::InputOf(behind, index) => bound(&place(graph.node(member(behind)).inputs[index])),
                Operand::OutputOf(behind) => bound(&place(member(behind))),
                Operand::Scratch(index) => (assignment.scratch_of[value.0][index], program.scratch_words[index]),
                Operand::Fault => fault_word(),
            });
            let updated = |operand: &Operand| match *operand {
                Operand::Output => node.op.in_place().is_some(),
                Operand::OutputOf(behind) => graph.node(member(behind)).op.in_place().is_some(),
                _ => false,
            };
            lowering.step(launch, bindings.collect(), updated, rank(graph.nodes().len(), value.0));
        }
        if let Some(unit) = units.iter().find(|unit| unit.start == value.0 && unit.len() > 1) {
            shared.extend(unit.clone().map(|member| (Value(member), first..lowering.steps.len())));
        }
        nodes.push(PlanNode {
            value,
            op: node.op.clone(),
            layer: node.layer.clone(),
            phase: node.phase,
            inputs,
            output,
            steps: shared.get(&value).cloned().unwrap_or(first..lowering.steps.len()),
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
    let bytes = |tenancy: Tenancy| {
        assignment.slots.iter().filter(|slot| slot.tenancy == tenancy).map(|slot| slot.words as u64 * 4).sum()
    };
    let memory = Memory {
        state: bytes(Tenancy::State),
        ports: bytes(Tenancy::Port),
        transient: bytes(Tenancy::Transient),
        peak: assignment.bytes(),
        peak_f32: memory::peak_f32(graph, &units, scratch),
        saved: memory::saved(graph)
            .into_iter()
            .map(|value| {
                let node = graph.node(value);
                Saved { layer: node.layer.clone(), stem: node.op.stem(), ty: node.ty.clone() }
            })
            .collect(),
    };
    let Lowering { kernels, steps, uniforms, .. } = lowering;
    let mut state = leaves(|role| role != Role::Input);
    if let Some(place) = fault.filter(|_| state.iter().all(|port| port.name != FAULT)) {
        state.push(Port { name: FAULT.to_string(), place });
    }
    Ok(Plan {
        shape: caps.shape,
        kernels,
        steps,
        uniforms,
        nodes,
        inputs: leaves(|role| role == Role::Input),
        outputs: graph.outputs.iter().map(|(name, value)| port(name, *value)).collect(),
        state,
        slots: assignment.slots,
        memory,
    })
}

/// The operands of a node that the launches of its unit check.
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

/// Where the fault word lies: in the leaf of that name, else in a slot of its own if a launch needs one.
fn fault_place(graph: &Graph, programs: &[Program], assignment: &mut Assignment) -> Option<Place> {
    let ty = TensorType::new(&[1], Encoding::U32);
    let leaf = graph.iter().find(|(_, node)| matches!(&node.op, Op::Leaf(leaf) if leaf.name == FAULT));
    if let Some((value, _)) = leaf {
        return Some(Place { slot: assignment.slot_of[value.0], ty });
    }
    if !programs.iter().flat_map(|program| &program.launches).any(|launch| launch.kernel.checks()) {
        return None;
    }
    assignment.slots.push(Slot { words: ty.words(), tenancy: Tenancy::State });
    Some(Place { slot: assignment.slots.len() - 1, ty })
}

struct Lowering<'a> {
    caps: &'a Caps,
    kernels: Vec<Kernel>,
    known: HashMap<Kernel, usize>,
    steps: Vec<Step>,
    uniforms: Vec<u32>,
}

impl Lowering<'_> {
    fn step(&mut self, launch: &Launch, bindings: Vec<(usize, usize)>, updated: impl Fn(&Operand) -> bool, rank: u32) {
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
            // A whole uniform binding must lie inside the buffer: pad to 16 bytes.
            self.uniforms.resize(self.uniforms.len().next_multiple_of(4), 0);
            offset as u32
        });
        // The fault word is not touched while all is well.
        let moved = launch.operands.iter().zip(&bindings).filter(|(operand, _)| **operand != Operand::Fault);
        let moved = moved.map(|(operand, &(_, words))| words as u64 * if updated(operand) { 8 } else { 4 });
        let cost = Cost {
            bytes: launch.moved_words.map_or_else(|| moved.sum(), |words| words as u64 * 4),
            float_ops: launch.float_ops as u64,
            bit_ops: launch.bit_ops as u64,
            dot_ops: 0, // no kernel uses packed dot products
            executed: launch.executed as u64,
        };
        self.steps.push(Step { kernel, bindings, uniform, groups: fold(launch.groups, self.caps.max_groups), cost });
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
        for bytes in std::iter::once(node.ty.bytes()).chain(scratch) {
            if bytes as u64 > limit {
                return Err(Error::Device(format!(
                    "{what} ({}) takes {bytes} bytes, but this device binds at most {limit} bytes at once; use a smaller batch or a narrower layer",
                    node.ty
                )));
            }
        }
        for launch in &programs[value.0].launches {
            let [x, y] = fold(launch.groups, caps.max_groups);
            if x.max(y) as usize > caps.max_groups {
                return Err(Error::Device(format!(
                    "{what} ({}) needs {} workgroups, but this device dispatches at most {} × {}; use a smaller batch",
                    node.ty, launch.groups, caps.max_groups, caps.max_groups
                )));
            }
        }
    }
    Ok(())
}
