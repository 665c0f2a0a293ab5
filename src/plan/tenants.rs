//! `tenants`: the memory needed during a step and its lifetimes: values with all their in-place
//! updates, and scratch buffers.

use super::Lifetime;
use super::cells::{Bound, Cells};
use crate::graph::{Typed, Value};
use crate::kernel::Held;
use crate::ops::{Op, Role};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A value or scratch buffer that occupies a slot.
#[derive(Clone, Debug)]
pub(super) struct Allocation {
    /// Its length.
    pub(super) words: usize,
    /// Owner and lifetime of its slot. A tenant that is not transient has a separate slot.
    pub(super) lifetime: Lifetime,
    /// The first and the last of the ranges in which it is needed; the end is after all ranges if
    /// it is read after the step.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The values, which overwrite each other; empty for scratch.
    pub(super) values: Vec<Value>,
    /// The node that it is a scratch buffer of, and the index of the buffer.
    pub(super) scratch: Option<(Value, usize)>,
    /// Whether the launch that computes it depends on nothing that runs directly before, so that it
    /// would wait only for the previous contents of its slot.
    pub(super) ready: bool,
}

impl Allocation {
    /// Whether both are needed at the same time.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// Returns all tenants, in the order of the values. Everything computed in a range is needed at the
/// same time; `lasting` lists nodes whose scratch is needed until another node is computed.
pub(super) fn tenants(
    cells: &Cells<'_>,
    ranges: &[Range<usize>],
    sets: &[Vec<Bound>],
    lasting: &[(Value, Value)],
) -> Vec<Allocation> {
    let graph = cells.graph;
    let range_of = |value: Value| ranges.partition_point(|range| range.end <= value.0);
    let last = graph.last_readers();
    let outputs: HashSet<Value> = graph.outputs.iter().map(|(_, value)| *value).collect();
    let ready = ready(sets);
    let mut all: Vec<Allocation> = Vec::new();
    let mut tenant_of: Vec<usize> = Vec::with_capacity(graph.nodes().len());
    for (value, node) in graph.iter() {
        let from = range_of(value);
        let tenant = node.op.in_place().map(|index| tenant_of[node.inputs[index].0]).unwrap_or_else(|| {
            let lifetime = match &node.op {
                Op::Leaf(leaf) if leaf.role == Role::Input => Lifetime::Port,
                Op::Leaf(_) => Lifetime::State,
                _ if outputs.contains(&value) => Lifetime::Port,
                _ => Lifetime::Transient,
            };
            let (words, ready) = (graph.stored(value).words(), ready.contains(&cells.of(value)));
            all.push(Allocation { words, lifetime, from, to: from, values: Vec::new(), scratch: None, ready });
            all.len() - 1
        });
        let stays = all[tenant].lifetime != Lifetime::Transient || outputs.contains(&value);
        let to = if stays { ranges.len() } else { range_of(last[value.0].unwrap_or(value)) };
        all[tenant].to = all[tenant].to.max(to);
        all[tenant].values.push(value);
        tenant_of.push(tenant);
        let until = lasting.iter().find(|(of, _)| *of == value).map_or(value, |(_, until)| *until);
        let scratch = cells.programs[value.0].scratch_words.iter().enumerate();
        all.extend(scratch.map(|(index, &words)| Allocation {
            words,
            lifetime: Lifetime::Transient,
            from,
            to: range_of(until),
            values: Vec::new(),
            scratch: Some((value, index)),
            ready: ready.contains(&cells.of_scratch(value, index)),
        }));
    }
    all
}

/// Returns the cells written by dispatches that do not wait, as counted by [`super::Plan::waits`],
/// assuming that no two cells share memory.
fn ready(sets: &[Vec<Bound>]) -> HashSet<usize> {
    let mut written: HashMap<Held, bool> = HashMap::new();
    let mut ready = HashSet::new();
    for set in sets {
        let bindings = || set.iter().flat_map(|bound| bound.held.iter().zip(&bound.launch.kernel.bindings));
        let waits = bindings().any(|(held, binding)| written.get(held).is_some_and(|before| *before || binding.write));
        for (held, binding) in bindings() {
            written.insert(*held, binding.write);
            if let (Held::Buffer(cell), true, false) = (held, binding.write, waits) {
                ready.insert(*cell);
            }
        }
    }
    ready
}
