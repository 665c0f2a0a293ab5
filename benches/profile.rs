//! Checks of the profiler that need a clock: launches add up to the step, and a slower kernel is
//! distinguished from noise.
//!
//! `cargo bench --bench profile -- [--adapter NAME|INDEX] [--batch N] [--times N] [--rounds N]
//! [--quiet] [--keep FOLDER]`
//!
//! 1. vgg-small: the launches' medians add up to the uninstrumented step, within 10%.
//! 2. digits, 20 times: a profile, another one of the same plan, and one of a plan in which one
//!    launch does its work twice. The difference between the first two must be silent; that between
//!    the first and the last must name that launch and nothing else. Meanwhile other threads work
//!    in bursts, unless `--quiet` is given.
//!
//! The exit code is 1 if a check fails.

mod common;

use halfwave::backend::{Backend, Device, PlanId, gpu};
use halfwave::caps::Caps;
use halfwave::error::Result;
use halfwave::files;
use halfwave::ops::sample::Noise;
use halfwave::plan::Plan;
use halfwave::profile::diff::{Diff, Verdict, diff};
use halfwave::profile::{Profile, measure};
use halfwave::recipe::{self, Recipe};
use halfwave::train::session;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Steps of a profile: enough to span several bursts of background load, so that its fastest tenth
/// is unaffected.
const ROUNDS: usize = 60;
/// Launches of the digits recipe that do their work twice, in turn.
const SLOWED: [(&str, &str); 4] = [("conv2", "bconv"), ("conv3", "bconv_dx"), ("conv3", "bconv_dw"), ("conv1", "conv")];

struct Options {
    adapter: Option<String>,
    batch: usize,
    times: usize,
    rounds: usize,
    quiet: bool,
    /// Folder for the profiles, to analyse failures.
    keep: Option<PathBuf>,
}

fn options() -> Options {
    let mut options = Options { adapter: None, batch: 2, times: 20, rounds: ROUNDS, quiet: false, keep: None };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        let mut number = |default| args.next().and_then(|n| n.parse().ok()).unwrap_or(default);
        match arg.as_str() {
            "--batch" => options.batch = number(options.batch),
            "--times" => options.times = number(options.times),
            "--rounds" => options.rounds = number(options.rounds),
            "--quiet" => options.quiet = true,
            "--keep" => options.keep = args.next().map(PathBuf::from),
            "--adapter" => options.adapter = args.next(),
            other => {
                eprintln!("unknown argument {other}; expected --adapter, --batch, --times, --rounds, --quiet or --keep")
            }
        }
    }
    options
}

/// A recipe's training plan on its own device, ready to run.
struct Ready {
    recipe: Recipe,
    batch: usize,
    backend: gpu::GpuBackend,
    id: PlanId,
}

impl Ready {
    fn new(name: &str, batch: usize, adapter: Option<&str>, change: impl Fn(&mut Plan, &Caps)) -> Result<Self> {
        let recipe = Recipe::parse(recipe::builtin(name).expect("a built-in recipe"), name)?;
        let found = gpu::choose(pollster::block_on(gpu::find()), adapter)?;
        let mut backend = pollster::block_on(gpu::GpuBackend::open(found, None))?;
        let caps = backend.caps().clone();
        let mut plan = session::training_plan(&recipe, batch, &caps)?;
        change(&mut plan, &caps);
        let id = common::load(&mut backend, plan, &recipe, batch, 0.0)?;
        Ok(Self { recipe, batch, backend, id })
    }

    fn profile(&mut self, rounds: usize) -> Result<Profile> {
        let measurement = pollster::block_on(measure(&mut self.backend, self.id, &[], rounds, |_| ()))?;
        let device = Device::from(self.backend.report());
        let plan = self.backend.plan(self.id);
        Ok(Profile::new(&self.recipe.model.layers[0].name, self.batch, plan, device, &measurement))
    }
}

/// Makes one launch do its work twice: twice as many workgroups, of which the second half repeats
/// the work of the first. (A loop around the kernel's body would be optimised away, because its
/// second iteration computes the same.)
fn slow_down(plan: &mut Plan, layer: &str, stem: &str) {
    let node = plan.nodes.iter().find(|node| node.layer == layer && node.op.stem() == stem).expect("that node");
    let step = &mut plan.steps[node.steps.start];
    let mut kernel = plan.kernels[step.kernel].clone();
    let [groups, 1] = step.groups else { panic!("{} has one row of workgroups", kernel.label) };
    let (whole, half) = ("group_index(group, groups)", format!("(group_index(group, groups) % {groups}u)"));
    let main = kernel.body.iter_mut().find(|part| part.contains(whole)).expect("an entry point");
    *main = main.replace(whole, &half).into();
    step.groups = [2 * groups, 1];
    step.kernel = plan.kernels.len();
    plan.kernels.push(kernel);
}

