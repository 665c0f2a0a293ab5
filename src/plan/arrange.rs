//! `arrange`: reorders a graph so that more launches can run side by side in one dispatch.
//!
//! Some small launches have no reader nearby: signs are packed long before they are read, and an
//! update is read in the next step. Such a launch is postponed until a launch that is needed
//! anyway, if the two can run side by side. The results do not change, and nothing moves forward,
//! so no value lives longer than its launch is postponed.

use super::cells::{Bound, Cells};
use super::dispatches::{self, Launches, fits};
use super::lower::programs;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::{Graph, Op, fusion};
use std::cmp::Reverse;
use std::collections::HashSet;

/// Nodes that stay together: a unit, or nodes that are merged quad by quad.
struct Block {
    nodes: Vec<Value>,
    launches: Vec<Bound>,
    /// Blocks that were postponed to directly before or directly after this one.
    before: Vec<usize>,
    behind: Vec<usize>,
}

/// Applies the new order.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub fn arrange(graph: &Graph, caps: &Caps) -> Result<Graph> {
    // A launch's obstacle may have been postponed itself, so that another round can postpone more:
    // of all launches, or only of those that still run alone, which leaves the others in place. A
    // postponed launch may also become an obstacle: a round can fail to improve the order.
    let (mut best, mut fewest) = (graph.clone(), dispatches::count(graph, caps));
    loop {
        let mut better = None;
        for alone in [false, true] {
            let next = round(&best, alone, caps)?;
            let count = dispatches::count(&next, caps);
            if count < fewest {
                (better, fewest) = (Some(next), count);
            }
        }
        match better {
            Some(next) => best = next,
            None => return Ok(best),
        }
    }
}

/// Postpones each launch once, or only those that run alone.
fn round(graph: &Graph, alone: bool, caps: &Caps) -> Result<Graph> {
    let units = fusion::units(graph);
    let programs = programs(graph, &units, caps);
    let cells = Cells::new(graph, &programs);
    let Launches { all, .. } = dispatches::launches(&cells, &units, caps);
    let sets = dispatches::sets(&cells, all.clone(), caps);
    let shared: HashSet<Value> =
        sets.iter().filter(|set| set.len() > 1).flatten().map(|bound| bound.nodes[0]).collect();
    let mut blocks = blocks(graph, all);
    let mut moved = vec![false; blocks.len()];
    for at in (Search { cells: &cells, blocks: &blocks, caps }).order() {
        let search = Search { cells: &cells, blocks: &blocks, caps };
        if alone && shared.contains(&blocks[at].nodes[0]) {
            continue;
        }
        let Some(place) = search.place(&moved, at) else { continue };
        // The launches postponed to it move along.
        let members: Vec<_> = search.members(at).collect();
        moved[at] = true;
        let list = match place {
            Place::Before(host) => &mut blocks[host].before,
            Place::Behind(host) => &mut blocks[host].behind,
        };
        list.extend(members);
        // In graph order: one may have an input of another that its launch does not bind.
        list.sort_unstable();
    }
    let search = Search { cells: &cells, blocks: &blocks, caps };
    let order = (0..blocks.len()).filter(|&at| !moved[at]).flat_map(|at| search.members(at));
    graph.reordered(&with_leaves(graph, order.map(|at| &blocks[at].nodes[..])))
}

/// Returns nodes with their launches, in order, without leaves.
fn blocks(graph: &Graph, launches: Vec<Bound>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for bound in launches {
        match blocks.last_mut() {
            Some(block) if block.nodes == bound.nodes => block.launches.push(bound),
            _ => {
                let nodes = bound.nodes.clone();
                blocks.push(Block { nodes, launches: vec![bound], before: Vec::new(), behind: Vec::new() });
            }
        }
    }
    assert_eq!(
        blocks.iter().map(|block| block.nodes.len()).sum::<usize>(),
        graph.iter().filter(|(_, node)| !matches!(node.op, Op::Leaf(_))).count(),
        "every node is in one block"
    );
    blocks
}

/// Where a block is postponed to.
enum Place {
    Before(usize),
    Behind(usize),
}

/// The data needed to find a place.
struct Search<'a> {
    cells: &'a Cells<'a>,
    blocks: &'a [Block],
    caps: &'a Caps,
}

