//! Where the time and the memory of a training step go: one number for each launch, each slot, and what this very device could do.
//!
//! [`measure()`] runs a loaded plan with and without instruments, [`Ceilings`] says how fast the device is at what, [`Profile`] is both together: plain
//! data, written as JSON of a stable form, from which every view (terminal, page, difference) is made.
//!
//! **Invariant:** times with and without instruments are never mixed: `step_ns` and `wall_ns` are of ordinary runs, everything in `launches` of timed ones.
//! **Invariant:** a launch too short to be seen has no time at all; it never counts as fast.

pub mod bound;
pub mod candidates;
pub mod ceilings;
pub mod diff;
mod gauge;
pub mod measure;
pub mod memory;
pub mod probes;
pub mod trace;
pub mod tune;

pub use ceilings::{Ceiling, Ceilings};
pub use measure::{Measurement, measure};

use crate::backend::Device;
use crate::error::{Error, Result};
use crate::ops::Activity;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};

/// What `format` says in every profile.
pub const FORMAT: &str = "halfwave-profile";
/// The version of the form; it grows when a field changes its meaning or goes, not when one is added.
pub const VERSION: u32 = 1;

/// A profile: what `halfwave profile --json` writes. All durations are whole nanoseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Version of halfwave.
    pub halfwave: String,
    /// Name of the recipe.
    pub recipe: String,
    /// Images of a step.
    pub batch: usize,
    /// Hash of the plan, in hexadecimal: equal plans execute the same.
    pub plan: String,
    /// What computed.
    pub device: Device,
    /// How launches were timed.
    pub timer: Timer,
    /// What the device can do; nothing where that was not measured.
    pub ceilings: Option<Ceilings>,
    /// Steps that each number is the median of.
    pub steps: usize,
    /// An uninstrumented step on the device: its submissions, from first to last command, by the device's clock, or `wall_ns` where it has none.
    pub step_ns: u64,
    /// An uninstrumented step by the host's clock, several in flight, as training does it.
    pub wall_ns: u64,
    /// A step with every launch timed, by the host's clock: what the instruments cost.
    pub instrumented_ns: u64,
    /// Sum of the launches' medians.
    pub launches_ns: u64,
    /// Every dispatch (on the CPU backend every node) in order of execution.
    pub launches: Vec<Launch>,
    /// The account of memory.
    pub memory: memory::Memory,
}

/// Whether a device's timestamps can be believed, as observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// They tell microseconds apart.
    Exact,
    /// They come in coarse steps, so that short launches are repeated until they span enough of these.
    Quantised,
    /// There are timestamps, but they do not move: launches are timed by the host's clock.
    Zero,
    /// There are none: launches are timed by the host's clock.
    Absent,
}

/// How launches were timed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Timer {
    /// What the device's own clock is good for.
    pub quality: Quality,
    /// The smallest step of the clock that was used; where that is the host's, what an empty submission takes.
    pub quantum_ns: f64,
}

impl Timer {
    /// Whether launches were submitted one by one and timed by the host.
    pub fn by_host(&self) -> bool {
        matches!(self.quality, Quality::Zero | Quality::Absent)
    }
}

/// What keeps a launch from being faster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Moving bytes.
    Memory,
    /// Float arithmetic.
    Arithmetic,
    /// And + popcount.
    BitArithmetic,
    /// Packed 8-bit dot products.
    PackedDot,
    /// Products of cooperative matrices.
    MatrixArithmetic,
    /// Being launched at all.
    LaunchOverhead,
}

