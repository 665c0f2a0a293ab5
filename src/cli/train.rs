//! `halfwave train`: starts or resumes a run.

use super::advice;
use super::dump::Dump;
use super::interrupt;
use super::progress::Progress;
use super::ranks::{self, Group};
use super::set::SetArgs;
use super::step::{self, LengthArgs, StepArgs};
use super::terminal::{self, duration, grouped, percent, print, print_message, print_status};
use super::view::{RunSummary, View};
use super::{AdapterArgs, DataArgs, UPDATE_INTERVAL, device, load, number, plan};
use halfwave::backend::Device;
use halfwave::data::{Dataset, Split};
use halfwave::files::{self, quoted};
use halfwave::recipe::{Recipe, Set};
use halfwave::train::claim::Claim;
use halfwave::train::folder;
use halfwave::train::metrics::Row;
use halfwave::train::run::{self, Run, RunInfo, SavedRun};
use halfwave::train::{Event, Start, StepPacer, Trainer, weights};
use halfwave::{Error, Result};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Train a recipe and write the run's folder.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TrainArgs {
    /// A recipe file, the name of a built-in recipe (digits, digits-float, vgg-small, …), or - for
    /// standard input [default: digits]
    #[arg(conflicts_with = "resume")]
    recipe: Option<String>,
    #[command(flatten)]
    options: TrainOptions,
}

/// The options of `train`, which are also accepted without a command.
#[derive(clap::Args)]
pub(super) struct TrainOptions {
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    length: LengthArgs,
    #[command(flatten)]
    step: StepArgs,
    #[command(flatten)]
    set: SetArgs,
    /// Random seed, which determines the initial weights and the order of the images, instead of
    /// the recipe's
    #[arg(long, value_name = "N", value_parser = number::whole::<u64>(0..=number::MOST))]
    seed: Option<u64>,
    /// Load initial weights from a safetensors file with PyTorch's parameter names, or from a run's
    /// folder
    #[arg(long, value_name = "FILE|RUN")]
    init: Option<PathBuf>,
    /// The run's folder [default: runs/<recipe>-<n>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the run in this folder; --epochs or --steps sets a new total length; --memory may be
    /// changed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["batch", "accumulate", "precision", "seed", "set", "init", "out", "dump"])]
    resume: Option<PathBuf>,
    /// Also write the initial weights, the first step's logits and gradients, every loss, and the
    /// final tensors
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// Print plain lines instead of a full-screen view
    #[arg(long)]
    plain: bool,
}

const EXAMPLES: &str = "\
Examples:
  halfwave train                              the embedded digits
  halfwave train my.toml --out runs/mine      a recipe of your own
  halfwave train vgg-small --set train.optimizer.lr=0.1 --set 'layers.q*.bits=3'
  halfwave train --adapter cpu --epochs 2     without a GPU, for two epochs
  halfwave train vgg-small --data-dir cifar-10-batches-bin
  mpirun -n 4 halfwave train my.toml          on several GPUs, one process each (built with --features mpi)

The folder contains recipe.toml, run.json, metrics.jsonl (also as a TensorBoard event file), curve.png, \
curve.svg, checkpoint.safetensors and, for the epoch with the best validation accuracy, best.safetensors. \
Ctrl-C stops a run after the current step, a second Ctrl-C immediately; --resume continues it with \
bit-identical results in either case. The exit code of a run stopped by a signal is 128 plus the signal \
number: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. Signals ignored at startup, as under \
nohup, stay ignored. On a terminal, a view shows the progress; its table compares the codes of each \
quantiser with those of a Gaussian input. When it closes, the lines of --plain are printed.";

impl From<TrainOptions> for TrainArgs {
    /// Uses the embedded digits recipe.
    fn from(options: TrainOptions) -> Self {
        Self { recipe: None, options }
    }
}

impl TrainOptions {
    /// Overrides values of the recipe with the options.
    fn apply(&self, recipe: &mut Recipe) -> Result<()> {
        self.step.apply(recipe)?;
        self.length.apply(recipe);
        recipe.train.seed = self.seed.unwrap_or(recipe.train.seed);
        Ok(())
    }
}

pub(super) fn train(args: &TrainArgs) -> Result<ExitCode> {
    let train = |group: Option<&Group>| match &args.options.resume {
        Some(dir) => resume(&args.options, dir, group),
        None => begin(&args.options, args.recipe.as_deref(), group),
    };
    let Some(group) = ranks::join()? else { return train(None) };
    match panic::catch_unwind(AssertUnwindSafe(|| train(Some(&group)))) {
        Err(_) => group.abort(),
        // All ranks have found the same, and end by themselves.
        Ok(Err(Error::Diverged(_))) if !group.leads() => Ok(ExitCode::FAILURE),
        Ok(Err(error)) if !matches!(error, Error::Diverged(_)) => group.fail(&error),
        Ok(done) => done,
    }
}

