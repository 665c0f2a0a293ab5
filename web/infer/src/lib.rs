//! `halfwave-infer` for JavaScript: reads a packed network and classifies images, in a module small
//! enough for any page.
//!
//! `index.js` wraps this interface; it prepares images and converts logits to probabilities. Values
//! that cross the border are plain: bytes, floats, lists of strings.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use halfwave_infer::{Error, Network as Packed, Runner};
use wasm_bindgen::prelude::*;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A trap, which is a `WebAssembly.RuntimeError` in JavaScript.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

#[wasm_bindgen]
extern "C" {
    /// JavaScript's errors.
    #[wasm_bindgen(js_name = Error)]
    type Thrown;

    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new(message: &str) -> Thrown;

    #[wasm_bindgen(method, setter)]
    fn set_name(this: &Thrown, name: &str);

    #[wasm_bindgen(method, setter)]
    fn set_kind(this: &Thrown, kind: &str);
}

/// An error to be thrown in JavaScript, with a `kind`.
fn thrown(error: Error) -> JsValue {
    let (kind, message) = match error {
        Error::File(message) => ("file", message),
        Error::Network(message) => ("network", message),
        Error::Image(message) => ("image", message),
    };
    let thrown = Thrown::new(&message);
    thrown.set_name("HalfwaveError");
    thrown.set_kind(kind);
    thrown.into()
}

/// A packed network that is ready to classify images.
#[wasm_bindgen]
pub struct Network {
    runner: Runner,
    stored: usize,
}

#[wasm_bindgen]
impl Network {
    /// Reads the bytes of a packed file. Throws an error of kind "file" if they are damaged or of
    /// another kind, and of kind "network" if the network is invalid or too large.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: &[u8]) -> Result<Network, JsValue> {
        Self::read(bytes).map_err(thrown)
    }

    /// The class names, in the order of the logits.
    #[wasm_bindgen(getter)]
    pub fn classes(&self) -> Vec<String> {
        self.runner.network().classes.clone()
    }

    /// Height, width and channels of an image.
    #[wasm_bindgen(getter)]
    pub fn input(&self) -> Vec<u32> {
        self.runner.network().input.shape.iter().map(|&len| len as u32).collect()
    }

    /// What is known about the network: names and facts in turn.
    #[wasm_bindgen(getter)]
    pub fn card(&self) -> Vec<String> {
        self.runner.network().card.iter().flat_map(|(name, fact)| [name.clone(), fact.clone()]).collect()
    }

    /// Number of bytes of the network's numbers in its file.
    #[wasm_bindgen(getter)]
    pub fn stored(&self) -> usize {
        self.stored
    }

    /// The logits of an image: its bytes by rows, columns and channels. Throws an error of kind
    /// "image" if their number is wrong.
    pub fn logits(&self, image: &[u8]) -> Result<Vec<f32>, JsValue> {
        self.runner.logits(image).map_err(thrown)
    }

    /// The class of the largest logit, the first one of several.
    pub fn classify(&self, image: &[u8]) -> Result<usize, JsValue> {
        self.runner.classify(image).map_err(thrown)
    }
}

impl Network {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let network = Packed::read(bytes)?;
        let stored = network.stored()?.iter().map(|array| array.bytes).sum();
        Ok(Self { runner: Runner::new(network)?, stored })
    }
}
