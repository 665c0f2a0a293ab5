//! Profiles of a training step: the time of each launch, the memory of each buffer, and the
//! measured peaks of the device.
//!
//! [`measure()`] runs a loaded plan with and without instrumentation, [`DevicePeaks`] are the device's
//! measured peaks, and [`Profile`] combines both: plain data in a stable JSON format, from which
//! every view (terminal, page, difference) is derived.
//!
//! **Invariant:** times with and without instrumentation are never mixed: `step_ns` and `wall_ns`
//! are of ordinary runs, everything in `launches` of timed runs.
//! **Invariant:** a launch too short to be measured has no time; it never counts as fast.

pub mod bound;
pub mod candidates;
pub mod ceilings;
pub mod diff;
mod gauge;
pub mod measure;
pub mod memory;
pub mod probes;
pub mod sweep;
pub mod trace;
pub mod tune;

#[doc(hidden)] // its former name
pub use ceilings::DevicePeaks as Ceilings;
pub use ceilings::{Ceiling, DevicePeaks};
pub use measure::{Measurement, measure};

use crate::backend::Device;
use crate::error::{Error, Result};
use crate::kernel::Cost;
use crate::ops::Activity;
use crate::plan::Plan;
use crate::version::{self, Origin};
use serde::{Deserialize, Serialize};

/// Value of the field `format` in every profile.
pub const FORMAT: &str = "halfwave-profile";
/// Version of the format. It increases when the meaning of a field changes or a field is removed,
/// not when one is added.
pub const VERSION: u32 = 2;

/// A profile, as written by `halfwave profile --json`. All durations are integer nanoseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct Profile {
    /// Always "halfwave-profile".
    #[cfg_attr(feature = "typescript", tsify(type = "\"halfwave-profile\""))]
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Version of halfwave.
    pub halfwave: String,
    /// Commit, command line, and name of the computer.
    #[serde(flatten)]
    pub origin: Origin,
    /// When it was measured, UTC, RFC 3339; absent from older profiles, and in a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// Name of the recipe.
    pub recipe: String,
    /// Images per step.
    pub batch: usize,
    /// Hash of the plan, in hexadecimal: equal plans execute the same launches.
    pub plan: String,
    /// The device.
    pub device: Device,
    /// How launches were timed.
    #[cfg_attr(feature = "typescript", tsify(type = "ProfileTimer"))]
    pub timer: Timer,
    /// Measured peaks of the device, if they were measured.
    pub ceilings: Option<DevicePeaks>,
    /// Number of steps of which each value is the median.
    pub steps: usize,
    /// Duration of an uninstrumented step on the device, from the first to the last command of its
    /// submissions, by the device's clock, or `wall_ns` if it has none.
    pub step_ns: u64,
    /// Duration of an uninstrumented step by the host's clock, with several steps in flight as in
    /// training.
    pub wall_ns: u64,
    /// Duration of a step with every launch timed, by the host's clock, which shows the cost of the
    /// instrumentation.
    pub instrumented_ns: u64,
    /// Sum of the launches' medians.
    pub launches_ns: u64,
    /// Every dispatch (on the CPU backend every node), in order of execution.
    pub launches: Vec<Launch>,
    /// Memory use.
    #[cfg_attr(feature = "typescript", tsify(type = "ProfileMemory"))]
    pub memory: memory::Memory,
}

/// Observed quality of a device's timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Their resolution is a microsecond or better.
    Exact,
    /// Their resolution is coarse, so short launches are repeated until they span enough quanta.
    Quantised,
    /// Timestamps exist but do not advance: launches are timed by the host's clock.
    Zero,
    /// There are no timestamps: launches are timed by the host's clock.
    Absent,
}

/// How launches were timed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(rename = "ProfileTimer"))]
pub struct Timer {
    /// Quality of the device's clock.
    pub quality: Quality,
    /// Quantum of the clock used; for the host's clock, the duration of an empty submission.
    pub quantum_ns: f64,
}

impl Timer {
    /// Returns whether launches were submitted one by one and timed by the host.
    pub fn by_host(&self) -> bool {
        matches!(self.quality, Quality::Zero | Quality::Absent)
    }
}

/// The resource that limits a launch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Memory bandwidth.
    Memory,
    /// Float arithmetic.
    Arithmetic,
    /// And + popcount.
    BitArithmetic,
    /// Packed 8-bit dot products.
    PackedDot,
    /// Products of cooperative matrices.
    MatrixArithmetic,
    /// Launch overhead.
    LaunchOverhead,
}

