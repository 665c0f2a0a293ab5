//! `low_memory`: rewrites a step to use less memory at the cost of time. In single precision the
//! results are bit-identical.
//!
//! **overwrite.** A batch-norm's gradient overwrites the gradient that it reads, if there is no
//! later reader.
//!
//! **weights-first.** The gradient of a layer's weights, and the update that reads it, are computed
//! before the gradient of its input, so that the partial sums of the former are freed before the
//! latter is allocated.
//!
//! **recompute.** Sums of packed convolutions, and values computed by a first layer from the
//! images, are recomputed at their first use in the backward pass instead of being kept since the
//! forward pass. They are recomputed from codes and packed signs, which are kept anyway and are
//! much smaller, and from the images' bytes. This is done only where it lowers the peak. The same
//! operation on the same operands gives the same bits.
//!
//! This must be the last pass: [`simplify`](super::simplify()) would merge the two computations
//! again.

use super::together;
use crate::error::Result;
use crate::graph::{Phase, Typed, Value};
use crate::ops::batch_norm_backward::BatchNormDx;
use crate::ops::{Graph, Op, fusion};
use std::ops::Range;

/// Applies the rewrites, and marks the graph for compact memory.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub fn low_memory(graph: &Graph) -> Result<Graph> {
    let graph = together(&weights_first(graph)?)?;
    let graph = overwrite(&graph)?;
    graph.verify();
    let mut graph = recompute(&graph)?;
    graph.compact = true;
    graph.verify();
    Ok(graph)
}

/// Moves the gradients of weights to the earliest point at which their inputs exist.
fn weights_first(graph: &Graph) -> Result<Graph> {
    let is_weights = |value: Value| matches!(graph.node(value).op, Op::ConvDw(_) | Op::BconvDw(_));
    let mut order: Vec<Value> = Vec::with_capacity(graph.nodes().len());
    let mut placed = vec![false; graph.nodes().len()];
    let weights: Vec<_> = graph.iter().map(|(value, _)| value).filter(|&value| is_weights(value)).collect();
    for (value, _) in graph.iter() {
        let ready = |placed: &[bool], of: Value| graph.node(of).inputs.iter().all(|input| placed[input.0]);
        let behind = weights.iter().copied();
        for next in [value].into_iter().chain(behind) {
            if !placed[next.0] && ready(&placed, next) {
                placed[next.0] = true;
                order.push(next);
            }
        }
    }
    graph.reordered(&order)
}

/// Lets gradients of batch-norms overwrite the gradients that they read.
fn overwrite(graph: &Graph) -> Result<Graph> {
    let last = graph.last_readers();
    let is_free = |value: Value, reader: Value| {
        last[value.0] == Some(reader)
            && !matches!(graph.node(value).op, Op::Leaf(_))
            && graph.outputs.iter().all(|(_, output)| *output != value)
    };
    graph.rebuild(|new, value, node, inputs| {
        let op = match &node.op {
            Op::BatchNormDx(op) if op.unpool.is_none() && is_free(node.inputs[2], value) => {
                // Another operand may be the same value.
                let once = node.inputs.iter().filter(|input| **input == node.inputs[2]).count() == 1;
                BatchNormDx { in_place: once, ..*op }.into()
            }
            op => op.clone(),
        };
        let over = op.in_place().map(|index| inputs[index]);
        let made = new.add(op, inputs)?;
        new.set_scale(made, node.scale);
        if let Some(over) = over {
            // The old and the new value would have two scales.
            [made, over].into_iter().for_each(|value| new.set_scale(value, None));
        }
        Ok(Some(made))
    })
}

/// Whether recomputing a forward value is cheap relative to its memory: sums of a packed
/// convolution, and the values from the images up to the first float convolution and its output.
fn may_recompute(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    let from = |at: usize| &graph.node(node.inputs[at]).op;
    node.phase == Phase::Forward
        && match &node.op {
            Op::Bconv(_) | Op::Gather(_) => true,
            Op::Conv(_) => matches!(from(0), Op::Gather(_) | Op::Leaf(_)),
            // The bias added to a layer's sums, or the decoding of sums to floats.
            Op::Bias(_) | Op::Decode(_) => may_recompute(graph, node.inputs[0]),
            _ => false,
        }
}

