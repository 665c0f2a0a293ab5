//! Sessions for JavaScript: one recipe on one device.

use crate::data::{Dataset, from_js};
use crate::error::HalfwaveError;
use crate::values::{
    self, Activation, Adapter, Evaluation, Event, Plan, Position, Prediction, RecipeSummary, Signs, Submission,
};
use crate::{Result, device_class, open, to_js};
use futures_util::lock::{Mutex, MutexGuard};
use halfwave::backend::{Backend, Device, cpu::CpuBackend};
use halfwave::recipe::Recipe;
use halfwave::train::evaluate::{softmax, winner};
use halfwave::train::{self, Checkpoint, Start, StepPacer, Trainer};
use halfwave::{Error, Result as Done};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tsify::Tsify;
use wasm_bindgen::prelude::*;
use web_time::Instant;

/// Options for opening a session.
#[derive(Tsify, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct OpenOptions {
    /// "gpu", the default, or "cpu": the same plan in WebAssembly, which is slower but needs no
    /// WebGPU.
    #[tsify(optional, type = "\"gpu\" | \"cpu\"")]
    pub adapter: Option<String>,
    /// The device class that kernels are chosen for; the adapter's by default.
    #[tsify(optional, type = "DeviceClass")]
    pub device_class: Option<String>,
}

/// Reporting interval of [`Session::advance`] when it chooses the number of steps.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// A recipe on a device, trained step by step, with its weights, its optimiser and its position in
/// the data.
#[wasm_bindgen]
pub struct Session {
    trainer: Mutex<Trainer>,
    pub(crate) recipe: Recipe,
    pub(crate) device: Device,
    adapter: Adapter,
    plan: Plan,
    position: Cell<Position>,
    timing: Cell<Option<halfwave::backend::Timing>>,
    evaluation: RefCell<Option<Evaluation>>,
    pacer: Cell<StepPacer>,
}

fn position(trainer: &Trainer) -> Position {
    Position::new(trainer)
}

#[wasm_bindgen]
impl Session {
    /// Opens a device and compiles a recipe for it, with initial weights from the recipe's seed.
    /// Work that a driver defers to the first step is done here.
    pub async fn open(
        recipe: String,
        data: &Dataset,
        #[wasm_bindgen(unchecked_optional_param_type = "OpenOptions")] options: Option<JsValue>,
    ) -> Result<Session> {
        let recipe = Recipe::parse(&recipe, "recipe")?;
        let data = match recipe.data.keeps_all() {
            true => data.inner.clone(),
            false => Arc::new(data.inner.divided(&recipe.data)?),
        };
        data.check(&recipe)?;
        let options: OpenOptions = options.map(|options| from_js(options, "options")).transpose()?.unwrap_or_default();
        let class = device_class(options.device_class.as_deref())?;
        let (backend, adapter, device): (Box<dyn Backend>, Adapter, Device) = match options.adapter.as_deref() {
            None | Some("gpu") => {
                let backend = open(class).await?;
                let adapter = Adapter::gpu(backend.report(), backend.caps().class);
                let device = Device::from(backend.report());
                (Box::new(backend), adapter, device)
            }
            Some("cpu") => (Box::new(CpuBackend::new()), Adapter::cpu(), Device::cpu()),
            Some(other) => {
                return Err(HalfwaveError::usage(format!("adapter is \"gpu\" or \"cpu\", not \"{other}\"")));
            }
        };
        let mut trainer = Trainer::new(recipe.clone(), data, backend, false).await?;
        trainer.session().warm_up(recipe.train.seed).await?;
        let plan = Plan::from(trainer.session().plan());
        let position = Cell::new(position(&trainer));
        let (timing, evaluation, pacer) =
            (Cell::new(None), RefCell::new(None), Cell::new(StepPacer::new(UPDATE_INTERVAL)));
        Ok(Self { trainer: Mutex::new(trainer), recipe, device, adapter, plan, position, timing, evaluation, pacer })
    }

    /// The device in use.
    #[wasm_bindgen(getter, unchecked_return_type = "Adapter")]
    pub fn adapter(&self) -> JsValue {
        to_js(&self.adapter)
    }

    /// Summary of the recipe.
    #[wasm_bindgen(getter, unchecked_return_type = "RecipeSummary")]
    pub fn recipe(&self) -> Result<JsValue> {
        Ok(to_js(&RecipeSummary::of(&self.recipe)?))
    }

