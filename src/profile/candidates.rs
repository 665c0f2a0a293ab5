//! Times every kernel that could execute a plan's heavy operations, with the plan's shapes.
//!
//! Each operation runs in isolation on random inputs, repeated until a measurement is long enough
//! for the clock. Rounds alternate between its kernels, so that other load on the machine affects
//! all of them equally.

use crate::backend::{Backend, Clock, Grain, PlanId};
use crate::caps::Choice;
use crate::error::Result;
use crate::ops::{self, Op, sample::Noise};
use crate::plan::{Plan, PlanNode, lower};
use crate::tensor::{Encoding, TensorType};
use crate::variant::{Exactness, Offer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Minimum duration of one round of a kernel, in nanoseconds.
const ROUND_NS: f64 = 2e6;
/// Duration of the warm-up before anything is measured.
const WARM_UP: std::time::Duration = std::time::Duration::from_millis(300);
/// Maximum number of consecutive runs in one measurement.
const MOST_REPEATS: u32 = 64;

/// A heavy operation of a plan, and its kernels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Heavy {
    /// The operation.
    pub stem: String,
    /// The operation with its shapes, the key by which its kernel is chosen.
    #[serde(default)]
    pub site: String,
    /// The layers that have the operation with these shapes.
    pub layers: Vec<String>,
    /// Types of its inputs.
    pub reads: Vec<String>,
    /// Type of its output.
    pub writes: String,
    /// Float operations; a multiply-add counts as two.
    pub float_ops: u64,
    /// Bit operations; a one-bit multiply-add counts as two.
    pub bit_ops: u64,
    /// Its kernels, starting with the one that the plan uses.
    pub kernels: Vec<Timed>,
}

/// The measured time of a kernel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// Name of the kernel.
    pub kernel: String,
    /// Its exactness class.
    pub exactness: Exactness,
    /// Number of parts that its sum is split into.
    pub parts: usize,
    /// Median over its rounds, for all of its launches together.
    pub median_ns: u64,
    /// The shortest round.
    pub min_ns: u64,
    /// Interquartile range of its rounds.
    #[serde(default)]
    pub spread_ns: u64,
    /// Operations on cooperative matrices, [as stated by the
    /// launches](crate::kernel::Cost::matrix_ops); 0 for a kernel without any.
    #[serde(default)]
    pub matrix_ops: u64,
    /// Invocations of the launch that computes the products.
    pub invocations: u64,
    /// Lane utilisation: valid multiply-adds divided by executed ones.
    pub lane_use: f64,
    /// Bytes of scratch memory.
    pub scratch_bytes: u64,
    /// Bytes that its launches read and write; absent from older results.
    #[serde(default)]
    pub bytes: u64,
}

/// A heavy operation of a plan with its shapes, and the layers that have it.
pub(super) struct Found<'p> {
    node: &'p PlanNode,
    layers: Vec<String>,
    pub(super) inputs: Vec<TensorType>,
    pub(super) offers: Vec<Offer>,
}

/// Returns the heavy operations of a plan, without duplicates of the same shapes.
pub(super) fn find<'p>(backend: &dyn Backend, plan: &'p Plan) -> Vec<Found<'p>> {
    let mut all: Vec<Found<'_>> = Vec::new();
    for node in plan.nodes.iter().filter(|node| node.offer.is_some()) {
        let inputs: Vec<TensorType> = node.inputs.iter().map(|place| place.ty.clone()).collect();
        let same = |other: &&mut Found<'_>| {
            other.node.op == node.op && other.inputs == inputs && other.node.output.ty == node.output.ty
        };
        match all.iter_mut().find(same) {
            Some(found) => found.layers.push(node.layer.clone()),
            None => {
                let (types, output): (Vec<_>, _) = (inputs.iter().collect(), &node.output.ty);
                let offers = node.op.candidates(&types, output, &node.op.caps(&types, output, backend.caps()));
                all.push(Found { node, layers: vec![node.layer.clone()], inputs, offers });
            }
        }
    }
    all
}

impl Found<'_> {
    /// Returns the label to report while the operation is measured; `place` is its index and the
    /// number of operations.
    pub(super) fn name(&self, place: [usize; 2]) -> String {
        let more = match self.layers.len() {
            1 => String::new(),
            layers => format!(" and {} more", layers - 1),
        };
        format!("[{}/{}] {} of {}{more}", place[0] + 1, place[1], self.node.op.stem(), self.layers[0])
    }

    /// Times the given kernels in `rounds` rounds each, and passes each kernel's name to `progress`
    /// before it starts.
    pub(super) async fn time(
        &self,
        backend: &mut dyn Backend,
        choices: &[Choice],
        rounds: usize,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<Timed>> {
        of_operation(backend, &self.node.op, self, choices, rounds, progress).await
    }

    /// Returns the operation with the times of its kernels.
    pub(super) fn timed(&self, plan: &Plan, kernels: Vec<Timed>) -> Heavy {
        let costs = || plan.steps[self.node.steps.clone()].iter().map(|step| step.cost);
        Heavy {
            stem: self.node.op.stem().to_string(),
            site: self.node.op.site(&self.inputs.iter().collect::<Vec<_>>(), &self.node.output.ty),
            layers: self.layers.clone(),
            reads: self.inputs.iter().map(ToString::to_string).collect(),
            writes: self.node.output.ty.to_string(),
            float_ops: costs().map(|cost| cost.float_ops).max().unwrap_or(0),
            bit_ops: costs().map(|cost| cost.bit_ops).max().unwrap_or(0),
            kernels,
        }
    }
}

