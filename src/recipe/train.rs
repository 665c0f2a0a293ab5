//! `[train]` and `[train.loss]`: training settings.

use super::ranks::Ranks;
use super::schedule::Schedule;
use crate::pass::{Adam, Loss, Optimizer, Precision, Sgd};
use crate::schema::{Key, Keys, Purpose, Setting, Visitor, key, optional, word, words};
use crate::{Error, Result};
use std::ops::RangeInclusive;

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
    /// Number of epochs without an improvement in validation accuracy after which the run stops; 0,
    /// the default, for never.
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
    /// What several processes that train together exchange.
    pub ranks: Ranks,
}

/// Allowed values of `batch` and `accumulate`.
pub const BATCHES: RangeInclusive<usize> = 1..=65_536;

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
            ranks: Ranks::default(),
        }
    }
}

impl Train {
    /// The values that the keys of a text replace.
    pub(super) fn start() -> Self {
        let optimizer = Optimizer::new(1.0, Sgd::default());
        Self { batch: 1, length: Length::Epochs(1), optimizer, ..Self::default() }
    }

    /// Why a step cannot be divided into micro-batches, if it cannot: the key at fault, and what to
    /// do.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let Self { batch, accumulate, .. } = *self;
        let why = || {
            let fits = divisor(batch, accumulate);
            ("accumulate", format!("it must divide batch = {batch}, such as accumulate = {fits}"))
        };
        (!batch.is_multiple_of(accumulate)).then(why)
    }

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

words!(Memory { Normal = "normal", Low = "low" });

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

    /// Whether a run is this long after so many complete epochs and steps.
    pub fn reached(self, epoch: u64, step: u64) -> bool {
        match self {
            Self::Epochs(epochs) => epoch >= epochs,
            Self::Steps(steps) => step >= steps,
        }
    }
}

/// The largest divisor of `batch` that is at most `most`.
fn divisor(batch: usize, most: usize) -> usize {
    (1..=most.min(batch)).rev().find(|parts| batch.is_multiple_of(*parts)).unwrap_or(1)
}

impl Keys for Train {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("batch", "images per step").required("64"), Setting::Integer(&mut self.batch, BATCHES));
        let epochs =
            key("epochs", "length of the run in passes through the training images; this or `steps` is required");
        let steps = key("steps", "length of the run in optimiser steps");
        let mut length = (visitor.purpose() == Purpose::Write).then_some(self.length);
        Length::keys(visitor, [epochs, steps.or(epochs.name, Some("20"))], &mut length, 1);
        self.length = length.unwrap_or(self.length);
        let seed = key("seed", "seed of the initial weights, the order of the data and all other random numbers");
        visitor.visit(seed, Setting::Count(&mut self.seed, 0..=u64::MAX));
        let drop_last = key("drop_last", "omit an epoch's last batch if it is incomplete");
        visitor.visit(drop_last, Setting::Flag(&mut self.drop_last));
        let evaluate = key("evaluate_every", "interval in epochs at which accuracy is evaluated, as it is at the end");
        visitor.visit(evaluate, Setting::Count(&mut self.evaluate_every, 1..=u64::MAX));
        let patience =
            key("patience", "epochs without a better validation accuracy after which the run stops; 0 for never");
        visitor.visit(patience, Setting::Count(&mut self.patience, 0..=u64::MAX));
        let keep = key("keep", "checkpoints of the last epochs to keep, besides the last one and the best");
        visitor.visit(keep, Setting::Count(&mut self.keep, 0..=u64::MAX));
        let accumulate = key("accumulate", "micro-batches per step; must divide `batch`");
        visitor.visit(accumulate, Setting::Integer(&mut self.accumulate, BATCHES));
        word(visitor, key("memory", "what memory use is optimised for: speed, or the least memory"), &mut self.memory);
        let precision = key("precision", "storage of activations and their gradients: single, or half precision");
        word(visitor, precision, &mut self.precision);
        visitor.visit(key("loss", "the loss"), Setting::Table(&mut self.loss));
        let optimizer = key("optimizer", "the optimiser").required("add it with kind and lr");
        visitor.visit(optimizer, Setting::Table(&mut self.optimizer));
        visitor.visit(key("schedule", "the learning-rate schedule"), Setting::Table(&mut self.schedule));
        let ranks = key("ranks", "what several processes that train together exchange");
        visitor.visit(ranks, Setting::Table(&mut self.ranks));
    }
}

impl Length {
    /// Visits two keys of which only one may be given.
    pub(super) fn keys(visitor: &mut dyn Visitor, keys: [Key; 2], length: &mut Option<Self>, least: u64) {
        let mut epochs = if let Some(Self::Epochs(epochs)) = *length { Some(epochs) } else { None };
        let mut steps = if let Some(Self::Steps(steps)) = *length { Some(steps) } else { None };
        for (key, value) in keys.into_iter().zip([&mut epochs, &mut steps]) {
            optional(visitor, key, value, least, |value| Setting::Count(value, least..=u64::MAX));
        }
        *length = epochs.map(Self::Epochs).or(steps.map(Self::Steps));
    }
}
