//! Backends: load a plan, write its inputs, run it, read its outputs.
//!
//! State is shared by name between all plans of a backend. The contents of inputs, outputs and
//! transient buffers belong to the plan that ran last.

pub mod cpu;
pub mod gpu;
#[doc(hidden)]
pub mod select;

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::stop::Stop;
use cpu::CpuBackend;
use gpu::{AdapterReport, GpuBackend};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use web_time::Instant;

/// A future that is not `Send`, because browsers have only one thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Handle of a loaded plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PlanId(pub(crate) usize);

/// How durations on a device are measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// Device timestamps.
    Timestamps,
    /// The host's clock, from the earliest possible start of a submission to its completion: never
    /// too short.
    Completion,
    /// Durations are not measured.
    None,
}

/// Number and durations of submissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Timing {
    /// How durations are measured.
    pub timer: Timer,
    /// Submissions so far, including those that only read a buffer back. Small runs share a
    /// submission.
    pub submissions: u64,
    /// The longest of the last 64 measured durations; for a run that shares a submission, its part
    /// of it.
    pub longest_ns: u64,
    /// Number of measurements, among all so far, that exceeded the budget.
    pub over_budget: u64,
    /// Time limit for a submission.
    pub budget_ns: u64,
}

/// The measured part of a submission that belongs to one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// The plan that was run.
    pub plan: PlanId,
    /// The range of its steps.
    pub steps: Range<usize>,
    /// Duration on the device.
    pub ns: u64,
}

/// Description of the device that computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct Device {
    /// The adapter's name, or "cpu".
    pub adapter: String,
    /// "Vulkan", "Metal", "Dx12", "BrowserWebGpu", or "cpu" for the CPU backend.
    pub backend: String,
    /// Name and version of the driver, if reported.
    pub driver: String,
    /// "discrete GPU", "software", …
    pub kind: String,
}

/// A short description.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, backend, kind, .. } = self;
        if backend == "cpu" { write!(f, "the CPU backend") } else { write!(f, "{adapter} · {backend} · {kind}") }
    }
}

impl Device {
    /// Returns the description of the CPU backend.
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

/// The clock that times launches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// Device timestamps at both ends of each launch.
    Device,
    /// The host's clock: each launch is submitted separately and waited for.
    Host,
}

/// The unit of timing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grain {
    /// Each launch, in its own compute pass.
    Launch,
    /// Each submission of an ordinary run, in its usual compute pass.
    Submission,
}

/// Start and end of launches, in ticks of the clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The plan's steps: one, or all of a submission, or on the CPU backend all of a node.
    pub steps: Range<usize>,
    /// Start of the first.
    pub begin: u64,
    /// End of the last.
    pub end: u64,
}

/// The host's times for one submission of a timed run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostTimes {
    /// The plan's steps in the submission.
    pub steps: Range<usize>,
    /// Start of encoding.
    pub begun: Instant,
    /// End of encoding, and start of submitting.
    pub encoded: Instant,
    /// When the queue had accepted the commands.
    pub submitted: Instant,
    /// When the host was notified of completion.
    pub done: Instant,
}

/// Timings of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct TimedRun {
    /// The clock used; the host's if the device has none.
    pub clock: Clock,
    /// Length of a tick.
    pub tick_ns: f64,
    /// In order of execution.
    pub stamps: Vec<Stamp>,
    /// In order of submission.
    pub host: Vec<HostTimes>,
}

/// Opens a device: the adapter of this number or with this part of a name, "cpu" for the CPU
/// backend; by default the one that the environment variable `WGPU_ADAPTER_NAME` names, else the
/// first GPU, or the CPU backend if there is none.
///
/// # Errors
///
/// Returns an error if there is no such adapter, its driver cannot open it, or one of wgpu's
/// environment variables is invalid.
pub async fn open(wanted: Option<&str>) -> Result<Box<dyn Backend>> {
    if wanted.is_some_and(select::is_cpu) {
        return Ok(CpuBackend::new().into());
    }
    let environment = gpu::Environment::read()?;
    let mut found = environment.find().await;
    let reports: Vec<_> = found.iter().map(|found| &found.report).collect();
    Ok(match select::select(&reports, wanted, environment.adapter.as_deref())? {
        (Some(index), _) => GpuBackend::open(found.swap_remove(index), None).await?.into(),
        (None, _) => CpuBackend::new().into(),
    })
}

impl From<CpuBackend> for Box<dyn Backend> {
    fn from(backend: CpuBackend) -> Self {
        Box::new(backend)
    }
}

