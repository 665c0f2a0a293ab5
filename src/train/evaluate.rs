//! Evaluation of a network on a whole split, with running statistics.

use super::session::Session;
use crate::data::{Normalise, Split};
use crate::error::{Error, Result};
use crate::ops::evaluation_record::rank;
use crate::pass::Loss;

pub use crate::ops::evaluation_record::winner;

/// Number of best classes considered for top-5 accuracy.
const TOP: usize = 5;

/// Loss and accuracy over a whole split, with running statistics.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// Mean over the images; the f32 losses from the device are summed in order in f64.
    pub loss: f64,
    /// Images classified correctly.
    pub correct: usize,
    /// Images whose class is among the five largest logits; of equal logits the first ranks higher.
    pub top5: usize,
    /// Number of images.
    pub images: usize,
    /// `[class][predicted]`: number of images.
    pub confusion: Vec<Vec<usize>>,
}

/// A network's result for an image.
pub(crate) struct ImageResult {
    /// Loss of the image.
    pub loss: f32,
    /// The class of the largest logit, the first if several.
    pub class: usize,
    /// Number of classes ranked above the label: those with larger logits, and those with equal
    /// logits that come before it.
    pub rank: usize,
}

impl ImageResult {
    /// The result for an image with these logits.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))] // packed files are evaluated by the program
    pub(crate) fn new(logits: &[f32], label: usize, loss: &Loss) -> Self {
        Self { loss: loss.of(logits, label), class: winner(logits), rank: rank(logits, label) }
    }

    /// The result and the image's label as words, for another rank.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))] // browsers are no ranks
    pub(super) fn to_words(&self, label: u32) -> [u32; 4] {
        [label, self.loss.to_bits(), self.class as u32, self.rank as u32]
    }

    /// The label and the result from [`ImageResult::to_words`].
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))] // browsers are no ranks
    pub(super) fn from_words([label, loss, class, rank]: [u32; 4]) -> (u32, Self) {
        (label, Self { loss: f32::from_bits(loss), class: class as usize, rank: rank as usize })
    }
}

impl Evaluation {
    /// Counts the results of images with these labels.
    pub(crate) fn of(classes: usize, labels: &[u32], results: &[ImageResult]) -> Self {
        let mut confusion = vec![vec![0; classes]; classes];
        for (&label, result) in labels.iter().zip(results) {
            confusion[label as usize][result.class] += 1;
        }
        Self {
            loss: results.iter().map(|result| f64::from(result.loss)).sum::<f64>() / labels.len().max(1) as f64,
            correct: (0..classes).map(|class| confusion[class][class]).sum(),
            top5: results.iter().filter(|result| result.rank < TOP).count(),
            images: labels.len(),
            confusion,
        }
    }

    /// Share of images classified correctly.
    pub fn accuracy(&self) -> f32 {
        self.correct as f32 / self.images.max(1) as f32
    }

    /// Share of images whose class is among the top five; `None` for five classes or fewer.
    pub fn top5_accuracy(&self) -> Option<f32> {
        (self.confusion.len() > TOP).then(|| self.top5 as f32 / self.images.max(1) as f32)
    }
}

/// Class probabilities from the logits of one image.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|&v| libm::expf(v - largest)).collect();
    let sum: f64 = powers.iter().copied().map(f64::from).sum();
    powers.iter().map(|p| p / sum as f32).collect()
}

/// Evaluates a session on a split, batch by batch: on all images except damaged pictures, which are
/// skipped. Each of several ranks evaluates its share, and all have the result for all images.
///
/// # Errors
///
/// Returns an error if the device is lost, a picture cannot be read, or a stop is requested.
pub async fn evaluate(
    session: &mut Session,
    split: &Split,
    normalise: &Normalise,
    classes: usize,
) -> Result<Evaluation> {
    let mut evaluator = session.evaluator(&normalise.clone().centred(split.shape, split.input)).await?;
    let (share, mut labels) = (evaluator.share(split.len()), Vec::new());
    let mine: Vec<u32> = share.map(|at| at as u32).collect();
    for chunk in mine.chunks(evaluator.full()) {
        let (pixels, of_chunk) = split.intact_centre_crops(chunk)?;
        evaluator.batch(&pixels, &of_chunk).await?;
        labels.extend(of_chunk);
    }
    let results = evaluator.finish().await?;
    let (labels, results) = session.gather_results(labels, results)?;
    if labels.is_empty() && !split.is_empty() {
        return Err(Error::Data("none of the pictures to evaluate on can be decoded; provide intact ones".into()));
    }
    Ok(Evaluation::of(classes, &labels, &results))
}
