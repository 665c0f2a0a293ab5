//! `halfwave selftest`: every kernel against its twin, on the user's own device.

use super::AdapterArgs;
use super::device;
use super::plan::Shape;
use super::terminal::{print, say};
use halfwave::backend::gpu::{AdapterReport, GpuBackend};
use halfwave::caps::LaunchShape;
use halfwave::ops;
use halfwave::selftest::{self, Outcome};
use halfwave::{Error, Result};
use std::collections::BTreeSet;

/// Check every kernel on this device against its twin in Rust; exit code 1 if one differs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  halfwave selftest --adapter 0\n  halfwave selftest bconv bconv_dx bconv_dw")]
pub(super) struct SelftestArgs {
    /// Operations to check [default: all]
    operations: Vec<String>,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Which variants of the heavy kernels to check
    #[arg(long, value_enum, default_value = "both")]
    shape: Shapes,
}

/// Launch shapes as they are typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Shapes {
    Tiled,
    Registers,
    Both,
}

impl Shapes {
    fn all(self) -> Vec<LaunchShape> {
        match self {
            Self::Tiled => vec![Shape::Tiled.into()],
            Self::Registers => vec![Shape::Registers.into()],
            Self::Both => vec![Shape::Tiled.into(), Shape::Registers.into()],
        }
    }
}

pub(super) fn selftest(args: &SelftestArgs) -> Result<()> {
    let wanted = args.adapter.adapter.as_deref();
    let refusal = "the CPU backend is the twins themselves: there is nothing to compare it with";
    let found = device::adapter(wanted, refusal)?;
    let known: BTreeSet<_> = ops::joint::cases().iter().map(|case| case.name).collect();
    if let Some(unknown) = args.operations.iter().find(|wanted| !known.contains(wanted.as_str())) {
        let known: Vec<_> = known.into_iter().collect();
        return Err(Error::Usage(format!("there is no operation \"{unknown}\"; expected one of {}", known.join(", "))));
    }
    let mut failed = 0;
    for shape in args.shape.all() {
        let mut backend = pollster::block_on(GpuBackend::open(found.clone(), Some(shape)))?;
        let variant = if shape == LaunchShape::Tiled { "tiled" } else { "register-blocked" };
        let AdapterReport { name, backend: api, kind, driver, .. } = backend.report().clone();
        say(&format!("{name} · {api} · {kind} · {driver}: {variant} kernels"));
        let wanted = |stem: &str| args.operations.is_empty() || args.operations.iter().any(|wanted| wanted == stem);
        let outcomes = pollster::block_on(selftest::run(&mut backend, wanted))?;
        print(&table(&outcomes))?;
        failed += outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    }
    match failed {
        0 => print("every kernel agrees with its twin\n"),
        _ => Err(Error::Device(format!(
            "{failed} operations differ from their twins on this device; see the table above"
        ))),
    }
}

/// A line an operation, and what is wrong with it under it.
fn table(outcomes: &[Outcome]) -> String {
    let name_len = outcomes.iter().map(|outcome| outcome.name().len()).max().unwrap_or(0);
    let mut text = format!("  {:<name_len$} {:>7} {:>9} {:>9}\n", "operation", "samples", "worst", "bound");
    let number = |value: f32| if value == 0.0 { "exact".to_string() } else { format!("{value:.1e}") };
    for outcome in outcomes {
        let Outcome { samples, worst, bound, failure, .. } = outcome;
        let name = outcome.name();
        let ok = if failure.is_some() { "FAILED" } else { "ok" };
        text += &format!("  {name:<name_len$} {samples:>7} {:>9} {:>9}  {ok}\n", number(*worst), number(*bound));
        text.extend(failure.iter().map(|failure| format!("      {failure}\n")));
    }
    text + "\n"
}
