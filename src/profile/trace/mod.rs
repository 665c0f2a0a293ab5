//! Timed steps as a timeline: what the host encodes, submits and uploads, and what the device
//! executes.
//!
//! A [`Timeline`] is written in the Trace Event Format ([`Timeline::to_json`]) or in that of
//! Perfetto ([`Timeline::to_perfetto`]), with the same events.

mod clock;
mod json;
mod perfetto;
#[doc(hidden)] // for tests
pub mod proto;

use super::measure::Round;
use super::{Launch, Measurement, Profile};
use crate::backend::{Clock, TimedRun};
use crate::ops::Activity;
use clock::{Offset, since};
use serde_json::{Value, json};
use web_time::Instant;

/// The unit of an amount of memory.
const BYTES: &str = "bytes";

/// The last timed steps of a measurement.
#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    /// What was measured.
    title: String,
    /// Where it comes from, and how it was measured.
    about: Value,
    /// Titles of the tracks, by [`Track`].
    tracks: [String; 2],
    /// In order of execution, those of the two tracks mixed; a slice precedes those inside it.
    slices: Vec<Slice>,
    counters: Vec<Counter>,
    flows: Vec<Flow>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Track {
    Host,
    Device,
}

/// An event with a duration.
#[derive(Clone, PartialEq, Debug)]
struct Slice {
    track: Track,
    /// Number of slices around it.
    depth: usize,
    name: String,
    category: Option<String>,
    /// Begin and end, in nanoseconds since the first event of the timeline.
    ns: [u64; 2],
    /// An object.
    args: Value,
}

/// A value over time.
#[derive(Clone, PartialEq, Debug)]
struct Counter {
    name: &'static str,
    unit: &'static str,
    /// Times in nanoseconds, and values from then on.
    samples: Vec<(u64, f64)>,
}

/// An arrow between two slices, given by their indices.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Flow {
    name: &'static str,
    from: usize,
    to: usize,
}

/// A counter of what launches do per second.
struct Rate {
    name: &'static str,
    unit: &'static str,
    amount: fn(&Launch) -> u64,
}

const RATES: [Rate; 5] = [
    Rate { name: "memory traffic", unit: "bytes/s", amount: |launch| launch.bytes },
    Rate { name: "float operations", unit: "operations/s", amount: |launch| launch.float_ops },
    Rate { name: "bit operations", unit: "operations/s", amount: |launch| launch.bit_ops },
    Rate { name: "packed dot operations", unit: "operations/s", amount: |launch| launch.dot_ops },
    Rate { name: "matrix operations", unit: "operations/s", amount: |launch| launch.matrix_ops },
];

impl Timeline {
    /// Creates the timeline of a measurement; `profile` must be derived from it.
    pub fn new(profile: &Profile, measurement: &Measurement) -> Self {
        let rounds = &measurement.rounds;
        let begins = rounds.iter().flat_map(|round| {
            round.uploads.iter().map(|upload| upload.begun).chain(round.run.host.iter().map(|host| host.begun))
        });
        let origin = begins.min().unwrap_or_else(Instant::now);
        let offset = Offset::of(rounds, origin);
        let mut builder =
            Builder { profile, origin, offset, slices: Vec::new(), flows: Vec::new(), launches: Vec::new() };
        rounds.iter().enumerate().for_each(|(index, round)| builder.round(index, round));
        let counters = builder.counters();
        Self {
            title: format!("halfwave · {} · batch {}", profile.recipe, profile.batch),
            about: about(profile, offset),
            tracks: ["host".to_string(), profile.device.adapter.clone()],
            slices: builder.slices,
            counters,
            flows: builder.flows,
        }
    }
}

/// Describes the profile: an object.
fn about(profile: &Profile, offset: Offset) -> Value {
    let mut about = json!({
        "halfwave": profile.halfwave, "recipe": profile.recipe, "batch": profile.batch, "plan": profile.plan,
        "device": profile.device, "timer": profile.timer, "uninstrumented_step_ns": profile.step_ns,
        "clock_offset_may_be_more_by_ns": offset.slack_ns.round(),
    });
    let origin = serde_json::to_value(&profile.origin).unwrap_or_default();
    if let (Some(about), Value::Object(origin)) = (about.as_object_mut(), origin) {
        about.extend(origin);
    }
    about
}

struct Builder<'p> {
    profile: &'p Profile,
    origin: Instant,
    offset: Offset,
    slices: Vec<Slice>,
    flows: Vec<Flow>,
    /// The slice of each launch of each round, and the launch.
    launches: Vec<(usize, &'p Launch)>,
}

impl<'p> Builder<'p> {
    /// Adds a slice, and returns its index.
    fn slice(&mut self, track: Track, depth: usize, name: String, ns: [f64; 2], args: Value) -> usize {
        add(
            &mut self.slices,
            Slice { track, depth, name, category: None, ns: ns.map(|ns| ns.round().max(0.0) as u64), args },
        )
    }

