//! `halfwave experiment`: several networks, several seeds each, one table.

mod progress;

use super::terminal::{complain, duration, print, say};
use super::{AdapterArgs, DataArgs, device, interrupt, load};
use halfwave::backend::Device;
use halfwave::data::Dataset;
use halfwave::experiment::{self, EXPERIMENTS, Experiment, Outcome, PRESETS, Preset, State, Table};
use halfwave::files::{self, quoted};
use halfwave::recipe::{Data, Recipe};
use halfwave::train::claim::Claim;
use halfwave::train::run::Run;
use halfwave::train::{Glance, Trainer};
use halfwave::{Error, Result, report};
use progress::Progress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Compare networks that differ in one thing: the experiments of the HWGQ paper, each ending in a table and a plot.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExperimentArgs {
    /// Which one: activations, low-bit, surrogates, bit-width, methods, learning-curve; without one, they are listed
    name: Option<String>,
    /// List the experiments and the presets
    #[arg(long)]
    list: bool,
    /// How large: smoke (the embedded digits), small (part of CIFAR-10, without a GPU) or paper (as published)
    #[arg(long, value_name = "smoke|small|paper", default_value = "smoke")]
    preset: String,
    /// Runs of each network, with seeds from 0 on, instead of the preset's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// The folder of the runs, the table and the plot [default: runs/<name>-<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
    /// A line now and then instead of one that is rewritten
    #[arg(long)]
    plain: bool,
}

const EXAMPLES: &str = "\
Examples:
  halfwave experiment                         the experiments and presets
  halfwave experiment surrogates              on the embedded digits, in moments
  halfwave experiment methods --preset small --data cifar-10-batches-bin
  halfwave experiment low-bit --preset paper --seeds 1

The folder gets a run's folder for each network and seed, as halfwave train makes it, and table.md, table.csv,
by-epoch.csv, accuracy.svg and accuracy.png, which are there after the first run and grow with each. Ctrl-C
ends a run after the step under way; however it ended, the same command goes on. Exit codes are those of
halfwave train.";

/// How long the device may work before the line is rewritten.
const GLANCE: Duration = Duration::from_millis(150);

pub(super) fn experiment(args: &ExperimentArgs) -> Result<ExitCode> {
    match &args.name {
        Some(name) if !args.list => conduct(args, experiment::find(name)?, experiment::preset(&args.preset)?),
        _ => list().map(|()| ExitCode::SUCCESS),
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
    /// None once it is over.
    state: Option<State>,
}

impl Planned {
    /// Steps that are still to be done.
    fn steps_left(&self) -> u64 {
        let total = self.recipe.train.total_steps(self.images.train.len());
        match &self.state {
            Some(State::New) => total,
            Some(State::Begun(saved)) => total.saturating_sub(saved.checkpoint.position.step),
            Some(State::Over(_)) | None => 0,
        }
    }
}

fn conduct(args: &ExperimentArgs, experiment: &Experiment, preset: &Preset) -> Result<ExitCode> {
    let out =
        args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-{}", experiment.name, preset.name)));
    if out.exists() && !out.is_dir() {
        return Err(Error::Usage(format!("{} is not a folder; choose another one (--out)", out.display())));
    }
    let seeds = args.seeds.unwrap_or(preset.seeds);
    // In a folder that exists, nothing may change after this has looked; a new one is left behind by no mistake.
    let claim = out.is_dir().then(|| Claim::existing(&out)).transpose()?;
    // Every mistake before any work.
    let mut runs = plan(args, experiment, preset, seeds, &out)?;
    let mut outcomes = vec![vec![None; seeds as usize]; experiment.arms.len()];
    for run in &mut runs {
        if let Some(State::Over(outcome)) = run.state.take_if(|state| matches!(state, State::Over(_))) {
            outcomes[run.arm][run.seed as usize] = Some(outcome);
        }
    }
    let (all, over) = (runs.len(), runs.iter().filter(|run| run.state.is_none()).count());
    let done = if over > 0 { format!("; {over} of them are over already") } else { String::new() };
    say(&format!("{}: {}", experiment.name, experiment.about));
    say(&format!("preset {}: {}", preset.name, preset.about));
    say(&format!("{} × {seeds} runs into {}{done}", experiment.arms.len(), out.display()));
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
        let led = match pollster::block_on(lead(run, state, asked, &mut known, &mut progress)) {
            Err(Error::Stopped) => Ok(None),
            led => led.map(Some),
        };
        let led = led.inspect_err(|_| {
            progress.clear();
            complain("note", &"what was done is kept: the same command goes on");
        })?;
        let Some(outcome) = led else {
            progress.clear();
            say(&format!("\nstopped, in {}; {} holds everything up to here; to go on:", time(begun), out.display()));
            say(&format!("  {}", again(args, experiment)));
            return Ok(ExitCode::from(interrupt::code()));
        };
        progress.over(&outcome);
        outcomes[run.arm][run.seed as usize] = Some(outcome);
        write(&Table::new(experiment, preset, &outcomes), experiment, &out)?;
    }
    if over == all {
        // Somebody may have asked again because they are gone.
        write(&Table::new(experiment, preset, &outcomes), experiment, &out)?;
    }
    say(&format!("\n{}", Table::new(experiment, preset, &outcomes).text()));
    say(&match over {
        0 => format!("{all} runs in {}", time(begun)),
        over if over == all => format!("all {all} runs were over already"),
        _ => format!("{all} runs, {over} of them from before, the others in {}", time(begun)),
    });
    let holds = "holds table.md, table.csv, by-epoch.csv and accuracy.png; to see the runs over each other:";
    say(&format!("{} {holds}", out.display()));
    say(&format!("  halfwave report {}/*-seed*", quoted(&out)));
    Ok(ExitCode::SUCCESS)
}

