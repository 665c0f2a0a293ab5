//! `halfwave tune`: measures which kernels are fastest on this device, for use by later runs.

use super::device::{self, Measurable};
use super::kernels::{self, Kernels};
use super::terminal::{self, print, print_status};
use super::{MeasureArgs, interrupt};
use halfwave::Result;
use halfwave::backend::gpu::{Found, GpuBackend};
use halfwave::backend::{Backend, Device};
use halfwave::profile::candidates::{Timed, described};
use halfwave::profile::tune::{self, Tuned};
use halfwave::recipe::Recipe;
use halfwave::train::session::training_plan;
use std::process::ExitCode;

/// Measure which kernels are fastest for recipes on this device, for use by later runs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, mut_arg("adapter", |arg| arg.help(ADAPTER)))]
pub(super) struct TuneArgs {
    #[command(flatten)]
    measure: MeasureArgs,
    /// Discard all cached data about kernels on this device without measuring anything: the
    /// measured choices, and whether kernels were right or wrong on first use (they are checked
    /// again)
    #[arg(long, conflicts_with_all = ["recipes", "rounds", "SetArgs", "StepArgs"])]
    forget: bool,
}

const ADAPTER: &str = "Adapter to measure: an index or part of a name from `halfwave devices` [default: the first GPU]";

const EXAMPLES: &str = "\
Examples:
  halfwave tune vgg-small                     VGG-small, its default batch size, the first GPU
  halfwave tune resnet20 --batch 128
  halfwave tune --forget                      return to the default choices

The results apply to the same operations with the same shapes, in any recipe, with this adapter, \
driver and version of halfwave. A resumed run keeps the kernels that it started with.
The CPU backend has one implementation per operation, so there is nothing to tune.";

/// Why there is nothing to measure on the CPU backend.
pub(super) const ONE_EACH: &str =
    "the CPU backend has one implementation per operation, so there are no kernels to choose from";

pub(super) fn tune(args: &TuneArgs) -> Result<ExitCode> {
    let recipes = args.measure.recipes()?;
    let Some(Measurable { found, only_as }) = device::measurable(args.measure.adapter.adapter.as_deref(), ONE_EACH)?
    else {
        return Ok(ExitCode::SUCCESS);
    };
    let device = Device::from(&found.report);
    let file = kernels::file(&device)?;
    if args.forget {
        print_status(&forget(&device)?);
        return Ok(ExitCode::SUCCESS);
    }
    // Checks that the result can be saved before measuring for minutes.
    kernels::change(&device, |_| ())?;
    interrupt::watch();
    let mut kept = false;
    for (recipe, name) in &recipes {
        match of_recipe(args, &found, &device, recipe, name) {
            Ok(()) => kept = true,
            Err(error) => {
                if kept {
                    print_status(&format!("the results for the recipes before {name} are saved in {}", file.display()));
                }
                return interrupt::ended(error);
            }
        }
    }
    let adapter = only_as.map_or(String::new(), |index| format!(", if started with --adapter {index}"));
    print_status(&format!("results saved in {}; later runs on this device use them{adapter}", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// Measures the kernels of a recipe, then prints and saves the result.
fn of_recipe(args: &TuneArgs, found: &Found, device: &Device, recipe: &Recipe, name: &str) -> Result<()> {
    let batch = recipe.train.batch;
    print_status(&format!("{name}, batch of {batch}, on {}", device.adapter));
    let mut request = kernels::request(device);
    request.choices.clear();
    let mut backend = pollster::block_on(GpuBackend::open(found.clone(), request))?;
    backend.stop_by(interrupt::stop());
    let plan = training_plan(recipe, batch, backend.caps())?;
    let tuned = pollster::block_on(tune::tune(&mut backend, &plan, args.measure.rounds as usize, print_status))?;
    print(&table(&tuned))?;
    kernels::change(device, |kernels| {
        for found in &tuned {
            kernels.choices.remove(&found.heavy.site);
            kernels.choices.extend(found.choice().map(|choice| (found.heavy.site.clone(), choice)));
        }
    })
}

/// Discards the cached data of a device, and returns a description of it.
fn forget(device: &Device) -> Result<String> {
    let before: Kernels = kernels::change(device, std::mem::take)?;
    let (choices, verdicts, wrong) = (before.choices.len(), before.verdicts.len(), before.excluded());
    let adapter = &device.adapter;
    if choices + verdicts == 0 {
        return Ok(format!("{adapter}: no kernel data was cached; kernels are chosen by estimate"));
    }
    let wrong = match wrong.is_empty() {
        true => String::new(),
        false => format!(", of which {} had been wrong", wrong.join(", ")),
    };
    let s = |count: usize| if count == 1 { "" } else { "s" };
    Ok(format!(
        "{adapter}: discarded {choices} measured choice{} and {verdicts} first-use result{}{wrong}; kernels are chosen by estimate, and checked again before they are used",
        s(choices),
        s(verdicts)
    ))
}

/// Returns a table with one row per operation: the kernel chosen by estimate, the fastest one, and
/// the gain.
fn table(tuned: &[Tuned]) -> String {
    let name = |timed: &Timed| described(&timed.kernel, timed.parts);
    let mut rows = "operation\tlayers\testimate\tms\tfastest\tms\tgain\n".to_string();
    let ms = |timed: &Timed| format!("{:.4}", timed.median_ns as f64 / 1e6);
    for found in tuned {
        let (first, best) = (&found.heavy.kernels[0], &found.heavy.kernels[found.best]);
        let gain = if found.best == 0 { "-".to_string() } else { format!("{:.2}×", found.gain()) };
        let layers = found.heavy.layers.join(", ");
        let fastest = if found.best == 0 { "the same".to_string() } else { name(best) };
        let (stem, estimate, [first, best]) = (&found.heavy.stem, name(first), [first, best].map(ms));
        rows += &format!("{stem}\t{layers}\t{estimate}\t{first}\t{fastest}\t{best}\t{gain}\n");
    }
    let before: u64 = tuned.iter().map(|found| of_layers(found, 0)).sum();
    let after: u64 = tuned.iter().map(|found| of_layers(found, found.best)).sum();
    format!(
        "{}\ntotal: {:.3} ms by estimate, {:.3} ms with the fastest kernels\n\n",
        terminal::table("lllrlrr", &rows),
        before as f64 / 1e6,
        after as f64 / 1e6
    )
}

/// Returns the time of an operation over all of its layers.
fn of_layers(found: &Tuned, kernel: usize) -> u64 {
    found.heavy.kernels[kernel].median_ns * found.heavy.layers.len() as u64
}
