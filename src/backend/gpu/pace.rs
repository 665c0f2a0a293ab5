//! Pacing: limits the number of dispatches per submission, so that no submission occupies a GPU
//! much longer than a display frame.
//!
//! Browsers share the GPU with the page and terminate a device whose submission takes too long.
//! Durations are measured with timestamps at both ends of a submission's pass. In a browser without
//! timestamps, or with timestamps that are zero, they are measured with the clock, from the
//! earliest possible start to completion, which is never too short.
//!
//! **Invariant:** pacing changes when commands are submitted, but neither the commands nor their
//! order.

use crate::backend::{PlanId, Submission, Timer, Timing};
use crate::kernel::Cost;
use crate::plan::Plan;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use web_time::Instant;

/// Time limit for a submission.
const BUDGET_NS: f64 = 16e6;
/// Target duration of a submission, with a margin for errors of the estimates.
pub(super) const AIM_NS: f64 = 0.75 * BUDGET_NS;
/// Most measurements in flight.
const PROBES: usize = 8;
/// Number of runs of a plan that are all measured, from the second on; afterwards one run in this
/// many.
const MEASURED_RUNS: u64 = 16;
/// Number of measurements covered by [`Timing::longest_ns`].
const RECENT: usize = 64;
/// Number of measured submissions kept until they are retrieved.
const TRACED: usize = 1024;

/// Two timestamps in transfer to the host.
struct Probe {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

/// Estimates and measurements so far.
struct Known {
    /// Estimated durations of the steps of each plan.
    plans: Vec<Vec<f64>>,
    runs: Vec<u64>,
    free: Vec<usize>,
    submissions: u64,
    recent: VecDeque<f64>,
    over_budget: u64,
    trace: VecDeque<Submission>,
    last_done: Instant,
}

impl Known {
    fn new() -> Self {
        Self {
            plans: Vec::new(),
            runs: Vec::new(),
            free: (0..PROBES).collect(),
            submissions: 0,
            recent: VecDeque::new(),
            over_budget: 0,
            trace: VecDeque::new(),
            last_done: Instant::now(),
        }
    }

    /// Returns the end of the submission that begins with step `from`, if step i is executed
    /// `repeats(i)` times.
    fn cut(&self, plan: usize, from: usize, repeats: impl Fn(usize) -> u32) -> usize {
        let mut sum = 0.0;
        let fits = self.plans[plan].iter().enumerate().skip(from).take_while(|&(step, &ns)| {
            sum += ns * f64::from(repeats(step));
            sum <= AIM_NS
        });
        from + fits.count().max(1)
    }

