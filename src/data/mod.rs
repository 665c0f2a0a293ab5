//! Images and labels, and the order in which a run uses them.
//!
//! **Invariant:** a loaded [`Dataset`] holds exactly one label below `classes` for each image, and
//! images of height·width·channels bytes, channels last. Pixels stay bytes until a batch needs
//! them, and pictures of a folder that is too large for memory stay files.
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
mod barrier;
mod cifar;
mod classes;
mod divide;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod idx;
#[cfg(not(target_arch = "wasm32"))]
mod idx_files;
mod kind;
mod layout;
#[cfg(not(target_arch = "wasm32"))]
mod listing;
mod normalise;
#[cfg(all(not(feature = "image"), not(target_arch = "wasm32")))]
#[path = "no_pictures.rs"]
mod picture;
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
mod picture;
#[cfg(not(target_arch = "wasm32"))]
mod prefetch;
mod split;
#[cfg(not(target_arch = "wasm32"))]
mod tree;

#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
pub use barrier::panic_is_expected;
pub use classes::Classes;
pub use kind::Kind;
pub use layout::{Layout, NO_CLASS, Place, arrange, is_system};
#[cfg(not(target_arch = "wasm32"))]
pub use listing::Listing;
pub use normalise::Normalise;
#[cfg(all(feature = "image", not(target_arch = "wasm32")))]
pub use picture::{any_image_to_input, image_to_input};
#[cfg(not(target_arch = "wasm32"))]
pub use prefetch::{Batch, Prefetch};
pub use split::{Pixels, Split};

#[cfg(not(target_arch = "wasm32"))]
use crate::recipe::Labels;
use crate::recipe::{Data, MOST_CLASSES, Recipe, Set};
use crate::{Error, Result, random};

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
    /// Splits of a folder with more than [`stream_above`](crate::recipe::Pictures::stream_above)
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
        let set = &data.set;
        #[cfg(not(target_arch = "wasm32"))]
        let mut described = None;
        #[cfg(target_arch = "wasm32")]
        let described = None;
        let whole = match set {
            Set::Digits => Self::known(set, digits()?),
            #[cfg(not(target_arch = "wasm32"))]
            Set::Cifar10 { dir } => Self::known(set, cifar::load(dir, cifar::CIFAR10)?),
            #[cfg(not(target_arch = "wasm32"))]
            Set::Cifar100 { dir, labels } => {
                let layout = match labels {
                    Labels::Fine => cifar::CIFAR100_FINE,
                    Labels::Coarse => cifar::CIFAR100_COARSE,
                };
                Self::known(set, cifar::load(dir, layout)?)
            }
            #[cfg(not(target_arch = "wasm32"))]
            Set::Idx { dir, image, classes } => {
                let (splits, names, read) = idx_files::load(dir, *image, *classes)?;
                described = read;
                Self { class_names: names, ..Self::known(set, splits) }
            }
            #[cfg(not(target_arch = "wasm32"))]
            // Folders are divided before they are decoded.
            Set::Folder { dir, classes: count, pictures, .. } => {
                let (dataset, described) = folder::load(dir, *count, pictures, data, classes)?;
                return Ok((dataset, Some(described)));
            }
            #[cfg(target_arch = "wasm32")]
            _ => {
                return Err(Error::Data(format!(
                    "{}: folders cannot be read here; choose the files of the set, and pass them to the run",
                    set.name()
                )));
            }
        };
        let whole = whole.matching(classes)?;
        let dataset = if data.keeps_all() { whole } else { whole.divided(data)? };
        Ok((dataset, described))
    }

    /// CIFAR-10 from the bytes of its binary version: `data_batch_1.bin` to `data_batch_5.bin` and
    /// `test_batch.bin`, identified by name, in any order. Folders before a name are ignored, and
    /// so are other files. Each file is requested after the previous one has been read: an iterator
    /// that reads them lazily keeps only one in memory.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing, given twice, of the wrong length, or holds a label
    /// that is not below 10.
    pub fn cifar10<N: AsRef<str>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, B)>) -> Result<Self> {
        let splits = cifar::read(files, cifar::CIFAR10)?;
        Ok(Self::known(&Set::Cifar10 { dir: Default::default() }, splits))
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

    /// A set whose shape and classes are known.
    fn known(set: &Set, (train, test): (Split, Split)) -> Self {
        let class_names = set.class_names().expect("sets of known classes have names for them");
        let images = Self::of_folder(class_names, set.image(), train, test);
        Self { name: set.name().into(), ..images }
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

    /// Checks that `recipe` can be trained on these images. Images loaded for the recipe pass,
    /// except for the number of images, which a recipe on a folder or on IDX files does not
    /// determine.
    ///
    /// # Errors
    ///
    /// Returns an error if the set, shape or number of classes differs from the recipe's; if these
    /// are not the images that its `[data]` selects; or if the images cannot fill batches as
    /// required.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        let wrong = |message: String| Err(Error::Data(format!("{}: {message}", self.name)));
        let (model, data) = (&recipe.model, &recipe.data);
        let (set, shape, wanted) = (data.set.name(), self.shape(), data.set.source());
        if set != self.name {
            return wrong(format!("the recipe asks for {set}; write set = \"{}\" in its [data]", self.name));
        }
        if shape != wanted {
            return wrong(match wanted == model.input {
                true => format!("images of {shape:?}, but model.input = {wanted:?} (channels, height, width)"),
                false => {
                    format!("images of {shape:?}, but data.resize asks for {wanted:?} (channels, height, width)")
                }
            });
        }
        same_classes(&self.class_names, model.classes).or_else(wrong)?;
        let most = |limit: Option<usize>| limit.unwrap_or(usize::MAX);
        let held_out_len = self.validation.as_ref().map_or(0, Split::len);
        // A folder may have a separate validation split, which is not part of the training images.
        let drawn_len = if data.validation > 0.0 { held_out_len } else { 0 };
        if self.train.input != model.input
            || (drawn_len == 0) != (data.validation == 0.0)
            || (held_out_len > drawn_len && !matches!(data.set, Set::Folder { .. }))
            || self.train.len() + drawn_len > most(data.limit)
            || self.test.len() > most(data.test_limit)
        {
            return wrong(
                "these are not the images that the recipe's [data] selects; select them with Dataset::divided"
                    .to_string(),
            );
        }
        recipe.batch_fault(self.train.len())?.map_or(Ok(()), |fault| wrong(format!("train.batch: {fault}")))
    }
}

