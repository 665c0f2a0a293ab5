//! `halfwave profile --kernel`: the kernels of one operation over values of one size.

use super::ProfileArgs;
use super::table::{bound, percent, time};
use crate::cli::terminal::{self, bytes, print, print_status};
use crate::cli::{ceilings, device, kernels, tune};
use halfwave::backend::Device;
use halfwave::backend::gpu::GpuBackend;
use halfwave::profile::candidates::{Timed, described};
use halfwave::profile::sweep::{self, Point, Request, Sweep, Variant};
use halfwave::{Result, files};

const LEGEND: &str = "\
fastest: of all kernels that the device offers, in this measurement; estimate: the kernel that a plan would use,
and its time divided by that in the row; work: two operations per multiply-add, of floats or of bits;
of bound: the time that the device's measured peaks allow divided by the measured time
";

/// Measures a kernel, prints a table and writes files.
pub(super) fn kernel(args: &ProfileArgs, kernel: &str, sizes: &str) -> Result<()> {
    let request = Request::new(kernel, sizes, &args.size)?;
    files::check_outputs([&args.json, &args.csv].into_iter().flatten(), [])?;
    let found = device::adapter(args.adapter.adapter.as_deref(), tune::ONE_EACH)?;
    let device = Device::from(&found.report);
    print_status(&format!("{kernel} on {}", device.adapter));
    let mut options = kernels::request(&device);
    // The estimate is compared with what is measured.
    options.choices.clear();
    let rounds = args.steps as usize;
    let measured = pollster::block_on(async {
        let mut backend = GpuBackend::open(found, options).await?;
        sweep::measure(&mut backend, &request, rounds, print_status).await
    })?;
    let peaks = ceilings::ceilings(
        Some(&device::wanted(&device)),
        ceilings::Measure::or_fresh(ceilings::Measure::Doubtful, args.fresh),
    )?
    .content
    .ceilings;
    let sweep = Sweep::new(&request, rounds, measured, device, peaks);
    print(&table(&sweep, args.all))?;
    for (path, content) in [(&args.json, sweep.to_json()), (&args.csv, sweep.to_csv())] {
        if let Some(path) = path {
            files::replace(path, content.as_bytes())?;
            print_status(&format!("sweep written to {}", path.display()));
        }
    }
    Ok(())
}

/// Returns a table with a row for each value, or with `all` for each kernel of each value.
fn table(sweep: &Sweep, all: bool) -> String {
    let sizes: Vec<_> = sweep.sizes.iter().map(|(size, value)| format!("{size} {value}")).collect();
    let mut rows = format!(
        "{}\t{}\ttime\twork\tbytes\trate\tof bound\tbound by\testimate\n",
        sweep.size,
        if all { "kernel" } else { "fastest" }
    );
    for point in &sweep.points {
        let shown = if all { point.kernels.len() } else { 1 };
        point.kernels.iter().take(shown).for_each(|kernel| rows += &row(point, kernel));
        if point.kernels.is_empty() {
            rows += &format!("{}\tnot offered\n", point.value);
        }
    }
    format!("{}, with {}\n\n{}\n{LEGEND}", sweep.stem, sizes.join(", "), terminal::table("rlrrrrrll", &rows))
}

fn row(point: &Point, kernel: &Variant) -> String {
    let Variant { timed, bound: by, fraction_of_bound } = kernel;
    let (work, bits) = point.work();
    let (unit, per_second) = if bits { ("Mbitop", "Gbitop/s") } else { ("MFLOP", "GFLOP/s") };
    let rate = work as f64 / timed.median_ns.max(1) as f64;
    format!(
        "{}\t{}\t{}\t{:.2} {unit}\t{}\t{rate:.2} {per_second}\t{}\t{}\t{}\n",
        point.value,
        described(&timed.kernel, timed.parts),
        time(timed.median_ns),
        work as f64 / 1e6,
        bytes(timed.bytes),
        percent(*fraction_of_bound),
        bound(*by),
        estimate(point, timed),
    )
}

fn estimate(point: &Point, timed: &Timed) -> String {
    if timed.kernel == point.estimate {
        return "the same".to_string();
    }
    let slower = |kernel: &Variant| kernel.timed.median_ns as f64 / timed.median_ns.max(1) as f64;
    point.estimated().map_or("-".to_string(), |kernel| format!("{}, {:.2}×", point.estimate, slower(kernel)))
}
