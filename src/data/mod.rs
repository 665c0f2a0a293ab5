//! Images and labels, and the order in which a run sees them.
//!
//! **Invariant:** a [`Dataset`] that was loaded holds exactly one label below `classes` for each image, and images of
//! height·width·channels bytes, channels last. Pixels stay bytes until a batch needs them.
mod cifar;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod idx;
mod normalise;
#[cfg(not(target_arch = "wasm32"))]
mod picture;

pub use normalise::Normalise;
#[cfg(not(target_arch = "wasm32"))]
pub use picture::{any_image_to_input, image_to_input};

#[cfg(not(target_arch = "wasm32"))]
use crate::recipe::Labels;
use crate::recipe::{MOST_CLASSES, Recipe, Set};
use crate::{Error, Result, random};

/// A data set with its two splits.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// As a recipe calls it.
    pub name: String,
    /// Labels are below this.
    pub classes: usize,
    /// What each class is called.
    pub class_names: Vec<String>,
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// What a run learns from.
    pub train: Split,
    /// What it is measured on.
    pub test: Split,
}

/// Images with their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// Pixels, N, H, W, C.
    pub images: Vec<u8>,
    /// One label an image.
    pub labels: Vec<u16>,
}

impl Dataset {
    /// Reads a data set.
    ///
    /// Errors: files that are missing, damaged, of the wrong length, or hold a label out of range; IDX files of images of another
    /// shape than the model's input, or of another number of images than labels; class folders that are missing,
    /// empty or not as many as the model's classes; in the browser, any set that is not embedded.
    pub fn load(set: &Set) -> Result<Self> {
        match set {
            Set::Digits => Ok(Self::known(set, digits()?)),
            #[cfg(not(target_arch = "wasm32"))]
            Set::Cifar10 { dir } => Ok(Self::known(set, cifar::load(dir, cifar::CIFAR10)?)),
            #[cfg(not(target_arch = "wasm32"))]
            Set::Cifar100 { dir, labels } => {
                let layout = match labels {
                    Labels::Fine => cifar::CIFAR100_FINE,
                    Labels::Coarse => cifar::CIFAR100_COARSE,
                };
                Ok(Self::known(set, cifar::load(dir, layout)?))
            }
            #[cfg(not(target_arch = "wasm32"))]
            Set::Idx { dir, image, classes } => Ok(Self::known(set, idx::load(dir, *image, *classes)?)),
            #[cfg(not(target_arch = "wasm32"))]
            Set::Folder { dir, image, classes } => folder::load(dir, *image, *classes),
            #[cfg(target_arch = "wasm32")]
            _ => Err(Error::Data(format!(
                "{}: folders cannot be read here; choose its files, and give them to the run",
                set.name()
            ))),
        }
    }

    /// CIFAR-10 from the bytes of its binary version: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, by name,
    /// in any order. Folders before a name are ignored, and so are other files. Each is asked for when the one before it
    /// has been read: an iterator that reads them one by one keeps one in memory.
    ///
    /// Errors: a file that is missing, there twice, of the wrong length, or holds a label that is not below 10.
    pub fn cifar10<N: AsRef<str>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, B)>) -> Result<Self> {
        let splits = cifar::read(files, cifar::CIFAR10)?;
        Ok(Self::known(&Set::Cifar10 { dir: Default::default() }, splits))
    }

    /// A data set of the user's own, as recipes on `folder` train on it: images of `[channels, height, width]`, pixels from
    /// 0 to 255, labels that are places in `classes`.
    ///
    /// Errors: no class or more than 65 536; splits that are no images of that shape or have other labels; a class that has
    /// no image to train on; no image to test on.
    pub fn images(classes: Vec<String>, shape: [usize; 3], train: Split, test: Split) -> Result<Self> {
        let wrong = |message: String| Err(Error::Data(format!("folder: {message}")));
        if !(1..=MOST_CLASSES).contains(&classes.len()) {
            return wrong(format!("{} classes; there must be 1 to {MOST_CLASSES}", classes.len()));
        }
        for (what, split) in [("training", &train), ("test", &test)] {
            let image_len = shape.iter().try_fold(1usize, |len, &dim| len.checked_mul(dim)).filter(|&len| len > 0);
            let wanted_bytes = image_len.and_then(|len| len.checked_mul(split.len()));
            if wanted_bytes != Some(split.images.len()) {
                let (bytes, len) = (split.images.len(), split.len());
                return wrong(format!(
                    "{bytes} bytes of {what} images are not {len} images (one a label) of {shape:?}"
                ));
            }
            if let Some(at) = split.labels.iter().position(|&label| usize::from(label) >= classes.len()) {
                let label = split.labels[at];
                return wrong(format!("label {label} of {what} image {at} is not below {}", classes.len()));
            }
        }
        let mut counts = vec![0; classes.len()];
        train.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        if let Some((name, _)) = classes.iter().zip(counts).find(|(_, count)| *count == 0) {
            return wrong(format!("the class \"{name}\" has no image to train on; add some, or leave the class out"));
        }
        if test.is_empty() {
            return wrong("there is no image to test on; add some to every class".into());
        }
        let [channels, height, width] = shape;
        Ok(Self {
            name: "folder".into(),
            classes: classes.len(),
            class_names: classes,
            channels,
            height,
            width,
            train,
            test,
        })
    }

    /// A set whose shape and classes are known.
    fn known(set: &Set, (train, test): (Split, Split)) -> Self {
        let [channels, height, width] = set.image();
        let class_names = set.class_names().expect("sets of known classes have names for them");
        Self { name: set.name().into(), classes: set.classes(), class_names, channels, height, width, train, test }
    }

    /// Whether `recipe` can be trained on these images. It can if they were loaded for it, but for the number of images, which a
    /// recipe on a folder or on IDX files does not know.
    ///
    /// Errors: another set, shape or number of classes than the recipe's; batches that the images cannot fill as they must.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        let wrong = |message: String| Err(Error::Data(format!("{}: {message}", self.name)));
        let (model, set) = (&recipe.model, recipe.data.set.name());
        let shape = [self.channels, self.height, self.width];
        if set != self.name {
            return wrong(format!("the recipe asks for {set}; write set = \"{}\" in its [data]", self.name));
        }
        if shape != model.input {
            return wrong(format!(
                "images of {shape:?}, but model.input = {:?} (channels, height, width)",
                model.input
            ));
        }
        same_classes(&self.class_names, model.classes).or_else(wrong)?;
        recipe.batch_fault(self.train.len())?.map_or(Ok(()), |fault| wrong(format!("train.batch: {fault}")))
    }
}