    fn round(&mut self, index: usize, round: &Round) {
        let at = |instant| since(self.origin, instant);
        let uploads: Vec<_> =
            round.uploads.iter().map(|upload| (upload, [upload.begun, upload.done].map(at))).collect();
        let host: Vec<_> = round
            .run
            .host
            .iter()
            .map(|host| (host, [host.begun, host.encoded, host.submitted, host.done].map(at)))
            .collect();
        for (upload, ns) in uploads {
            self.slice(Track::Host, 0, format!("upload {}", upload.port), ns, json!({ "bytes": upload.bytes }));
        }
        let mut submits = Vec::new();
        for (host, [begun, encoded, submitted, done]) in host {
            let args = json!({ "round": index, "steps": [host.steps.start, host.steps.end] });
            // On the CPU backend the host is the device.
            if begun < encoded {
                self.slice(Track::Host, 0, "encode".to_string(), [begun, encoded], args.clone());
                let submit = self.slice(Track::Host, 0, "submit".to_string(), [encoded, submitted], args.clone());
                self.slice(Track::Host, 0, "wait".to_string(), [submitted, done], args);
                submits.push((host.steps.clone(), submit));
            }
        }
        let first = self.launches.len();
        self.device(index, &round.run);
        let launches = self.launches[first..].to_vec();
        for (steps, from) in submits {
            let launch = launches.iter().find(|(_, launch)| steps.contains(&launch.step));
            self.flows.extend(launch.map(|&(to, _)| Flow { name: "submission", from, to }));
        }
        self.flows.extend(gradients(&launches));
    }

    /// Adds the launches of a run, inside slices of their passes and layers.
    fn device(&mut self, round: usize, run: &TimedRun) {
        let launches = &self.profile.launches;
        let timed: Vec<_> = run
            .stamps
            .iter()
            .zip(launches)
            .map(|(stamp, launch)| {
                let host = run.host.iter().find(|host| host.steps.start == stamp.steps.start);
                let ns = match (run.clock, host) {
                    (Clock::Host, Some(host)) => [host.encoded, host.done].map(|at| since(self.origin, at)),
                    _ => clock::ns(stamp, run.tick_ns).map(|ns| ns + self.offset.ns),
                };
                (launch, ns)
            })
            .collect();
        let (forward, backward) = timed.split_at(end_of_forward(timed.iter().map(|(launch, _)| *launch)));
        for (name, pass) in [("forward", forward), ("backward", backward)] {
            let Some(ns) = span(pass) else { continue };
            let pass_slice = self.slice(Track::Device, 0, name.to_string(), ns, json!({ "round": round }));
            for of_layer in pass.chunk_by(|(a, _), (b, _)| a.layer == b.layer) {
                let Some(ns) = span(of_layer) else { continue };
                let layer = &of_layer[0].0.layer;
                let name = if layer.is_empty() { "no layer" } else { layer };
                let layer_slice = self.slice(Track::Device, 1, name.to_string(), ns, json!({}));
                for &(launch, ns) in of_layer {
                    let slice = self.slice(Track::Device, 2, launch.kernel.clone(), ns, launch_args(launch));
                    self.slices[slice].category = Some(phase(launch));
                    self.launches.push((slice, launch));
                    // A launch that overlapped another one may be drawn to a later end.
                    for around in [layer_slice, pass_slice] {
                        self.slices[around].ns[1] = self.slices[around].ns[1].max(self.slices[slice].ns[1]);
                    }
                }
            }
        }
    }

    fn counters(&self) -> Vec<Counter> {
        let slots = &self.profile.memory;
        let alive = |step| slots.alive(step).iter().map(|tensor| tensor.bytes).sum::<u64>() as f64;
        let begins = self.launches.iter().map(|&(slice, launch)| (self.slices[slice].ns[0], alive(launch.step)));
        let memory = Counter { name: "live tensors", unit: BYTES, samples: begins.collect() };
        let used = RATES.iter().filter(|rate| self.launches.iter().any(|(_, launch)| (rate.amount)(launch) > 0));
        let rates = used.map(|rate| Counter { name: rate.name, unit: rate.unit, samples: self.samples(rate) });
        [memory].into_iter().chain(rates).collect()
    }

    /// Returns the rate during each launch, and 0 in between. A launch without a measured duration
    /// has no rate.
    fn samples(&self, rate: &Rate) -> Vec<(u64, f64)> {
        let mut samples = Vec::new();
        for (at, &(slice, launch)) in self.launches.iter().enumerate() {
            let [begin, end] = self.slices[slice].ns;
            let amount = (rate.amount)(launch) * u64::from(launch.repeats);
            samples.push((begin, if end > begin { amount as f64 / (end - begin) as f64 * 1e9 } else { 0.0 }));
            let next = self.launches.get(at + 1).map(|&(next, _)| self.slices[next].ns[0]);
            if next.is_none_or(|next| next > end) {
                samples.push((end, 0.0));
            }
        }
        samples
    }
}

