//! `halfwave bench`: how fast a training step is, and each kernel that could do its heavy operations.

use super::device::{self, Opened};
use super::terminal::{bytes, print, say};
use super::{AdapterArgs, ceilings, load};
use halfwave::backend::Device;
use halfwave::backend::gpu::Request;
use halfwave::profile::Ceilings;
use halfwave::profile::candidates::{self, Heavy};
use halfwave::train::Session;
use halfwave::train::session::{batch_feed, training_plan};
use halfwave::{Result, files};
use serde::Serialize;
use std::path::PathBuf;

/// Measure how fast a training step is, and each kernel that could do its heavy operations.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BenchArgs {
    /// Recipes: files or names of built-in ones [default: digits vgg-small]
    recipes: Vec<String>,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Rounds to measure: every number is the median of so many
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Images in a step, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Measure steps alone, no kernels
    #[arg(long)]
    steps_only: bool,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  halfwave bench                              the digits and VGG-small, on the GPU, or else on the CPU backend
  halfwave bench resnet20 --batch 128 --json bench.json

The images are noise: no data set is needed.";

/// Version of the form; it grows when a field changes its meaning or goes, not when one is added.
const VERSION: u32 = 1;

/// What `--json` writes.
#[derive(Serialize)]
struct Bench {
    format: &'static str,
    version: u32,
    halfwave: &'static str,
    /// When it was measured, in UTC.
    when: String,
    device: Device,
    ceilings: Option<Ceilings>,
    recipes: Vec<OfRecipe>,
}

#[derive(Serialize)]
struct OfRecipe {
    recipe: String,
    batch: usize,
    /// Hash of the plan, in hexadecimal.
    plan: String,
    launches: usize,
    /// A step on the device, by its own clock where it has one.
    step_ns: u64,
    /// A step by the host's clock, several in flight.
    wall_ns: u64,
    images_per_s: f64,
    /// Bytes of all buffers of the plan.
    peak_bytes: u64,
    heavy: Vec<Heavy>,
}

pub(super) fn bench(args: &BenchArgs) -> Result<()> {
    args.json.as_deref().map_or(Ok(()), files::check)?;
    let wanted = args.adapter.adapter.as_deref();
    let names = match args.recipes.is_empty() {
        true => vec!["digits".to_string(), "vgg-small".to_string()],
        false => args.recipes.clone(),
    };
    let mut recipes = Vec::new();
    let mut measured_on = None;
    for name in &names {
        let (mut recipe, name) = load::recipe(Some(name))?;
        recipe.train.batch = args.batch.map_or(recipe.train.batch, |batch| batch as usize);
        let Opened { backend, device } = device::choose(wanted)?.open(Request::default())?;
        let mut session = pollster::block_on(Session::fed(&recipe, backend, batch_feed(&recipe), false))?;
        say(&format!("{name}, batch of {}, on {}", recipe.train.batch, device.adapter));
        let step = pollster::block_on(session.measure(args.rounds as usize, |_| {}))?;
        let plan = session.plan();
        let mut of_recipe = OfRecipe {
            recipe: name,
            batch: recipe.train.batch,
            plan: format!("{:016x}", plan.hash()),
            launches: plan.steps.len(),
            step_ns: step.step_ns,
            wall_ns: step.wall_ns,
            images_per_s: recipe.train.batch as f64 / step.wall_ns.max(1) as f64 * 1e9,
            peak_bytes: plan.memory.peak,
            heavy: Vec::new(),
        };
        drop(session);
        if device.backend != "cpu" && !args.steps_only {
            let Opened { mut backend, .. } = device::choose(wanted)?.open(Request::default())?;
            let plan = training_plan(&recipe, recipe.train.batch, &backend.caps().clone())?;
            let measured = candidates::measure(&mut *backend, &plan, args.rounds as usize, say);
            of_recipe.heavy = pollster::block_on(measured)?;
        }
        recipes.push(of_recipe);
        measured_on = Some(device);
    }
    let device = measured_on.expect("at least one recipe");
    let ceilings = match device.backend.as_str() {
        "cpu" => None,
        _ => Some(ceilings::ceilings(wanted.or(Some(&device::wanted(&device))), false)?.ceilings),
    };
    let bench = Bench {
        format: "halfwave-bench",
        version: VERSION,
        halfwave: env!("CARGO_PKG_VERSION"),
        when: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        device,
        ceilings,
        recipes,
    };
    print(&table(&bench))?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&bench).expect("a benchmark is plain data") + "\n";
        files::replace(path, text.as_bytes())?;
        say(&format!("{} holds the results", path.display()));
    }
    Ok(())
}

/// A line a recipe, then a line a kernel.
fn table(bench: &Bench) -> String {
    let mut text = String::new();
    for recipe in &bench.recipes {
        text += &format!(
            "{}, batch of {}: {:.3} ms a step ({:.3} ms on the device), {:.0} images/s, {} launches, {} of memory\n",
            recipe.recipe,
            recipe.batch,
            recipe.wall_ns as f64 / 1e6,
            recipe.step_ns as f64 / 1e6,
            recipe.images_per_s,
            recipe.launches,
            bytes(recipe.peak_bytes),
        );
        for heavy in &recipe.heavy {
            text += &format!(
                "\n  {} of {}: {} → {}\n",
                heavy.stem,
                heavy.layers.join(", "),
                heavy.reads.join(", "),
                heavy.writes
            );
            let ops = heavy.float_ops.max(heavy.bit_ops);
            for (i, kernel) in heavy.kernels.iter().enumerate() {
                let peak = bench.ceilings.as_ref().map(|ceilings| match heavy.bit_ops > heavy.float_ops {
                    true => ceilings.bit.value,
                    false => ceilings.float.value,
                });
                let rate = ops as f64 / kernel.median_ns.max(1) as f64 * 1e9;
                let share = peak.map_or(String::new(), |peak| format!(" {:5.1} % of the peak", 100.0 * rate / peak));
                text += &format!(
                    "  {} {:<14} {:9.4} ms {:8.2} TOP/s{share}, lane use {:3.0} %, {} invocations, {} of scratch\n",
                    if i == 0 { '*' } else { ' ' },
                    kernel.kernel,
                    kernel.median_ns as f64 / 1e6,
                    rate / 1e12,
                    100.0 * kernel.lane_use,
                    kernel.invocations,
                    bytes(kernel.scratch_bytes),
                );
            }
        }
        text.push('\n');
    }
    text + "* the kernel that a plan takes\n"
}
