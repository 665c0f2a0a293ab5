//! The binary version of CIFAR-10 (A. Krizhevsky, 2009): records of one label and 32 × 32 pixels, all red ones first, then
//! green, then blue. Files are read in [`load`], bytes in [`Files`], which works in the browser too.
use super::Split;
use crate::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

/// Records in each of the six files.
pub(super) const RECORDS: usize = 10_000;

/// The five files to train on, then the one to test on.
const NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const TRAIN_FILES: usize = 5;

const PIXELS: usize = 32 * 32;
const IMAGE_BYTES: usize = 3 * PIXELS;
const RECORD_BYTES: usize = 1 + IMAGE_BYTES;

/// The two splits, file by file: every file has its place, in whatever order they come.
struct Files {
    records: usize,
    read: [bool; NAMES.len()],
    train: Split,
    test: Split,
}

impl Files {
    /// None yet; each will hold exactly `records`.
    fn new(records: usize) -> Self {
        let split =
            |files: usize| Split { images: vec![0; files * records * IMAGE_BYTES], labels: vec![0; files * records] };
        Self { records, read: Default::default(), train: split(TRAIN_FILES), test: split(1) }
    }

    fn check_len(&self, found_bytes: u64) -> Result<(), String> {
        let wanted_bytes = self.records * RECORD_BYTES;
        if found_bytes != wanted_bytes as u64 {
            return Err(format!("{found_bytes} bytes instead of {wanted_bytes}; fetch or unpack it again"));
        }
        Ok(())
    }

    /// Reads the file at `place` in [`NAMES`].
    fn add(&mut self, place: usize, bytes: &[u8]) -> Result<(), String> {
        self.check_len(bytes.len() as u64)?;
        if std::mem::replace(&mut self.read[place], true) {
            return Err("it is there twice; give each file once".into());
        }
        let (split, file) = if place < TRAIN_FILES { (&mut self.train, place) } else { (&mut self.test, 0) };
        let labels = split.labels.iter_mut().skip(file * self.records);
        let images = split.images.chunks_exact_mut(IMAGE_BYTES).skip(file * self.records);
        for (at, ((record, label), image)) in bytes.chunks_exact(RECORD_BYTES).zip(labels).zip(images).enumerate() {
            let planes = &record[1..];
            *label = record[0].into();
            if *label > 9 {
                return Err(format!("label {label} of record {at} is not below 10; is it the binary version?"));
            }
            for (p, pixel) in image.chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(&[planes[p], planes[PIXELS + p], planes[2 * PIXELS + p]]);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(Split, Split), String> {
        let missing = NAMES.iter().zip(self.read).filter(|(_, read)| !read).map(|(name, _)| *name);
        let missing: Vec<&str> = missing.collect();
        match missing[..] {
            [] => Ok((self.train, self.test)),
            _ => Err(format!("missing: {}; all six files of the binary version are needed", missing.join(", "))),
        }
    }
}

/// The training and the test split from files by their names, in any order; each must hold exactly `records`. What leads to
/// the name is ignored, as are other files.
pub(super) fn read<N: AsRef<str>, B: AsRef<[u8]>>(
    files: impl IntoIterator<Item = (N, B)>,
    records: usize,
) -> Result<(Split, Split)> {
    let mut all = Files::new(records);
    for (name, bytes) in files {
        let name = name.as_ref().rsplit(['/', '\\']).next().unwrap_or_default();
        if let Some(place) = NAMES.iter().position(|known| *known == name) {
            all.add(place, bytes.as_ref()).map_err(|message| Error::Data(format!("cifar10, {name}: {message}")))?;
        }
    }
    all.finish().map_err(|message| Error::Data(format!("cifar10: {message}")))
}

/// The same from the folder `dir`.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn load(dir: &Path, records: usize) -> Result<(Split, Split)> {
    let wrong = |path: &Path, message: String| Error::Data(format!("cifar10, {}: {message}", path.display()));
    if !dir.is_dir() {
        return Err(Error::Data(format!(
            "cifar10: there is no folder {}; unpack the binary version of CIFAR-10 and name its folder in [data] dir",
            dir.display()
        )));
    }
    let mut all = Files::new(records);
    for (place, name) in NAMES.into_iter().enumerate() {
        let path = dir.join(name);
        if !path.exists() {
            continue; // All that are missing are named together.
        }
        let unreadable = |error| wrong(&path, format!("cannot be read: {error}"));
        // Asked for first, so that a huge file is not read.
        let len = std::fs::metadata(&path).map_err(unreadable)?.len();
        let added = all.check_len(len).and_then(|()| {
            let bytes = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"))?;
            all.add(place, &bytes)
        });
        added.map_err(|message| wrong(&path, message))?;
    }
    all.finish().map_err(|message| wrong(dir, message))
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
        fs::remove_file(dir.path().join("test_batch.bin")).unwrap();
        assert!(message().contains(": missing: data_batch_3.bin, test_batch.bin; all six"), "{}", message());
        fs::create_dir(&third).unwrap();
        assert!(message().contains("data_batch_3.bin: "), "{}", message());
        assert!(load(&dir.path().join("none"), 2).unwrap_err().to_string().contains("there is no folder"));
    }

    #[test]
    fn files_in_memory_come_in_any_order() {
        let dir = folder();
        let mut files: Vec<(String, Vec<u8>)> = NAMES
            .iter()
            .rev()
            .map(|name| (format!("some/folder/{name}"), fs::read(dir.path().join(name)).unwrap()))
            .collect();
        files.push(("some\\folder\\readme.html".into(), vec![1, 2, 3]));
        let given = |files: &[(String, Vec<u8>)]| {
            read(files.iter().map(|(name, bytes)| (name, bytes)), 2).map_err(|error| error.to_string())
        };
        assert_eq!(given(&files).unwrap(), load(dir.path(), 2).unwrap());
        let message = given(&files[2..]).unwrap_err();
        assert!(message.starts_with("cifar10: missing: data_batch_5.bin, test_batch.bin;"), "{message}");
        files.push(files[0].clone());
        assert!(given(&files).unwrap_err().contains("test_batch.bin: it is there twice"));
        files[0].1.pop();
        assert!(given(&files).unwrap_err().contains("test_batch.bin: 6145 bytes instead of 6146"));
    }
}
