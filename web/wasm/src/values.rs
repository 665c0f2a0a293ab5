//! Plain values for JavaScript.

use crate::Result;
use halfwave::backend::gpu::AdapterReport;
use halfwave::caps::DeviceClass;
use halfwave::plan;
use halfwave::recipe::{Length, Recipe as Parsed};
use halfwave::train::metrics::{EpochRow, Row, StepRow};
use halfwave::train::{Position as RunPosition, Trainer, evaluate, inspect};
use halfwave::{backend, selftest};
use serde::Serialize;
use tsify::Tsify;

/// A built-in recipe.
#[derive(Tsify, Serialize)]
pub struct BuiltinRecipe {
    /// Name of the recipe.
    pub name: String,
    /// TOML text.
    pub text: String,
}

/// Summary of a recipe.
#[derive(Tsify, Serialize)]
pub struct RecipeSummary {
    /// Channels, height, width of an image.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// The data set, by its name in recipes.
    pub set: String,
    /// Images per step.
    pub batch: usize,
    /// Epochs; undefined if the length is given in `steps`.
    pub epochs: Option<u64>,
    /// Steps; undefined if the length is given in `epochs`.
    pub steps: Option<u64>,
    /// Loss function to minimise, by its name in recipes.
    pub loss: String,
    /// Optimiser, by its name in recipes.
    pub optimizer: String,
    /// Initial learning rate of the schedule.
    pub lr: f32,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// Number of weights and biases.
    pub weights: u64,
    /// Multiply-adds per image.
    pub multiply_adds: u64,
    /// Multiply-adds per image with 1-bit weights.
    pub binary_multiply_adds: u64,
    /// The recipe with all defaults spelt out, as stored in checkpoints.
    pub resolved: String,
}

/// A layer of a recipe.
#[derive(Tsify, Serialize)]
pub struct Layer {
    /// Name of the layer.
    pub name: String,
    /// Kind of the layer.
    pub kind: String,
    /// Whether its weights are packed bits.
    pub binary: bool,
    /// Whether its output consists of codes.
    pub codes: bool,
    /// Line in the recipe at which it starts.
    pub line: usize,
}

impl RecipeSummary {
    pub(crate) fn of(recipe: &Parsed) -> Result<Self> {
        let (model, train) = (&recipe.model, &recipe.train);
        let (epochs, steps) = match train.length {
            Length::Epochs(epochs) => (Some(epochs), None),
            Length::Steps(steps) => (None, Some(steps)),
        };
        Ok(Self {
            input: model.input,
            classes: model.classes,
            set: recipe.data.set.name().into(),
            batch: train.batch,
            epochs,
            steps,
            loss: train.loss.name().into(),
            optimizer: train.optimizer.name().into(),
            lr: train.optimizer.lr,
            seed: train.seed,
            layers: model
                .layers
                .iter()
                .map(|layer| Layer {
                    name: layer.name.clone(),
                    kind: layer.kind.name().into(),
                    binary: layer.kind.packed_weights().is_some(),
                    codes: layer.kind.makes_codes(),
                    line: layer.line,
                })
                .collect(),
            weights: model.weights_len()?,
            multiply_adds: model.multiply_adds()?,
            binary_multiply_adds: model.binary_multiply_adds()?,
            resolved: recipe.to_toml(),
        })
    }
}

/// The device that computes.
#[derive(Tsify, Serialize)]
pub struct Adapter {
    /// Name, as reported by the browser.
    pub name: String,
    /// "WebGPU", or "cpu".
    pub backend: String,
    /// "software", "GPU" or "cpu".
    pub kind: String,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Supported features that kernels could use.
    pub features: Vec<String>,
    /// Largest storage binding, in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Maximum number of storage buffers per kernel.
    pub storage_buffers: u32,
    /// Workgroup memory, in bytes.
    pub workgroup_bytes: u32,
    /// Maximum number of invocations per workgroup.
    pub workgroup_threads: u32,
    /// The device class that kernels are chosen for.
    pub device_class: DeviceClass,
}

impl Adapter {
    pub(crate) fn gpu(report: &AdapterReport, class: DeviceClass) -> Self {
        let AdapterReport { name, software, features, max_binding_bytes, max_buffer_bytes, .. } = report.clone();
        Self {
            name,
            backend: "WebGPU".into(),
            kind: if software { "software" } else { "GPU" }.into(),
            software,
            features: features.into_iter().map(String::from).collect(),
            max_binding_bytes,
            max_buffer_bytes,
            storage_buffers: report.storage_buffers,
            workgroup_bytes: report.workgroup_bytes,
            workgroup_threads: report.workgroup_threads,
            device_class: class,
        }
    }

