//! The timeline of a profile in both of its formats.

use halfwave::ops::Activity;
use halfwave::profile::trace::{Timeline, proto};
use halfwave::profile::{Launch, Profile};
use prost::Message;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An amount per launch.
type Amount = fn(&Launch) -> u64;

/// Timed steps that are kept.
const ROUNDS: usize = 3;

/// A slice as read from a file; in either format.
#[derive(Clone, PartialEq, Debug)]
struct Slice {
    /// 1 for the host, 2 for the device.
    row: u64,
    name: String,
    category: Option<String>,
    begin: u64,
    end: u64,
    args: Value,
}

/// A file as read: slices, values of counters by name and unit, ends of flows.
#[derive(PartialEq, Debug, Default)]
struct Read {
    slices: Vec<Slice>,
    counters: BTreeMap<(String, String), Vec<(u64, f64)>>,
    /// For each flow the slices that it connects.
    flows: BTreeMap<u64, [Option<usize>; 2]>,
    about: Value,
}

fn ns(us: &Value) -> u64 {
    (us.as_f64().unwrap() * 1e3).round() as u64
}

/// Reads the Trace Event Format.
fn read_json(text: &str) -> Read {
    let trace: Value = serde_json::from_str(text).unwrap();
    let mut read = Read { about: trace["otherData"].clone(), ..Read::default() };
    for event in trace["traceEvents"].as_array().unwrap() {
        let (name, at) = (event["name"].as_str().unwrap().to_string(), ns(&event["ts"].as_f64().unwrap_or(0.0).into()));
        match event["ph"].as_str().unwrap() {
            "X" => read.slices.push(Slice {
                row: event["tid"].as_u64().unwrap(),
                name,
                category: event.get("cat").map(|cat| cat.as_str().unwrap().to_string()),
                begin: at,
                end: at + ns(&event["dur"]),
                args: event["args"].clone(),
            }),
            "C" => {
                let (unit, value) = event["args"].as_object().unwrap().iter().next().unwrap();
                read.counters.entry((name, unit.clone())).or_default().push((at, value.as_f64().unwrap()));
            }
            phase @ ("s" | "f") => {
                // The innermost slice at that time.
                let inside = |slice: &Slice| event["tid"] == slice.row && (slice.begin..=slice.end).contains(&at);
                let slice = read.slices.iter().rposition(inside).unwrap();
                let ends = read.flows.entry(event["id"].as_u64().unwrap()).or_default();
                assert_eq!(ends[usize::from(phase == "f")].replace(slice), None, "{event}");
            }
            phase => assert_eq!(phase, "M"),
        }
    }
    read
}

fn names(interned: &[proto::Interned]) -> BTreeMap<u64, String> {
    let names: BTreeMap<_, _> = interned.iter().map(|name| (name.iid.unwrap(), name.name.clone().unwrap())).collect();
    assert!(names.len() == interned.len() && !names.contains_key(&0));
    names
}

fn value(of: &proto::DebugAnnotation, names: &BTreeMap<u64, String>) -> Value {
    match &of.value {
        Some(proto::Plain::Bool(value)) => json!(value),
        Some(proto::Plain::Unsigned(value)) => json!(value),
        Some(proto::Plain::Signed(value)) => json!(value),
        Some(proto::Plain::Float(value)) => json!(value),
        Some(proto::Plain::Text(value)) => json!(value),
        None if !of.array_values.is_empty() => of.array_values.iter().map(|element| value(element, names)).collect(),
        None => object(&of.dict_entries, names),
    }
}

fn object(entries: &[proto::DebugAnnotation], names: &BTreeMap<u64, String>) -> Value {
    entries.iter().map(|entry| (names[&entry.name_iid.unwrap()].clone(), value(entry, names))).collect()
}