    /// The compiled training step.
    #[wasm_bindgen(getter, unchecked_return_type = "Plan")]
    pub fn plan(&self) -> JsValue {
        to_js(&self.plan)
    }

    /// The current position of the run.
    #[wasm_bindgen(getter, unchecked_return_type = "Position")]
    pub fn position(&self) -> JsValue {
        to_js(&self.position.get())
    }

    /// Duration of submissions to the GPU; undefined on the CPU and before the first call of
    /// `advance`.
    #[wasm_bindgen(getter, unchecked_return_type = "Timing | undefined")]
    pub fn timing(&self) -> JsValue {
        self.timing.get().map_or(JsValue::UNDEFINED, |timing| to_js(&values::Timing::from(timing)))
    }

    /// The evaluation at the end of the last epoch that had one; undefined before.
    #[wasm_bindgen(getter, unchecked_return_type = "Evaluation | undefined")]
    pub fn evaluation(&self) -> JsValue {
        self.evaluation.borrow().as_ref().map_or(JsValue::UNDEFINED, to_js)
    }

    /// Continues training: by at most `steps`, or by default as many as take about a tenth of a
    /// second, and never beyond the end of an epoch or of the run. Returns the events; none when
    /// the run is finished. Without `steps` the device is kept busy, and losses of the last steps
    /// come with the next call.
    #[wasm_bindgen(unchecked_return_type = "Event[]")]
    pub async fn advance(&self, steps: Option<u32>) -> Result<JsValue> {
        let mut trainer = self.lock().await;
        let (mut pacer, asked) = (self.pacer.get(), Instant::now());
        let advanced = trainer.advance(steps.map_or(pacer.steps(), u64::from)).await;
        self.timing.set(trainer.session().timing());
        self.position.set(position(&trainer));
        *self.evaluation.borrow_mut() = trainer.evaluated().cloned().map(Evaluation::from);
        let mut events = advanced?;
        if steps.is_some() {
            events.extend(trainer.flush().await?);
            self.position.set(position(&trainer));
        } else {
            pacer.took(asked.elapsed());
            self.pacer.set(pacer);
        }
        let rows = events.into_iter().filter_map(|event| match event {
            train::Event::Row(row) => Some(Event::from(row)),
            train::Event::EpochEnd => None,
        });
        Ok(to_js(&rows.collect::<Vec<_>>()))
    }

    /// Loss, accuracy and confusion matrix on the test images.
    #[wasm_bindgen(unchecked_return_type = "Evaluation")]
    pub async fn evaluate(&self) -> Result<JsValue> {
        Ok(to_js(&Evaluation::from(self.lock().await.evaluate().await?)))
    }

    /// Classifies images: rows, columns, channels of each in turn, with the data set's range of
    /// pixel values.
    #[wasm_bindgen(unchecked_return_type = "Prediction[]")]
    pub async fn predict(&self, pixels: &[u8]) -> Result<JsValue> {
        let mut trainer = self.lock().await;
        let images = self.images(&trainer, pixels)?;
        let logits = trainer.session().logits(&images).await?;
        let predictions = logits.chunks_exact(self.recipe.model.classes);
        let predictions =
            predictions.map(|logits| Prediction { class: winner(logits), probabilities: softmax(logits) });
        Ok(to_js(&predictions.collect::<Vec<_>>()))
    }

    /// The logits of images, as many for each as there are classes; images as for `predict`.
    pub async fn logits(&self, pixels: &[u8]) -> Result<Vec<f32>> {
        let mut trainer = self.lock().await;
        let images = self.images(&trainer, pixels)?;
        Ok(trainer.session().logits(&images).await?)
    }

    /// The measured submissions to the GPU since the last call, at most the last 1024.
    #[wasm_bindgen(unchecked_return_type = "Submission[]")]
    pub async fn trace(&self) -> JsValue {
        let mut trainer = self.lock().await;
        let trace = trainer.session().trace();
        to_js(&trace.iter().map(|(submission, plan)| Submission::new(submission, plan)).collect::<Vec<_>>())
    }

    /// Every exact tensor inside the network for these images: codes, sums, packed signs. Each
    /// number of images takes additional memory: use few different numbers.
    #[wasm_bindgen(unchecked_return_type = "Activation[]")]
    pub async fn inspect(&self, pixels: &[u8]) -> Result<JsValue> {
        let mut trainer = self.lock().await;
        let images = self.images(&trainer, pixels)?;
        let activations = trainer.session().inspect(&images).await?;
        Ok(to_js(&activations.into_iter().map(Activation::from).collect::<Vec<_>>()))
    }