    pub(crate) fn cpu() -> Self {
        Self {
            name: "the CPU, in WebAssembly".into(),
            backend: "cpu".into(),
            kind: "cpu".into(),
            software: true,
            features: Vec::new(),
            max_binding_bytes: 0,
            max_buffer_bytes: 0,
            storage_buffers: 0,
            workgroup_bytes: 0,
            workgroup_threads: 0,
            device_class: DeviceClass::Software,
        }
    }
}

/// A compiled training step, and its memory compared with the same step in 32-bit floats.
#[derive(Tsify, Serialize)]
pub struct Plan {
    /// As printed by `halfwave plan`.
    pub printed: String,
    /// Hash of the plan.
    pub hash: String,
    /// Number of different kernels.
    pub kernels: usize,
    /// Number of dispatches.
    pub dispatches: usize,
    /// Bytes of all buffers.
    pub peak_bytes: u64,
    /// Bytes of all buffers of the same step with every saved activation in f32.
    pub peak_f32_bytes: u64,
    /// Bytes kept for the backward pass.
    pub saved_bytes: u64,
    /// Bytes kept for the backward pass if they were f32.
    pub saved_f32_bytes: u64,
    /// Bytes of weights and optimiser state.
    pub state_bytes: u64,
}

impl From<&plan::Plan> for Plan {
    fn from(plan: &plan::Plan) -> Self {
        let memory = &plan.memory;
        Self {
            printed: plan.to_string(),
            hash: format!("{:016x}", plan.hash()),
            kernels: plan.kernels.len(),
            dispatches: plan.steps.len(),
            peak_bytes: memory.peak,
            peak_f32_bytes: memory.peak_f32,
            saved_bytes: memory.saved.iter().map(plan::SavedTensor::bytes).sum(),
            saved_f32_bytes: memory.saved.iter().map(plan::SavedTensor::f32_bytes).sum(),
            state_bytes: memory.state,
        }
    }
}

/// Position of a run.
#[derive(Tsify, Serialize, Clone, Copy)]
pub struct Position {
    /// Position in the data.
    #[serde(flatten)]
    pub run: RunPosition,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps per epoch.
    pub epoch_steps: u64,
    /// Whether the run is finished: all steps are completed, or `patience` has stopped it.
    pub over: bool,
}

impl Position {
    pub(crate) fn new(trainer: &Trainer) -> Self {
        let (total_steps, epoch_steps) = (trainer.total_steps(), trainer.epoch_steps());
        Self { run: trainer.position(), total_steps, epoch_steps, over: trainer.over() }
    }
}

/// Results of a step or an epoch: a row of `metrics.jsonl`, with its kind.
#[derive(Tsify, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// After a step.
    Step(StepRow),
    /// After an epoch.
    Epoch(EpochRow),
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        match row {
            Row::Step(row) => Self::Step(row),
            Row::Epoch(row) => Self::Epoch(row),
        }
    }
}

/// Loss and accuracy on the test images.
#[derive(Tsify, Serialize)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f64,
    /// Share classified correctly.
    pub accuracy: f32,
    /// Number of images.
    pub images: usize,
    /// `[class][predicted]`: number of images.
    pub confusion: Vec<Vec<usize>>,
}

impl From<evaluate::Evaluation> for Evaluation {
    fn from(evaluation: evaluate::Evaluation) -> Self {
        let accuracy = evaluation.accuracy();
        let evaluate::Evaluation { loss, images, confusion, .. } = evaluation;
        Self { loss, accuracy, images, confusion }
    }
}

/// A network's prediction for an image.
#[derive(Tsify, Serialize)]
pub struct Prediction {
    /// The class with the largest probability.
    pub class: usize,
    /// Probability of each class.
    pub probabilities: Vec<f32>,
}

