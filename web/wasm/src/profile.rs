//! Profiles for JavaScript: the JSON written by `halfwave profile --json`, parsed.

use crate::data::from_js;
use crate::session::Session;
use crate::{Result, error::HalfwaveError, open};
use halfwave::profile::{DevicePeaks, Profile};
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::Serializer;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// Names that types of profiles had before.
#[wasm_bindgen(typescript_custom_section)]
const FORMER_NAMES: &str = "
/** @deprecated Use DevicePeaks. */
export type Ceilings = DevicePeaks;
/** @deprecated Use BufferUse. */
export type Slot = BufferUse;
/** @deprecated Use SavedTensor. */
export type Saved = SavedTensor;
";

/// Options for profiling.
#[derive(Tsify, Deserialize)]
#[serde(default)]
pub struct ProfileOptions {
    /// Number of steps over which medians are taken; 10 by default.
    #[tsify(optional)]
    pub steps: usize,
    /// Name of the recipe in the profile.
    #[tsify(optional)]
    pub recipe: String,
    /// Measured peaks of the device, with which each launch is compared.
    #[tsify(optional)]
    pub ceilings: Option<DevicePeaks>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self { steps: 10, recipe: "recipe".into(), ceilings: None }
    }
}

/// Limits the waiting time.
const MOST_STEPS: usize = 10_000;

#[wasm_bindgen]
impl Session {
    /// Measures a training step, launch by launch, without changing the run. `progress` is called
    /// with the number of measured steps.
    #[wasm_bindgen(unchecked_return_type = "Profile")]
    pub async fn profile(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "ProfileOptions")] options: Option<JsValue>,
        #[wasm_bindgen(unchecked_optional_param_type = "(steps: number) => void")] progress: Option<js_sys::Function>,
    ) -> Result<JsValue> {
        let options: ProfileOptions =
            options.map(|options| from_js(options, "options")).transpose()?.unwrap_or_default();
        if !(1..=MOST_STEPS).contains(&options.steps) {
            return Err(HalfwaveError::usage(format!("steps is 1 to {MOST_STEPS}, not {}", options.steps)));
        }
        let tell = |steps: usize| {
            if let Some(progress) = &progress {
                // Exceptions of the callback are ignored.
                let _ = progress.call1(&JsValue::NULL, &steps.into());
            }
        };
        let mut trainer = self.lock().await;
        let measured = trainer.session().measure(options.steps, tell).await?;
        let plan = trainer.session().plan();
        let profile =
            Profile::new(&options.recipe, self.recipe.train.micro_batch(), plan, self.device.clone(), &measured);
        Ok(json(&match options.ceilings {
            Some(ceilings) => profile.against(ceilings),
            None => profile,
        }))
    }
}

/// Measures the peaks of the GPU on a separate device, in some seconds: for
/// `ProfileOptions.ceilings`.
#[wasm_bindgen(unchecked_return_type = "DevicePeaks")]
pub async fn ceilings() -> Result<JsValue> {
    let mut backend = open(None).await?;
    Ok(json(&DevicePeaks::measure(&mut backend).await?))
}

/// Converts a value as JSON does: maps to objects, missing values to null.
fn json(value: &impl Serialize) -> JsValue {
    value.serialize(&Serializer::json_compatible()).expect("plain values can be serialised")
}
