//! `halfwave experiment`: trains several networks with several seeds each, and compares them in one
//! table.

mod progress;

use super::terminal::{duration, print, print_message, print_status, width};
use super::{AdapterArgs, DataArgs, UPDATE_INTERVAL, device, interrupt, load};
use halfwave::backend::Device;
use halfwave::data::Dataset;
use halfwave::experiment::{self, EXPERIMENTS, Experiment, Outcome, PRESETS, Preset, State, Table};
use halfwave::files::{self, quoted};
use halfwave::recipe::{Data, Recipe};
use halfwave::train::claim::Claim;
use halfwave::train::run::Run;
use halfwave::train::{StepPacer, Trainer};
use halfwave::{Error, Result, plots};
use progress::Progress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// Folder for the runs, the table and the plot [default: runs/<name>-<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print progress lines instead of rewriting one line
    #[arg(long)]
    plain: bool,
}

const EXAMPLES: &str = "\
Examples:
  halfwave experiment                         lists the experiments and presets
  halfwave experiment surrogates              on the embedded digits, in seconds
  halfwave experiment methods --preset small --data cifar-10-batches-bin
  halfwave experiment low-bit --preset paper --seeds 1

The folder contains one run folder for each network and seed, as written by halfwave train, and table.md, \
table.csv, by-epoch.csv, accuracy.svg and accuracy.png, which are updated after each run. Ctrl-C stops a run \
after the current step; the same command continues an experiment that was interrupted. Exit codes are those \
of halfwave train.";

pub(super) fn experiment(args: &ExperimentArgs) -> Result<ExitCode> {
    match &args.name {
        Some(name) => run_experiment(args, experiment::find(name)?, experiment::preset(&args.preset)?),
        None => list().map(|()| ExitCode::SUCCESS),
    }
}

fn list() -> Result<()> {
    let line = |name: &str, about: &str| format!("  {name:<16}{about}\n");
    let mut text = "experiments:\n".to_string();
    EXPERIMENTS.iter().for_each(|experiment| text += &line(experiment.name, experiment.about));
    text += "presets (--preset):\n";
    PRESETS.iter().for_each(|preset| text += &line(preset.name, preset.about));
    print(&text)
}

/// One run of an experiment.
struct Planned {
    arm: usize,
    seed: u64,
    dir: PathBuf,
    recipe: Recipe,
    images: Arc<Dataset>,
    /// `None` once the run is finished.
    state: Option<State>,
}

impl Planned {
    /// Returns the number of remaining steps.
    fn steps_left(&self) -> u64 {
        let total = self.recipe.train.total_steps(self.images.train.len());
        match &self.state {
            Some(State::New) => total,
            Some(State::Begun(saved)) => total.saturating_sub(saved.checkpoint.position.step),
            Some(State::Over(_)) | None => 0,
        }
    }
}

fn run_experiment(args: &ExperimentArgs, experiment: &Experiment, preset: &Preset) -> Result<ExitCode> {
    let out =
        args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-{}", experiment.name, preset.name)));
    if out.exists() && !out.is_dir() {
        return Err(Error::Usage(format!("{} is not a folder; choose another one (--out)", out.display())));
    }
    let seeds = args.seeds.unwrap_or(preset.seeds);
    // If the folder exists, it is locked before it is inspected. A new folder is created only after
    // all checks, so that an error leaves nothing behind.
    let claim = out.is_dir().then(|| Claim::existing(&out)).transpose()?;
    // Report every error before any work is done.
    let mut runs = plan(args, experiment, preset, seeds, &out)?;
    let mut outcomes = vec![vec![None; seeds as usize]; experiment.arms.len()];
    for run in &mut runs {
        if let Some(State::Over(outcome)) = run.state.take_if(|state| matches!(state, State::Over(_))) {
            outcomes[run.arm][run.seed as usize] = Some(outcome);
        }
    }
    let (all, over) = (runs.len(), runs.iter().filter(|run| run.state.is_none()).count());
    let done = if over > 0 { format!("; {over} of them are already finished") } else { String::new() };
    print_status(&format!("{}: {}", experiment.name, experiment.about));
    print_status(&format!("preset {}: {}", preset.name, preset.about));
    print_status(&format!("{} × {seeds} runs into {}{done}", experiment.arms.len(), out.display()));
    interrupt::watch();
    let _claim = claim.map_or_else(|| Claim::folder(&out), Ok)?;
    let (begun, mut known) = (Instant::now(), None);
    let mut progress = Progress::new(all, runs.iter().map(Planned::steps_left).sum(), args.plain);
    for at in 0..all {
        let run = &mut runs[at];
        let Some(state) = run.state.take() else { continue };
        let name = format!("{}, seed {}", experiment.arms[run.arm].name, run.seed);
        progress.begin(at, &name);
        let asked = args.adapter.adapter.as_deref();
        let led = match pollster::block_on(execute_run(run, state, asked, &mut known, &mut progress)) {
            Err(Error::Stopped) => Ok(None),
            led => led.map(Some),
        };
        let led = led.inspect_err(|_| {
            progress.clear();
            print_message("note", &"completed work is kept: run the same command to continue");
        })?;
        let Some(outcome) = led else {
            progress.clear();
            print_status(&format!(
                "\nstopped after {}; everything up to here is saved in {}; to continue:",
                time(begun),
                out.display()
            ));
            print_status(&format!("  {}", again(args, experiment)));
            return Ok(ExitCode::from(interrupt::code()));
        };
        progress.over(&outcome);
        outcomes[run.arm][run.seed as usize] = Some(outcome);
        write(&Table::new(experiment, preset, &outcomes), experiment, &out)?;
    }
    if over == all {
        // The table may have been deleted since.
        write(&Table::new(experiment, preset, &outcomes), experiment, &out)?;
    }
    print_status(&format!("\n{}", Table::new(experiment, preset, &outcomes).text(width())));
    print_status(&match over {
        0 => format!("{all} runs in {}", time(begun)),
        over if over == all => format!("all {all} runs were already finished"),
        _ => format!("{all} runs, {over} of them finished before, the others in {}", time(begun)),
    });
    let holds = "contains table.md, table.csv, by-epoch.csv and accuracy.png; to compare the runs:";
    print_status(&format!("{} {holds}", out.display()));
    print_status(&format!("  halfwave report {}/*-seed*", quoted(&out)));
    Ok(ExitCode::SUCCESS)
}