/// An exact tensor inside a network.
#[derive(Tsify, Serialize)]
pub struct Activation {
    /// Layer that computes it.
    pub layer: String,
    /// Operation that computes it.
    pub op: String,
    /// Codes of a quantiser, sums of a binary convolution, or packed signs of its weights.
    #[tsify(type = "\"codes\" | \"sums\" | \"signs\"")]
    pub what: &'static str,
    /// Images, height, width, channels.
    pub shape: Vec<usize>,
    /// Bits of a code; 0 for others.
    pub bits: u8,
    /// Codes or sums in row order; for signs the packed words.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Int32Array")]
    pub values: js_sys::Int32Array,
    /// Contents of the device's memory.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Uint32Array")]
    pub words: js_sys::Uint32Array,
    /// Hash of the bits: FNV-1a over the words' bytes.
    pub hash: String,
    /// For codes: the share of each.
    pub shares: Option<Vec<f64>>,
}

impl From<inspect::Activation> for Activation {
    fn from(activation: inspect::Activation) -> Self {
        use halfwave::tensor::Encoding;
        Self {
            what: match activation.exact {
                inspect::Exact::Codes => "codes",
                inspect::Exact::Sums => "sums",
                inspect::Exact::Signs => "signs",
            },
            bits: if let Encoding::Planes(bits) = activation.ty.encoding { bits } else { 0 },
            values: js_sys::Int32Array::from(&activation.values()[..]),
            words: js_sys::Uint32Array::from(&activation.words[..]),
            hash: format!("{:016x}", activation.hash()),
            shares: activation.shares(),
            shape: activation.ty.shape.clone(),
            layer: activation.layer,
            op: activation.stem,
        }
    }
}

/// The signs of a layer's binary weights.
#[derive(Tsify, Serialize)]
pub struct Signs {
    /// The layer.
    pub layer: String,
    /// Filters, channels, rows, columns; filters, inputs for a linear layer.
    pub shape: Vec<usize>,
    /// In row order, 1 for positive.
    #[serde(with = "serde_bytes")]
    #[tsify(type = "Uint8Array")]
    pub signs: Vec<u8>,
}

/// Duration of submissions to the GPU.
#[derive(Tsify, Serialize)]
pub struct Timing {
    /// How it is measured: by the device's timestamps, by the time of completion, or not at all.
    pub timer: backend::Timer,
    /// Number of submissions so far; small steps share one.
    pub submissions: u64,
    /// The longest of the last 64 measured submissions, in milliseconds; for a step that shares a
    /// submission, its part of it.
    pub longest_ms: f64,
    /// Number of measured submissions that took longer than the budget.
    pub over_budget: u64,
    /// Time budget of a submission, in milliseconds.
    pub budget_ms: f64,
}

impl From<backend::Timing> for Timing {
    fn from(timing: backend::Timing) -> Self {
        Self {
            timer: timing.timer,
            submissions: timing.submissions,
            longest_ms: timing.longest_ns as f64 / 1e6,
            over_budget: timing.over_budget,
            budget_ms: timing.budget_ns as f64 / 1e6,
        }
    }
}

/// A measured submission to the GPU: consecutive dispatches of a plan.
#[derive(Tsify, Serialize)]
pub struct Submission {
    /// The plan's hash: that of [`Plan`] for training steps on full batches.
    pub plan: String,
    /// The first dispatch in the plan, counted from 0.
    pub first: usize,
    /// The kernels that ran.
    pub kernels: Vec<String>,
    /// Time on the GPU, in milliseconds.
    pub ms: f64,
}

impl Submission {
    pub(crate) fn new(submission: &backend::Submission, plan: &plan::Plan) -> Self {
        let steps = &plan.steps[submission.steps.clone()];
        Self {
            plan: format!("{:016x}", plan.hash()),
            first: submission.steps.start,
            kernels: steps.iter().map(|step| plan.kernels[step.kernel].label.clone()).collect(),
            ms: submission.ns as f64 / 1e6,
        }
    }
}

/// Result of one operation in the self-test.
#[derive(Tsify, Serialize)]
pub struct Outcome {
    /// The operation, and the kernel if there are several.
    pub stem: String,
    /// Number of samples run.
    pub samples: usize,
    /// Largest difference from the reference implementation, relative to its largest value.
    pub worst: f32,
    /// Bound on the difference; 0 means exact.
    pub bound: f32,
    /// Description of the failure, if any.
    pub failure: Option<String>,
}

impl From<selftest::Outcome> for Outcome {
    fn from(outcome: selftest::Outcome) -> Self {
        let name = outcome.name();
        let selftest::Outcome { samples, worst, bound, failure, .. } = outcome;
        Self { stem: name, samples, worst, bound, failure }
    }
}
