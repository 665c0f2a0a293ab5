//! `assign`: values to slots, by one walk over the schedule.
//!
//! A value takes the free slot that wastes least; where none is long enough, the longest free one grows; where none is free, a new one is made. Leaves and
//! outputs keep slots of their own; an in-place update takes over its input's.

use super::{Slot, Tenancy};
use crate::graph::{Typed, Value};
use crate::ops::{Graph, Op, Role};

/// Which slot each value has.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// By value.
    pub slot_of: Vec<usize>,
    /// By value: the slots of its scratch buffers.
    pub scratch_of: Vec<Vec<usize>>,
    /// By value: slots that are free once it is computed.
    pub frees: Vec<Vec<usize>>,
    /// All slots.
    pub slots: Vec<Slot>,
}

impl Assignment {
    /// Bytes of all slots.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(|slot| slot.words as u64 * 4).sum()
    }
}

struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

impl Slots {
    fn take(&mut self, words: usize, tenancy: Tenancy) -> usize {
        if tenancy == Tenancy::Transient {
            let fits = self.free.iter().filter(|&&slot| self.slots[slot].words >= words);
            let best = fits.min_by_key(|&&slot| self.slots[slot].words);
            if let Some(&slot) = best.or_else(|| self.free.iter().max_by_key(|&&slot| self.slots[slot].words)) {
                self.free.retain(|&free| free != slot);
                self.slots[slot].words = self.slots[slot].words.max(words);
                return slot;
            }
        }
        self.slots.push(Slot { words, tenancy });
        self.slots.len() - 1
    }
}

/// Assigns slots; `words` says how long a value is, `scratch` which buffers a node needs for itself.
pub fn assign(graph: &Graph, words: impl Fn(Value) -> usize, scratch: impl Fn(Value) -> Vec<usize>) -> Assignment {
    let count = graph.nodes().len();
    let last = graph.last_readers();
    let mut pinned = vec![false; count];
    graph.outputs.iter().for_each(|(_, value)| pinned[value.0] = true);
    let mut made = Slots { slots: Vec::new(), free: Vec::new() };
    let mut assignment =
        Assignment { slot_of: Vec::new(), scratch_of: Vec::new(), frees: Vec::new(), slots: Vec::new() };
    for (value, node) in graph.iter() {
        let tenancy = match &node.op {
            Op::Leaf(leaf) if leaf.role == Role::Input => Tenancy::Port,
            Op::Leaf(_) => Tenancy::State,
            _ if pinned[value.0] => Tenancy::Port,
            _ => Tenancy::Transient,
        };
        let slot = match node.op.in_place() {
            Some(index) => {
                let old = node.inputs[index];
                pinned[value.0] = pinned[old.0];
                assignment.slot_of[old.0]
            }
            None => made.take(words(value), tenancy),
        };
        pinned[value.0] |= tenancy != Tenancy::Transient;
        let scratch: Vec<_> = scratch(value).into_iter().map(|words| made.take(words, Tenancy::Transient)).collect();
        // Now the output exists: what was read for the last time, and scratch, become free.
        let mut frees = scratch.clone();
        let mut dead: Vec<Value> = node.inputs.iter().copied().filter(|input| last[input.0] == Some(value)).collect();
        if last[value.0].is_none() {
            dead.push(value);
        }
        dead.sort();
        dead.dedup();
        let taken_over = node.op.in_place().map(|index| node.inputs[index]);
        for value in dead {
            if !pinned[value.0] && Some(value) != taken_over {
                frees.push(if value.0 < assignment.slot_of.len() { assignment.slot_of[value.0] } else { slot });
            }
        }
        made.free.extend(&frees);
        assignment.slot_of.push(slot);
        assignment.scratch_of.push(scratch);
        assignment.frees.push(frees);
    }
    assignment.slots = made.slots;
    assignment
}
