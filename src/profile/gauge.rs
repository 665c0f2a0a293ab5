//! Measurement of a device's peaks with the probes.
//!
//! The work grows until a launch takes milliseconds: first its rounds, then its workgroups, as long
//! as more workgroups increase the rate. Then launches of one and of two such amounts alternate, so
//! that noise affects both equally.
//!
//! **Invariant:** by design no launch is longer than a display frame: the work grows by small
//! factors, from almost nothing, and stops well before.
//! **Invariant:** the result is the best sustained rate: that of the 10th percentile of the longer
//! launches.

use super::bound::rounded;
use super::ceilings::{Ceiling, Copy, DevicePeaks};
use super::measure::{gcd, quantile};
use super::probes::Probe;
use crate::backend::{Backend, Clock, Grain, PlanId};
use crate::error::{Error, Result};
use std::time::Duration;
use web_time::Instant;

/// Minimum and maximum duration of a launch. Launches of twice the work are measured as well.
const SPAN_NS: [f64; 2] = [2e6, 6e6];
/// Number of clock quanta that a launch should span, within these limits.
const QUANTA: f64 = 50.0;
/// Maximum number of rounds; the maximum number of launches is half of what a command buffer should
/// contain.
const MOST_ROUNDS: u32 = 1 << 22;
const MOST_LAUNCHES: u32 = 1 << 13;
/// Minimum number of rounds, so that they dominate over the prologue and epilogue of the kernel,
/// unless a launch is already too long.
const FEWEST_ROUNDS: u32 = 8;
const TOO_LONG_NS: f64 = 7e6;
/// Initial and maximum number of workgroups: a software driver has two threads, a large GPU
/// executes a thousand workgroups at once.
const GROUPS: [u32; 2] = [2, 2048];
/// Minimum gain for which the number of workgroups is increased.
const GAIN: f64 = 1.05;
/// Number of launches of each length.
const SAMPLES: usize = 9;
/// Number of further measurements if a result is not plausible, and the time limit for them.
const AGAIN: usize = 3;
const PATIENCE: Duration = Duration::from_millis(2500);
/// Working sets of copies. The last one is for devices faster than `FAST`, whose caches contain the
/// others.
const COPIES: [u64; 4] = [1 << 20, 8 << 20, 64 << 20, 256 << 20];
const FAST: f64 = 100e9;

impl DevicePeaks {
    /// Measures a backend's device, which takes a few seconds.
    ///
    /// Use a separate backend for this: its memory remains allocated, and a driver may fail on a
    /// probe. If a driver fails on a probe that few kernels need (half floats, packed dot products,
    /// cooperative matrices), its peak is `None`.
    ///
    /// # Errors
    ///
    /// Returns an error for the CPU backend, which has no kernels, or if the device is lost.
    pub async fn measure(backend: &mut dyn Backend) -> Result<Self> {
        let mut gauge = PeakMeasurement {
            backend,
            clock: Clock::Device,
            steps: Steps::default(),
            copied: 0,
            begun: Instant::now(),
        };
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
        // Probes that a driver may fail on come last.
        let half = gauge.optional(Probe::Half).await;
        let dot = gauge.optional(Probe::Dot).await;
        let matrix = match gauge.backend.caps().coop {
            Some(coop) => gauge.optional(Probe::Matrix(coop)).await,
            None => None,
        };
        Ok(Self { copy, float, half, bit, dot, matrix, workgroup, launch })
    }
}

/// The quantum of a clock, as observed in its readings.
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

/// Rounds to five digits, without those that would be noise.
fn five_digits(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

struct PeakMeasurement<'a> {
    backend: &'a mut dyn Backend,
    clock: Clock,
    /// The quantum of the device's clock; for the host's clock, the duration of an empty
    /// submission.
    steps: Steps,
    /// Number of `vec4`s that copies have moved; the next copy continues there.
    copied: u32,
    begun: Instant,
}

/// A loaded probe.
#[derive(Clone, Copy)]
struct Loaded {
    probe: Probe,
    id: PlanId,
    groups: u32,
}

/// A probe with an amount of work that takes long enough.
struct Fitted {
    loaded: Loaded,
    rounds: u32,
    rate: f64,
}

/// Duration of a launch by the chosen clock, and by the host's clock, which includes submission and
/// completion.
struct Span {
    ns: f64,
    host_ns: f64,
}

impl PeakMeasurement<'_> {
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
            let message = "the CPU backend has no kernels, so there are no peaks to measure; choose an adapter";
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

    /// Determines which clock advances, and its quantum.
    async fn look(&mut self) -> Result<()> {
        let launch = self.load(Probe::Launch, 1).await?;
        for rounds in [1, 1, 3, 5, 17, 40, 3, 9] {
            self.span(launch, rounds).await?;
        }
        if self.clock == Clock::Host || self.steps.divisor == 0 { self.ask_the_host(launch).await } else { Ok(()) }
    }

    /// Switches to the host's clock.
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

    /// Returns the desired duration of one launch.
    fn wanted_ns(&self) -> f64 {
        (QUANTA * self.steps.quantum_ns()).clamp(SPAN_NS[0], SPAN_NS[1])
    }

    /// Finds a number of rounds that takes long enough, starting at `rounds`.
    async fn fit(&mut self, probe: Probe, groups: u32, mut rounds: u32) -> Result<Fitted> {
        let loaded = self.load(probe, groups).await?;
        let most = if probe == Probe::Launch { MOST_LAUNCHES } else { MOST_ROUNDS };
        // The first launch includes compilation by the driver.
        self.span(loaded, 1).await?;
        loop {
            let [one, two] = [self.span(loaded, rounds).await?, self.span(loaded, rounds).await?];
            let Span { ns, host_ns } = if one.ns < two.ns { one } else { two };
            let wanted = self.wanted_ns();
            if ns == 0.0 && host_ns > wanted && self.clock == Clock::Device {
                // The clock advances, but not while the device works.
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
        // Noise only slows launches down, so the fast ones are the most reliable.
        let doubling = best / quantile(&mut once, 0.1).max(1.0);
        Ok(Ceiling { value: five_digits(value), spread: rounded((worst - best) / median), doubling: rounded(doubling) })
    }

    async fn ceiling(&mut self, probe: Probe) -> Result<Ceiling> {
        let mut fitted = self.fit(probe, if probe == Probe::Launch { 1 } else { GROUPS[0] }, 1).await?;
        // If few rounds suffice, the device is slow and fully occupied.
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
            // The fastest is closest to the peak, whichever measurement is the soundest.
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
        ceiling.inspect_err(|error| log::warn!("{probe:?} cannot be measured on this device: {error}")).ok()
    }
}