/// One dispatch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// Its first step in the plan.
    pub step: usize,
    /// The operation.
    pub stem: String,
    /// The kernel: the stem and what makes it differ from its siblings.
    pub kernel: String,
    /// The layer; empty for what belongs to none.
    pub layer: String,
    /// What it does within a step.
    pub phase: Activity,
    /// What the kernel's label has behind the stem: "tiled", "registers", "sum_parts", …; empty for an only child.
    pub variant: String,
    /// What the kernel needs beyond WebGPU's baseline: "baseline" means nothing.
    pub tier: String,
    /// Types of the operation's inputs.
    pub reads: Vec<String>,
    /// Type of its output.
    pub writes: String,
    /// Workgroups in x and y.
    pub groups: [u32; 2],
    /// Invocations of a workgroup.
    pub threads: u32,
    /// Times it was run in a row for one measurement.
    pub repeats: u32,
    /// Duration; nothing where the clock is too coarse to see it.
    pub median_ns: Option<u64>,
    /// The tenth percentile of its durations.
    pub p10_ns: Option<u64>,
    /// The ninetieth.
    pub p90_ns: Option<u64>,
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The twenty-fifth percentile: with the shortest, how dense short durations are.
    pub p25_ns: Option<u64>,
    /// Bytes of its operands, each once; those updated in place twice.
    pub bytes: u64,
    /// Float operations that the formula needs; a multiply-add counts two.
    pub float_ops: u64,
    /// One-bit multiply-adds, two each.
    pub bit_ops: u64,
    /// 8-bit multiply-adds of packed dot products, two each.
    pub dot_ops: u64,
    /// Operations of cooperative matrices: see [`Cost::matrix_ops`](crate::kernel::Cost::matrix_ops).
    #[serde(default)]
    pub matrix_ops: u64,
    /// What bounds it on this device; nothing without ceilings.
    pub bound: Option<Bound>,
    /// The time that this bound alone would take, of the time it took; above 1 where caches beat the ceiling.
    pub fraction_of_bound: Option<f64>,
}

impl Launch {
    /// No kernel did it, but the operation's twin, as one loop over the output.
    fn by_twin(&mut self) {
        self.kernel.clone_from(&self.stem);
        self.variant = "twin".to_string();
        (self.groups, self.threads) = ([1, 1], 1);
    }

    /// Something per second, from something per launch.
    pub fn rate(&self, amount: u64) -> Option<f64> {
        self.median_ns.filter(|&ns| ns > 0).map(|ns| amount as f64 / ns as f64 * 1e9)
    }
}

impl Profile {
    /// A profile of what was measured of a plan.
    pub fn new(recipe: &str, batch: usize, plan: &Plan, device: Device, measurement: &Measurement) -> Self {
        let mut launches = measurement.launches(plan);
        if device.backend == "cpu" {
            launches.iter_mut().for_each(Launch::by_twin);
        }
        Self {
            format: FORMAT.to_string(),
            version: VERSION,
            halfwave: env!("CARGO_PKG_VERSION").to_string(),
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

    /// The same, held against what the device can do.
    #[must_use]
    pub fn against(mut self, ceilings: Ceilings) -> Self {
        for launch in &mut self.launches {
            let limit = bound::limit(launch, &ceilings);
            launch.bound = Some(limit.bound);
            launch.fraction_of_bound =
                launch.median_ns.filter(|&ns| ns > 0).map(|ns| bound::rounded(limit.ns / ns as f64));
        }
        self.ceilings = Some(ceilings);
        self
    }

    /// The profile as JSON, a launch a line, so that text tools can compare two of them.
    pub fn to_json(&self) -> String {
        let lines = self.launches.iter().map(|launch| serde_json::to_string(launch).expect("a launch is plain data"));
        let lines: Vec<_> = lines.map(|line| format!("    {line}")).collect();
        let rest = Self { launches: Vec::new(), ..self.clone() };
        let text = serde_json::to_string_pretty(&rest).expect("a profile is plain data");
        text.replacen("\"launches\": []", &format!("\"launches\": [\n{}\n  ]", lines.join(",\n")), 1) + "\n"
    }

    /// Reads what [`Profile::to_json`] wrote; `name` is for messages.
    ///
    /// # Errors
    /// When it is no profile, or one of another version.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let wrong = |message: String| Error::Usage(format!("{name}: {message}"));
        let head: Option<Head> = serde_json::from_str(text).ok();
        match head {
            Some(head) if head.format == FORMAT && head.version == VERSION => {}
            Some(head) if head.format == FORMAT => {
                return Err(wrong(format!(
                    "it is a profile of version {}, this program reads {VERSION}; make it again with this version",
                    head.version
                )));
            }
            _ => return Err(wrong("it is no profile; `halfwave profile --json FILE` writes one".to_string())),
        }
        serde_json::from_str(text).map_err(|error| wrong(format!("it is damaged: {error}")))
    }
}
