//! Records of an event file, as bytes: TFRecord framing around those fields of TensorBoard's
//! messages (`tensorboard/compat/proto`) that a run needs.
//!
//! A record is its length (u64), a checksum of these eight bytes, the message, and a checksum of
//! the message, all little-endian. The checksum is CRC-32C, rotated right by 15 bits and added to a
//! constant (TensorFlow's `tensorflow/core/lib/io/record_writer.h`), so that checksums of data that
//! contains checksums are not degenerate.

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

/// Bytes before a message.
const HEAD: usize = 12;
/// Bytes after a message.
const TAIL: usize = 4;

static CRC_32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// `Event`: one record's message.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, required, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(uint64, required, tag = "2")]
    pub(super) step: u64,
    /// The format's version, in the first record only.
    #[prost(string, optional, tag = "3")]
    pub(super) file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Summary>,
}

/// `Summary`: values by tag.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Value>,
}

/// `Summary.Value`: a point of a curve, or a histogram.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, required, tag = "1")]
    pub(super) tag: String,
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
    #[prost(message, optional, tag = "5")]
    pub(super) histogram: Option<Histogram>,
}

/// `HistogramProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(double, required, tag = "1")]
    min: f64,
    #[prost(double, required, tag = "2")]
    max: f64,
    #[prost(double, required, tag = "3")]
    count: f64,
    #[prost(double, required, tag = "4")]
    sum: f64,
    #[prost(double, required, tag = "5")]
    sum_squares: f64,
    /// A bucket ranges from the previous limit, the first one from `min`, to its own.
    #[prost(double, repeated, tag = "6")]
    limits: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub(super) buckets: Vec<f64>,
}

impl Histogram {
    /// Creates a histogram of the shares of codes 0, 1, …, with a bucket of width 1 around each.
    pub(super) fn of_codes(shares: &[f32]) -> Self {
        let buckets: Vec<_> = shares.iter().copied().map(f64::from).collect();
        let moment = |power| buckets.iter().zip(0..).map(|(share, code)| share * f64::from(code).powi(power)).sum();
        Self {
            min: -0.5,
            max: shares.len() as f64 - 0.5,
            count: moment(0),
            sum: moment(1),
            sum_squares: moment(2),
            limits: (0..shares.len()).map(|code| code as f64 + 0.5).collect(),
            buckets,
        }
    }
}

/// Returns an event as a complete record.
pub(super) fn record(event: &Event) -> Vec<u8> {
    let event = event.encode_to_vec();
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), &event, &checksum(&event)].concat()
}

/// The lengths of the complete records at the beginning of `file`, each with its step; everything
/// after a truncated record is ignored.
pub(super) fn whole(file: &[u8]) -> Vec<(usize, u64)> {
    let (mut found, mut rest) = (Vec::new(), file);
    while let Some((length, event)) = first(rest) {
        let Ok(Event { step, .. }) = Event::decode(event) else { break };
        found.push((length, step));
        rest = &rest[length..];
    }
    found
}

/// The first record's length and message, if it is complete and its checksums are correct.
fn first(file: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = file.split_at_checked(HEAD)?;
    let length = usize::try_from(u64::from_le_bytes(head[..8].try_into().ok()?)).ok()?;
    let (event, rest) = rest.split_at_checked(length)?;
    let right = [&head[8..], rest.get(..TAIL)?] == [checksum(&head[..8]), checksum(event)];
    right.then_some((HEAD + length + TAIL, event))
}

fn checksum(data: &[u8]) -> [u8; 4] {
    CRC_32C.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_are_found_and_torn_ones_are_not() {
        let point = Value { tag: "loss/train".into(), simple_value: Some(2.5), histogram: None };
        let histogram = Some(Histogram::of_codes(&[0.5, 0.5]));
        let codes = Value { tag: "q".into(), simple_value: None, histogram };
        let event = |step, values| record(&Event { step, summary: Some(Summary { values }), ..Default::default() });
        let version = Event { wall_time: 1.5, file_version: Some("brain.Event:2".into()), ..Default::default() };
        let records = [record(&version), event(1, vec![point.clone(), codes]), event(300, vec![point])];
        let (file, ends) = (records.concat(), records.each_ref().map(Vec::len));
        let expected = [(ends[0], 0), (ends[1], 1), (ends[2], 300)];
        assert_eq!(whole(&file), expected);
        for cut in 0..file.len() {
            let kept = expected
                .iter()
                .scan(0, |end, one| {
                    *end += one.0;
                    Some(*end)
                })
                .filter(|end| *end <= cut)
                .count();
            assert_eq!(whole(&file[..cut]), expected[..kept], "cut after {cut} bytes");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(whole(&damaged).len() < 3, "byte {at} is damaged");
        }
        assert!(whole(&[0; 64]).is_empty());
    }
}
