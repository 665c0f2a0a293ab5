//! Times every kernel that could compute a plan's heavy operations, on the plan's own shapes.
//!
//! Each operation runs alone on random inputs, repeated until a measurement is long enough for the clock. Rounds alternate between its kernels, so that other load on the machine affects all of
//! them equally.

use crate::backend::{Backend, Clock, Grain, PlanId};
use crate::error::Result;
use crate::ops::{self, Op, sample::Noise};
use crate::plan::{Plan, PlanNode, lower};
use crate::tensor::{Encoding, TensorType};
use serde::{Deserialize, Serialize};

/// What a round of a kernel should take at least, in nanoseconds.
const ROUND_NS: f64 = 2e6;
/// Work before anything is measured.
const WARM_UP: std::time::Duration = std::time::Duration::from_millis(300);
/// Largest number of consecutive runs in one measurement.
const MOST_REPEATS: u32 = 64;

/// A heavy operation of a plan, and its kernels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Heavy {
    /// The operation.
    pub stem: String,
    /// The layers that have it with these shapes.
    pub layers: Vec<String>,
    /// Types of its inputs.
    pub reads: Vec<String>,
    /// Type of its output.
    pub writes: String,
    /// Float operations, a multiply-add counts two.
    pub float_ops: u64,
    /// One-bit multiply-adds, two each.
    pub bit_ops: u64,
    /// Its kernels, the one that a plan takes first.
    pub kernels: Vec<Timed>,
}

/// A kernel's time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// Its name.
    pub kernel: String,
    /// The median of its rounds, all of its launches together.
    pub median_ns: u64,
    /// The shortest.
    pub min_ns: u64,
    /// Invocations of its first launch.
    pub invocations: u64,
    /// Valid over executed multiply-adds.
    pub lane_use: f64,
    /// Bytes of scratch memory.
    pub scratch_bytes: u64,
}

/// Times all kernels of the heavy operations of `plan`, in `rounds` rounds each. `progress` hears of each operation.
///
/// # Errors
/// When the device is lost or refuses a kernel.
pub async fn measure(
    backend: &mut dyn Backend,
    plan: &Plan,
    rounds: usize,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Heavy>> {
    let mut all: Vec<(&PlanNode, Vec<String>)> = Vec::new();
    for node in &plan.nodes {
        let same =
            |other: &PlanNode| other.op == node.op && types(other) == types(node) && other.output.ty == node.output.ty;
        match all.iter_mut().find(|(other, _)| same(other)) {
            Some((_, layers)) => layers.push(node.layer.clone()),
            None => all.push((node, vec![node.layer.clone()])),
        }
    }
    let mut heavy = Vec::new();
    for (node, layers) in all {
        let inputs = types(node);
        let kernels = node.op.candidates(&inputs.iter().collect::<Vec<_>>(), &node.output.ty, backend.caps());
        if kernels.is_empty() {
            continue;
        }
        progress(&format!("{} of {}", node.op.stem(), layers[0]));
        let kernels = of_operation(backend, &node.op, &inputs, &kernels, rounds).await?;
        let costs = || plan.steps[node.steps.clone()].iter().map(|step| step.cost);
        heavy.push(Heavy {
            stem: node.op.stem().to_string(),
            layers,
            reads: inputs.iter().map(ToString::to_string).collect(),
            writes: node.output.ty.to_string(),
            float_ops: costs().map(|cost| cost.float_ops).max().unwrap_or(0),
            bit_ops: costs().map(|cost| cost.bit_ops).max().unwrap_or(0),
            kernels,
        });
    }
    Ok(heavy)
}

fn types(node: &PlanNode) -> Vec<TensorType> {
    node.inputs.iter().map(|place| place.ty.clone()).collect()
}

async fn of_operation(
    backend: &mut dyn Backend,
    op: &Op,
    inputs: &[TensorType],
    kernels: &[&'static str],
    rounds: usize,
) -> Result<Vec<Timed>> {
    let (graph, _) = ops::alone(op, inputs)?;
    let mut loaded = Vec::new();
    for kernel in kernels {
        let caps = backend.caps().clone().choosing(op.stem(), kernel);
        let id = backend.load(lower(&graph, &caps)?).await?;
        let mut noise = Noise::new(1);
        for (i, ty) in inputs.iter().enumerate() {
            backend.write(id, &format!("in{i}"), &values(&mut noise, ty));
        }
        // Drivers compile during the first run, and clocks rise.
        time(backend, id, 1).await?;
        let once = time(backend, id, 2).await?.max(1.0);
        loaded.push((id, ((ROUND_NS / once).ceil() as u32).clamp(1, MOST_REPEATS), Vec::new()));
    }
    // The clock of a GPU falls while kernels compile.
    let begun = web_time::Instant::now();
    while begun.elapsed() < WARM_UP {
        for (id, repeats, _) in &loaded {
            time(backend, *id, *repeats).await?;
        }
    }
    for _ in 0..rounds {
        for (id, repeats, times) in &mut loaded {
            times.push(time(backend, *id, *repeats).await?);
        }
    }
    let timed = kernels.iter().zip(&mut loaded).map(|(kernel, (id, _, times))| {
        let plan = backend.plan(*id);
        let step = plan.steps.first().expect("a heavy operation has a launch");
        let threads = plan.kernels[step.kernel].threads;
        let valid = (step.cost.float_ops.max(step.cost.bit_ops) / 2) as f64;
        Timed {
            kernel: (*kernel).to_string(),
            median_ns: super::measure::quantile(times, 0.5).round() as u64,
            min_ns: super::measure::quantile(times, 0.0).round() as u64,
            invocations: u64::from(step.groups[0]) * u64::from(step.groups[1]) * u64::from(threads),
            lane_use: valid / step.cost.executed.max(1) as f64,
            scratch_bytes: plan.memory.transient,
        }
    });
    Ok(timed.collect())
}

/// Nanoseconds per run of a plan, averaged over `repeats` consecutive runs.
async fn time(backend: &mut dyn Backend, id: PlanId, repeats: u32) -> Result<f64> {
    let all = vec![repeats; backend.plan(id).steps.len()];
    let run = backend.run_timed(id, &all, Clock::Device, Grain::Submission).await?;
    let ns: f64 = run.stamps.iter().map(|stamp| (stamp.end - stamp.begin) as f64 * run.tick_ns).sum();
    Ok(ns / f64::from(repeats))
}

/// Noise; codes and signs of padding too, which does not matter for time.
fn values(noise: &mut Noise, ty: &TensorType) -> Vec<u32> {
    match ty.encoding {
        Encoding::F32 => noise.floats(&ty.shape).words,
        _ => (0..ty.words()).map(|_| noise.bits()).collect(),
    }
}
