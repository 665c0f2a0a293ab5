//! Pictures in class folders: `train/<class>/*` and `test/<class>/*`, or `<class>/*` alone, of which a share of each class is for
//! testing.
//!
//! **Invariant:** classes and pictures go by name, so that a folder is the same data set wherever it lies. What is no picture is
//! left out before anything is divided or counted, and said; names that begin with a dot are no part of it.
//!
//! Every split is a listing of files at first, divided as the recipe asks; then those that are small enough are decoded into
//! memory. So a picture that is found to be damaged is missing from its split, and changes no other. Where pictures stay files,
//! it is found when a batch needs it, which is an error then: an epoch is an order of all images.
use super::{Classes, Dataset, Listing, Pixels, Split, picture};
use crate::recipe::{Data, Pictures, Set, Undecodable};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Files that are no pictures which a message names.
const NAMED: usize = 5;

/// Reads the folder `dir` as `data`, of which `count` (the model's classes) and `pictures` are parts, asks for it, with these classes.
pub(super) fn load(
    dir: &Path,
    count: usize,
    pictures: &Pictures,
    data: &Data,
    classes: Classes<'_>,
) -> Result<Dataset> {
    let mut left_out = Vec::new();
    let listed = list(dir, &class_names(dir, count, classes)?, pictures, &data.set, &mut left_out);
    let dataset = listed.and_then(|listed| listed.matching(classes)).and_then(|listed| {
        let mut dataset = if data.keeps_all() { listed } else { listed.divided(data)? };
        let Dataset { train, validation, test, .. } = &mut dataset;
        [Some(train), validation.as_mut(), Some(test)]
            .into_iter()
            .flatten()
            .for_each(|split| keep(split, pictures, &mut left_out));
        if let Classes::Among(_) = classes { dataset.consistent() } else { dataset.checked() }
    });
    if !left_out.is_empty() {
        let first = left_out[..left_out.len().min(NAMED)].join(", ");
        let (count, rest) = (left_out.len(), if left_out.len() > NAMED { ", …" } else { "" });
        match pictures.undecodable {
            Undecodable::Skip => {
                let what = if count == 1 { "file skipped, no picture" } else { "files skipped, no pictures" };
                log::warn!("{}: {count} {what} that can be read: {first}{rest}", dir.display());
            }
            Undecodable::Refuse => {
                let what = if count == 1 { "file is no picture" } else { "files are no pictures" };
                let advice = "remove or mend them, or write undecodable = \"skip\"";
                return Err(wrong(dir, &format!("{count} {what} that can be read: {first}{rest}; {advice}")));
            }
        }
    }
    dataset
}

/// The names of the class folders, in order; they must be what `classes` asks for, of a model with `count`.
pub(super) fn class_names(dir: &Path, count: usize, classes: Classes<'_>) -> Result<Vec<String>> {
    if !dir.is_dir() {
        return Err(wrong(dir, "there is no such folder; name the one with the pictures in [data] dir"));
    }
    let names = folders(&if has_splits(dir) { dir.join("train") } else { dir.to_path_buf() })?;
    if names.is_empty() {
        return Err(wrong(
            dir,
            "there are no class folders; put the pictures of each class into a folder that is called like it: \
             <class>/, or train/<class>/ and test/<class>/",
        ));
    }
    if let Some(name) = names.iter().find(|name| name.contains(char::REPLACEMENT_CHARACTER)) {
        return Err(wrong(dir, &format!("the name of the class folder {name} is not UTF-8; give it another name")));
    }
    classes.names(&names, count).map_err(|message| wrong(dir, &message))?;
    Ok(names)
}

/// All pictures by their first bytes, as files; what is none comes into `left_out`.
fn list(dir: &Path, names: &[String], pictures: &Pictures, set: &Set, left_out: &mut Vec<String>) -> Result<Dataset> {
    left_out.extend(strays(dir)?);
    let (mut train, mut test) = [(); 2].map(|()| (Listing::new(dir, set.source(), pictures.fit), Vec::new())).into();
    let given = has_splits(dir);
    if given && let Some(name) = folders_if_any(&dir.join("test"))?.iter().find(|name| !names.contains(name)) {
        return Err(wrong(dir, &format!("there is test/{name}, but no train/{name}; every class is in both")));
    }
    for (label, name) in names.iter().enumerate() {
        let label = u16::try_from(label).expect("a recipe has at most 65 536 classes");
        let folder = if given { format!("train/{name}") } else { name.clone() };
        let found = pictures_in(dir, &folder, left_out)?;
        if found.is_empty() {
            let message = format!("{folder} holds no picture that can be read; put some in, or remove it");
            return Err(wrong(dir, &message));
        }
        // So many of the first `len` are for testing; a little more than nothing, lest 0.3 · 10 be less than 3.
        let tests = |len: usize| (len as f64 * pictures.test_share + 1e-9).floor();
        for (at, file) in found.iter().enumerate() {
            let split = if !given && tests(at + 1) > tests(at) { &mut test } else { &mut train };
            split.0.push(file);
            split.1.push(label);
        }
        let folder = format!("test/{name}");
        if given && dir.join(&folder).is_dir() {
            for file in pictures_in(dir, &folder, left_out)? {
                test.0.push(&file);
                test.1.push(label);
            }
        }
    }
    if test.1.is_empty() {
        let advice = if given {
            "put some into test/<class>/".to_string()
        } else {
            let each = (1.0 / pictures.test_share).ceil();
            format!(
                "a share of {} of each class is for that: put {each} or more into one, or make train/<class>/ and test/<class>/",
                pictures.test_share
            )
        };
        return Err(wrong(dir, &format!("there are no pictures to test on; {advice}")));
    }
    let split = |(listing, labels): (Listing, Vec<u16>)| Split {
        pixels: Pixels::Files(listing),
        labels,
        shape: set.source(),
        input: set.image(),
    };
    Dataset::of_folder(names.to_vec(), set.source(), split(train), split(test)).checked()
}

