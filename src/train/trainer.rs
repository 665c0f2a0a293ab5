//! The trainer: leads a session through a recipe, epoch by epoch, and tells what happens as events.
//!
//! The order of the images follows from (seed, epoch) alone, so that a run goes on exactly from any step.

use super::checkpoint::{Checkpoint, HostTensor, Position};
use super::metrics::{EpochRow, LayerRow, Row, StepRow};
use super::session::Session;
use crate::data::{Dataset, Split, epoch_batches};
use crate::error::{Error, Result};
use crate::pass::{Optimizer, RING};
use crate::recipe::Recipe;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happened since the last call.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A row of metrics.
    Row(Row),
    /// An epoch ended: a good moment for a checkpoint.
    EpochEnd,
}

/// Loss and accuracy over a whole split, with running statistics.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// Mean over the images.
    pub loss: f64,
    /// Images classified correctly.
    pub correct: usize,
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
}

/// Probabilities of the classes from one image's logits.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|&v| libm::expf(v - largest)).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// The first largest of the logits.
pub fn winner(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, c| if logits[c] > logits[best] { c } else { best })
}

/// Evaluates a session on a split.
///
/// # Errors
/// When the device is lost, or an image cannot be read.
pub async fn evaluate(session: &mut Session, split: &Split, scale: [f32; 2], classes: usize) -> Result<Evaluation> {
    let mut evaluation =
        Evaluation { loss: 0.0, correct: 0, images: split.len(), confusion: vec![vec![0; classes]; classes] };
    let all: Vec<u32> = (0..split.len() as u32).collect();
    for chunk in all.chunks(4096) {
        let (images, labels) = split.normalised(chunk, scale)?;
        let logits = session.logits(&images).await?;
        for (logits, &label) in logits.chunks_exact(classes).zip(&labels) {
            let (label, best) = (label as usize, winner(logits));
            evaluation.correct += usize::from(best == label);
            evaluation.confusion[label][best] += 1;
            evaluation.loss += session.loss().of(logits, label);
        }
    }
    evaluation.loss /= split.len().max(1) as f64;
    Ok(evaluation)
}

/// Leads a session through a recipe.
pub struct Trainer {
    recipe: Recipe,
    dataset: Arc<Dataset>,
    session: Session,
    position: Position,
    /// Sizes of the batches whose metrics have not come back.
    pending: Vec<u64>,
    order: Option<(u64, Vec<Vec<u32>>)>,
    clock: Clock,
    /// The step at which the loss ceased to be finite.
    diverged: Option<u64>,
    evaluated: Option<Evaluation>,
}

/// Images and seconds of training, without evaluation.
#[derive(Default)]
struct Clock {
    images: u64,
    seconds: f64,
}

impl Trainer {
    /// A run from its beginning.
    pub fn new(recipe: Recipe, dataset: impl Into<Arc<Dataset>>, session: Session) -> Self {
        let (dataset, position, clock) = (dataset.into(), Position::default(), Clock::default());
        let (pending, order, diverged, evaluated) = (Vec::new(), None, None, None);
        Self { recipe, dataset, session, position, pending, order, clock, diverged, evaluated }
    }

