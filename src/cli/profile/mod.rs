//! `halfwave profile`: shows where the time and memory of a training step are spent.

mod changes;
mod sweep;
mod table;

use super::ceilings::{self, Measure};
use super::device::{self, Choice, Opened};
use super::plan::{self, Class};
use super::set::SetArgs;
use super::step::StepArgs;
use super::terminal::{is_capable, print, print_message, print_status};
use super::{AdapterArgs, load, number};
use halfwave::backend::gpu::Request;
use halfwave::profile::{Measurement, Profile, diff::diff, trace::Timeline};
use halfwave::report::{comparison_page, profile_page};
use halfwave::train::Session;
use halfwave::train::session::batch_input;
use halfwave::{Error, Result, files};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Show where the time and memory of a training step are spent, kernel by kernel.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ProfileArgs {
    /// A recipe file, the name of a built-in recipe, or - for standard input [default: digits]
    recipe: Option<String>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Number of rounds to measure; every value is the median over as many steps
    #[arg(long, value_name = "N", default_value = "20", value_parser = number::whole::<u32>(1..=10_000))]
    steps: u32,
    #[command(flatten)]
    step: StepArgs,
    /// Kind of device to choose kernels for, instead of the adapter's own
    #[arg(long, value_enum)]
    device_class: Option<Class>,
    /// Show every launch, not only the longest ones; with --kernel every kernel, not only the fastest
    #[arg(long)]
    all: bool,
    /// Instead of a step, measure an operation ("bconv") with all of its kernels, or one of them
    /// ("bconv_tile64"), over values of one size
    #[arg(long, value_name = "KERNEL", requires = "sweep", conflicts_with_all = OF_STEP)]
    kernel: Option<String>,
    /// The size that varies with --kernel, and its values: batch, height, width, channels, filters,
    /// window, stride or bits
    #[arg(long, value_name = "SIZE=VALUE,…", requires = "kernel")]
    sweep: Option<String>,
    /// Another size with --kernel [default: batch=32, height=16, width=16, channels=128,
    /// filters=128, window=3, stride=1, bits=2]
    #[arg(long, value_name = "SIZE=VALUE", requires = "kernel")]
    size: Vec<String>,
    /// Write the values of --kernel as comma-separated values
    #[arg(long, value_name = "FILE", requires = "kernel")]
    csv: Option<PathBuf>,
    /// Write the profile as JSON, for --diff or other programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the last timed steps as a trace in JSON, for chrome://tracing, Perfetto or speedscope
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the same trace in Perfetto's own format, for ui.perfetto.dev or its trace processor;
    /// by custom the name ends in .pftrace
    #[arg(long, value_name = "FILE")]
    perfetto: Option<PathBuf>,
    /// Write a self-contained HTML page with a roofline plot, times by layer, and memory over the
    /// step; with --diff, of the differences by layer
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Measure the device's peak performance again, instead of using cached values
    #[arg(long)]
    fresh: bool,
    /// Compare two profiles, the older one first: tells slower kernels from noise
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with_all = MEASURING)]
    diff: Option<Vec<PathBuf>>,
    /// Also run one step inside a capture of the graphics debugger that started halfwave
    /// (RenderDoc, Xcode)
    #[arg(long)]
    capture: bool,
    /// Record all calls to the device in this new folder, for replay with wgpu's player
    #[arg(long, value_name = "DIR")]
    api_trace: Option<PathBuf>,
}

/// Arguments of a measurement, which --diff does not make.
const MEASURING: [&str; 17] = [
    "recipe",
    "set",
    "adapter",
    "steps",
    "batch",
    "accumulate",
    "precision",
    "memory",
    "device_class",
    "all",
    "json",
    "trace",
    "perfetto",
    "fresh",
    "capture",
    "api_trace",
    "kernel",
];

/// What does not apply to a single kernel.
const OF_STEP: [&str; 9] =
    ["recipe", "SetArgs", "StepArgs", "device_class", "trace", "perfetto", "html", "capture", "api_trace"];

const EXAMPLES: &str = "\
Examples:
  halfwave profile                            the embedded digits, on a GPU or else the CPU
  halfwave profile vgg-small --batch 4 --html profile.html
  halfwave profile vgg-small --perfetto profile.pftrace
  halfwave profile --json before.json         then change something, and
  halfwave profile --json after.json
  halfwave profile --diff before.json after.json --html difference.html
  halfwave profile --kernel bconv --sweep channels=64,128,256 --size batch=8 --csv bconv.csv

The images are noise, so no data set is needed. docs/guide/profiling.md explains how to read the results.";

