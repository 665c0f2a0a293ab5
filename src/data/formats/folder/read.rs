//! A folder of pictures as a data set; [`layout`] determines which folders are
//! splits and classes.
//!
//! **Invariant:** classes and pictures are identified by name, so that a folder is the same data
//! set wherever it is stored. Files that are not pictures are left out before anything is divided
//! or counted, and listed with the reason.
//!
//! Every split starts as a listing of files, divided as the recipe asks; then splits that are small
//! enough are decoded into memory. So a picture found to be damaged is missing from its split and
//! changes no other. Where pictures stay files, damage is found when a batch needs the picture: see
//! [`Split::read`].
use super::{Folder, Format, Inspected, Pictures, Undecodable};
use crate::data::layout::{self, Layout, NO_CLASS, Place, arrange};
use crate::data::listing::Reading;
use crate::data::tree::{Leaf, Tree};
use crate::data::{CLASSES_NAMED, Classes, Data, Dataset, FileKind, Listing, Part, Pixels, Split, Validation, picture};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Number of left-out files that a message names.
const NAMED: usize = 5;

/// A path relative to the folder that is left out, and the reason.
struct Skipped(String, String);

/// Contents of a folder, before any picture is decoded.
struct Found {
    pictures: Vec<String>,
    layout: Layout,
    skipped: Vec<Skipped>,
    /// Folders without pictures where classes are expected, and splits without any.
    empty: Vec<String>,
}

/// Reads the folder with these classes, as `data` asks for it. Also returns a one-line description
/// of how it was understood.
pub(super) fn load(folder: &Folder, data: &Data, classes: Classes<'_>) -> Result<(Dataset, String)> {
    let Folder { dir, pictures, .. } = folder;
    let mut found = Found::read(dir, folder.classes, classes)?;
    let mut skipped = std::mem::take(&mut found.skipped);
    if let Some(folder) = found.layout.splits.get(&Part::Validation)
        && let Validation::Share(share @ f64::MIN_POSITIVE..) = data.validation
    {
        let message = format!(
            "{folder} holds the validation images, but data.validation = {share} would hold out training images as well; write validation = 0, or remove {folder}"
        );
        return Err(wrong(dir, &message));
    }
    let dataset = found.listed(folder).and_then(|listed| listed.matching(classes)).and_then(|listed| {
        let mut dataset = if data.keeps_all() { listed } else { listed.divided(data)? };
        let Dataset { train, validation, test, .. } = &mut dataset;
        [Some(train), validation.as_mut(), Some(test)]
            .into_iter()
            .flatten()
            .for_each(|split| keep(split, pictures, &mut skipped));
        if let Classes::Among(_) = classes { dataset.consistent() } else { dataset.checked() }
    });
    if !skipped.is_empty() {
        skipped.sort_by(|a, b| a.0.cmp(&b.0));
        let first: Vec<String> =
            skipped.iter().take(NAMED).map(|Skipped(path, why)| format!("{path} ({why})")).collect();
        let (count, rest) = (skipped.len(), if skipped.len() > NAMED { ", …" } else { "" });
        let (files, first) = (if count == 1 { "file" } else { "files" }, first.join(", "));
        match pictures.undecodable {
            Undecodable::Skip => log::warn!("{}: {count} {files} skipped: {first}{rest}", dir.display()),
            Undecodable::Refuse => {
                let advice = "remove or repair them, or write undecodable = \"skip\"";
                return Err(wrong(dir, &format!("{count} {files} cannot be used: {first}{rest}; {advice}")));
            }
        }
    }
    let dataset = dataset?;
    if let Some(warning) = found.layout.poor_test(dir).filter(|_| !matches!(classes, Classes::Among(_))) {
        log::warn!("{warning}");
    }
    let described = found.layout.described(dir, &dataset, pictures, data);
    Ok((dataset, described))
}