/// What the classes of `set` are called, without reading its images.
///
/// Errors: a folder that is missing, or has another number of classes than the model.
#[cfg(not(target_arch = "wasm32"))]
pub fn class_names(set: &Set) -> Result<Vec<String>> {
    match set {
        Set::Folder { dir, classes, .. } => folder::class_names(dir, *classes),
        _ => Ok(set.class_names().expect("sets of known classes have names for them")),
    }
}

/// What to do if a model has not as many classes as there are.
fn same_classes(names: &[String], wanted: usize) -> Result<(), String> {
    if names.len() == wanted {
        return Ok(());
    }
    let (found, rest) = (names.len(), if names.len() > 4 { ", …" } else { "" });
    let first = names[..found.min(4)].join(", ");
    Err(format!(
        "{found} classes ({first}{rest}), but model.classes = {wanted}; write classes = {found} and give the last layer as many units"
    ))
}

/// The embedded digits, in file order: the first 1437 to train on, the last 360 to test on.
fn digits() -> Result<(Split, Split)> {
    const IMAGES: &[u8] = include_bytes!("../../assets/digits/digits-images-idx3-ubyte.gz");
    const LABELS: &[u8] = include_bytes!("../../assets/digits/digits-labels-idx1-ubyte.gz");
    let all =
        idx::split(("digits, images", IMAGES), ("digits, labels", LABELS), Set::Digits.image(), Set::Digits.classes())?;
    let train_len = Set::Digits.train_len().expect("it is known");
    if all.len() <= train_len {
        return Err(Error::Data(format!("digits: {} images, but {train_len} are for training alone", all.len())));
    }
    let (train_labels, test_labels) = all.labels.split_at(train_len);
    let (train_images, test_images) = all.images.split_at(train_len * all.image_len());
    let split = |images: &[u8], labels: &[u16]| Split { images: images.into(), labels: labels.into() };
    Ok((split(train_images, train_labels), split(test_images, test_labels)))
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image: H·W·C.
    pub fn image_len(&self) -> usize {
        self.images.len().checked_div(self.labels.len()).unwrap_or(0)
    }

    /// The images at `index` as the network's input, N, H, W, C without any padding; and their labels. `index` must lie in the split.
    pub fn normalised(&self, index: &[u32], normalise: &Normalise) -> (Vec<f32>, Vec<u32>) {
        let image_len = self.image_len();
        let mut values = Vec::with_capacity(index.len() * image_len);
        for &at in index {
            values.extend(normalise.images(&self.images[at as usize * image_len..][..image_len]));
        }
        (values, index.iter().map(|&at| u32::from(self.labels[at as usize])).collect())
    }
}

/// The batches of one epoch over `len` records: places in the split, `batch` at a time. In order, or if `shuffle` in an
/// order that follows from `seed` and `epoch`. The last batch is shorter if it must be, or left out if `drop_last`.
/// `batch` must not be 0.
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
        let digits = Dataset::load(&Set::Digits).unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
        assert_eq!(Some(digits.train.len()), Set::Digits.train_len());
        assert_eq!((digits.train.image_len(), digits.test.image_len()), (64, 64));
        assert_eq!(digits.train.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(digits.train.images[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        let top = digits.train.images.iter().chain(&digits.test.images).max();
        assert_eq!(top, Some(&Set::Digits.max_pixel()));
        let mut counts = [0; 10];
        digits.test.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert!(counts.iter().all(|&n| n > 30), "{counts:?}");
    }

    #[test]
    fn batches_are_scaled() {
        let split = Split { images: vec![0, 16, 8, 4, 1, 2], labels: vec![7, 8, 9] };
        let (values, labels) = split.normalised(&[2, 0], &Normalise::new(&Recipe::digits()));
        assert_eq!(values, [-0.4375, -0.375, -0.5, 0.5]);
        assert_eq!(labels, [9, 7]);
        assert_eq!(Split::default().normalised(&[], &Normalise::new(&Recipe::digits())), (vec![], vec![]));
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
