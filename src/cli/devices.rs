//! `halfwave devices`: the available devices and their measured peaks.

use super::ceilings::{self, Measure, Measured};
use super::device::{NO_ADAPTER, Search};
use super::kept::Kept;
use super::output::JsonArgs;
use super::terminal::{bytes, grouped, print_message};
use clap::builder::NonEmptyStringValueParser;
use halfwave::Result;
use halfwave::backend::gpu::AdapterReport;
use serde::Serialize;

/// List the devices available for training: adapters with their limits, and the CPU backend.
#[derive(clap::Args)]
pub(super) struct DevicesArgs {
    /// Measure the peak performance of one adapter instead (bandwidth, operations, launch
    /// overhead), or show the values measured before
    #[arg(long)]
    ceilings: bool,
    /// The adapter to measure: an index or part of a name from `halfwave devices` [default: the
    /// first GPU, or else the first adapter]
    #[arg(long, requires = "ceilings", value_name = "NAME|INDEX", value_parser = NonEmptyStringValueParser::new())]
    adapter: Option<String>,
    /// Measure again, even if cached values exist
    #[arg(long, requires = "ceilings")]
    fresh: bool,
    #[command(flatten)]
    json: JsonArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    adapters: &'a [&'a AdapterReport],
    /// What is used without `--adapter`.
    default: Option<String>,
}

pub(super) fn devices(args: &DevicesArgs) -> Result<()> {
    args.json.begin();
    if args.ceilings { of_one(args) } else { all(&args.json) }
}

/// Prints the measured peaks of one adapter.
fn of_one(args: &DevicesArgs) -> Result<()> {
    let measured = ceilings::ceilings(args.adapter.as_deref(), Measure::or_fresh(Measure::Missing, args.fresh))?;
    let Kept { device, when, content: Measured { ceilings, cached }, .. } = &measured;
    let origin = match cached {
        Some(file) => format!("measured {when}, cached in {}; --fresh measures again", file.display()),
        None => "measured just now".to_string(),
    };
    let driver = &device.driver;
    args.json.print(&measured, || format!("{device}\ndriver {driver}\n{origin}\n\n{}", ceilings::table(ceilings)))
}

/// Prints the list of adapters, and the CPU backend.
fn all(json: &JsonArgs) -> Result<()> {
    let search = Search::new()?;
    let reports: Vec<_> = search.found.iter().map(|found| &found.report).collect();
    let name_len = reports.iter().map(|report| report.name.chars().count()).max().unwrap_or(0).max(12);
    let mut text = format!("{:<6} {:<name_len$}  {:<8} kind\n", "index", "name", "backend");
    for (index, report) in reports.iter().enumerate() {
        let kind = if report.software { "software: computes on the CPU" } else { report.kind };
        let features = if report.features.is_empty() { "none".to_string() } else { report.features.join(", ") };
        let limits = [
            format!("binding {}", bytes(report.max_binding_bytes)),
            format!("buffer {}", bytes(report.max_buffer_bytes)),
            format!("{} storage buffers", grouped(u64::from(report.storage_buffers))),
            format!("workgroup {} and {} threads", bytes(u64::from(report.workgroup_bytes)), report.workgroup_threads),
        ];
        text += &format!("{index:<6} {:<name_len$}  {:<8} {kind}\n", report.name, report.backend);
        text += &format!("       driver    {}\n", report.driver);
        text += &format!("       features  {features}\n");
        text += &format!("       limits    {}\n", limits.join(", "));
    }
    text += &format!(
        "{:<6} {:<name_len$}  {:<8} reference implementations of the kernels in Rust: no driver needed\n",
        "cpu", "CPU backend", "-"
    );
    if let Some(setting) = &search.environment.backend_setting {
        text += &format!("{setting}: only adapters of this backend are listed\n");
    }
    let chosen = search.default_device();
    if let Ok(chosen) = &chosen {
        text += &format!("without --adapter: {chosen}\n");
    }
    json.print(&Output { adapters: &reports, default: chosen.as_ref().ok().cloned() }, || text)?;
    if reports.is_empty() {
        print_message("note", &NO_ADAPTER);
    } else if reports.iter().all(|report| report.software) {
        print_message("note", &"none of these is a GPU. If this machine has one, install its vendor's Vulkan driver");
    }
    chosen.map(drop)
}
