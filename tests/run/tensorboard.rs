//! The event file of a run, read by an independent reader: TFRecord framing and protobuf wire
//! format as documented.

use super::{EPOCH_STEPS, create, finish, recipe, resume, rows};
use halfwave::train::metrics::Row;
use pollster::block_on;
use std::fs;
use std::path::Path;

const NAME: &str = "events.out.tfevents.0.halfwave";

/// One event: seconds since 1970, step, values by tag.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    wall_time: f64,
    step: u64,
    version: Option<String>,
    /// A number, or the buckets of a histogram.
    values: Vec<(String, Vec<f32>)>,
}

/// CRC-32C bit by bit, masked.
fn checksum(data: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for bit in data.iter().flat_map(|byte| (0..8).map(move |at| u32::from(byte >> at) & 1)) {
        let odd = (crc ^ bit) & 1;
        crc = (crc >> 1) ^ (odd * 0x82f63b78);
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282ead8).to_le_bytes()
}

/// A message's fields: number, wire type and bytes; a varint as eight bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let length = match key % 8 {
            0 => {
                found.push((key / 8, 0, number(&mut message).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => number(&mut message) as usize,
            5 => 4,
            wire => panic!("wire type {wire}"),
        };
        found.push((key / 8, key % 8, message[..length].to_vec()));
        message = &message[length..];
    }
    found
}

fn number(message: &mut &[u8]) -> u64 {
    let length = message.iter().position(|byte| *byte < 128).unwrap() + 1;
    let value = message[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 127));
    *message = &message[length..];
    value
}

fn event(message: &[u8]) -> Event {
    let mut event = Event { wall_time: 0.0, step: 0, version: None, values: Vec::new() };
    for (field, wire, bytes) in fields(message) {
        match (field, wire) {
            (1, 1) => event.wall_time = f64::from_le_bytes(bytes.try_into().unwrap()),
            (2, 0) => event.step = u64::from_le_bytes(bytes.try_into().unwrap()),
            (3, 2) => event.version = Some(String::from_utf8(bytes).unwrap()),
            (5, 2) => event.values = fields(&bytes).iter().map(|(_, _, value)| named(value)).collect(),
            other => panic!("{other:?}"),
        }
    }
    event
}

/// The tag of a summary's value, and its number or the buckets of its histogram.
fn named(value: &[u8]) -> (String, Vec<f32>) {
    let (tag, values) = match &fields(value)[..] {
        [(1, 2, tag), (2, 5, value)] => (tag.clone(), vec![f32::from_le_bytes(value[..].try_into().unwrap())]),
        [(1, 2, tag), (5, 2, histogram)] => (tag.clone(), buckets(histogram)),
        other => panic!("{other:?}"),
    };
    (String::from_utf8(tag).unwrap(), values)
}

/// The buckets of a histogram, whose limits are half-way between the numbers that they count.
fn buckets(histogram: &[u8]) -> Vec<f32> {
    let fields = fields(histogram);
    let doubles = |field: u64| {
        let (_, _, bytes) = fields.iter().find(|(number, _, _)| *number == field).unwrap();
        bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect::<Vec<_>>()
    };
    let counts = doubles(7);
    assert!(doubles(6).iter().enumerate().all(|(at, limit)| *limit == at as f64 + 0.5), "{:?}", doubles(6));
    assert!((counts.iter().sum::<f64>() - doubles(3)[0]).abs() < 1e-6);
    counts.into_iter().map(|count| count as f32).collect()
}

fn events(dir: &Path) -> Vec<Event> {
    let file = fs::read(dir.join(NAME)).unwrap();
    let (mut found, mut rest) = (Vec::new(), &file[..]);
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], checksum(&rest[..8]), "the length's checksum");
        let message = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], checksum(message), "the message's checksum");
        found.push(event(message));
        rest = &rest[16 + length..];
    }
    found
}

/// Events without the time at which they were written, and without speed.
fn timeless(events: Vec<Event>) -> Vec<Event> {
    let timed = ["images_per_s", "seconds"];
    let without = |mut event: Event| {
        event.values.retain(|(tag, _)| !timed.contains(&tag.as_str()));
        Event { wall_time: 0.0, ..event }
    };
    events.into_iter().map(without).collect()
}