fn time(begun: Instant) -> String {
    duration(begun.elapsed().as_secs_f64())
}

/// All runs, those of one seed after those of another, so that soon there is a number for each arm.
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

/// Whether two recipes learn from the same images, however these become inputs.
fn same_images(a: &Data, b: &Data) -> bool {
    (&a.set, a.limit, a.test_limit, a.validation) == (&b.set, b.limit, b.test_limit, b.validation)
}

/// Leads a run to its end. When somebody asks to stop before, what is finished is saved.
async fn lead(
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
    // What is chosen is said once.
    let chosen = known.as_ref().map(device::wanted);
    let wanted = asked.or(chosen.as_deref());
    let device::Opened { backend, device } = match &state {
        State::Begun(_) => device::reopen(wanted, &planned.dir)?,
        State::New | State::Over(_) => device::open(wanted)?,
    };
    if known.is_none() {
        progress.clear();
        say(&format!("on {device}"));
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
    let mut glance = Glance::new(GLANCE);
    loop {
        let asked = Instant::now();
        let before = run.trainer().position().step;
        match run.advance(glance.steps()).await {
            Ok(events) if events.is_empty() => break,
            Ok(_) => {}
            Err(Error::Stopped) => {
                run.pause().await?;
                return Err(Error::Stopped);
            }
            // A network that cannot be trained is a result, too.
            Err(error) if Outcome::new(run.rows(), &device.adapter).diverged.is_some() => {
                progress.clear();
                complain("note", &format_args!("{}: {error}", planned.dir.display()));
                break;
            }
            Err(error) => return Err(error),
        }
        progress.steps(&mut run, before);
        glance.took(asked.elapsed());
    }
    Ok(Outcome::new(run.rows(), &device.adapter))
}

/// The command that goes on.
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

/// Writes what is known by now.
fn write(table: &Table<'_>, experiment: &Experiment, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    files::replace(&out.join("table.md"), table.markdown().as_bytes())?;
    files::replace(&out.join("table.csv"), table.csv().as_bytes())?;
    files::replace(&out.join("by-epoch.csv"), table.curves_csv().as_bytes())?;
    let names = experiment.arms.iter().map(|arm| arm.name.to_string());
    report::accuracies(experiment.name, &names.zip(table.curves()).collect::<Vec<_>>(), out)
}
