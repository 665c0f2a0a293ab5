//! The binary version of CIFAR-10 (A. Krizhevsky, 2009): records of one label and 32 × 32 pixels, all red ones first, then
//! green, then blue.
use super::Split;
use crate::{Error, Result};
use std::path::Path;

/// Records in each of the six files.
pub(super) const RECORDS: usize = 10_000;

const PIXELS: usize = 32 * 32;
const RECORD_BYTES: usize = 1 + 3 * PIXELS;

/// Reads the training and the test split from `dir`; every file must hold exactly `records`.
pub(super) fn load(dir: &Path, records: usize) -> Result<(Split, Split)> {
    if !dir.is_dir() {
        return Err(Error::Data(format!(
            "cifar10: there is no folder {}; unpack the binary version of CIFAR-10 and name its folder in [data] dir",
            dir.display()
        )));
    }
    let mut train = Split::default();
    for number in 1..=5 {
        append(&mut train, &dir.join(format!("data_batch_{number}.bin")), records)?;
    }
    let mut test = Split::default();
    append(&mut test, &dir.join("test_batch.bin"), records)?;
    Ok((train, test))
}

fn append(split: &mut Split, path: &Path, records: usize) -> Result<()> {
    let wrong = |message: String| Error::Data(format!("cifar10, {}: {message}", path.display()));
    let wanted_bytes = records * RECORD_BYTES;
    // Asked for first, so that a huge file is not read.
    let found_bytes = std::fs::metadata(path).map_err(|error| wrong(format!("cannot be read: {error}")))?.len();
    if found_bytes != wanted_bytes as u64 {
        return Err(wrong(format!("{found_bytes} bytes instead of {wanted_bytes}; fetch or unpack it again")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    for (at, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        let (label, planes) = (record[0], &record[1..]);
        if label > 9 {
            return Err(wrong(format!("label {label} of record {at} is not below 10; is it the binary version?")));
        }
        split.labels.push(label);
        split.images.extend((0..PIXELS).flat_map(|p| [planes[p], planes[PIXELS + p], planes[2 * PIXELS + p]]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn record(label: u8, pixel: impl Fn(usize) -> u8) -> Vec<u8> {
        std::iter::once(label).chain((0..3 * PIXELS).map(pixel)).collect()
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=5 {
            let records = [record(number, |i| (i / PIXELS) as u8), record(0, |i| (i % PIXELS) as u8)].concat();
            fs::write(dir.path().join(format!("data_batch_{number}.bin")), records).unwrap();
        }
        fs::write(dir.path().join("test_batch.bin"), [record(9, |_| 1), record(8, |_| 2)].concat()).unwrap();
        dir
    }

    #[test]
    fn records_become_channels_last() {
        let (train, test) = load(folder().path(), 2).unwrap();
        assert_eq!((train.len(), test.len(), train.image_len()), (10, 2, 3072));
        assert_eq!(train.labels, [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        assert_eq!(test.labels, [9, 8]);
        assert_eq!(train.images[..6], [0, 1, 2, 0, 1, 2]);
        assert_eq!(train.images[3072..][..6], [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn every_fault_names_its_file() {
        let dir = folder();
        let message = || load(dir.path(), 2).expect_err("must fail").to_string();
        let third = dir.path().join("data_batch_3.bin");
        fs::write(&third, [record(10, |_| 0), record(0, |_| 0)].concat()).unwrap();
        assert!(message().contains("data_batch_3.bin: label 10 of record 0"));
        fs::write(&third, record(0, |_| 0)).unwrap();
        assert!(message().contains("data_batch_3.bin: 3073 bytes instead of 6146"));
        fs::remove_file(&third).unwrap();
        assert!(message().contains("data_batch_3.bin: cannot be read"));
        assert!(load(&dir.path().join("none"), 2).unwrap_err().to_string().contains("there is no folder"));
    }
}
