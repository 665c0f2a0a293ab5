//! Measured peaks ("ceilings") of an adapter: measured once, then kept in the user's cache folder.

use super::device;
use super::kept::{self, Content, Kept};
use super::terminal::{self, bytes, print_message};
use halfwave::Result;
use halfwave::backend::Device;
use halfwave::backend::gpu::GpuBackend;
use halfwave::profile::{Ceiling, DevicePeaks, ceilings};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Content of a cache file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) ceilings: DevicePeaks,
    /// The file that the values were read from; `None` if they were measured just now.
    #[serde(skip)]
    pub(super) cached: Option<PathBuf>,
}

impl Content for Measured {
    const NAME: &'static str = "ceilings";
    const VERSION: u32 = ceilings::VERSION;
    const WITHOUT: &'static str = "measuring again";
}

/// Which peaks to measure, although there may be values in the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// None of those in the cache.
    Missing,
    /// Those that are doubtful: other load may have disturbed their measurement.
    Doubtful,
    /// All.
    All,
}

impl Measure {
    /// As `--fresh` asks for it, else `otherwise`.
    pub(super) fn or_fresh(otherwise: Self, fresh: bool) -> Self {
        if fresh { Self::All } else { otherwise }
    }
}

/// Returns the measured peaks of the requested adapter, or of the default one.
///
/// They are read from the cache, or measured on a device opened for this purpose if there are none
/// or `measure` asks for it.
pub(super) fn ceilings(wanted: Option<&str>, measure: Measure) -> Result<Kept<Measured>> {
    let chosen = device::adapter(wanted, "peaks are not measured for the CPU backend, which has no kernels")?;
    let device = Device::from(&chosen.report);
    let file = kept::file::<Measured>(&device);
    let mut doubtful = None;
    if let Some(file) = file.as_deref().filter(|_| measure != Measure::All)
        && let Some(mut kept) = Kept::<Measured>::read(file, &device)
        // A file measured with HALFWAVE_COOP=0 has no value for cooperative matrices.
        && (kept.content.ceilings.matrix.is_some() || chosen.coop().is_none())
    {
        if measure == Measure::Missing || kept.content.ceilings.plausible() {
            kept.content.cached = Some(file.to_path_buf());
            return Ok(kept);
        }
        doubtful = Some(kept.content.ceilings);
    }
    let ceilings = pollster::block_on(async {
        let mut backend = GpuBackend::open(chosen, None).await?;
        DevicePeaks::measure(&mut backend).await
    })?;
    let ceilings = match doubtful {
        Some(before) => before.renewed(ceilings),
        None => ceilings,
    };
    let measured = Kept::new(device, Measured { ceilings, cached: None });
    match file {
        Some(file) => {
            if let Err(error) = measured.write(&file) {
                print_message("note", &format_args!("{}", kept::not_kept::<Measured>(&error)));
            }
        }
        None => print_message(
            "note",
            &"there is no cache folder for the measured peaks; set HALFWAVE_CACHE_DIR to a folder",
        ),
    }
    Ok(measured)
}

/// Returns a table with one row per measured peak.
pub(super) fn table(ceilings: &DevicePeaks) -> String {
    let DevicePeaks { copy, float, half, bit, dot, matrix, workgroup, launch } = ceilings;
    let of_copy = |copy: &halfwave::profile::ceilings::Copy| {
        (format!("copy, working set {}", bytes(copy.working_set_bytes)), Some(copy.ceiling), 1e9, "GB/s")
    };
    let mut rows: Vec<_> = copy.iter().map(of_copy).collect();
    let row = |what: &str, ceiling, unit, name| (what.to_string(), ceiling, unit, name);
    rows.extend([
        row("workgroup memory, reads", Some(*workgroup), 1e9, "GB/s"),
        row("f32 multiply-add", Some(*float), 1e9, "GFLOP/s"),
        row("f16 multiply-add", *half, 1e9, "GFLOP/s"),
        row("and + popcount + add", Some(*bit), 1e9, "Gbitop/s"),
        row("dot4I8Packed + add", *dot, 1e9, "GOP/s"),
        row("f16 matrices, f32 sums", *matrix, 1e9, "GFLOP/s"),
        row("launch overhead", Some(*launch), 1e3, "µs"),
    ]);
    let mut cells = "what\tceiling\t\tspread\tdoubling\n".to_string();
    for (what, ceiling, unit, name) in rows {
        cells += &match ceiling {
            Some(ceiling) => {
                let Ceiling { value, spread, doubling } = ceiling;
                let verdict = ceiling.doubt().map_or("plausible".to_string(), |doubt| format!("doubtful: {doubt}"));
                let (value, spread) = (significant(value / unit), spread * 100.0);
                format!("{what}\t{value}\t{name}\t{spread:.0}%\t{doubling:.2}\t{verdict}\n")
            }
            None => format!("{what}\t-\tnot offered\n"),
        };
    }
    terminal::table("lrlrrl", &cells)
}

/// Formats a value with at least three significant digits.
fn significant(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> DevicePeaks {
        let ceiling = Ceiling { value: 1.5e9, spread: 0.02, doubling: 1.99 };
        DevicePeaks {
            copy: vec![ceilings::Copy { working_set_bytes: 1 << 20, ceiling }],
            float: Ceiling { spread: 0.5, ..ceiling },
            half: None,
            bit: ceiling,
            dot: Some(ceiling),
            matrix: None,
            workgroup: ceiling,
            launch: Ceiling { value: 12_345.0, ..ceiling },
        }
    }

    #[test]
    fn a_table_marks_what_is_doubtful() {
        let text = table(&measured());
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap().to_string();
        assert!(line("f32").ends_with("doubtful: repetitions scatter by 50%"), "{text}");
        assert!(line("f16").ends_with("not offered"), "{text}");
        assert!(line("copy").contains("1 MiB") && line("copy").contains("1.50  GB/s"), "{text}");
        assert!(line("launch").contains("12.3  µs") && line("launch").ends_with("plausible"), "{text}");
    }
}