/// Reads Perfetto's format, and checks its rules: names are known, tracks are described, times of a
/// track increase, and slices nest.
fn read_perfetto(bytes: &[u8]) -> Read {
    let trace = proto::Trace::decode(bytes).unwrap();
    let first = &trace.packet[0];
    assert_eq!((first.sequence_flags, first.first_packet_on_sequence), (Some(proto::STATE_CLEARED), Some(true)));
    let interned = first.interned_data.as_ref().unwrap();
    let [categories, events, arguments] =
        [&interned.event_categories, &interned.event_names, &interned.debug_annotation_names].map(|list| names(list));
    assert!(trace.packet.iter().all(|packet| packet.trusted_packet_sequence_id == Some(1)));
    let described = trace.packet.iter().filter_map(|packet| packet.track_descriptor.as_ref());
    let tracks: BTreeMap<u64, _> = described.map(|track| (track.uuid.unwrap(), track)).collect();
    let process = tracks.values().find(|track| track.process.is_some()).unwrap();
    assert!(tracks.values().all(|track| track.process.is_some() || track.parent_uuid == process.uuid));
    let of_slices: Vec<u64> = tracks
        .values()
        .filter(|track| track.process.is_none() && track.counter.is_none())
        .filter_map(|t| t.uuid)
        .collect();
    assert_eq!(tracks[&of_slices[0]].name.as_deref(), Some("host"));

    let mut read = Read::default();
    let (mut last, mut open): (BTreeMap<u64, u64>, BTreeMap<u64, Vec<usize>>) = Default::default();
    for packet in trace.packet.iter().filter(|packet| packet.track_event.is_some()) {
        assert_eq!(packet.sequence_flags, Some(proto::NEEDS_STATE));
        let (at, event) = (packet.timestamp.unwrap(), packet.track_event.as_ref().unwrap());
        let track = tracks[&event.track_uuid.unwrap()];
        let before = last.insert(event.track_uuid.unwrap(), at).unwrap_or(0);
        assert!(before <= at, "time goes back from {before} to {at}: {event:?}");
        let open = open.entry(event.track_uuid.unwrap()).or_default();
        match event.kind.unwrap() {
            proto::SLICE_BEGIN => {
                open.push(read.slices.len());
                for (end, ids) in [&event.flow_ids, &event.terminating_flow_ids].into_iter().enumerate() {
                    for &id in ids {
                        let ends = read.flows.entry(id).or_default();
                        assert_eq!(ends[end].replace(read.slices.len()), None, "flow {id} forks");
                    }
                }
                let row = of_slices.iter().position(|&uuid| event.track_uuid == Some(uuid)).unwrap() as u64 + 1;
                read.slices.push(Slice {
                    row,
                    name: events[&event.name_iid.unwrap()].clone(),
                    category: event.category_iids.first().map(|iid| categories[iid].clone()),
                    begin: at,
                    end: u64::MAX,
                    args: object(&event.debug_annotations, &arguments),
                });
            }
            proto::SLICE_END => read.slices[open.pop().expect("an open slice")].end = at,
            proto::COUNTER => {
                let counter = track.counter.as_ref().unwrap();
                let unit = counter.unit_name.clone().or_else(|| {
                    counter.unit.map(|unit| if unit == proto::SIZE_BYTES { "bytes".to_string() } else { String::new() })
                });
                let key = (track.name.clone().unwrap(), unit.unwrap());
                read.counters.entry(key).or_default().push((at, event.double_counter_value.unwrap()));
            }
            kind => {
                assert_eq!((kind, event.track_uuid), (proto::INSTANT, process.uuid));
                read.about = object(&event.debug_annotations, &arguments);
            }
        }
    }
    assert!(open.values().all(Vec::is_empty), "a slice never ends");
    read
}

/// Removes what one of the formats cannot contain.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            object.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        other => other.clone(),
    }
}

/// Checks both formats of a timeline of a whole step of the digits.
pub(crate) fn check(profile: &Profile, timeline: &Timeline) {
    let read = read_perfetto(&timeline.to_perfetto());
    check_equal(&read, read_json(&timeline.to_json()));
    let about = &read.about;
    assert_eq!(about["device"], serde_json::to_value(&profile.device).unwrap());
    assert_eq!(about["command"], serde_json::to_value(&profile.origin.command).unwrap());
    assert_eq!(about.get("commit").and_then(Value::as_str), profile.origin.commit.as_deref());

    let launches = check_nesting(profile, &read);
    check_host(profile, &read, &launches);
    check_flows(profile, &read, &launches);
    check_counters(profile, &read, &launches);
}

