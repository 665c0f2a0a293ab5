//! Records of an event file, as bytes: TFRecord framing around the few fields of TensorBoard's
//! messages that a run needs.
//!
//! | message (`tensorboard/compat/proto`) | fields written here |
//! |---|---|
//! | `Event` | 1 `wall_time` double, 2 `step` int64, 3 `file_version` string, 5 `summary` |
//! | `Summary` | 1 `value`, repeated |
//! | `Summary.Value` | 1 `tag` string, 2 `simple_value` float, 5 `histo` |
//! | `HistogramProto` | 1 `min`, 2 `max`, 3 `num`, 4 `sum`, 5 `sum_squares` doubles, 6 `bucket_limit`, 7 `bucket` packed doubles |
//!
//! A record is its length (u64), a checksum of these eight bytes, the message, and a checksum of
//! the message, all little-endian. The checksum is CRC-32C, rotated right by 15 bits and added to a
//! constant (TensorFlow's `tensorflow/core/lib/io/record_writer.h`).

/// Bytes before a message.
const HEAD: usize = 12;
/// Bytes after a message.
const TAIL: usize = 4;

/// A value of a summary.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A point of a curve.
    Scalar(f32),
    /// The shares of codes 0, 1, …: a histogram with a bucket of width 1 around each.
    Shares(Vec<f32>),
}

/// Contents of a record.
pub(super) enum What<'a> {
    /// The first record of a file: the format's version.
    Version(&'a str),
    /// Values by their tags.
    Summary(&'a [(String, Value)]),
}

/// A complete record; `wall_time` is in seconds since 1970.
pub(super) fn record(wall_time: f64, step: u64, what: &What<'_>) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    varint(&mut event, 2 << 3);
    varint(&mut event, step);
    match what {
        What::Version(version) => bytes(&mut event, 3, version.as_bytes()),
        What::Summary(values) => bytes(&mut event, 5, &summary(values)),
    }
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), &event, &masked(&event).to_le_bytes()].concat()
}

fn summary(values: &[(String, Value)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut message = Vec::new();
        bytes(&mut message, 1, tag.as_bytes());
        match value {
            Value::Scalar(value) => {
                varint(&mut message, 2 << 3 | 5);
                message.extend(value.to_le_bytes());
            }
            Value::Shares(shares) => bytes(&mut message, 5, &histogram(shares)),
        }
        bytes(&mut summary, 1, &message);
    }
    summary
}

fn histogram(shares: &[f32]) -> Vec<u8> {
    let moment =
        |power: i32| shares.iter().zip(0..).map(|(&share, code)| f64::from(share) * f64::from(code).powi(power)).sum();
    let top = shares.len() as f64 - 0.5;
    let mut message = Vec::new();
    for (field, value) in (1..).zip([-0.5, top, moment(0), moment(1), moment(2)]) {
        double(&mut message, field, value);
    }
    // A bucket ranges from the previous limit, the first one from `min`, to its own.
    let limits = (0..shares.len()).map(|code| code as f64 + 0.5).flat_map(f64::to_le_bytes);
    bytes(&mut message, 6, &limits.collect::<Vec<_>>());
    bytes(&mut message, 7, &shares.iter().flat_map(|&share| f64::from(share).to_le_bytes()).collect::<Vec<_>>());
    message
}

/// The lengths of the complete records at the beginning of `file`, each with its step; everything
/// after a truncated record is ignored.
pub(super) fn whole(file: &[u8]) -> Vec<(usize, u64)> {
    let (mut found, mut rest) = (Vec::new(), file);
    while let Some((length, event)) = first(rest) {
        let Some(step) = step(event) else { break };
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
    let checksums = [&head[8..], rest.get(..TAIL)?];
    let right = checksums == [masked(&head[..8]).to_le_bytes(), masked(event).to_le_bytes()];
    right.then_some((HEAD + length + TAIL, event))
}

/// The step of an event; 0 if it has none.
fn step(mut event: &[u8]) -> Option<u64> {
    let mut step = 0;
    while !event.is_empty() {
        let key = read_varint(&mut event)?;
        let skipped = match key & 7 {
            0 => {
                let value = read_varint(&mut event)?;
                step = if key >> 3 == 2 { value } else { step };
                0
            }
            1 => 8,
            2 => usize::try_from(read_varint(&mut event)?).ok()?,
            5 => 4,
            _ => return None,
        };
        event = event.get(skipped..)?;
    }
    Some(step)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// CRC-32C masked as in TFRecord, so that checksums of data that contains checksums are not
/// degenerate.
fn masked(data: &[u8]) -> u32 {
    crc_32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected, as in RFC 3720.
fn crc_32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let (mut table, mut byte) = ([0; 256], 0);
        while byte < 256 {
            let (mut rest, mut bit) = (byte as u32, 0);
            while bit < 8 {
                rest = if rest & 1 == 1 { rest >> 1 ^ 0x82f6_3b78 } else { rest >> 1 };
                bit += 1;
            }
            table[byte] = rest;
            byte += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc, &byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc_32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc_32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc_32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn whole_records_are_found_and_torn_ones_are_not() {
        let values = [("loss/train".to_string(), Value::Scalar(2.5)), ("q".to_string(), Value::Shares(vec![0.5, 0.5]))];
        let records = [
            record(1.5, 0, &What::Version("brain.Event:2")),
            record(2.5, 1, &What::Summary(&values)),
            record(3.5, 300, &What::Summary(&values[..1])),
        ];
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

    #[test]
    fn numbers_of_any_size_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut written = Vec::new();
            varint(&mut written, value);
            assert_eq!(read_varint(&mut &written[..]), Some(value));
        }
        assert_eq!(read_varint(&mut &[0x80; 11][..]), None);
    }
}