impl Search<'_> {
    /// Returns a block with all blocks postponed to it, in order.
    fn members(&self, at: usize) -> impl Iterator<Item = usize> {
        let Block { before, behind, .. } = &self.blocks[at];
        before.iter().chain([&at]).chain(behind).copied().collect::<Vec<_>>().into_iter()
    }

    fn launches(&self, blocks: impl IntoIterator<Item = usize>) -> impl Iterator<Item = &Bound> {
        blocks.into_iter().flat_map(|block| &self.blocks[block].launches)
    }

    /// Whether two blocks, with the blocks postponed to them, may change places.
    fn free(&self, a: usize, b: usize) -> bool {
        let mut mine = self.launches(self.members(a));
        mine.all(|mine| self.launches(self.members(b)).all(|other| self.cells.independent(mine, other)))
            && self.apart(a, b)
    }

    /// The same check on the graph: a node may have an input that its launches do not bind.
    fn apart(&self, a: usize, b: usize) -> bool {
        let touched = |at: usize| {
            let nodes = self.members(at).flat_map(|member| &self.blocks[member].nodes);
            nodes.fold((HashSet::new(), HashSet::new()), |(mut reads, mut writes), node| {
                reads.extend(self.cells.graph.node(*node).inputs.iter().map(|input| self.cells.of(*input)));
                writes.insert(self.cells.of(*node));
                (reads, writes)
            })
        };
        let ((reads, writes), (read, written)) = (touched(a), touched(b));
        writes.is_disjoint(&read) && writes.is_disjoint(&written) && reads.is_disjoint(&written)
    }

    /// Whether all launches of a block can run side by side with those of `set`.
    fn beside<'b>(&'b self, at: usize, mut set: Vec<&'b Bound>) -> bool {
        self.launches(self.members(at)).all(|mine| {
            let fits = fits(self.cells, &set, mine, self.caps);
            set.push(mine);
            fits
        })
    }

    /// Returns the blocks in the order in which they choose a place: first those that can be
    /// postponed least; among equals, the one that touches more memory, so that it waits less.
    fn order(&self) -> Vec<usize> {
        let end = |at: usize| (at + 1..self.blocks.len()).find(|&other| !self.free(at, other));
        let size = |at: usize| self.blocks[at].launches.iter().flat_map(|bound| &bound.words).sum::<usize>();
        let mut all: Vec<usize> = (0..self.blocks.len()).collect();
        all.sort_by_cached_key(|&at| (end(at).unwrap_or(self.blocks.len()), Reverse(size(at))));
        all
    }

    /// Returns the best place for a block, if there is one: the first next to a launch that others
    /// wait for, else the first of all.
    fn place(&self, moved: &[bool], at: usize) -> Option<Place> {
        // Ranks exchange values in the same order, whatever their devices are.
        let synchronises = |&node: &Value| self.cells.graph.node(node).op.stem() == "synchronise";
        if self.blocks[at].launches.len() > 1 || self.blocks[at].nodes.iter().any(synchronises) {
            return None;
        }
        let mut second = None;
        let left = |from: usize| (from..self.blocks.len()).filter(|&other| !moved[other]);
        for other in left(at + 1) {
            let host = &self.blocks[other];
            match &host.launches[..] {
                [_] if self.beside(at, self.launches(self.members(other)).collect()) => {
                    if left(other + 1).next().is_some_and(|next| !self.free(other, next)) {
                        return Some(Place::Before(other));
                    }
                    second = second.or(Some(Place::Before(other)));
                }
                [first, .., last] => {
                    let before = self.launches(host.before.iter().copied()).chain([first]);
                    if self.beside(at, before.collect()) {
                        return Some(Place::Before(other));
                    }
                    let behind = [last].into_iter().chain(self.launches(host.behind.iter().copied()));
                    if self.free(at, other) && self.beside(at, behind.collect()) {
                        return Some(Place::Behind(other));
                    }
                }
                _ => {}
            }
            if !self.free(at, other) {
                break;
            }
        }
        second
    }
}

/// Inserts the leaves into an order of blocks, each before its first reader.
fn with_leaves<'a>(graph: &Graph, order: impl Iterator<Item = &'a [Value]>) -> Vec<Value> {
    let mut placed = vec![false; graph.nodes().len()];
    let mut all = Vec::with_capacity(placed.len());
    let is_leaf = |value: &Value| matches!(graph.node(*value).op, Op::Leaf(_));
    let of_block = |block: &'a [Value]| {
        let inputs = block.iter().flat_map(|value| &graph.node(*value).inputs).copied();
        inputs.filter(is_leaf).chain(block.iter().copied()).collect::<Vec<_>>()
    };
    let unread = graph.iter().map(|(value, _)| value).filter(is_leaf);
    for value in order.flat_map(of_block).chain(unread) {
        if !std::mem::replace(&mut placed[value.0], true) {
            all.push(value);
        }
    }
    all
}