    /// The signs of all binary weights.
    #[wasm_bindgen(unchecked_return_type = "Signs[]")]
    pub async fn signs(&self) -> Result<JsValue> {
        let latent = self.lock().await.session().latent_weights().await?;
        let signs = latent.into_iter().map(|(name, tensor)| Signs {
            layer: name.trim_end_matches(".weight").to_string(),
            shape: tensor.shape,
            signs: tensor.values.iter().map(|&weight| u8::from(weight >= 0.0)).collect(),
        });
        Ok(to_js(&signs.collect::<Vec<_>>()))
    }

    /// The run as the bytes of a safetensors file, which the native program can read too.
    pub async fn checkpoint(&self) -> Result<Vec<u8>> {
        let mut trainer = self.lock().await;
        let checkpoint = trainer.checkpoint().await;
        Ok(checkpoint?.to_bytes())
    }

    /// Restores a checkpoint of this recipe. One of another recipe, or of a run on other images or
    /// classes, is refused, and nothing is changed then. For classes in another order use
    /// `Dataset.matching`.
    pub async fn restore(&self, bytes: &[u8]) -> Result<()> {
        let path = Path::new("the checkpoint");
        let checkpoint = Checkpoint::from_bytes(bytes, path)?;
        let wrong = |message: String| Error::Checkpoint { path: path.to_path_buf(), message };
        let mut own = Recipe::parse(&checkpoint.recipe, "its recipe").map_err(|error| wrong(error.to_string()))?;
        // The run may have been made longer, or its data moved, as natively.
        own.train.length = self.recipe.train.length;
        own.data.set.clone_from(&self.recipe.data.set);
        if own != self.recipe {
            return Err(wrong("it is of another recipe; open the recipe that it holds".to_string()).into());
        }
        checkpoint.check(&self.recipe).map_err(|error| wrong(error.to_string()))?;
        let mut trainer = self.lock().await;
        trainer.restore(&checkpoint).map_err(|error| wrong(error.to_string()))?;
        self.position.set(position(&trainer));
        Ok(())
    }

    /// Loads initial weights from a safetensors file of any tool, under PyTorch's names, as
    /// `halfwave train --init` does.
    pub async fn initialise(&self, bytes: &[u8]) -> Result<()> {
        let start = Start::read(bytes, Path::new("the initial weights"), &self.recipe.model)?;
        Ok(self.lock().await.initialise(&start.tensors)?)
    }

    /// Restarts the run from its beginning.
    pub async fn reset(&self) -> Result<()> {
        let mut trainer = self.lock().await;
        trainer.restart();
        self.position.set(position(&trainer));
        Ok(())
    }
}

impl Session {
    pub(crate) async fn lock(&self) -> MutexGuard<'_, Trainer> {
        self.trainer.lock().await
    }

    /// Normalises whole images for the network.
    fn images(&self, trainer: &Trainer, pixels: &[u8]) -> Done<Vec<f32>> {
        let [c, h, w] = self.recipe.model.input;
        if pixels.is_empty() || !pixels.len().is_multiple_of(c * h * w) {
            return Err(Error::Data(format!(
                "{} bytes are not a whole number of images of {h} × {w} pixels with {c} channels",
                pixels.len()
            )));
        }
        let centred = trainer.normalise().clone().centred(self.recipe.data.set.source(), [c, h, w]);
        Ok(centred.images(pixels))
    }
}

/// The class names of a checkpoint's network, in the order of its outputs; undefined if the
/// checkpoint is of an earlier version and its data set defines no names. Throws if the bytes are
/// truncated or not a checkpoint.
#[wasm_bindgen(js_name = classesOf)]
pub fn classes_of(checkpoint: &[u8]) -> Result<Option<Vec<String>>> {
    let checkpoint = Checkpoint::from_bytes(checkpoint, Path::new("the checkpoint"))?;
    let recipe = Recipe::parse(&checkpoint.recipe, "the checkpoint's recipe")?;
    Ok(checkpoint.class_names(&recipe))
}

/// The recipe in a checkpoint, to open a session with. Throws if the bytes are truncated or not a
/// checkpoint.
#[wasm_bindgen(js_name = recipeOf)]
pub fn recipe_of(checkpoint: &[u8]) -> Result<String> {
    Ok(Checkpoint::from_bytes(checkpoint, Path::new("the checkpoint"))?.recipe)
}
