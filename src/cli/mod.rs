//! The command line: parsing of arguments and dispatch to commands.
//!
//! **Invariant:** a user error results in one line `error: …` on stderr, in a recipe with its line and
//! a mark below it, and exit code 1 (2 if reported by clap); a closed pipe ends the program silently.

mod advice;
mod bench;
mod ceilings;
mod device;
mod devices;
mod dump;
mod eval;
mod experiment;
mod export;
mod interrupt;
mod kept;
mod kernels;
mod layers;
mod load;
mod mix;
mod new;
mod number;
mod output;
mod plan;
mod predict;
mod profile;
mod progress;
mod ranks;
mod recipe;
mod report;
mod runtime_dir;
mod selftest;
mod set;
mod shader;
mod shell;
mod step;
mod study;
mod summary;
mod sweep;
mod terminal;
mod train;
mod tune;
mod view;
mod web;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use halfwave::recipe::Recipe;
use halfwave::{Error, Result};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Trains low-bit neural networks on any GPU, or without one.
#[derive(Parser)]
#[command(name = "halfwave", version = VERSION, after_help = EXAMPLES, max_term_width = 110)]
#[command(override_usage = "halfwave [COMMAND] [OPTIONS]")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    output: output::OutputArgs,
    #[command(flatten, next_help_heading = "Options without a command (same as for train)")]
    train: train::TrainOptions,
}

/// The version, and whether several processes can train together.
#[cfg(feature = "mpi")]
const VERSION: &str = concat!(env!("HALFWAVE_VERSION"), ", with MPI");
#[cfg(not(feature = "mpi"))]
const VERSION: &str = halfwave::version::DESCRIPTION;

const EXAMPLES: &str = "\
Without a command, halfwave trains the embedded digits recipe and accepts the options of train.

Examples:
  halfwave                                    train the embedded digits, on a GPU if there is one
  halfwave --epochs 2 --plain                 the same, for two epochs and without a view
  halfwave train my.toml --epochs 5           train a recipe of your own, for five epochs
  halfwave --set train.optimizer.lr=0.1       change any key of the recipe
  halfwave train --resume runs/digits-1       resume an interrupted run
  halfwave predict runs/digits-1 seven.png    classify an image
  halfwave export runs/digits-1               write its bits to one file
  halfwave report runs/digits-1 runs/mine     compare runs in an HTML report
  halfwave sweep digits --set 'train.optimizer.lr=[0.1, 0.03]' --seeds 3
                                              train every combination of values, compared in a table
  halfwave devices                            list the available devices

Without --adapter, halfwave uses the first GPU, or the CPU backend if there is none. \
WGPU_ADAPTER_NAME=NAME selects another adapter, WGPU_BACKEND=vulkan, metal or dx12 a backend, \
WGPU_POWER_PREF=low prefers an integrated GPU; --adapter takes precedence over them.
RUST_LOG=info enables log messages, like -v.

Exit codes: 0 after success, 1 after an error, 2 for an invalid command line; 128 plus the signal number \
for a run that a signal stopped (130 after Ctrl-C), which can be resumed.";

