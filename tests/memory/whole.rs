//! Slots that are whole buffers: their total is close to the minimum.

use super::built_in;
use halfwave::caps::{Caps, DeviceClass};
use halfwave::pass::Precision;
use halfwave::plan::{Lifetime, Plan};
use halfwave::recipe::BUILTIN;
use halfwave::train::session::step_plans;
use std::collections::BTreeMap;

/// A number of words that is needed from one node to another one.
struct Life {
    words: usize,
    from: usize,
    to: usize,
}

/// Returns the lifetimes of the contents of transient slots.
fn lives(plan: &Plan) -> Vec<Life> {
    let mut all: Vec<Life> = Vec::new();
    let mut here: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, node) in plan.nodes.iter().enumerate() {
        let bound = plan.steps[node.steps.clone()].iter().flat_map(|step| step.bindings.iter().copied());
        for (slot, words) in bound.chain([(node.output.slot, node.output.stored().words())]) {
            if plan.slots[slot].lifetime == Lifetime::Transient {
                let life = *here.entry(slot).or_insert_with(|| {
                    all.push(Life { words: 0, from: at, to: plan.nodes.len() });
                    all.len() - 1
                });
                all[life].words = all[life].words.max(words);
            }
        }
        node.frees.iter().for_each(|slot| all[here.remove(slot).unwrap()].to = at);
    }
    all
}

/// Returns a lower bound of the bytes of any assignment to whole buffers: among values alive at the
/// same time, the n-th longest buffer is at least as long as the n-th longest value.
fn at_least(lives: &[Life]) -> u64 {
    let mut buffers: Vec<usize> = Vec::new();
    // The longest first, so that values alive at the same moment are in order.
    let mut order: Vec<&Life> = lives.iter().collect();
    order.sort_by_key(|life| std::cmp::Reverse(life.words));
    for moment in lives.iter().map(|life| life.from) {
        let alive = order.iter().filter(|life| life.from <= moment && moment <= life.to);
        for (at, life) in alive.enumerate() {
            match buffers.get_mut(at) {
                Some(words) => *words = (*words).max(life.words),
                None => buffers.push(life.words),
            }
        }
    }
    buffers.into_iter().map(|words| words as u64 * 4).sum()
}

/// Counted. The bound may be unreachable: it ignores which values share a buffer.
#[test]
fn buffers_are_hardly_longer_than_they_must_be() {
    for (name, _) in BUILTIN {
        for class in [DeviceClass::Gpu, DeviceClass::Software] {
            for precision in [Precision::Full, Precision::Mixed] {
                let mut recipe = built_in(name);
                recipe.train.precision = precision;
                let plan = &step_plans(&recipe, recipe.train.batch, &Caps::unlimited(class)).unwrap()[0];
                let memory = &plan.memory;
                let bound = memory.state + memory.ports + at_least(&lives(plan));
                let more = memory.peak as f64 / bound as f64 - 1.0;
                println!(
                    "{name} for {class:?}, {}: {} bytes, {:.1}% above the bound, {} of {} launches wait",
                    precision.name(),
                    memory.peak,
                    100.0 * more,
                    plan.waits(),
                    plan.steps.len()
                );
                assert!((0.0..0.07).contains(&more), "{name}: {} bytes and {bound}", memory.peak);
            }
        }
    }
}
