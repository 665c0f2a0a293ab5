//! `halfwave bench`: measures the duration of a training step, and of each kernel that can execute
//! its heavy operations.

mod host;
mod table;

use super::device::{self, Opened};
use super::terminal::{print, print_status};
use super::{MeasureArgs, ceilings, interrupt, kernels};
use halfwave::backend::Device;
use halfwave::profile::DevicePeaks;
use halfwave::profile::candidates::{self, Heavy};
use halfwave::recipe::Recipe;
use halfwave::train::Session;
use halfwave::train::session::{batch_input, training_plan};
use halfwave::{Result, files};
use host::Host;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure the duration of a training step, and of each kernel that can execute its heavy
/// operations.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    measure: MeasureArgs,
    /// Measure steps only, no kernels
    #[arg(long)]
    steps_only: bool,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  halfwave bench                              the digits and VGG-small, on a GPU or else the CPU
  halfwave bench resnet20 --batch 128 --json bench.json

The images are noise, so no data set is needed. The CPU backend has one implementation per operation, \
so only steps are measured there. Ctrl-C ends the benchmark and prints what was measured so far.";

/// Version of the JSON format. It increases when the meaning of a field changes or a field is
/// removed, not when one is added.
const VERSION: u32 = 1;

/// Content of the file that `--json` writes.
#[derive(Serialize)]
struct Bench {
    format: &'static str,
    version: u32,
    halfwave: &'static str,
    /// The commit, if `HALFWAVE_COMMIT` was set when the program was built.
    commit: Option<&'static str>,
    /// Time of the measurement, in UTC.
    when: String,
    device: Device,
    /// The host computer.
    host: Host,
    /// Number of measurements of which every value is the median.
    rounds: u32,
    ceilings: Option<DevicePeaks>,
    /// Kernels excluded on this device because their results were wrong on first use.
    excluded: Vec<String>,
    recipes: Vec<OfRecipe>,
}

#[derive(Serialize)]
struct OfRecipe {
    recipe: String,
    /// Images computed at once: the batch size, or the micro-batch size.
    batch: usize,
    /// Micro-batches per step.
    micro_batches: usize,
    /// Hash of the plan, in hexadecimal.
    plan: String,
    launches: usize,
    /// Duration of a step on the device, by the device's clock if it has one.
    step_ns: u64,
    /// Whether `step_ns` was measured by the host's clock as well.
    by_host: bool,
    /// Duration of a step by the host's clock, with several steps in flight.
    wall_ns: u64,
    images_per_s: f64,
    /// Total bytes of all buffers of a step.
    peak_bytes: u64,
    heavy: Vec<Heavy>,
}

pub(super) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    let named = args.measure.recipes()?;
    files::check_outputs(&args.json, args.measure.files()?)?;
    let (mut recipes, mut measured_on, mut failure) = (Vec::new(), None, None);
    interrupt::watch();
    for (recipe, name) in named {
        match of_recipe(args, &recipe, name) {
            Ok((of_recipe, device)) => {
                recipes.push(of_recipe);
                measured_on = Some(device);
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    // Results measured before a failure are printed and saved.
    let ended = |failure: Option<_>| failure.map_or(Ok(ExitCode::SUCCESS), interrupt::ended);
    let Some(device) = measured_on else { return ended(failure) };
    let ceilings = match device.backend.as_str() {
        "cpu" => None,
        _ if failure.is_some() => None,
        _ => {
            let (wanted, same) = (args.measure.adapter.adapter.as_deref(), device::wanted(&device));
            Some(ceilings::ceilings(wanted.or(Some(&same)), ceilings::Measure::Missing)?.content.ceilings)
        }
    };
    let excluded = match device.backend.as_str() {
        "cpu" => Vec::new(),
        _ => kernels::of(&device).excluded().into_iter().map(String::from).collect(),
    };
    let bench = Bench {
        format: "halfwave-bench",
        version: VERSION,
        halfwave: halfwave::version::VERSION,
        commit: option_env!("HALFWAVE_COMMIT"),
        when: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        device,
        host: Host::this(),
        rounds: args.measure.rounds,
        ceilings,
        excluded,
        recipes,
    };
    print(&table::table(&bench))?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&bench).expect("a benchmark is plain data") + "\n";
        files::replace(path, text.as_bytes())?;
        print_status(&format!("results written to {}", path.display()));
    }
    ended(failure)
}

/// Measures a recipe, and returns the device it was measured on.
fn of_recipe(args: &BenchArgs, recipe: &Recipe, name: String) -> Result<(OfRecipe, Device)> {
    let (wanted, rounds) = (args.measure.adapter.adapter.as_deref(), args.measure.rounds as usize);
    let Opened { backend, device } = device::open(wanted)?;
    let mut session = pollster::block_on(Session::with_image_input(recipe, backend, batch_input(recipe), false))?;
    // When a step accumulates gradients, one micro-batch is measured.
    let batch = recipe.train.micro_batch();
    let what = if recipe.train.accumulate > 1 { "micro-batch" } else { "batch" };
    print_status(&format!("{name}, {what} of {batch}, on {}", device.adapter));
    let step = pollster::block_on(session.measure(rounds, |_| {}))?;
    let plan = session.plan();
    let mut of_recipe = OfRecipe {
        recipe: name,
        batch,
        micro_batches: recipe.train.accumulate,
        plan: format!("{:016x}", plan.hash()),
        launches: plan.steps.len(),
        step_ns: step.step_ns,
        by_host: step.timer.by_host(),
        wall_ns: step.wall_ns,
        images_per_s: batch as f64 / step.wall_ns.max(1) as f64 * 1e9,
        peak_bytes: session.peak_bytes(),
        heavy: Vec::new(),
    };
    drop(session);
    if device.backend != "cpu" && !args.steps_only {
        let Opened { mut backend, .. } = device::open(wanted)?;
        let plan = training_plan(recipe, recipe.train.batch, &backend.caps().clone())?;
        of_recipe.heavy = pollster::block_on(candidates::measure(&mut *backend, &plan, rounds, print_status))?;
    }
    Ok((of_recipe, device))
}
