//! The data sets that a recipe can name.
//!
//! A set is a struct with the values of its keys. It implements [`Keys`], from which recipes are
//! read and written, and [`Format`]: what is known before anything is read, and how it is read. To
//! add one, write a file in this folder, and add it to the list at the end of this file.
mod cifar;
mod digits;
mod folder;
mod idx;
mod npz;

pub use cifar::Labels;
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::data) use folder::Inspected;
pub use folder::{Fit, Pictures, Undecodable};

use super::{Classes, Data, Dataset, Split};
use crate::schema::{Key, Keys, key};
use crate::{Error, Result};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

/// A data set as it was read, and a one-line description of how its files were understood, where
/// that is not obvious.
pub type Loaded = (Dataset, Option<String>);

/// Names and contents of files.
pub type Files<'a> = &'a mut dyn Iterator<Item = (String, Vec<u8>)>;

/// A recipe's key with a wrong value, and what to do.
pub type Fault = (&'static str, String);

/// The place that a set is read from.
#[derive(Debug)]
pub struct Location<'a> {
    /// The key in `[data]`: [`DIR`] for a folder.
    pub key: Key,
    /// The file or folder, relative to the working directory.
    pub path: &'a mut PathBuf,
    /// What to do if it is missing.
    pub advice: &'static str,
    /// The environment variable with the path to use if that of the recipe does not exist.
    pub variable: Option<&'static str>,
}

/// Key of the folder with a set's files.
pub const DIR: Key = key("dir", "the set's folder, relative to the working directory");

/// What a folder's path must be.
const DIR_WANTED: &str = "name the folder that holds the images";

impl Location<'_> {
    /// Whether it is there.
    pub fn exists(&self) -> bool {
        if self.key == DIR { self.path.is_dir() } else { self.path.is_file() }
    }

    /// "folder", or "file".
    pub fn what(&self) -> &'static str {
        if self.key == DIR { "folder" } else { "file" }
    }
}

/// A data set that a recipe can name, with the values of its keys.
pub trait Format: Keys {
    /// Creates the set with its defaults, for a model with the input `image` (channels, height,
    /// width) and this number of classes.
    fn start(image: [usize; 3], classes: usize) -> Self
    where
        Self: Sized;

    /// The name used in recipes.
    fn name(&self) -> &'static str;

    /// What it is, in one line.
    fn meaning(&self) -> &'static str;

    /// What its files hold, as Markdown for the guide, after [`Self::meaning`]; empty if that says it.
    fn files(&self) -> &'static str {
        ""
    }

    /// The name with the keys that determine the number of classes, for messages.
    fn named_with_keys(&self) -> String {
        self.name().to_string()
    }

    /// Channels, height and width of the network's input: the used part of an image.
    fn image(&self) -> [usize; 3];

    /// Channels, height and width of a stored image.
    fn source(&self) -> [usize; 3] {
        self.image()
    }

    /// Number of classes.
    fn classes(&self) -> usize;

    /// The class names, if known before anything is read. Numbers by default.
    fn class_names(&self) -> Option<Vec<String>> {
        Some((0..self.classes()).map(|class| class.to_string()).collect())
    }

    /// Number of images in the training split, if known before anything is read.
    fn train_len(&self) -> Option<usize> {
        None
    }

    /// The maximum pixel value.
    fn max_pixel(&self) -> u8 {
        u8::MAX
    }

    /// The default `scale`: 0..=255 to 0..=1.
    fn default_scale(&self) -> [f32; 2] {
        [1.0 / 255.0, 0.0]
    }

    /// How pictures of other sizes than the input's become images; `None` if they are refused.
    fn fit(&self) -> Option<Fit> {
        None
    }

    /// Whether the set may have validation images of its own.
    fn may_have_validation(&self) -> bool {
        false
    }

    /// The place that the set is read from, if it is not embedded.
    fn location(&mut self) -> Option<Location<'_>> {
        None
    }

    /// What is wrong with a key of this set, or with the model's `input` or `classes`.
    fn fault(&self) -> Option<Fault> {
        None
    }

    /// Reads the whole set from its location.
    ///
    /// # Errors
    ///
    /// Returns an error, which says what to do, if files are missing or damaged, or do not fit the
    /// model.
    fn read(&self) -> Result<Loaded> {
        Err(Error::Data(format!(
            "{}: folders cannot be read here; choose the files of the set, and pass them to the run",
            self.name()
        )))
    }

    /// Like [`Self::read`], from names and contents of files, as a browser has them.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::read`] does.
    fn read_files(&self, _files: Files<'_>) -> Result<Loaded> {
        Err(Error::Data(format!("{}: this set is not read from files in memory; use the native program", self.name())))
    }

    /// Reads the set as `data` asks for it, with these classes.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::read`] does; if classes are missing or unknown; or if a part has
    /// no images.
    fn load(&self, data: &Data, classes: Classes<'_>) -> Result<Loaded> {
        select(self.read()?, data, classes)
    }

    /// The class names, read from the set's location if necessary.
    ///
    /// # Errors
    ///
    /// Returns an error if the location is missing, or the number of classes differs from the
    /// model's.
    fn read_class_names(&self) -> Result<Vec<String>> {
        Ok(self.class_names().unwrap_or_default())
    }
}

/// Selects from a whole set what `data` asks for, with these classes.
pub(super) fn select((whole, described): Loaded, data: &Data, classes: Classes<'_>) -> Result<Loaded> {
    let whole = whole.matching(classes)?;
    Ok((if data.keeps_all() { whole } else { whole.divided(data)? }, described))
}

/// The data set with these images.
fn dataset(format: &dyn Format, (train, test): (Split, Split)) -> Dataset {
    let class_names = format.class_names().unwrap_or_default();
    Dataset { name: format.name().into(), ..Dataset::of_folder(class_names, format.image(), train, test) }
}

macro_rules! formats {
    ($($module:ident::$format:ident),* $(,)?) => {
        /// The sets.
        pub(crate) mod sets {
            $(pub use super::$module::$format;)*
        }
        pub use sets::*;

        /// A data set that a recipe can name; what is common to all is in [`Format`].
        #[derive(Clone, Debug, PartialEq)]
        pub enum Set {
            $(#[doc = concat!("See [`struct@", stringify!($format), "`].")] $format($format)),*
        }

        impl Set {
            /// Returns every set with its defaults, for a model with the input `image` (channels,
            /// height, width) and this number of classes.
            pub fn all(image: [usize; 3], classes: usize) -> Vec<Self> {
                vec![$(Self::$format($format::start(image, classes))),*]
            }
        }

        impl Deref for Set {
            type Target = dyn Format;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$format(set) => set),*
                }
            }
        }

        impl DerefMut for Set {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $(Self::$format(set) => set),*
                }
            }
        }

        $(
            impl From<$format> for Set {
                fn from(set: $format) -> Self {
                    Self::$format(set)
                }
            }

            impl From<$format> for Data {
                /// The whole set, with all defaults.
                fn from(set: $format) -> Self {
                    Set::from(set).into()
                }
            }
        )*
    };
}

// In the order in which messages list them.
formats![digits::Digits, cifar::Cifar10, cifar::Cifar100, idx::Idx, folder::Folder, npz::Npz];
