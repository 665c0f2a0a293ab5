//! Times the launches of a plan, and ordinary steps between them.
//!
//! Rounds alternate: ordinary steps by the host's clock, one ordinary step by the device's clock,
//! one step with every launch timed. So noise on the machine, which varies over seconds, affects
//! all three equally.
//!
//! **Invariant:** the timer is trusted only as far as it was observed to be accurate: see
//! [`Timer`].

use super::{Launch, Quality, Timer};
use crate::backend::{Backend, Clock, Grain, PlanId, TimedRun};
use crate::error::Result;
use crate::plan::{Plan, PlanNode};
use std::ops::Range;
use std::time::Duration;
use web_time::Instant;

/// Number of clock quanta that a measurement must span, for an error of at most a few per cent.
const QUANTA: f64 = 20.0;
/// Number of clock quanta that a launch's median must span, over all its repeats, to be trusted:
/// launches may turn out shorter than during the search for repeats.
const FEWEST_QUANTA: f64 = QUANTA / 2.0;
/// A clock with at least this resolution is exact.
const EXACT_NS: f64 = 1000.0;
/// Maximum number of repeats of a launch.
const MOST_REPEATS: u32 = 1 << 14;
/// Maximum number of runs in the search for sufficient repeats.
const SEARCHES: usize = 8;
/// Minimum total duration of the ordinary steps of a round.
const UPDATE_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum number of ordinary steps in a round.
const MOST_STEPS: u32 = 32;
/// Number of timed runs kept for the trace.
const KEPT: usize = 3;

/// An upload of one input.
#[derive(Clone, PartialEq, Debug)]
pub struct Upload {
    /// The input.
    pub port: String,
    /// Its bytes.
    pub bytes: u64,
    /// When the host started.
    pub begun: Instant,
    /// When the queue had accepted it.
    pub done: Instant,
}

/// A timed run and the uploads before it.
#[derive(Clone, PartialEq, Debug)]
pub struct Round {
    /// The uploads, in order.
    pub uploads: Vec<Upload>,
    /// The run.
    pub run: TimedRun,
}

/// The measurements of a plan.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// How launches were timed.
    pub timer: Timer,
    /// Number of rounds, which is the number of samples of every value.
    pub steps: usize,
    /// Median of an ordinary step by the device's clock, or by the host's clock if the device's is
    /// not usable.
    pub step_ns: u64,
    /// Median of an ordinary step by the host's clock, with several steps in flight.
    pub wall_ns: u64,
    /// Median of a step with every launch timed, by the host's clock.
    pub instrumented_ns: u64,
    /// Memory reported by the backend's allocator.
    pub allocated_bytes: Option<u64>,
    /// The last timed runs, for a trace.
    pub rounds: Vec<Round>,
    /// For each launch: its steps, its repeats, its durations in nanoseconds.
    samples: Vec<Samples>,
}

#[derive(Clone, PartialEq, Debug)]
struct Samples {
    steps: Range<usize>,
    repeats: u32,
    ns: Vec<f64>,
}

