//! The offset between the host's and the device's clock.
//!
//! WebGPU does not relate the two. But no launch starts before it was submitted, and none ends after
//! its completion was reported: over all submissions, these bounds enclose the offset. The smallest
//! possible offset is used, and the maximum error is stated.

use crate::backend::{Clock, HostTimes, Stamp};
use crate::profile::measure::Round;
use web_time::Instant;

/// Offset to add to device times to obtain host times, in nanoseconds, and how much larger it could
/// be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Offset {
    pub(super) ns: f64,
    pub(super) slack_ns: f64,
}

/// Returns the nanoseconds since `origin`.
pub(super) fn since(origin: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(origin).as_nanos() as f64
}

/// Returns the times of a stamp in nanoseconds of its own clock.
pub(super) fn ns(stamp: &Stamp, tick_ns: f64) -> [f64; 2] {
    [stamp.begin, stamp.end].map(|ticks| ticks as f64 * tick_ns)
}

impl Offset {
    /// Returns the offset for these runs, relative to `origin`.
    pub(super) fn of(rounds: &[Round], origin: Instant) -> Self {
        let by_device = rounds.iter().filter(|round| round.run.clock == Clock::Device);
        let submissions = by_device.flat_map(|round| {
            let run = &round.run;
            run.host.iter().filter_map(move |host| {
                let inside = |stamp: &&Stamp| host.steps.contains(&stamp.steps.start);
                let begin = run.stamps.iter().find(inside).map(|stamp| ns(stamp, run.tick_ns)[0])?;
                let end = run.stamps.iter().rev().find(inside).map(|stamp| ns(stamp, run.tick_ns)[1])?;
                Some((host, [begin, end]))
            })
        });
        Self::enclosing(submissions, origin)
    }

    /// Returns the offset that places the launches of every submission between its submission and
    /// its completion.
    fn enclosing<'a>(submissions: impl Iterator<Item = (&'a HostTimes, [f64; 2])>, origin: Instant) -> Self {
        let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
        for (host, [begin, end]) in submissions {
            least = least.max(since(origin, host.encoded) - begin);
            most = most.min(since(origin, host.done) - end);
        }
        if least.is_finite() {
            Self { ns: least, slack_ns: (most - least).max(0.0) }
        } else {
            Self { ns: 0.0, slack_ns: 0.0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_offset_puts_launches_inside_their_submissions() {
        let origin = Instant::now();
        let at = |us: u64| origin + Duration::from_micros(us);
        let host = |encoded, done| HostTimes {
            steps: 0..1,
            begun: at(encoded - 1),
            encoded: at(encoded),
            submitted: at(encoded + 1),
            done: at(done),
        };
        // The device's clock is 5 µs behind; launches start 3 and 2 µs after submission, and
        // completion is reported 4 and 9 µs later.
        let (a, b) = (host(10, 27), host(40, 61));
        let found = Offset::enclosing([(&a, [8e3, 18e3]), (&b, [37e3, 47e3])].into_iter(), origin);
        assert_eq!(found, Offset { ns: 3e3, slack_ns: 6e3 });
        assert!((found.ns..=found.ns + found.slack_ns).contains(&5e3), "the true offset is enclosed");
        assert_eq!(Offset::enclosing(std::iter::empty(), origin), Offset { ns: 0.0, slack_ns: 0.0 });
    }
}
