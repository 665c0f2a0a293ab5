//! A recipe: one TOML file that is a whole run, namely model, data and training settings.
//!
//! **Invariant:** a [`Recipe`] that [`Recipe::parse`] returns can be trained: its shapes fit, its data set fits its model, and
//! every number lies in its range. What depends on the
//! number of images of a `folder` is checked when they are there: [`crate::data::Dataset::check`]. What [`Recipe::to_toml`] writes has every default spelt out and parses to an equal recipe.
//!
//! ```
//! use halfwave::recipe::Recipe;
//! let recipe = Recipe::parse(halfwave::recipe::builtin("digits").unwrap(), "digits")?;
//! assert_eq!(recipe.train.batch, 64);
//! # Ok::<(), halfwave::Error>(())
//! ```
mod extend;
mod layers;
mod optimizer;
mod parse;
pub mod schedule;
mod table;
mod train;
mod write;

pub use crate::pass::{Group, Loss, Moments, Optimizer, Rule};
pub use schedule::{Curve, Schedule, Unit};
pub use table::nearest;
pub use train::{Length, Train};

use crate::Result;
use crate::model::{LayerKind, Model};
use std::path::PathBuf;

/// The recipe of a command that is given none.
const DIGITS: &str = include_str!("../../assets/recipes/digits.toml");

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../assets/recipes/", $name, ".toml")))),*]
    };
}

/// The embedded recipes: name and text.
pub const BUILTIN: [(&str, &str); 23] = embedded![
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
    "vgg11",
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

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The network.
    pub model: Model,
    /// What it learns from.
    pub data: Data,
    /// How it learns.
    pub train: Train,
}

impl Recipe {
    /// Reads a recipe from the text of a TOML file; `file` is the name that errors give.
    ///
    /// Errors: [`crate::Error::Recipe`] with file, line, layer or key, and what to do, for the first mistake found.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        parse::recipe(text, file)
    }

    /// The embedded digits recipe: a small HWGQ network on the embedded digits.
    pub fn digits() -> Self {
        Self::parse(DIGITS, "digits").expect("the embedded recipe is tested")
    }

    /// Why epochs of `train_len` images cannot be trained on, if they cannot: no batch is left of them, or one has no variance.
    pub(crate) fn batch_fault(&self, train_len: usize) -> Result<Option<String>> {
        let Train { batch, drop_last, .. } = self.train;
        if drop_last && batch > train_len {
            return Ok(Some(format!(
                "with drop_last no batch is left of the {train_len} training images; use a smaller batch"
            )));
        }
        let rest = if drop_last { 0 } else { train_len % batch };
        let shapes = self.model.shapes()?;
        let mut layers = self.model.layers.iter().zip(&shapes);
        let single = layers.find(|(layer, [_, h, w])| matches!(layer.kind, LayerKind::BatchNorm(_)) && h * w == 1);
        Ok(single.filter(|_| batch == 1 || rest == 1).map(|(layer, _)| {
            format!(
                "batch_norm layer \"{}\" would see a batch of a single value, which has no variance: \
                 an epoch has {train_len} images; use another batch, or drop_last = true with a batch above 1",
                layer.name
            )
        }))
    }

    /// The recipe as TOML, every default explicit. [`Recipe::parse`] gives an equal recipe back.
    pub fn to_toml(&self) -> String {
        write::recipe(self)
    }
}

/// `[data]`: which images, and how pixels become the network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// Which data set.
    pub set: Set,
    /// `[a, b]`: a pixel p becomes p·a + b. [`Set::default_scale`] by default.
    pub scale: [f32; 2],
    /// Whether every epoch has an order of its own, drawn from the seed, instead of the files' order. True by default.
    pub shuffle: bool,
}

/// The most classes that a data set may have: a label is two bytes.
pub const MOST_CLASSES: usize = 65_536;

/// A data set that halfwave knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// Handwritten digits, 8 × 8 pixels of 0..=16, embedded: 1437 to train on, 360 to test on.
    Digits,
    /// CIFAR-10, 32 × 32 pixels in colour: 50 000 to train on, 10 000 to test on.
    Cifar10 {
        /// The folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, from the working directory.
        dir: PathBuf,
    },
    /// Pictures in class folders, in the size and the number of classes that the model asks for.
    Folder {
        /// The folder with `train/<class>/*` and `test/<class>/*`, or with `<class>/*` alone; from the working directory.
        dir: PathBuf,
        /// The model's input (channels, height, width), 1 or 3 channels: pictures become that.
        image: [usize; 3],
        /// The model's classes, at most 65 536: there must be as many class folders.
        classes: usize,
    },
}

impl Set {
    /// The word that a recipe uses for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Cifar10 { .. } => "cifar10",
            Self::Folder { .. } => "folder",
        }
    }

    /// Channels, height and width of an image.
    pub fn image(&self) -> [usize; 3] {
        match self {
            Self::Digits => [1, 8, 8],
            Self::Cifar10 { .. } => [3, 32, 32],
            Self::Folder { image, .. } => *image,
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Digits | Self::Cifar10 { .. } => 10,
            Self::Folder { classes, .. } => *classes,
        }
    }

    /// What its classes are called, where that is known before anything is read.
    pub fn class_names(&self) -> Option<Vec<String>> {
        const CIFAR10: [&str; 10] =
            ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
        match self {
            Self::Digits => Some((0..10).map(|digit| digit.to_string()).collect()),
            Self::Cifar10 { .. } => Some(CIFAR10.map(String::from).into()),
            Self::Folder { .. } => None,
        }
    }

    /// Images in the training split, where that is known before anything is read.
    pub fn train_len(&self) -> Option<usize> {
        match self {
            Self::Digits => Some(1437),
            Self::Cifar10 { .. } => Some(50_000),
            Self::Folder { .. } => None,
        }
    }

    /// The folder that it is read from, if it is not embedded.
    pub fn dir_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Digits => None,
            Self::Cifar10 { dir } | Self::Folder { dir, .. } => Some(dir),
        }
    }

    /// The value of a full pixel: 16 in digits, 255 elsewhere.
    pub fn max_pixel(&self) -> u8 {
        match self {
            Self::Digits => 16,
            Self::Cifar10 { .. } | Self::Folder { .. } => 255,
        }
    }

    /// The `scale` of a recipe that gives none: 0..=16 to −0.5..=0.5 for digits, 0..=255 to 0..=1 elsewhere.
    pub fn default_scale(&self) -> [f32; 2] {
        match self {
            Self::Digits => [1.0 / 16.0, -0.5],
            Self::Cifar10 { .. } | Self::Folder { .. } => [1.0 / 255.0, 0.0],
        }
    }
}
