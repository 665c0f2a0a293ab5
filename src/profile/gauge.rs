//! Measuring a device's ceilings with the probes.
//!
//! Work grows until a launch takes milliseconds: first its rounds, then its groups, as long as more groups compute faster. Then launches of one and of two
//! such amounts take turns, so that noise meets both alike.
//!
//! **Invariant:** no launch is longer than a display's frame by design: work grows by small factors, from next to nothing, and stops well before.
//! **Invariant:** the best sustained rate counts: that of the tenth percentile of the longer launches.

use super::bound::rounded;
use super::ceilings::{Ceiling, Ceilings, Copy};
use super::measure::{gcd, quantile};
use super::probes::Probe;
use crate::backend::{Backend, Clock, Grain, PlanId};
use crate::error::{Error, Result};
use std::time::Duration;
use web_time::Instant;

/// What a launch should take at least, and at most. Twice as much is done in turn.
const SPAN_NS: [f64; 2] = [2e6, 6e6];
/// Steps of the clock that a launch should span, within these limits.
const QUANTA: f64 = 50.0;
/// Rounds at most; of launches, half of what a command buffer should hold.
const MOST_ROUNDS: u32 = 1 << 22;
const MOST_LAUNCHES: u32 = 1 << 13;
/// Rounds at least, so that they and not the beginning and end of the kernel are measured; unless a launch is too long already.
const FEWEST_ROUNDS: u32 = 8;
const TOO_LONG_NS: f64 = 7e6;
/// Groups to begin with, and at most: a software driver has two threads, a large GPU holds a thousand groups at once.
const GROUPS: [u32; 2] = [2, 2048];
/// What more groups must win to be worth it.
const GAIN: f64 = 1.05;
/// Launches of each length.
const SAMPLES: usize = 9;
/// Measurements more, where one is not plausible, and for how long there may be such.
const AGAIN: usize = 3;
const PATIENCE: Duration = Duration::from_millis(2500);
/// Working sets of copies. The last is for devices faster than `FAST`, whose caches hold the others.
const COPIES: [u64; 4] = [1 << 20, 8 << 20, 64 << 20, 256 << 20];
const FAST: f64 = 100e9;

impl Ceilings {
    /// Measures a backend's device, in some seconds. Give it a backend of its own: its memory is in use afterwards, and a driver may fail on a probe.
    /// A probe for what few kernels need (half floats, packed dot products, cooperative matrices) that a driver fails on has no ceiling.
    ///
    /// # Errors
    /// When the backend is that of the CPU, which has no kernels, or the device is lost.
    pub async fn measure(backend: &mut dyn Backend) -> Result<Self> {
        let mut gauge =
            Gauge { backend, clock: Clock::Device, steps: Steps::default(), copied: 0, begun: Instant::now() };
        gauge.look().await?;
        let launch = gauge.ceiling(Probe::Launch).await?;
        let mut copy: Vec<Copy> = Vec::new();
        for working_set_bytes in COPIES {
            let probe = Probe::Copy(working_set_bytes);
            let wanted = working_set_bytes < COPIES[3] || copy.last().is_some_and(|last| last.ceiling.value > FAST);
            if wanted && probe.offered(gauge.backend.caps()) {
                copy.push(Copy { working_set_bytes, ceiling: gauge.ceiling(probe).await? });
            }
        }
        let float = gauge.ceiling(Probe::Float).await?;
        let bit = gauge.ceiling(Probe::Bit).await?;
        let workgroup = gauge.ceiling(Probe::Workgroup).await?;
        // What a driver may fail on comes last.
        let half = gauge.optional(Probe::Half).await;
        let dot = gauge.optional(Probe::Dot).await;
        let matrix = match gauge.backend.caps().coop {
            Some(coop) => gauge.optional(Probe::Matrix(coop)).await,
            None => None,
        };
        Ok(Self { copy, float, half, bit, dot, matrix, workgroup, launch })
    }
}

/// What a clock's readings show of its steps.
#[derive(Default)]
struct Steps {
    last: Option<u64>,
    divisor: u64,
    tick_ns: f64,
}