/// Adds a slice, and returns its index.
///
/// Slices of a depth do not overlap. If a device executes two launches at the same time, the second
/// is drawn from the end of the first on.
fn add(slices: &mut Vec<Slice>, slice: Slice) -> usize {
    let alike = |other: &&Slice| (other.track, other.depth) == (slice.track, slice.depth);
    let free = slices.iter().rfind(alike).map_or(0, |last| last.ns[1]);
    let begin = slice.ns[0].max(free);
    slices.push(Slice { ns: [begin, slice.ns[1].max(begin)], ..slice });
    slices.len() - 1
}

/// Returns the time from the beginning of the first launch to the end of the last; `None` if there
/// are none.
fn span(launches: &[(&Launch, [f64; 2])]) -> Option<[f64; 2]> {
    let end = launches.iter().map(|(_, ns)| ns[1]).reduce(f64::max)?;
    Some([launches.first()?.1[0], end])
}

fn phase(launch: &Launch) -> String {
    serde_json::to_value(launch.phase).ok().and_then(|phase| phase.as_str().map(String::from)).unwrap_or_default()
}

fn launch_args(launch: &Launch) -> Value {
    json!({
        "layer": launch.layer, "phase": launch.phase, "step": launch.step, "repeats": launch.repeats, "groups": launch.groups,
        "writes": launch.writes, "bytes": launch.bytes, "float_ops": launch.float_ops, "bit_ops": launch.bit_ops,
        "dot_ops": launch.dot_ops, "matrix_ops": launch.matrix_ops, "median_ns": launch.median_ns, "bound": launch.bound, "fraction_of_bound": launch.fraction_of_bound,
    })
}

/// Returns the number of launches of the forward pass, which ends before the first gradient.
fn end_of_forward<'l>(launches: impl Iterator<Item = &'l Launch>) -> usize {
    let gradient = |launch: &&Launch| matches!(launch.phase, Activity::Dx | Activity::Dw | Activity::Update);
    launches.take_while(|launch| !gradient(launch)).count()
}

/// Returns arrows from the forward launch of each layer to each of its launches in the backward
/// pass: those of its gradients and its update. `launches` are those of one round.
fn gradients(launches: &[(usize, &Launch)]) -> Vec<Flow> {
    let (forward, backward) = launches.split_at(end_of_forward(launches.iter().map(|(_, launch)| *launch)));
    let mut flows = Vec::new();
    for &(to, launch) in backward.iter().filter(|(_, launch)| launch.phase != Activity::Data) {
        // A launch of several layers has an arrow from each.
        for layer in launch.layer.split('+').filter(|layer| !layer.is_empty()) {
            let of_layer = |(_, launch): &&(usize, &Launch)| launch.layer.split('+').any(|name| name == layer);
            let main = |found: &&(usize, &Launch)| of_layer(found) && found.1.phase == Activity::Forward;
            let from = forward.iter().find(main).or_else(|| forward.iter().find(of_layer));
            flows.extend(from.map(|&(from, _)| Flow { name: "gradient", from, to }));
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn slice(depth: usize, name: &str, ns: [u64; 2]) -> Slice {
        Slice { track: Track::Device, depth, name: name.to_string(), category: None, ns, args: json!({}) }
    }

    #[test]
    fn launches_at_the_same_time_are_drawn_one_after_the_other() {
        let mut slices = Vec::new();
        for (depth, ns) in [(0, [5, 40]), (1, [5, 20]), (1, [12, 30]), (1, [13, 25]), (0, [40, 50])] {
            add(&mut slices, slice(depth, "", ns));
        }
        add(&mut slices, Slice { track: Track::Host, ..slice(0, "", [1, 2]) });
        let drawn: Vec<_> = slices.iter().map(|slice| slice.ns).collect();
        assert_eq!(drawn, [[5, 40], [5, 20], [20, 30], [30, 30], [40, 50], [1, 2]]);
    }

    /// Slices without a duration, and slices that end when others begin, stay where they are.
    #[test]
    fn slices_nest_however_short_they_are() {
        let slices = vec![
            slice(0, "a", [0, 10]),
            slice(1, "b", [0, 10]),
            slice(2, "c", [10, 10]),
            slice(0, "d", [10, 10]),
            slice(1, "e", [10, 10]),
        ];
        let timeline = Timeline {
            title: String::new(),
            about: json!({}),
            tracks: ["host".to_string(), "device".to_string()],
            slices,
            counters: Vec::new(),
            flows: Vec::new(),
        };
        let trace = proto::Trace::decode(&*timeline.to_perfetto()).unwrap();
        let names = &trace.packet[0].interned_data.as_ref().unwrap().event_names;
        let name = |iid: u64| names.iter().find(|name| name.iid == Some(iid)).unwrap().name.clone().unwrap();
        let (mut open, mut nested) = (Vec::new(), Vec::new());
        for event in trace.packet.iter().filter_map(|packet| packet.track_event.as_ref()) {
            match event.kind {
                Some(proto::SLICE_BEGIN) => {
                    open.push(name(event.name_iid.unwrap()));
                    nested.push(open.concat());
                }
                Some(proto::SLICE_END) => drop(open.pop().unwrap()),
                _ => {}
            }
        }
        assert!(open.is_empty());
        assert_eq!(nested, ["a", "ab", "abc", "d", "de"]);
    }
}