#[test]
fn an_event_file_says_what_the_rows_say() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    finish(create(&dir, recipe()));
    let (events, rows) = (events(&dir), rows(&dir));
    assert_eq!((events[0].step, events[0].version.as_deref()), (0, Some("brain.Event:2")));
    assert!(events[0].wall_time > 1.6e9 && events.is_sorted_by(|a, b| a.wall_time <= b.wall_time));
    assert_eq!(events.len(), rows.len() + 1);
    for (event, row) in events[1..].iter().zip(&rows) {
        let values = |tag: &str| event.values.iter().find(|(known, _)| known == tag).map(|(_, values)| values.clone());
        let value = |tag: &str| values(tag).map(|values| values[0]);
        match row {
            Row::Step(row) => {
                assert_eq!(event.step, row.step);
                assert_eq!((value("loss/train"), value("learning_rate")), (Some(row.loss), Some(row.lr)));
            }
            Row::Epoch(row) => {
                assert_eq!(event.step, row.epoch * EPOCH_STEPS);
                assert!(row.test_accuracy.is_some() && value("images_per_s") > Some(0.0), "{event:?}");
                assert_eq!((value("accuracy/train"), value("accuracy/test")), (row.train_accuracy, row.test_accuracy));
                assert_eq!(value("accuracy/validation"), row.validation_accuracy);
                assert_eq!((value("loss/test"), value("accuracy/test_top5")), (row.test_loss, row.test_top5));
                for (name, layer) in &row.layers {
                    let of = |what: &str| values(&format!("layers/{name}/{what}"));
                    assert_eq!(of("codes").unwrap_or_default(), layer.codes);
                    let numbers = ["passed", "flipped", "alpha/mean"].map(|what| of(what).map(|values| values[0]));
                    assert_eq!(numbers, [layer.passed, layer.flipped, layer.alpha.map(|alpha| alpha.mean)]);
                }
                assert_eq!(row.layers.len(), 4);
            }
        }
    }
}

#[test]
fn the_event_file_of_a_run_that_goes_on_is_whole() {
    let base = tempfile::tempdir().unwrap();
    let whole = base.path().join("whole");
    finish(create(&whole, recipe()));
    let whole = timeless(events(&whole));
    // The state of the file when the run is resumed: part of it, too much, truncated or foreign
    // data, nothing.
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change); 6] = [
        ("as it was", |_| {}),
        ("torn", |file| file.truncate(file.len() - 5)),
        ("torn early", |file| file.truncate(200)),
        ("zeros at its end", |file| file.extend([0; 40])),
        ("damaged", |file| file[150] ^= 1),
        ("empty", |file| file.clear()),
    ];
    for (name, change) in cases {
        let dir = base.path().join(name);
        let mut run = create(&dir, recipe());
        for _ in 0..EPOCH_STEPS + 2 {
            block_on(run.advance(1)).unwrap();
        }
        drop(run);
        let before = events(&dir);
        let mut file = fs::read(dir.join(NAME)).unwrap();
        change(&mut file);
        fs::write(dir.join(NAME), file).unwrap();
        let run = resume(&dir, |_| {});
        let resumed = events(&dir);
        assert_eq!(resumed.len() as u64, 1 + EPOCH_STEPS + 1, "{name}: records after the checkpoint");
        if ["as it was", "torn", "zeros at its end"].contains(&name) {
            assert_eq!(resumed, before[..resumed.len()], "{name}: the times at which they were written stay");
        }
        finish(run);
        assert_eq!(timeless(events(&dir)), whole, "{name}");
    }
    let dir = base.path().join("empty");
    fs::remove_file(dir.join(NAME)).unwrap();
    drop(resume(&dir, |_| {}));
    assert_eq!(timeless(events(&dir)), whole, "a run from before there were such files");
}

/// A path where no file can be created.
#[cfg(target_os = "linux")]
#[test]
fn an_event_file_that_cannot_be_written_is_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    drop(create(&dir, recipe()));
    fs::remove_file(dir.join(NAME)).unwrap();
    fs::create_dir(dir.join(NAME)).unwrap();
    let claim = halfwave::train::claim::Claim::existing(&dir).unwrap();
    let mut trainer = super::trainer(recipe());
    halfwave::train::run::SavedRun::read(&dir).unwrap().restore(&mut trainer).unwrap();
    let resumed = block_on(halfwave::train::run::Run::resume(claim, trainer, &halfwave::backend::Device::cpu()));
    let message = resumed.err().expect("must fail").to_string();
    assert!(message.contains(NAME) && message.contains("this is a folder"), "{message}");
}
