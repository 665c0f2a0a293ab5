//! A timeline as track events of [Perfetto](https://perfetto.dev), for ui.perfetto.dev and its
//! trace processor.

use super::proto::{
    COUNTER, CounterDescriptor, DebugAnnotation, EXPLICIT_ORDER, INSTANT, Interned, InternedData, NEEDS_STATE, Plain,
    ProcessDescriptor, SIZE_BYTES, SLICE_BEGIN, SLICE_END, STATE_CLEARED, Trace, TracePacket, TrackDescriptor,
    TrackEvent,
};
use super::{Counter, Flow, Timeline};
use prost::Message;
use serde_json::Value;

/// The only sequence of packets.
const SEQUENCE: u32 = 1;
/// The identifier of the process's track; those of the tracks below it follow.
const PROCESS: u64 = 1;

/// Names in the order of their numbers, which start at 1.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn number(&mut self, name: &str) -> u64 {
        let at = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_string());
            self.0.len() - 1
        });
        at as u64 + 1
    }

    fn interned(self) -> Vec<Interned> {
        (1..).zip(self.0).map(|(iid, name)| Interned { iid: Some(iid), name: Some(name) }).collect()
    }
}

#[derive(Default)]
struct Writer {
    categories: Names,
    names: Names,
    arguments: Names,
    /// Events with their times; those of a track are in order.
    events: Vec<(u64, TrackEvent)>,
}

fn packet() -> TracePacket {
    TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), ..TracePacket::default() }
}

impl Writer {
    /// Returns the entries of an object as arguments; absent values are left out.
    fn arguments(&mut self, object: &Value) -> Vec<DebugAnnotation> {
        let entries = object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        entries
            .map(|(name, value)| DebugAnnotation {
                name_iid: Some(self.arguments.number(name)),
                ..self.argument(value)
            })
            .collect()
    }

    fn argument(&mut self, value: &Value) -> DebugAnnotation {
        let plain = |value| DebugAnnotation { value: Some(value), ..DebugAnnotation::default() };
        match value {
            Value::Null => DebugAnnotation::default(),
            Value::Bool(value) => plain(Plain::Bool(*value)),
            Value::String(text) => plain(Plain::Text(text.clone())),
            Value::Number(number) => plain(match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Plain::Unsigned(value),
                (None, Some(value)) => Plain::Signed(value),
                (None, None) => Plain::Float(number.as_f64().unwrap_or(f64::NAN)),
            }),
            Value::Array(values) => DebugAnnotation {
                array_values: values.iter().map(|value| self.argument(value)).collect(),
                ..DebugAnnotation::default()
            },
            Value::Object(_) => DebugAnnotation { dict_entries: self.arguments(value), ..DebugAnnotation::default() },
        }
    }

    fn event(&mut self, ns: u64, kind: i32, track: u64, event: TrackEvent) {
        self.events.push((ns, TrackEvent { kind: Some(kind), track_uuid: Some(track), ..event }));
    }

    /// Writes the slices of one track.
    fn slices(&mut self, timeline: &Timeline, row: usize) {
        let track = PROCESS + 1 + row as u64;
        let mut open = Vec::new();
        for (at, slice) in timeline.slices.iter().enumerate().filter(|(_, slice)| slice.track as usize == row) {
            self.close(&mut open, slice.depth, track);
            let flows = |at_end: fn(&Flow) -> usize| {
                (1..).zip(&timeline.flows).filter(|(_, flow)| at_end(flow) == at).map(|(id, _)| id).collect()
            };
            let event = TrackEvent {
                category_iids: slice.category.iter().map(|category| self.categories.number(category)).collect(),
                debug_annotations: self.arguments(&slice.args),
                name_iid: Some(self.names.number(&slice.name)),
                flow_ids: flows(|flow| flow.from),
                terminating_flow_ids: flows(|flow| flow.to),
                ..TrackEvent::default()
            };
            let [begin, end] = slice.ns;
            self.event(begin, SLICE_BEGIN, track, event);
            open.push(end);
        }
        self.close(&mut open, 0, track);
    }

    /// Ends the open slices from a depth on, the innermost first.
    fn close(&mut self, open: &mut Vec<u64>, depth: usize, track: u64) {
        for end in open.drain(depth..).rev() {
            self.event(end, SLICE_END, track, TrackEvent::default());
        }
    }

    fn counter(&mut self, counter: &Counter, track: u64) {
        for &(ns, value) in &counter.samples {
            self.event(ns, COUNTER, track, TrackEvent { double_counter_value: Some(value), ..TrackEvent::default() });
        }
    }
}

impl Timeline {
    /// Returns the timeline as a file of Perfetto's format, by custom named `.pftrace`.
    pub fn to_perfetto(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let about = TrackEvent {
            name_iid: Some(writer.names.number("profile")),
            debug_annotations: writer.arguments(&self.about),
            ..TrackEvent::default()
        };
        writer.event(0, INSTANT, PROCESS, about);
        let mut descriptors = vec![self.process()];
        for (row, name) in self.tracks.iter().enumerate() {
            writer.slices(self, row);
            descriptors.push(TrackDescriptor { name: Some(name.clone()), ..TrackDescriptor::default() });
        }
        for counter in &self.counters {
            writer.counter(counter, PROCESS + descriptors.len() as u64);
            descriptors.push(TrackDescriptor {
                name: Some(counter.name.to_string()),
                counter: Some(unit(counter.unit)),
                ..TrackDescriptor::default()
            });
        }
        let Writer { categories, names, arguments, mut events } = writer;
        // A stable sort: events of a track stay in order.
        events.sort_by_key(|(ns, _)| *ns);
        let interned = InternedData {
            event_categories: categories.interned(),
            event_names: names.interned(),
            debug_annotation_names: arguments.interned(),
        };
        let first = TracePacket {
            interned_data: Some(interned),
            sequence_flags: Some(STATE_CLEARED),
            first_packet_on_sequence: Some(true),
            ..packet()
        };
        let tracks = (0..).zip(descriptors).map(|(rank, descriptor)| track(rank, descriptor));
        let events = events.into_iter().map(|(ns, event)| TracePacket {
            timestamp: Some(ns),
            track_event: Some(event),
            sequence_flags: Some(NEEDS_STATE),
            ..packet()
        });
        Trace { packet: [first].into_iter().chain(tracks).chain(events).collect() }.encode_to_vec()
    }

    fn process(&self) -> TrackDescriptor {
        let command = self.about["command"].as_array().into_iter().flatten();
        TrackDescriptor {
            process: Some(ProcessDescriptor {
                pid: Some(1),
                cmdline: command.filter_map(|arg| arg.as_str().map(String::from)).collect(),
                process_name: Some(self.title.clone()),
            }),
            child_ordering: Some(EXPLICIT_ORDER),
            ..TrackDescriptor::default()
        }
    }
}

/// Returns the packet of a track: the process has rank 0, the others are shown below it.
fn track(rank: u64, descriptor: TrackDescriptor) -> TracePacket {
    let below = rank > 0;
    let descriptor = TrackDescriptor {
        uuid: Some(PROCESS + rank),
        parent_uuid: below.then_some(PROCESS),
        sibling_order_rank: below.then_some(rank as i32),
        ..descriptor
    };
    TracePacket { track_descriptor: Some(descriptor), ..packet() }
}

fn unit(name: &str) -> CounterDescriptor {
    match name {
        super::BYTES => CounterDescriptor { unit: Some(SIZE_BYTES), ..CounterDescriptor::default() },
        other => CounterDescriptor { unit_name: Some(other.to_string()), ..CounterDescriptor::default() },
    }
}
