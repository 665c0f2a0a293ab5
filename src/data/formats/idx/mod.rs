//! Images in IDX files, as used by MNIST.
#[cfg(not(target_arch = "wasm32"))]
mod read;

use super::{DIR, DIR_WANTED, Fault, Format, Location};
#[cfg(not(target_arch = "wasm32"))]
use super::{Loaded, dataset};
use crate::schema::{Keys, Setting, Visitor};
use std::path::PathBuf;

/// Maximum number of classes: a label is one byte.
const MOST_CLASSES: usize = 256;

/// Images in IDX files, as used by MNIST, in the model's input size.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx {
    /// The folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
    /// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, gzipped or not, or with those of
    /// another set, such as `emnist-letters-test-images-idx3-ubyte`; relative to the working
    /// directory.
    pub dir: PathBuf,
    /// The model's input (channels, height, width), which the images must match.
    pub image: [usize; 3],
    /// The model's classes, at most 256 because a label is one byte: labels are below it.
    pub classes: usize,
}

#[cfg(not(target_arch = "wasm32"))]
impl Idx {
    /// The set in a folder, with the image shape and the number of classes of its files; `None` if
    /// it holds no IDX files.
    ///
    /// # Errors
    ///
    /// Returns an error if the set is incomplete or there are several, or a file is damaged.
    pub(in crate::data) fn inspect(dir: &std::path::Path) -> crate::Result<Option<Self>> {
        let found = read::inspect(dir)?;
        Ok(found.map(|(image, classes)| Self { dir: dir.into(), image, classes }))
    }
}

impl Keys for Idx {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(DIR, Setting::Path(&mut self.dir, DIR_WANTED));
    }
}

impl Format for Idx {
    fn start(image: [usize; 3], classes: usize) -> Self {
        Self { dir: "mnist".into(), image, classes }
    }

    fn name(&self) -> &'static str {
        "idx"
    }

    fn meaning(&self) -> &'static str {
        "MNIST, Fashion-MNIST, EMNIST and others in IDX files, gzipped or not"
    }

    fn files(&self) -> &'static str {
        "The folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
`t10k-labels-idx1-ubyte`, or those of another set, such as `emnist-letters-test-images-idx3-ubyte`.
Pixels and labels are bytes.
"
    }

    fn image(&self) -> [usize; 3] {
        self.image
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn location(&mut self) -> Option<Location<'_>> {
        let advice = "specify the folder with the four IDX files";
        Some(Location { key: DIR, path: &mut self.dir, advice, variable: None })
    }

    fn fault(&self) -> Option<Fault> {
        let message = || format!("idx, whose labels are single bytes, has at most {MOST_CLASSES} classes");
        (self.classes > MOST_CLASSES).then(|| ("classes", message()))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read(&self) -> crate::Result<Loaded> {
        let (splits, class_names, described) = read::load(&self.dir, self.image, self.classes)?;
        Ok((crate::data::Dataset { class_names, ..dataset(self, splits) }, described))
    }
}