    /// Records that a submission took `ns`: the estimates of its steps are scaled in proportion.
    fn observe(&mut self, plan: usize, steps: Range<usize>, ns: f64) {
        let estimates = &mut self.plans[plan][steps.clone()];
        let factor = ns / estimates.iter().sum::<f64>().max(1.0);
        estimates.iter_mut().for_each(|estimate| *estimate = (*estimate * factor).max(1.0));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(ns);
        self.over_budget += u64::from(ns > BUDGET_NS);
        if self.trace.len() == TRACED {
            self.trace.pop_front();
        }
        self.trace.push_back(Submission { plan: PlanId(plan), steps, ns: ns as u64 });
    }
}

/// A measurement of the submission that is being recorded.
pub(super) struct Ticket {
    probe: usize,
    plan: usize,
    steps: Range<usize>,
}

/// Divides runs of plans into submissions.
pub(super) struct Pacer {
    probes: Vec<Arc<Probe>>,
    period_ns: f64,
    known: Arc<Mutex<Known>>,
}

impl Pacer {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let buffer = |usage| {
            let label = Some("timestamps");
            device.create_buffer(&wgpu::BufferDescriptor { label, size: 16, usage, mapped_at_creation: false })
        };
        let probe = |_| {
            let descriptor =
                wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: wgpu::QueryType::Timestamp, count: 2 };
            Arc::new(Probe {
                queries: device.create_query_set(&descriptor),
                resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
                staging: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            })
        };
        let timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let probes: Vec<_> = (0..if timestamps { PROBES } else { 0 }).map(probe).collect();
        let known = Known::new();
        Self { probes, period_ns: f64::from(queue.get_timestamp_period()), known: Arc::new(Mutex::new(known)) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Known) -> T) -> T {
        f(&mut self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Natively the clock is not used: it would show when the host polled, not when the device was
    /// done.
    fn timer(&self) -> Timer {
        match (self.probes.is_empty(), cfg!(target_arch = "wasm32")) {
            (false, _) => Timer::Timestamps,
            (true, true) => Timer::Completion,
            (true, false) => Timer::None,
        }
    }

    /// Disables measurements from now on.
    pub(super) fn measure_nothing(&mut self) {
        self.probes.clear();
    }

    /// Registers a loaded plan, with initial estimates for its steps that assume a slow device.
    pub(super) fn loaded(&self, plan: &Plan) {
        let guess = |cost: &Cost| 20e3 + cost.bytes as f64 + cost.float_ops as f64 + cost.bit_ops as f64 / 10.0;
        let estimates = plan.steps.iter().map(|step| guess(&step.cost)).collect();
        self.with(|known| {
            known.plans.push(estimates);
            known.runs.push(0);
        });
    }

    /// Registers a run of a plan, and returns whether it should be measured. The first run is not,
    /// because drivers compile during it.
    pub(super) fn begin(&self, plan: usize) -> bool {
        self.with(|known| {
            known.runs[plan] += 1;
            (2..=MEASURED_RUNS).contains(&known.runs[plan]) || known.runs[plan].is_multiple_of(MEASURED_RUNS)
        })
    }

    /// Returns the estimated duration of a run.
    pub(super) fn run_ns(&self, plan: usize) -> f64 {
        self.with(|known| known.plans[plan].iter().sum())
    }

    /// Returns the end of the submission that begins with step `from`.
    pub(super) fn cut(&self, plan: usize, from: usize) -> usize {
        self.with(|known| known.cut(plan, from, |_| 1))
    }

    /// Like [`Self::cut`], for a run whose steps are repeated.
    pub(super) fn cut_repeated(&self, plan: usize, from: usize, repeats: &[u32]) -> usize {
        self.with(|known| known.cut(plan, from, |step| repeats[step]))
    }

    /// Whether the device supports timestamps, whether or not they are valid.
    pub(super) fn stamps(&self) -> bool {
        !self.probes.is_empty()
    }

    /// Returns the length of a tick of the device's clock.
    pub(super) fn tick_ns(&self) -> f64 {
        self.period_ns
    }

    /// Starts a measurement of a submission, if one is available.
    pub(super) fn ticket(&self, plan: usize, steps: Range<usize>) -> Option<Ticket> {
        if self.timer() == Timer::None {
            return None;
        }
        let probe = self.with(|known| known.free.pop())?;
        Some(Ticket { probe, plan, steps })
    }

    fn probe(&self, ticket: &Ticket) -> Option<&Arc<Probe>> {
        self.probes.get(ticket.probe)
    }

    /// Returns the timestamps that the pass must write.
    pub(super) fn writes(&self, ticket: Option<&Ticket>) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let query_set = &self.probe(ticket?)?.queries;
        Some(wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        })
    }

    /// Records the commands that must follow the pass.
    pub(super) fn resolve(&self, ticket: Option<&Ticket>, encoder: &mut wgpu::CommandEncoder) {
        if let Some(probe) = ticket.and_then(|ticket| self.probe(ticket)) {
            encoder.resolve_query_set(&probe.queries, 0..2, &probe.resolved, 0);
            encoder.copy_buffer_to_buffer(&probe.resolved, 0, &probe.staging, 0, 16);
        }
    }

    /// Collects the measurements of a submission in flight, without blocking.
    pub(super) fn submitted(&self, tickets: Vec<Ticket>, queue: &wgpu::Queue) {
        self.with(|known| known.submissions += 1);
        tickets.into_iter().for_each(|ticket| self.await_measurement(ticket, queue));
    }

    fn await_measurement(&self, ticket: Ticket, queue: &wgpu::Queue) {
        let (known, submitted, period_ns) = (self.known.clone(), Instant::now(), self.period_ns);
        let probe = self.probe(&ticket).cloned();
        let done = move |stamps: Option<[u64; 2]>| {
            let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let (now, begun) = (Instant::now(), submitted.max(known.last_done));
            known.last_done = now;
            known.free.push(ticket.probe);
            let ticks = stamps.map_or(0, |[begin, end]| end.saturating_sub(begin));
            let clock_ns = (now - begun).as_nanos() as f64;
            let stamped_ns = ticks as f64 * period_ns;
            // Some drivers return zeros, and a browser may round a short pass down to zero.
            if stamped_ns > 0.0 {
                known.observe(ticket.plan, ticket.steps, stamped_ns);
            } else if cfg!(target_arch = "wasm32") {
                known.observe(ticket.plan, ticket.steps, clock_ns);
            }
        };
        match probe {
            Some(probe) => {
                let read = probe.clone();
                probe.staging.map_async(wgpu::MapMode::Read, 0..16, move |mapped| {
                    let stamps = mapped.ok().and_then(|()| {
                        let view = read.staging.get_mapped_range(0..16).ok()?;
                        let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
                        Some([stamps[0], stamps[1]])
                    });
                    read.staging.unmap();
                    done(stamps);
                });
            }
            None => queue.on_submitted_work_done(move || done(None)),
        }
    }

    /// Returns the measurements.
    pub(super) fn timing(&self) -> Timing {
        self.with(|known| Timing {
            timer: self.timer(),
            submissions: known.submissions,
            longest_ns: known.recent.iter().fold(0.0, |longest: f64, &ns| longest.max(ns)) as u64,
            over_budget: known.over_budget,
            budget_ns: BUDGET_NS as u64,
        })
    }

    /// Returns the submissions measured since the last call.
    pub(super) fn trace(&self) -> Vec<Submission> {
        self.with(|known| known.trace.drain(..).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(estimates: Vec<f64>) -> Known {
        Known { plans: vec![estimates], runs: vec![0], ..Known::new() }
    }

    /// Returns the submissions of a run on a device that takes `true_ns` for its steps.
    fn run(known: &mut Known, true_ns: &[f64]) -> Vec<Range<usize>> {
        let (mut all, mut from) = (Vec::new(), 0);
        while from < true_ns.len() {
            let steps = from..known.cut(0, from, |_| 1);
            from = steps.end;
            known.observe(0, steps.clone(), true_ns[steps.clone()].iter().sum());
            all.push(steps);
        }
        all
    }

    #[test]
    fn submissions_come_to_fit_the_budget() {
        // A slow device with two steps that cannot be divided; every estimate is far off.
        let true_ns: Vec<f64> = (0..60).map(|i| if i % 30 == 7 { 40e6 } else { 1e6 + 1e5 * i as f64 }).collect();
        let mut known = known(vec![50.0; 60]);
        assert_eq!(run(&mut known, &true_ns).len(), 1, "an optimist's first run is one submission");
        for _ in 0..10 {
            run(&mut known, &true_ns);
        }
        let settled = run(&mut known, &true_ns);
        for steps in &settled {
            let ns: f64 = true_ns[steps.clone()].iter().sum();
            assert!(ns <= BUDGET_NS || steps.len() == 1, "{steps:?} takes {ns} ns");
        }
        assert!(settled.len() < 30, "{} submissions for 60 steps", settled.len());
        assert!(settled.windows(2).all(|pair| pair[0].end == pair[1].start), "every step runs once, in order");
    }

    #[test]
    fn a_fast_device_gets_whole_runs() {
        let true_ns = [1e4; 60];
        let mut known = known(vec![2e6; 60]);
        assert!(run(&mut known, &true_ns).len() > 1, "a pessimist begins with small pieces");
        assert_eq!(run(&mut known, &true_ns).len(), 1);
        assert_eq!(known.trace.len(), known.recent.len());
    }
}
