//! Benchmark results as text: one line per recipe, followed by a table of kernels for each heavy
//! operation.

use super::{Bench, OfRecipe};
use crate::cli::terminal::{self, bytes, grouped};
use crate::cli::tune::ONE_EACH;
use halfwave::profile::candidates::{Heavy, Timed};
use halfwave::variant::Exactness;

const HEAD: &str = "  kernel\tparts\tms\trate\tshare of peak\tlane utilisation\texactness\tinvocations\tscratch\n";

const LEGEND: &str = "\
* marks the kernel in use. parts: number of parts that its sum is split into; rate: operations required by
the formula, two per multiply-add; share of peak: relative to the measured peak of this device, or of its
cooperative matrices, where a value split into two halves takes two or three products; lane utilisation:
required multiply-adds divided by executed ones; scratch: memory for partial sums
";

/// Returns the complete table.
pub(super) fn table(bench: &Bench) -> String {
    let mut text: String = bench.recipes.iter().map(|recipe| of_recipe(bench, recipe) + "\n").collect();
    if bench.recipes.iter().any(|recipe| !recipe.heavy.is_empty()) {
        text += LEGEND;
    }
    if bench.device.backend == "cpu" {
        text += &format!("{ONE_EACH}\n");
    }
    if !bench.excluded.is_empty() {
        text += &format!(
            "not used on this device, because their results were wrong on first use: {}; `halfwave tune --forget` makes later runs check them again\n",
            bench.excluded.join(", ")
        );
    }
    text
}

fn of_recipe(bench: &Bench, recipe: &OfRecipe) -> String {
    let on_device = match recipe.by_host {
        true => String::new(),
        false => format!(" ({:.3} ms on the device)", recipe.step_ns as f64 / 1e6),
    };
    let (batch, step) = match recipe.micro_batches {
        1 => (format!("batch of {}", recipe.batch), "step"),
        parts => (format!("micro-batch of {} ({parts} per step)", recipe.batch), "micro-batch"),
    };
    let mut text = format!(
        "{}, {batch}: {:.3} ms per {step}{on_device}, {:.0} images/s, {} launches, {} of memory\n",
        recipe.recipe,
        recipe.wall_ns as f64 / 1e6,
        recipe.images_per_s,
        recipe.launches,
        bytes(recipe.peak_bytes),
    );
    for heavy in &recipe.heavy {
        let (layers, reads) = (heavy.layers.join(", "), heavy.reads.join(", "));
        text += &format!("\n  {} of {layers}: {reads} → {}\n", heavy.stem, heavy.writes);
        let rows = terminal::table("lrrrrrlrr", &of_operation(bench, heavy));
        text.extend(rows.lines().map(|row| format!("  {row}\n")));
    }
    text
}

/// Returns one row per kernel: the one in use first, the others by duration.
fn of_operation(bench: &Bench, heavy: &Heavy) -> String {
    let bits = heavy.bit_ops > heavy.float_ops;
    let (ops, unit) = if bits { (heavy.bit_ops, "Gbitop/s") } else { (heavy.float_ops, "GFLOP/s") };
    let row = |(at, kernel): (usize, &Timed)| {
        let rate = ops as f64 / kernel.median_ns.max(1) as f64 * 1e9;
        let share = share(bench, kernel, ops, bits).map_or("-".to_string(), |share| format!("{:.1}%", 100.0 * share));
        format!(
            "{} {}\t{}\t{:.4}\t{} {unit}\t{share}\t{:.0}%\t{}\t{}\t{}\n",
            if at == 0 { '*' } else { ' ' },
            kernel.kernel,
            kernel.parts,
            kernel.median_ns as f64 / 1e6,
            significant(rate / 1e9),
            100.0 * kernel.lane_use,
            exactness(kernel.exactness),
            grouped(kernel.invocations),
            bytes(kernel.scratch_bytes),
        )
    };
    let mut kernels: Vec<_> = heavy.kernels.iter().enumerate().collect();
    kernels.sort_by_key(|(at, kernel)| (*at > 0, kernel.median_ns));
    kernels.into_iter().map(row).fold(HEAD.to_string(), |rows, row| rows + &row)
}

/// Returns the rate of a kernel as a share of the measured peak.
///
/// A kernel on cooperative matrices is compared with the peak of the matrix units, counting the
/// products of both halves.
fn share(bench: &Bench, kernel: &Timed, ops: u64, bits: bool) -> Option<f64> {
    let known = bench.ceilings.as_ref()?;
    let (ops, peak) = match kernel.matrix_ops {
        0 => (ops, if bits { known.bit } else { known.float }),
        on_matrices => (on_matrices, known.matrix?),
    };
    Some(ops as f64 / kernel.median_ns.max(1) as f64 * 1e9 / peak.value)
}