/// One dispatch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct Launch {
    /// Its first step in the plan.
    pub step: usize,
    /// The operation.
    pub stem: String,
    /// The kernel: the stem followed by the name of the variant.
    pub kernel: String,
    /// The layer; empty if it belongs to none.
    pub layer: String,
    /// Its role within a step.
    pub phase: Activity,
    /// Types of the operation's inputs.
    pub reads: Vec<String>,
    /// Type of its output.
    pub writes: String,
    /// Workgroups in x and y.
    pub groups: [u32; 2],
    /// Invocations of a workgroup.
    pub threads: u32,
    /// Number of consecutive repeats in one measurement.
    pub repeats: u32,
    /// Median duration, if the clock is fine enough to measure it: never zero.
    pub median_ns: Option<u64>,
    /// The 10th percentile of its durations.
    pub p10_ns: Option<u64>,
    /// The 90th percentile.
    pub p90_ns: Option<u64>,
    /// The shortest duration.
    pub min_ns: Option<u64>,
    /// The 25th percentile; together with the shortest, it indicates how dense short durations are.
    pub p25_ns: Option<u64>,
    /// Bytes of its operands, each counted once, or twice if updated in place.
    pub bytes: u64,
    /// Float operations required by the formula; a multiply-add counts as two.
    pub float_ops: u64,
    /// Bit operations; a one-bit multiply-add counts as two.
    pub bit_ops: u64,
    /// 8-bit operations of packed dot products; a multiply-add counts as two.
    pub dot_ops: u64,
    /// Operations of cooperative matrices: those above, once per product of a number's halves;
    /// absent from older profiles.
    #[serde(default)]
    pub matrix_ops: u64,
    /// The resource that bounds it on this device, if its peaks were measured.
    pub bound: Option<Bound>,
    /// The time given by that bound divided by the measured time; above 1 if caches exceed the
    /// measured peak.
    pub fraction_of_bound: Option<f64>,
}

impl Launch {
    /// Marks the launch as computed by the operation's reference implementation (`reference`)
    /// instead of a kernel: one loop over the output.
    fn by_reference(&mut self) {
        self.kernel.clone_from(&self.stem);
        (self.groups, self.threads) = ([1, 1], 1);
    }

    /// Returns its bytes and operations.
    pub fn cost(&self) -> Cost {
        let Self { bytes, float_ops, bit_ops, dot_ops, matrix_ops, .. } = *self;
        Cost { bytes, float_ops, bit_ops, dot_ops, matrix_ops, ..Cost::default() }
    }

    /// Returns a rate per second from an amount per launch.
    pub fn rate(&self, amount: u64) -> Option<f64> {
        self.median_ns.filter(|&ns| ns > 0).map(|ns| amount as f64 / ns as f64 * 1e9)
    }
}

impl Profile {
    /// Creates a profile from the measurement of a plan.
    pub fn new(recipe: &str, batch: usize, plan: &Plan, device: Device, measurement: &Measurement) -> Self {
        let mut launches = measurement.launches(plan);
        if device.backend == "cpu" {
            launches.iter_mut().for_each(Launch::by_reference);
        }
        Self {
            format: FORMAT.to_string(),
            version: VERSION,
            halfwave: version::VERSION.to_string(),
            origin: Origin::here(),
            measured: None,
            recipe: recipe.to_string(),
            batch,
            plan: format!("{:016x}", plan.hash()),
            device,
            timer: measurement.timer,
            ceilings: None,
            steps: measurement.steps,
            step_ns: measurement.step_ns,
            wall_ns: measurement.wall_ns,
            instrumented_ns: measurement.instrumented_ns,
            launches_ns: launches.iter().filter_map(|launch| launch.median_ns).sum(),
            launches,
            memory: memory::Memory::of(plan, measurement.allocated_bytes),
        }
    }

    /// Adds the measured peaks of the device, and compares every launch with them.
    #[must_use]
    pub fn against(mut self, ceilings: DevicePeaks) -> Self {
        for launch in &mut self.launches {
            let limit = bound::limit(&launch.cost(), &ceilings);
            launch.bound = Some(limit.bound);
            launch.fraction_of_bound =
                launch.median_ns.filter(|&ns| ns > 0).map(|ns| bound::rounded(limit.ns / ns as f64));
        }
        self.ceilings = Some(ceilings);
        self
    }

    /// Returns the profile as JSON with one launch per line, so that text tools can compare two
    /// profiles.
    pub fn to_json(&self) -> String {
        let lines = self.launches.iter().map(|launch| serde_json::to_string(launch).expect("a launch is plain data"));
        let lines: Vec<_> = lines.map(|line| format!("    {line}")).collect();
        let rest = Self { launches: Vec::new(), ..self.clone() };
        let text = serde_json::to_string_pretty(&rest).expect("a profile is plain data");
        text.replacen("\"launches\": []", &format!("\"launches\": [\n{}\n  ]", lines.join(",\n")), 1) + "\n"
    }

    /// Parses the output of [`Profile::to_json`]; `name` is used in error messages.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a profile, or is one of a later version.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let wrong = |message: String| Error::Usage(format!("{name}: {message}"));
        let head: Option<Head> = serde_json::from_str(text).ok();
        match head {
            // Version 1 has further fields that nothing reads.
            Some(head) if head.format == FORMAT && head.version <= VERSION => {}
            Some(head) if head.format == FORMAT => {
                return Err(wrong(format!(
                    "it is a profile of version {}, this program reads versions up to {VERSION}; create it again with this version",
                    head.version
                )));
            }
            _ => return Err(wrong("it is not a profile; `halfwave profile --json FILE` writes one".to_string())),
        }
        serde_json::from_str(text).map_err(|error| wrong(format!("it is damaged: {error}")))
    }
}
