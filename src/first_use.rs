//! First-use check of kernels whose results depend on driver behaviour: before such a kernel is
//! used in a plan, a small product is compared with the reference implementation.
//!
//! These are the kernels that run without wgpu's checks (`Launch::trusted` in `src/kernel`) and,
//! with or without checks, those that compute in half floats and on cooperative matrices, because
//! the driver decides how subnormal halves are handled and in which precision sums are accumulated.
//! The verdict is kept in [`Caps::verdicts`](crate::caps::Caps::verdicts). The command-line program
//! stores it on disk, by adapter and driver, so that each check runs only once. A kernel with
//! operands in half precision ([`crate::halves`]) is a different program from the same kernel with
//! floats, and is compared separately where the plan stores its operands so. A kernel found wrong
//! is never used again, with operands of either format; the next one in its operation's list
//! replaces it. In a browser no kernel runs without checks or on cooperative matrices, so nothing
//! is compared; the self-test there reports as much.

use crate::backend::Backend;
use crate::error::Result;
use crate::ops::Graph;
use crate::plan::{self, Plan};
use crate::selftest;
use crate::variant::verdict_key;

/// Lowers a graph to a plan that uses no kernel found wrong on the backend's device. Kernels that
/// depend on driver behaviour and have not been compared yet are compared first.
///
/// # Errors
///
/// Returns an error if the graph exceeds the device's limits, the device is lost, or a stop is
/// requested.
pub async fn lower(graph: &Graph, backend: &mut dyn Backend) -> Result<Plan> {
    loop {
        let plan = plan::lower(graph, backend.caps())?;
        let Some(Unverified { stem, kernel, half }) = unverified(&plan, backend) else { return Ok(plan) };
        let failure = selftest::compare_kernel(backend, stem, kernel, half).await?;
        if let Some(failure) = &failure {
            let on_halves = if half { " on halves" } else { "" };
            log::warn!(
                "{}: the kernel {kernel} of {stem} gives wrong results on this device{on_halves} and is replaced by another one: {failure}",
                backend.name()
            );
        }
        let key = verdict_key(stem, kernel, half, backend.caps().checks);
        backend.set_verdict(&key, failure.is_none());
    }
}

/// A kernel of a plan that has not been compared yet.
struct Unverified {
    stem: &'static str,
    kernel: &'static str,
    /// Whether the plan stores any of its operands in half precision.
    half: bool,
}

/// Returns a kernel of the plan that must be compared first, if there is one.
fn unverified(plan: &Plan, backend: &dyn Backend) -> Option<Unverified> {
    if !backend.runs_kernels() {
        return None;
    }
    let chosen = plan.nodes.iter().filter_map(|node| Some((node, node.offer.as_ref()?)));
    let unproven = chosen.filter(|(_, offer)| offer.unproven);
    let caps = backend.caps();
    let mut kernels =
        unproven.map(|(node, offer)| Unverified { stem: node.op.stem(), kernel: offer.kernel, half: node.half() });
    kernels.find(|Unverified { stem, kernel, half }| {
        !caps.verdicts.contains_key(&verdict_key(stem, kernel, *half, caps.checks))
    })
}
