//! Times a training step on each launch shape.
//!
//! `cargo bench --bench step -- [RECIPE] [--batch N] [--adapter NAME|INDEX|cpu]`
//!
//! The step is timed whole, several in flight as in training; shapes alternate, medians are printed. Where its time goes is what `halfwave profile` shows.

mod common;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu};
use halfwave::caps::LaunchShape;
use halfwave::error::Result;
use halfwave::recipe::{self, Recipe};
use halfwave::train::session;
use std::time::Instant;

struct Options {
    recipe: Recipe,
    batch: usize,
    adapter: Option<String>,
}

fn options() -> Result<Options> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let (mut name, mut batch, mut adapter) = ("digits".to_string(), None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--batch" => batch = args.next().and_then(|n| n.parse().ok()),
            "--adapter" => adapter = args.next(),
            _ => name = arg,
        }
    }
    let text = match recipe::builtin(&name) {
        Some(text) => text.to_string(),
        None => std::fs::read_to_string(&name).map_err(halfwave::Error::io(&name))?,
    };
    let recipe = Recipe::parse(&text, &name)?;
    Ok(Options { batch: batch.unwrap_or(recipe.train.batch), recipe, adapter })
}

/// Loads the training plan with start values and a random batch.
fn load(backend: &mut dyn Backend, options: &Options) -> Result<halfwave::backend::PlanId> {
    let (recipe, batch) = (&options.recipe, options.batch);
    let plan = session::training_plan(recipe, batch, &backend.caps().clone())?;
    common::load(backend, plan, recipe, batch, 1e-3)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<()> {
    env_logger::init();
    let options = options()?;
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
    for shape in [LaunchShape::Registers, LaunchShape::Tiled] {
        let found = gpu::choose(pollster::block_on(gpu::find()), options.adapter.as_deref())?;
        let mut backend = pollster::block_on(gpu::GpuBackend::open(found, Some(shape)))?;
        let started = Instant::now();
        let id = load(&mut backend, &options)?;
        let mut done = 0;
        for node in backend.plan(id).nodes.clone() {
            // Several nodes may have one dispatch.
            if node.steps.start < done {
                continue;
            }
            done = node.steps.end;
            // Drivers compile at the first dispatch: RUST_LOG=info shows where a cold start spends its time.
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