/// Both formats contain the same events. In JSON, slices are shorter by up to three
/// nanoseconds.
fn check_equal(perfetto: &Read, mut json: Read) {
    let by_time = |slices: &[Slice]| {
        let mut order: Vec<_> = (0..slices.len()).collect();
        order.sort_by_key(|&at| (slices[at].row, slices[at].begin, at));
        order
    };
    let (a, b) = (by_time(&perfetto.slices), by_time(&json.slices));
    assert_eq!(a.len(), b.len());
    for (&a, &b) in a.iter().zip(&b) {
        let slice = &mut json.slices[b];
        slice.args = without_nulls(&slice.args);
        assert!(perfetto.slices[a].end - slice.end <= 3, "{slice:?}");
        slice.end = perfetto.slices[a].end;
        assert_eq!(perfetto.slices[a], *slice);
    }
    let ends = |read: &Read, order: &[usize]| {
        let place = |slice: &Option<usize>| order.iter().position(|at| Some(*at) == *slice);
        read.flows.iter().map(|(id, ends)| (*id, [place(&ends[0]), place(&ends[1])])).collect::<Vec<_>>()
    };
    assert_eq!(ends(perfetto, &a), ends(&json, &b));
    assert_eq!(perfetto.counters, json.counters);
    assert_eq!(perfetto.about, without_nulls(&json.about));
}

/// The device executes a forward and a backward pass in each round; inside are the layers, and
/// inside those the launches. Returns the slice of each launch.
fn check_nesting(profile: &Profile, read: &Read) -> Vec<usize> {
    let (mut launches, mut passes, mut inside) = (Vec::new(), Vec::new(), Vec::<usize>::new());
    for (at, slice) in read.slices.iter().enumerate().filter(|(_, slice)| slice.row == 2) {
        let expected = &profile.launches[launches.len() % profile.launches.len()];
        let place = passes.len();
        match &slice.category {
            Some(phase) => {
                assert_eq!((&slice.name, &slice.args["layer"]), (&expected.kernel, &json!(expected.layer)));
                assert_eq!(json!(phase), serde_json::to_value(expected.phase).unwrap());
                let [pass, layer] = inside[..] else { panic!("{slice:?} is inside {inside:?}") };
                assert!(read.slices[layer].name == expected.layer, "{slice:?}");
                for around in [pass, layer].map(|at| &read.slices[at]) {
                    assert!(around.begin <= slice.begin && slice.end <= around.end, "{slice:?} in {around:?}");
                }
                launches.push(at);
            }
            None if ["forward", "backward"].contains(&&*slice.name) => {
                passes.push(&*slice.name);
                inside = vec![at];
            }
            None => {
                inside.truncate(1);
                inside.push(at);
            }
        }
        assert!(place > 0 || passes.len() == 1, "{slice:?} is in no pass");
    }
    assert_eq!(passes, ["forward", "backward"].repeat(ROUNDS));
    assert_eq!(launches.len(), ROUNDS * profile.launches.len());
    launches
}

/// Every launch is between the encoding and the end of the wait of its submission.
fn check_host(profile: &Profile, read: &Read, launches: &[usize]) {
    let of = |name: &str| read.slices.iter().filter(|slice| slice.name == name).collect::<Vec<_>>();
    assert_eq!(of("upload index").len(), ROUNDS);
    let (submits, waits) = (of("submit"), of("wait"));
    assert_eq!(submits.is_empty(), profile.device.backend == "cpu");
    assert!(submits.len() == waits.len() && of("encode").len() == waits.len());
    if submits.is_empty() {
        return;
    }
    let slack = &read.about["clock_offset_may_be_more_by_ns"];
    for launch in launches.iter().map(|&at| &read.slices[at]) {
        let around = |(submit, wait): (&&Slice, &&Slice)| launch.begin >= submit.begin && launch.end <= wait.end;
        assert!(
            submits.iter().zip(&waits).any(around),
            "{launch:?} is in no submission; the clocks may be {slack} ns off"
        );
    }
}

