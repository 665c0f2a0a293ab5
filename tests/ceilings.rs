//! Measured peaks: probes execute the operations that they count, on every available driver;
//! measurements are plausible; `halfwave devices --ceilings` shows and stores them. Nothing here
//! depends on the speed of a device.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::cpu::CpuBackend;
use halfwave::backend::gpu::GpuBackend;
use halfwave::backend::{Backend, PlanId};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::profile::probes::{Probe, THREADS, WORK_WORDS};
use halfwave::profile::{Ceiling, DevicePeaks};
use std::path::Path;
use std::process::{Command, Output};

/// Loads a probe and runs it once on given operands; all groups store. Returns the contents of `y`.
async fn result(backend: &mut GpuBackend, probe: Probe, groups: u32, work: [u32; WORK_WORDS], x: &[u32]) -> Vec<u32> {
    let id: PlanId = backend.load(probe.plan(&backend.caps().clone(), groups)).await.unwrap();
    if probe != Probe::Launch {
        backend.write(id, &probe.port("x"), x);
    }
    backend.write(id, &probe.port("work"), &work);
    backend.run(id).unwrap();
    backend.read(id, &probe.port("y")).await.unwrap()
}

/// The operations performed by the reference implementations, for comparison with the probe's
/// count.
#[derive(Default)]
struct Counted(u64);

impl Counted {
    fn add(&mut self, operations: u64) {
        self.0 += operations;
    }
}

/// Small integers: exact in half floats too, fused or not.
fn small(i: usize) -> f32 {
    (i % 5) as f32 + 1.0
}

/// s ← s·a + b from x, x + 1 and x + 2, eight times per round; two operations each.
fn fma_reference(x: f32, a: f32, b: f32, rounds: u32, counted: &mut Counted) -> f32 {
    let chains = [0.0, 1.0, 2.0].map(|start| {
        (0..8 * rounds).fold(x + start, |sum, _| {
            counted.add(2);
            sum * a + b
        })
    });
    chains.into_iter().sum()
}

/// s ← s + popcount(s & w) from w and w ^ 1, eight times per round; 64 bit operations each.
fn bit_reference(w: u32, rounds: u32, counted: &mut Counted) -> u32 {
    let chains = [w, w ^ 1].map(|start| {
        (0..8 * rounds).fold(start, |sum, _| {
            counted.add(64);
            sum.wrapping_add((sum & w).count_ones())
        })
    });
    chains.into_iter().fold(0, u32::wrapping_add)
}

/// s ← s + the dot product of s and w as four signed bytes, from x, x + 1, …, x + 11, eight times
/// per round; eight operations each.
fn dot_reference(x: u32, w: u32, rounds: u32, counted: &mut Counted) -> u32 {
    let dot = |a: u32, b: u32| -> i32 {
        let bytes = |word: u32| word.to_le_bytes().map(|byte| i32::from(byte as i8));
        bytes(a).into_iter().zip(bytes(b)).map(|(a, b)| a * b).sum()
    };
    let chains = (0..12).map(|start| {
        (0..8 * rounds).fold(x.wrapping_add(start), |sum, _| {
            counted.add(8);
            sum.wrapping_add(dot(sum, w) as u32)
        })
    });
    chains.fold(0, u32::wrapping_add)
}

/// The sum of the values that invocation `thread` reads in one lane: eight vec4s per round, 32
/// apart, shifted by one in every round.
fn workgroup_reference(x: &[f32], thread: usize, lane: usize, rounds: u32, counted: &mut Counted) -> f32 {
    let reads = (0..rounds as usize).flat_map(|round| (0..8).map(move |read| (thread + round) % THREADS + 32 * read));
    reads
        .map(|at| {
            counted.add(4);
            x[4 * at + lane]
        })
        .sum()
}

