//! `dispatches`: the launches of a graph in order, and their grouping into dispatches.
//!
//! The update of a parameter is merged into one launch, quad by quad ([`merge`]). Then consecutive
//! independent launches run side by side in one dispatch ([`crate::kernel::beside`]), as far as
//! storage buffers and workgroup memory allow.

use super::cells::{Bound, Cells};
use super::lower::programs;
use super::merge::{self, Chain};
use super::rank;
use crate::caps::Caps;
use crate::graph::Value;
use crate::kernel::{self, Held, Launch, Piece, beside, goes_side_by_side, workgroup_bytes};
use crate::ops::{Graph, fusion};
use std::collections::HashMap;
use std::ops::Range;

/// The launches of a graph.
pub(super) struct Launches {
    /// All launches in order, with merged updates.
    pub(super) all: Vec<Bound>,
    /// The values that stay in registers.
    pub(super) registers: Vec<Value>,
    /// Nodes whose last launch is postponed, and the node up to which it is.
    pub(super) postponed: Vec<(Value, Value)>,
}

/// Returns the launches of units.
pub(super) fn launches(cells: &Cells<'_>, units: &[Range<usize>], caps: &Caps) -> Launches {
    let rank = |value: Value| rank(cells.graph, value);
    let chains = merge::chains(cells, caps.max_buffers);
    // By node: the chain that contains its last launch.
    let chain_of: HashMap<Value, &Chain> =
        chains.iter().flat_map(|chain| chain.iter().map(move |&node| (node, chain))).collect();
    let mut made = Launches { all: Vec::new(), registers: Vec::new(), postponed: Vec::new() };
    for unit in units {
        let launches = &cells.programs[unit.start].launches;
        let nodes: Vec<_> = unit.clone().map(Value).collect();
        let chain = chain_of.get(&nodes[0]);
        let own = launches.len() - usize::from(chain.is_some());
        made.all.extend(launches[..own].iter().map(|launch| cells.bound(nodes.clone(), launch)));
        if let Some(chain) = chain.filter(|chain| merge::here(cells, chain).next() == Some(nodes[0])) {
            made.all.push(merge::bound(cells, chain, rank));
            made.registers.extend(merge::registers(cells, chain));
            made.postponed.extend(merge::postponed(cells, chain));
        }
    }
    made
}

fn pieces<'a>(set: impl IntoIterator<Item = &'a Bound>, rank: impl Fn(Value) -> u32) -> Vec<Piece<'a>> {
    let piece =
        |bound: &'a Bound| Piece { launch: &bound.launch, held: bound.held.clone(), rank: rank(bound.nodes[0]) };
    set.into_iter().map(piece).collect()
}

/// Whether a launch can run side by side with those of a set.
pub(super) fn fits(cells: &Cells<'_>, set: &[&Bound], another: &Bound, caps: &Caps) -> bool {
    let all = || set.iter().copied().chain([another]);
    all().all(|bound| goes_side_by_side(&bound.launch))
        && kernel::fits(pieces(all(), |_| 0).iter(), caps.max_buffers)
        && all().map(|bound| workgroup_bytes(&bound.launch)).sum::<usize>() <= caps.workgroup_bytes
        && all().map(|bound| bound.launch.groups.max(1)).sum::<usize>() <= caps.max_groups.pow(2)
        && set.iter().all(|bound| cells.independent(bound, another) && alike(bound, another))
}

/// Whether launches read their common operands in the same encoding.
fn alike(a: &Bound, b: &Bound) -> bool {
    let encodings = |bound: &Bound| -> Vec<_> {
        bound.held.iter().copied().zip(bound.launch.kernel.bindings.iter().map(|binding| binding.encoding)).collect()
    };
    let theirs = encodings(b);
    encodings(a).iter().all(|(held, mine)| theirs.iter().all(|(other, encoding)| held != other || mine == encoding))
}

/// Groups launches into dispatches.
pub(super) fn sets(cells: &Cells<'_>, launches: Vec<Bound>, caps: &Caps) -> Vec<Vec<Bound>> {
    let mut sets: Vec<Vec<Bound>> = Vec::new();
    for bound in launches {
        match sets.last_mut() {
            Some(set) if fits(cells, &set.iter().collect::<Vec<_>>(), &bound, caps) => set.push(bound),
            _ => sets.push(vec![bound]),
        }
    }
    sets
}

/// Returns the number of dispatches of a graph.
pub(super) fn count(graph: &Graph, caps: &Caps) -> usize {
    let units = fusion::units(graph);
    let programs = programs(graph, &units, caps);
    let cells = Cells::new(graph, &programs);
    let launches = launches(&cells, &units, caps).all;
    sets(&cells, launches, caps).len()
}

/// Combines the launches of a set into one.
pub(super) fn one(set: &[Bound], rank: impl Fn(Value) -> u32) -> Bound {
    if let [bound] = set {
        return bound.clone();
    }
    let (launch, held): (Launch, Vec<Held>) = beside(&pieces(set, rank));
    let words = |wanted: &Held| {
        let operands = set.iter().flat_map(|bound| bound.held.iter().zip(&bound.words));
        operands.filter(|(held, _)| *held == wanted).map(|(_, &words)| words).max().unwrap_or(0)
    };
    let words = held.iter().map(words).collect();
    Bound { nodes: set.iter().flat_map(|bound| bound.nodes.iter().copied()).collect(), launch, held, words }
}

/// Returns the nodes of a graph in ranges that are computed at the same time, in order: units, or
/// several units whose launches share a dispatch.
pub(super) fn ranges(units: &[Range<usize>], sets: &[Vec<Bound>]) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = units.to_vec();
    let of_set = |set: &Vec<Bound>| {
        let nodes = || set.iter().flat_map(|bound| bound.nodes.iter().map(|node| node.0));
        Some(nodes().min()?..nodes().max()? + 1)
    };
    all.extend(sets.iter().filter_map(of_set));
    all.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in all {
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
