//! Executes the runs of a study, at the same time on several adapters if there are, and writes its
//! table and plots.
//!
//! **Invariant:** every error in the command line, the recipes, the data and the choice of devices
//! is reported before any work is done, and nothing is written then.

mod board;
mod progress;
mod work;

use super::terminal::{duration, print, print_message, print_status, width};
use super::{DataArgs, device, interrupt, load};
use board::Board;
use clap::builder::NonEmptyStringValueParser;
use halfwave::data::Dataset;
use halfwave::experiment::{State, Study, Table};
use halfwave::files::{self, quoted};
use halfwave::recipe::Data;
use halfwave::train::claim::Claim;
use halfwave::version::Origin;
use halfwave::{Error, Result, plots};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Options of every study.
#[derive(clap::Args)]
pub(super) struct StudyArgs {
    /// Adapter to use: an index or part of a name from `halfwave devices`, or "cpu" for the CPU
    /// backend; can be repeated, for runs at the same time [default: all GPUs like the first one, or
    /// else cpu]
    #[arg(long, value_name = "NAME|INDEX|cpu", value_parser = NonEmptyStringValueParser::new())]
    adapter: Vec<String>,
    /// Print progress lines instead of rewriting one line
    #[arg(long)]
    plain: bool,
}

/// Where and how a study is executed.
pub(super) struct Options<'a> {
    pub(super) out: &'a Path,
    pub(super) study: &'a StudyArgs,
    pub(super) data: &'a DataArgs,
}

/// One run of a study.
struct Planned {
    arm: usize,
    seed: u64,
    dir: PathBuf,
    images: Arc<Dataset>,
}

impl Planned {
    /// Returns the number of remaining steps.
    fn steps_left(&self, study: &Study, state: &State) -> u64 {
        let total = study.arms[self.arm].recipe.train.total_steps(self.images.train.len());
        match state {
            State::New => total,
            State::Begun(saved) => total.saturating_sub(saved.checkpoint.position.step),
            State::Over(_) => 0,
        }
    }
}

/// Executes all runs that are not finished.
pub(super) fn run(study: &Study, options: &Options<'_>) -> Result<ExitCode> {
    let out = options.out;
    if out.exists() && !out.is_dir() {
        return Err(Error::Usage(format!("{} is not a folder; choose another one (--out)", out.display())));
    }
    // If the folder exists, it is locked before it is inspected. A new folder is created only after
    // all checks, so that an error leaves nothing behind.
    let claim = out.is_dir().then(|| Claim::existing(out)).transpose()?;
    let (runs, states) = plan(study, options)?;
    let devices = device::choose_all(&options.study.adapter)?;
    let board = Board::new(study, out, &runs, states, options.study.plain, devices.len());
    let (all, over) = (runs.len(), board.finished());
    let done = match over {
        0 => String::new(),
        over if all == 1 && over == 1 => "; it is already finished".to_string(),
        over => format!("; {over} of them are already finished"),
    };
    print_status(&format!("{}: {}", study.name, study.about));
    print_status(&study.setting);
    let (noun, are) = if all == 1 { ("run", "is") } else { ("runs", "are") };
    print_status(&format!("{} × {} {noun} into {}{done}", study.arms.len(), study.seeds, out.display()));
    interrupt::watch();
    let _claim = claim.map_or_else(|| Claim::folder(out), Ok)?;
    let begun = Instant::now();
    if over < all {
        let names: Vec<_> = devices.iter().map(|choice| choice.device().to_string()).collect();
        print_status(&format!("on {}", names.join(" and ")));
        work::on_all(devices, &board);
    }
    let board = board.into_inner();
    let finished = board.finished();
    if let Some(error) = board.failed {
        let kept = format!("{finished} of {all} {noun} {are} finished and kept in {}", out.display());
        print_message("note", &format_args!("{kept}; run the same command to continue"));
        return Err(error);
    }
    if finished < all {
        let saved = format!("everything up to here is saved in {}", out.display());
        print_status(&format!("\nstopped after {}; {saved}; to continue:", time(begun)));
        print_status(&format!("  {}", command()));
        return Ok(ExitCode::from(interrupt::code()));
    }
    let table = Table::new(study, &board.outcomes);
    if over == all {
        // The table may have been deleted since.
        write(&table, study, out)?;
    }
    print_status("");
    print(&table.text(width()))?;
    print_status("");
    print_status(&match over {
        0 => format!("{all} {noun} in {}", time(begun)),
        1 if all == 1 => "the run was already finished".to_string(),
        over if over == all => format!("all {all} runs were already finished"),
        _ => format!("{all} runs, {over} of them finished before, the others in {}", time(begun)),
    });
    let by_value = if table.by_value().is_some() { ", by-value.png" } else { "" };
    let holds = format!("contains table.md, table.csv, by-epoch.csv{by_value} and accuracy.png; to compare the runs:");
    print_status(&format!("{} {holds}", out.display()));
    print_status(&format!("  halfwave report {}", quoted(out)));
    Ok(ExitCode::SUCCESS)
}