fn time(begun: Instant) -> String {
    duration(begun.elapsed().as_secs_f64())
}

/// Returns all runs, ordered by seed, so that every arm has a result early.
fn plan(
    args: &ExperimentArgs,
    experiment: &Experiment,
    preset: &Preset,
    seeds: u64,
    out: &Path,
) -> Result<Vec<Planned>> {
    let recipes = (0..experiment.arms.len()).map(|arm| experiment.recipe(arm, preset)).collect::<Result<Vec<_>>>()?;
    let mut loaded: Vec<(Data, Arc<Dataset>)> = Vec::new();
    let mut runs = Vec::new();
    for seed in 0..seeds {
        for (arm, recipe) in recipes.iter().enumerate() {
            let mut recipe = recipe.clone();
            recipe.train.seed = seed;
            let images = match loaded.iter().find(|(data, _)| same_images(data, &recipe.data)) {
                Some((_, images)) => images.clone(),
                None => {
                    let images = Arc::new(load::dataset(&recipe.data, &args.data)?);
                    loaded.push((recipe.data.clone(), images.clone()));
                    images
                }
            };
            images.check(&recipe)?;
            let dir = out.join(experiment.run_name(arm, seed));
            let state = Some(State::of(&dir, &recipe, images.train.len())?);
            runs.push(Planned { arm, seed, dir, recipe, images, state });
        }
    }
    Ok(runs)
}

/// Returns whether two recipes use the same images, regardless of preprocessing.
fn same_images(a: &Data, b: &Data) -> bool {
    (&a.set, a.limit, a.test_limit, a.validation) == (&b.set, b.limit, b.test_limit, b.validation)
}

/// Executes a run to its end. If a stop is requested, its state is saved and `Error::Stopped`
/// returned.
async fn execute_run(
    planned: &Planned,
    state: State,
    asked: Option<&str>,
    known: &mut Option<Device>,
    progress: &mut Progress,
) -> Result<Outcome> {
    let claim = match &state {
        State::Begun(_) => Claim::existing(&planned.dir)?,
        State::New | State::Over(_) => Claim::new(&planned.dir)?,
    };
    // The choice of device is reported only once.
    let chosen = known.as_ref().map(device::wanted);
    let wanted = asked.or(chosen.as_deref());
    let device::Opened { backend, device } = match &state {
        State::Begun(_) => device::reopen(wanted, &planned.dir)?,
        State::New | State::Over(_) => device::open(wanted)?,
    };
    if known.is_none() {
        progress.clear();
        print_status(&format!("on {device}"));
        *known = Some(device.clone());
    }
    let mut trainer = Trainer::new(planned.recipe.clone(), planned.images.clone(), backend, false).await?;
    let mut run = match state {
        State::Begun(saved) => {
            saved.restore(&mut trainer)?;
            Run::resume(claim, trainer, &device).await?
        }
        State::New | State::Over(_) => Run::create(claim, trainer, &device).await?,
    };
    let mut pacer = StepPacer::new(UPDATE_INTERVAL);
    loop {
        let asked = Instant::now();
        let before = run.trainer().position().step;
        match run.advance(pacer.steps()).await {
            Ok(events) if events.is_empty() => break,
            Ok(_) => {}
            Err(Error::Stopped) => {
                run.pause().await?;
                return Err(Error::Stopped);
            }
            // Divergence is a result as well.
            Err(error) if Outcome::new(run.rows(), &device.adapter).diverged.is_some() => {
                progress.clear();
                print_message("note", &format_args!("{}: {error}", planned.dir.display()));
                break;
            }
            Err(error) => return Err(error),
        }
        progress.steps(&mut run, before);
        pacer.took(asked.elapsed());
    }
    Ok(Outcome::new(run.rows(), &device.adapter))
}

/// Returns the command that continues the experiment.
fn again(args: &ExperimentArgs, experiment: &Experiment) -> String {
    let mut command = format!("halfwave experiment {} --preset {}", experiment.name, args.preset);
    let options = [
        args.seeds.map(|seeds| format!("--seeds {seeds}")),
        args.out.as_deref().map(|out| format!("--out {}", quoted(out))),
        args.data.data_dir.as_deref().map(|dir| format!("--data {}", quoted(dir))),
        args.adapter.adapter.as_deref().map(|adapter| format!("--adapter {}", quoted(adapter))),
        args.plain.then(|| "--plain".to_string()),
    ];
    options.into_iter().flatten().for_each(|option| command += &format!(" {option}"));
    command
}

/// Writes the table and the plot with all results so far.
fn write(table: &Table<'_>, experiment: &Experiment, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    files::replace(&out.join("table.md"), table.markdown().as_bytes())?;
    files::replace(&out.join("table.csv"), table.csv().as_bytes())?;
    files::replace(&out.join("by-epoch.csv"), table.curves_csv().as_bytes())?;
    let names = experiment.arms.iter().map(|arm| arm.name.to_string());
    plots::accuracies(experiment.name, &names.zip(table.curves()).collect::<Vec<_>>(), out)
}
