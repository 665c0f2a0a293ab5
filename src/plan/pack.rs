//! `pack`: places the values of a compact graph side by side in a few buffers.
//!
//! A slot that is a whole buffer is as long as its longest value, however short the others are.
//! Here each value has its own slot, and slots share buffers, in which values that live at the same
//! time do not overlap. The longest values are placed first, each where it extends the buffers
//! least; the best of several orders is used.
//!
//! WebGPU does not allow a dispatch to bind one buffer both read-only and read-write. It allows two
//! non-overlapping parts of a buffer that are both bound read-write. Values bound by one dispatch
//! that writes any of them are therefore placed in different buffers where that costs no memory;
//! otherwise the kernel declares its read operand as read-write (`Binding::shared`).

use super::cells::{Bound, Cells};
use super::tenants::Allocation;
use super::{Assignment, Lifetime, Slot};
use crate::kernel::{Held, Launch};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Location of the transient slots of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packing {
    /// The lengths of the buffers, in u32 words.
    pub buffers: Vec<usize>,
    /// By slot: its buffer and its offset in words; `None` if the slot is a whole buffer.
    pub at: Vec<Option<(usize, usize)>>,
}

impl Packing {
    /// Returns a launch with these slots and words bound, adapted to reading and writing parts of
    /// the same buffers.
    pub(super) fn shared(&self, launch: &Launch, bindings: &[(usize, usize)]) -> Launch {
        let mut launch = launch.clone();
        let buffer = |&(slot, _): &(usize, usize)| self.at.get(slot).copied().flatten().map(|(buffer, _)| buffer);
        let buffers: Vec<Option<usize>> = bindings.iter().map(buffer).collect();
        let written = launch.kernel.bindings.iter().zip(&buffers).filter(|(binding, _)| binding.write);
        let written: Vec<_> = written.filter_map(|(_, buffer)| *buffer).collect();
        for (binding, buffer) in launch.kernel.bindings.iter_mut().zip(&buffers) {
            binding.shared = !binding.write && buffer.is_some_and(|buffer| written.contains(&buffer));
        }
        launch
    }
}

/// Alignment of binding offsets, in words, on every device.
const ALIGN_WORDS: usize = 64;

/// Gives each transient value its own slot, in buffers of a limited number of words.
pub(super) fn pack(
    cells: &Cells<'_>,
    ranges: &[Range<usize>],
    sets: &[Vec<Bound>],
    tenants: &[Allocation],
    most_words: usize,
) -> (Assignment, Packing) {
    // Leaves and outputs keep separate slots, in order.
    let (packed, own): (Vec<usize>, Vec<usize>) =
        (0..tenants.len()).partition(|&tenant| tenants[tenant].lifetime == Lifetime::Transient);
    let apart = apart(cells, sets, tenants);
    let orders: [fn(&Allocation) -> Reverse<usize>; 2] =
        [|tenant| Reverse(tenant.words), |tenant| Reverse(tenant.words * (1 + tenant.to - tenant.from))];
    let placed = orders.map(|order| place(tenants, &packed, &apart, order, most_words));
    let total = |(buffers, _): &(Vec<usize>, Vec<(usize, usize)>)| buffers.iter().sum::<usize>();
    let (buffers, locations) = placed.into_iter().min_by_key(total).expect("several orders");

    let mut slot_of = vec![0; tenants.len()];
    let (mut slots, mut at) = (Vec::new(), Vec::new());
    for &tenant in own.iter().chain(&packed) {
        let Allocation { words, lifetime, .. } = tenants[tenant];
        slot_of[tenant] = slots.len();
        slots.push(Slot { words, lifetime });
        at.push((lifetime == Lifetime::Transient).then_some(locations[tenant]));
    }
    (Assignment::new(tenants, ranges, &slot_of, slots), Packing { buffers, at })
}

/// Returns, by tenant, other tenants that a dispatch binds together with it while writing one of
/// the two; these should preferably lie in different buffers.
fn apart(cells: &Cells<'_>, sets: &[Vec<Bound>], tenants: &[Allocation]) -> Vec<HashSet<usize>> {
    let mut apart = vec![HashSet::new(); tenants.len()];
    let mut of_cell: HashMap<usize, usize> = HashMap::new();
    for (index, tenant) in tenants.iter().enumerate() {
        of_cell.extend(tenant.values.iter().map(|value| (cells.of(*value), index)));
        of_cell.extend(tenant.scratch.map(|(node, at)| (cells.of_scratch(node, at), index)));
    }
    for set in sets {
        let bound = set.iter().flat_map(|bound| bound.held.iter().zip(&bound.launch.kernel.bindings));
        let bound = bound.filter_map(|(held, binding)| match held {
            Held::Buffer(cell) => Some((*of_cell.get(cell)?, binding.write)),
            Held::Fault | Held::Seen | Held::Register(_) => None,
        });
        let bound: Vec<_> = bound.collect();
        for &(a, _) in bound.iter().filter(|(_, writes)| *writes) {
            for &(b, _) in bound.iter().filter(|(b, _)| *b != a) {
                apart[a].insert(b);
                apart[b].insert(a);
            }
        }
    }
    apart
}

/// Returns the lengths of buffers and, by tenant, its place if it is packed.
fn place(
    tenants: &[Allocation],
    packed: &[usize],
    apart: &[HashSet<usize>],
    order: fn(&Allocation) -> Reverse<usize>,
    most_words: usize,
) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut turns = packed.to_vec();
    turns.sort_by_key(|&tenant| order(&tenants[tenant]));
    let mut buffers: Vec<usize> = Vec::new();
    // By buffer: its tenants and their offsets.
    let mut inside: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut locations: Vec<(usize, usize)> = vec![(0, 0); tenants.len()];
    for index in turns {
        let tenant = &tenants[index];
        let words = tenant.words.next_multiple_of(ALIGN_WORDS);
        let mut best = (words, 0, buffers.len(), 0);
        for (buffer, &length) in buffers.iter().enumerate() {
            let others = &inside[buffer];
            let alive = others.iter().map(|&(other, begin)| (&tenants[other], begin));
            let alive = alive.filter(|(other, _)| other.meets(tenant));
            let mut taken: Vec<_> =
                alive.map(|(other, begin)| (begin, begin + other.words.next_multiple_of(ALIGN_WORDS))).collect();
            taken.sort_unstable();
            let mut begin = 0;
            for (from, to) in taken {
                if from >= begin + words {
                    break;
                }
                begin = begin.max(to);
            }
            if begin + words <= most_words {
                let longer = (begin + words).saturating_sub(length);
                let close = others.iter().filter(|(other, _)| apart[index].contains(other)).count();
                best = best.min((longer, close, buffer, begin));
            }
        }
        let (.., buffer, begin) = best;
        if buffer == buffers.len() {
            buffers.push(0);
            inside.push(Vec::new());
        }
        buffers[buffer] = buffers[buffer].max(begin + words);
        inside[buffer].push((index, begin));
        locations[index] = (buffer, begin);
    }
    (buffers, locations)
}