fn executed() {
    let Some(found) = common::adapter() else { return };
    let name = found.report.name.clone();
    let rounds = 3;
    pollster::block_on(async {
        let mut backend = GpuBackend::open(found, None).await.unwrap();
        for probe in [Probe::Float, Probe::Half] {
            if !probe.offered(backend.caps()) {
                println!("{name}: {probe:?} is not offered");
                continue;
            }
            // The first counts the multiply-adds; the second reveals a wrong factor.
            for (a, b) in [(1.0, 1.0), (-1.0, 7.0)] {
                let x: Vec<f32> = (0..4 * THREADS).map(small).collect();
                let mut work = probe.work(rounds, 0);
                (work[1], work[4], work[5]) = (1, f32::to_bits(a), f32::to_bits(b));
                let y = result(&mut backend, probe, 1, work, bytemuck::cast_slice(&x)).await;
                let mut counted = Counted::default();
                let expected: Vec<_> = x.iter().map(|&x| fma_reference(x, a, b, rounds, &mut counted)).collect();
                assert_eq!(bytemuck::cast_slice::<u32, f32>(&y), expected, "{name}: {probe:?} with {a}, {b}");
                assert_eq!(counted.0, probe.amount(1, rounds), "{probe:?}");
            }
        }

        let words: Vec<u32> = (0..4 * THREADS as u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
        let mut work = Probe::Bit.work(rounds, 0);
        work[1] = 1;
        let y = result(&mut backend, Probe::Bit, 1, work, &words).await;
        let mut counted = Counted::default();
        let expected: Vec<_> = words.iter().map(|&w| bit_reference(w, rounds, &mut counted)).collect();
        assert_eq!(y, expected, "{name}: popcount");
        assert_eq!(counted.0, Probe::Bit.amount(1, rounds));

        let mut work = Probe::Dot.work(rounds, 0);
        (work[1], work[4]) = (1, 0x7f80_01fe);
        let y = result(&mut backend, Probe::Dot, 1, work, &words).await;
        let mut counted = Counted::default();
        let expected: Vec<_> =
            words.chunks(4).flat_map(|x| [dot_reference(x[0], work[4], rounds, &mut counted); 4]).collect();
        assert_eq!(y, expected, "{name}: packed dot");
        assert_eq!(counted.0, Probe::Dot.amount(1, rounds));

        let x: Vec<f32> = (0..Probe::Workgroup.words("x")).map(|i| (i % 1021) as f32).collect();
        let mut work = Probe::Workgroup.work(rounds, 0);
        work[1] = 1;
        let y = result(&mut backend, Probe::Workgroup, 1, work, bytemuck::cast_slice(&x)).await;
        let mut counted = Counted::default();
        let expected: Vec<_> =
            (0..4 * THREADS).map(|i| workgroup_reference(&x, i / 4, i % 4, rounds, &mut counted)).collect();
        assert_eq!(bytemuck::cast_slice::<u32, f32>(&y), expected, "{name}: workgroup memory");
        assert_eq!(counted.0, Probe::Workgroup.amount(1, rounds));

        let y = result(&mut backend, Probe::Launch, 1, [5; WORK_WORDS], &[]).await;
        assert_eq!(y.chunks(4).map(|y| y[0]).collect::<Vec<_>>()[..6], [0, 1, 2, 3, 4, 0], "{name}: launch");
    });
}

/// All bytes counted as copied are copied, no vec4 twice, whatever the start; and a short buffer is
/// copied whole.
fn copied() {
    let Some(found) = common::adapter() else { return };
    pollster::block_on(async {
        let mut backend = GpuBackend::open(found, None).await.unwrap();
        let long = Probe::Copy(8 << 20);
        let x: Vec<u32> = (1..=long.words("x") as u32).collect();
        let (groups, rounds, begin) = (4, 3, x.len() as u32 / 4 - 700);
        let y = result(&mut backend, long, groups, long.work(rounds, begin), &x).await;
        let moved = y.iter().filter(|&&word| word != 0).count() as u64;
        assert_eq!(2 * 4 * moved, long.amount(groups, rounds), "bytes read and written");
        for (i, &word) in y.iter().enumerate() {
            let after = (i / 4 + x.len() / 4 - begin as usize) % (x.len() / 4);
            assert_eq!(word, if after < moved as usize / 4 { x[i] } else { 0 }, "word {i}");
        }
        let short = Probe::Copy(1 << 12);
        let x: Vec<u32> = (0..short.words("x") as u32).map(|i| i.wrapping_mul(0x9e37_79b9) | 1).collect();
        assert_eq!(result(&mut backend, short, 32, short.work(2, 5), &x).await, x);
    });
}

fn measured() {
    let Some(found) = common::adapter() else { return };
    let (name, f16) = (found.report.name.clone(), found.report.features.contains(&"shader-f16"));
    let matrices = found.coop().is_some();
    let begun = std::time::Instant::now();
    let ceilings = pollster::block_on(async {
        let mut backend = GpuBackend::open(found, None).await.unwrap();
        assert_eq!(backend.caps().f16, f16);
        let ceilings = DevicePeaks::measure(&mut backend).await.unwrap();
        // The device still works.
        let y = result(&mut backend, Probe::Launch, 1, [1; WORK_WORDS], &[]).await;
        assert_eq!(y.len(), Probe::Launch.words("y"));
        ceilings
    });
    println!("{name} in {:?}: {ceilings:#?}", begun.elapsed());
    let DevicePeaks { copy, float, half, bit, dot, matrix, workgroup, launch } = &ceilings;
    assert_eq!(matrix.is_some(), matrices, "matrices where they are offered");
    assert_eq!(half.is_some(), f16, "half floats where they are offered");
    assert!(copy.len() >= 3 && copy.is_sorted_by(|a, b| a.working_set_bytes < b.working_set_bytes), "{copy:?}");
    let all = copy.iter().map(|copy| &copy.ceiling).chain([float, bit, workgroup, launch]);
    let all = all.chain(half).chain(dot).chain(matrix);
    for Ceiling { value, spread, doubling } in all {
        assert!(value.is_finite() && *value > 0.0, "{ceilings:?}");
        assert!(spread.is_finite() && *spread >= 0.0 && doubling.is_finite() && *doubling > 0.0, "{ceilings:?}");
    }
    let text = serde_json::to_string(&ceilings).unwrap();
    assert_eq!(serde_json::from_str::<DevicePeaks>(&text).unwrap(), ceilings);
}

/// A kernel that a driver rejects fails only its plan.
fn refused() {
    let Some(found) = common::adapter() else { return };
    pollster::block_on(async {
        let mut backend = GpuBackend::open(found, None).await.unwrap();
        let caps = backend.caps().clone();
        let mut plan = Probe::Launch.plan(&caps, 1);
        plan.kernels[0].body = vec!["@main { y_put(thread, vec4<u32>(work_at(0u).x) + nowhere); }".into()];
        let error = backend.load(plan).await.unwrap_err().to_string();
        assert!(error.contains("refused a kernel") && error.contains("nowhere"), "{error}");
        let y = result(&mut backend, Probe::Launch, 1, [2; WORK_WORDS], &[]).await;
        assert_eq!(y[..8], [0, 0, 0, 0, 1, 1, 1, 1]);
    });
}

#[test]
fn probes_do_what_they_count() {
    common::on_each_driver("probes_do_what_they_count", executed);
}

/// The same for products of matrices: each stored sum is the result of the counted products.
#[test]
fn matrices_make_the_products_they_count() {
    common::on_coop_driver("matrices_make_the_products_they_count", || {
        let found = common::adapter().unwrap();
        let coop = found.coop().expect("a driver with cooperative matrices");
        let (probe, size, rounds) = (Probe::Matrix(coop), coop.size, 3);
        let numbers: Vec<f32> = (0..probe.words("x")).map(|i| small(i * i + i / 7)).collect();
        // Matrices of a, then of b, by rows.
        let at = |matrix: usize, row: usize, column: usize| numbers[(matrix * size + row) * size + column];
        let mut counted = Counted::default();
        let mut expected = vec![0.0; size * size];
        for (m, n, row, column) in (0..4)
            .flat_map(|m| (4..6).map(move |n| (m, n)))
            .flat_map(|(m, n)| (0..size * size).map(move |i| (m, n, i / size, i % size)))
        {
            let product: f32 = (0..size).map(|k| at(m, row, k) * at(n, k, column)).sum();
            expected[row * size + column] += 8.0 * rounds as f32 * product;
            counted.add(2 * 8 * u64::from(rounds) * size as u64);
        }
        assert!((0..size).any(|k| expected[k] != expected[k * size]), "rows and columns can be distinguished");
        pollster::block_on(async {
            let mut backend = GpuBackend::open(found, None).await.unwrap();
            assert!(probe.offered(backend.caps()) && !probe.offered(&Caps::baseline(DeviceClass::Gpu)));
            let mut work = probe.work(rounds, 0);
            work[1] = 1;
            let y = result(&mut backend, probe, 1, work, bytemuck::cast_slice(&numbers)).await;
            // Each subgroup computes all of it.
            assert_eq!(y.len() % expected.len(), 0);
            for of_subgroup in bytemuck::cast_slice::<u32, f32>(&y).chunks(expected.len()) {
                assert_eq!(of_subgroup, expected);
            }
            assert_eq!(counted.0 * (y.len() / expected.len()) as u64, probe.amount(1, rounds));
        });
    });
}

#[test]
fn ceilings_are_measured_with_matrices() {
    common::on_coop_driver("ceilings_are_measured_with_matrices", measured);
}

#[test]
fn copies_move_what_they_count() {
    common::on_each_driver("copies_move_what_they_count", copied);
}

#[test]
fn ceilings_are_measured() {
    common::on_each_driver("ceilings_are_measured", measured);
}

#[test]
fn a_refused_kernel_fails_its_plan_alone() {
    common::on_each_driver("a_refused_kernel_fails_its_plan_alone", refused);
}

#[test]
fn the_cpu_backend_has_no_ceilings() {
    let error = pollster::block_on(DevicePeaks::measure(&mut CpuBackend::new())).unwrap_err().to_string();
    assert!(error.contains("has no kernels"), "{error}");
    assert!(!Probe::Half.offered(&Caps::baseline(DeviceClass::Gpu)) && Probe::Float.offered(&Caps::cpu()));
}

/// The command, with a separate cache folder, on the first driver known to the tests.
fn command(cache: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfwave"));
    command.arg("devices").args(args).env_remove("RUST_LOG").env("HALFWAVE_CACHE_DIR", cache);
    if let Some((_, icd)) = common::drivers().first() {
        command.env("VK_DRIVER_FILES", icd).env("VK_ICD_FILENAMES", icd);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn notes(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn ceilings_are_shown_and_kept() {
    let base = tempfile::tempdir().unwrap();
    let cache = base.path().join("kept");
    if common::drivers().is_empty() && common::adapter().is_none() {
        return;
    }
    let first = command(&cache, &["--ceilings", "--adapter", "0"]);
    let shown = text(&first.stdout);
    assert_eq!(notes(&first), "");
    let rows = [
        "copy, working set 1 MiB",
        "workgroup memory",
        "f32 multiply",
        "f16 multiply",
        "and + popcount",
        "dot4I8Packed",
        "f16 matrices",
    ];
    for what in rows.into_iter().chain(["launch overhead"]) {
        let row = shown.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}:\n{shown}"));
        assert!(["plausible", "doubtful: ", "not offered"].iter().any(|verdict| row.contains(verdict)), "{row}");
    }
    assert!(shown.contains("measured just now") && shown.contains("GFLOP/s") && shown.contains("µs"), "{shown}");
    let table = |shown: &str| shown.lines().skip_while(|line| !line.starts_with("what")).collect::<String>();

    let file = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let again = command(&cache, &["--ceilings", "--adapter", "0"]);
    assert_eq!((notes(&again).as_str(), table(&text(&again.stdout))), ("", table(&shown)));
    assert!(text(&again.stdout).contains(file.to_str().unwrap()), "{}", text(&again.stdout));

    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &kept[..kept.len() / 3]).unwrap();
    let damaged = command(&cache, &["--ceilings", "--adapter", "0"]);
    assert!(notes(&damaged).starts_with("note: ") && notes(&damaged).contains("measuring again"));
    assert!(text(&damaged.stdout).contains("measured just now"));
    let mended: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(mended["ceilings"]["float"]["value"].as_f64().unwrap() > 0.0);

    // A file instead of the folder: nothing can be stored, but everything is measured and shown.
    let unwritable = command(&file, &["--ceilings", "--adapter", "0", "--fresh"]);
    let printed = notes(&unwritable);
    assert!(
        printed.contains("note: the ceilings are not saved") && printed.contains("HALFWAVE_CACHE_DIR"),
        "{printed}"
    );
    assert!(text(&unwritable.stdout).contains("f32 multiply-add"));
}

#[test]
fn mistakes_about_ceilings_end_in_advice() {
    let base = tempfile::tempdir().unwrap();
    for (args, code, advice) in [
        (&["--ceilings", "--adapter", "cpu"][..], 1, "choose an adapter"),
        (&["--ceilings", "--adapter", "no such card"], 1, "no adapter \"no such card\""),
        (&["--fresh"], 2, "--ceilings"),
        (&["--adapter", "0"], 2, "--ceilings"),
    ] {
        let output = command(base.path(), args);
        let printed = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {printed}");
        assert!(printed.starts_with("error: ") && printed.contains(advice), "{args:?}: {printed}");
    }
}