/// Times all kernels of the heavy operations of `plan`, in `rounds` rounds each.
///
/// `progress` receives the label of each kernel before it starts.
///
/// # Errors
///
/// Returns an error if the device is lost or rejects a kernel.
pub async fn measure(
    backend: &mut dyn Backend,
    plan: &Plan,
    rounds: usize,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Heavy>> {
    let mut heavy = Vec::new();
    let all = find(backend, plan);
    for (at, found) in all.iter().enumerate() {
        let name = found.name([at, all.len()]);
        let choices: Vec<_> = found.offers.iter().map(|offer| choice(offer.kernel, Some(offer.parts))).collect();
        let mut say = |kernel: &str| progress(&format!("{name}: {kernel}"));
        let kernels = found.time(backend, &choices, rounds, &mut say).await?;
        heavy.push(found.timed(plan, kernels));
    }
    Ok(heavy)
}

/// Creates a choice of a kernel.
pub(super) fn choice(kernel: &str, parts: Option<usize>) -> Choice {
    Choice { kernel: kernel.to_string(), parts }
}

/// Describes a kernel and the number of parts that its sum is split into.
pub fn described(kernel: &str, parts: usize) -> String {
    if parts == 1 { kernel.to_string() } else { format!("{kernel} in {parts} parts") }
}

/// A choice that is being measured.
struct Loaded {
    id: PlanId,
    offer: Offer,
    repeats: u32,
    times: Vec<f64>,
}

async fn of_operation(
    backend: &mut dyn Backend,
    op: &Op,
    found: &Found<'_>,
    choices: &[Choice],
    rounds: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Timed>> {
    let (graph, value) = ops::single_op_graph(op, &found.inputs)?;
    let (mut loaded, mut known) = (Vec::<Loaded>::new(), BTreeSet::new());
    for choice in choices {
        let mut caps = backend.caps().clone();
        caps.choices = [(op.stem().to_string(), choice.clone())].into();
        let plan = lower(&graph, &caps)?;
        // A number of parts that a kernel does not support is replaced by one that it supports.
        let Some(offer) = plan.nodes[value.0].offer.clone().filter(|_| known.insert(plan.hash())) else { continue };
        progress(&described(offer.kernel, offer.parts));
        let id = backend.load(plan).await?;
        let mut noise = Noise::new(1);
        for (i, ty) in found.inputs.iter().enumerate() {
            backend.write(id, &format!("in{i}"), &values(&mut noise, ty));
        }
        // The first run includes compilation by the driver and the ramp-up of clocks.
        time(backend, id, 1).await?;
        let once = time(backend, id, 2).await?.max(1.0);
        let repeats = ((ROUND_NS / once).ceil() as u32).clamp(1, MOST_REPEATS);
        loaded.push(Loaded { id, offer, repeats, times: Vec::new() });
    }
    // The clock of a GPU drops while kernels compile.
    let begun = web_time::Instant::now();
    while begun.elapsed() < WARM_UP {
        for Loaded { id, repeats, .. } in &loaded {
            time(backend, *id, *repeats).await?;
        }
    }
    for _ in 0..rounds {
        for Loaded { id, repeats, times, .. } in &mut loaded {
            times.push(time(backend, *id, *repeats).await?);
        }
    }
    let timed = loaded.iter_mut().map(|Loaded { id, offer, times, .. }| {
        let plan = backend.plan(*id);
        // Not an earlier launch, which computes the maximum of an operand, or a later one, which
        // sums the parts.
        let step = plan.steps.iter().find(|step| step.cost.executed > 0).or(plan.steps.first());
        let step = step.expect("a heavy operation has a launch");
        let threads = plan.kernels[step.kernel].threads;
        Timed {
            kernel: offer.kernel.to_string(),
            exactness: offer.exactness,
            parts: offer.parts,
            median_ns: super::measure::quantile(times, 0.5).round() as u64,
            min_ns: super::measure::quantile(times, 0.0).round() as u64,
            spread_ns: (super::measure::quantile(times, 0.75) - super::measure::quantile(times, 0.25)).round() as u64,
            matrix_ops: plan.steps.iter().map(|step| step.cost.matrix_ops).sum(),
            invocations: u64::from(step.groups[0]) * u64::from(step.groups[1]) * u64::from(threads),
            lane_use: step.cost.needed() as f64 / step.cost.executed.max(1) as f64,
            scratch_bytes: plan.memory.transient,
            bytes: plan.steps.iter().map(|step| step.cost.bytes).sum(),
        }
    });
    Ok(timed.collect())
}

/// Returns the nanoseconds per run of a plan, averaged over `repeats` consecutive runs.
async fn time(backend: &mut dyn Backend, id: PlanId, repeats: u32) -> Result<f64> {
    let all = vec![repeats; backend.plan(id).steps.len()];
    let run = backend.run_timed(id, &all, Clock::Device, Grain::Submission).await?;
    let ns: f64 = run.stamps.iter().map(|stamp| (stamp.end - stamp.begin) as f64 * run.tick_ns).sum();
    Ok(ns / f64::from(repeats))
}

/// Returns random values. The codes and signs of padding are random as well, which does not affect
/// timing.
fn values(noise: &mut Noise, ty: &TensorType) -> Vec<u32> {
    match ty.encoding {
        Encoding::F32 => noise.floats(&ty.shape).words,
        _ => (0..ty.words()).map(|_| noise.bits()).collect(),
    }
}
