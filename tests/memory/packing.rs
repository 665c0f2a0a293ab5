//! Slots that share buffers: values that live at the same time do not overlap, and no dispatch
//! binds a buffer read-only that it writes.

use super::low::low;
use super::{built_in, small};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::plan::{Lifetime, Plan};
use halfwave::recipe::BUILTIN;
use halfwave::train::session::step_plans;
use std::collections::BTreeSet;
use std::ops::Range;

/// Returns the location of a transient slot.
fn range(plan: &Plan, slot: usize) -> (usize, Range<usize>) {
    let (buffer, begin) = plan.buffer(slot);
    (buffer, begin..begin + plan.slots[slot].words)
}

/// Walks through a plan, and returns the largest number of transient slots alive at the same time.
fn check(name: &str, plan: &Plan) -> usize {
    let transient = |slot: &usize| plan.slots[*slot].lifetime == Lifetime::Transient;
    let lengths = plan.buffers();
    let mut alive: BTreeSet<usize> = BTreeSet::new();
    let mut most = 0;
    for node in &plan.nodes {
        let bound = plan.steps[node.steps.clone()].iter().flat_map(|step| &step.bindings).map(|(slot, _)| *slot);
        for slot in bound.chain([node.output.slot]).filter(transient).collect::<BTreeSet<_>>() {
            if alive.contains(&slot) {
                continue;
            }
            let (buffer, words) = range(plan, slot);
            assert!(words.end <= lengths[buffer] && words.start.is_multiple_of(64), "{name}: slot {slot}");
            for &other in &alive {
                let (of, others) = range(plan, other);
                let apart = of != buffer || others.end <= words.start || words.end <= others.start;
                assert!(apart, "{name}: slots {slot} and {other} live at the same time, at {}", node.layer);
            }
            alive.insert(slot);
        }
        most = most.max(alive.len());
        node.frees.iter().for_each(|slot| assert!(alive.remove(slot), "{name}: slot {slot} is free already"));
    }
    assert!(alive.is_empty(), "{name}: {alive:?} live on");
    for step in &plan.steps {
        let bindings = plan.kernels[step.kernel].bindings.iter().zip(&step.bindings);
        let buffer = |slot: usize| plan.buffer(slot).0;
        let written: Vec<_> = bindings.clone().filter(|(b, _)| b.write).map(|(_, (slot, _))| *slot).collect();
        for (binding, (slot, _)) in bindings.filter(|(binding, _)| binding.is_read_only()) {
            let clash = written.iter().any(|written| buffer(*written) == buffer(*slot));
            assert!(!clash, "{name}: {} of {} is read", binding.name, plan.kernels[step.kernel].label);
        }
    }
    most
}

#[test]
fn what_lives_at_the_same_time_lies_apart() {
    let built_in = BUILTIN.map(|(name, _)| (name.to_string(), built_in(name)));
    for (name, recipe) in small().into_iter().chain(built_in) {
        // With large limits, and with limits that a tensor hardly fits.
        for class in [DeviceClass::Gpu, DeviceClass::Software] {
            let plans = step_plans(&low(&recipe), recipe.train.batch, &Caps::unlimited(class)).unwrap();
            let plan = &plans[0];
            let packing = plan.packing.as_ref().expect("slots share buffers");
            assert!(packing.buffers.len() < check(&name, plan), "{name}: {:?}", packing.buffers);
        }
    }
}

#[test]
fn no_buffer_is_longer_than_a_device_allows() {
    let recipe = low(&built_in("resnet18"));
    let caps = Caps { max_buffer_bytes: 128 << 20, ..Caps::unlimited(DeviceClass::Gpu) };
    let plan = &step_plans(&recipe, recipe.train.batch, &caps).unwrap()[0];
    let packing = plan.packing.as_ref().unwrap();
    assert!(packing.buffers.len() > 1 && packing.buffers.iter().all(|words| words * 4 <= 128 << 20), "{packing:?}");
    check("resnet18", plan);
}
