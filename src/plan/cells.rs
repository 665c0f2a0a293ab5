//! `cells`: the memory touched by launches, before slots are assigned. A cell is a value with all
//! its in-place updates, or a scratch buffer.

use crate::graph::Value;
use crate::halves::{SCALES, SEEN};
use crate::kernel::{FAULT, Held, Launch, Operand, Program};
use crate::ops::{Graph, Op};

/// A graph, the programs of its units (each stored with the unit's first node), and the cells of
/// both.
pub(super) struct Cells<'a> {
    pub(super) graph: &'a Graph,
    pub(super) programs: &'a [Program],
    /// By value: the first value that occupies the same memory.
    roots: Vec<usize>,
    /// By node: its first scratch cell.
    scratch: Vec<usize>,
    /// By cell: its value, or the node that owns the scratch buffer.
    owners: Vec<Value>,
    /// The fault word, and the tables for values in half precision, if they are leaves.
    fault: Option<Value>,
    scales: Option<Value>,
    seen: Option<Value>,
}

/// A launch with the cells that it touches.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// The nodes that it computes; the first one identifies it in the fault word.
    pub(super) nodes: Vec<Value>,
    /// The launch, with the number of words that it moves.
    pub(super) launch: Launch,
    /// The cell of each of its bindings.
    pub(super) held: Vec<Held>,
    /// Words of each binding.
    pub(super) words: Vec<usize>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(graph: &'a Graph, programs: &'a [Program]) -> Self {
        let mut roots: Vec<usize> = Vec::new();
        for (value, node) in graph.iter() {
            roots.push(node.op.in_place().map_or(value.0, |index| roots[node.inputs[index].0]));
        }
        let mut owners: Vec<Value> = (0..graph.nodes().len()).map(Value).collect();
        let scratch = programs.iter().enumerate().map(|(node, program)| {
            let first = owners.len();
            owners.extend(program.scratch_words.iter().map(|_| Value(node)));
            first
        });
        let scratch = scratch.collect();
        let [fault, scales, seen] = [FAULT, SCALES, SEEN].map(|name| leaf(graph, name));
        Self { graph, programs, roots, scratch, owners, fault, scales, seen }
    }

    /// Returns the cell of a value.
    pub(super) fn of(&self, value: Value) -> usize {
        self.roots[value.0]
    }

    /// Returns the cell of a node's scratch buffer.
    pub(super) fn of_scratch(&self, node: Value, index: usize) -> usize {
        self.scratch[node.0] + index
    }

    /// Returns the contents of a cell: a value, or a node and the index of its scratch buffer.
    pub(super) fn what(&self, cell: usize) -> (Value, Option<usize>) {
        let owner = self.owners[cell];
        (owner, (cell >= self.graph.nodes().len()).then(|| cell - self.scratch[owner.0]))
    }

    /// Returns the value of an operand of a node's launch.
    pub(super) fn value(&self, node: Value, operand: Operand) -> Option<Value> {
        if operand == Operand::Scales { self.scales } else { value_of(self.graph, node, operand) }
    }

    /// Returns the cell of an operand, and its words.
    pub(super) fn held(&self, node: Value, operand: Operand) -> (Held, usize) {
        match operand {
            Operand::Scratch(index) => {
                (Held::Buffer(self.scratch[node.0] + index), self.programs[node.0].scratch_words[index])
            }
            Operand::Fault => (Held::Fault, 0),
            Operand::Seen => (Held::Seen, 0),
            operand => {
                let value = self.value(node, operand).expect("values in half precision have a table of scales");
                (Held::Buffer(self.of(value)), self.graph.stored(value).words())
            }
        }
    }

    /// Whether a launch updates an operand in place, so that it is both read and written.
    pub(super) fn updates(&self, node: Value, operand: Operand) -> bool {
        let output = matches!(operand, Operand::Output | Operand::OutputOf(_));
        let node = self.value(node, operand).filter(|_| output).map(|value| self.graph.node(value));
        node.is_some_and(|node| node.op.in_place().is_some())
    }

    /// Binds a launch of the unit that begins with the first of these nodes.
    pub(super) fn bound(&self, nodes: Vec<Value>, launch: &Launch) -> Bound {
        let node = nodes[0];
        let (held, words): (Vec<_>, Vec<_>) = launch.operands.iter().map(|&operand| self.held(node, operand)).unzip();
        // Words raised atomically count as 0, because they are rarely touched.
        let moves = launch.operands.iter().zip(&words);
        let moves = moves.map(|(&operand, words)| words * if self.updates(node, operand) { 2 } else { 1 }).sum();
        let moves = launch.moved_words.unwrap_or(moves);
        Bound { nodes, launch: launch.clone().moves(moves), held, words }
    }

    /// Whether two launches are independent, so that they may run at the same time or change
    /// places.
    pub(super) fn independent(&self, a: &Bound, b: &Bound) -> bool {
        // The buffer of an atomically raised word, if other launches use it as an ordinary value.
        let buffer = |raised: Held| match raised {
            Held::Fault => self.fault.map(|leaf| Held::Buffer(self.of(leaf))),
            Held::Seen => self.seen.map(|leaf| Held::Buffer(self.of(leaf))),
            Held::Buffer(_) | Held::Register(_) => None,
        };
        let touched = |bound: &Bound| {
            let bindings = bound.launch.kernel.bindings.iter().zip(&bound.held);
            bindings.map(|(binding, &held)| (held, binding.write)).collect::<Vec<_>>()
        };
        let theirs = touched(b);
        touched(a).iter().all(|&(mine, writes)| {
            theirs.iter().all(|&(other, also)| match (mine, other) {
                // Both raise it, in any order.
                (Held::Fault, Held::Fault) | (Held::Seen, Held::Seen) => true,
                (raised @ (Held::Fault | Held::Seen), other) | (other, raised @ (Held::Fault | Held::Seen)) => {
                    buffer(raised) != Some(other)
                }
                (mine, other) => mine != other || !(writes || also),
            })
        })
    }
}

/// Returns the leaf of this name.
pub(super) fn leaf(graph: &Graph, name: &str) -> Option<Value> {
    graph.iter().find(|(_, node)| matches!(&node.op, Op::Leaf(leaf) if leaf.name == name)).map(|(value, _)| value)
}

/// Returns the value of an operand of a node's launch, if it belongs to the node or its unit.
pub(super) fn value_of(graph: &Graph, node: Value, operand: Operand) -> Option<Value> {
    match operand {
        Operand::Input(index) => Some(graph.node(node).inputs[index]),
        Operand::Output => Some(node),
        Operand::InputOf(behind, index) => Some(graph.node(Value(node.0 + behind)).inputs[index]),
        Operand::OutputOf(behind) => Some(Value(node.0 + behind)),
        Operand::Scratch(_) | Operand::Fault | Operand::Scales | Operand::Seen => None,
    }
}
