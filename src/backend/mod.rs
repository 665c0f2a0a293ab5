//! Backends: load a plan, write, run, read.
//!
//! State is shared by name between all plans of a backend; inputs, outputs and transient buffers belong to the plan that ran last.

pub mod cpu;
pub mod gpu;

use crate::caps::Caps;
use crate::error::Result;
use crate::plan::Plan;
use std::future::Future;
use std::pin::Pin;

/// A future that stays on its thread: browsers have no other.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A plan that a backend has loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PlanId(pub(crate) usize);

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
}
