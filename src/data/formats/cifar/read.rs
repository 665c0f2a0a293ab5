//! Files of the binary versions: records of one label, or of a coarse and a fine one, and 32 × 32
//! pixels, all red values first, then green, then blue. Files are read in [`load`], bytes in
//! [`read`], which also works in the browser.
use crate::data::Split;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::{FileKind, is_system};
use crate::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

const PIXELS: usize = 32 * 32;
const IMAGE_BYTES: usize = 3 * PIXELS;

/// Layout of a set in its files.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Name of the set in recipes.
    pub(super) set: &'static str,
    /// Display name of the set.
    title: &'static str,
    /// Names and record counts of the training files, followed by those of the test file.
    files: &'static [(&'static str, usize)],
    /// Number of classes of each label at the start of a record.
    pub(super) classes: &'static [u8],
    /// Index of the label to learn.
    pub(super) label: usize,
}

pub(super) const CIFAR10: Layout = Layout {
    set: "cifar10",
    title: "CIFAR-10",
    files: &[
        ("data_batch_1.bin", 10_000),
        ("data_batch_2.bin", 10_000),
        ("data_batch_3.bin", 10_000),
        ("data_batch_4.bin", 10_000),
        ("data_batch_5.bin", 10_000),
        ("test_batch.bin", 10_000),
    ],
    classes: &[10],
    label: 0,
};

/// CIFAR-100 with its coarse labels.
pub(super) const CIFAR100_COARSE: Layout = Layout {
    set: "cifar100",
    title: "CIFAR-100",
    files: &[("train.bin", 50_000), ("test.bin", 10_000)],
    classes: &[20, 100],
    label: 0,
};

/// CIFAR-100 with its fine labels.
pub(super) const CIFAR100_FINE: Layout = Layout { label: 1, ..CIFAR100_COARSE };

/// The two splits, read file by file: every file has a fixed position, so files may come in any
/// order.
struct Files {
    layout: Layout,
    read: Vec<bool>,
    /// Pixels and labels.
    train: (Vec<u8>, Vec<u16>),
    test: (Vec<u8>, Vec<u16>),
}

impl Layout {
    /// Number of training images.
    pub(super) fn train_len(&self) -> usize {
        records(&self.files[..self.files.len() - 1])
    }

    fn record_bytes(&self) -> usize {
        self.classes.len() + IMAGE_BYTES
    }

    fn check_len(&self, place: usize, found_bytes: u64) -> Result<(), String> {
        let wanted_bytes = self.files[place].1 * self.record_bytes();
        if found_bytes != wanted_bytes as u64 {
            return Err(format!("{found_bytes} bytes instead of {wanted_bytes}; fetch or unpack it again"));
        }
        Ok(())
    }
}

/// Number of records in these files.
fn records(files: &[(&str, usize)]) -> usize {
    files.iter().map(|(_, records)| records).sum()
}

impl Files {
    /// Starts with no file read.
    fn new(layout: Layout) -> Self {
        let (train, test) = layout.files.split_at(layout.files.len() - 1);
        let split = |files| {
            let records = records(files);
            (vec![0; records * IMAGE_BYTES], vec![0; records])
        };
        Self { layout, read: vec![false; layout.files.len()], train: split(train), test: split(test) }
    }

