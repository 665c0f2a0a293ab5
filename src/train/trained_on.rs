//! Description of the training data in a checkpoint: the classes, and hashes by which a resumed run
//! recognises its images.

use crate::bits::{FNV_START, fnv_1a};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Facts about the training images. Data set, shape and normalisation are in the checkpoint's
/// recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// The class names, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Number of training images.
    pub images: u64,
    /// FNV-1a over the labels in order, in hexadecimal.
    pub labels: String,
    /// FNV-1a over 65 536 bytes of the images, in hexadecimal: byte ⌊i·n / 65 536⌋ of all n for i
    /// from 0; all bytes if there are fewer. `None` for pictures that stay files, and in
    /// checkpoints of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
    /// The validation images, if there are any; unknown in checkpoints of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ImageFacts>,
}

/// Facts about images, as those of [`TrainedOn`] about the training images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Their number.
    pub images: u64,
    /// Hash of their labels.
    pub labels: String,
    /// Hash of their pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
}

impl ImageFacts {
    pub(super) fn new(split: &Split) -> Self {
        let hash = split.labels.iter().fold(FNV_START, |hash, label| fnv_1a(hash, &label.to_le_bytes()));
        let pixels = split.in_memory().map(|pixels| format!("{:016x}", sampled(pixels)));
        Self { images: split.len() as u64, labels: format!("{hash:016x}"), pixels }
    }

    /// How `others` differ, if they do by a fact known to both; `used` is what the run did with its own.
    fn difference(&self, others: &Self, used: &str) -> Option<String> {
        Some(match () {
            () if self.images != others.images => {
                format!("there are {} of them, but the run {used} {}", others.images, self.images)
            }
            () if self.labels != others.labels => "the same number, but with other labels".to_string(),
            () if self.pixels.as_ref().zip(others.pixels.as_ref()).is_some_and(|(own, other)| own != other) => {
                "the same number with the same labels, but other pictures".to_string()
            }
            () => return None,
        })
    }
}

/// Number of bytes hashed to recognise images, spread over all of them: at least one per image for
/// up to this many images.
const SAMPLED: usize = 1 << 16;

impl TrainedOn {
    /// The facts of a data set.
    pub fn new(dataset: &Dataset) -> Self {
        let ImageFacts { images, labels, pixels } = ImageFacts::new(&dataset.train);
        let validation = dataset.validation.as_ref().map(ImageFacts::new);
        Self { classes: dataset.class_names.clone(), images, labels, pixels, validation }
    }

    fn training(&self) -> ImageFacts {
        let Self { images, labels, pixels, .. } = self.clone();
        ImageFacts { images, labels, pixels }
    }

    /// Whether these may be the same images as `others`, by all facts known to both.
    pub fn agrees(&self, others: &Self) -> bool {
        self.check(others).is_ok()
    }

    /// Checks that a run on these images can be resumed with `others`.
    ///
    /// # Errors
    ///
    /// Returns an error if they differ; the message says how.
    pub fn check(&self, others: &Self) -> Result<()> {
        let differ = self.classes.iter().zip(&others.classes).enumerate().find(|(_, (a, b))| a != b);
        let differs = match differ {
            _ if self.classes == others.classes => self.training().difference(&others.training(), "was trained on"),
            None => Some("there are more or fewer classes".to_string()),
            Some((at, (known, other))) => Some(format!(
                "class {at} is {other:?}, but {known:?} in the network; Dataset.matching puts the same classes in the network's order"
            )),
        };
        differs.map_or(Ok(()), |differs| Err(other_images("training", &differs)))
    }

    /// Like [`Self::check`], of the validation images, too: a run chooses its best epoch by them.
    pub(super) fn check_all(&self, others: &Self) -> Result<()> {
        self.check(others)?;
        let differs = match (&self.validation, &others.validation) {
            (Some(_), None) => Some("there are none".to_string()),
            (Some(own), Some(others)) => own.difference(others, "was validated on"),
            (None, _) => None,
        };
        differs.map_or(Ok(()), |differs| Err(other_images("validation", &differs)))
    }
}

/// The error that images are not those of the run.
fn other_images(what: &str, differs: &str) -> Error {
    Error::Data(format!(
        "these are not the run's {what} images: {differs}; restore the run's data set, or start a new run from its weights (--init)"
    ))
}

/// Hash of bytes sampled evenly.
fn sampled(bytes: &[u8]) -> u64 {
    let count = bytes.len().min(SAMPLED);
    let place = |i: usize| (i as u64 * bytes.len() as u64 / count as u64) as usize;
    (0..count).fold(FNV_START, |hash, i| fnv_1a(hash, &bytes[place(i)..][..1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(classes: [&str; 2], labels: &[u16]) -> TrainedOn {
        facts_of(classes, labels, vec![0; labels.len()])
    }

    fn facts_of(classes: [&str; 2], labels: &[u16], pixels: Vec<u8>) -> TrainedOn {
        let split = Split::new([1, 1, 1], pixels, labels.to_vec());
        TrainedOn::new(&Dataset::images(classes.map(String::from).into(), [1, 1, 1], split.clone(), split).unwrap())
    }

    #[test]
    fn other_images_are_told_apart() {
        let known = facts(["a", "b"], &[0, 0, 1]);
        let message = |other: TrainedOn| known.check(&other).unwrap_err().to_string();
        known.check(&facts(["a", "b"], &[0, 0, 1])).unwrap();
        assert!(message(facts(["b", "a"], &[0, 0, 1])).contains("class 0 is \"b\", but \"a\" in the network"));
        assert!(
            message(facts(["a", "b"], &[0, 0, 1, 1])).contains("there are 4 of them, but the run was trained on 3")
        );
        assert!(message(facts(["a", "b"], &[0, 1, 0])).contains("other labels"));
        assert!(message(facts_of(["a", "b"], &[0, 0, 1], vec![0, 1, 0])).contains("other pictures"));
    }

    #[test]
    fn checkpoints_that_know_nothing_of_pixels_agree() {
        let known = facts(["a", "b"], &[0, 0, 1]);
        let json = serde_json::to_string(&TrainedOn { pixels: None, ..known.clone() }).unwrap();
        assert!(!json.contains("pixels"), "{json}");
        let old: TrainedOn = serde_json::from_str(&json).unwrap();
        assert!(old.agrees(&known) && known.agrees(&old) && known.agrees(&known));
        assert!(!old.agrees(&facts(["a", "b"], &[0, 1, 0])));
    }

    #[test]
    fn every_image_is_sampled() {
        let mut pixels = vec![7; 3 * SAMPLED + 5];
        let hash = sampled(&pixels);
        // At least every third byte is sampled.
        for at in [0, 2 * SAMPLED, 3 * SAMPLED] {
            let changed = (at..(at + 4).min(pixels.len())).any(|at| {
                let before = std::mem::replace(&mut pixels[at], 8);
                let other = sampled(&pixels) != hash;
                pixels[at] = before;
                other
            });
            assert!(changed, "byte {at}");
        }
        assert_eq!(sampled(&[]), FNV_START);
        assert_ne!(sampled(&[1, 2]), sampled(&[1, 3]));
    }
}
