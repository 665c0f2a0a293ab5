//! Pictures in class folders: `train/<class>/*` and `test/<class>/*`, or `<class>/*` alone, of which every fifth picture of each
//! class is for testing.
//!
//! **Invariant:** classes and pictures go by name, so that a folder is the same data set wherever it lies. What cannot be read is
//! skipped and said; names that begin with a dot are no part of it.
use super::{Dataset, Split, picture, same_classes};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// One in so many is for testing, where there is no `test`.
const TEST_EVERY: usize = 5;

/// Skipped files that a warning names.
const NAMED: usize = 5;

/// Reads the folder `dir` as images of the shape `image` (channels, height, width).
pub(super) fn load(dir: &Path, image: [usize; 3], classes: usize) -> Result<Dataset> {
    let names = class_names(dir, classes)?;
    let mut skipped = strays(dir)?;
    let splits = read(dir, image, &names, &mut skipped);
    if !skipped.is_empty() {
        let first = skipped[..skipped.len().min(NAMED)].join(", ");
        let rest = if skipped.len() > NAMED { ", …" } else { "" };
        let what = if skipped.len() == 1 { "file skipped, no picture" } else { "files skipped, no pictures" };
        log::warn!("{}: {} {what} that can be read: {first}{rest}", dir.display(), skipped.len());
    }
    let (train, test) = splits?;
    Dataset::images(names, image, train, test)
}

/// The names of the class folders; as many as `classes`.
pub(super) fn class_names(dir: &Path, classes: usize) -> Result<Vec<String>> {
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
    same_classes(&names, classes).map_err(|message| wrong(dir, &message))?;
    Ok(names)
}

/// Both splits; the files that are no pictures come into `skipped`.
fn read(dir: &Path, image: [usize; 3], names: &[String], skipped: &mut Vec<String>) -> Result<(Split, Split)> {
    let (mut train, mut test) = (Split::default(), Split::default());
    let given = has_splits(dir);
    if given && let Some(name) = folders_if_any(&dir.join("test"))?.iter().find(|name| !names.contains(name)) {
        return Err(wrong(dir, &format!("there is test/{name}, but no train/{name}; every class is in both")));
    }
    for (label, name) in names.iter().enumerate() {
        let label = u16::try_from(label).expect("a recipe has at most 65 536 classes");
        let folder = if given { format!("train/{name}") } else { name.clone() };
        let learnt = pictures(dir, &folder, image, skipped)?;
        if learnt.is_empty() {
            let message = format!("{folder} holds no picture that can be read; put some in, or remove it");
            return Err(wrong(dir, &message));
        }
        for (at, pixels) in learnt.into_iter().enumerate() {
            let tests = !given && at % TEST_EVERY == TEST_EVERY - 1;
            push(if tests { &mut test } else { &mut train }, &pixels, label);
        }
        let folder = format!("test/{name}");
        if given && dir.join(&folder).is_dir() {
            pictures(dir, &folder, image, skipped)?.iter().for_each(|pixels| push(&mut test, pixels, label));
        }
    }
    if test.is_empty() {
        let advice = if given {
            "put some into test/<class>/"
        } else {
            "every fifth of a class is for that: put in five or more, or make train/<class>/ and test/<class>/"
        };
        return Err(wrong(dir, &format!("there are no pictures to test on; {advice}")));
    }
    Ok((train, test))
}

fn push(split: &mut Split, pixels: &[u8], label: u16) {
    split.images.extend(pixels);
    split.labels.push(label);
}

/// The pictures in `dir/folder`, by name.
fn pictures(dir: &Path, folder: &str, image: [usize; 3], skipped: &mut Vec<String>) -> Result<Vec<Vec<u8>>> {
    let files = entries(&dir.join(folder))?;
    let read: Vec<_> = files.par_iter().map(|(_, path)| picture::any_image_to_input(path, image)).collect();
    let mut pictures = Vec::new();
    for ((name, _), read) in files.iter().zip(read) {
        match read {
            Ok(pixels) => pictures.push(pixels),
            Err(error) => {
                log::debug!("{error}");
                skipped.push(format!("{folder}/{name}"));
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
        let strays = entries(&dir.join(part))?.into_iter().filter(|(_, path)| !path.is_dir());
        files.extend(strays.map(|(name, _)| format!("{part}{name}")));
    }
    Ok(files)
}

/// Whether a folder is divided into training and test pictures. One that is not may have a class of that name.
fn has_splits(dir: &Path) -> bool {
    ["train", "test"].iter().any(|part| folders_if_any(&dir.join(part)).is_ok_and(|names| !names.is_empty()))
}

/// The names of the folders in `dir`, in order.
fn folders(dir: &Path) -> Result<Vec<String>> {
    Ok(entries(dir)?.into_iter().filter(|(_, path)| path.is_dir()).map(|(name, _)| name).collect())
}

/// The same; none where there is no such folder.
fn folders_if_any(dir: &Path) -> Result<Vec<String>> {
    if dir.is_dir() { folders(dir) } else { Ok(Vec::new()) }
}

/// Whatever is in `dir`, in the order of the names, but for what is hidden.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    found.retain(|(name, _)| !name.starts_with('.'));
    found.sort();
    Ok(found)
}

fn wrong(dir: &Path, message: &str) -> Error {
    Error::Data(format!("folder, {}: {message}", dir.display()))
}
