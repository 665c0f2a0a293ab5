//! `halfwave report`: runs side by side, on one page.

use super::load::{self, Network};
use super::terminal::{complain, say};
use super::{AdapterArgs, DataArgs, device};
use halfwave::report::{Report, Shown, Tested};
use halfwave::train::folder::Folder;
use halfwave::train::run::Saved;
use halfwave::{Error, Result, files};
use std::path::PathBuf;

/// Compare runs on a page: curves, recipes, codes, confusion matrices, filters.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page's file [default: report.html in the first run's folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write each plot as SVG and PNG into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
}

const EXAMPLES: &str = "\
Examples:
  halfwave report runs/digits-1               what a run did, in runs/digits-1/report.html
  halfwave report runs/* --out compared.html  several, laid over each other
  halfwave report runs/* --plots plots        and their plots, for a paper

The page is one file and needs nothing but a browser. Each checkpoint is measured on its test images,
as halfwave eval does; where they are not there, the page says so and shows the rest.";

pub(super) fn report(args: &ReportArgs) -> Result<()> {
    // Every mistake before any work.
    let read = |dir: &PathBuf| Ok((Folder::read(dir)?, Saved::read(dir)?));
    let runs = args.runs.iter().map(read).collect::<Result<Vec<_>>>()?;
    let out = args.out.clone().unwrap_or_else(|| args.runs[0].join("report.html"));
    files::check(&out)?;
    if let Some(dir) = args.plots.as_ref().filter(|dir| dir.exists() && !dir.is_dir()) {
        return Err(Error::Usage(format!("{} is not a folder; choose another one (--plots)", dir.display())));
    }
    // Only images that lie in a folder can lie elsewhere.
    let embedded = |saved: &Saved| saved.recipe.data.set.clone().dir_mut().is_none();
    let all_embedded = runs.iter().all(|(_, saved)| embedded(saved));
    let mut adapter = AdapterArgs { adapter: args.adapter.adapter.clone() };
    let mut shown = Vec::new();
    for (folder, saved) in runs {
        let none = DataArgs::default();
        let data = if embedded(&saved) && !all_embedded { &none } else { &args.data };
        let tested =
            match load::dataset_of(&saved, data, false).and_then(|data| data.check(&saved.recipe).map(|()| data)) {
                Ok(data) => {
                    say(&format!("measuring {} on {} test images", folder.name(), data.test.len()));
                    let mut network = Network::open(saved.clone(), &adapter)?;
                    // What was chosen is said once.
                    adapter.adapter.get_or_insert(device::wanted(&network.device));
                    Ok(pollster::block_on(Tested::new(&mut network.session, &saved, &data))?)
                }
                Err(Error::Usage(message)) => return Err(Error::Usage(message)),
                Err(error) => {
                    complain("note", &format_args!("{} is shown without its test images: {error}", folder.name()));
                    Err(error.to_string())
                }
            };
        shown.push(Shown::new(folder, saved, tested));
    }
    let report = Report::new(&shown);
    files::replace(&out, report.page().as_bytes())?;
    say(&format!("{} holds the report", out.display()));
    if let Some(dir) = &args.plots {
        say(&format!("{} holds {} plots and pictures", dir.display(), report.write_plots(dir)?));
    }
    Ok(())
}