    /// Goes to where a checkpoint was taken.
    ///
    /// # Errors
    /// When its tensors do not fit the model or its position does not fit the data; nothing is changed then.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let epoch_steps = self.epoch_steps();
        let Position { step, epoch, batch, .. } = checkpoint.position;
        let expected = epoch.checked_mul(epoch_steps).and_then(|steps| steps.checked_add(batch));
        if batch >= epoch_steps || expected != Some(step) {
            return Err(Error::Model(format!(
                "step {step} is not batch {batch} of epoch {epoch} with {epoch_steps} steps an epoch: the run had other data"
            )));
        }
        self.session.set_tensors(&checkpoint.tensors, "", checkpoint.position.step)?;
        self.position = checkpoint.position;
        (self.order, self.diverged, self.evaluated) = (None, None, None);
        self.pending.clear();
        Ok(())
    }

    /// Goes back to the beginning: start values from the recipe's seed, no step done.
    pub fn restart(&mut self) {
        self.session.restart(self.recipe.train.seed);
        (self.position, self.clock) = (Position::default(), Clock::default());
        (self.order, self.diverged, self.evaluated) = (None, None, None);
        self.pending.clear();
    }

    /// Takes the start values `init/<name>`, or `<name>` where there are none, from a collection; other tensors, the optimiser's among them, are ignored.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape; nothing is changed then.
    pub fn initialise(&mut self, tensors: &BTreeMap<String, HostTensor>) -> Result<()> {
        let prefixed = tensors.keys().any(|name| name.starts_with("init/"));
        let mut tensors = tensors.clone();
        tensors.retain(|name, _| !Optimizer::owns(name));
        self.session.set_tensors(&tensors, if prefixed { "init/" } else { "" }, 0)
    }

    /// The run as it stands, after all steps that were started.
    ///
    /// # Errors
    /// When the device is lost.
    pub async fn checkpoint(&mut self) -> Result<Checkpoint> {
        let tensors = self.session.tensors().await?;
        Ok(Checkpoint { recipe: self.recipe.to_toml(), position: self.position, tensors })
    }

    /// The session, for plans, gradients and predictions.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Where the run stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.recipe.train.total_steps(self.dataset.train.len())
    }

    /// Steps of an epoch.
    pub fn epoch_steps(&self) -> u64 {
        self.recipe.train.epoch_steps(self.dataset.train.len())
    }

    /// The evaluation at the end of the last epoch that had one.
    pub fn evaluated(&self) -> Option<&Evaluation> {
        self.evaluated.as_ref()
    }

    /// Evaluates on the test images.
    ///
    /// # Errors
    /// When the device is lost.
    pub async fn evaluate(&mut self) -> Result<Evaluation> {
        let (scale, classes) = (self.recipe.data.scale, self.recipe.model.classes);
        evaluate(&mut self.session, &self.dataset.test, scale, classes).await
    }

    /// Goes on by at most `limit` steps, not beyond the ring, the end of an epoch or of the run; no events mean that the run is over.
    ///
    /// # Errors
    /// When the device is lost, or the loss is not a finite number any more.
    pub async fn advance(&mut self, limit: u64) -> Result<Vec<Event>> {
        let total = self.total_steps();
        if let Some(step) = self.diverged {
            // Said one call later, so that the rows up to here are not lost.
            let lr = self.recipe.train.lr(step - 1, self.dataset.train.len());
            return Err(Error::Model(format!(
                "the loss is not a finite number at step {step}: training has diverged; lower train.optimizer.lr (now {lr})"
            )));
        }
        if self.position.step >= total {
            return Ok(Vec::new());
        }
        let started = web_time::Instant::now();
        let (epoch, first_step) = (self.position.epoch, self.position.step);
        let batches = self.batches(epoch);
        let epoch_steps = batches.len() as u64;
        let last = epoch_steps
            .min(self.position.batch + limit.clamp(1, RING as u64))
            .min(self.position.batch + total - first_step);
        for batch in self.position.batch..last {
            let (images, labels) = self.dataset.train.normalised(&batches[batch as usize], self.recipe.data.scale)?;
            let lr = self.recipe.train.lr(first_step + batch - self.position.batch, self.dataset.train.len());
            self.session.train_step(&images, &labels, lr).await?;
            self.pending.push(labels.len() as u64);
        }
        self.order = Some((epoch, batches));
        let mut events = Vec::new();
        for (measured, images) in self.session.measured().await?.into_iter().zip(std::mem::take(&mut self.pending)) {
            let (step, lr) = (measured.step + 1, self.recipe.train.lr(measured.step, self.dataset.train.len()));
            events.push(Event::Row(Row::Step(StepRow { step, epoch: epoch + 1, loss: measured.loss, lr })));
            if !measured.loss.is_finite() && self.diverged.is_none() {
                self.diverged = Some(step);
            }
            self.position.seen += images;
            self.position.correct += (f64::from(measured.accuracy) * images as f64).round() as u64;
            self.clock.images += images;
        }
        self.clock.seconds += started.elapsed().as_secs_f64();
        (self.position.step, self.position.batch) = (first_step + last - self.position.batch, last);
        if self.diverged.is_none() && (last == epoch_steps || self.position.step == total) {
            events.push(Event::Row(Row::Epoch(self.end_epoch(last == epoch_steps).await?)));
            events.push(Event::EpochEnd);
        }
        Ok(events)
    }

    fn batches(&mut self, epoch: u64) -> Vec<Vec<u32>> {
        match self.order.take() {
            Some((known, batches)) if known == epoch => batches,
            _ => {
                let (data, train) = (&self.recipe.data, &self.recipe.train);
                epoch_batches(self.dataset.train.len(), train.batch, train.seed, epoch, data.shuffle, train.drop_last)
            }
        }
    }

    /// Closes an epoch, or the run within one.
    async fn end_epoch(&mut self, complete: bool) -> Result<EpochRow> {
        let epoch = self.position.epoch + 1;
        let over = self.position.step == self.total_steps();
        let test_accuracy = if over || epoch.is_multiple_of(self.recipe.train.evaluate_every) {
            self.evaluated = Some(self.evaluate().await?);
            self.evaluated.as_ref().map(Evaluation::accuracy)
        } else {
            None
        };
        let train_accuracy = Some(self.position.correct as f32 / self.position.seen.max(1) as f32);
        let images_per_s = self.clock.images as f64 / self.clock.seconds.max(1e-9);
        self.clock = Clock::default();
        if complete {
            (self.position.epoch, self.position.batch) = (epoch, 0);
            (self.position.seen, self.position.correct) = (0, 0);
        }
        let mut layers = BTreeMap::<String, LayerRow>::new();
        for (layer, saturated) in self.session.saturations().await? {
            layers.entry(layer).or_default().saturated = Some(saturated);
        }
        let step = self.position.step;
        Ok(EpochRow { epoch, step, train_accuracy, test_accuracy, images_per_s, layers, ..Default::default() })
    }
}
