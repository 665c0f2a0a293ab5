//! `assign`: assigns tenants (values and scratch buffers) to slots, the longest first.
//!
//! A tenant takes a slot that is unused during its lifetime; of several, the one with the shortest
//! gap before or after, which leaves long gaps for others. Without such a slot it gets a new one.
//! No slot is too short, because longer tenants were assigned before. Tenants that are not
//! transient have separate slots.
//!
//! A launch that is ready to run would wait for the previous contents of its output's slot. The
//! shortest outputs of such launches therefore take slots that were unused before, within a budget
//! of one part in [`READY_PART`] of all memory.

use super::tenants::Allocation;
use super::{Lifetime, Slot};
use std::cmp::Reverse;
use std::ops::Range;

/// Assignment of values to slots.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Slot by value.
    pub slot_of: Vec<usize>,
    /// By value: the slots of its scratch buffers.
    pub scratch_of: Vec<Vec<usize>>,
    /// By value: slots that are free after it is computed.
    pub frees: Vec<Vec<usize>>,
    /// All slots.
    pub slots: Vec<Slot>,
}

impl Assignment {
    /// Creates an assignment from the slot of each tenant, for values that are computed in these
    /// ranges.
    pub(super) fn new(tenants: &[Allocation], ranges: &[Range<usize>], slot_of: &[usize], slots: Vec<Slot>) -> Self {
        let count = ranges.last().map_or(0, |range| range.end);
        let (mut of_values, mut scratch_of) = (vec![0; count], vec![Vec::new(); count]);
        let mut frees: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (tenant, &slot) in tenants.iter().zip(slot_of) {
            tenant.values.iter().for_each(|value| of_values[value.0] = slot);
            if let Some((node, _)) = tenant.scratch {
                scratch_of[node.0].push(slot); // they come in order
            }
            if let Some(range) = ranges.get(tenant.to) {
                frees[range.end - 1].push(slot);
            }
        }
        Self { slot_of: of_values, scratch_of, frees, slots }
    }
}

/// The budget for unused slots, described above. With a larger budget more launches of a few plans
/// wait less, but the peaks of other plans exceed those of an assignment in the order of time.
const READY_PART: usize = 120;

/// Assigns slots to tenants.
pub(super) fn assign(tenants: &[Allocation], ranges: &[Range<usize>]) -> Assignment {
    let mut first = vec![false; tenants.len()];
    let mut left = by_size(tenants, &first).iter().map(|slot| tenants[slot[0]].words).sum::<usize>() / READY_PART;
    let mut ready: Vec<usize> = (0..tenants.len()).filter(|&tenant| tenants[tenant].ready).collect();
    ready.sort_by_key(|&tenant| tenants[tenant].words);
    for tenant in ready {
        if let Some(rest) = left.checked_sub(tenants[tenant].words) {
            (first[tenant], left) = (true, rest);
        }
    }
    let mut all = by_size(tenants, &first);
    // Numbered in the order of their first tenants.
    all.sort_by_key(|slot| slot.iter().min().copied());
    let mut slot_of = vec![0; tenants.len()];
    for (number, slot) in all.iter().enumerate() {
        slot.iter().for_each(|&tenant| slot_of[tenant] = number);
    }
    let slot = |slot: &Vec<usize>| Slot { words: tenants[slot[0]].words, lifetime: tenants[slot[0]].lifetime };
    Assignment::new(tenants, ranges, &slot_of, all.iter().map(slot).collect())
}

/// Returns the tenants of each slot, the longest first. For those in `first`, the slot must be
/// unused before.
fn by_size(tenants: &[Allocation], first: &[bool]) -> Vec<Vec<usize>> {
    let mut turns: Vec<usize> = (0..tenants.len()).collect();
    turns.sort_by_key(|&tenant| Reverse(tenants[tenant].words));
    let mut slots: Vec<Vec<usize>> = Vec::new();
    for turn in turns {
        let tenant = &tenants[turn];
        // The number of ranges between this and another tenant; `None` if they cannot share a slot.
        let gap = |&other: &usize| {
            let [before, after] = if tenants[other].from < tenant.from { [other, turn] } else { [turn, other] };
            let shares = [before, after].iter().all(|&both| tenants[both].lifetime == Lifetime::Transient)
                && !tenants[before].meets(&tenants[after])
                && !first[after];
            shares.then(|| tenants[after].from - tenants[before].to)
        };
        let gap = |slot: &Vec<usize>| slot.iter().map(gap).min().flatten();
        let fitting = slots.iter().enumerate().filter_map(|(index, slot)| Some((gap(slot)?, index)));
        match fitting.min() {
            Some((_, slot)) => slots[slot].push(turn),
            None => slots.push(vec![turn]),
        }
    }
    slots
}
