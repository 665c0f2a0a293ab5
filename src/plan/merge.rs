//! `groups`: which nodes one dispatch computes together: the updates of several parameters, each of several nodes.
//!
//! Nodes whose launches go through quads ([`Launch::each_quad`]) and that follow each other, leaves aside, are taken together as far as buffers go.
//!
//! **Invariant:** what one part of a group writes no other part touches; so it does not matter that parts run at the same time.

use super::Assignment;
use crate::graph::{Node, Value};
use crate::kernel::{Held, Launch, MOST_BUFFERS, Operand, Piece, Program, bindings, merge};
use crate::ops::{Graph, Op};
use crate::tensor::Encoding;
use std::collections::HashMap;

/// Parts, each of nodes that go through the same quads one after the other.
pub(super) type Group = Vec<Vec<Value>>;

/// The groups of a graph that have more than one node, in order.
pub(super) fn groups(graph: &Graph, programs: &[Program], assignment: &Assignment) -> Vec<Group> {
    let merging = Merging { graph, programs, assignment };
    let mut groups: Vec<Group> = Vec::new();
    // Whether the last group, and its last part, can go on.
    let mut open = false;
    for (value, node) in graph.iter().filter(|(_, node)| !matches!(node.op, Op::Leaf(_))) {
        if !merging.goes_through_quads(value) {
            open = false;
            continue;
        }
        let last = groups.last().and_then(|group| group.last()).filter(|_| open);
        let joins = last.is_some_and(|part| {
            node.inputs.iter().any(|input| part.contains(input)) && merging.quads(part[0]) == merging.quads(value)
        });
        if let Some(group) = groups.last_mut().filter(|_| open) {
            if joins && let Some(part) = group.last_mut() {
                part.push(value);
            } else {
                group.push(vec![value]);
            }
        } else {
            groups.push(vec![vec![value]]);
        }
        open = true;
    }
    let mut fitting: Vec<Group> = Vec::new();
    for run in groups {
        let mut group: Group = Vec::new();
        for part in run {
            group.push(part);
            if !merging.fits(&group)
                && let Some(part) = group.pop()
            {
                fitting.push(std::mem::replace(&mut group, vec![part]));
            }
        }
        fitting.push(group);
    }
    fitting.retain(|group| group.iter().flatten().count() > 1 && merging.fits(group));
    fitting
}

/// A group as one launch, and slot and words of each of its bindings; `None` for the fault word.
pub(super) fn launch(
    graph: &Graph,
    programs: &[Program],
    assignment: &Assignment,
    group: &Group,
    rank: impl Fn(Value) -> u32,
) -> (Launch, Vec<Option<(usize, usize)>>) {
    let merging = Merging { graph, programs, assignment };
    let pieces = merging.pieces(group, rank);
    let (launch, held) = merge(&pieces);
    let mut longest: HashMap<Held, usize> = HashMap::new();
    let mut moved = 0;
    for (nodes, pieces) in group.iter().zip(&pieces) {
        // Each buffer once for a part, however many of its launches use it; twice where it is updated.
        let mut of_part: HashMap<Held, usize> = HashMap::new();
        for (&node, piece) in nodes.iter().zip(pieces) {
            for (&operand, &held) in piece.launch.operands.iter().zip(&piece.held) {
                let Some(value) = merging.of(node, operand) else { continue };
                let words = graph.ty(value).words();
                let updated = operand == Operand::Output && graph.node(node).op.in_place().is_some();
                let moves = words.min(4 * merging.quads(node)) * if updated { 2 } else { 1 };
                let (longest, most) = (longest.entry(held).or_default(), of_part.entry(held).or_default());
                (*longest, *most) = (words.max(*longest), moves.max(*most));
            }
        }
        moved +=
            of_part.iter().filter(|(held, _)| matches!(held, Held::Buffer(_))).map(|(_, words)| words).sum::<usize>();
    }
    let place = |held| match held {
        Held::Buffer(slot) => Some((slot, longest[&held])),
        Held::Register(_) | Held::Fault => None,
    };
    (launch.moves(moved), held.into_iter().map(place).collect())
}