/// Work in bursts of random lengths, on all cores except one, until it is dropped.
struct Neighbours(Arc<AtomicBool>);

impl Neighbours {
    fn begin() -> Self {
        let on = Arc::new(AtomicBool::new(true));
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get()).saturating_sub(1).max(1);
        for core in 0..cores {
            let on = on.clone();
            std::thread::spawn(move || {
                let mut noise = Noise::new(core as u64);
                let mut some_time = || Duration::from_millis(u64::from(noise.words(&[4], 900).words[0]) + 20);
                while on.load(Ordering::Relaxed) {
                    let (begun, burst) = (Instant::now(), some_time());
                    while begun.elapsed() < burst {
                        std::hint::black_box((0..10_000u64).fold(0, |sum, i| sum ^ i.wrapping_mul(0x9e37_79b9)));
                    }
                    std::thread::sleep(some_time());
                }
            });
        }
        Self(on)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Returns the launches reported by a difference.
fn alarms(diff: &Diff) -> Vec<String> {
    let changed = diff.changes.iter().filter(|change| change.verdict != Verdict::Same);
    changed
        .map(|change| format!("{:?} {} {} {:.2}×", change.verdict, change.layer, change.kernel, change.ratio))
        .collect()
}

fn adds_up(options: &Options) -> Result<bool> {
    let mut ready = Ready::new("vgg-small", options.batch, options.adapter.as_deref(), |_, _| ())?;
    let profile = ready.profile(9)?;
    let ratio = profile.launches_ns as f64 / profile.step_ns as f64;
    println!(
        "vgg-small, batch {}, {}: launches {:.1} ms, step without instrumentation {:.1} ms: {ratio:.3}",
        options.batch,
        profile.device.adapter,
        profile.launches_ns as f64 / 1e6,
        profile.step_ns as f64 / 1e6
    );
    Ok((0.9..=1.1).contains(&ratio))
}

fn tells_noise(options: &Options) -> Result<bool> {
    let adapter = options.adapter.as_deref();
    let noise = (!options.quiet).then(Neighbours::begin);
    let (mut silent, mut named) = (0, 0);
    for time in 0..options.times {
        let (layer, stem) = SLOWED[time % SLOWED.len()];
        let mut same = Ready::new("digits", 64, adapter, |_, _| ())?;
        let mut slow = Ready::new("digits", 64, adapter, |plan, _| slow_down(plan, layer, stem))?;
        let (a, b, c) = (same.profile(options.rounds)?, same.profile(options.rounds)?, slow.profile(options.rounds)?);
        if let Some(folder) = &options.keep {
            for (name, profile) in [("a", &a), ("b", &b), ("c", &c)] {
                files::replace(&folder.join(format!("{time}{name}.json")), profile.to_json().as_bytes())?;
            }
        }
        let (equal, slower) = (diff(&a, &b)?, diff(&a, &c)?);
        let (of_equal, of_slower) = (alarms(&equal), alarms(&slower));
        let found = slower.with(Verdict::Slower).any(|change| change.layer == layer && change.kernel.starts_with(stem));
        let judged = slower.changes.iter().find(|change| change.layer == layer && change.kernel.starts_with(stem));
        let [ratio, noise] = judged.map_or([0.0; 2], |change| [change.ratio, change.noise]);
        silent += usize::from(of_equal.is_empty());
        named += usize::from(found && of_slower.len() == 1);
        println!(
            "{time:>3}: equal {of_equal:?}; {layer} {stem} twice, {ratio:.2}× (noise {noise:.2}×) {of_slower:?}; machine {:.2}×, {:.2}×",
            equal.machine, slower.machine
        );
    }
    drop(noise);
    println!("equal runs silent {silent} of {0}, the slower launch and no other named {named} of {0}", options.times);
    Ok(silent == options.times && named == options.times)
}

fn main() -> ExitCode {
    env_logger::init();
    let options = options();
    let checks = [adds_up(&options), tells_noise(&options)];
    for check in &checks {
        match check {
            Ok(true) => {}
            Ok(false) => println!("FAILED"),
            Err(error) => println!("error: {error}"),
        }
    }
    if checks.iter().all(|check| matches!(check, Ok(true))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