/// The class names of `set`, without reading its images.
///
/// # Errors
///
/// Returns an error if a folder is missing, or its number of classes differs from the model's.
#[cfg(not(target_arch = "wasm32"))]
pub fn class_names(set: &Set) -> Result<Vec<String>> {
    match set {
        Set::Folder { dir, classes, .. } => folder::class_names(dir, *classes),
        _ => Ok(set.class_names().expect("sets of known classes have names for them")),
    }
}

/// The error when a model's number of classes differs. It first asks whether these are the right
/// classes, because a folder one level too high or too low also contains folders.
fn same_classes(names: &[String], wanted: usize) -> Result<(), String> {
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

/// The embedded digits, in file order: the first 1437 for training, the last 360 for testing.
fn digits() -> Result<(Split, Split)> {
    const IMAGES: &[u8] = include_bytes!("../../assets/digits/digits-images-idx3-ubyte.gz");
    const LABELS: &[u8] = include_bytes!("../../assets/digits/digits-labels-idx1-ubyte.gz");
    let all =
        idx::split(("digits, images", IMAGES), ("digits, labels", LABELS), Set::Digits.image(), Set::Digits.classes())?;
    let train_len = Set::Digits.train_len().expect("the number of digits is known");
    if all.len() <= train_len {
        return Err(Error::Data(format!("digits: {} images, but {train_len} are used for training", all.len())));
    }
    let part = |places: std::ops::Range<usize>| all.select(&places.map(|at| at as u32).collect::<Vec<_>>());
    Ok((part(0..train_len), part(train_len..all.len())))
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
    fn digits_are_all_there() {
        let digits = Dataset::load(&Set::Digits.into()).unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
        assert_eq!(Some(digits.train.len()), Set::Digits.train_len());
        assert_eq!((digits.train.image_len(), digits.test.image_len()), (64, 64));
        assert_eq!(digits.train.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let pixels = [&digits.train, &digits.test].map(|split| split.in_memory().unwrap());
        assert_eq!(pixels[0][..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        let top = pixels.concat().into_iter().max();
        assert_eq!(top, Some(Set::Digits.max_pixel()));
        let mut counts = [0; 10];
        digits.test.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert!(counts.iter().all(|&n| n > 30), "{counts:?}");
    }

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
