//! `halfwave report`: compares runs on one HTML page.

use super::load::{self, Network};
use super::output::JsonArgs;
use super::terminal::{print_message, print_status};
use super::{AdapterArgs, DataArgs, device};
use halfwave::report::{Report, RunSummary, Shown, Tested, check_replaced};
use halfwave::train::folder::{self, Folder};
use halfwave::train::run::SavedRun;
use halfwave::{Error, Result, files};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Compare runs on one HTML page: curves, recipes, codes, confusion matrices, filters.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// Run folders, or folders that contain runs and sweeps
    #[arg(required = true, value_name = "RUN|DIR")]
    runs: Vec<PathBuf>,
    /// Output file [default: report.html in the folder that is named; if several are, in the one
    /// that contains the first]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write each plot as SVG and PNG to this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    report: &'a Path,
    /// Files written to the folder of `--plots`.
    plots: Option<usize>,
    runs: &'a [RunSummary],
}

const EXAMPLES: &str = "\
Examples:
  halfwave report runs/digits-1               report on one run, in runs/digits-1/report.html
  halfwave report runs                        all runs and sweeps in it, in runs/report.html
  halfwave report runs/a runs/b --plots plots also writes the plots as files

The page is a self-contained HTML file. Each checkpoint is evaluated on its test images, as by halfwave \
eval; if they are not available, the page says so and shows the rest.";

pub(super) fn report(args: &ReportArgs) -> Result<()> {
    args.json.begin();
    // Report every error before any work is done.
    let given: Vec<_> = args.runs.iter().map(|path| folder::of_file(path)).collect();
    let mut runs = Vec::new();
    let several = given.len() > 1;
    for given in &given {
        // What `runs/*` names beside runs, such as the report that was written there before.
        let other = match folder::runs_in(given) {
            Ok(_) if given.is_file() => Some(format!("{} is not a run's folder", given.display())),
            Err(Error::Usage(message)) => Some(message),
            _ => None,
        };
        if let Some(other) = other.filter(|_| several) {
            print_message("note", &format_args!("left out: {other}"));
            continue;
        }
        for dir in folder::runs_in(given)? {
            match Folder::read(&dir).and_then(|folder| Ok((folder, SavedRun::read(&dir)?))) {
                Ok(run) => runs.push(run),
                // One damaged run among others does not prevent the report on them.
                Err(error) if dir != *given => print_message("warning", &format_args!("left out: {error}")),
                Err(error) => return Err(error),
            }
        }
    }
    if runs.is_empty() {
        return Err(Error::Usage("there is no run that can be read; name folders written by halfwave train".into()));
    }
    let beside = match &given[..] {
        [one] => one.clone(),
        several => several[0].parent().map_or_else(PathBuf::new, Path::to_path_buf),
    };
    let out = args.out.clone().unwrap_or_else(|| beside.join("report.html"));
    check_replaced(&out)?;
    files::check(&out)?;
    if let Some(dir) = args.plots.as_ref().filter(|dir| dir.exists() && !dir.is_dir()) {
        return Err(Error::Usage(format!("{} is not a folder; choose another one (--plots)", dir.display())));
    }
    // The data folder applies only to sets that are read from files.
    let embedded = |saved: &SavedRun| saved.recipe.data.set.clone().location().is_none();
    let all_embedded = runs.iter().all(|(_, saved)| embedded(saved));
    let mut adapter = AdapterArgs { adapter: args.adapter.adapter.clone() };
    let mut shown = Vec::new();
    for (folder, saved) in runs {
        let none = DataArgs::default();
        let data = if embedded(&saved) && !all_embedded { &none } else { &args.data };
        let tested =
            match load::dataset_of(&saved, data, false).and_then(|data| data.check(&saved.recipe).map(|()| data)) {
                Ok(data) => {
                    print_status(&format!("evaluating {} on {} test images", folder.name(), data.test.len()));
                    let mut network = Network::open(saved.clone(), &adapter)?;
                    // The choice of device is reported only once.
                    adapter.adapter.get_or_insert(device::wanted(&network.device));
                    Ok(pollster::block_on(Tested::new(&mut network.session, &saved, &data))?)
                }
                Err(Error::Usage(message)) => return Err(Error::Usage(message)),
                Err(error) => {
                    print_message("note", &format_args!("{} is shown without its test images: {error}", folder.name()));
                    Err(error.to_string())
                }
            };
        shown.push(Shown::new(folder, saved, tested));
    }
    let report = Report::new(&shown);
    files::replace(&out, report.page().as_bytes())?;
    let mut plots = None;
    if let Some(dir) = &args.plots {
        let count = *plots.insert(report.write_plots(dir)?);
        print_status(&format!("{count} plots and images written to {}", dir.display()));
    }
    let written = || format!("report written to {}\n", out.display());
    args.json.print(&Output { report: &out, plots, runs: report.runs() }, written)
}