fn recompute(graph: &Graph) -> Result<Graph> {
    let lives = Lives::new(graph);
    let count = graph.nodes().len();
    let candidates = (0..count).map(Value).filter(|&value| may_recompute(graph, value) && lives.is_kept(value));
    // Each candidate by itself, and with one to all of the recomputable values that it depends on.
    let sets = candidates.flat_map(|value| {
        let chain = |input: &Value| may_recompute(graph, *input).then_some(*input);
        let first = |value: &Value| graph.node(*value).inputs.first().and_then(chain);
        let all: Vec<_> = std::iter::successors(Some(value), first).collect();
        (1..=all.len()).map(move |len| all[..len].to_vec()).collect::<Vec<_>>()
    });
    let sets: Vec<Vec<Value>> = sets.collect();
    let mut chosen = vec![false; count];
    let mut peak = lives.peak(&chosen).expect("nothing is recomputed");
    loop {
        let with = |set: &Vec<Value>| {
            let mut next = chosen.clone();
            set.iter().for_each(|value| next[value.0] = true);
            Some((lives.peak(&next)?, next))
        };
        match sets.iter().filter_map(with).min_by_key(|(peak, _)| *peak) {
            Some((lower, next)) if lower < peak => (peak, chosen) = (lower, next),
            _ => break,
        }
    }
    // Drop recomputations that later choices have made unnecessary.
    for value in 0..count {
        if std::mem::replace(&mut chosen[value], false) && lives.peak(&chosen).is_none_or(|without| without > peak) {
            chosen[value] = true;
        }
    }
    lives.rebuild(&chosen)
}

/// Lifetimes of values.
struct Lives<'g> {
    graph: &'g Graph,
    units: Vec<Range<usize>>,
    /// By value: the unit that computes it.
    unit_of: Vec<usize>,
    /// By value: the first value that occupies the same memory.
    root: Vec<usize>,
    /// By value: its readers.
    readers: Vec<Vec<Value>>,
    /// By value: the unit that overwrites it.
    overwritten: Vec<Option<usize>>,
}

impl<'g> Lives<'g> {
    fn new(graph: &'g Graph) -> Self {
        let units = fusion::units(graph);
        let count = graph.nodes().len();
        let unit_of: Vec<_> = (0..count).map(|node| units.partition_point(|unit| unit.end <= node)).collect();
        let (mut root, mut readers, mut overwritten) = (Vec::new(), vec![Vec::new(); count], vec![None; count]);
        for (value, node) in graph.iter() {
            let over = node.op.in_place().map(|index| node.inputs[index]);
            root.push(over.map_or(value.0, |over| root[over.0]));
            if let Some(over) = over {
                overwritten[over.0] = Some(unit_of[value.0]);
            }
            node.inputs.iter().for_each(|input| readers[input.0].push(value));
        }
        Self { graph, units, unit_of, root, readers, overwritten }
    }

    /// Whether a value of the forward pass is kept for another phase.
    fn is_kept(&self, value: Value) -> bool {
        self.later(value).next().is_some() && self.graph.outputs.iter().all(|(_, output)| *output != value)
    }

    /// Returns the readers in other phases.
    fn later(&self, value: Value) -> impl Iterator<Item = Value> {
        self.readers[value.0].iter().copied().filter(|reader| self.graph.node(*reader).phase != Phase::Forward)
    }

    /// Returns, by value, the unit before which it is recomputed; `None` if one of its inputs has
    /// been overwritten by then.
    fn positions(&self, again: &[bool]) -> Option<Vec<Option<usize>>> {
        let mut positions: Vec<Option<usize>> = vec![None; again.len()];
        for value in (0..again.len()).rev().filter(|&value| again[value]) {
            let own = self.later(Value(value)).map(|reader| self.unit_of[reader.0]);
            let of_others = self.readers[value].iter().filter_map(|reader| positions[reader.0]);
            let place = own.chain(of_others).min()?;
            let overwritten = |input: &Value| self.overwritten[input.0].is_some_and(|unit| unit < place);
            if self.graph.node(Value(value)).inputs.iter().any(overwritten) {
                return None;
            }
            positions[value] = Some(place);
        }
        Some(positions)
    }