fn begin(args: &TrainOptions, recipe: Option<&str>, group: Option<&Group>) -> Result<ExitCode> {
    if recipe == Some("-") && group.is_some() {
        return Err(Error::Usage(
            "standard input reaches only one of several processes; write the recipe to a file".into(),
        ));
    }
    let (mut recipe, name) = load::recipe(recipe, &args.set)?;
    args.apply(&mut recipe)?;
    if args.dump.is_some() && group.is_some() {
        return Err(Error::Usage("--dump is for a single process; start it without mpirun or srun".into()));
    }
    args.out.as_deref().map_or(Ok(()), run::check_new)?;
    if let Some(dump) = &args.dump {
        files::check_new(dump)?;
        files::check_outputs(&args.dump, args.out.as_deref().map_or_else(Vec::new, run::files_in))?;
    }
    let init = match &args.init {
        Some(path) => {
            let (path, bytes) = weights::read(path)?;
            Some((Start::read(&bytes, &path, &recipe.model)?, path))
        }
        None => None,
    };
    let data = load::dataset(&recipe.data, &args.data)?;
    data.check(&recipe)?;
    if args.dump.is_some() && recipe.train.batch > data.train.len() {
        return Err(Error::Usage("--dump needs a full first batch; use a smaller train.batch".to_string()));
    }
    describe_images(&recipe.data.set, &data);
    print_status(&plan::describe(&recipe, &name)?);
    let adapter = args.adapter.adapter.as_deref();
    let opened = group.map_or_else(|| device::open(adapter), |group| group.open(adapter))?;
    let (mut trainer, device) = load::trainer(recipe, data, opened, group, args.dump.is_some())?;
    if let Some((start, path)) = init {
        trainer.initialise(&start.tensors).map_err(load::in_file(&path))?;
        if !start.unused.is_empty() {
            print_message("note", &format_args!("{}: unused tensors: {}", path.display(), start.unused.join(", ")));
        }
    }
    let dump = match &args.dump {
        Some(path) => Some(pollster::block_on(Dump::begin(path, &mut trainer))?),
        None => None,
    };
    interrupt::watch();
    if group.is_some_and(|group| !group.leads()) {
        return accompany(trainer);
    }
    let claim = match &args.out {
        Some(dir) => Claim::new(dir)?,
        None => Claim::numbered(Path::new("runs"), &name)?,
    };
    let (train, devices) = (describe(&mut trainer), devices(&mut trainer, &device));
    let run = pollster::block_on(Run::create(claim, trainer, &device))?;
    print_status(&format!("training on {devices}, {train}, into {}", run.dir().display()));
    follow(args, run, &device, dump)
}

