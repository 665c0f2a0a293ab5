//! `chains`: selects nodes that one launch computes quad by quad, such as the nodes of a parameter
//! update.
//!
//! Consecutive nodes (not counting leaves) whose launches process the same quads
//! ([`Launch::each_quad`]) form a chain. If only a node's last launch does (it adds up the partial
//! sums of a gradient), that launch is *postponed*: it joins the first node that reads the value.
//!
//! **Invariant:** in the buffers written by a chain, each invocation touches only its own quad, so
//! the order of invocations does not matter.

use super::cells::{Bound, Cells};
use crate::graph::{Node, Value};
use crate::kernel::{Held, Launch, Operand, Piece, fits, merge};
use crate::ops::Op;
use crate::tensor::Encoding;
use std::collections::HashMap;

/// Nodes that process the same quads one after the other.
pub(super) type Chain = Vec<Value>;

/// Returns the chains of a graph that have more than one node, in order; none binds more than
/// `buffers` buffers.
pub(super) fn chains(cells: &Cells<'_>, buffers: usize) -> Vec<Chain> {
    let merging = Merging { cells };
    let mut chains: Vec<Chain> = Vec::new();
    // Whether the last chain can be extended.
    let mut open = false;
    for (value, node) in cells.graph.iter().filter(|(_, node)| !matches!(node.op, Op::Leaf(_))) {
        if merging.quads(value).is_none() || cells.programs[value.0].launches.len() > 1 {
            open = false;
            continue;
        }
        let mut longer = chains.last().filter(|_| open).cloned().unwrap_or_default();
        longer.push(value);
        if longer.len() > 1 && merging.joins(&longer, value, node) && merging.fits(&longer, buffers) {
            *chains.last_mut().expect("it is longer now") = longer;
        } else {
            chains.push(merging.postponed(value, node).into_iter().chain([value]).collect());
        }
        open = true;
    }
    chains.retain(|chain| chain.len() > 1 && merging.fits(chain, buffers));
    chains
}

/// Merges a chain into one launch. `rank` is that of a node in the fault word.
pub(super) fn bound(cells: &Cells<'_>, chain: &Chain, rank: impl Fn(Value) -> u32) -> Bound {
    let merging = Merging { cells };
    let pieces = merging.pieces(chain, rank);
    let (launch, held) = merge(&pieces);
    let mut longest: HashMap<Held, usize> = HashMap::from([(Held::Fault, 0), (Held::Seen, 0)]);
    // Each buffer counts once, even if several of its launches use it; twice if it is updated.
    let mut moved: HashMap<Held, usize> = HashMap::new();
    for (&node, piece) in chain.iter().zip(&pieces) {
        for (&operand, &held) in piece.launch.operands.iter().zip(&piece.held).filter(|(_, h)| **h != Held::Fault) {
            let (_, words) = cells.held(node, operand);
            let reads = match operand {
                Operand::Scratch(_) => words,
                _ => words.min(4 * merging.quads(node).expect("a launch for each quad")),
            };
            let moves = reads * if cells.updates(node, operand) { 2 } else { 1 };
            let (longest, most) = (longest.entry(held).or_default(), moved.entry(held).or_default());
            (*longest, *most) = (words.max(*longest), moves.max(*most));
        }
    }
    let moved = moved.iter().filter(|(held, _)| matches!(held, Held::Buffer(_))).map(|(_, words)| words).sum();
    let words = held.iter().map(|held| longest[held]).collect();
    Bound { nodes: here(cells, chain).collect(), launch: launch.moves(moved), held, words }
}

/// Returns the nodes of a chain except a node of which only the last launch was postponed.
pub(super) fn here<'a>(cells: &'a Cells<'_>, chain: &'a Chain) -> impl Iterator<Item = Value> + 'a {
    chain.iter().copied().filter(|node| cells.programs[node.0].launches.len() == 1)
}

/// Returns the node whose last launch was postponed, with the last node of its chain.
pub(super) fn postponed(cells: &Cells<'_>, chain: &Chain) -> Option<(Value, Value)> {
    let first = chain.first().filter(|node| cells.programs[node.0].launches.len() > 1)?;
    Some((*first, *chain.last()?))
}

