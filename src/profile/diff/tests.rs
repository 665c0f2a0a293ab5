//! Differences of synthetic profiles: realistic noise, with and without a kernel that became
//! slower.

use super::*;
use crate::backend::Device;
use crate::profile::{FORMAT, Quality, Timer, VERSION, memory::Memory};
use crate::random::Random;

const STEPS: usize = 20;
const RUNS: u64 = 200;

/// A machine: how much longer everything takes, and how often other load doubles the duration of a
/// launch.
#[derive(Clone, Copy)]
struct Machine {
    factor: f64,
    busy: f64,
}

/// Creates a profile of 60 launches between 5 µs and 5 ms; those of `slowed` take `factor` times as
/// long.
fn profile(seed: u64, machine: Machine, slowed: &str, factor: f64) -> Profile {
    let mut random = Random::new(seed, "machine");
    // Each launch of a run has a fixed factor that the spread within the run does not show: caches,
    // placement in memory.
    let launches: Vec<_> = (0..60)
        .map(|i| {
            let kernel = format!("kernel{i}");
            let slow = if kernel == slowed { factor } else { 1.0 };
            let true_ns = 5e3 * 1000f64.powf(f64::from(i) / 59.0) * slow * machine.factor;
            let fate = 1.0 + 0.02 * (2.0 * random.unit() - 1.0);
            let mut ns: Vec<_> = (0..STEPS)
                .map(|_| {
                    let busy = if random.unit() < machine.busy { 1.0 + random.unit() } else { 1.0 };
                    (true_ns * fate * busy * (1.0 + 0.05 * random.unit()) + 500.0 * random.unit()) as u64
                })
                .collect();
            ns.sort_unstable();
            Launch {
                step: i as usize,
                stem: kernel.clone(),
                kernel,
                layer: "conv1".into(),
                phase: Activity::Forward,
                reads: Vec::new(),
                writes: String::new(),
                groups: [1, 1],
                threads: 64,
                repeats: 1,
                median_ns: Some(ns[STEPS / 2]),
                min_ns: Some(ns[0]),
                p25_ns: Some(ns[STEPS / 4]),
                p10_ns: Some(ns[STEPS / 10]),
                p90_ns: Some(ns[STEPS * 9 / 10]),
                bytes: 0,
                float_ops: 0,
                bit_ops: 0,
                dot_ops: 0,
                matrix_ops: 0,
                bound: None,
                fraction_of_bound: None,
            }
        })
        .collect();
    let launches_ns = launches.iter().filter_map(|launch| launch.median_ns).sum();
    let memory = Memory {
        state_bytes: 0,
        port_bytes: 0,
        transient_bytes: 0,
        peak_bytes: 0,
        peak_f32_bytes: 0,
        peak_step: 0,
        alive_bytes: 0,
        allocator_bytes: None,
        saved: Vec::new(),
        slots: Vec::new(),
    };
    Profile {
        format: FORMAT.into(),
        version: VERSION,
        halfwave: String::new(),
        origin: Default::default(),
        measured: None,
        recipe: "made up".into(),
        batch: 1,
        plan: String::new(),
        device: Device::cpu(),
        timer: Timer { quality: Quality::Exact, quantum_ns: 1.0 },
        ceilings: None,
        steps: STEPS,
        step_ns: launches_ns,
        wall_ns: launches_ns,
        instrumented_ns: launches_ns,
        launches_ns,
        launches,
        memory,
    }
}

const QUIET: Machine = Machine { factor: 1.0, busy: 0.02 };
const NOISY: Machine = Machine { factor: 1.3, busy: 0.3 };
/// Other load half of the time: medians lie anywhere between disturbed and undisturbed.
const BUSY: Machine = Machine { factor: 1.0, busy: 0.5 };

fn alarms(diff: &Diff) -> Vec<&str> {
    let changed = diff.changes.iter().filter(|change| change.verdict != Verdict::Same);
    changed.map(|change| change.kernel.as_str()).collect()
}

#[test]
fn equal_runs_give_no_alarm() {
    for (a, b) in [(QUIET, QUIET), (QUIET, NOISY), (NOISY, QUIET), (NOISY, NOISY), (BUSY, BUSY)] {
        for run in 0..RUNS {
            let diff = diff(&profile(2 * run, a, "", 1.0), &profile(2 * run + 1, b, "", 1.0)).unwrap();
            assert_eq!(alarms(&diff), Vec::<&str>::new(), "run {run}");
        }
    }
}

#[test]
fn a_kernel_that_does_its_work_twice_is_named() {
    // One of the smallest that count, one in the middle, the largest.
    for slowed in ["kernel25", "kernel45", "kernel59"] {
        for (a, b) in [(QUIET, QUIET), (QUIET, NOISY), (NOISY, NOISY), (BUSY, BUSY)] {
            for run in 0..RUNS {
                let (before, after) = (profile(2 * run, a, "", 1.0), profile(2 * run + 1, b, slowed, 2.0));
                let there = diff(&before, &after).unwrap();
                assert_eq!(alarms(&there), [slowed], "run {run}");
                assert_eq!(there.changes[0].verdict, Verdict::Slower);
                let back = diff(&after, &before).unwrap();
                assert_eq!(back.changes[0].verdict, Verdict::Faster, "run {run}");
            }
        }
    }
}

#[test]
fn small_changes_are_found_on_quiet_machines() {
    for run in 0..RUNS {
        let (before, after) = (profile(2 * run, QUIET, "", 1.0), profile(2 * run + 1, QUIET, "kernel50", 1.25));
        assert_eq!(alarms(&diff(&before, &after).unwrap()), ["kernel50"], "run {run}");
    }
}

