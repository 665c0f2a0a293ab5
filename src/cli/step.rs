//! Options that override how a step is computed, and how many there are.

use super::number;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use halfwave::Result;
use halfwave::pass::Precision;
use halfwave::recipe::{BATCHES, Length, Memory, Recipe, Train};
use halfwave::schema::Word;
use std::ops::RangeInclusive;

/// Options that override how the recipe computes a step.
#[derive(Clone, clap::Args)]
pub(super) struct StepArgs {
    /// Batch size, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = number::whole::<u32>(sizes()))]
    batch: Option<u32>,
    /// Gradient accumulation: number of micro-batches per step, instead of the recipe's; must
    /// divide the batch size
    #[arg(long, value_name = "N", value_parser = number::whole::<u32>(sizes()))]
    accumulate: Option<u32>,
    /// Storage of activations and their gradients, instead of the recipe's: "f32", or "mixed" for
    /// half precision
    #[arg(long, value_parser = word::<Precision>())]
    precision: Option<Precision>,
    /// Memory use, instead of the recipe's: "normal" for speed, or "low" for the smallest memory
    /// footprint
    #[arg(long, value_parser = word::<Memory>())]
    memory: Option<Memory>,
}

impl StepArgs {
    /// Overrides values of the recipe with the given options.
    ///
    /// # Errors
    ///
    /// Returns an error if the batch cannot be divided into the requested number of micro-batches.
    pub(super) fn apply(&self, recipe: &mut Recipe) -> Result<()> {
        let train = &mut recipe.train;
        let size = |typed: Option<u32>| typed.map(|typed| typed as usize);
        train.precision = self.precision.unwrap_or(train.precision);
        train.memory = self.memory.unwrap_or(train.memory);
        train.set_batch(size(self.batch).unwrap_or(train.batch), size(self.accumulate).unwrap_or(train.accumulate))
    }
}

/// Options that override the length of a run.
#[derive(Clone, clap::Args)]
pub(super) struct LengthArgs {
    /// Number of epochs, instead of the recipe's length
    #[arg(long, value_name = "N", conflicts_with = "steps", value_parser = number::whole::<u64>(1..=number::MOST))]
    epochs: Option<u64>,
    /// Number of steps, instead of the recipe's length
    #[arg(long, value_name = "N", value_parser = number::whole::<u64>(1..=number::MOST))]
    steps: Option<u64>,
}

impl LengthArgs {
    /// Whether a length is given.
    pub(super) fn is_given(&self) -> bool {
        self.epochs.is_some() || self.steps.is_some()
    }

    /// Overrides the length of the recipe.
    pub(super) fn apply(&self, recipe: &mut Recipe) {
        let length = self.epochs.map(Length::Epochs).or(self.steps.map(Length::Steps));
        recipe.train.length = length.unwrap_or(recipe.train.length);
    }
}

/// Returns a parser for one of the words that a recipe uses.
fn word<T: Word + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let words = || T::WORDS.iter().zip(T::VALUES);
    PossibleValuesParser::new(T::WORDS)
        .map(move |typed| *words().find(|(word, _)| **word == typed).expect("one of them").1)
}

/// Returns the values that the recipe's `batch` and `accumulate` can have.
fn sizes() -> RangeInclusive<u64> {
    *BATCHES.start() as u64..=*BATCHES.end() as u64
}

/// Describes the size of a step and everything that is not the default.
///
/// For example `batch of 128 in 4 micro-batches of 32, mixed precision, low memory`. `ranks` is the number of
/// processes that train together, each with micro-batches of its own; 0 for a single one.
pub(super) fn describe(train: &Train, ranks: usize) -> String {
    let mut text = format!("batch of {}", train.batch);
    let images = train.batch.div_ceil(ranks.max(1));
    if ranks > 0 {
        let most = if train.batch.is_multiple_of(ranks) { "" } else { "up to " };
        text += &format!(", {most}{images} per rank");
    }
    if train.accumulate > 1 {
        let micro_batch = images.div_ceil(train.accumulate);
        text += &format!(" in {} micro-batches of {micro_batch}", images.div_ceil(micro_batch));
    }
    if train.precision == Precision::Mixed {
        text += ", mixed precision";
    }
    if train.memory == Memory::Low {
        text += ", low memory";
    }
    text
}
