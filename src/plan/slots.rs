//! `assign`: values to slots, by one walk over the schedule.
//!
//! A value takes the free slot that wastes least; where none is long enough, the longest free one grows; where none is free, a new one is made. Leaves and
//! outputs keep slots of their own; an in-place update takes over its input's. What is computed together lives at the same time.

use super::{Slot, Tenancy};
use crate::graph::{Typed, Value};
use crate::ops::{Graph, Op, Role};
use std::ops::Range;

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

/// Assigns slots for nodes that are computed in these units, one after the other; `words` says how long a value is, `scratch` which buffers a node needs for itself (in a unit, the first).
/// `lasting` names nodes whose scratch is needed until another one is computed.
pub fn assign(
    graph: &Graph,
    units: &[Range<usize>],
    words: impl Fn(Value) -> usize,
    scratch: impl Fn(Value) -> Vec<usize>,
    lasting: &[(Value, Value)],
) -> Assignment {
    let count = graph.nodes().len();
    let last = graph.last_readers();
    let mut pinned = vec![false; count];
    graph.outputs.iter().for_each(|(_, value)| pinned[value.0] = true);
    let mut made = Slots { slots: Vec::new(), free: Vec::new() };
    let mut assignment =
        Assignment { slot_of: Vec::new(), scratch_of: Vec::new(), frees: vec![Vec::new(); count], slots: Vec::new() };
    for unit in units {
        let mut dead: Vec<Value> = Vec::new();
        let mut frees: Vec<usize> = Vec::new();
        for value in unit.clone().map(Value) {
            let node = graph.node(value);
            let tenancy = match &node.op {
                Op::Leaf(leaf) if leaf.role == Role::Input => Tenancy::Port,
                Op::Leaf(_) => Tenancy::State,
                _ if pinned[value.0] => Tenancy::Port,
                _ => Tenancy::Transient,
            };
            let slot = match node.op.in_place() {
                Some(index) => {
                    let old = node.inputs[index];
                    // Its memory is the new value's now.
                    pinned[value.0] |= std::mem::replace(&mut pinned[old.0], true);
                    assignment.slot_of[old.0]
                }
                None => made.take(words(value), tenancy),
            };
            assignment.slot_of.push(slot);
            pinned[value.0] |= tenancy != Tenancy::Transient;
            let scratch: Vec<_> =
                scratch(value).into_iter().map(|words| made.take(words, Tenancy::Transient)).collect();
            if lasting.iter().all(|(of, _)| *of != value) {
                frees.extend(&scratch);
            }
            assignment.scratch_of.push(scratch);
            let read = node.inputs.iter().filter(|input| last[input.0].is_some_and(|last| last.0 < unit.end));
            dead.extend(read);
            dead.extend(last[value.0].is_none().then_some(value));
        }
        // Now the outputs exist: what was read for the last time, and scratch, become free.
        dead.sort();
        dead.dedup();
        frees.extend(dead.into_iter().filter(|value| !pinned[value.0]).map(|value| assignment.slot_of[value.0]));
        let needed = lasting.iter().filter(|(_, until)| unit.contains(&until.0));
        frees.extend(needed.flat_map(|(of, _)| &assignment.scratch_of[of.0]));
        made.free.extend(&frees);
        assignment.frees[unit.end - 1] = frees;
    }
    assignment.slots = made.slots;
    assignment
}
