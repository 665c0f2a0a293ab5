//! Data sets for JavaScript.

use crate::error::HalfwaveError;
use crate::{Result, to_js};
use halfwave::data::{self, Classes, Split};
use halfwave::recipe::{Cifar10, Digits, Format, Recipe};
use serde::Deserialize;
use std::sync::Arc;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// A file's name and contents.
#[derive(Tsify, Deserialize)]
pub struct NamedBytes {
    /// Name of the file, without folders.
    pub name: String,
    /// Contents of the file.
    #[serde(with = "serde_bytes")]
    #[tsify(type = "Uint8Array")]
    pub bytes: Vec<u8>,
}

/// Images and labels, in memory.
#[derive(Tsify, Deserialize)]
pub struct Images {
    /// Rows, columns, channels of each image in turn; one byte per value.
    #[serde(with = "serde_bytes")]
    #[tsify(type = "Uint8Array")]
    pub pixels: Vec<u8>,
    /// The class of each image.
    #[serde(with = "serde_bytes")]
    #[tsify(type = "Uint8Array")]
    pub labels: Vec<u8>,
}

/// Training and test images. It may be passed to any number of sessions.
#[wasm_bindgen]
pub struct Dataset {
    pub(crate) inner: Arc<data::Dataset>,
}

#[wasm_bindgen]
impl Dataset {
    /// Handwritten digits, 8 × 8 pixels of 0 to 16, embedded in the module: 1437 for training, 360
    /// for testing.
    pub fn digits() -> Result<Self> {
        Ok(Self { inner: Arc::new(data::Dataset::load(&Digits.into())?) })
    }

    /// CIFAR-10 from the six files of its binary version, in any order.
    pub fn cifar10(#[wasm_bindgen(unchecked_param_type = "NamedBytes[]")] files: JsValue) -> Result<Self> {
        Self::read(&Cifar10::start([0; 3], 0).into(), files)
    }

    /// The images that a recipe's `[data]` asks for, from the set's files in any order; not for
    /// "idx" and "folder".
    #[wasm_bindgen(js_name = fromFiles)]
    pub fn from_files(
        recipe: &str,
        #[wasm_bindgen(unchecked_param_type = "NamedBytes[]")] files: JsValue,
    ) -> Result<Self> {
        Self::read(&Recipe::parse(recipe, "recipe")?.data, files)
    }

    /// User-defined images, for recipes with `set = "folder"`: `input` is channels (1 or 3),
    /// height, width; pixels are 0 to 255.
    pub fn images(
        classes: Vec<String>,
        #[wasm_bindgen(unchecked_param_type = "[number, number, number]")] input: Vec<usize>,
        #[wasm_bindgen(unchecked_param_type = "Images")] train: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Images")] test: JsValue,
    ) -> Result<Self> {
        let input: [usize; 3] =
            input.try_into().map_err(|_| HalfwaveError::usage("input is [channels, height, width]"))?;
        let split =
            |images: Images| Split::new(input, images.pixels, images.labels.into_iter().map(u16::from).collect());
        let (train, test) = (from_js::<Images>(train, "train")?, from_js::<Images>(test, "test")?);
        Ok(Self { inner: Arc::new(data::Dataset::images(classes, input, split(train), split(test))?) })
    }

    /// The same images with their classes in the order of a checkpoint's network, matched by name:
    /// required for a session on that checkpoint. Throws if a class of either is missing from the
    /// other.
    pub fn matching(&self, checkpoint: &[u8]) -> Result<Self> {
        let names = crate::session::classes_of(checkpoint)?;
        let inner = match names.filter(|names| *names != self.inner.class_names) {
            Some(names) => Arc::new((*self.inner).clone().matching(Classes::All(&names))?),
            None => self.inner.clone(),
        };
        Ok(Self { inner })
    }

    /// The set's name in recipes.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.inner.name.clone()
    }

    /// The class names.
    #[wasm_bindgen(getter)]
    pub fn classes(&self) -> Vec<String> {
        self.inner.class_names.clone()
    }

    /// Channels, height, width.
    #[wasm_bindgen(getter, unchecked_return_type = "[number, number, number]")]
    pub fn input(&self) -> JsValue {
        to_js(&self.shape())
    }

    /// Number of training images.
    #[wasm_bindgen(getter, js_name = trainLength)]
    pub fn train_len(&self) -> usize {
        self.inner.train.len()
    }

    /// Number of test images.
    #[wasm_bindgen(getter, js_name = testLength)]
    pub fn test_len(&self) -> usize {
        self.inner.test.len()
    }

    /// Pixels of `count` images starting at `first`, concatenated: rows, columns, channels.
    pub fn pixels(
        &self,
        #[wasm_bindgen(unchecked_param_type = "\"train\" | \"test\"")] split: &str,
        first: usize,
        count: usize,
    ) -> Result<Vec<u8>> {
        let (split, range) = (self.split(split)?, first..first.saturating_add(count));
        if range.end > split.len() {
            return Err(HalfwaveError::usage(format!("there are no images {range:?} among {}", split.len())));
        }
        Ok(split.read(&range.map(|at| at as u32).collect::<Vec<_>>())?)
    }

    /// The class of an image.
    pub fn label(
        &self,
        #[wasm_bindgen(unchecked_param_type = "\"train\" | \"test\"")] split: &str,
        index: usize,
    ) -> Result<u16> {
        let split = self.split(split)?;
        let label = split.labels.get(index).copied();
        label.ok_or_else(|| HalfwaveError::usage(format!("there is no image {index} among {}", split.len())))
    }
}

impl Dataset {
    fn read(data: &data::Data, files: JsValue) -> Result<Self> {
        let files: Vec<NamedBytes> = from_js(files, "files")?;
        let files = files.into_iter().map(|file| (file.name, file.bytes));
        Ok(Self { inner: Arc::new(data::Dataset::from_files(data, files)?) })
    }

    fn shape(&self) -> [usize; 3] {
        [self.inner.channels, self.inner.height, self.inner.width]
    }

    fn split(&self, name: &str) -> Result<&Split> {
        match name {
            "train" => Ok(&self.inner.train),
            "test" => Ok(&self.inner.test),
            other => Err(HalfwaveError::usage(format!("a split is \"train\" or \"test\", not \"{other}\""))),
        }
    }
}

/// Converts an argument from JavaScript.
pub(crate) fn from_js<T: serde::de::DeserializeOwned>(value: JsValue, name: &str) -> Result<T> {
    serde_wasm_bindgen::from_value(value).map_err(|error| HalfwaveError::usage(format!("{name}: {error}")))
}
