//! Recognises the data set at a path, so that a recipe can be written for it.

use super::formats::sets::{Cifar10, Cifar100, Folder, Idx, Npz};
use super::formats::{Inspected, Set};
use super::{FileKind, picture};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;

/// Number of pictures that are decoded to find their size and whether they have colours.
const SAMPLE: usize = 64;

/// A data set that was recognised.
#[derive(Clone, Debug)]
pub struct Found {
    /// The set, with its location. The images of a folder have the size of its pictures.
    pub set: Set,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// For a folder, what its pictures look like.
    pub pictures: Option<PictureSizes>,
    /// Whether the set has validation images of its own.
    pub has_validation: bool,
}

/// Sizes of pictures in pixels, from a sample of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSizes {
    /// Number of all pictures.
    pub count: usize,
    /// Median width and height.
    pub median: [u32; 2],
    /// Whether they all have the same size.
    pub equal: bool,
    /// Whether none of them has colours.
    pub grey: bool,
}

/// Recognises the data set in a folder or file: CIFAR-10 and CIFAR-100 in their binary versions, IDX
/// files, a NumPy archive, or pictures in class folders.
///
/// # Errors
///
/// Returns an error, which says what is expected, if there is none of these, or its files are
/// incomplete or damaged.
pub fn inspect(path: &Path) -> Result<Found> {
    let whole = |set: Set, has_validation| {
        let classes = set.class_names().unwrap_or_default();
        Ok(Found { set, classes, pictures: None, has_validation })
    };
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
        return whole(Npz::inspect(path)?.into(), false);
    }
    if path.is_file() {
        let found = FileKind::of_file(path);
        let whole = "name the folder that contains it";
        let (what, advice) = found.map_or(("a file", whole), |kind| (kind.what, kind.advice_or(whole)));
        return Err(Error::Data(format!(
            "{}: this is {what}; {advice}. A data set is a folder of pictures, IDX or CIFAR files, or an .npz archive",
            path.display()
        )));
    }
    let inner = |name: &str| [path.to_path_buf(), path.join(name)];
    if let Some(dir) = inner("cifar-10-batches-bin").into_iter().find(|dir| dir.join("data_batch_1.bin").is_file()) {
        return whole(Cifar10 { dir }.into(), false);
    }
    let cifar100 = |dir: &Path| ["train.bin", "test.bin"].iter().all(|name| dir.join(name).is_file());
    if let Some(dir) = inner("cifar-100-binary").into_iter().find(|dir| cifar100(dir)) {
        return whole(Cifar100 { dir, labels: super::formats::Labels::Fine }.into(), false);
    }
    if let Some(set) = Idx::inspect(path)? {
        return whole(set.into(), false);
    }
    let Inspected { classes, pictures, has_validation } = Folder::inspect(path)?;
    let sizes = sizes(path, &pictures)?;
    let [width, height] = sizes.median.map(|side| side as usize);
    let image = [if sizes.grey { 1 } else { 3 }, height, width];
    let folder = Folder { dir: path.into(), image, classes: classes.len(), pictures: Default::default() };
    Ok(Found { set: folder.into(), classes, pictures: Some(sizes), has_validation })
}

fn sizes(dir: &Path, pictures: &[std::path::PathBuf]) -> Result<PictureSizes> {
    let every = pictures.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<_> = pictures.iter().step_by(every).collect();
    let looked: Vec<_> = sample.par_iter().filter_map(|path| picture::look(path).ok()).collect();
    let median = |of: fn(&picture::Look) -> u32| {
        let mut sides: Vec<_> = looked.iter().map(of).collect();
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied()
    };
    let (Some(width), Some(height)) = (median(|look| look.size[0]), median(|look| look.size[1])) else {
        return Err(Error::Data(format!(
            "{}: none of its pictures can be read; save them as PNG or JPEG",
            dir.display()
        )));
    };
    Ok(PictureSizes {
        count: pictures.len(),
        median: [width, height],
        equal: looked.iter().all(|look| look.size == [width, height]),
        grey: looked.iter().all(|look| look.grey),
    })
}