/// Every arrow has a beginning and an end: from a submission to its first launch, or from a launch
/// of the forward pass to one of the same layer in the same round.
fn check_flows(profile: &Profile, read: &Read, launches: &[usize]) {
    let steps = profile.launches.len();
    let place = |slice: usize| launches.iter().position(|&at| at == slice);
    let layers = |at: usize| profile.launches[at % steps].layer.split('+').collect::<Vec<_>>();
    let mut arrows: Vec<(&Launch, &Launch)> = Vec::new();
    let mut of_submits = 0;
    for (id, ends) in &read.flows {
        let [Some(from), Some(to)] = *ends else { panic!("flow {id} has one end") };
        assert!(read.slices[from].begin <= read.slices[to].begin, "flow {id} goes back in time");
        let to = place(to).expect("an arrow points to a launch");
        match place(from) {
            Some(from) => {
                assert_eq!(from / steps, to / steps, "flow {id} leaves its round");
                assert!(layers(from).iter().any(|layer| layers(to).contains(layer)), "flow {id} leaves its layer");
                arrows.push((&profile.launches[from % steps], &profile.launches[to % steps]));
            }
            None => {
                assert_eq!(read.slices[from].name, "submit");
                of_submits += 1;
            }
        }
    }
    assert_eq!(of_submits, read.slices.iter().filter(|slice| slice.name == "submit").count());
    let pairs =
        [["bconv", "bconv_dx"], ["bconv", "bconv_dw"], ["conv", "conv_dw"], ["batch_norm_stats", "batch_norm_sums"]];
    // On the CPU backend, batch-norms share launches with other operations.
    for [from, to] in &pairs[..if profile.device.backend == "cpu" { 3 } else { 4 }] {
        let drawn = arrows.iter().filter(|(a, b)| a.stem == *from && b.stem == *to).count();
        let of_stem = |stem: &str| profile.launches.iter().filter(|launch| launch.stem == stem).count();
        assert!(
            drawn > 0 && (*to != "bconv_dx" || drawn == ROUNDS * of_stem(to)),
            "{drawn} arrows from {from} to {to}"
        );
    }
    let updates = arrows.iter().filter(|(_, to)| to.phase == Activity::Update).count();
    assert!(updates >= ROUNDS, "{updates} arrows to updates");
}

/// Counters have units; over time, rates add up to what the launches do.
fn check_counters(profile: &Profile, read: &Read, launches: &[usize]) {
    let units: Vec<_> = read.counters.keys().map(|(name, unit)| (&**name, &**unit)).collect();
    let (bytes, operations) = ("bytes/s", "operations/s");
    assert_eq!(
        units,
        [
            ("bit operations", operations),
            ("float operations", operations),
            ("live tensors", "bytes"),
            ("memory traffic", bytes)
        ]
    );
    let of =
        |name: &str| read.counters.iter().find(|((known, _), _)| known == name).map(|(_, samples)| samples).unwrap();
    let live = of("live tensors").iter().map(|&(_, value)| value as u64).max();
    assert!(live <= Some(profile.memory.alive_bytes) && live > Some(profile.memory.state_bytes));
    let amounts: [(&str, Amount); 3] = [
        ("memory traffic", |launch| launch.bytes),
        ("float operations", |launch| launch.float_ops),
        ("bit operations", |launch| launch.bit_ops),
    ];
    for (name, amount) in amounts {
        let samples = of(name);
        assert!(
            samples.iter().all(|(_, value)| *value >= 0.0 && value.is_finite()) && samples.last().unwrap().1 == 0.0
        );
        let drawn: f64 = samples.windows(2).map(|pair| pair[0].1 * (pair[1].0 - pair[0].0) as f64 / 1e9).sum();
        let measured = launches.iter().zip(profile.launches.iter().cycle());
        let measured = measured.filter(|(at, _)| read.slices[**at].end > read.slices[**at].begin);
        let done: u64 = measured.map(|(_, launch)| amount(launch) * u64::from(launch.repeats)).sum();
        assert!(done > 0 && (drawn / done as f64 - 1.0).abs() < 1e-9, "{name}: {drawn}, not {done}");
    }
}
