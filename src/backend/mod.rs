//! Backends: load a plan, write, run, read.
//!
//! State is shared by name between all plans of a backend; inputs, outputs and transient buffers belong to the plan that ran last.

pub mod cpu;
pub mod gpu;

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::stop::Stop;
use gpu::AdapterReport;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use web_time::Instant;

/// A future that stays on its thread: browsers have no other.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A plan that a backend has loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PlanId(pub(crate) usize);

/// How durations on a device are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// By the device's timestamps.
    Timestamps,
    /// By the host's clock, from when a submission could begin to when it was done: never too short.
    Completion,
    /// Not at all.
    None,
}

/// How many submissions there were, and how long took what they hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Timing {
    /// How that is known.
    pub timer: Timer,
    /// Submissions so far, those that only read something back included. Small runs share one.
    pub submissions: u64,
    /// The longest of the last 64 that were measured: of a run that shares a submission, its part of it.
    pub longest_ns: u64,
    /// Measured ones, of all, that took longer than the budget.
    pub over_budget: u64,
    /// What a submission should take at most.
    pub budget_ns: u64,
}

/// What a submission holds of one run, measured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// Of which plan.
    pub plan: PlanId,
    /// Which of its steps.
    pub steps: Range<usize>,
    /// How long the device took.
    pub ns: u64,
}

/// What computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The adapter's name, or "cpu".
    pub adapter: String,
    /// "Vulkan", "Metal", "Dx12", or "cpu" for the CPU backend.
    pub backend: String,
    /// Name and version of the driver, as far as it tells.
    pub driver: String,
    /// "discrete GPU", "software", …
    pub kind: String,
}

/// In a few words.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, backend, kind, .. } = self;
        if backend == "cpu" { write!(f, "the CPU backend") } else { write!(f, "{adapter} · {backend} · {kind}") }
    }
}

impl Device {
    /// The CPU backend.
    pub fn cpu() -> Self {
        let [adapter, backend, kind] = ["cpu"; 3].map(str::to_string);
        Self { adapter, backend, driver: String::new(), kind }
    }
}

impl From<&AdapterReport> for Device {
    fn from(report: &AdapterReport) -> Self {
        let AdapterReport { name, backend, driver, kind, .. } = report.clone();
        Self { adapter: name, backend, driver, kind: kind.to_string() }
    }
}

/// Whose clock times a launch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The device's timestamps, at both ends of each launch.
    Device,
    /// The host's: each launch is submitted alone and waited for.
    Host,
}

/// What is timed as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grain {
    /// Every launch, in a pass of its own.
    Launch,
    /// What an ordinary run submits together, in the pass that it has there.
    Submission,
}

/// When launches ran, in ticks of the clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The plan's steps: one, or all of a submission, or on the CPU backend all of a node.
    pub steps: Range<usize>,
    /// When they began.
    pub begin: u64,
    /// When they had ended.
    pub end: u64,
}

/// What the host did for one submission of a timed run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostTimes {
    /// The plan's steps that it holds.
    pub steps: Range<usize>,
    /// When encoding began.
    pub begun: Instant,
    /// When the commands were encoded, and submitting began.
    pub encoded: Instant,
    /// When the queue had taken them.
    pub submitted: Instant,
    /// When the host knew that they were done.
    pub done: Instant,
}

/// A run whose launches were timed.
#[derive(Clone, PartialEq, Debug)]
pub struct TimedRun {
    /// By whose clock; that of the host where the device has none.
    pub clock: Clock,
    /// What a tick is.
    pub tick_ns: f64,
    /// In order of execution.
    pub stamps: Vec<Stamp>,
    /// In order too.
    pub host: Vec<HostTimes>,
}

/// What executes plans.
pub trait Backend {
    /// Its name for people: the adapter, or "cpu".
    fn name(&self) -> &str;

    /// Limits and preferences that plans must be made for.
    fn caps(&self) -> &Caps;

    /// Whether kernels that rest on the driver must be checked against their reference implementations before first use. A backend that says so must keep what [`Backend::judge`] tells it; the CPU backend runs the
    /// reference implementations themselves, and a browser has none that rest on the driver.
    fn runs_kernels(&self) -> bool {
        false
    }

    /// Keeps in its capabilities whether a kernel, named as in [`Caps::verdicts`], agreed with its reference on this device.
    fn judge(&mut self, _kernel: &str, _right: bool) {}

    /// From now on, no plan is loaded or run once `stop` is asked for: [`Error::Stopped`]. What was started is finished, and can be read.
    fn stop_by(&mut self, _stop: Stop) {}

    /// While nothing is heard, plans run although somebody asks to stop: those that belong to what has begun.
    fn hear_stop(&mut self, _heard: bool) {}

    /// Makes buffers and kernels of a plan. State that exists already is kept, new state is zero.
    ///
    /// # Errors
    /// When memory runs out, a kernel does not compile, or somebody asks to stop.
    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>>;

    /// The plan as it was loaded.
    fn plan(&self, id: PlanId) -> &Plan;

    /// Writes an input or a piece of state.
    ///
    /// # Panics
    /// When the plan has no such port or the length is not its type's.
    fn write(&mut self, id: PlanId, port: &str, words: &[u32]);

    /// Starts a step; it may return before the step has ended. Small ones may wait for each other, but no longer than until something is read or waited for, or until they fill a submission.
    ///
    /// # Errors
    /// When the device is lost; when somebody has asked to stop, and nothing is done then.
    fn run(&mut self, id: PlanId) -> Result<()>;

    /// Reads an output or a piece of state as it is after everything that was started before; what is started later need not wait until it has come.
    ///
    /// # Errors
    /// When the device is lost.
    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>>;

    /// Runs a plan once, every step as many times in a row as `repeats` says, and tells when they were executed. Waits for the device.
    ///
    /// Repeating a step is harmless for what it writes elsewhere, but what it updates in place moves on each time.
    ///
    /// # Errors
    /// When the device is lost, or somebody has asked to stop.
    ///
    /// # Panics
    /// When `repeats` does not have an entry for each step.
    fn run_timed<'a>(
        &'a mut self,
        id: PlanId,
        repeats: &'a [u32],
        clock: Clock,
        grain: Grain,
    ) -> LocalFuture<'a, Result<TimedRun>>;

    /// Waits until everything that was started is done.
    ///
    /// # Errors
    /// When the device is lost.
    fn finish(&mut self) -> LocalFuture<'_, Result<()>>;

    /// Bytes of device memory in use, as the backend's own allocator reports them.
    fn allocated_bytes(&self) -> Option<u64> {
        None
    }

    /// Runs a plan inside a capture of the graphics debugger that the program runs under (RenderDoc, Xcode), if there is one.
    ///
    /// # Errors
    /// When the device is lost, or when this backend has none.
    fn capture(&mut self, _id: PlanId) -> LocalFuture<'_, Result<()>> {
        let message = "captures need an adapter, and a native program; choose one with --adapter";
        Box::pin(async move { Err(Error::Device(message.to_string())) })
    }

    /// How long submissions took; nothing where there are none.
    fn timing(&self) -> Option<Timing> {
        None
    }

    /// The measured submissions since the last call, the last 1024 at most.
    fn trace(&mut self) -> Vec<Submission> {
        Vec::new()
    }
}