/// Returns the values that only nodes of a chain read.
pub(super) fn registers(cells: &Cells<'_>, chain: &Chain) -> Vec<Value> {
    let graph = cells.graph;
    let inside = |value: &Value| {
        let mut readers = graph.iter().filter(|(_, node)| node.inputs.contains(value));
        let in_place = |node: &Node<Op>| node.op.in_place().map(|index| node.inputs[index]);
        in_place(graph.node(*value)).is_none()
            && graph.outputs.iter().all(|(_, output)| output != value)
            && readers.all(|(reader, node)| chain.contains(&reader) && in_place(node) != Some(*value))
    };
    chain.iter().copied().filter(inside).collect()
}

struct Merging<'a> {
    cells: &'a Cells<'a>,
}

impl<'a> Merging<'a> {
    /// Returns the last launch of a node.
    fn launch(&self, value: Value) -> Option<&'a Launch> {
        self.cells.programs[value.0].launches.last()
    }

    /// Returns the number of quads that it processes, if it processes quads.
    fn quads(&self, value: Value) -> Option<usize> {
        self.launch(value)?.each_quad
    }

    /// Whether a node processes the quads of a chain, because it reads the chain's output, or reads
    /// quad by quad what the chain reads.
    fn joins(&self, chain: &[Value], value: Value, node: &Node<Op>) -> bool {
        let graph = self.cells.graph;
        let quads = self.quads(value);
        let others = || chain.iter().filter(|member| **member != value);
        let read = |input: &Value| others().any(|member| graph.node(*member).inputs.contains(input));
        let whole = |input: &Value| quads.is_some_and(|quads| graph.ty(*input).words() == 4 * quads);
        let related = |input: &Value| chain.contains(input) || read(input) && whole(input);
        self.quads(chain[0]) == quads && node.inputs.iter().any(related)
    }

    /// Returns the value that a node reads quad by quad, before all others, and whose last launch
    /// processes these quads.
    fn postponed(&self, value: Value, node: &Node<Op>) -> Option<Value> {
        let graph = self.cells.graph;
        let fits = |input: &Value| {
            let first = graph.iter().find(|(_, reader)| reader.inputs.contains(input)).map(|(reader, _)| reader);
            let launches = &self.cells.programs[input.0].launches;
            launches.len() > 1 && first == Some(value) && self.quads(*input) == self.quads(value)
        };
        node.inputs.iter().copied().find(fits)
    }

    /// Returns the launches of a chain, each with the location of its operands.
    fn pieces(&self, chain: &Chain, rank: impl Fn(Value) -> u32) -> Vec<Piece<'a>> {
        let registers = registers(self.cells, chain);
        let piece = |value: &Value| {
            let launch = self.launch(*value).expect("a launch for each quad");
            let held = launch.operands.iter().map(|&operand| self.held(*value, operand, &registers)).collect();
            Piece { launch, held, rank: rank(*value) }
        };
        chain.iter().map(piece).collect()
    }

    fn held(&self, node: Value, operand: Operand, registers: &[Value]) -> Held {
        let register = self.cells.value(node, operand);
        let register = register.and_then(|value| registers.iter().position(|register| *register == value));
        register.map_or_else(|| self.cells.held(node, operand).0, Held::Register)
    }

    /// Whether a chain can be one launch with at most `buffers` buffers.
    fn fits(&self, chain: &Chain, buffers: usize) -> bool {
        let pieces = self.pieces(chain, |_| 0);
        if !fits(pieces.iter(), buffers) {
            return false;
        }
        // By buffer: whether any launch writes it, and whether all touch only their own quad.
        let mut touched: HashMap<Held, (bool, bool)> = HashMap::new();
        for (&node, piece) in chain.iter().zip(&pieces) {
            let bindings = piece.launch.kernel.bindings.iter().zip(&piece.launch.operands);
            for ((binding, &operand), &held) in bindings.zip(&piece.held).filter(|(_, held)| **held != Held::Fault) {
                let words = self.cells.value(node, operand).map(|value| self.cells.graph.stored(value).words());
                let own = binding.encoding == Encoding::F32 && words == self.quads(node).map(|quads| 4 * quads);
                let (writes, owns) = touched.entry(held).or_insert((false, true));
                (*writes, *owns) = (*writes || binding.write, *owns && own);
            }
        }
        touched.values().all(|&(writes, owns)| !writes || owns)
    }
}