/// Finds the pictures in a folder.
///
/// # Errors
///
/// Returns an error if there is no such folder, or it holds no class folders with pictures.
pub(super) fn inspect(dir: &Path) -> Result<Inspected> {
    let found = Found::find(dir)?;
    if let ([class], [other, ..]) = (&found.layout.classes[..], &found.empty[..]) {
        return Err(wrong(dir, &format!("only {class} holds pictures that can be read; {}", found.without(other))));
    }
    let placed = found.layout.places.iter().zip(&found.pictures).filter(|(place, _)| place.is_ok());
    let pictures: Vec<_> = placed.map(|(_, path)| dir.join(path)).collect();
    if let Some(name) = found.layout.classes.iter().find(|name| layout::split_of(name).is_some()) {
        log::warn!(
            "{}: the folder {name} is used as a class; if it is a split, it needs another beside it, such as train/ and test/, each with all classes",
            dir.display()
        );
    }
    // Without a test split, the validation split is used for testing.
    let has_validation = found.layout.splits.contains_key(&Part::Validation);
    Ok(Inspected { classes: found.layout.classes, pictures, has_validation })
}

/// The names of the class folders, ordered; there must be `count` of them.
pub(super) fn class_names(dir: &Path, count: usize) -> Result<Vec<String>> {
    Ok(Found::read(dir, count, Classes::Counted)?.layout.classes)
}

impl Found {
    /// Finds pictures of these classes, for a model with `count` classes.
    fn read(dir: &Path, count: usize, classes: Classes<'_>) -> Result<Self> {
        let mut found = Self::find(dir)?;
        found.check_classes(dir, count, classes)?;
        Ok(found)
    }

