//! `pack`: the values of a graph that is to be compact, side by side in a few buffers.
//!
//! A slot that is a whole buffer is as long as its longest tenant, however short the others are. Here each value has a slot of its own, and slots share buffers, in which two that live at the same time lie apart.
//! The longest values choose first, each the place that makes the buffers longer by least; of several orders the best is taken.
//!
//! WebGPU refuses a buffer that a dispatch binds both to read and to read and write; two parts of one that are both bound to read and write it allows, where they do not overlap. So values that a dispatch binds lie in
//! different buffers if it writes one of them, as far as that costs no memory, and else the kernel declares what it reads as something that it may write, too (`Binding::shared`).

use super::cells::{Bound, Cells};
use super::{Assignment, Slot, Tenancy};
use crate::graph::{Typed, Value};
use crate::kernel::{Held, Launch};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Where the transient slots of a plan lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packing {
    /// The lengths of the buffers, in u32 words.
    pub buffers: Vec<usize>,
    /// By slot: its buffer and the word where it begins there; `None` where it is a buffer of its own.
    pub at: Vec<Option<(usize, usize)>>,
}

impl Packing {
    /// A launch with these slots and words bound, which reads and writes parts of the same buffers.
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

/// Offsets of bindings are multiples of so many words on every device.
const ALIGN_WORDS: usize = 64;

/// Something that lies in a slot, from one range of nodes to another one, inclusively.
struct Tenant {
    words: usize,
    from: usize,
    to: usize,
    /// The values, which overwrite each other; none of scratch.
    values: Vec<Value>,
    /// The node that needs it for itself, and as which of its buffers.
    scratch: Option<(Value, usize)>,
    /// Tenants that had better not lie in the same buffer.
    apart: HashSet<usize>,
}

/// Gives each transient value a slot of its own, in buffers of at most so many words, in place of those that it was assigned.
pub(super) fn pack(
    cells: &Cells<'_>,
    ranges: &[Range<usize>],
    sets: &[Vec<Bound>],
    assigned: &Assignment,
    lasting: &[(Value, Value)],
    most_words: usize,
) -> (Assignment, Packing) {
    let mut tenants = tenants(cells, ranges, assigned, lasting);
    set_apart(cells, sets, &mut tenants);
    let orders: [fn(&Tenant) -> Reverse<usize>; 2] =
        [|tenant| Reverse(tenant.words), |tenant| Reverse(tenant.words * (1 + tenant.to - tenant.from))];
    let placed = orders.map(|order| place(&tenants, order, most_words));
    let total = |(buffers, _): &(Vec<usize>, Vec<(usize, usize)>)| buffers.iter().sum::<usize>();
    let (buffers, places) = placed.into_iter().min_by_key(total).expect("several orders");

    // Leaves and outputs keep slots of their own, in order.
    let mut made = Assignment {
        slot_of: vec![0; assigned.slot_of.len()],
        scratch_of: assigned.scratch_of.clone(),
        frees: vec![Vec::new(); assigned.frees.len()],
        slots: Vec::new(),
    };
    let mut renamed = vec![0; assigned.slots.len()];
    for (slot, name) in assigned.slots.iter().zip(&mut renamed).filter(|(slot, _)| slot.tenancy != Tenancy::Transient) {
        *name = made.slots.len();
        made.slots.push(slot.clone());
    }
    for (new, old) in made.slot_of.iter_mut().zip(&assigned.slot_of) {
        *new = renamed[*old];
    }
    let mut at = vec![None; made.slots.len()];
    for (tenant, place) in tenants.iter().zip(places) {
        let slot = made.slots.len();
        made.slots.push(Slot { words: tenant.words, tenancy: Tenancy::Transient });
        at.push(Some(place));
        tenant.values.iter().for_each(|value| made.slot_of[value.0] = slot);
        if let Some((node, index)) = tenant.scratch {
            made.scratch_of[node.0][index] = slot;
        }
        made.frees[ranges[tenant.to].end - 1].push(slot);
    }
    (made, Packing { buffers, at })
}

/// All that lies in transient slots.
fn tenants(
    cells: &Cells<'_>,
    ranges: &[Range<usize>],
    assigned: &Assignment,
    lasting: &[(Value, Value)],
) -> Vec<Tenant> {
    let graph = cells.graph;
    let range_of = |value: Value| ranges.partition_point(|range| range.end <= value.0);
    let last = graph.last_readers();
    let tenant =
        |words, from, to, scratch| Tenant { words, from, to, values: Vec::new(), scratch, apart: HashSet::new() };
    let mut all: Vec<Tenant> = Vec::new();
    let mut tenant_of: Vec<Option<usize>> = vec![None; graph.nodes().len()];
    for (value, node) in graph.iter() {
        let at = range_of(value);
        if assigned.slots[assigned.slot_of[value.0]].tenancy == Tenancy::Transient {
            let over = node.op.in_place().and_then(|index| tenant_of[node.inputs[index].0]);
            let index = over.unwrap_or_else(|| {
                all.push(tenant(graph.stored(value).words(), at, at, None));
                all.len() - 1
            });
            all[index].to = all[index].to.max(range_of(last[value.0].unwrap_or(value)));
            all[index].values.push(value);
            tenant_of[value.0] = Some(index);
        }
        let until = lasting.iter().find(|(of, _)| *of == value).map_or(value, |(_, until)| *until);
        let scratch = cells.programs[value.0].scratch_words.iter().enumerate();
        all.extend(scratch.map(|(index, &words)| tenant(words, at, range_of(until), Some((value, index)))));
    }
    all
}

/// Notes which tenants a dispatch binds together, one of them to be written.
fn set_apart(cells: &Cells<'_>, sets: &[Vec<Bound>], tenants: &mut [Tenant]) {
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
                tenants[a].apart.insert(b);
                tenants[b].apart.insert(a);
            }
        }
    }
}

/// The lengths of buffers, and where each tenant lies.
fn place(
    tenants: &[Tenant],
    order: fn(&Tenant) -> Reverse<usize>,
    most_words: usize,
) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut turns: Vec<usize> = (0..tenants.len()).collect();
    turns.sort_by_key(|&tenant| order(&tenants[tenant]));
    let mut buffers: Vec<usize> = Vec::new();
    // By buffer: who lies there, and where that begins.
    let mut inside: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut places: Vec<(usize, usize)> = vec![(0, 0); tenants.len()];
    for index in turns {
        let tenant = &tenants[index];
        let words = tenant.words.next_multiple_of(ALIGN_WORDS);
        let mut best = (words, 0, buffers.len(), 0);
        for (buffer, &length) in buffers.iter().enumerate() {
            let others = &inside[buffer];
            let alive = others.iter().map(|&(other, begin)| (&tenants[other], begin));
            let alive = alive.filter(|(other, _)| other.from <= tenant.to && tenant.from <= other.to);
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
                let close = others.iter().filter(|(other, _)| tenant.apart.contains(other)).count();
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
        places[index] = (buffer, begin);
    }
    (buffers, places)
}