fn exactness(exactness: Exactness) -> &'static str {
    match exactness {
        Exactness::Exact => "exact",
        Exactness::F32 => "f32",
        Exactness::Halves => "two halves",
    }
}

/// Formats a value with at least three significant digits.
fn significant(value: f64) -> String {
    let decimals = if value > 0.0 { (2.0 - value.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::host::Host;
    use halfwave::backend::Device;
    use halfwave::profile::{Ceiling, DevicePeaks};

    fn timed(kernel: &str, median_ns: u64) -> Timed {
        Timed {
            kernel: kernel.to_string(),
            exactness: Exactness::F32,
            parts: 4,
            median_ns,
            min_ns: median_ns,
            spread_ns: 0,
            matrix_ops: 0,
            invocations: 12_345,
            lane_use: 0.5,
            scratch_bytes: 2048,
            bytes: 0,
        }
    }

    #[test]
    fn matrices_have_a_share_of_their_own_peak() {
        let ceiling = |value| Ceiling { value, spread: 0.0, doubling: 2.0 };
        let mut bench = bench(Device::cpu(), Vec::new());
        // Each takes 1 µs: 10⁶ operations are 10¹² per second.
        let (plain, matrices) = (timed("tile64", 1000), Timed { matrix_ops: 3_000_000, ..timed("coop16", 1000) });
        assert_eq!(share(&bench, &plain, 1_000_000, false), None);
        let mut ceilings = DevicePeaks {
            copy: Vec::new(),
            float: ceiling(2e12),
            half: None,
            bit: ceiling(4e12),
            dot: None,
            matrix: None,
            workgroup: ceiling(1.0),
            launch: ceiling(1.0),
        };
        bench.ceilings = Some(ceilings.clone());
        assert_eq!(share(&bench, &plain, 1_000_000, false), Some(0.5));
        assert_eq!(share(&bench, &plain, 1_000_000, true), Some(0.25));
        assert_eq!(share(&bench, &matrices, 1_000_000, false), None, "not of what floats can do");
        ceilings.matrix = Some(ceiling(6e12));
        bench.ceilings = Some(ceilings);
        assert_eq!(share(&bench, &matrices, 1_000_000, false), Some(0.5));
    }

    fn bench(device: Device, heavy: Vec<Heavy>) -> Bench {
        let recipe = OfRecipe {
            recipe: "digits".to_string(),
            batch: 4,
            micro_batches: 1,
            plan: String::new(),
            launches: 3,
            step_ns: 1_000_000,
            by_host: heavy.is_empty(),
            wall_ns: 1_000_000,
            images_per_s: 4000.0,
            peak_bytes: 1 << 20,
            heavy,
        };
        Bench {
            format: "",
            version: 1,
            halfwave: "",
            commit: None,
            when: String::new(),
            device,
            host: Host::this(),
            rounds: 1,
            ceilings: None,
            excluded: Vec::new(),
            recipes: vec![recipe],
        }
    }

    #[test]
    fn kernels_stand_by_their_time_behind_the_one_in_use() {
        let heavy = Heavy {
            stem: "conv_dw".to_string(),
            site: String::new(),
            layers: vec!["conv1".to_string()],
            reads: vec!["x".to_string()],
            writes: "y".to_string(),
            float_ops: 2_000,
            bit_ops: 0,
            kernels: vec![timed("used", 3_000_000), timed("slow", 9_000_000), timed("fast", 2_000_000)],
        };
        let adapter = Device { adapter: "a".into(), backend: "Vulkan".into(), driver: "1".into(), kind: "k".into() };
        let mut bench = bench(adapter, vec![heavy]);
        bench.excluded.push("conv_dw/tile64".to_string());
        let text = table(&bench);
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(at("kernel  parts") < at("* used") && at("* used") < at("  fast") && at("  fast") < at("  slow"));
        // 2,000 operations in 3 ms.
        assert!(text.contains("0.000667 GFLOP/s") && text.contains("12,345") && text.contains("* marks"), "{text}");
        assert!(text.contains("(1.000 ms on the device)"), "{text}");
        assert!(text.contains("conv_dw/tile64; `halfwave tune --forget`"), "{text}");
    }

    #[test]
    fn the_cpu_backend_has_nothing_to_compare() {
        let text = table(&bench(Device::cpu(), Vec::new()));
        assert!(!text.contains('*') && !text.contains("on the device") && text.contains(ONE_EACH), "{text}");
    }

    #[test]
    fn rates_have_digits() {
        assert_eq!([0.0, 0.001234, 1.5, 23.45, 1234.5].map(significant), ["0", "0.00123", "1.50", "23.4", "1234"]);
    }
}
