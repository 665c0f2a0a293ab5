//! `[train]` and `[train.loss]`: how a network learns.

use super::schedule::Schedule;
use super::table::Table;
use super::write::Toml;
use super::{optimizer, schedule};
use crate::model::Model;
use crate::pass::{Loss, Optimizer, Precision};
use crate::{Error, Result};

/// `[train]`: how the network learns.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// Images in a step.
    pub batch: usize,
    /// How long.
    pub length: Length,
    /// Start values, the order of the data and all other randomness follow from it. 0 by default.
    pub seed: u64,
    /// Whether an epoch's last batch is left out when it is not full. False by default.
    pub drop_last: bool,
    /// Accuracy is measured after every so many epochs, and at the end. 1 by default.
    pub evaluate_every: u64,
    /// The run ends when accuracy has not got better for so many epochs; 0, the default, for never.
    pub patience: u64,
    /// How many checkpoints of the last epochs a run's folder keeps, besides the last one and the best. 0 by default.
    pub keep: u64,
    /// Micro-batches of a step, whose gradients are added up before its one update. Divides `batch`; 1 by default.
    pub accumulate: usize,
    /// What a step's memory is used for.
    pub memory: Memory,
    /// How floats are stored between the operations of a step. `"f32"` by default; `"mixed"` stores gradients of activations, and activations that are floats, in half precision.
    pub precision: Precision,
    /// What is minimised. Softmax cross-entropy by default.
    pub loss: Loss,
    /// How gradients change the weights.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run. Constant by default.
    pub schedule: Schedule,
}

impl Train {
    /// Images of a micro-batch.
    pub fn micro_batch(&self) -> usize {
        self.batch / self.accumulate
    }

    /// Takes another number of images in a step, and of micro-batches that they are divided into.
    ///
    /// # Errors
    /// When they cannot be.
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

    /// Steps in an epoch of `train_len` images.
    pub fn epoch_steps(&self, train_len: usize) -> u64 {
        let steps = if self.drop_last { train_len / self.batch } else { train_len.div_ceil(self.batch) };
        steps as u64
    }

    /// The learning rate of step `step`, counted from 0, of the run over `train_len` images an epoch.
    pub fn lr(&self, step: u64, train_len: usize) -> f32 {
        self.schedule.lr(self.optimizer.lr, step, self.epoch_steps(train_len), self.total_steps(train_len))
    }

    /// Steps in the whole run over `train_len` images an epoch.
    pub fn total_steps(&self, train_len: usize) -> u64 {
        self.length.steps(self.epoch_steps(train_len))
    }
}

/// What a step's memory is used for. In single precision, the numbers are the same to the bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Memory {
    /// For speed: what the backward pass reads is kept.
    #[default]
    Normal,
    /// As little as can be: [`pass::low_memory`](crate::pass::low_memory).
    Low,
}

impl Memory {
    /// The words that a recipe uses.
    pub const WORDS: [(&'static str, Self); 2] = [("normal", Self::Normal), ("low", Self::Low)];

    /// The word that a recipe uses for it.
    pub fn name(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// A time: of a run, where it is at least 1, or of its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many times through the training images.
    Epochs(u64),
    /// So many batches.
    Steps(u64),
}

impl Length {
    /// In steps, with so many of them an epoch.
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

/// Every loss with its own keys.
const LOSSES: [(&str, &[&str]); 4] = [
    ("softmax_cross_entropy", &["label_smoothing"]),
    ("sigmoid_cross_entropy", &[]),
    ("squared_error", &[]),
    ("squared_hinge", &[]),
];

/// The largest divisor of a batch that is at most so large.
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
