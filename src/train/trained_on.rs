//! What a network was trained on: the part of a checkpoint that tells its classes, and by which a resumed run knows its images again.

use crate::bits::{FNV_START, fnv_1a};
use crate::data::Dataset;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Facts of the training images. Data set, shape and normalisation stand in the checkpoint's recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// What the classes are called, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// The number of training images.
    pub images: u64,
    /// FNV-1a over their labels in order, in hexadecimal.
    pub labels: String,
}

impl TrainedOn {
    /// The facts of a data set.
    pub fn new(dataset: &Dataset) -> Self {
        let labels = &dataset.train.labels;
        let hash = labels.iter().fold(FNV_START, |hash, label| fnv_1a(hash, &label.to_le_bytes()));
        let classes = dataset.class_names.clone();
        Self { classes, images: labels.len() as u64, labels: format!("{hash:016x}") }
    }

    /// That a run on these images can go on with `others`.
    ///
    /// # Errors
    /// With what differs.
    pub fn check(&self, others: &Self) -> Result<()> {
        let differs = match () {
            () if self.classes != others.classes => {
                let differ = self.classes.iter().zip(&others.classes).enumerate().find(|(_, (a, b))| a != b);
                differ.map_or("there are more or fewer classes".to_string(), |(at, (known, other))| {
                    format!("class {at} is {other:?}, but {known:?} in the network; Dataset.matching puts the same classes in the network's order")
                })
            }
            () if self.images != others.images => {
                format!("there are {} of them, but the run was trained on {}", others.images, self.images)
            }
            () if self.labels != others.labels => "as many, but with other labels".to_string(),
            () => return Ok(()),
        };
        Err(Error::Data(format!(
            "these are not the run's training images: {differs}; restore the run's data set, or begin a new run from its weights (--init)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;

    fn facts(classes: [&str; 2], labels: &[u16]) -> TrainedOn {
        let split = Split::new([1, 1, 1], vec![0; labels.len()], labels.to_vec());
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
    }
}
