//! Export of trained networks for JavaScript.

use crate::Result;
use crate::data::from_js;
use crate::error::HalfwaveError;
use crate::session::Session;
use halfwave::Error;
use halfwave::export::onnx::{self, OnnxOptions, Weights};
use halfwave::export::{Network, card, of_run};
use serde::Deserialize;
use std::collections::BTreeMap;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// Options of `exportPacked`.
#[derive(Tsify, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct PackedOptions {
    /// Whether the file holds the recipe, which `halfwave eval` and `halfwave predict` need; true by
    /// default.
    #[tsify(optional)]
    pub recipe: Option<bool>,
    /// Further facts for the file's card, by name.
    #[tsify(optional, type = "Record<string, string>")]
    pub facts: Option<BTreeMap<String, String>>,
}

/// Options of `exportOnnx`.
#[derive(Tsify, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct OnnxExportOptions {
    /// Type of packed weights: "int8", the default, which every version reads; "int4" or "int2".
    #[tsify(optional, type = "\"int8\" | \"int4\" | \"int2\"")]
    pub weights: Option<String>,
}

#[wasm_bindgen]
impl Session {
    /// The trained network as a packed file: folded to bit operations and integers, without the
    /// state of training. `halfwave/infer`, the native program and the crate halfwave-infer run it,
    /// and its logits are those of the CPU adapter, bit for bit. Throws an error of kind "model" if
    /// a layer cannot be exported.
    #[wasm_bindgen(js_name = exportPacked)]
    pub async fn export_packed(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "PackedOptions")] options: Option<JsValue>,
    ) -> Result<Vec<u8>> {
        let PackedOptions { recipe, facts } =
            options.map(|options| from_js(options, "options")).transpose()?.unwrap_or_default();
        let mut network = self.network().await?;
        network.card.extend(facts.unwrap_or_default());
        if recipe == Some(false) {
            network.card.remove(card::RECIPE);
        }
        Ok(network.to_bytes().map_err(|error| Error::Model(error.to_string()))?)
    }

    /// The trained network as an ONNX file of standard operators, for batches of any size. Throws as
    /// `exportPacked` does.
    #[wasm_bindgen(js_name = exportOnnx)]
    pub async fn export_onnx(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "OnnxExportOptions")] options: Option<JsValue>,
    ) -> Result<Vec<u8>> {
        let OnnxExportOptions { weights } =
            options.map(|options| from_js(options, "options")).transpose()?.unwrap_or_default();
        let weights = match weights.as_deref() {
            None | Some("int8") => Weights::Int8,
            Some("int4") => Weights::Int4,
            Some("int2") => Weights::Int2,
            Some(other) => {
                return Err(HalfwaveError::usage(format!(
                    "weights is \"int8\", \"int4\" or \"int2\", not \"{other}\""
                )));
            }
        };
        Ok(onnx::onnx(&self.network().await?, &OnnxOptions { weights })?)
    }
}

impl Session {
    /// Folds the current network.
    async fn network(&self) -> Result<Network> {
        let checkpoint = self.lock().await.checkpoint().await?;
        let numbered = || (0..self.recipe.model.classes).map(|class| class.to_string()).collect();
        let classes = checkpoint.class_names(&self.recipe).unwrap_or_else(numbered);
        Ok(of_run(&checkpoint, &self.recipe, &classes)?)
    }
}
