//! A timeline in the Trace Event Format, for chrome://tracing, Perfetto and speedscope.

use super::{Slice, Timeline};
use serde_json::{Value, json};

/// The host is thread 1, the device thread 2.
fn thread(slice: &Slice) -> u32 {
    slice.track as u32 + 1
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn slice_event(slice: &Slice) -> Value {
    let [begin, end] = slice.ns;
    // The unit of the format is a microsecond, and viewers add durations to times in floats. One
    // nanosecond is subtracted, because otherwise an event that follows immediately could start
    // before this one has ended, after rounding, and viewers would treat it as nested; and one more
    // for each slice around it, because otherwise it could end after that one.
    let duration = us((end - begin).saturating_sub(1 + slice.depth as u64));
    let mut event = json!({
        "name": slice.name, "ph": "X", "pid": 1, "tid": thread(slice), "ts": us(begin), "dur": duration, "args": slice.args,
    });
    if let Some(category) = &slice.category {
        event["cat"] = category.as_str().into();
    }
    event
}

impl Timeline {
    /// Returns the timeline as JSON, one event per line.
    pub fn to_json(&self) -> String {
        let name = |what: &str, row: u32, name: &str| json!({ "name": what, "ph": "M", "pid": 1, "tid": row, "args": { "name": name } });
        let mut events = vec![name("process_name", 1, &self.title)];
        events.extend((1..).zip(&self.tracks).map(|(row, track)| name("thread_name", row, track)));
        events.extend(self.slices.iter().map(slice_event));
        for counter in &self.counters {
            events.extend(counter.samples.iter().map(|&(ns, value)| {
                json!({ "name": counter.name, "ph": "C", "pid": 1, "ts": us(ns), "args": { (counter.unit): value } })
            }));
        }
        for (id, flow) in (1..).zip(&self.flows) {
            for (phase, at) in [("s", flow.from), ("f", flow.to)] {
                let slice = &self.slices[at];
                // An arrow is attached to the innermost slice at its time.
                let [begin, end] = slice.ns;
                events.push(json!({
                    "name": flow.name, "cat": "flow", "ph": phase, "bp": "e", "id": id, "pid": 1, "tid": thread(slice),
                    "ts": us(begin.midpoint(end)),
                }));
            }
        }
        let lines: Vec<_> = events.iter().map(Value::to_string).collect();
        let about = &self.about;
        format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
    }
}