/// Returns a quantile of `values`, which are sorted in place; 0 if there are none.
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (share * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

/// Times the launches of a plan in `steps` rounds.
///
/// `inputs` are written before each timed run, so that uploads are on the trace as well; write
/// them, and the state, before calling this. Every run updates the plan's state in place: keep a
/// copy of it if it is needed.
///
/// `progress` receives the number of completed rounds.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub async fn measure(
    backend: &mut dyn Backend,
    id: PlanId,
    inputs: &[(String, Vec<u32>)],
    steps: usize,
    mut progress: impl FnMut(usize),
) -> Result<Measurement> {
    let once = vec![1; backend.plan(id).steps.len()];
    // The first run includes compilation by the driver.
    backend.run(id)?;
    backend.finish().await?;
    let Clocked { timer, clock, repeats } = search(backend, id).await?;
    let mut in_flight = 1;
    let (mut wall, mut step, mut instrumented) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rounds, mut samples): (Vec<Round>, Vec<Samples>) = (Vec::new(), Vec::new());
    for round in 0..steps {
        let began = Instant::now();
        for _ in 0..in_flight {
            backend.run(id)?;
        }
        backend.finish().await?;
        let took = began.elapsed();
        wall.push(took.as_nanos() as f64 / f64::from(in_flight));
        if took < UPDATE_INTERVAL {
            in_flight = (in_flight * 2).min(MOST_STEPS);
        }
        let whole = backend.run_timed(id, &once, clock, Grain::Submission).await?;
        step.push(whole.stamps.iter().map(|stamp| (stamp.end - stamp.begin) as f64 * whole.tick_ns).sum());
        let uploads = upload(backend, id, inputs);
        let began = Instant::now();
        let run = backend.run_timed(id, &repeats, clock, Grain::Launch).await?;
        instrumented.push(began.elapsed().as_nanos() as f64);
        for (index, stamp) in run.stamps.iter().enumerate() {
            let repeats = repeats[stamp.steps.start];
            let ns = (stamp.end - stamp.begin) as f64 * run.tick_ns / f64::from(repeats);
            match samples.get_mut(index) {
                Some(samples) => samples.ns.push(ns),
                None => samples.push(Samples { steps: stamp.steps.clone(), repeats, ns: vec![ns] }),
            }
        }
        if round + KEPT >= steps {
            rounds.push(Round { uploads, run });
        }
        progress(round + 1);
    }
    let wall_ns = quantile(&mut wall, 0.5);
    let step_ns = quantile(&mut step, 0.5);
    // Each of the two timestamps of a submission may be off by one quantum.
    let visible = !timer.by_host() && step_ns >= QUANTA * timer.quantum_ns;
    Ok(Measurement {
        timer,
        steps,
        step_ns: if visible { step_ns } else { wall_ns }.round() as u64,
        wall_ns: wall_ns.round() as u64,
        instrumented_ns: quantile(&mut instrumented, 0.5).round() as u64,
        allocated_bytes: backend.allocated_bytes(),
        rounds,
        samples,
    })
}

fn upload(backend: &mut dyn Backend, id: PlanId, inputs: &[(String, Vec<u32>)]) -> Vec<Upload> {
    let write = |(port, words): &(String, Vec<u32>)| {
        let begun = Instant::now();
        backend.write(id, port, words);
        Upload { port: port.clone(), bytes: words.len() as u64 * 4, begun, done: Instant::now() }
    };
    inputs.iter().map(write).collect()
}

/// A timer, and the number of repeats of each step that it requires.
struct Clocked {
    timer: Timer,
    clock: Clock,
    repeats: Vec<u32>,
}

/// Observes the timestamps, and finds repeats that make every launch long enough for them.
async fn search(backend: &mut dyn Backend, id: PlanId) -> Result<Clocked> {
    let mut repeats = vec![1; backend.plan(id).steps.len()];
    let first = backend.run_timed(id, &repeats, Clock::Device, Grain::Launch).await?;
    let quality = match first.clock {
        Clock::Host => Quality::Absent,
        Clock::Device if quantum(&first).is_none() => Quality::Zero,
        Clock::Device => Quality::Exact, // until a quantum is known
    };
    let clock = if quality == Quality::Exact { Clock::Device } else { Clock::Host };
    let mut timer = Timer { quality, quantum_ns: f64::INFINITY };
    if clock == Clock::Host {
        timer.quantum_ns = overhead(backend, id).await?;
    }
    for _ in 0..SEARCHES {
        let run = backend.run_timed(id, &repeats, clock, Grain::Launch).await?;
        timer.quantum_ns = match clock {
            // Further timestamps can only reveal a finer clock.
            Clock::Device => timer.quantum_ns.min(quantum(&run).unwrap_or(f64::INFINITY)),
            // In browsers, its quantum may exceed the duration of a submission.
            Clock::Host => timer.quantum_ns.max(quantum(&run).unwrap_or(1.0)),
        };
        let wanted = QUANTA * timer.quantum_ns;
        let mut enough = true;
        for stamp in &run.stamps {
            let span = (stamp.end - stamp.begin) as f64 * run.tick_ns;
            let count = &mut repeats[stamp.steps.start];
            if span < wanted && *count < MOST_REPEATS {
                // A duration close to zero says little about the number of repeats needed.
                let factor = (1.2 * wanted / span.max(wanted / 8.0)).ceil();
                *count = (*count * factor as u32).min(MOST_REPEATS);
                enough = false;
            }
        }
        if enough {
            break;
        }
    }
    if timer.quality == Quality::Exact && timer.quantum_ns > EXACT_NS {
        timer.quality = Quality::Quantised;
    }
    Ok(Clocked { timer, clock, repeats })
}

