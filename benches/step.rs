//! Times a training step with the kernels for each device class.
//!
//! `cargo bench --bench step -- [RECIPE] [--batch N] [--adapter NAME|INDEX|cpu] [--host]`
//!
//! Whole steps are timed, several in flight as in training; kernel sets alternate, and medians are
//! printed. `halfwave profile` shows where the time goes. With `--host`, the cost of a session's
//! step for the training thread is measured instead: its computing time, without the time in which
//! it waits for the device.

mod common;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu};
use halfwave::caps::DeviceClass;
use halfwave::error::Result;
use halfwave::pass::{ImageInput, Store};
use halfwave::recipe::{self, Recipe};
use halfwave::train::session::{self, Session};
use std::time::Instant;

struct Options {
    recipe: Recipe,
    batch: usize,
    adapter: Option<String>,
    host: bool,
}

fn options() -> Result<Options> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let (mut name, mut batch, mut adapter, mut host) = ("digits".to_string(), None, None, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--batch" => batch = args.next().and_then(|n| n.parse().ok()),
            "--adapter" => adapter = args.next(),
            "--host" => host = true,
            _ => name = arg,
        }
    }
    let text = match recipe::builtin(&name) {
        Some(text) => text.to_string(),
        None => std::fs::read_to_string(&name).map_err(halfwave::Error::io(&name))?,
    };
    let recipe = Recipe::parse(&text, &name)?;
    Ok(Options { batch: batch.unwrap_or(recipe.train.batch), recipe, adapter, host })
}

/// Loads the training plan with initial values and a random batch.
fn load(backend: &mut dyn Backend, options: &Options) -> Result<halfwave::backend::PlanId> {
    let (recipe, batch) = (&options.recipe, options.batch);
    let plan = session::training_plan(recipe, batch, &backend.caps().clone())?;
    common::load(backend, plan, recipe, batch, 1e-3)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Returns the computing time of the calling thread if the system reports it, else the time of day.
fn thread_seconds() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }
    #[cfg(not(unix))]
    {
        std::time::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64())
    }
}

/// Times steps of a session on the thread that starts them, as a trainer does: images on the
/// device, losses requested every 16 steps.
fn host(options: &Options) -> Result<()> {
    const STEPS: u64 = 16;
    let (mut recipe, batch) = (options.recipe.clone(), options.batch);
    recipe.train.batch = batch;
    let found = gpu::choose(pollster::block_on(gpu::find()), options.adapter.as_deref())?;
    let backend = pollster::block_on(gpu::GpuBackend::open(found, None))?;
    let mut image_input = session::batch_input(&recipe);
    if let ImageInput::Bytes(bytes) = &mut image_input {
        bytes.store = Store::Resident { images: batch, part_images: batch };
    }
    let (positions, labels) = ((0..batch as u32).collect::<Vec<_>>(), vec![0; batch]);
    pollster::block_on(async {
        let mut session = Session::with_image_input(&recipe, Box::new(backend), image_input, false).await?;
        let submissions = |session: &Session| session.timing().map_or(0, |timing| timing.submissions);
        let mut times = Vec::new();
        let mut before = 0;
        for round in 0..24 {
            // Estimates have settled by then.
            if round == 4 {
                before = submissions(&session);
            }
            let started = thread_seconds();
            for _ in 0..STEPS {
                session.train_on(&positions, &labels, 0.0).await?;
            }
            session.request_metrics();
            session.take_metrics(1).await?;
            times.push((thread_seconds() - started) * 1e6 / STEPS as f64);
        }
        let each = (submissions(&session) - before) as f64 / (20 * STEPS) as f64;
        let us = median(&mut times[4..]);
        println!("{}: {us:.1} µs of the host a step, {each:.2} submissions", session.device());
        Ok(())
    })
}

fn main() -> Result<()> {
    env_logger::init();
    let options = options()?;
    if options.host {
        return host(&options);
    }
    if options.adapter.as_deref() == Some("cpu") {
        let mut backend = CpuBackend::new();
        let id = load(&mut backend, &options)?;
        let mut times = Vec::new();
        for _ in 0..8 {
            let started = Instant::now();
            backend.run(id)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let ms = median(&mut times);
        println!("cpu: {ms:.2} ms a step, {:.0} images/s", options.batch as f64 / ms * 1e3);
        return Ok(());
    }
    let mut backends = Vec::new();
    for shape in [DeviceClass::Software, DeviceClass::Gpu] {
        let found = gpu::choose(pollster::block_on(gpu::find()), options.adapter.as_deref())?;
        let mut backend = pollster::block_on(gpu::GpuBackend::open(found, Some(shape)))?;
        let started = Instant::now();
        let id = load(&mut backend, &options)?;
        let mut done = 0;
        for node in backend.plan(id).nodes.clone() {
            // Several nodes may share a dispatch.
            if node.steps.start < done {
                continue;
            }
            done = node.steps.end;
            // Drivers compile at the first dispatch: RUST_LOG=info shows where a cold start spends
            // its time.
            let started = Instant::now();
            backend.run_steps(id, node.steps.clone())?;
            backend.wait();
            log::info!(
                "first run of {} {}: {:.0} ms",
                node.layer,
                node.op.stem(),
                started.elapsed().as_secs_f64() * 1e3
            );
        }
        println!("{} {shape:?}: first step after {:.2} s", backend.name(), started.elapsed().as_secs_f64());
        backends.push((shape, backend, id, Vec::new()));
    }
    for _ in 0..7 {
        for (_, backend, id, times) in &mut backends {
            let started = Instant::now();
            let mut steps = 0;
            while steps < 3 || (started.elapsed().as_secs_f64() < 0.3 && steps < 100) {
                backend.run(*id)?;
                steps += 1;
                if steps % 8 == 0 {
                    backend.wait();
                }
            }
            backend.wait();
            times.push(started.elapsed().as_secs_f64() * 1e3 / f64::from(steps));
        }
    }
    for (shape, backend, _, times) in &mut backends {
        let ms = median(times);
        println!("{} {shape:?}: {ms:.3} ms a step, {:.0} images/s", backend.name(), options.batch as f64 / ms * 1e3);
    }
    Ok(())
}
