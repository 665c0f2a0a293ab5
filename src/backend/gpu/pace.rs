//! Pacing: how many dispatches go into one submission, so that none holds a GPU much longer than a frame of a display.
//!
//! Browsers share the GPU with the page and kill a device whose submission takes long. Durations are measured by timestamps
//! at both ends of a submission's pass; in a browser without them, or with one that returns zeros, by the clock from when it could
//! begin to when it was done, which is never too short.
//!
//! **Invariant:** pacing changes when commands are submitted, never which, nor their order.

use crate::backend::{PlanId, Submission, Timer, Timing};
use crate::kernel::Cost;
use crate::plan::Plan;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use web_time::Instant;

/// What a submission should take at most.
const BUDGET_NS: f64 = 16e6;
/// What it is made to take, since no estimate is exact.
pub(super) const AIM_NS: f64 = 0.75 * BUDGET_NS;
/// Measurements that can be under way.
const PROBES: usize = 8;
/// Runs of a plan that are measured from the second on, then one in so many.
const MEASURED_RUNS: u64 = 16;
/// Measurements that [`Timing::longest_ns`] looks back on.
const RECENT: usize = 64;
/// Measured submissions that are kept until somebody asks.
const TRACED: usize = 1024;

/// Two timestamps on their way to the host.
struct Probe {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

/// What is known so far.
struct Known {
    /// For each plan its steps' estimated durations.
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

    /// Where the submission that begins with step `from` should end, if step i is done `repeats(i)` times.
    fn cut(&self, plan: usize, from: usize, repeats: impl Fn(usize) -> u32) -> usize {
        let mut sum = 0.0;
        let fits = self.plans[plan].iter().enumerate().skip(from).take_while(|&(step, &ns)| {
            sum += ns * f64::from(repeats(step));
            sum <= AIM_NS
        });
        from + fits.count().max(1)
    }

    /// A submission took `ns`: its steps' estimates share the difference in proportion.
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

/// Cuts runs of plans into submissions.
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

    /// Natively there is no clock: it would show when somebody polled, not when the device was done.
    fn timer(&self) -> Timer {
        match (self.probes.is_empty(), cfg!(target_arch = "wasm32")) {
            (false, _) => Timer::Timestamps,
            (true, true) => Timer::Completion,
            (true, false) => Timer::None,
        }
    }

    /// From now on nothing is measured.
    pub(super) fn measure_nothing(&mut self) {
        self.probes.clear();
    }

    /// A plan was loaded: guesses at its steps, as if the device were slow.
    pub(super) fn loaded(&self, plan: &Plan) {
        let guess = |cost: &Cost| 20e3 + cost.bytes as f64 + cost.float_ops as f64 + cost.bit_ops as f64 / 10.0;
        let estimates = plan.steps.iter().map(|step| guess(&step.cost)).collect();
        self.with(|known| {
            known.plans.push(estimates);
            known.runs.push(0);
        });
    }

    /// A run of a plan begins: whether it should be measured. The first is not: drivers compile during it.
    pub(super) fn begin(&self, plan: usize) -> bool {
        self.with(|known| {
            known.runs[plan] += 1;
            (2..=MEASURED_RUNS).contains(&known.runs[plan]) || known.runs[plan].is_multiple_of(MEASURED_RUNS)
        })
    }

    /// What a run should take.
    pub(super) fn run_ns(&self, plan: usize) -> f64 {
        self.with(|known| known.plans[plan].iter().sum())
    }

    /// Where the submission that begins with step `from` should end.
    pub(super) fn cut(&self, plan: usize, from: usize) -> usize {
        self.with(|known| known.cut(plan, from, |_| 1))
    }

    /// The same for a run whose steps are repeated.
    pub(super) fn cut_repeated(&self, plan: usize, from: usize, repeats: &[u32]) -> usize {
        self.with(|known| known.cut(plan, from, |step| repeats[step]))
    }

    /// Whether the device has timestamps, true ones or not.
    pub(super) fn stamps(&self) -> bool {
        !self.probes.is_empty()
    }

    /// What a tick of the device's clock is.
    pub(super) fn tick_ns(&self) -> f64 {
        self.period_ns
    }

    /// A measurement of a submission, if one can be made.
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

    /// What the pass has to write.
    pub(super) fn writes(&self, ticket: Option<&Ticket>) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let query_set = &self.probe(ticket?)?.queries;
        Some(wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        })
    }

    /// What has to follow the pass.
    pub(super) fn resolve(&self, ticket: Option<&Ticket>, encoder: &mut wgpu::CommandEncoder) {
        if let Some(probe) = ticket.and_then(|ticket| self.probe(ticket)) {
            encoder.resolve_query_set(&probe.queries, 0..2, &probe.resolved, 0);
            encoder.copy_buffer_to_buffer(&probe.resolved, 0, &probe.staging, 0, 16);
        }
    }

    /// A submission is under way: waits for its measurements without blocking anything.
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
            // Some drivers return zeros, and a browser may round a short pass down to nothing.
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

    /// What was measured.
    pub(super) fn timing(&self) -> Timing {
        self.with(|known| Timing {
            timer: self.timer(),
            submissions: known.submissions,
            longest_ns: known.recent.iter().fold(0.0, |longest: f64, &ns| longest.max(ns)) as u64,
            over_budget: known.over_budget,
            budget_ns: BUDGET_NS as u64,
        })
    }

    /// The measured submissions since the last call.
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

    /// Submissions of a run on a device that takes `true_ns` for its steps.
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
        // A slow device with two steps that nothing can make shorter; every estimate is far off.
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
