//! Export of trained networks for JavaScript.

use crate::Result;
use crate::data::from_js;
use crate::session::Session;
use halfwave::Error;
use halfwave::export::{card, of_run};
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
        let checkpoint = self.lock().await.checkpoint().await?;
        let numbered = || (0..self.recipe.model.classes).map(|class| class.to_string()).collect();
        let classes = checkpoint.class_names(&self.recipe).unwrap_or_else(numbered);
        let mut network = of_run(&checkpoint, &self.recipe, &classes)?;
        network.card.extend(facts.unwrap_or_default());
        if recipe == Some(false) {
            network.card.remove(card::RECIPE);
        }
        Ok(network.to_bytes().map_err(|error| Error::Model(error.to_string()))?)
    }
}
