//! The first use of kernels that rest on what a driver may do wrong: a small product is compared with the reference before such a kernel computes anything of a plan.
//!
//! Those are the kernels that run without wgpu's checks (`Launch::trusted` in `src/kernel`), and with or without them those that compute in half floats and on cooperative matrices, for what becomes
//! of subnormal halves and in which width sums are kept is the driver's to decide. Whatever comes out is kept in [`Caps::verdicts`](crate::caps::Caps::verdicts), which
//! outlives the process where somebody keeps it (the command does, by adapter and driver), so that the check costs time once. A kernel on operands in half precision ([`crate::halves`])
//! is another program than on floats, and is compared as such where the plan stores them so. A kernel that is wrong is never taken again, on whatever operands:
//! the next of its operation's list takes its place. In a browser nothing runs without checks nor on matrices, and nothing is compared; its self-test tells as much.

use crate::backend::Backend;
use crate::error::Result;
use crate::ops::Graph;
use crate::plan::{self, Plan};
use crate::selftest;
use crate::variant::verdict_key;

/// Compiles a graph for a backend, of kernels that have not been found wrong on its device: those that rest on the driver and were not compared yet are compared now.
///
/// # Errors
/// When the graph exceeds the device's limits, the device is lost, or somebody asks to stop.
pub async fn lower(graph: &Graph, backend: &mut dyn Backend) -> Result<Plan> {
    loop {
        let plan = plan::lower(graph, backend.caps())?;
        let Some(Unjudged { stem, kernel, half }) = unjudged(&plan, backend) else { return Ok(plan) };
        let failure = selftest::of_kernel(backend, stem, kernel, half).await?;
        if let Some(failure) = &failure {
            let on_halves = if half { " on halves" } else { "" };
            log::warn!(
                "{}: the kernel {kernel} of {stem} is wrong here{on_halves}, and another one takes its place: {failure}",
                backend.name()
            );
        }
        let key = verdict_key(stem, kernel, half, backend.caps().checks);
        backend.judge(&key, failure.is_none());
    }
}

/// A kernel of a plan that was not compared yet.
struct Unjudged {
    stem: &'static str,
    kernel: &'static str,
    /// Whether the plan stores operands of it in half precision.
    half: bool,
}

/// A kernel of the plan that has to be compared first.
fn unjudged(plan: &Plan, backend: &dyn Backend) -> Option<Unjudged> {
    if !backend.runs_kernels() {
        return None;
    }
    let chosen = plan.nodes.iter().filter_map(|node| Some((node, node.offer.as_ref()?)));
    let unproven = chosen.filter(|(_, offer)| offer.unproven);
    let caps = backend.caps();
    let mut kernels =
        unproven.map(|(node, offer)| Unjudged { stem: node.op.stem(), kernel: offer.kernel, half: node.half() });
    kernels.find(|Unjudged { stem, kernel, half }| {
        !caps.verdicts.contains_key(&verdict_key(stem, kernel, *half, caps.checks))
    })
}