pub(super) fn profile(args: &ProfileArgs) -> Result<()> {
    if let Some([before, after]) = args.diff.as_deref() {
        files::check_outputs(&args.html, [before, after].map(PathBuf::clone))?;
        let mut diff = diff(&read(before)?, &read(after)?)?;
        for (side, path) in diff.sides.iter_mut().zip([before, after]) {
            side.name = path.display().to_string();
        }
        print(&changes::table(&diff))?;
        return args.html.as_deref().map_or(Ok(()), |path| write(path, "page", comparison_page(&diff).as_bytes()));
    }
    if let (Some(kernel), Some(sizes)) = (&args.kernel, &args.sweep) {
        return sweep::kernel(args, kernel, sizes);
    }
    let (mut recipe, name) = load::recipe(args.recipe.as_deref(), &args.set)?;
    let outputs = [&args.json, &args.html, &args.trace, &args.perfetto].into_iter().flatten();
    files::check_outputs(outputs, load::recipe_files(args.recipe.as_deref())?)?;
    args.step.apply(&mut recipe)?;
    let wanted = args.adapter.adapter.as_deref();
    let choice = device::choose(wanted)?;
    if args.device_class.is_some() && matches!(choice, Choice::Cpu) {
        let message = "--device-class chooses among the kernels of an adapter; the CPU backend has one implementation per operation: omit the option, or choose an adapter with --adapter";
        return Err(Error::Usage(message.to_string()));
    }
    args.api_trace.as_deref().map_or(Ok(()), |dir| new_folder(dir, &choice))?;
    print_status(&plan::describe(&recipe, &name)?);
    let known = choice.request();
    let request = match args.device_class {
        // The cached choices were measured for the adapter's own class.
        Some(class) => Request { class: Some(class.into()), choices: BTreeMap::new(), ..known },
        None => known,
    };
    let request = Request { api_trace: args.api_trace.clone(), ..request };
    let Opened { backend, device } = choice.open(request)?;
    let mut session = pollster::block_on(Session::with_image_input(&recipe, backend, batch_input(&recipe), false))?;
    let measurement = measure(&mut session, args.steps)?;
    if args.capture {
        pollster::block_on(session.capture())?;
        print_status("a step was executed for a capture; if no graphics debugger is attached, the log says so");
    }
    let mut profile = Profile::new(&name, recipe.train.micro_batch(), session.plan(), device, &measurement);
    profile.measured = Some(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    drop(session);
    if profile.device.backend != "cpu" {
        // For the same adapter, however it was chosen.
        let same = device::wanted(&profile.device);
        let measure = Measure::or_fresh(Measure::Doubtful, args.fresh);
        profile = profile.against(ceilings::ceilings(wanted.or(Some(&same)), measure)?.content.ceilings);
    }
    print(&table::table(&profile, args.all))?;
    let timeline = Timeline::new(&profile, &measurement);
    let written = [
        (&args.json, "profile", profile.to_json().into_bytes()),
        (&args.html, "page", profile_page(&profile).into_bytes()),
        (&args.trace, "trace (open it in chrome://tracing or Perfetto)", timeline.to_json().into_bytes()),
        (&args.perfetto, "trace (open it at ui.perfetto.dev)", timeline.to_perfetto()),
    ];
    for (path, what, content) in written {
        if let Some(path) = path {
            write(path, what, &content)?;
        }
    }
    Ok(())
}

fn write(path: &Path, what: &str, content: &[u8]) -> Result<()> {
    files::replace(path, content)?;
    print_status(&format!("{what} written to {}", path.display()));
    Ok(())
}

/// Measures a session, with a progress bar on a terminal.
fn measure(session: &mut Session, rounds: u32) -> Result<Measurement> {
    let bar = if is_capable() { ProgressBar::new(rounds.into()) } else { ProgressBar::hidden() };
    bar.set_message("measuring");
    let measured = pollster::block_on(session.measure(rounds as usize, |done| bar.set_position(done as u64)));
    bar.finish_and_clear();
    measured
}

fn read(path: &Path) -> Result<Profile> {
    let mut bytes = Vec::new();
    files::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(Error::io(path))?;
    // What is not text is not a profile, and neither is an empty text.
    let text = String::from_utf8(bytes).unwrap_or_default();
    Profile::from_json(&text, &path.display().to_string())
}

/// Creates the folder for an API trace, which must be empty.
fn new_folder(dir: &Path, choice: &Choice) -> Result<()> {
    if let Choice::Cpu = choice {
        let message = "--api-trace records calls to an adapter, which the CPU backend does not make: choose an adapter with --adapter";
        return Err(Error::Usage(message.to_string()));
    }
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let mut entries = std::fs::read_dir(dir).map_err(Error::io(dir))?;
    if entries.next().is_some() {
        return Err(Error::Usage(format!("{} is not empty; --api-trace takes a new folder", dir.display())));
    }
    print_message(
        "note",
        &format_args!("recording all calls to the device into {}: this takes time and disk space", dir.display()),
    );
    Ok(())
}