    /// Finds pictures of any classes.
    fn find(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let advice = "name the folder with the pictures in [data] dir";
            return Err(wrong(
                dir,
                &match FileKind::of_file(dir) {
                    Some(FileKind { what, .. }) => format!("this is {what}, not a folder; unpack it, and {advice}"),
                    None => format!("no such folder; {advice}"),
                },
            ));
        }
        let mut tree = Tree::read(dir)?;
        let leaves = std::mem::take(&mut tree.leaves);
        // Special files are not opened: reading from a pipe would never end.
        let check = |leaf: &Leaf| match leaf.fault {
            Some(fault) => Err(fault.to_string()),
            None => picture::check(&dir.join(&leaf.path)).map_err(|fault| fault.brief),
        };
        let checked: Vec<Result<(), String>> = leaves.par_iter().map(check).collect();
        let (mut pictures, mut skipped) = (Vec::new(), Vec::new());
        for (leaf, checked) in leaves.into_iter().zip(checked) {
            match checked {
                Ok(()) => pictures.push(leaf.path),
                Err(why) => skipped.push(Skipped(leaf.path, why)),
            }
        }
        let paths: Vec<&str> = pictures.iter().map(String::as_str).collect();
        let layout = arrange(&paths).map_err(|message| wrong(dir, &message))?;
        let classless =
            paths.iter().zip(&layout.places).filter_map(|(path, place)| Some((path, place.as_ref().err()?)));
        skipped.extend(classless.map(|(path, why)| Skipped(path.to_string(), why.clone())));
        let holds = |folder: &str| {
            let folder = format!("{folder}/");
            let at = paths.partition_point(|path| *path < folder.as_str());
            paths.get(at).is_some_and(|path| path.starts_with(&folder))
        };
        let without = |parent: &str| -> Vec<String> {
            let folders = tree.folders_in(parent).into_iter().map(|name| format!("{parent}{name}"));
            folders.filter(|folder| !holds(folder)).collect()
        };
        // A folder meant for a split that holds no pictures, although a share would then be used
        // for testing.
        let untested = without(&layout.root)
            .into_iter()
            .find(|path| layout::split_of(path.rsplit('/').next().unwrap_or_default()).is_some());
        if let (1, Some(folder)) = (layout.splits.len(), untested) {
            let advice = "put pictures there in a folder for each class, or remove it to test on a share of the others";
            return Err(wrong(dir, &format!("{folder}/ holds no picture that can be read; {advice}")));
        }
        let empty = without(&layout.train);
        let found = Self { pictures, layout, skipped, empty };
        if found.layout.classes.is_empty() {
            return Err(wrong(dir, &found.nothing()));
        }
        Ok(found)
    }

    /// Checks that the classes are those required. Folders without pictures are then left out.
    fn check_classes(&mut self, dir: &Path, count: usize, classes: Classes<'_>) -> Result<()> {
        let names = &self.layout.classes;
        if names.len() != count && names.len() + self.empty.len() == count && classes == Classes::Counted {
            let [first, ..] = &self.empty[..] else { unreachable!("there are as many as are missing") };
            return Err(wrong(
                dir,
                &format!("{first} holds no picture that can be read; put some there, or remove it"),
            ));
        }
        let within = dir.join(&self.layout.train);
        classes.names(names, count).map_err(|message| wrong(&within, &message))?;
        let without = self.empty.iter().map(|path| Skipped(format!("{path}/"), "a folder without pictures".into()));
        self.skipped.extend(without);
        Ok(())
    }

    /// What a class folder holds in which no picture can be read, and what to do.
    fn without(&self, folder: &str) -> String {
        let inside = |Skipped(path, _): &&Skipped| path.strip_prefix(folder).is_some_and(|path| path.starts_with('/'));
        match self.skipped.iter().find(inside) {
            Some(Skipped(path, why)) => {
                format!("{folder} holds none, but {path} ({why}): put pictures there that are saved as PNG or JPEG")
            }
            None => format!("{folder} holds none: put some there"),
        }
    }

    /// The error message for a folder without class folders, depending on its contents.
    fn nothing(&self) -> String {
        let advice = "put the pictures of each class into a folder named after it: \
                      <class>/, or train/<class>/ and test/<class>/";
        let loose = self.skipped.iter().filter(|Skipped(_, why)| why == NO_CLASS).count();
        let others: Vec<_> = self.skipped.iter().filter(|Skipped(_, why)| why != NO_CLASS).take(3).collect();
        match (loose, &self.empty[..], &others[..]) {
            (0, [first, ..], []) => {
                format!("there are no class folders with pictures: {first} holds no picture that can be read; {advice}")
            }
            (0, _, []) => format!("there are no class folders; {advice}"),
            (0, ..) => {
                let others = others.iter().map(|Skipped(path, why)| format!("{path} ({why})"));
                let others = others.collect::<Vec<_>>().join(", ");
                format!("there are no class folders, and no picture that can be read, but {others}; {advice}")
            }
            (1, ..) => format!("there are no class folders, but a picture outside any folder; {advice}"),
            (loose, ..) => format!(
                "there are no class folders, but {loose} pictures outside any folder; {advice}. If this folder is one class, name the folder above it"
            ),
        }
    }

    /// All pictures, as files.
    fn listed(&self, folder: &Folder) -> Result<Dataset> {
        let (Folder { dir, pictures, .. }, layout) = (folder, &self.layout);
        let reading = Reading { shape: folder.source(), fit: pictures.fit, undecodable: pictures.undecodable };
        let mut parts = [(); 3].map(|()| (Listing::new(dir, reading), Vec::new()));
        let mut placed: Vec<(Place, &str)> = Vec::with_capacity(self.pictures.len());
        placed.extend(
            layout
                .places
                .iter()
                .zip(&self.pictures)
                .filter_map(|(place, path)| Some((*place.as_ref().ok()?, path.as_str()))),
        );
        // By class, and within a class by name: the sort is stable.
        placed.sort_by_key(|(place, _)| place.class);
        // Number of test images among the first `len` of a class; with a small tolerance, because
        // 0.3 · 10 may be less than 3.
        let tests = |len: usize| (len as f64 * pictures.test_share + 1e-9).floor();
        let mut counts = vec![0; layout.classes.len()];
        for (place, path) in placed {
            let at = counts[place.class];
            counts[place.class] += 1;
            let part = place.part.unwrap_or(if tests(at + 1) > tests(at) { Part::Test } else { Part::Train });
            let (listing, labels) = &mut parts[part as usize];
            listing.push(path);
            labels.push(u16::try_from(place.class).expect("a recipe has at most 65 536 classes"));
        }
        let [train, validation, test] = parts.map(|(listing, labels)| Split {
            pixels: Pixels::Files(listing),
            labels,
            shape: folder.source(),
            input: folder.image,
        });
        if test.is_empty() {
            return Err(wrong(dir, &self.no_tests(pictures.test_share)));
        }
        let mut dataset = Dataset::of_folder(layout.classes.clone(), folder.source(), train, test);
        dataset.validation = (!validation.is_empty()).then_some(validation);
        dataset.checked()
    }

    fn no_tests(&self, share: f64) -> String {
        let each = (1.0 / share).ceil();
        format!(
            "there are no pictures to test on; a share of {share} of each class is used for testing: put {each} or more pictures into a class, or create train/<class>/ and test/<class>/"
        )
    }
}

