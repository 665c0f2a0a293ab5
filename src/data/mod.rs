//! Images and labels, and the order in which a run sees them.
//!
//! **Invariant:** a [`Dataset`] that was loaded holds exactly one label below `classes` for each image, and images of
//! height·width·channels bytes, channels last. Pixels stay bytes until a batch needs them.
#[cfg(not(target_arch = "wasm32"))]
mod cifar10;
mod idx;
#[cfg(not(target_arch = "wasm32"))]
mod picture;

#[cfg(not(target_arch = "wasm32"))]
pub use picture::image_to_input;

use crate::recipe::Set;
use crate::{Error, Result, random};

/// A data set with its two splits.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// As a recipe calls it.
    pub name: String,
    /// Labels are below this.
    pub classes: usize,
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
    pub labels: Vec<u8>,
}

impl Dataset {
    /// Reads a data set.
    ///
    /// Errors: files that are missing, of the wrong length, or hold a label out of range; in the browser, any set that is
    /// not embedded.
    pub fn load(set: &Set) -> Result<Self> {
        let (train, test) = match set {
            Set::Digits => digits()?,
            #[cfg(not(target_arch = "wasm32"))]
            Set::Cifar10 { dir } => cifar10::load(dir, cifar10::RECORDS)?,
            #[cfg(target_arch = "wasm32")]
            Set::Cifar10 { .. } => {
                return Err(Error::Data("cifar10 is read from files; here only digits is there".into()));
            }
        };
        let [channels, height, width] = set.image();
        Ok(Self { name: set.name().into(), classes: set.classes(), channels, height, width, train, test })
    }
}

/// The embedded digits, in file order: the first 1437 to train on, the last 360 to test on.
fn digits() -> Result<(Split, Split)> {
    const IMAGES: &[u8] = include_bytes!("../../assets/digits/digits-images-idx3-ubyte.gz");
    const LABELS: &[u8] = include_bytes!("../../assets/digits/digits-labels-idx1-ubyte.gz");
    let all = idx::split(IMAGES, LABELS, "digits", [8, 8], 10)?;
    let train_len = Set::Digits.train_len();
    if all.len() <= train_len {
        return Err(Error::Data(format!("digits: {} images, but {train_len} are for training alone", all.len())));
    }
    let (train_labels, test_labels) = all.labels.split_at(train_len);
    let (train_images, test_images) = all.images.split_at(train_len * all.image_len());
    let split = |images: &[u8], labels: &[u8]| Split { images: images.into(), labels: labels.into() };
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

    /// The images at `index` as the network's input, N, H, W, C without any padding, each pixel p as p·a + b with
    /// `scale` = [a, b]; and their labels. `index` must lie in the split.
    pub fn normalised(&self, index: &[u32], scale: [f32; 2]) -> (Vec<f32>, Vec<u32>) {
        let image_len = self.image_len();
        let mut values = Vec::with_capacity(index.len() * image_len);
        for &at in index {
            let pixels = &self.images[at as usize * image_len..][..image_len];
            values.extend(pixels.iter().map(|&pixel| scaled(pixel, scale)));
        }
        (values, index.iter().map(|&at| u32::from(self.labels[at as usize])).collect())
    }
}

/// The network's input for one pixel: p·a + b, rounded after each operation.
pub fn scaled(pixel: u8, [a, b]: [f32; 2]) -> f32 {
    f32::from(pixel) * a + b
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
        assert_eq!(digits.train.len(), Set::Digits.train_len());
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
        let (values, labels) = split.normalised(&[2, 0], [0.0625, -0.5]);
        assert_eq!(values, [-0.4375, -0.375, -0.5, 0.5]);
        assert_eq!(labels, [9, 7]);
        assert_eq!(Split::default().normalised(&[], [1.0, 0.0]), (vec![], vec![]));
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
