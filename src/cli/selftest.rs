//! `halfwave selftest`: checks every kernel against its reference implementation, on the user's
//! device.

use super::AdapterArgs;
use super::device;
use super::output::JsonArgs;
use super::plan::Class;
use super::terminal::{print, print_status};
use halfwave::backend::gpu::{AdapterReport, GpuBackend};
use halfwave::caps::DeviceClass;
use halfwave::ops;
use halfwave::selftest::{self, Outcome};
use halfwave::{Error, Result};
use serde::Serialize;
use std::collections::BTreeSet;

/// Check every kernel on this device against its reference implementation in Rust; exit code 1 if
/// any result differs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  halfwave selftest --adapter 0\n  halfwave selftest bconv bconv_dx bconv_dw")]
pub(super) struct SelftestArgs {
    /// Operations to check [default: all]
    operations: Vec<String>,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Check the kernels for this kind of device
    #[arg(long, value_enum, default_value = "both")]
    device_class: Classes,
    #[command(flatten)]
    json: JsonArgs,
}

/// The results for the kernels of a device class, as `--json` prints them.
#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    adapter: AdapterReport,
    device_class: DeviceClass,
    operations: Vec<Outcome>,
}

/// The device classes to check, as an argument.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Classes {
    /// Kernels for GPUs: every kernel that this device supports
    Gpu,
    /// Kernels for drivers that compute on the CPU
    Software,
    Both,
}

impl Classes {
    fn all(self) -> Vec<DeviceClass> {
        match self {
            Self::Gpu => vec![Class::Gpu.into()],
            Self::Software => vec![Class::Software.into()],
            Self::Both => vec![Class::Gpu.into(), Class::Software.into()],
        }
    }
}

pub(super) fn selftest(args: &SelftestArgs) -> Result<()> {
    let json = args.json.begin();
    let wanted = args.adapter.adapter.as_deref();
    let refusal = "the CPU backend is the reference implementation itself, so there is nothing to compare it with";
    let found = device::adapter(wanted, refusal)?;
    let known: BTreeSet<_> = ops::fusion::cases().iter().map(|case| case.name).collect();
    if let Some(unknown) = args.operations.iter().find(|wanted| !known.contains(wanted.as_str())) {
        let known: Vec<_> = known.into_iter().collect();
        return Err(Error::Usage(format!("there is no operation \"{unknown}\"; expected one of {}", known.join(", "))));
    }
    let (mut failed, mut all) = (0, Vec::new());
    for class in args.device_class.all() {
        let mut backend = pollster::block_on(GpuBackend::open(found.clone(), Some(class)))?;
        let of = if class == DeviceClass::Gpu { "GPUs" } else { "software drivers" };
        let adapter = backend.report().clone();
        let AdapterReport { name, backend: api, kind, driver, .. } = &adapter;
        print_status(&format!("{name} · {api} · {kind} · {driver}: kernels for {of}"));
        let wanted = |stem: &str| args.operations.is_empty() || args.operations.iter().any(|wanted| wanted == stem);
        print_status(&row(["operation", "samples", "worst", "bound", ""]));
        let outcomes = pollster::block_on(selftest::run_with_progress(&mut backend, wanted, |outcome| {
            print_status(&line(outcome))
        }))?;
        print_status("");
        failed += outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        all.push(Output { adapter, device_class: class, operations: outcomes });
    }
    if json {
        args.json.print(&all, String::new)?;
    }
    match failed {
        0 if json => Ok(()),
        0 => print("every kernel agrees with its reference implementation\n"),
        _ => Err(Error::Device(format!(
            "{failed} operations differ from their reference implementations on this device; see the table above"
        ))),
    }
}

/// Formats an outcome as one line, followed by a description of the failure if there is one.
fn line(outcome: &Outcome) -> String {
    let number = |value: f32| if value == 0.0 { "exact".to_string() } else { format!("{value:.1e}") };
    let Outcome { samples, worst, bound, failure, .. } = outcome;
    let ok = if failure.is_some() { "FAILED" } else { "ok" };
    let (name, samples, worst, bound) = (outcome.name(), samples.to_string(), number(*worst), number(*bound));
    let failure = failure.as_ref().map_or(String::new(), |failure| format!("\n      {failure}"));
    row([&name, &samples, &worst, &bound, ok]) + &failure
}

/// Formats a row; the columns fit most names, because rows are printed as results arrive.
fn row([name, samples, worst, bound, ok]: [&str; 5]) -> String {
    format!("  {name:<28} {samples:>7} {worst:>9} {bound:>9}  {ok}").trim_end().to_string()
}