/// Returns the quantum of the clock: the greatest common divisor of the differences between
/// timestamps, or `None` if they do not advance.
fn quantum(run: &TimedRun) -> Option<f64> {
    let stamps: Vec<_> = run.stamps.iter().flat_map(|stamp| [stamp.begin, stamp.end]).collect();
    let divisor = stamps.windows(2).map(|pair| pair[0].abs_diff(pair[1])).fold(0, gcd);
    (divisor > 0).then_some(divisor as f64 * run.tick_ns)
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Returns the duration of an empty submission by the host's clock, below which nothing can be
/// measured.
async fn overhead(backend: &mut dyn Backend, id: PlanId) -> Result<f64> {
    let nothing = vec![0; backend.plan(id).steps.len()];
    let run = backend.run_timed(id, &nothing, Clock::Host, Grain::Launch).await?;
    let mut spans: Vec<_> = run.stamps.iter().map(|stamp| (stamp.end - stamp.begin) as f64 * run.tick_ns).collect();
    Ok(quantile(&mut spans, 0.5))
}

impl Measurement {
    /// Returns the durations of each launch in serialisable form.
    pub(super) fn launches(&self, plan: &Plan) -> Vec<Launch> {
        self.samples.iter().map(|samples| self.launch(plan, samples)).collect()
    }

    fn launch(&self, plan: &Plan, samples: &Samples) -> Launch {
        let Samples { steps, repeats, ns } = samples;
        let node = node_of(plan, steps.start);
        let step = &plan.steps[steps.start];
        let kernel = &plan.kernels[step.kernel];
        let costs = || plan.steps[steps.clone()].iter().map(|step| step.cost);
        let median = quantile(&mut ns.clone(), 0.5);
        let seen = match self.timer.quality {
            Quality::Quantised => median * f64::from(*repeats) >= FEWEST_QUANTA * self.timer.quantum_ns,
            _ => median > 0.0,
        };
        let at = |share| seen.then(|| quantile(&mut ns.clone(), share).round().max(1.0) as u64);
        Launch {
            step: steps.start,
            stem: node.op.stem().to_string(),
            kernel: kernel.label.clone(),
            layer: plan.layers(steps.start),
            phase: node.activity(),
            reads: node.inputs.iter().map(|place| place.stored().to_string()).collect(),
            writes: node.output.stored().to_string(),
            groups: step.groups,
            threads: kernel.threads,
            repeats: *repeats,
            median_ns: at(0.5),
            p10_ns: at(0.1),
            p90_ns: at(0.9),
            min_ns: at(0.0),
            p25_ns: at(0.25),
            bytes: costs().map(|cost| cost.bytes).sum(),
            float_ops: costs().map(|cost| cost.float_ops).sum(),
            bit_ops: costs().map(|cost| cost.bit_ops).sum(),
            dot_ops: costs().map(|cost| cost.dot_ops).sum(),
            matrix_ops: costs().map(|cost| cost.matrix_ops).sum(),
            bound: None,
            fraction_of_bound: None,
        }
    }
}

/// Returns the node that a step of a plan belongs to.
pub(super) fn node_of(plan: &Plan, step: usize) -> &PlanNode {
    let node = plan.nodes.iter().find(|node| node.steps.contains(&step));
    node.expect("every step belongs to a node")
}