    /// Reads the file at index `place` of the layout's files.
    fn add(&mut self, place: usize, bytes: &[u8]) -> Result<(), String> {
        let layout = self.layout;
        layout.check_len(place, bytes.len() as u64)?;
        if std::mem::replace(&mut self.read[place], true) {
            return Err("it is given twice; give each file once".into());
        }
        let tests = place == layout.files.len() - 1;
        let ((images, labels), first) =
            if tests { (&mut self.test, 0) } else { (&mut self.train, records(&layout.files[..place])) };
        let labels = labels.iter_mut().skip(first);
        let images = images.chunks_exact_mut(IMAGE_BYTES).skip(first);
        let given = bytes.chunks_exact(layout.record_bytes());
        for (at, ((record, label), image)) in given.zip(labels).zip(images).enumerate() {
            let (found, planes) = record.split_at(layout.classes.len());
            if let Some((label, classes)) = found.iter().zip(layout.classes).find(|(label, classes)| label >= classes) {
                return Err(format!(
                    "label {label} of record {at} is not below {classes}; is it {}'s binary version?",
                    layout.title
                ));
            }
            *label = found[layout.label].into();
            for (p, pixel) in image.chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(&[planes[p], planes[PIXELS + p], planes[2 * PIXELS + p]]);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(Split, Split), String> {
        let names = self.layout.files.iter().map(|(name, _)| *name);
        let missing = names.zip(self.read).filter(|(_, read)| !read).map(|(name, _)| name);
        let missing: Vec<&str> = missing.collect();
        match missing[..] {
            [] => {
                let split = |(images, labels)| Split::new([3, 32, 32], images, labels);
                Ok((split(self.train), split(self.test)))
            }
            _ => Err(format!(
                "missing: {}; all {} files of the binary version are needed",
                missing.join(", "),
                self.layout.files.len()
            )),
        }
    }
}

/// The training and the test split from files identified by name, in any order. Folders before the
/// name are ignored, as are other files.
pub(super) fn read<N: AsRef<str>, B: AsRef<[u8]>>(
    files: impl IntoIterator<Item = (N, B)>,
    layout: Layout,
) -> Result<(Split, Split)> {
    let mut all = Files::new(layout);
    for (name, bytes) in files {
        let name = name.as_ref().rsplit(['/', '\\']).next().unwrap_or_default();
        if let Some(place) = layout.files.iter().position(|(known, _)| *known == name) {
            let added = all.add(place, bytes.as_ref());
            added.map_err(|message| Error::Data(format!("{}, {name}: {message}", layout.set)))?;
        }
    }
    all.finish().map_err(|message| Error::Data(format!("{}: {message}", layout.set)))
}

/// Reads the splits from the folder `dir`.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn load(dir: &Path, layout: Layout) -> Result<(Split, Split)> {
    let Layout { set, title, .. } = layout;
    let wrong = |path: &Path, message: String| Error::Data(format!("{set}, {}: {message}", path.display()));
    if !dir.is_dir() {
        let advice = format!("unpack the binary version of {title} and name its folder in [data] dir");
        return Err(Error::Data(match FileKind::of_file(dir) {
            Some(FileKind { what, .. }) => format!("{set}: {} is {what}, not a folder; {advice}", dir.display()),
            None => format!("{set}: there is no folder {}; {advice}", dir.display()),
        }));
    }
    let holds = |dir: &Path| layout.files.iter().any(|(name, _)| dir.join(name).is_file());
    // The archive contains a single folder, which holds the files.
    let inner = if holds(dir) { None } else { only_folder(dir).filter(|inner| holds(inner)) };
    let dir = inner.as_deref().unwrap_or(dir);
    let mut all = Files::new(layout);
    for (place, (name, _)) in layout.files.iter().enumerate() {
        let path = dir.join(name);
        if !path.exists() {
            continue; // All missing files are reported together.
        }
        let unreadable = |error| wrong(&path, format!("cannot be read: {error}"));
        // Checked first, so that a huge file is not read.
        let len = std::fs::metadata(&path).map_err(unreadable)?.len();
        // Labels and pixels may look like anything: files of the right length are not examined for
        // their kind.
        let added =
            layout.check_len(place, len).map_err(|message| match FileKind::of_file(&path).filter(|_| len > 0) {
                Some(FileKind { what, .. }) => format!("this is {what}, {message}"),
                None => message,
            });
        let added = added.and_then(|()| {
            let bytes = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"))?;
            all.add(place, &bytes)
        });
        added.map_err(|message| wrong(&path, message))?;
    }
    all.finish().map_err(|message| {
        let python = ["data_batch_1", "train"].iter().any(|name| dir.join(name).is_file());
        let hint = if python { "; the files there are of the Python version" } else { "" };
        wrong(dir, format!("{message}{hint}"))
    })
}

/// The folder in `dir`, if it is the only one.
#[cfg(not(target_arch = "wasm32"))]
fn only_folder(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let visible = |path: &PathBuf| !path.file_name().is_some_and(|name| is_system(&name.to_string_lossy()));
    let mut folders = entries.filter(|path| path.is_dir() && visible(path));
    folders.next().filter(|_| folders.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// CIFAR-10 with two records per file.
    const TEN: Layout = Layout {
        files: &[
            ("data_batch_1.bin", 2),
            ("data_batch_2.bin", 2),
            ("data_batch_3.bin", 2),
            ("data_batch_4.bin", 2),
            ("data_batch_5.bin", 2),
            ("test_batch.bin", 2),
        ],
        ..CIFAR10
    };

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
        let (train, test) = load(folder().path(), TEN).unwrap();
        assert_eq!((train.len(), test.len(), train.image_len()), (10, 2, 3072));
        assert_eq!(train.labels, [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        assert_eq!(test.labels, [9, 8]);
        assert_eq!(train.read(&[0]).unwrap()[..6], [0, 1, 2, 0, 1, 2]);
        assert_eq!(train.read(&[1]).unwrap()[..6], [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn records_of_cifar100_have_two_labels() {
        let dir = tempfile::tempdir().unwrap();
        let image = |i: usize| (i / PIXELS) as u8;
        let records = |labels: &[[u8; 2]]| -> Vec<u8> {
            labels.iter().flat_map(|&[coarse, fine]| [vec![coarse], record(fine, image)].concat()).collect()
        };
        fs::write(dir.path().join("train.bin"), records(&[[0, 99], [19, 0], [7, 42]])).unwrap();
        fs::write(dir.path().join("test.bin"), records(&[[3, 98]])).unwrap();
        let read = |layout| load(dir.path(), Layout { files: &[("train.bin", 3), ("test.bin", 1)], ..layout });
        for (layout, train_labels, test_labels) in
            [(CIFAR100_FINE, [99, 0, 42], [98]), (CIFAR100_COARSE, [0, 19, 7], [3])]
        {
            let (train, test) = read(layout).unwrap();
            assert_eq!((train.image_len(), test.image_len()), (3072, 3072));
            assert_eq!((&train.labels[..], &test.labels[..]), (&train_labels[..], &test_labels[..]));
            assert!(train.in_memory().unwrap().chunks_exact(3).all(|pixel| pixel == [0, 1, 2]));
        }
        // Both labels are checked, whichever is learnt: an invalid one indicates other files.
        for (labels, part) in
            [([20, 0], "label 20 of record 1 is not below 20"), ([0, 100], "label 100 of record 1 is not below 100")]
        {
            fs::write(dir.path().join("train.bin"), records(&[[0, 99], labels, [7, 42]])).unwrap();
            for layout in [CIFAR100_FINE, CIFAR100_COARSE] {
                let message = read(layout).expect_err("must fail").to_string();
                assert!(message.contains("train.bin: ") && message.contains(part), "{message}");
                assert!(message.contains("CIFAR-100's binary version?"), "{message}");
            }
        }
    }

    #[test]
    fn every_fault_names_its_file() {
        let dir = folder();
        let message = || load(dir.path(), TEN).expect_err("must fail").to_string();
        let third = dir.path().join("data_batch_3.bin");
        fs::write(&third, [record(10, |_| 0), record(0, |_| 0)].concat()).unwrap();
        assert!(message().contains("data_batch_3.bin: label 10 of record 0"));
        fs::write(&third, record(0, |_| 0)).unwrap();
        assert!(message().contains("data_batch_3.bin: 3073 bytes instead of 6146"));
        fs::write(&third, "<!DOCTYPE html><html>404").unwrap();
        assert!(
            message().contains("data_batch_3.bin: this is an HTML page, 24 bytes instead of 6146"),
            "{}",
            message()
        );
        fs::remove_file(&third).unwrap();
        fs::remove_file(dir.path().join("test_batch.bin")).unwrap();
        assert!(message().contains(": missing: data_batch_3.bin, test_batch.bin; all 6 files"), "{}", message());
        fs::create_dir(&third).unwrap();
        assert!(message().contains("data_batch_3.bin: "), "{}", message());
        assert!(load(&dir.path().join("none"), TEN).unwrap_err().to_string().contains("there is no folder"));
    }

    #[test]
    fn the_archives_own_folder_is_looked_into() {
        let (dir, outer) = (folder(), tempfile::tempdir().unwrap());
        let inner = outer.path().join("cifar-10-batches-bin");
        fs::create_dir(&inner).unwrap();
        for (name, _) in TEN.files {
            fs::copy(dir.path().join(name), inner.join(name)).unwrap();
        }
        fs::create_dir(outer.path().join("__MACOSX")).unwrap();
        assert_eq!(load(outer.path(), TEN).unwrap(), load(dir.path(), TEN).unwrap());
        // The Python version is recognised; so is an archive in place of a folder.
        let python = tempfile::tempdir().unwrap();
        fs::write(python.path().join("data_batch_1"), b"\x80\x02}q\x01").unwrap();
        let message = load(python.path(), TEN).unwrap_err().to_string();
        assert!(
            message.contains("missing: data_batch_1.bin,") && message.contains("are of the Python version"),
            "{message}"
        );
        fs::write(outer.path().join("cifar.tar.gz"), b"\x1f\x8b\x08").unwrap();
        let message = load(&outer.path().join("cifar.tar.gz"), TEN).unwrap_err().to_string();
        assert!(message.contains("cifar.tar.gz is a gzip archive, not a folder; unpack"), "{message}");
    }

    #[test]
    fn files_in_memory_come_in_any_order() {
        let dir = folder();
        let mut files: Vec<(String, Vec<u8>)> = TEN
            .files
            .iter()
            .rev()
            .map(|(name, _)| (format!("some/folder/{name}"), fs::read(dir.path().join(name)).unwrap()))
            .collect();
        files.push(("some\\folder\\readme.html".into(), vec![1, 2, 3]));
        let given = |files: &[(String, Vec<u8>)]| {
            read(files.iter().map(|(name, bytes)| (name, bytes)), TEN).map_err(|error| error.to_string())
        };
        assert_eq!(given(&files).unwrap(), load(dir.path(), TEN).unwrap());
        let message = given(&files[2..]).unwrap_err();
        assert!(message.starts_with("cifar10: missing: data_batch_5.bin, test_batch.bin;"), "{message}");
        files.push(files[0].clone());
        assert!(given(&files).unwrap_err().contains("test_batch.bin: it is given twice"));
        files[0].1.pop();
        assert!(given(&files).unwrap_err().contains("test_batch.bin: 6145 bytes instead of 6146"));
    }
}