    /// Returns the largest number of words that are live at the same time when these values are
    /// recomputed, and the number of moments at which that is reached.
    fn peak(&self, again: &[bool]) -> Option<(i64, usize)> {
        let positions = self.positions(again)?;
        // Units are at odd moments; recomputation before a unit is at the preceding even moment.
        let moment = |value: Value| 2 * self.unit_of[value.0] + 1;
        let mut change = vec![0; 2 * self.units.len() + 3];
        let mut lives = |from: usize, to: usize, words: i64| {
            change[from] += words;
            change[to + 1] -= words;
        };
        // By root.
        let mut spans: Vec<Option<(usize, usize)>> = vec![None; again.len()];
        for (value, node) in self.graph.iter() {
            let root = self.root[value.0];
            if matches!(self.graph.node(Value(root)).op, Op::Leaf(_)) {
                continue;
            }
            let readers = self.readers[value.0].iter().copied();
            let again_by = readers.clone().filter_map(|reader| Some(2 * positions[reader.0]?));
            let until = |readers: &mut dyn Iterator<Item = usize>| readers.max().unwrap_or(0);
            let first_life = match positions[value.0] {
                None => until(&mut readers.map(moment).chain(again_by)),
                Some(place) => {
                    let last = until(&mut self.later(value).map(moment).chain(again_by));
                    lives(2 * place, last, node.ty.words() as i64);
                    let forward = readers.filter(|reader| self.graph.node(*reader).phase == Phase::Forward);
                    until(&mut forward.map(moment))
                }
            };
            let (from, to) = spans[root].unwrap_or((moment(value), 0));
            spans[root] = Some((from, to.max(first_life).max(moment(value))));
        }
        for (value, span) in spans.into_iter().enumerate() {
            if let Some((from, to)) = span {
                lives(from, to, self.graph.ty(Value(value)).words() as i64);
            }
        }
        let mut now = 0;
        let all = change.into_iter().map(|change| {
            now += change;
            now
        });
        let (mut peak, mut times) = (0, 0);
        for words in all {
            match words.cmp(&peak) {
                std::cmp::Ordering::Greater => (peak, times) = (words, 1),
                std::cmp::Ordering::Equal => times += 1,
                std::cmp::Ordering::Less => {}
            }
        }
        Some((peak, times))
    }

    /// Rebuilds the graph with these values recomputed, each right before its first reader of a
    /// later phase.
    fn rebuild(&self, again: &[bool]) -> Result<Graph> {
        let graph = self.graph;
        let positions = self.positions(again).expect("a choice that was looked at");
        let mut new = graph.successor();
        let mut renamed: Vec<Value> = Vec::with_capacity(again.len());
        let mut second: Vec<Option<Value>> = vec![None; again.len()];
        for (at, unit) in self.units.iter().enumerate() {
            for value in (0..again.len()).filter(|&value| positions[value] == Some(at)) {
                let node = graph.node(Value(value));
                new.at(&node.layer, Phase::Backward);
                let inputs = node.inputs.iter().map(|input| second[input.0].unwrap_or(renamed[input.0]));
                let again = new.add(node.op.clone(), &inputs.collect::<Vec<_>>())?;
                new.set_scale(again, node.scale);
                second[value] = Some(again);
            }
            for value in unit.clone() {
                let node = graph.node(Value(value));
                new.at(&node.layer, node.phase);
                let second = |input: &Value| second[input.0].filter(|_| node.phase != Phase::Forward);
                let inputs: Vec<_> =
                    node.inputs.iter().map(|input| second(input).unwrap_or(renamed[input.0])).collect();
                let made = new.add(node.op.clone(), &inputs)?;
                new.set_scale(made, node.scale);
                renamed.push(made);
            }
        }
        for (name, value) in &graph.outputs {
            new.output(name.clone(), renamed[value.0]);
        }
        Ok(new)
    }
}
