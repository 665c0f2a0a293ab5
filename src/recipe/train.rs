//! `[train]` and `[train.loss]`: training settings.

use super::schedule::Schedule;
use super::table::Table;
use super::write::Toml;
use super::{optimizer, schedule};
use crate::model::Model;
use crate::pass::{Adam, Loss, Optimizer, Precision};
use crate::{Error, Result};

/// `[train]`: training settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// Images per step.
    pub batch: usize,
    /// Length of the run.
    pub length: Length,
    /// Seed of the initial weights, the order of the data and all other random numbers. 0 by
    /// default.
    pub seed: u64,
    /// Whether an epoch's last batch is omitted if it is not full. False by default.
    pub drop_last: bool,
    /// Interval in epochs at which accuracy is evaluated; it is also evaluated at the end. 1 by
    /// default.
    pub evaluate_every: u64,
    /// Number of epochs without an improvement in accuracy after which the run stops; 0, the
    /// default, for never.
    pub patience: u64,
    /// Number of checkpoints of the last epochs kept in a run's folder, besides the last one and
    /// the best. 0 by default.
    pub keep: u64,
    /// Micro-batches per step, whose gradients are summed before the update. Must divide `batch`; 1
    /// by default.
    pub accumulate: usize,
    /// What a step's memory is optimised for.
    pub memory: Memory,
    /// How floats are stored between the operations of a step. `"f32"` by default; `"mixed"` stores
    /// gradients of activations, and float activations, in half precision.
    pub precision: Precision,
    /// Loss function to minimise. Softmax cross-entropy by default.
    pub loss: Loss,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The learning-rate schedule. Constant by default.
    pub schedule: Schedule,
}

/// 20 epochs in batches of 64 with Adam at a constant learning rate of 0.001.
impl Default for Train {
    fn default() -> Self {
        Self {
            batch: 64,
            length: Length::Epochs(20),
            seed: 0,
            drop_last: false,
            evaluate_every: 1,
            patience: 0,
            keep: 0,
            accumulate: 1,
            memory: Memory::default(),
            precision: Precision::default(),
            loss: Loss::default(),
            optimizer: Optimizer::new(1e-3, Adam::default()),
            schedule: Schedule::default(),
        }
    }
}

impl Train {
    /// Images per micro-batch.
    pub fn micro_batch(&self) -> usize {
        self.batch / self.accumulate
    }

    /// Sets the number of images per step and of micro-batches.
    ///
    /// # Errors
    ///
    /// Returns an error if `accumulate` does not divide `batch`.
    pub fn set_batch(&mut self, batch: usize, accumulate: usize) -> Result<()> {
        if !batch.is_multiple_of(accumulate) {
            return Err(Error::Usage(format!(
                "a batch of {batch} images cannot be divided into accumulate = {accumulate} micro-batches; choose a multiple of {accumulate} for the batch, or accumulate = {}",
                divisor(batch, accumulate)
            )));
        }
        (self.batch, self.accumulate) = (batch, accumulate);
        Ok(())
    }

    /// Steps per epoch of `train_len` images.
    pub fn epoch_steps(&self, train_len: usize) -> u64 {
        let steps = if self.drop_last { train_len / self.batch } else { train_len.div_ceil(self.batch) };
        steps as u64
    }

    /// The learning rate of step `step`, counted from 0, in the run over `train_len` images per
    /// epoch.
    pub fn lr(&self, step: u64, train_len: usize) -> f32 {
        self.schedule.lr(self.optimizer.lr, step, self.epoch_steps(train_len), self.total_steps(train_len))
    }

    /// Steps in the whole run over `train_len` images per epoch.
    pub fn total_steps(&self, train_len: usize) -> u64 {
        self.length.steps(self.epoch_steps(train_len))
    }
}

/// What a step's memory is optimised for. In single precision, the results are bit-identical.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Memory {
    /// Speed: values that the backward pass reads are kept.
    #[default]
    Normal,
    /// Minimum memory: [`pass::low_memory`](crate::pass::low_memory).
    Low,
}

