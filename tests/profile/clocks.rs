//! Devices with clocks of every quality: a backend that computes nothing and takes known times.

use halfwave::backend::{Backend, Clock, Device, Grain, HostTimes, LocalFuture, PlanId, Stamp, TimedRun};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::error::Result;
use halfwave::plan::Plan;
use halfwave::profile::{Profile, Quality, measure};
use pollster::block_on;
use std::time::{Duration, Instant};

/// The behaviour of the device's timestamps.
#[derive(Clone, Copy, PartialEq)]
enum Stamps {
    Every(u64),
    Still,
    None,
}

/// Overhead of a submission by the host's clock.
const SUBMISSION_NS: u64 = 30_000;

struct Clockwork {
    caps: Caps,
    plan: Option<Plan>,
    stamps: Stamps,
    now_ns: u64,
    epoch: Instant,
}

/// Returns the duration of step i, from 2 µs to 3 ms.
fn true_ns(step: usize) -> u64 {
    let step = step as u64;
    2_001 + (step * 7919 % 60).pow(2) * 850 + step * step
}

impl Backend for Clockwork {
    fn name(&self) -> &str {
        "clockwork"
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>> {
        // Only backends create ids: the first one of the CPU backend is used.
        let mut cpu = halfwave::backend::cpu::CpuBackend::new();
        let id = block_on(cpu.load(plan.clone()));
        self.plan = Some(plan);
        Box::pin(async move { id })
    }

    fn plan(&self, _id: PlanId) -> &Plan {
        self.plan.as_ref().unwrap()
    }

    fn write(&mut self, _id: PlanId, _port: &str, _words: &[u32]) {}

    fn run_part(&mut self, _id: PlanId, _steps: std::ops::Range<usize>) -> Result<()> {
        Ok(())
    }

    fn read(&mut self, _id: PlanId, _port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn run_timed<'a>(
        &'a mut self,
        _id: PlanId,
        repeats: &'a [u32],
        clock: Clock,
        grain: Grain,
    ) -> LocalFuture<'a, Result<TimedRun>> {
        let clock = if self.stamps == Stamps::None { Clock::Host } else { clock };
        let mut run = TimedRun { clock, tick_ns: 0.5, stamps: Vec::new(), host: Vec::new() };
        let count = repeats.len();
        let pieces: Vec<_> = match grain {
            Grain::Launch => (0..count).map(|step| step..step + 1).collect(),
            Grain::Submission => std::iter::once(0..count).collect(),
        };
        for steps in pieces {
            let begin = self.now_ns;
            self.now_ns += steps.clone().map(|step| true_ns(step) * u64::from(repeats[step])).sum::<u64>();
            let stamp = |ns: u64| match (clock, self.stamps) {
                (Clock::Device, Stamps::Every(quantum)) => ns / quantum * quantum * 2,
                (Clock::Device, _) => 0,
                (Clock::Host, _) => ns * 2,
            };
            if clock == Clock::Host {
                self.now_ns += SUBMISSION_NS;
            }
            run.stamps.push(Stamp { steps: steps.clone(), begin: stamp(begin), end: stamp(self.now_ns) });
            let at = |ns| self.epoch + Duration::from_nanos(ns);
            let (begun, done) = (at(begin), at(self.now_ns));
            run.host.push(HostTimes { steps, begun, encoded: begun, submitted: begun, done });
        }
        self.now_ns += 12_345; // so that runs do not start on a quantum
        Box::pin(async move { Ok(run) })
    }

    fn finish(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

fn profile(stamps: Stamps) -> Profile {
    let caps = Caps::baseline(DeviceClass::Software);
    let mut backend = Clockwork { caps, plan: None, stamps, now_ns: 1_000_000_007, epoch: Instant::now() };
    let plan = super::plan("digits", 8);
    let id = block_on(backend.load(plan.clone())).unwrap();
    let measurement = block_on(measure(&mut backend, id, &[], 9, |_| ())).unwrap();
    let device =
        Device { adapter: "clockwork".into(), backend: "Vulkan".into(), driver: String::new(), kind: "other".into() };
    Profile::new("digits", 8, &plan, device, &measurement)
}

/// Returns the largest relative error of the launches' medians.
fn worst(profile: &Profile, overhead: impl Fn(u32) -> f64) -> f64 {
    let errors = profile.launches.iter().map(|launch| {
        let expected = true_ns(launch.step) as f64 + overhead(launch.repeats);
        (launch.median_ns.unwrap() as f64 - expected).abs() / expected
    });
    errors.fold(0.0, f64::max)
}

#[test]
fn an_exact_clock_is_believed() {
    let profile = profile(Stamps::Every(1));
    assert_eq!((profile.timer.quality, profile.timer.quantum_ns), (Quality::Exact, 1.0));
    assert!(profile.launches.iter().all(|launch| launch.repeats == 1));
    assert!(worst(&profile, |_| 0.0) < 1e-6);
    let sum: u64 = profile.launches.iter().map(|launch| true_ns(launch.step)).sum();
    assert_eq!((profile.step_ns, profile.launches_ns), (sum, sum));
}

#[test]
fn a_gpu_clock_of_some_ticks_is_exact() {
    let profile = profile(Stamps::Every(32));
    assert_eq!((profile.timer.quality, profile.timer.quantum_ns), (Quality::Exact, 32.0));
    assert!(worst(&profile, |_| 0.0) < 0.05, "{}", worst(&profile, |_| 0.0));
}

#[test]
fn a_coarse_clock_is_recognised_and_launches_are_repeated() {
    for quantum in [65_536, 100_000] {
        let profile = profile(Stamps::Every(quantum));
        assert_eq!((profile.timer.quality, profile.timer.quantum_ns), (Quality::Quantised, quantum as f64));
        for launch in &profile.launches {
            let span = launch.median_ns.unwrap() * u64::from(launch.repeats);
            assert!(span + quantum >= 20 * quantum, "{launch:?} spans {span} ns");
        }
        assert!(worst(&profile, |_| 0.0) < 0.06, "{}", worst(&profile, |_| 0.0));
    }
}

#[test]
fn timestamps_that_stand_still_are_not_believed() {
    for (stamps, quality) in [(Stamps::Still, Quality::Zero), (Stamps::None, Quality::Absent)] {
        let profile = profile(stamps);
        assert_eq!(profile.timer.quality, quality);
        assert!(profile.timer.by_host());
        assert_eq!(profile.timer.quantum_ns, SUBMISSION_NS as f64, "what an empty submission takes");
        assert!(worst(&profile, |repeats| SUBMISSION_NS as f64 / f64::from(repeats)) < 1e-3);
        assert!(worst(&profile, |_| 0.0) < 0.06, "repeats leave little of what a submission costs");
        assert_eq!(profile.step_ns, profile.wall_ns, "there is no clock on the device");
    }
}

#[test]
fn what_a_clock_cannot_see_has_no_time() {
    // A tick of ten minutes: nothing can be measured, however often it is repeated.
    let profile = profile(Stamps::Every(600_000_000_000));
    assert_eq!(profile.timer.quality, Quality::Zero, "such a clock stands still");
    assert!(
        profile.launches.iter().all(|launch| launch.median_ns.is_some_and(|ns| ns > 0)),
        "the host's clock sees it"
    );
}
