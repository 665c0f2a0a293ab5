//! halfwave for JavaScript and TypeScript: the engine's sessions, data sets and checkpoints, in the
//! browser and in Node.js.
//!
//! Everything that waits for a device is a promise; nothing blocks. Intended for a Worker, though
//! nothing here requires one. Objects are plain values with the names used in `metrics.jsonl` and
//! safetensors.
//!
//! **Invariant:** calls on one session never overlap: each starts when the previous one has
//! finished.
pub mod data;
pub mod error;
pub mod export;
pub mod layout;
pub mod profile;
pub mod session;
pub mod values;
mod webgpu;

use error::HalfwaveError;
use halfwave::backend::gpu::GpuBackend;
use halfwave::caps::DeviceClass;
use halfwave::recipe::{self, Recipe};
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use values::{BuiltinRecipe, Outcome, RecipeSummary};
use wasm_bindgen::prelude::*;

type Result<T, E = HalfwaveError> = std::result::Result<T, E>;

/// Converts a value to JavaScript: maps to objects, missing values to undefined.
fn to_js(value: &impl Serialize) -> JsValue {
    value.serialize(&Serializer::new().serialize_maps_as_objects(true)).expect("plain values can be serialised")
}

#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// The version of halfwave.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_string()
}

/// The built-in recipes.
#[wasm_bindgen(unchecked_return_type = "BuiltinRecipe[]")]
pub fn recipes() -> JsValue {
    let builtin = recipe::BUILTIN.map(|(name, text)| BuiltinRecipe { name: name.into(), text: text.into() });
    to_js(&Vec::from(builtin))
}

/// Reads a recipe and summarises it. Throws a HalfwaveError of kind "recipe", with the line, for
/// the first mistake.
#[wasm_bindgen(js_name = readRecipe, unchecked_return_type = "RecipeSummary")]
pub fn read_recipe(text: &str) -> Result<JsValue> {
    Ok(to_js(&RecipeSummary::of(&Recipe::parse(text, "recipe")?)?))
}

/// Compares every kernel on the GPU with its reference implementation; returns one outcome per
/// operation. `deviceClass` is "gpu" or "software", by default the one that suits the adapter.
/// `samples` is the maximum number computed for each kernel, by default all.
#[wasm_bindgen(unchecked_return_type = "Outcome[]")]
pub async fn selftest(
    #[wasm_bindgen(unchecked_optional_param_type = "DeviceClass", js_name = "deviceClass")] class: Option<String>,
    #[wasm_bindgen(unchecked_optional_param_type = "number")] samples: Option<u32>,
) -> Result<JsValue> {
    let mut backend = open(device_class(class.as_deref())?).await?;
    let most = samples.map_or(usize::MAX, |samples| samples as usize);
    let outcomes = halfwave::selftest::run_kernels(&mut backend, |_| true, |_| true, most, |_| ()).await?;
    Ok(to_js(&outcomes.into_iter().map(Outcome::from).collect::<Vec<_>>()))
}

/// Parses the argument `deviceClass`.
fn device_class(text: Option<&str>) -> Result<Option<DeviceClass>> {
    match text {
        None => Ok(None),
        Some("gpu") => Ok(Some(DeviceClass::Gpu)),
        Some("software") => Ok(Some(DeviceClass::Software)),
        Some(other) => Err(HalfwaveError::usage(format!("deviceClass is \"gpu\" or \"software\", not \"{other}\""))),
    }
}

async fn open(class: Option<DeviceClass>) -> Result<GpuBackend> {
    let found = webgpu::find().await?;
    Ok(GpuBackend::open(found, class).await?)
}
