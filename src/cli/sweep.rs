//! `halfwave sweep`: trains every combination of values for keys of a recipe, or some of them, with
//! several seeds, and compares them in one table.

use super::step::{LengthArgs, StepArgs};
use super::study::{self, Options, StudyArgs};
use super::{DataArgs, load, number};
use halfwave::Result;
use halfwave::experiment::Sweep;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Try combinations of values for keys of a recipe, each with several seeds: grid search, or random
/// search, resulting in a table and plots.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SweepArgs {
    /// A recipe file, the name of a built-in recipe, or - for standard input
    recipe: String,
    /// Try each value of a list: 'train.optimizer.lr=[0.1, 0.03]', 'layers.q*.bits=[1, 2, 3]'; with
    /// --random also a range: train.optimizer.lr=0.001..0.3. A single value applies to all runs. Can
    /// be repeated, for all combinations
    #[arg(long, value_name = "KEY=[VALUE, …]")]
    set: Vec<String>,
    /// Change a key for all runs; a list is one value here: 'data.mean=[0.5, 0.4, 0.4]'; can be
    /// repeated
    #[arg(long, value_name = "KEY=VALUE")]
    fix: Vec<String>,
    /// Random search: draw N different combinations instead of trying all
    #[arg(long, value_name = "N", value_parser = number::whole::<u64>(1..=1000))]
    random: Option<u64>,
    /// Seed of the random search; the same seed draws the same combinations
    #[arg(long, value_name = "N", default_value = "0", requires = "random")]
    sweep_seed: u64,
    /// Number of runs of each combination, with seeds from 0
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::whole::<u64>(1..=1000))]
    seeds: u64,
    #[command(flatten)]
    length: LengthArgs,
    #[command(flatten)]
    step: StepArgs,
    /// Folder for the runs, the table and the plots [default: runs/<recipe>-sweep]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    data: DataArgs,
}

const EXAMPLES: &str = "\
Examples:
  halfwave sweep digits --set 'train.optimizer.lr=[0.1, 0.03]' --set 'layers.q*.bits=[1, 2, 3]' --seeds 3
  halfwave sweep my.toml --set train.optimizer.lr=0.001..0.3 --set 'train.batch=[32, 64]' --random 20
  halfwave sweep my.toml --set 'train.optimizer.kind=[\"sgd\", \"adam\"]' --epochs 5
  halfwave sweep my.toml --seeds 5            one network with five seeds
  halfwave sweep my.toml --set 'train.batch=[32, 64]' --adapter 0 --adapter 1

A value that is itself a list is an element of the list, 'data.mean=[[0.4], [0.5]]', or, if it is the same for \
all runs, given by --fix. Strings in a list need quotes. In a random search, listed values are equally likely; \
a range of whole numbers includes both ends, which are equally likely too; a range of real numbers is uniform, \
on a logarithmic scale if both ends are positive. A larger --random begins with the same combinations.

The folder contains one run folder for each combination and seed, as written by halfwave train, and table.md, \
table.csv, by-epoch.csv, accuracy.png and, where a key has numbers, by-value.png (also as SVG), which are \
updated after each run. Ctrl-C stops the runs after the current step; the same command continues a sweep that \
was interrupted, also with more values or seeds. Exit codes are those of halfwave train.";

pub(super) fn sweep(args: &SweepArgs) -> Result<ExitCode> {
    let (source, name) = load::source(&args.recipe)?;
    let draws = args.random.map(|number| (number, args.sweep_seed));
    let sweep = Sweep { name: &name, set: &args.set, fix: &args.fix, draws, seeds: args.seeds };
    let mut study = sweep.study(&source, |recipe| {
        args.length.apply(recipe);
        args.step.apply(recipe)
    })?;
    study.notes.push(format!("Command: `{}`", study::command()));
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{name}-sweep")));
    study::run(&study, &Options { out: &out, study: &args.study, data: &args.data })
}