impl From<GpuBackend> for Box<dyn Backend> {
    fn from(backend: GpuBackend) -> Self {
        Box::new(backend)
    }
}

/// An opened device: [`open`] returns one, and a [`Network`](crate::network::Network) or a
/// [`Trainer`](crate::train::Trainer) runs on it. Methods that are not shown here execute plans, and
/// are internal.
pub trait Backend {
    /// Returns its display name: the adapter, or "cpu".
    fn name(&self) -> &str;

    /// Returns the limits and preferences that plans must be compiled for.
    #[doc(hidden)]
    fn caps(&self) -> &Caps;

    /// Whether kernels that depend on driver behaviour must be compared with their reference
    /// implementations before first use. If so, the backend must store verdicts from
    /// [`Backend::set_verdict`]. The CPU backend runs the reference implementations themselves, and no
    /// kernel depends on the driver in a browser.
    #[doc(hidden)]
    fn runs_kernels(&self) -> bool {
        false
    }

    /// Stores in its capabilities whether a kernel, named as in [`Caps::verdicts`], agreed with the
    /// reference implementation on this device.
    #[doc(hidden)]
    fn set_verdict(&mut self, _kernel: &str, _right: bool) {}

    /// Registers a stop signal. Once `stop` is requested, no plan is loaded or run:
    /// [`Error::Stopped`]. Work already started is finished and can be read.
    fn stop_by(&mut self, _stop: Stop) {}

    /// Sets whether stop requests are obeyed. If not, plans still run after a request, to complete
    /// work that has begun.
    #[doc(hidden)]
    fn obey_stops(&mut self, _heard: bool) {}

    /// Creates buffers and pipelines of a plan. Existing state is kept; new state is zero.
    ///
    /// # Errors
    ///
    /// Returns an error if memory runs out, a kernel does not compile, or a stop is requested.
    #[doc(hidden)]
    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>>;

    /// Returns a loaded plan.
    #[doc(hidden)]
    fn plan(&self, id: PlanId) -> &Plan;

    /// Writes an input or a state tensor.
    ///
    /// # Panics
    ///
    /// Panics if the plan has no such port, or if the length does not match its type.
    #[doc(hidden)]
    fn write(&mut self, id: PlanId, port: &str, words: &[u32]);

    /// Starts a step, and may return before it has ended. Small steps may be held back until they
    /// fill a submission, or until a read or a wait.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or if a stop has been requested, in which case
    /// nothing is done.
    #[doc(hidden)]
    fn run(&mut self, id: PlanId) -> Result<()> {
        let steps = 0..self.plan(id).steps.len();
        self.run_part(id, steps)
    }

    /// Starts some of a plan's dispatches, like [`Backend::run`]; the parts of a plan are started in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or if a stop has been requested, in which case
    /// nothing is done.
    #[doc(hidden)]
    fn run_part(&mut self, id: PlanId, steps: Range<usize>) -> Result<()>;

    /// Reads an output or a state tensor as of all work started before; work started later does not
    /// have to wait for the result.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    #[doc(hidden)]
    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>>;

    /// Runs a plan once, with every step executed `repeats` times in a row, and returns the times
    /// of execution. Waits for the device.
    ///
    /// Repeating a step does not change the values that it writes elsewhere, but in-place updates
    /// are applied each time.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or a stop has been requested.
    ///
    /// # Panics
    ///
    /// Panics if `repeats` does not have an entry for each step.
    #[doc(hidden)]
    fn run_timed<'a>(
        &'a mut self,
        id: PlanId,
        repeats: &'a [u32],
        clock: Clock,
        grain: Grain,
    ) -> LocalFuture<'a, Result<TimedRun>>;

    /// Waits until all work that was started is done.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    fn finish(&mut self) -> LocalFuture<'_, Result<()>>;

    /// Returns the device memory in use, in bytes, as reported by the backend's allocator.
    fn allocated_bytes(&self) -> Option<u64> {
        None
    }

    /// Runs a plan inside a capture of the attached graphics debugger (RenderDoc, Xcode), if there
    /// is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or if this backend does not support captures.
    #[doc(hidden)]
    fn capture(&mut self, _id: PlanId) -> LocalFuture<'_, Result<()>> {
        let message = "captures need an adapter, and a native program; choose one with --adapter";
        Box::pin(async move { Err(Error::Device(message.to_string())) })
    }

    /// Returns the durations of submissions; `None` for a backend without submissions.
    fn timing(&self) -> Option<Timing> {
        None
    }

    /// Returns the submissions measured since the last call, at most the last 1024.
    #[doc(hidden)]
    fn trace(&mut self) -> Vec<Submission> {
        Vec::new()
    }
}