#[derive(Subcommand)]
enum Command {
    New(new::NewArgs),
    Train(Box<train::TrainArgs>),
    Eval(eval::EvalArgs),
    Sweep(sweep::SweepArgs),
    Experiment(experiment::ExperimentArgs),
    Export(export::ExportArgs),
    Predict(predict::PredictArgs),
    Report(report::ReportArgs),
    Summary(summary::SummaryArgs),
    Plan(plan::PlanArgs),
    Profile(profile::ProfileArgs),
    Bench(bench::BenchArgs),
    Tune(tune::TuneArgs),
    Shader(shader::ShaderArgs),
    Devices(devices::DevicesArgs),
    Selftest(selftest::SelftestArgs),
    Recipe(recipe::RecipeArgs),
    Layers(layers::LayersArgs),
    Web(web::WebArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

impl Command {
    /// Whether several processes would do the same at once, and disturb each other.
    fn writes_or_measures(&self) -> bool {
        match self {
            Self::New(_)
            | Self::Eval(_)
            | Self::Sweep(_)
            | Self::Experiment(_)
            | Self::Export(_)
            | Self::Predict(_) => true,
            Self::Report(_) | Self::Profile(_) | Self::Bench(_) | Self::Tune(_) | Self::Web(_) => true,
            Self::Train(_) | Self::Summary(_) | Self::Plan(_) | Self::Shader(_) | Self::Devices(_) => false,
            Self::Selftest(_) | Self::Recipe(_) | Self::Layers(_) | Self::Completions(_) | Self::Man(_) => false,
        }
    }
}

/// Maximum time the device works before the progress of a run is updated.
const UPDATE_INTERVAL: Duration = Duration::from_millis(150);

/// Selection of the device.
#[derive(Args, Default)]
struct AdapterArgs {
    /// Adapter to use: an index or part of a name from `halfwave devices`, or "cpu" for the CPU
    /// backend [default: the first GPU, or else cpu]
    #[arg(long, value_name = "NAME|INDEX|cpu", value_parser = NonEmptyStringValueParser::new())]
    adapter: Option<String>,
}

/// What is measured, and how often.
#[derive(Args)]
struct MeasureArgs {
    /// Recipes: files, names of built-in recipes, or - for standard input [default: digits
    /// vgg-small]
    recipes: Vec<String>,
    #[command(flatten)]
    set: set::SetArgs,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Number of rounds to measure; every value is their median
    #[arg(long, value_name = "N", default_value = "10", value_parser = number::whole::<u32>(1..=10_000))]
    rounds: u32,
    #[command(flatten)]
    step: step::StepArgs,
}

impl MeasureArgs {
    /// Reads the recipes and their names; all are read before anything is measured.
    fn recipes(&self) -> Result<Vec<(Recipe, String)>> {
        let named = self.recipes.iter().map(String::as_str);
        let default = ["digits", "vgg-small"].into_iter().filter(|_| self.recipes.is_empty());
        let read = |name| {
            let (mut recipe, name) = load::recipe(Some(name), &self.set)?;
            self.step.apply(&mut recipe)?;
            Ok((recipe, name))
        };
        named.chain(default).map(read).collect()
    }

    /// The files of the recipes.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let files: Result<Vec<_>> = self.recipes.iter().map(|name| load::recipe_files(Some(name))).collect();
        Ok(files?.concat())
    }
}

/// Source of the images.
#[derive(Args, Default)]
struct DataArgs {
    /// Folder or file with the recipe's images, instead of that in the recipe; for CIFAR-10 (binary
    /// version), CIFAR10_DIR can be set instead
    #[arg(long, visible_alias = "data", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Parses the arguments and executes the command.
pub(crate) fn main() -> ExitCode {
    runtime_dir::ensure();
    let Cli { command, output, train } = match parse() {
        Ok(cli) => cli,
        Err(message) => return told(&message),
    };
    let command = command.unwrap_or_else(|| Command::Train(Box::new(train.into())));
    output.apply();
    if command.writes_or_measures()
        && let Err(error) = ranks::alone()
    {
        return code(Err(error));
    }
    let done = match command {
        Command::New(args) => new::new(&args),
        Command::Train(args) => return code(train::train(&args)),
        Command::Eval(args) => eval::eval(&args),
        Command::Sweep(args) => return code(sweep::sweep(&args)),
        Command::Experiment(args) => return code(experiment::experiment(&args)),
        Command::Export(args) => export::export(&args),
        Command::Predict(args) => return code(predict::predict(&args)),
        Command::Report(args) => report::report(&args),
        Command::Summary(args) => summary::summary(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Profile(args) => profile::profile(&args),
        Command::Bench(args) => return code(bench::bench(&args)),
        Command::Tune(args) => return code(tune::tune(&args)),
        Command::Shader(args) => shader::shader(&args),
        Command::Devices(args) => devices::devices(&args),
        Command::Selftest(args) => selftest::selftest(&args),
        Command::Recipe(args) => recipe::recipe(&args),
        Command::Layers(args) => layers::layers(&args),
        Command::Web(args) => web::web(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    code(done.map(|()| ExitCode::SUCCESS))
}

/// Parses the arguments. Options of `train` are refused in front of a command, which would ignore
/// them.
fn parse() -> std::result::Result<Cli, clap::Error> {
    let mut cli = Cli::command().color(output::clap_color());
    let mut matches = match cli.try_get_matches_from_mut(std::env::args_os()) {
        Err(error) => {
            let advice = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::String(option)) if option == "--json" => NO_JSON,
                Some(ContextValue::String(option)) if RANK_OPTIONS.contains(&&**option) => NO_RANKS,
                _ => return Err(error),
            };
            return Err(cli.error(ErrorKind::UnknownArgument, advice));
        }
        Ok(matches) => matches,
    };
    if let Some(command) = matches.subcommand_name() {
        let options = train::TrainOptions::augment_args(clap::Command::new(""));
        let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(option) = options.get_arguments().find(|option| given(option.get_id().as_str())) {
            let option = option.get_long().unwrap_or_default();
            let message = format!("--{option} must follow the command: halfwave {command} --{option} …");
            return Err(cli.error(ErrorKind::ArgumentConflict, message));
        }
    }
    Cli::from_arg_matches_mut(&mut matches)
}

/// The error for `train --json` and the like.
const NO_JSON: &str = "this command does not print JSON: a run's folder has its results as JSON, in run.json and \
                       metrics.jsonl, which halfwave report --json sums up";

/// Options for the number of processes that other programs have.
const RANK_OPTIONS: [&str; 9] = [
    "--devices",
    "--gpus",
    "--nproc",
    "--nproc-per-node",
    "--nproc_per_node",
    "--num-gpus",
    "--ranks",
    "--world-size",
    "--world_size",
];

/// The error for one of them.
const NO_RANKS: &str =
    "processes are started by MPI, one for each GPU: mpirun -n 4 halfwave train my.toml (see docs/guide/parallel.md)";

/// Prints help, the version, or an error in the arguments.
fn told(message: &clap::Error) -> ExitCode {
    match message.print() {
        Err(error) if !message.use_stderr() && error.kind() != io::ErrorKind::BrokenPipe => {
            code(Err(Error::io("standard output")(error)))
        }
        _ => ExitCode::from(message.exit_code() as u8),
    }
}

/// Returns the exit code of a command, and prints its error.
fn code(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        terminal::print_message("error", &error);
        ExitCode::FAILURE
    })
}