impl Memory {
    /// The names used in recipes.
    pub const WORDS: [(&'static str, Self); 2] = [("normal", Self::Normal), ("low", Self::Low)];

    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// A duration: of a run, where it is at least 1, or of its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Passes through the training images.
    Epochs(u64),
    /// Optimiser steps.
    Steps(u64),
}

impl Length {
    /// In steps, with `epoch_steps` steps per epoch.
    pub fn steps(self, epoch_steps: u64) -> u64 {
        match self {
            Self::Epochs(epochs) => epochs.saturating_mul(epoch_steps),
            Self::Steps(steps) => steps,
        }
    }
}

/// Keys of `[train]`.
pub(super) const KEYS: [&str; 14] = [
    "batch",
    "epochs",
    "steps",
    "seed",
    "drop_last",
    "evaluate_every",
    "patience",
    "keep",
    "accumulate",
    "memory",
    "precision",
    "loss",
    "optimizer",
    "schedule",
];

/// Every loss with its keys.
const LOSSES: [(&str, &[&str]); 4] = [
    ("softmax_cross_entropy", &["label_smoothing"]),
    ("sigmoid_cross_entropy", &[]),
    ("squared_error", &[]),
    ("squared_hinge", &[]),
];

/// The largest divisor of `batch` that is at most `most`.
fn divisor(batch: usize, most: usize) -> usize {
    (1..=most.min(batch)).rev().find(|parts| batch.is_multiple_of(*parts)).unwrap_or(1)
}

/// Reads `[train]`.
pub(super) fn read(table: &Table<'_>, model: &Model) -> Result<Train> {
    let batch = table.required("batch", table.integer("batch", 1..=65_536)?, "64")? as usize;
    let accumulate = table.integer("accumulate", 1..=65_536)?.unwrap_or(1) as usize;
    if !batch.is_multiple_of(accumulate) {
        let fits = divisor(batch, accumulate);
        return Err(table.bad("accumulate", &format!("it must divide batch = {batch}, such as accumulate = {fits}")));
    }
    let length = match (table.integer("epochs", 1..=u64::MAX)?, table.integer("steps", 1..=u64::MAX)?) {
        (Some(epochs), None) => Length::Epochs(epochs),
        (None, Some(steps)) => Length::Steps(steps),
        (None, None) => return Err(table.error(table.line, "give either epochs or steps, such as epochs = 20")),
        (Some(_), Some(_)) => return Err(table.bad("steps", "give either epochs or steps, not both")),
    };
    Ok(Train {
        batch,
        length,
        seed: table.integer("seed", 0..=u64::MAX)?.unwrap_or(0),
        drop_last: table.flag("drop_last")?.unwrap_or(false),
        evaluate_every: table.integer("evaluate_every", 1..=u64::MAX)?.unwrap_or(1),
        patience: table.integer("patience", 0..=u64::MAX)?.unwrap_or(0),
        keep: table.integer("keep", 0..=u64::MAX)?.unwrap_or(0),
        accumulate,
        memory: table.word("memory", &Memory::WORDS)?.unwrap_or_default(),
        precision: table.word("precision", &Precision::WORDS)?.unwrap_or_default(),
        loss: read_loss(table)?,
        optimizer: optimizer::read(table, model)?,
        schedule: schedule::read(table, length)?,
    })
}

fn read_loss(train: &Table<'_>) -> Result<Loss> {
    let Some((table, kind)) = train.kinds("loss", "[train.loss]", &[], &LOSSES)? else { return Ok(Loss::default()) };
    Ok(match kind {
        "softmax_cross_entropy" => {
            let share = |v: f32| (0.0..=1.0).contains(&v);
            let smoothing = table.number("label_smoothing", share, "give a number from 0 to 1, such as 0.1")?;
            Loss::SoftmaxCrossEntropy { label_smoothing: smoothing.unwrap_or(0.0) }
        }
        "sigmoid_cross_entropy" => Loss::SigmoidCrossEntropy,
        "squared_error" => Loss::SquaredError,
        "squared_hinge" => Loss::SquaredHinge,
        _ => unreachable!("every loss of the list is read"),
    })
}

/// Writes `[train]` and its tables.
pub(super) fn write(toml: &mut Toml, train: &Train) {
    toml.heading("[train]");
    toml.line("batch", train.batch);
    match train.length {
        Length::Epochs(epochs) => toml.line("epochs", epochs),
        Length::Steps(steps) => toml.line("steps", steps),
    }
    toml.line("seed", train.seed);
    toml.line("drop_last", train.drop_last);
    toml.line("evaluate_every", train.evaluate_every);
    toml.line("patience", train.patience);
    toml.line("keep", train.keep);
    toml.line("accumulate", train.accumulate);
    toml.word("memory", train.memory.name());
    toml.word("precision", train.precision.name());

    toml.heading("[train.loss]");
    toml.word("kind", train.loss.name());
    if let Loss::SoftmaxCrossEntropy { label_smoothing } = train.loss {
        toml.float("label_smoothing", label_smoothing);
    }
    optimizer::write(toml, &train.optimizer);
    schedule::write(toml, &train.schedule);
}