fn time(begun: Instant) -> String {
    duration(begun.elapsed().as_secs_f64())
}

/// Returns this command, as it can be typed again.
pub(super) fn command() -> String {
    Origin::here().command.iter().map(|word| as_typed(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word of a command line, except the dashes of an option.
fn as_typed(word: &str) -> String {
    match word.trim_start_matches('-') {
        "" => word.to_string(),
        rest => format!("{}{}", &word[..word.len() - rest.len()], quoted(rest)),
    }
}

/// Returns all runs, ordered by seed, so that every arm has a result early, with their states.
fn plan(study: &Study, options: &Options<'_>) -> Result<(Vec<Planned>, Vec<State>)> {
    let mut loaded: Vec<(Data, Arc<Dataset>)> = Vec::new();
    let mut sets = Vec::new();
    for arm in &study.arms {
        let data = &arm.recipe.data;
        let images = match loaded.iter().find(|(known, _)| same_images(known, data)) {
            Some((_, images)) => images.clone(),
            None => {
                let images = Arc::new(load::dataset(data, options.data)?);
                loaded.push((data.clone(), images.clone()));
                images
            }
        };
        images.check(&arm.recipe)?;
        sets.push(images);
    }
    let (mut runs, mut states) = (Vec::new(), Vec::new());
    for seed in 0..study.seeds {
        for (arm, images) in sets.iter().enumerate() {
            let dir = options.out.join(study.run_name(arm, seed));
            states.push(State::of(&dir, &study.recipe(arm, seed), images.train.len())?);
            runs.push(Planned { arm, seed, dir, images: images.clone() });
        }
    }
    Ok((runs, states))
}

/// Returns whether two recipes use the same images, regardless of preprocessing.
fn same_images(a: &Data, b: &Data) -> bool {
    (&a.set, a.limit, a.test_limit, a.validation) == (&b.set, b.limit, b.test_limit, b.validation)
}

/// Writes the table and the plots with all results so far.
fn write(table: &Table<'_>, study: &Study, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    files::replace(&out.join("table.md"), table.markdown().as_bytes())?;
    files::replace(&out.join("table.csv"), table.csv().as_bytes())?;
    files::replace(&out.join("by-epoch.csv"), table.curves_csv().as_bytes())?;
    let (curves, all) = table.drawn();
    let title = match all {
        true => study.name.clone(),
        false => format!("{}, best {} of {}", study.name, curves.len(), study.arms.len()),
    };
    plots::accuracies(&title, table.drawn_accuracy(), &curves, out)?;
    match table.by_value() {
        Some(by_value) => plots::by_value(&study.name, table.drawn_accuracy(), &by_value.key, &by_value.lines, out),
        // One of an earlier command, with more values, would not agree with the table.
        None => plots::remove_by_value(out),
    }
}
