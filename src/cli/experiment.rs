//! `halfwave experiment`: trains several networks with several seeds each, and compares them in one
//! table.

use super::study::{self, Options, StudyArgs};
use super::terminal::print;
use super::{DataArgs, number};
use halfwave::Result;
use halfwave::experiment::{self, EXPERIMENTS, PRESETS};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare networks that differ in one respect: the experiments of the HWGQ paper, each resulting
/// in a table and a plot.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExperimentArgs {
    /// Which experiment: activations, low-bit, surrogates, bit-width, methods or learning-curve;
    /// without a name, all are listed, and the presets
    name: Option<String>,
    /// Size of the experiment: smoke (the embedded digits), small (part of CIFAR-10, without a GPU)
    /// or paper (as published)
    #[arg(long, value_name = "smoke|small|paper", default_value = "smoke")]
    preset: String,
    /// Number of runs of each network, with seeds from 0, instead of the preset's number
    #[arg(long, value_name = "N", value_parser = number::whole::<u64>(1..=1000))]
    seeds: Option<u64>,
    /// Folder for the runs, the table and the plot [default: runs/<name>-<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    data: DataArgs,
}

const EXAMPLES: &str = "\
Examples:
  halfwave experiment                         lists the experiments and presets
  halfwave experiment surrogates              on the embedded digits, in seconds
  halfwave experiment methods --preset small --data cifar-10-batches-bin
  halfwave experiment low-bit --preset paper --seeds 1

The folder contains one run folder for each network and seed, as written by halfwave train, and table.md, \
table.csv, by-epoch.csv, accuracy.svg and accuracy.png, which are updated after each run. Ctrl-C stops the runs \
after the current step; the same command continues an experiment that was interrupted. Exit codes are those \
of halfwave train.";

pub(super) fn experiment(args: &ExperimentArgs) -> Result<ExitCode> {
    let Some(name) = &args.name else { return list().map(|()| ExitCode::SUCCESS) };
    let (experiment, preset) = (experiment::find(name)?, experiment::preset(&args.preset)?);
    let study = experiment.study(preset, args.seeds.unwrap_or(preset.seeds))?;
    let default = || Path::new("runs").join(format!("{}-{}", experiment.name, preset.name));
    let out = args.out.clone().unwrap_or_else(default);
    study::run(&study, &Options { out: &out, study: &args.study, data: &args.data })
}

fn list() -> Result<()> {
    let line = |name: &str, about: &str| format!("  {name:<16}{about}\n");
    let mut text = "experiments:\n".to_string();
    EXPERIMENTS.iter().for_each(|experiment| text += &line(experiment.name, experiment.about));
    text += "presets (--preset):\n";
    PRESETS.iter().for_each(|preset| text += &line(preset.name, preset.about));
    print(&text)
}
