//! Packed files that are damaged, foreign or hostile: an error that says what is wrong, and no more
//! memory than the documented multiple of the file's size.
#![allow(clippy::unwrap_used)] // a test may panic

#[allow(dead_code)] // each test uses a part
mod networks;

use halfwave_infer::{Error, Network, Runner};
use networks::every_operation;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Reads a file; returns the result and the largest number of bytes that were allocated meanwhile.
fn measured(bytes: &[u8]) -> (Result<Network, Error>, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let network = Network::read(bytes);
    (network, ALLOCATOR.peak_usage().saturating_sub(before))
}

/// A file whose header's text is changed by `edit`, with a valid checksum.
fn edited(file: &[u8], edit: impl FnOnce(&str) -> String) -> Vec<u8> {
    halfwave_infer::with_structure(file, edit).unwrap()
}

/// One test, because the allocator counts for the whole process.
#[test]
fn files_that_are_no_networks_are_refused_in_bounded_memory() {
    let network = every_operation();
    let file = network.to_bytes().unwrap();
    assert_eq!(file, network.to_bytes().unwrap(), "the same network has the same bytes");
    let bound = |len: usize| 64 * len + 4096;
    let (read, peak) = measured(&file);
    assert_eq!(read.unwrap(), network);
    println!("{} bytes, {peak} allocated to read", file.len());
    assert!(peak <= bound(file.len()), "{peak} bytes for {}", file.len());

    for len in (0..file.len()).step_by(61).chain(file.len() - 9..file.len()) {
        let (read, peak) = measured(&file[..len]);
        assert!(matches!(read, Err(Error::File(_))), "the first {len} bytes: {read:?}");
        assert!(peak <= bound(len), "{peak} bytes for the first {len}");
    }
    for at in (0..file.len()).step_by(17).chain(0..400) {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        let (read, peak) = measured(&changed);
        assert!(read.as_ref().map_or(true, |read| *read == network), "byte {at} changed: {read:?}");
        assert!(at < 8 || peak <= bound(file.len()), "{peak} bytes with byte {at} changed");
    }
    for foreign in [&b"PK\x03\x04"[..], b"", b"\0\0\0\0\0\0\0\0", &[255; 64], b"\x02\0\0\0\0\0\0\0{}"] {
        let message = measured(foreign).0.unwrap_err().to_string();
        assert!(message.contains("halfwave export"), "{message}");
    }
    // Text that takes the most memory for its length.
    let relu = r#"{"name":"","from":[],"op":"relu"},"#.repeat(50_000);
    let zeros = "0,".repeat(100_000);
    let concat = format!(r#"{{"name":"c","from":[{}0],"op":"concat"}},"#, zeros);
    for layers in [relu, concat] {
        let long = edited(&file, |text| text.replacen(r#""layers":["#, &format!(r#""layers":[{layers}"#), 1));
        let (read, peak) = measured(&long);
        println!("{peak} bytes for a file of {}", long.len());
        assert!(read.unwrap_err().to_string().contains("more than 4096 layers") && peak <= bound(long.len()));
    }
    for (from, to, parts) in HOSTILE {
        let changed = edited(&file, |text| {
            assert!(text.contains(from), "{from} is not in {text}");
            text.replacen(from, to, 1)
        });
        let (read, peak) = measured(&changed);
        assert!(peak <= bound(changed.len()), "{peak} bytes for {from} → {to}");
        let message = match read.and_then(Runner::new) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{from} → {to} is accepted"),
        };
        println!("{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{from} → {to}: {message}"));
    }
}

/// Changes of the structure, each with parts of the error's message.
const HOSTILE: &[(&str, &str, &[&str])] = &[
    (r#""input":[6,6,3]"#, r#""input":[0,6,3]"#, &["the input", "no elements"]),
    (r#""input":[6,6,3]"#, r#""input":[6,6,4]"#, &["input.table", "[256, 3]", "[256, 4]"]),
    (r#""input":[6,6,3]"#, r#""input":[4000000000,4000000000,3]"#, &["the input"]),
    (r#""input":[6,6,3]"#, r#""input":[18446744073709551615,2,3]"#, &["the input"]),
    (r#""input":[6,6,3]"#, r#""input":[-6,6,3]"#, &["not a complete packed network"]),
    (r#""op":"relu""#, r#""op":"gelu""#, &["gelu"]),
    (r#""name":"relu""#, r#""name":"bn3""#, &["two layers of this name"]),
    (r#""name":"relu","from":[21]"#, r#""name":"relu","from":[22]"#, &["relu", "itself or a later layer"]),
    (r#""name":"relu","from":[21]"#, r#""name":"relu","from":[]"#, &["relu", "inputs"]),
    (r#""name":"relu","from":[21]"#, r#""name":"relu","from":[3]"#, &["relu", "floats, not 2-bit codes"]),
    (r#""name":"sum","from":[7,8]"#, r#""name":"sum","from":[7,1]"#, &["sum", "equal shapes"]),
    (
        r#""kernel":[3,3],"padding":[1,1]},"filters":40,"coding""#,
        r#""kernel":[0,3],"padding":[1,1]},"filters":40,"coding""#,
        &["conv2", "window"],
    ),
    (r#""kernel":[3,3]"#, r#""kernel":[3000,3000]"#, &["conv1", "larger than its padded input"]),
    (r#""kernel":[3,3]"#, r#""kernel":[3,3],"stride":[0,1]"#, &["conv1", "window"]),
    (r#""kernel":[3,3]"#, r#""kernel":[3,3],"dilation":[1,99]"#, &["conv1", "larger"]),
    (r#""padding":[1,1]"#, r#""padding":[60000,60000]"#, &["conv1", "elements"]),
    (r#""kernel":[3,3],"padding":[1,1]"#, r#""kernel":[60000,60000],"padding":[60000,60000]"#, &["conv1", "taps"]),
    (r#""filters":40"#, r#""filters":0"#, &["conv1", "0 channels"]),
    (r#""filters":40"#, r#""filters":4000000000"#, &["conv1", "channels"]),
    (r#""filters":40"#, r#""filters":41"#, &["conv1.weight", "40", "41"]),
    (r#""bases":1,"planes":2"#, r#""bases":1,"planes":5"#, &["conv2", "5 planes"]),
    (r#""bases":1,"planes":2"#, r#""bases":0,"planes":2"#, &["conv2", "0 bases"]),
    (r#""coding":{"levels":3}"#, r#""coding":{"levels":4}"#, &["levels", "2 bits"]),
    (r#""coding":{"levels":3}"#, r#""coding":"sign""#, &["levels", "2 bits"]),
    (r#""op":"threshold","count":3"#, r#""op":"threshold","count":16"#, &["q2", "16 thresholds"]),
    (r#""op":"threshold","count":3"#, r#""op":"threshold","count":0"#, &["q2", "0 thresholds"]),
    (r#""bits":2"#, r#""bits":3"#, &["decoded", "2-bit codes"]),
    (r#""integer":3"#, r#""integer":0"#, &["round"]),
    (r#""border":[1,2]"#, r#""border":[1000000,2]"#, &["pad", "border"]),
    (r#""first":36,"count":4"#, r#""first":36,"count":18446744073709551615"#, &["rest", "exceed 40"]),
    (r#""classes":["ant","#, r#""classes":["#, &["4 classes"]),
];
