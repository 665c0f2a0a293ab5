//! Profiles: counted work compared with manual counts, clocks of every quality, memory, and that
//! profiling does not change a run.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "profile/clocks.rs"]
mod clocks;
#[path = "profile/command.rs"]
mod command;
mod common;
#[path = "profile/sweep.rs"]
mod sweep;
#[path = "profile/trace.rs"]
mod trace;

use halfwave::backend::{Backend, Device, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::caps::{Caps, Coop, DeviceClass};
use halfwave::data::Dataset;
use halfwave::kernel::Cost;
use halfwave::ops::Activity;
use halfwave::plan::Plan;
use halfwave::profile::{Profile, Quality, memory::Memory, trace::Timeline};
use halfwave::recipe::{self, Recipe};
use halfwave::train::{Session, Trainer, session::training_plan};
use pollster::block_on;
use std::collections::BTreeSet;

fn digits() -> Recipe {
    Recipe::parse(recipe::builtin("digits").unwrap(), "digits").unwrap()
}

fn plan(name: &str, batch: usize) -> Plan {
    plan_within(name, batch, Caps::baseline(DeviceClass::Software).max_buffers)
}

/// Returns a plan whose merged launches bind at most this many buffers.
fn plan_within(name: &str, batch: usize, max_buffers: usize) -> Plan {
    let recipe = Recipe::parse(recipe::builtin(name).unwrap(), name).unwrap();
    training_plan(&recipe, batch, &Caps { max_buffers, ..Caps::baseline(DeviceClass::Software) }).unwrap()
}

/// Returns the costs of a node's launches.
fn costs(plan: &Plan, layer: &str, stem: &str) -> Vec<Cost> {
    let node = plan.nodes.iter().find(|node| node.layer == layer && node.op.stem() == stem).unwrap();
    plan.steps[node.steps.clone()].iter().map(|step| step.cost).collect()
}

#[test]
fn counted_work_is_what_a_hand_counts() {
    // vgg-small, conv2: 128 channels of 2-bit codes in, 128 filters of 3 × 3, 32 × 32 positions; 5
    // images.
    let vgg = plan("vgg-small", 5);
    let positions = 5 * 32 * 32;
    let products = (positions * 128 * 128 * 9) as u64;
    let codes = positions * 2 * 128 / 8; // two planes of a bit a channel
    let signs = 9 * 128 * 128 / 8;
    let sums = positions * 128 * 2; // i16
    let gradient = positions * 128 * 4;
    // No lane is padding, so the executed operations are the required ones.
    let bit = |bytes: usize| Cost {
        bytes: bytes as u64,
        bit_ops: 2 * 2 * products,
        executed: 2 * products,
        ..Cost::default()
    };
    assert_eq!(costs(&vgg, "conv2", "bconv"), [bit(codes + signs + sums)]);
    let dx = Cost {
        bytes: (2 * gradient + signs + 128 * 4) as u64,
        float_ops: 2 * products,
        executed: products,
        ..Cost::default()
    };
    assert_eq!(costs(&vgg, "conv2", "bconv_dx"), [dx]);
    let dw = Cost {
        bytes: (gradient + codes + 9 * 128 * 128 * 4) as u64,
        float_ops: 2 * products,
        executed: products,
        ..Cost::default()
    };
    assert_eq!(costs(&vgg, "conv2", "bconv_dw"), [dw]);

    // On matrices: the packed product is one product whatever the number of planes, two halves are
    // two, and three if both operands are split.
    let coop = Some(Coop { size: 16, subgroup: 32, emulated: false });
    let caps = Caps { f16: true, coop, workgroup_bytes: 32 << 10, ..Caps::baseline(DeviceClass::Gpu) };
    let recipe = Recipe::parse(recipe::builtin("vgg-small").unwrap(), "vgg-small").unwrap();
    let stems = ["bconv", "bconv_dx", "bconv_dw", "conv_dw"];
    let caps = stems.iter().fold(caps, |caps, stem| caps.choosing(stem, "coop16"));
    let on_matrices = training_plan(&recipe, 5, &caps).unwrap();
    let of = |layer: &str, stem: &str| {
        let costs = costs(&on_matrices, layer, stem);
        costs.iter().map(|cost| cost.matrix_ops).filter(|&ops| ops > 0).collect::<Vec<_>>()
    };
    assert_eq!(of("conv2", "bconv"), [2 * products]);
    assert_eq!([of("conv2", "bconv_dx"), of("conv2", "bconv_dw")], [[2 * 2 * products], [2 * 2 * products]]);
    assert_eq!(of("conv1", "conv_dw"), [3 * 2 * (positions * 3 * 128 * 9) as u64]);

    // digits, conv1: one channel, which takes four lanes in memory, 16 filters of 3 × 3, 8 × 8
    // positions; 7 images. Padding is moved and executed, but does not count as work.
    let digits = plan("digits", 7);
    let positions = 7 * 8 * 8;
    let bytes = positions * 4 * 4 + 9 * 4 * 16 * 4 + positions * 16 * 4;
    let needed = (positions * 16 * 9) as u64;
    let conv = Cost { bytes: bytes as u64, float_ops: 2 * needed, executed: 4 * needed, ..Cost::default() };
    assert_eq!(costs(&digits, "conv1", "conv"), [conv]);

    // digits, conv2: 16 channels of codes, 32 filters. A dw of this size is split: partial sums are
    // written, then read and added.
    let single = plan_within("digits", 7, 0);
    let dw = costs(&single, "conv2", "bconv_dw");
    let weight = 9 * 16 * 32;
    let splits = dw[1].float_ops / weight as u64;
    assert!(splits > 1 && dw.len() == 2);
    assert_eq!(dw[0].float_ops, (2 * positions * 32 * 16 * 9) as u64);
    assert_eq!(dw[0].bytes, (positions * 32 * 4 + positions * 2 * 4) as u64 + splits * weight as u64 * 4);
    assert_eq!(dw[1].bytes, (splits + 1) * weight as u64 * 4);

    // digits, q1: 16 channels through a batch-norm and three thresholds, into one word per plane
    // and position.
    let bytes = positions * 16 * 4 + 5 * 16 * 4 + positions * 2 * 4;
    let hwgq = Cost { bytes: bytes as u64, float_ops: (positions * 16 * (3 + 3)) as u64, ..Cost::default() };
    assert_eq!(costs(&digits, "q1", "quantise"), [hwgq]);

    // digits, the update of conv3's 3 × 3 × 32 × 64 weights. In separate launches: velocity read
    // and written, weight and gradient read; then weight read and written, velocity and rates read.
    let weights = 9 * 32 * 64;
    let cost =
        |words: usize, float_ops| Cost { bytes: words as u64 * 4, float_ops: float_ops as u64, ..Cost::default() };
    assert_eq!(costs(&single, "conv3", "sgd_velocity"), [cost(4 * weights, 4 * weights)]);
    assert_eq!(costs(&single, "conv3", "sgd"), [cost(3 * weights + 4, 2 * weights)]);
    // In one launch with five buffers: weight and velocity read and written, the parts of the
    // gradient and the rates read.
    let splits = (costs(&single, "conv3", "bconv_dw")[1].float_ops / weights as u64) as usize;
    let merged = plan_within("digits", 7, 5);
    for stem in ["sgd_velocity", "sgd"] {
        assert_eq!(costs(&merged, "conv3", stem), [cost((4 + splits) * weights + 4, (6 + splits) * weights)], "{stem}");
    }
    // The gradient itself is never written then.
    assert_eq!(costs(&merged, "conv3", "bconv_dw"), costs(&single, "conv3", "bconv_dw")[..1]);
}

#[test]
fn costs_do_not_depend_on_the_class_of_devices() {
    let recipe = digits();
    let total = |class| {
        let plan = training_plan(&recipe, 64, &Caps::baseline(class)).unwrap();
        let node = |stem: &str| costs(&plan, "conv2", stem).iter().map(|cost| cost.float_ops + cost.bit_ops).max();
        (node("bconv"), node("bconv_dx"), node("bconv_dw"))
    };
    assert_eq!(total(DeviceClass::Software), total(DeviceClass::Gpu));
}

/// Returns the state of a session, as bits.
fn state(session: &mut Session) -> Vec<(String, Vec<u32>)> {
    let tensors = block_on(session.tensors()).unwrap().into_iter();
    tensors.map(|(name, tensor)| (name, tensor.values.iter().map(|value| value.to_bits()).collect())).collect()
}

/// Profiles the digits on a backend in the middle of a run, and checks everything that must hold on
/// any device.
fn profiles(backend: Box<dyn Backend>, device: Device) {
    let name = device.adapter.clone();
    let recipe = digits();
    let data = Dataset::load(&recipe.data).unwrap();
    let mut trainer = block_on(Trainer::new(recipe.clone(), data, backend, false)).unwrap();
    block_on(trainer.advance(2)).unwrap();
    let before = state(trainer.session());
    let mut heard = Vec::new();
    let measurement = block_on(trainer.session().measure(4, |done| heard.push(done))).unwrap();
    assert_eq!(heard, [1, 2, 3, 4]);
    assert_eq!(state(trainer.session()), before, "{name}: profiling changed the run");
    assert_eq!(trainer.session().steps(), 2);
    block_on(trainer.advance(1)).unwrap();

    let plan = trainer.session().plan();
    let profile = Profile::new("digits", recipe.train.batch, plan, device, &measurement);
    let cpu = profile.device.backend == "cpu";
    // The CPU backend times nodes that share a launch together.
    let ranges = plan.nodes.iter().map(|node| node.steps.clone()).filter(|steps| !steps.is_empty());
    let (of_nodes, _) =
        ranges.fold((0, 0), |(count, end), steps| (count + usize::from(steps.start >= end), steps.end.max(end)));
    let steps = if cpu { of_nodes } else { plan.steps.len() };
    assert_eq!(profile.launches.len(), steps, "{name}: every launch, once");
    assert!(profile.launches.windows(2).all(|pair| pair[0].step < pair[1].step));
    for launch in &profile.launches {
        let times = [launch.p10_ns, launch.median_ns, launch.p90_ns];
        assert!(times.iter().all(|ns| ns.is_some_and(|ns| ns > 0)) && times.is_sorted(), "{name}: {launch:?}");
        assert!(launch.bytes > 0 && launch.kernel.contains(&launch.stem), "{name}: {launch:?}");
        let span = launch.median_ns.unwrap() as f64 * f64::from(launch.repeats);
        assert!(cpu || span >= 10.0 * profile.timer.quantum_ns, "{name}: {} is too short for its clock", launch.kernel);
    }
    let phases: BTreeSet<Activity> = profile.launches.iter().map(|launch| launch.phase).collect();
    assert_eq!(phases.len(), 7, "{name}: {phases:?}");
    assert!(profile.step_ns > 0 && profile.wall_ns > 0 && profile.instrumented_ns > 0);
    assert_eq!(profile.timer.quality == Quality::Absent, cpu, "{name}: these drivers have timestamps");
    println!(
        "{name}: {:?}, launches are {:.2} of a step",
        profile.timer,
        profile.launches_ns as f64 / profile.step_ns as f64
    );

    let again = Profile::from_json(&profile.to_json(), "again").unwrap();
    assert_eq!(again, profile, "{name}: a profile survives being written");
    let lines = profile.to_json().lines().filter(|line| line.starts_with("    {\"step\":")).count();
    assert_eq!(lines, steps, "{name}: one launch per line");
    trace::check(&profile, &Timeline::new(&profile, &measurement));
}

#[test]
fn the_digits_are_profiled_on_each_driver() {
    common::on_each_driver("the_digits_are_profiled_on_each_driver", || {
        let Some(found) = common::adapter() else { return };
        let backend = block_on(GpuBackend::open(found, None)).unwrap();
        let device = Device::from(backend.report());
        profiles(Box::new(backend), device);
    });
}

#[test]
fn the_digits_are_profiled_on_the_cpu() {
    profiles(Box::new(CpuBackend::new()), Device::cpu());
}

#[test]
fn tenants_share_slots_one_after_the_other() {
    let mut clipped = digits();
    clipped.train.optimizer.clip_norm = Some(1.0);
    let clipped = training_plan(&clipped, 64, &Caps::baseline(DeviceClass::Software)).unwrap();
    assert!(clipped.nodes.iter().any(|node| node.in_register && node.op.stem() == "scale"));
    for (name, plan) in [("digits", plan("digits", 64)), ("vgg-small", plan("vgg-small", 3)), ("clipped", clipped)] {
        let memory = Memory::of(&plan, None);
        assert_eq!(memory.slots.iter().map(|slot| slot.bytes).sum::<u64>(), memory.peak_bytes);
        assert_eq!(memory.state_bytes + memory.port_bytes + memory.transient_bytes, memory.peak_bytes);
        let mut tenants = 0;
        for slot in &memory.slots {
            assert!(!slot.tenants.is_empty(), "{name}: an unused buffer");
            for tenant in &slot.tenants {
                assert!(tenant.from < tenant.to && tenant.to <= plan.steps.len(), "{name}: {tenant:?}");
                assert!(tenant.bytes > 0 && tenant.bytes <= slot.bytes, "{name}: {tenant:?} in {} bytes", slot.bytes);
            }
            let mut stays: Vec<_> = slot.tenants.iter().map(|tenant| tenant.from..tenant.to).collect();
            stays.sort_by_key(|stay| stay.start);
            assert!(
                stays.windows(2).all(|pair| pair[0].end <= pair[1].start),
                "{name}: overlapping lifetimes: {stays:?}"
            );
            tenants += stays.len();
        }
        // Every dispatch accesses only tensors that are live while it runs.
        for (step, launch) in plan.steps.iter().enumerate() {
            for &(slot, words) in &launch.bindings {
                let alive = memory.slots[slot].tenants.iter().find(|tenant| (tenant.from..tenant.to).contains(&step));
                let alive =
                    alive.unwrap_or_else(|| panic!("{name}: step {step} uses buffer {slot}, which has no live tensor"));
                assert_eq!(alive.bytes, words as u64 * 4, "{name}: step {step}, slot {slot}, {alive:?}");
            }
        }
        assert!(tenants > memory.slots.len(), "{name}: no buffer is shared");
        let peak: u64 = memory.alive(memory.peak_step).iter().map(|tenant| tenant.bytes).sum();
        assert_eq!(peak, memory.alive_bytes);
        assert!((0..plan.steps.len()).all(|step| memory.alive(step).iter().map(|t| t.bytes).sum::<u64>() <= peak));
        assert!(memory.alive_bytes <= memory.peak_bytes && memory.peak_bytes < memory.peak_f32_bytes);
    }
}

#[test]
fn what_is_no_profile_is_refused_in_words() {
    let refused = |text: &str| Profile::from_json(text, "x.json").unwrap_err().to_string();
    assert!(refused("{}").contains("x.json: it is not a profile; `halfwave profile --json FILE`"));
    assert!(refused("{\"traceEvents\":[]}").contains("it is not a profile"));
    let newer = "{\"format\":\"halfwave-profile\",\"version\":99}";
    assert!(refused(newer).contains("version 99, this program reads versions up to 2"), "{}", refused(newer));
    let cut = "{\"format\":\"halfwave-profile\",\"version\":1}";
    assert!(refused(cut).contains("it is damaged: missing field"), "{}", refused(cut));
}
