//! halfwave for JavaScript.
use serde::{Deserialize, Serialize};
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// A thing.
#[derive(Tsify, Serialize, Deserialize)]
#[tsify(into_wasm_abi)]
pub struct Thing {
    /// Its bytes.
    #[serde(with = "serde_bytes")]
    #[tsify(type = "Uint8Array")]
    pub bytes: Vec<u8>,
    /// How many.
    pub count: Option<u64>,
}

/// Gives a thing.
#[wasm_bindgen]
pub async fn thing(text: String) -> Result<Thing, JsValue> {
    use halfwave::{
        backend::gpu,
        data::Dataset,
        recipe::Recipe,
        train::{Session, Trainer},
    };
    let bad = |error: halfwave::Error| JsValue::from_str(&error.to_string());
    let recipe = Recipe::parse(&text, "recipe").map_err(bad)?;
    let data = Dataset::load(&recipe.data.set).map_err(bad)?;
    let found = gpu::choose(gpu::find().await, None).map_err(bad)?;
    let name = format!("{:?}", found.report);
    let backend = gpu::GpuBackend::open(found, None).await.map_err(bad)?;
    let session = Session::new(&recipe, Box::new(backend), false).await.map_err(bad)?;
    let mut trainer = Trainer::new(recipe, data, session);
    let _ = trainer.advance(1).await.map_err(bad)?;
    Ok(Thing { bytes: name.into_bytes(), count: Some(3) })
}