/// The values that only nodes of a group read.
pub(super) fn registers(graph: &Graph, programs: &[Program], assignment: &Assignment, group: &Group) -> Vec<Value> {
    let merging = Merging { graph, programs, assignment };
    group.iter().flat_map(|part| merging.registers(part)).collect()
}

struct Merging<'a> {
    graph: &'a Graph,
    programs: &'a [Program],
    assignment: &'a Assignment,
}

impl Merging<'_> {
    fn goes_through_quads(&self, value: Value) -> bool {
        matches!(&self.programs[value.0].launches[..], [launch] if launch.each_quad.is_some())
    }

    fn quads(&self, value: Value) -> usize {
        self.programs[value.0].launches[0].each_quad.expect("a launch for each quad")
    }

    /// The launches of a group, each with where its operands lie.
    fn pieces(&self, group: &Group, rank: impl Fn(Value) -> u32) -> Vec<Vec<Piece<'_>>> {
        let registers: Vec<_> = group.iter().flat_map(|part| self.registers(part)).collect();
        let piece = |value: &Value| Piece {
            launch: &self.programs[value.0].launches[0],
            held: self.held(*value, &registers),
            rank: rank(*value),
        };
        group.iter().map(|part| part.iter().map(piece).collect()).collect()
    }

    /// The values that only their part reads.
    fn registers(&self, part: &[Value]) -> Vec<Value> {
        let inside = |value: &Value| {
            let mut readers = self.graph.iter().filter(|(_, node)| node.inputs.contains(value));
            let in_place = |node: &Node<Op>| node.op.in_place().map(|index| node.inputs[index]);
            in_place(self.graph.node(*value)).is_none()
                && self.graph.outputs.iter().all(|(_, output)| output != value)
                && readers.all(|(reader, node)| part.contains(&reader) && in_place(node) != Some(*value))
        };
        part.iter().copied().filter(inside).collect()
    }

    /// The value that an operand of a node's launch is.
    fn of(&self, node: Value, operand: Operand) -> Option<Value> {
        match operand {
            Operand::Input(index) => Some(self.graph.node(node).inputs[index]),
            Operand::Output => Some(node),
            _ => None,
        }
    }

    fn held(&self, node: Value, registers: &[Value]) -> Vec<Held> {
        let operands = self.programs[node.0].launches[0].operands.iter();
        operands
            .map(|&operand| match self.of(node, operand) {
                None => Held::Fault,
                Some(value) => match registers.iter().position(|register| *register == value) {
                    Some(register) => Held::Register(register),
                    None => Held::Buffer(self.assignment.slot_of[value.0]),
                },
            })
            .collect()
    }

    /// Whether a group can be one launch.
    fn fits(&self, group: &Group) -> bool {
        let pieces = self.pieces(group, |_| 0);
        if bindings(pieces.iter().flatten()).len() > MOST_BUFFERS {
            return false;
        }
        // By buffer: who touches it, whether somebody writes it, whether all touch but their own quad.
        let mut touched: HashMap<Held, (usize, bool, bool)> = HashMap::new();
        for (part, (nodes, pieces)) in group.iter().zip(&pieces).enumerate() {
            for (&node, piece) in nodes.iter().zip(pieces) {
                let bindings = piece.launch.kernel.bindings.iter().zip(&piece.launch.operands);
                for ((binding, &operand), &held) in bindings.zip(&piece.held).filter(|(_, held)| **held != Held::Fault)
                {
                    let words = self.of(node, operand).map(|value| self.graph.ty(value).words());
                    let own = binding.encoding == Encoding::F32 && words == Some(4 * self.quads(node));
                    let (by, writes, owns) = touched.entry(held).or_insert((part, false, true));
                    (*writes, *owns) = (*writes || binding.write, *owns && own && *by == part);
                }
            }
        }
        touched.values().all(|&(_, writes, owns)| !writes || owns)
    }
}
