//! Timed steps as a file in the Trace Event Format, for chrome://tracing and Perfetto: what the
//! host encodes, submits and uploads, and what the device executes, on one time line.
//!
//! WebGPU does not relate the two clocks. But no launch starts before it was submitted, and none
//! ends after its completion was reported: over all submissions, these bounds enclose the offset
//! between the clocks. The file uses the smallest possible offset, and states the maximum error.

use super::{Launch, Measurement, Profile};
use crate::backend::{Clock, HostTimes, Stamp};
use serde_json::{Value, json};
use web_time::Instant;

const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// Offset to add to device times to obtain host times, in nanoseconds, and how much larger it could
/// be.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Offset {
    ns: f64,
    slack_ns: f64,
}

/// Returns the nanoseconds since `origin`.
fn since(origin: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(origin).as_nanos() as f64
}

/// Returns the offset that places the launches of every submission between its submission and its
/// completion.
fn offset<'a>(submissions: impl Iterator<Item = (&'a HostTimes, [f64; 2])>, origin: Instant) -> Offset {
    let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
    for (host, [begin, end]) in submissions {
        least = least.max(since(origin, host.encoded) - begin);
        most = most.min(since(origin, host.done) - end);
    }
    if least.is_finite() {
        Offset { ns: least, slack_ns: (most - least).max(0.0) }
    } else {
        Offset { ns: 0.0, slack_ns: 0.0 }
    }
}

fn event(name: &str, row: u32, times: [f64; 2], args: Value) -> Value {
    let [begin, end] = times.map(f64::round);
    // The unit of the format is a microsecond. One nanosecond is subtracted, because otherwise an
    // event that follows immediately could start before this one has ended, after rounding, and
    // viewers would treat it as nested.
    let duration = (end - begin - 1.0).max(0.0);
    json!({ "name": name, "ph": "X", "pid": 1, "tid": row, "ts": begin / 1e3, "dur": duration / 1e3, "args": args })
}

fn launch_event(launch: &Launch, times: [f64; 2]) -> Value {
    let phase = serde_json::to_value(launch.phase).unwrap_or_default();
    let mut event = event(
        &launch.kernel,
        DEVICE,
        times,
        json!({
            "layer": launch.layer, "phase": phase, "step": launch.step, "repeats": launch.repeats, "groups": launch.groups,
            "writes": launch.writes, "bytes": launch.bytes, "float_ops": launch.float_ops, "bit_ops": launch.bit_ops,
            "median_ns": launch.median_ns, "bound": launch.bound, "fraction_of_bound": launch.fraction_of_bound,
        }),
    );
    event["cat"] = phase;
    event
}

/// Returns the last timed steps of a measurement as JSON; `profile` must be derived from the same
/// measurement.
pub fn trace(profile: &Profile, measurement: &Measurement) -> String {
    let rounds = &measurement.rounds;
    let begins = rounds.iter().flat_map(|round| {
        round.uploads.iter().map(|upload| upload.begun).chain(round.run.host.iter().map(|host| host.begun))
    });
    let origin = begins.min().unwrap_or_else(Instant::now);
    let ns = |stamp: &Stamp, tick_ns: f64| [stamp.begin, stamp.end].map(|ticks| ticks as f64 * tick_ns);
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
    let offset = offset(submissions, origin);

    let name = |what: &str, row: u32, name: &str| json!({ "name": what, "ph": "M", "pid": 1, "tid": row, "args": { "name": name } });
    let mut events = vec![
        name("process_name", HOST, &format!("halfwave · {} · batch {}", profile.recipe, profile.batch)),
        name("thread_name", HOST, "host"),
        name("thread_name", DEVICE, &profile.device.adapter),
    ];
    for (index, round) in rounds.iter().enumerate() {
        for upload in &round.uploads {
            let times = [upload.begun, upload.done].map(|at| since(origin, at));
            events.push(event(&format!("upload {}", upload.port), HOST, times, json!({ "bytes": upload.bytes })));
        }
        for host in &round.run.host {
            let [begun, encoded, submitted, done] =
                [host.begun, host.encoded, host.submitted, host.done].map(|at| since(origin, at));
            let args = json!({ "round": index, "steps": [host.steps.start, host.steps.end] });
            // On the CPU backend the host is the device.
            if begun < encoded {
                events.push(event("encode", HOST, [begun, encoded], args.clone()));
                events.push(event("submit", HOST, [encoded, submitted], args.clone()));
                events.push(event("wait", HOST, [submitted, done], args));
            }
        }
        for (stamp, launch) in round.run.stamps.iter().zip(&profile.launches) {
            let host = round.run.host.iter().find(|host| host.steps.start == stamp.steps.start);
            let times = match (round.run.clock, host) {
                (Clock::Host, Some(host)) => [host.encoded, host.done].map(|at| since(origin, at)),
                _ => ns(stamp, round.run.tick_ns).map(|ns| ns + offset.ns),
            };
            events.push(launch_event(launch, times));
        }
    }
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    let about = json!({
        "halfwave": profile.halfwave, "device": profile.device, "timer": profile.timer, "uninstrumented_step_ns": profile.step_ns,
        "clock_offset_may_be_more_by_ns": offset.slack_ns.round(),
    });
    format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
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
        let found = offset([(&a, [8e3, 18e3]), (&b, [37e3, 47e3])].into_iter(), origin);
        assert_eq!(found, Offset { ns: 3e3, slack_ns: 6e3 });
        assert!((found.ns..=found.ns + found.slack_ns).contains(&5e3), "the true offset is enclosed");
        assert_eq!(offset(std::iter::empty(), origin), Offset { ns: 0.0, slack_ns: 0.0 });
    }
}