impl Steps {
    fn see(&mut self, reading: u64) {
        let last = self.last.replace(reading).unwrap_or(reading);
        self.divisor = gcd(self.divisor, reading.abs_diff(last));
    }

    fn quantum_ns(&self) -> f64 {
        self.divisor as f64 * self.tick_ns
    }
}

/// A number without the digits that would be noise.
fn five_digits(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

struct Gauge<'a> {
    backend: &'a mut dyn Backend,
    clock: Clock,
    /// Of the device's clock; of the host's, what an empty submission takes is its step.
    steps: Steps,
    /// `vec4`s that copies have moved: the next goes on there.
    copied: u32,
    begun: Instant,
}

/// A probe that is loaded.
#[derive(Clone, Copy)]
struct Loaded {
    probe: Probe,
    id: PlanId,
    groups: u32,
}

/// A probe with as much work as takes long enough.
struct Fitted {
    loaded: Loaded,
    rounds: u32,
    rate: f64,
}

/// How long a launch took by the chosen clock, and the host's opinion, which includes submitting and hearing of it.
struct Span {
    ns: f64,
    host_ns: f64,
}

impl Gauge<'_> {
    async fn load(&mut self, probe: Probe, groups: u32) -> Result<Loaded> {
        let plan = probe.plan(self.backend.caps(), groups);
        let id = self.backend.load(plan).await?;
        let operands = probe.operands();
        if !operands.is_empty() {
            self.backend.write(id, &probe.port("x"), &operands);
        }
        Ok(Loaded { probe, id, groups })
    }

    async fn span(&mut self, loaded: Loaded, rounds: u32) -> Result<Span> {
        let Loaded { probe, id, groups } = loaded;
        self.backend.write(id, &probe.port("work"), &probe.work(rounds, self.copied));
        if let Probe::Copy(_) = probe {
            self.copied = self.copied.wrapping_add((probe.amount(groups, rounds) / 32) as u32);
        }
        let repeats = if probe == Probe::Launch { rounds } else { 1 };
        let run = self.backend.run_timed(id, &[repeats], self.clock, Grain::Launch).await?;
        self.clock = run.clock;
        let (Some(stamp), Some(host)) = (run.stamps.first(), run.host.first()) else {
            let message = "the CPU backend has no kernels, so it has no ceilings to measure; choose an adapter";
            return Err(Error::Device(message.to_string()));
        };
        if self.clock == Clock::Device {
            self.steps.tick_ns = run.tick_ns;
            self.steps.see(stamp.begin);
            self.steps.see(stamp.end);
        }
        let host_ns = (host.done - host.encoded).as_nanos() as f64;
        Ok(Span { ns: (stamp.end - stamp.begin) as f64 * run.tick_ns, host_ns })
    }

    /// Finds out whose clock moves, and by what steps.
    async fn look(&mut self) -> Result<()> {
        let launch = self.load(Probe::Launch, 1).await?;
        for rounds in [1, 1, 3, 5, 17, 40, 3, 9] {
            self.span(launch, rounds).await?;
        }
        if self.clock == Clock::Host || self.steps.divisor == 0 { self.ask_the_host(launch).await } else { Ok(()) }
    }

    /// Goes over to the host's clock.
    async fn ask_the_host(&mut self, any: Loaded) -> Result<()> {
        self.clock = Clock::Host;
        let mut empty = Vec::new();
        for _ in 0..5 {
            let run = self.backend.run_timed(any.id, &[0], Clock::Host, Grain::Launch).await?;
            empty.extend(run.stamps.iter().map(|stamp| (stamp.end - stamp.begin) as f64 * run.tick_ns));
        }
        self.steps = Steps { last: None, divisor: quantile(&mut empty, 0.5).max(1.0) as u64, tick_ns: 1.0 };
        Ok(())
    }

    /// What one launch should take.
    fn wanted_ns(&self) -> f64 {
        (QUANTA * self.steps.quantum_ns()).clamp(SPAN_NS[0], SPAN_NS[1])
    }

    /// As many rounds as take long enough, from `rounds` on.
    async fn fit(&mut self, probe: Probe, groups: u32, mut rounds: u32) -> Result<Fitted> {
        let loaded = self.load(probe, groups).await?;
        let most = if probe == Probe::Launch { MOST_LAUNCHES } else { MOST_ROUNDS };
        // Drivers compile during the first.
        self.span(loaded, 1).await?;
        loop {
            let [one, two] = [self.span(loaded, rounds).await?, self.span(loaded, rounds).await?];
            let Span { ns, host_ns } = if one.ns < two.ns { one } else { two };
            let wanted = self.wanted_ns();
            if ns == 0.0 && host_ns > wanted && self.clock == Clock::Device {
                // A clock that moves, but not while the device works.
                self.ask_the_host(loaded).await?;
                rounds = 1;
            } else if ns >= TOO_LONG_NS || (ns >= 0.7 * wanted && rounds >= FEWEST_ROUNDS) || rounds >= most {
                let rate = probe.amount(groups, rounds) as f64 / ns.max(1.0);
                return Ok(Fitted { loaded, rounds, rate });
            } else {
                let factor = (wanted / ns.max(1.0)).clamp(1.5, 4.0);
                rounds = ((f64::from(rounds) * factor).ceil() as u32).min(most);
            }
        }
    }

    async fn sample(&mut self, fitted: &Fitted) -> Result<Ceiling> {
        let Fitted { loaded, rounds, .. } = *fitted;
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            once.push(self.span(loaded, rounds).await?.ns);
            twice.push(self.span(loaded, 2 * rounds).await?.ns);
        }
        let amount = loaded.probe.amount(loaded.groups, 2 * rounds) as f64;
        let [best, median, worst] = [0.1, 0.5, 0.9].map(|share| quantile(&mut twice, share));
        let value = if loaded.probe == Probe::Launch { best / amount } else { amount / best * 1e9 };
        // Noise only ever slows: the fast ones tell most.
        let doubling = best / quantile(&mut once, 0.1).max(1.0);
        Ok(Ceiling { value: five_digits(value), spread: rounded((worst - best) / median), doubling: rounded(doubling) })
    }

    async fn ceiling(&mut self, probe: Probe) -> Result<Ceiling> {
        let mut fitted = self.fit(probe, if probe == Probe::Launch { 1 } else { GROUPS[0] }, 1).await?;
        // With few rounds the device is slow, and has enough to do.
        while probe != Probe::Launch && fitted.loaded.groups < GROUPS[1] && fitted.rounds >= 4 * FEWEST_ROUNDS {
            let wider = self.fit(probe, 4 * fitted.loaded.groups, fitted.rounds / 4).await?;
            if wider.rate < GAIN * fitted.rate {
                break;
            }
            fitted = wider;
        }
        let mut best = self.sample(&fitted).await?;
        for _ in 0..AGAIN {
            if best.plausible() || self.begun.elapsed() > PATIENCE {
                break;
            }
            let again = self.sample(&fitted).await?;
            // The fastest of all is nearest to the ceiling, whichever of them is the soundest.
            let faster = if probe == Probe::Launch { f64::min } else { f64::max };
            let value = faster(best.value, again.value);
            best = Ceiling { value, ..if again.error() < best.error() { again } else { best } };
        }
        log::debug!("{probe:?}: {} groups, {} rounds: {best:?}", fitted.loaded.groups, fitted.rounds);
        match best.value.is_finite() && best.value > 0.0 {
            true => Ok(best),
            false => Err(Error::Device(format!("the device's clock shows no time for {probe:?}"))),
        }
    }

    async fn optional(&mut self, probe: Probe) -> Option<Ceiling> {
        if !probe.offered(self.backend.caps()) {
            return None;
        }
        let ceiling = self.ceiling(probe).await;
        ceiling.inspect_err(|error| log::warn!("{probe:?} has no ceiling on this device: {error}")).ok()
    }
}
