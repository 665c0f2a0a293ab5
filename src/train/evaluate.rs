//! Evaluation: what a network makes of a whole split, with running statistics.

use super::session::Session;
use crate::data::{Normalise, Split};
use crate::error::{Error, Result};

/// How many classes an answer may name to be among the best.
const TOP: usize = 5;

/// Loss and accuracy over a whole split, with running statistics.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// Mean over the images.
    pub loss: f64,
    /// Images classified correctly.
    pub correct: usize,
    /// Images whose class is among the five with the largest logits; of equal logits the first count as larger.
    pub top5: usize,
    /// Images.
    pub images: usize,
    /// `[class][predicted]`: how often.
    pub confusion: Vec<Vec<usize>>,
}

impl Evaluation {
    /// Share of images classified correctly.
    pub fn accuracy(&self) -> f32 {
        self.correct as f32 / self.images.max(1) as f32
    }

    /// Share of images whose class is among the best five; nothing of five classes or fewer.
    pub fn top5_accuracy(&self) -> Option<f32> {
        (self.confusion.len() > TOP).then(|| self.top5 as f32 / self.images.max(1) as f32)
    }
}

/// Probabilities of the classes from one image's logits.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|&v| libm::expf(v - largest)).collect();
    let sum: f64 = powers.iter().copied().map(f64::from).sum();
    powers.iter().map(|p| p / sum as f32).collect()
}

/// The first largest of the logits.
pub fn winner(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, c| if logits[c] > logits[best] { c } else { best })
}

/// How many classes have larger logits than `label`, those of equal logits before it included.
fn rank(logits: &[f32], label: usize) -> usize {
    let larger = |(c, &v): (usize, &f32)| v > logits[label] || v == logits[label] && c < label;
    logits.iter().enumerate().filter(|&class| larger(class)).count()
}

/// Evaluates a session on a split, batch by batch: on all of its images, but for pictures that turn out to be damaged and are skipped.
///
/// # Errors
/// When the device is lost, a picture cannot be read, or somebody asks to stop.
pub async fn evaluate(
    session: &mut Session,
    split: &Split,
    normalise: &Normalise,
    classes: usize,
) -> Result<Evaluation> {
    let confusion = vec![vec![0; classes]; classes];
    let mut evaluation = Evaluation { loss: 0.0, correct: 0, top5: 0, images: 0, confusion };
    let all: Vec<u32> = (0..split.len() as u32).collect();
    for chunk in all.chunks(session.batch()) {
        let (images, labels) = split.normalised_whole(chunk, normalise)?;
        let logits = session.logits(&images).await?;
        evaluation.images += labels.len();
        for (logits, &label) in logits.chunks_exact(classes).zip(&labels) {
            let (label, best) = (label as usize, winner(logits));
            evaluation.correct += usize::from(best == label);
            evaluation.top5 += usize::from(rank(logits, label) < TOP);
            evaluation.confusion[label][best] += 1;
            evaluation.loss += session.loss().of(logits, label);
        }
    }
    if evaluation.images == 0 && !split.is_empty() {
        return Err(Error::Data("none of the pictures to evaluate on can be decoded; put whole ones there".into()));
    }
    evaluation.loss /= evaluation.images.max(1) as f64;
    Ok(evaluation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_equal_logits_in_order() {
        let logits = [1.0, 3.0, 2.0, 3.0];
        assert_eq!([0, 1, 2, 3].map(|label| rank(&logits, label)), [3, 0, 2, 1]);
        assert_eq!(winner(&logits), 1);
    }
}