#[test]
fn other_work_and_other_devices_are_not_judged() {
    let (before, mut after) = (profile(1, QUIET, "", 1.0), profile(2, QUIET, "kernel59", 3.0));
    after.launches[59].writes = "f32[64×8×8×32]".into();
    let found = diff(&before, &after).unwrap();
    assert_eq!(found.with(Verdict::OtherWork).map(|change| change.kernel.as_str()).collect::<Vec<_>>(), ["kernel59"]);
    assert!(found.with(Verdict::Slower).next().is_none());
    let said = found.conclusion();
    assert!(said.contains("of 59 launches are within the noise"), "{said}");
    assert!(said.contains("1 launch with other shapes or bits: different work, not compared"), "{said}");
    after.device = Device { adapter: "a card".into(), backend: "Vulkan".into(), ..Device::cpu() };
    let found = diff(&before, &after).unwrap();
    assert!(found.changes.iter().all(|change| change.verdict == Verdict::OtherDevice) && !found.is_judged());
    assert!(found.conclusion().starts_with("the devices differ, so no launch is judged"), "{}", found.conclusion());
    assert!(found.notes[0].ends_with(": the CPU backend and a card · Vulkan · cpu"), "{:?}", found.notes);
}

#[test]
fn that_nothing_was_found_is_no_finding_amid_noise() {
    // Durations that scatter from one step to the next, and from one run to the other.
    let wild = Machine { factor: 1.0, busy: 1.0 };
    let (mut before, after) = (profile(1, wild, "", 1.0), profile(2, wild, "", 1.0));
    for (at, launch) in before.launches.iter_mut().enumerate() {
        let factor = [0.6, 1.0, 1.7][at % 3];
        for ns in [&mut launch.min_ns, &mut launch.p10_ns, &mut launch.p25_ns, &mut launch.median_ns] {
            *ns = ns.map(|ns| (ns as f64 * factor) as u64);
        }
    }
    let said = diff(&before, &after).unwrap().conclusion();
    assert!(said.starts_with("too noisy to tell for 60 launches: only changes above"), "{said}");
    assert!(said.ends_with("× would show; measure with more --steps"), "{said}");
}

#[test]
fn a_slower_machine_is_no_slower_kernel() {
    let slow = Machine { factor: 2.5, ..QUIET };
    let diff = diff(&profile(1, QUIET, "", 1.0), &profile(2, slow, "", 1.0)).unwrap();
    assert!((diff.machine - 2.5).abs() < 0.1, "{}", diff.machine);
    assert_eq!(alarms(&diff), Vec::<&str>::new());
}

#[test]
fn new_and_missing_launches_are_told_and_other_recipes_refused() {
    let whole = profile(1, QUIET, "", 1.0);
    let mut less = profile(2, QUIET, "", 1.0);
    less.launches.remove(7);
    assert_eq!(diff(&whole, &less).unwrap().with(Verdict::Gone).count(), 1);
    assert_eq!(diff(&less, &whole).unwrap().with(Verdict::New).count(), 1);
    let mut other = profile(3, QUIET, "", 1.0);
    other.batch = 2;
    assert!(diff(&whole, &other).unwrap_err().to_string().contains("at batch 2"));
}

#[test]
fn launches_that_no_clock_sees_are_not_compared() {
    let (a, mut b) = (profile(1, QUIET, "", 1.0), profile(2, QUIET, "", 1.0));
    b.launches[3].median_ns = None;
    b.launches[3].p10_ns = None;
    let change = diff(&a, &b).unwrap().changes.into_iter().find(|change| change.kernel == "kernel3").unwrap();
    assert_eq!((change.verdict, change.ratio), (Verdict::Same, 1.0));
}

#[test]
fn layers_add_up_their_launches() {
    let in_layers = |mut profile: Profile| {
        for (at, launch) in profile.launches.iter_mut().enumerate() {
            launch.layer = ["conv1", "conv2", ""][at % 3].into();
        }
        profile
    };
    // Launch 58 is the second longest: a launch of conv2.
    let (a, mut b) = (in_layers(profile(1, QUIET, "", 1.0)), in_layers(profile(2, QUIET, "kernel58", 2.0)));
    b.launches[0].median_ns = None;
    let diff = diff(&a, &b).unwrap();
    let layers = diff.layers();
    assert_eq!(layers.iter().map(|layer| layer.launches.len()).collect::<Vec<_>>(), [20; 3]);
    assert_eq!((layers[0].layer, layers[0].launches[0].kernel.as_str()), ("conv2", "kernel58"));
    for layer in &layers {
        let sum = |profile: &Profile| {
            let of_layer = profile.launches.iter().filter(|launch| launch.layer == layer.layer);
            of_layer.filter_map(|launch| launch.median_ns).sum::<u64>()
        };
        assert_eq!(layer.ns, [sum(&a), sum(&b)], "{}", layer.layer);
        let expected = layer.ns[1] as f64 - layer.ns[0] as f64 * diff.machine;
        assert!((layer.difference_ns - expected).abs() < 1.0, "{}", layer.layer);
    }
    assert!(layers.windows(2).all(|pair| pair[0].difference_ns.abs() >= pair[1].difference_ns.abs()));
}

/// A damaged file may hold any numbers.
#[test]
fn the_longest_times_are_added() {
    let machine = Machine { factor: 1.0, busy: 0.0 };
    let mut longest = profile(0, machine, "", 1.0);
    longest.launches.iter_mut().for_each(|launch| launch.median_ns = Some(u64::MAX));
    let diff = diff(&longest, &longest).unwrap();
    assert_eq!(diff.layers()[0].ns, [u64::MAX; 2]);
}
