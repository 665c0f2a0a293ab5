//! Images and labels, and the order in which a run uses them.
//!
//! **Invariant:** a loaded [`Dataset`] holds exactly one label below `classes` for each image, and
//! images of height·width·channels bytes, channels last. Pixels stay bytes until a batch needs
//! them, and pictures of a folder that is too large for memory stay files.
mod classes;
mod divide;
mod file_kind;
pub(crate) mod formats;
mod idx_file;
#[cfg(not(target_arch = "wasm32"))]
mod inspect;
mod layout;
#[cfg(not(target_arch = "wasm32"))]
mod listing;
mod normalise;
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
mod panics;
#[cfg(all(not(feature = "image"), not(target_arch = "wasm32")))]
#[path = "no_pictures.rs"]
mod picture;
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
mod picture;
#[cfg(not(target_arch = "wasm32"))]
mod prefetch;
mod settings;
mod split;
#[cfg(not(target_arch = "wasm32"))]
mod tree;

pub use classes::Classes;
pub use file_kind::FileKind;
pub use formats::*;
#[cfg(not(target_arch = "wasm32"))]
pub use inspect::{Found, PictureSizes, inspect};
pub use layout::{Layout, NO_CLASS, Place, arrange, is_system};
#[cfg(not(target_arch = "wasm32"))]
pub use listing::Listing;
pub use normalise::{Normalise, border};
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
pub use panics::panic_is_expected;
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
pub use picture::{InputImage, image_to_input};
#[cfg(not(target_arch = "wasm32"))]
pub use prefetch::{Batch, Prefetch};
pub use settings::{Data, Validation};
pub use split::{Pixels, Split};

use crate::{Error, Result, random};

/// Maximum number of classes of a data set: a label is two bytes.
pub const MOST_CLASSES: usize = 65_536;

/// Number of class names that a message lists.
const CLASSES_NAMED: usize = 10;

/// A data set with its splits, all with images of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Name in recipes.
    pub name: String,
    /// Number of classes; labels are below it.
    pub classes: usize,
    /// Name of each class.
    pub class_names: Vec<String>,
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image. A network's input may have fewer: [`Split::input`].
    pub height: usize,
    /// Columns of an image. A network's input may have fewer.
    pub width: usize,
    /// The training split.
    pub train: Split,
    /// The validation split, if images are held out to choose settings by.
    pub validation: Option<Split>,
    /// The test split.
    pub test: Split,
}

/// One of the splits of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// [`Dataset::train`].
    Train,
    /// [`Dataset::validation`].
    Validation,
    /// [`Dataset::test`].
    Test,
}

impl Part {
    /// Display name of the split.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl Dataset {
    /// Reads what a recipe's `[data]` asks for; for all of a [`Set`]: `Dataset::load(&set.into())`.
    /// Splits of a folder with more than [`stream_above`](Pictures::stream_above)
    /// MiB stay files.
    ///
    /// # Errors
    ///
    /// Returns an error if files are missing, damaged, of the wrong length, or hold a label out of
    /// range; if IDX files have images of another shape than the model's input, or different
    /// numbers of images and labels; if class folders are missing, empty or not as many as the
    /// model's classes; if pictures cannot be read and the recipe refuses such files; if parts have
    /// no images ([`Self::divided`]); in the browser, for any set that is not embedded.
    pub fn load(data: &Data) -> Result<Self> {
        Self::load_as(data, Classes::Counted)
    }

    /// Like [`Self::load`], with these classes.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::load`] does, or if classes are missing or unknown.
    pub fn load_as(data: &Data, classes: Classes<'_>) -> Result<Self> {
        Self::load_described(data, classes).map(|(dataset, _)| dataset)
    }

    /// Like [`Self::load_as`], with a one-line description of how files were understood where that
    /// is not obvious: which folders of pictures are which split and class, or which IDX files were
    /// read.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::load_as`] does.
    pub fn load_described(data: &Data, classes: Classes<'_>) -> Result<(Self, Option<String>)> {
        data.set.load(data, classes)
    }

    /// Like [`Self::load`], from the names and contents of the set's files, as a browser has them:
    /// in any order, and beside other files. Each file is requested after the previous one has been
    /// read: an iterator that reads them lazily keeps only one in memory.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::load`] does; if a file is given twice; or if the set cannot be
    /// read in this way.
    pub fn from_files<N: Into<String>>(data: &Data, files: impl IntoIterator<Item = (N, Vec<u8>)>) -> Result<Self> {
        let mut files = files.into_iter().map(|(name, bytes)| (name.into(), bytes));
        let (dataset, _) = formats::select(data.set.read_files(&mut files)?, data, Classes::Counted)?;
        Ok(dataset)
    }

    /// A user-defined data set, for recipes on `folder`: images of `[channels, height, width]`,
    /// pixels from 0 to 255, labels that are indices in `classes`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no class or more than 65 536; if splits have images of another
    /// shape or other labels; if a class has no training image; or if there is no test image.
    pub fn images(classes: Vec<String>, shape: [usize; 3], train: Split, test: Split) -> Result<Self> {
        Self::of_folder(classes, shape, train, test).checked()
    }