/// Decodes a split into memory if it is small enough. What cannot be decoded falls away, and comes into `left_out`.
fn keep(split: &mut Split, pictures: &Pictures, left_out: &mut Vec<String>) {
    let Pixels::Files(listing) = &split.pixels else { return };
    let (image_len, most) = (split.image_len(), pictures.stream_above.saturating_mul(1 << 20));
    if (image_len as u64).saturating_mul(split.len() as u64) > most {
        return;
    }
    let all: Vec<u32> = (0..split.len() as u32).collect();
    let (mut pixels, faults) = listing.decode(&all, &AtomicBool::new(false));
    let mut damaged = vec![false; split.len()];
    for (at, error) in faults {
        log::debug!("{error}");
        left_out.push(listing.name(at).into());
        damaged[at] = true;
    }
    let mut kept = 0;
    for at in (0..split.len()).filter(|&at| !damaged[at]) {
        pixels.copy_within(at * image_len..(at + 1) * image_len, kept * image_len);
        split.labels[kept] = split.labels[at];
        kept += 1;
    }
    pixels.truncate(kept * image_len);
    split.labels.truncate(kept);
    split.pixels = Pixels::Memory(pixels);
}

/// What may be pictures in `dir/folder`, by name: their names from `dir` on.
fn pictures_in(dir: &Path, folder: &str, left_out: &mut Vec<String>) -> Result<Vec<String>> {
    let within = dir.join(folder);
    let entries = entries(&within)?;
    let check = |entry: &Entry| match entry {
        // Nothing else is opened: a pipe would never end.
        Entry { kind: Kind::File, name, .. } if !entry.renamed => picture::check(&within.join(name)),
        Entry { kind: Kind::File, .. } => Err(Error::Data("the name is not UTF-8".into())),
        _ => Err(Error::Data("no file".into())),
    };
    let checked: Vec<Result<()>> = entries.par_iter().map(check).collect();
    let mut pictures = Vec::new();
    for (Entry { name, .. }, checked) in entries.iter().zip(checked) {
        let name = format!("{folder}/{name}");
        match checked {
            Ok(()) => pictures.push(name),
            Err(error) => {
                log::debug!("{name}: {error}");
                left_out.push(name);
            }
        }
    }
    Ok(pictures)
}

/// Files beside the class folders.
fn strays(dir: &Path) -> Result<Vec<String>> {
    let beside = if has_splits(dir) { vec!["train/", "test/"] } else { vec![""] };
    let mut files = Vec::new();
    for part in beside.into_iter().filter(|part| dir.join(part).is_dir()) {
        let strays = entries(&dir.join(part))?.into_iter().filter(|entry| entry.kind != Kind::Folder);
        files.extend(strays.map(|entry| format!("{part}{}", entry.name)));
    }
    Ok(files)
}

/// Whether a folder is divided into training and test pictures. One that is not may have a class of that name.
fn has_splits(dir: &Path) -> bool {
    ["train", "test"].iter().any(|part| folders_if_any(&dir.join(part)).is_ok_and(|names| !names.is_empty()))
}

/// The names of the folders in `dir`, in order.
fn folders(dir: &Path) -> Result<Vec<String>> {
    let folders = entries(dir)?.into_iter().filter(|entry| entry.kind == Kind::Folder);
    Ok(folders.map(|entry| entry.name).collect())
}

/// The same; none where there is no such folder.
fn folders_if_any(dir: &Path) -> Result<Vec<String>> {
    if dir.is_dir() { folders(dir) } else { Ok(Vec::new()) }
}

/// Something in a folder.
struct Entry {
    name: String,
    /// Whether the name is not UTF-8, so that this is not its own.
    renamed: bool,
    kind: Kind,
}

/// What it is, or what a link leads to.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Folder,
    /// A pipe, a device, a link that leads nowhere.
    Other,
}

/// Whatever is in `dir`, in the order of the names, but for what is hidden.
fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        let mut kind = entry.file_type().map_err(Error::io(entry.path()))?;
        if kind.is_symlink()
            && let Ok(target) = std::fs::metadata(entry.path())
        {
            kind = target.file_type();
        }
        let kind = match kind {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            _ => Kind::Other,
        };
        let (name, renamed) = match entry.file_name().into_string() {
            Ok(name) => (name, false),
            Err(name) => (name.to_string_lossy().into_owned(), true),
        };
        found.push(Entry { name, renamed, kind });
    }
    found.retain(|entry| !entry.name.starts_with('.'));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn wrong(dir: &Path, message: &str) -> Error {
    Error::Data(format!("folder, {}: {message}", dir.display()))
}