impl Layout {
    /// The folder of the classes or splits as the user typed it, without the trailing slash added
    /// by joining.
    fn shown(&self, dir: &Path) -> String {
        let shown = dir.join(&self.root).display().to_string();
        shown.trim_end_matches('/').to_string()
    }

    /// The warning about a test folder in which classes are missing.
    fn poor_test(&self, dir: &Path) -> Option<String> {
        let folder = self.splits.get(&Part::Test)?;
        let tested = self.places.iter().flatten().filter(|place| place.part == Some(Part::Test));
        let tested: Vec<usize> = tested.map(|place| place.class).collect();
        let missing = self.classes.iter().enumerate().filter(|(class, _)| !tested.contains(class));
        let missing: Vec<_> = missing.map(|(_, name)| name.as_str()).collect();
        let (count, first) = (missing.len(), missing[..missing.len().min(CLASSES_NAMED)].join(", "));
        let rest = if count > CLASSES_NAMED { ", …" } else { "" };
        let pictures = if tested.len() == 1 { "1 picture".into() } else { format!("{} pictures", tested.len()) };
        (count > 0).then(|| {
            format!(
                "{}: the test images are the {pictures} in {folder}, with none of {first}{rest}; put pictures of every class there, or remove {folder}",
                self.shown(dir)
            )
        })
    }

    /// One-line description of how a folder was understood.
    fn described(&self, dir: &Path, dataset: &Dataset, pictures: &Pictures, data: &Data) -> String {
        let Dataset { class_names, train, validation, test, .. } = dataset;
        let named = class_names[..class_names.len().min(CLASSES_NAMED)].join(", ");
        let rest = if class_names.len() > CLASSES_NAMED { ", …" } else { "" };
        let folder = |part| self.splits.get(&part).map(|name| format!("{name} ")).unwrap_or_default();
        let mut parts = vec![format!("{}{} images to train on", folder(Part::Train), train.len())];
        if let Some(split) = validation {
            let how = match self.splits.contains_key(&Part::Validation) {
                true => String::new(),
                false => match data.validation {
                    Validation::Auto => " (a tenth; validation = 0 for none)".into(),
                    Validation::Share(share) => format!(" (validation = {share})"),
                },
            };
            parts.push(format!("{}{} held out for validation{how}", folder(Part::Validation), split.len()));
        }
        let how = match self.splits.get(&Part::Test) {
            None => format!(" (test_share = {})", pictures.test_share),
            Some(name) if layout::split_of(name.trim_end_matches('/')) == Some(Part::Validation) => {
                " (there is no test/)".into()
            }
            Some(_) => String::new(),
        };
        parts.push(format!("{}{} to test on{how}", folder(Part::Test), test.len()));
        let (root, count) = (self.shown(dir), class_names.len());
        let classes = if count == 1 { "class" } else { "classes" };
        format!("{root}: {count} {classes} ({named}{rest}); {}", parts.join(", "))
    }
}

/// Decodes a split into memory if it is small enough. Images that cannot be decoded are removed and
/// added to `skipped`.
fn keep(split: &mut Split, pictures: &Pictures, skipped: &mut Vec<Skipped>) {
    let Pixels::Files(listing) = &split.pixels else { return };
    let (image_len, most) = (split.image_len(), pictures.stream_above.saturating_mul(1 << 20));
    if (image_len as u64).saturating_mul(split.len() as u64) > most {
        return;
    }
    let all: Vec<u32> = (0..split.len() as u32).collect();
    let (mut pixels, faults) = listing.decode(&all, &AtomicBool::new(false));
    let mut damaged = vec![false; split.len()];
    for (at, fault) in faults {
        skipped.push(Skipped(listing.name(at).into(), fault.brief));
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

fn wrong(dir: &Path, message: &str) -> Error {
    let dir = dir.display().to_string();
    Error::Data(format!("folder, {}: {message}", if dir.len() > 1 { dir.trim_end_matches('/') } else { &dir }))
}