    /// Like [`Self::images`], unchecked.
    fn of_folder(class_names: Vec<String>, [channels, height, width]: [usize; 3], train: Split, test: Split) -> Self {
        let (name, classes, validation) = ("folder".into(), class_names.len(), None);
        Self { name, classes, class_names, channels, height, width, train, validation, test }
    }

    /// Returns the data set if it meets the conditions of [`Self::images`].
    fn checked(self) -> Result<Self> {
        let whole = self.consistent()?;
        let mut counts = vec![0; whole.classes];
        whole.train.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        match whole.class_names.iter().zip(counts).find(|(_, count)| *count == 0) {
            None => Ok(whole),
            Some((name, _)) => Err(Error::Data(format!(
                "{}: the class \"{name}\" has no image to train on; add some, or leave the class out",
                whole.name
            ))),
        }
    }

    /// Like [`Self::checked`], but classes may lack training images.
    fn consistent(self) -> Result<Self> {
        let wrong = |message: String| Err(Error::Data(format!("{}: {message}", self.name)));
        if !(1..=MOST_CLASSES).contains(&self.classes) {
            return wrong(format!("{} classes; there must be 1 to {MOST_CLASSES}", self.classes));
        }
        let shape = self.shape();
        let image_len = shape.iter().try_fold(1usize, |len, &dim| len.checked_mul(dim)).filter(|&len| len > 0);
        for part in [Part::Train, Part::Validation, Part::Test] {
            let (Some(split), what) = (self.part(part), part.name()) else { continue };
            let wanted_bytes = image_len.and_then(|len| len.checked_mul(split.len()));
            if let Some(pixels) = split.in_memory()
                && wanted_bytes != Some(pixels.len())
            {
                let (bytes, len) = (pixels.len(), split.len());
                return wrong(format!(
                    "{bytes} bytes of {what} images are not {len} images (one per label) of {shape:?}"
                ));
            }
            if split.shape != shape {
                return wrong(format!("{what} images of {:?}, but the set has {shape:?}", split.shape));
            }
            if let Some(at) = split.labels.iter().position(|&label| usize::from(label) >= self.classes) {
                let label = split.labels[at];
                return wrong(format!("label {label} of {what} image {at} is not below {}", self.classes));
            }
            if split.is_empty() && part != Part::Train {
                let verb = if part == Part::Test { "test on" } else { "validate with" };
                return wrong(format!("there is no image to {verb}; add some to every class"));
            }
        }
        Ok(self)
    }

    /// Channels, height and width of an image.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// A split, if there is one.
    pub fn part(&self, part: Part) -> Option<&Split> {
        match part {
            Part::Train => Some(&self.train),
            Part::Validation => self.validation.as_ref(),
            Part::Test => Some(&self.test),
        }
    }
}

/// The class names of `set`, without reading its images.
///
/// # Errors
///
/// Returns an error if a folder is missing, or its number of classes differs from the model's.
pub fn class_names(set: &Set) -> Result<Vec<String>> {
    set.read_class_names()
}

/// The error when a model's number of classes differs. It first asks whether these are the right
/// classes, because a folder one level too high or too low also contains folders.
pub(crate) fn same_classes(names: &[String], wanted: usize) -> Result<(), String> {
    if names.len() == wanted {
        return Ok(());
    }
    let (found, rest) = (names.len(), if names.len() > CLASSES_NAMED { ", …" } else { "" });
    let first = names[..found.min(CLASSES_NAMED)].join(", ");
    let (what, these) = if found == 1 { ("class", "Is this the class") } else { ("classes", "Are these the classes") };
    Err(format!(
        "{found} {what} ({first}{rest}), but model.classes = {wanted}. {these}? Then write classes = {found} and give the last layer as many \
         units; otherwise name the folder that holds one folder for each class"
    ))
}

/// The batches of one epoch over `len` records: indices in the split, `batch` at a time, in order
/// or, with `shuffle`, in an order determined by `seed` and `epoch`. The last batch may be shorter,
/// or is omitted with `drop_last`. `batch` must not be 0.
pub fn epoch_batches(len: usize, batch: usize, seed: u64, epoch: u64, shuffle: bool, drop_last: bool) -> Vec<Vec<u32>> {
    let order = if shuffle { random::permutation(seed, epoch, len) } else { (0..len as u32).collect() };
    let full = order.chunks(batch).filter(|chunk| !drop_last || chunk.len() == batch);
    full.map(<[u32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_everything_once() {
        let batches = |shuffle, drop_last| epoch_batches(10, 4, 1, 2, shuffle, drop_last);
        assert_eq!(batches(false, false), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!(batches(false, true).len(), 2);
        let shuffled = batches(true, false).concat();
        assert_ne!(shuffled, (0..10).collect::<Vec<u32>>());
        let mut sorted = shuffled.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<u32>>());
        assert_eq!(batches(true, true).concat(), shuffled[..8]);
        assert_ne!(epoch_batches(10, 4, 1, 3, true, false).concat(), shuffled);
        assert!(epoch_batches(3, 4, 0, 0, true, true).is_empty());
        assert_eq!(epoch_batches(8, 4, 0, 0, false, true).len(), 2);
    }
}
