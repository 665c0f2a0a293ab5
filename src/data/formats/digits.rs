//! The embedded digits.
use super::{Files, Format, Loaded, dataset};
use crate::data::{Split, idx_file};
use crate::schema::{Keys, Visitor};
use crate::{Error, Result};
use std::ops::Range;

const IMAGES: &[u8] = include_bytes!("../../../assets/digits/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("../../../assets/digits/digits-labels-idx1-ubyte.gz");
const TRAIN_LEN: usize = 1437;

/// Handwritten digits, 8 × 8 pixels of 0..=16, embedded: 1437 for training, 360 for testing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits;

impl Keys for Digits {
    fn keys(&mut self, _visitor: &mut dyn Visitor) {}
}

impl Format for Digits {
    fn start(_image: [usize; 3], _classes: usize) -> Self {
        Self
    }

    fn name(&self) -> &'static str {
        "digits"
    }

    fn meaning(&self) -> &'static str {
        "embedded handwritten digits of 8 × 8 pixels, 1437 for training and 360 for testing"
    }

    fn image(&self) -> [usize; 3] {
        [1, 8, 8]
    }

    fn classes(&self) -> usize {
        10
    }

    fn train_len(&self) -> Option<usize> {
        Some(TRAIN_LEN)
    }

    fn max_pixel(&self) -> u8 {
        16
    }

    /// 0..=16 to −0.5..=0.5.
    fn default_scale(&self) -> [f32; 2] {
        [1.0 / 16.0, -0.5]
    }

    /// In file order: the first images for training, the rest for testing.
    fn read(&self) -> Result<Loaded> {
        let files = (("digits, images", IMAGES), ("digits, labels", LABELS));
        let all = idx_file::split(files.0, files.1, self.image(), self.classes())?;
        if all.len() <= TRAIN_LEN {
            return Err(Error::Data(format!("digits: {} images, but {TRAIN_LEN} are used for training", all.len())));
        }
        let part =
            |positions: Range<usize>| -> Split { all.select(&positions.map(|at| at as u32).collect::<Vec<_>>()) };
        Ok((dataset(self, (part(0..TRAIN_LEN), part(TRAIN_LEN..all.len()))), None))
    }

    fn read_files(&self, _files: Files<'_>) -> Result<Loaded> {
        self.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    #[test]
    fn digits_are_all_there() {
        let digits = Dataset::load(&Digits.into()).unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
        assert_eq!(Some(digits.train.len()), Digits.train_len());
        assert_eq!((digits.train.image_len(), digits.test.image_len()), (64, 64));
        assert_eq!(digits.train.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let pixels = [&digits.train, &digits.test].map(|split| split.in_memory().unwrap());
        assert_eq!(pixels[0][..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        let top = pixels.concat().into_iter().max();
        assert_eq!(top, Some(Digits.max_pixel()));
        let mut counts = [0; 10];
        digits.test.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert!(counts.iter().all(|&n| n > 30), "{counts:?}");
    }
}
