//! A recipe: one TOML file that describes a whole run with model, data and training settings.
//!
//! **Invariant:** a [`Recipe`] returned by [`Recipe::parse`] can be trained: its shapes fit, its
//! data set fits its model, and every number is within its range. What depends on the number of
//! images of a `folder` or of IDX files is checked once they are loaded:
//! [`crate::data::Dataset::check`]. The output of [`Recipe::to_toml`] has all defaults spelt out
//! and parses to an equal recipe.
//!
//! ```
//! use halfwave::recipe::Recipe;
//! let recipe = Recipe::parse(halfwave::recipe::builtin("digits").unwrap(), "digits")?;
//! assert_eq!(recipe.train.batch, 64);
//! # Ok::<(), halfwave::Error>(())
//! ```
mod data;
mod extend;
#[cfg(not(target_arch = "wasm32"))]
mod file;
mod fits;
pub(crate) mod flat;
mod json;
mod parse;
mod ranks;
mod read;
pub mod schedule;
mod set;
mod source;
mod table;
mod texts;
mod train;
mod words;

pub use crate::data::formats::*;
pub use crate::data::{Data, MOST_CLASSES};
pub use crate::ops::gather::{Augment, Padding};
pub use crate::ops::{Rule, adam::Moments, rules::*};
pub use crate::pass::{Group, Loss, Optimizer};
#[cfg(not(target_arch = "wasm32"))]
pub use file::{MOST_BYTES, near_file};
pub use json::json_schema;
pub use ranks::{Exchange, Ranks, Statistics};
pub use schedule::{Curve, Schedule, Unit};
pub use source::Source;
pub use train::{BATCHES, Length, Memory, Train};
pub use words::nearest;

use crate::Result;
use crate::model::{LayerKind, Model};
use crate::schema::{self, Keys, Setting, Visitor, key};
use data::DataOf;

/// The default recipe of commands.
const DIGITS: &str = include_str!("../../assets/recipes/digits.toml");

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../assets/recipes/", $name, ".toml")))),*]
    };
}

/// The embedded recipes: name and text.
pub const BUILTIN: [(&str, &str); 25] = embedded![
    "digits",
    "digits-float",
    "mlp-sigmoid",
    "mlp-sigmoid-cross-entropy",
    "lenet",
    "bnn-convnet",
    "vgg-small",
    "vgg-small-float",
    "vgg-small-bw",
    "vgg-small-bw-sign",
    "vgg-small-xnor",
    "vgg-small-dorefa-1-2",
    "vgg-small-dorefa-1-2-6",
    "vgg-small-hwgq-lloyd",
    "vgg-small-hwgq-3",
    "vgg-small-hwgq-4",
    "vgg-small-quarter",
    "vgg11",
    "vgg11-quarter-bw",
    "nin",
    "resnet20",
    "resnet18",
    "resnet50",
    "alexnet",
    "googlenet",
];

/// The text of the embedded recipe called `name`, if there is one.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Describes all sections of a recipe with their keys.
pub fn schema() -> schema::Section {
    schema::describe(&mut Recipe::start())
}

/// A complete run.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The network.
    pub model: Model,
    /// The data it is trained on.
    pub data: Data,
    /// How it is trained.
    pub train: Train,
}

/// [`Recipe::digits`].
impl Default for Recipe {
    fn default() -> Self {
        Self::digits()
    }
}

impl Recipe {
    /// Reads a recipe from the text of a TOML file; `file` is the name used in errors. It can extend
    /// built-in recipes only: [`Self::read`] and [`Source`] read files.
    ///
    /// # Errors
    ///
    /// Returns [`crate::Error::Recipe`] with file, line, layer or key, and what to do, for the
    /// first mistake found.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        Source::text(text, file).recipe()
    }

    /// Reads a recipe file, and the files that it extends.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, or as [`Self::parse`] does.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Source::file(path.as_ref())?.recipe()
    }

    /// The embedded digits recipe: a small HWGQ network on the embedded digits.
    pub fn digits() -> Self {
        Self::parse(DIGITS, "digits").expect("the embedded recipe is tested")
    }

    /// Returns the recipe if it is valid.
    ///
    /// # Errors
    ///
    /// Returns the first mistake that [`Recipe::parse`] would find in its text.
    pub fn checked(self) -> Result<Self> {
        // Ranges are known to the visitor that reads a text. Writing the recipe and reading it again
        // checks them with the same messages, and that nothing is lost.
        Self::parse(&self.to_toml(), "the recipe as TOML").map(|_| self)
    }

    /// The recipe that the keys of a text are read into; what has no default is to be replaced.
    fn start() -> Self {
        let model = Model { input: [1; 3], classes: 1, layers: Vec::new() };
        Self { model, data: Digits.into(), train: Train::start() }
    }

    /// Why epochs of `train_len` images cannot be trained on, if they cannot: there is no batch, or
    /// one has no variance.
    pub(crate) fn batch_fault(&self, train_len: usize) -> Result<Option<String>> {
        let (Train { batch, drop_last, .. }, micro_batch) = (&self.train, self.train.micro_batch());
        let (batch, drop_last) = (*batch, *drop_last);
        if drop_last && batch > train_len {
            return Ok(Some(format!(
                "with drop_last no batch is left of the {train_len} training images; use a smaller batch"
            )));
        }
        let rest = if drop_last { 0 } else { train_len % micro_batch };
        let shapes = self.model.shapes()?;
        let mut layers = self.model.layers.iter().zip(&shapes);
        let single = layers.find(|(layer, [_, h, w])| matches!(layer.kind, LayerKind::BatchNorm(_)) && h * w == 1);
        Ok(single.filter(|_| micro_batch == 1 || rest == 1).map(|(layer, _)| {
            format!(
                "batch_norm layer \"{}\" would see a batch of a single value, which has no variance: \
                 an epoch has {train_len} images; use another batch, or drop_last = true with a batch above 1",
                layer.name
            )
        }))
    }

    /// The recipe as TOML with all defaults spelt out. [`Recipe::parse`] gives an equal recipe
    /// back.
    pub fn to_toml(&self) -> String {
        schema::toml(&mut self.clone())
    }
}

impl Keys for Recipe {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        const SECTIONS: &str = "a recipe has [model], [data] and [train]";
        let Self { model, data, train } = self;
        visitor.visit(key("model", "the network").required(SECTIONS), Setting::Table(model));
        visitor.visit(key("data", "the images").required(SECTIONS), Setting::Table(&mut DataOf { data, model }));
        visitor.visit(key("train", "training").required(SECTIONS), Setting::Table(train));
    }
}
