//! Backends: load a plan, write, run, read.
//!
//! State is shared by name between all plans of a backend; inputs, outputs and transient buffers belong to the plan that ran last.

pub mod cpu;
pub mod gpu;

use crate::caps::Caps;
use crate::error::Result;
use crate::plan::Plan;
use serde::Serialize;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

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

/// How long submissions took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Timing {
    /// How that is known.
    pub timer: Timer,
    /// Submissions so far.
    pub submissions: u64,
    /// The longest of the last 64 that were measured.
    pub longest_ns: u64,
    /// Measured ones, of all, that took longer than the budget.
    pub over_budget: u64,
    /// What one should take at most.
    pub budget_ns: u64,
}

/// A measured submission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// Of which plan.
    pub plan: PlanId,
    /// Which of its steps.
    pub steps: Range<usize>,
    /// How long the device took.
    pub ns: u64,
}

/// What executes plans.
pub trait Backend {
    /// Its name for people: the adapter, or "cpu".
    fn name(&self) -> &str;

    /// Limits and preferences that plans must be made for.
    fn caps(&self) -> &Caps;

    /// Makes buffers and kernels of a plan. State that exists already is kept, new state is zero.
    ///
    /// # Errors
    /// When memory runs out or a kernel does not compile.
    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>>;

    /// The plan as it was loaded.
    fn plan(&self, id: PlanId) -> &Plan;

    /// Writes an input or a piece of state.
    ///
    /// # Panics
    /// When the plan has no such port or the length is not its type's.
    fn write(&mut self, id: PlanId, port: &str, words: &[u32]);

    /// Starts a step; it may return before the step has ended.
    ///
    /// # Errors
    /// When the device is lost.
    fn run(&mut self, id: PlanId) -> Result<()>;

    /// Reads an output or a piece of state, after everything that was started before.
    ///
    /// # Errors
    /// When the device is lost.
    fn read<'a>(&'a mut self, id: PlanId, port: &'a str) -> LocalFuture<'a, Result<Vec<u32>>>;

    /// How long submissions took; nothing where there are none.
    fn timing(&self) -> Option<Timing> {
        None
    }

    /// The measured submissions since the last call, the last 1024 at most.
    fn trace(&mut self) -> Vec<Submission> {
        Vec::new()
    }
}