fn resume(args: &TrainOptions, dir: &Path, group: Option<&Group>) -> Result<ExitCode> {
    let dir = &folder::of_file(dir);
    if !dir.is_dir() {
        let what = if dir.exists() { "not a folder" } else { "no such folder" };
        return Err(Error::Usage(format!("{}: {what}; --resume expects a run's folder", dir.display())));
    }
    let leads = group.is_none_or(Group::leads);
    let claim = if leads { Some(Claim::existing(dir)?) } else { None };
    let mut saved = SavedRun::read_folder(dir)?;
    // Nothing is written before all ranks have read.
    group.map_or(Ok(()), Group::wait)?;
    args.apply(&mut saved.recipe)?;
    let data = load::dataset_of(&saved, &args.data, true)?;
    data.check(&saved.recipe)?;
    let (position, steps) = (saved.checkpoint.position, saved.recipe.train.total_steps(data.train.len()));
    let step = position.step;
    if position.stopped {
        return Err(Error::Usage(format!(
            "{} ended early, because its validation accuracy stopped improving (train.patience); to continue from its weights, start a new run: halfwave train {} --init {}",
            dir.display(),
            quoted(dir.join("recipe.toml")),
            quoted(&saved.path)
        )));
    }
    if args.length.is_given() && step > steps {
        return Err(Error::Usage(format!(
            "{} has done {}, more than the {} asked for; give a larger length, or none",
            dir.display(),
            terminal::steps(step),
            grouped(steps)
        )));
    }
    if position.over(steps) {
        print_status(&format!(
            "{} is complete: {step} of {steps} steps are done; --epochs or --steps extend it",
            dir.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let adapter = args.adapter.adapter.as_deref();
    let opened = group.map_or_else(|| device::reopen(adapter, dir), |group| group.open(adapter))?;
    let (mut trainer, device) = load::trainer(saved.recipe.clone(), data, opened, group, false)?;
    saved.restore(&mut trainer)?;
    interrupt::watch();
    let Some(claim) = claim else { return accompany(trainer) };
    let ranks_before = RunInfo::read(dir).ok().flatten().map_or(0, |info| info.ranks.len());
    let (train, mut devices) = (describe(&mut trainer), devices(&mut trainer, &device));
    if ranks_before.max(1) != trainer.session().rank_devices().len().max(1) {
        let before = if ranks_before == 0 { "one process".into() } else { format!("{ranks_before} ranks") };
        devices += &format!(" instead of {before}");
    }
    let run = pollster::block_on(Run::resume(claim, trainer, &device))?;
    print_status(&format!("resuming {} at step {step} of {steps}, {train}, on {devices}", dir.display()));
    follow(args, run, &device, None)
}

/// How a step is computed.
fn describe(trainer: &mut Trainer) -> String {
    let ranks = trainer.session().rank_devices().len();
    step::describe(&trainer.recipe().train, ranks)
}

/// What trains: this device, or those of all ranks.
fn devices(trainer: &mut Trainer, device: &Device) -> String {
    let session = trainer.session();
    match session.rank_devices() {
        [] => device.to_string(),
        all => ranks::describe(all, session.rank_hosts()),
    }
}

/// The command that resumes a run as it was trained.
fn resumption(args: &TrainOptions, run: &mut Run) -> String {
    let count = run.trainer().session().rank_devices().len();
    let launcher = if count > 0 { format!("mpirun -n {count} ") } else { String::new() };
    let mut command = format!("{launcher}halfwave train --resume {}", quoted(run.dir()));
    if let Some(data) = &args.data.data_dir {
        command += &format!(" --data-dir {}", quoted(data));
    }
    if let Some(adapter) = args.adapter.adapter.as_deref().filter(|_| count > 0) {
        command += &format!(" --adapter {}", quoted(adapter));
    }
    command
}

/// Trains as one of several ranks, of which another one writes the run, until that ends.
fn accompany(mut trainer: Trainer) -> Result<ExitCode> {
    loop {
        match pollster::block_on(trainer.advance(u64::MAX)) {
            Ok(events) if events.is_empty() => return Ok(ExitCode::SUCCESS),
            Err(Error::Stopped) => return Ok(ExitCode::from(interrupt::code())),
            events => drop(events?),
        }
    }
}

/// Executes a run until it ends or is interrupted, and displays its progress.
fn follow(args: &TrainOptions, mut run: Run, device: &Device, dump: Option<Dump>) -> Result<ExitCode> {
    let begun = Instant::now();
    let view = if args.plain { None } else { open_view(&mut run, device) };
    let advanced = pollster::block_on(advance(view, &mut run, dump));
    let dir = run.dir().to_path_buf();
    let test_accuracy = advanced.inspect_err(|_| {
        if !dir.join(run::CHECKPOINT).exists() {
            return print_message("note", &format_args!("{} no longer contains the run", dir.display()));
        }
        print_message("note", &format_args!("{} contains the run up to its last checkpoint", dir.display()));
    })?;
    let (position, total) = (run.trainer().position(), run.trainer().total_steps());
    let (steps, time) = (position.step, duration(begun.elapsed().as_secs_f64()));
    if position.stopped {
        let patience = run.trainer().recipe().train.patience;
        let epochs = if patience == 1 { "1 epoch".to_string() } else { format!("{patience} epochs") };
        print_status(&format!("\nended early: validation accuracy has not improved for {epochs} (train.patience)"));
    }
    if !run.trainer().over() {
        let unevaluated = if position.unevaluated { ", before they were evaluated" } else { "" };
        print_status(&format!(
            "\nstopped after {} of {} steps{unevaluated}, in {time}",
            grouped(steps),
            grouped(total)
        ));
        print_status(&format!("everything up to here is saved in {}; to resume:", dir.display()));
        print_status(&format!("  {}", resumption(args, &mut run)));
        return Ok(ExitCode::from(interrupt::code()));
    }
    let accuracy = test_accuracy.map_or("-".to_string(), percent);
    print_status("");
    print(&format!("test accuracy {accuracy} after {}, in {time}\n", terminal::steps(steps)))?;
    let (best, last) = (run.best(), run.rows().last().map_or(0, Row::epoch));
    let mut network = dir.clone();
    match best {
        Some((epoch, best)) if !dir.join(run::BEST).exists() => print_status(&format!(
            "validation accuracy was highest after epoch {epoch}: {}; its {} no longer exists",
            percent(best),
            run::BEST
        )),
        Some((epoch, best)) if epoch < last => {
            network = dir.join(run::BEST);
            print_status(&format!(
                "validation accuracy was highest after epoch {epoch}: {}, in {}; the test accuracy is that of the last epoch, {last}",
                percent(best),
                network.display()
            ));
        }
        Some((_, best)) => {
            print_status(&format!("validation accuracy was highest after this last epoch: {}", percent(best)))
        }
        None => print_status(
            "this is the last epoch's accuracy: no images were held out to choose a best epoch (--set data.validation=auto holds out a tenth)",
        ),
    }
    print_status(&format!("checkpoint, metrics and curve.png are in {}; next:", dir.display()));
    print_status(&format!("  halfwave eval {}", quoted(&network)));
    print_status(&format!("  halfwave predict {} IMAGE.png", quoted(&network)));
    Ok(ExitCode::SUCCESS)
}

/// Prints the numbers of images, except of folders, which were described when they were read; and a note if there
/// are so few validation images that their accuracy says little.
fn describe_images(set: &Set, Dataset { name, classes, train, validation, test, .. }: &Dataset) {
    let count = |split: &Split| grouped(split.len() as u64);
    let held_out = validation.as_ref().map_or(String::new(), |split| format!(", {} for validation", count(split)));
    if !matches!(set, Set::Folder(_)) {
        print_status(&format!("{name}: {} images to train on{held_out}, {} to test on", count(train), count(test)));
    }
    if let Some(few) = validation.as_ref().map(Split::len).filter(|len| *len < LEAST_VALIDATION.max(*classes)) {
        let images = if few == 1 { "image" } else { "images" };
        print_message(
            "note",
            &format_args!(
                "the accuracy on {few} validation {images} says little about which epoch is the best; hold out more (data.validation)"
            ),
        );
    }
}

/// With fewer validation images, or fewer than classes, there is a note.
const LEAST_VALIDATION: usize = 10;

/// Opens a view of the run, if there is a terminal for it.
fn open_view(run: &mut Run, device: &Device) -> Option<View> {
    let folder = run.dir().display().to_string();
    let trainer = run.trainer();
    let (steps, epoch_steps, position) = (trainer.total_steps(), trainer.epoch_steps(), trainer.position());
    let ranks = trainer.session().rank_devices().to_vec();
    let recipe = trainer.recipe();
    let about = RunSummary {
        folder,
        device: device.to_string(),
        steps,
        epochs: steps.div_ceil(epoch_steps.max(1)),
        epoch_steps,
        batch: recipe.train.batch,
        layers: recipe.model.layers.iter().map(|layer| layer.name.clone()).collect(),
        ranks,
    };
    View::open(about, position, run.rows())
}

/// Executes the run until it ends or is stopped, and closes the view. Returns the last measured
/// test accuracy.
async fn advance(view: Option<View>, run: &mut Run, mut dump: Option<Dump>) -> Result<Option<f32>> {
    let rows = run.rows().to_vec();
    let mut progress = Progress::new(run.trainer(), &rows, view);
    let mut pacer = StepPacer::new(UPDATE_INTERVAL);
    loop {
        let asked = Instant::now();
        let events = match run.advance(pacer.steps()).await {
            Err(Error::Stopped) => {
                run.pause().await?;
                return Ok(progress.finish());
            }
            events => events?,
        };
        if events.is_empty() {
            break;
        }
        if let Some(dump) = &mut dump
            && run.trainer().position().step == 1
        {
            dump.first_step(run.trainer().session()).await?;
        }
        progress.show(&events, run.trainer().position());
        let loss = last_loss(run.rows());
        for event in &events {
            if let Event::Row(Row::Epoch(row)) = event
                && run.trainer().position().epoch == 1
                && let Some(lines) = advice::at_chance(row, loss, run.trainer().recipe())
            {
                print_message("note", &lines.join("\n"));
            }
        }
        pacer.took(asked.elapsed());
    }
    if let Some(dump) = dump {
        let rows = run.rows().to_vec();
        dump.finish(run.trainer().session(), &rows).await?;
    }
    Ok(progress.finish())
}

/// Returns the loss of the last step.
fn last_loss(rows: &[Row]) -> f32 {
    let loss = |row: &Row| if let Row::Step(row) = row { Some(row.loss) } else { None };
    rows.iter().rev().find_map(loss).unwrap_or_default()
}
