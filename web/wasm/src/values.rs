//! The plain values that JavaScript sees.

use crate::Result;
use crate::error::HalfwaveError;
use halfwave::backend::gpu::AdapterReport;
use halfwave::caps;
use halfwave::plan;
use halfwave::recipe::{Length, Recipe as Parsed};
use halfwave::train::metrics::{Row, StepRow};
use halfwave::train::{Position as Stand, Trainer, evaluate, inspect};
use halfwave::{backend, selftest};
use serde::{Deserialize, Serialize};
use tsify::Tsify;

/// A built-in recipe.
#[derive(Tsify, Serialize)]
pub struct BuiltinRecipe {
    /// What it is called.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// What a recipe says.
#[derive(Tsify, Serialize)]
pub struct RecipeSummary {
    /// Channels, height, width of an image.
    pub input: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// The data set: "digits", "cifar10" or "folder"; or "cifar100" or "idx", which the native program alone reads.
    pub set: String,
    /// Images in a step.
    pub batch: usize,
    /// Times through the data; none where `steps` counts.
    pub epochs: Option<u64>,
    /// Steps; none where `epochs` counts.
    pub steps: Option<u64>,
    /// What is to become less: the recipe's word.
    pub loss: String,
    /// How weights change: the recipe's word.
    pub optimizer: String,
    /// The learning rate that its schedule begins with.
    pub lr: f32,
    /// Where all randomness comes from.
    pub seed: u64,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// Weights and biases.
    pub weights: u64,
    /// Multiply-adds of an image.
    pub multiply_adds: u64,
    /// Those of them with 1-bit weights.
    pub binary_multiply_adds: u64,
    /// The recipe with every default spelt out: what a checkpoint holds.
    pub resolved: String,
}

/// A layer of a recipe.
#[derive(Tsify, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub kind: String,
    /// Whether its weights are packed bits.
    pub binary: bool,
    /// The line it begins on.
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

/// The kind of device that kernels are chosen for. Integer results are the same.
#[derive(Tsify, Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A GPU.
    Gpu,
    /// A driver that computes on the CPU.
    Software,
}

impl DeviceClass {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "gpu" => Ok(Self::Gpu),
            "software" => Ok(Self::Software),
            other => Err(HalfwaveError::usage(format!("deviceClass is \"gpu\" or \"software\", not \"{other}\""))),
        }
    }
}

impl From<DeviceClass> for caps::DeviceClass {
    fn from(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Gpu => Self::Gpu,
            DeviceClass::Software => Self::Software,
        }
    }
}

impl From<caps::DeviceClass> for DeviceClass {
    fn from(class: caps::DeviceClass) -> Self {
        match class {
            caps::DeviceClass::Gpu => Self::Gpu,
            caps::DeviceClass::Software => Self::Software,
        }
    }
}

/// What computes.
#[derive(Tsify, Serialize)]
pub struct Adapter {
    /// As far as the browser tells.
    pub name: String,
    /// "WebGPU", or "cpu".
    pub backend: String,
    /// "software", "GPU" or "cpu".
    pub kind: String,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features it offers that kernels could use.
    pub features: Vec<String>,
    /// Largest storage binding.
    pub max_binding_bytes: u64,
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Storage buffers a kernel can bind.
    pub storage_buffers: u32,
    /// Workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub workgroup_threads: u32,
    /// What kind of device kernels are chosen for.
    pub device_class: DeviceClass,
}

impl Adapter {
    pub(crate) fn gpu(report: &AdapterReport, class: caps::DeviceClass) -> Self {
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
            device_class: class.into(),
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

/// A training step, compiled, and its memory against the same step in 32-bit floats.
#[derive(Tsify, Serialize)]
pub struct Plan {
    /// As `halfwave plan` prints it.
    pub printed: String,
    /// Differs where plans do.
    pub hash: String,
    /// Different kernels.
    pub kernels: usize,
    /// Dispatches.
    pub dispatches: usize,
    /// All buffers.
    pub peak_bytes: u64,
    /// All buffers of the same step with every saved activation in f32.
    pub peak_f32_bytes: u64,
    /// Kept for the backward pass.
    pub saved_bytes: u64,
    /// Kept for the backward pass, were it f32.
    pub saved_f32_bytes: u64,
    /// Weights and optimiser.
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
            saved_bytes: memory.saved.iter().map(plan::Saved::bytes).sum(),
            saved_f32_bytes: memory.saved.iter().map(plan::Saved::f32_bytes).sum(),
            state_bytes: memory.state,
        }
    }
}

/// Where a run stands.
#[derive(Tsify, Serialize, Clone, Copy)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Steps done in the epoch that is under way.
    pub batch: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps of an epoch.
    pub epoch_steps: u64,
    /// Whether the run is over: all steps are done, or `patience` has ended it.
    pub over: bool,
}

impl Position {
    pub(crate) fn new(trainer: &Trainer) -> Self {
        let Stand { step, epoch, batch, .. } = trainer.position();
        let (total_steps, epoch_steps) = (trainer.total_steps(), trainer.epoch_steps());
        Self { step, epoch, batch, total_steps, epoch_steps, over: trainer.over() }
    }
}

/// What a step or an epoch gave: a row of `metrics.jsonl`, with its kind.
#[derive(Tsify, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// After a step.
    Step {
        /// Steps done so far.
        step: u64,
        /// The epoch it belongs to, counted from 1.
        epoch: u64,
        /// Mean loss of the batch, before the update.
        loss: f32,
        /// Learning rate of the update.
        lr: f32,
        /// Where numbers that are not finite appeared first in this step, if they did: a layer or a parameter.
        fault: Option<String>,
    },
    /// After an epoch. Accuracies are shares.
    Epoch {
        /// The epoch, counted from 1.
        epoch: u64,
        /// On the training images.
        train_accuracy: Option<f32>,
        /// On the test images.
        test_accuracy: Option<f32>,
        /// Training images per second.
        images_per_s: f64,
    },
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        match row {
            Row::Step(StepRow { step, epoch, loss, lr, fault }) => Self::Step { step, epoch, loss, lr, fault },
            Row::Epoch(row) => Self::Epoch {
                epoch: row.epoch,
                train_accuracy: row.train_accuracy,
                test_accuracy: row.test_accuracy,
                images_per_s: row.images_per_s,
            },
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
    /// Images.
    pub images: usize,
    /// `[class][predicted]`: how often.
    pub confusion: Vec<Vec<usize>>,
}

impl From<evaluate::Evaluation> for Evaluation {
    fn from(evaluation: evaluate::Evaluation) -> Self {
        let accuracy = evaluation.accuracy();
        let evaluate::Evaluation { loss, images, confusion, .. } = evaluation;
        Self { loss, accuracy, images, confusion }
    }
}

/// What a network says of an image.
#[derive(Tsify, Serialize)]
pub struct Prediction {
    /// The class with the largest probability.
    pub class: usize,
    /// One for each class.
    pub probabilities: Vec<f32>,
}

/// An exact tensor inside a network.
#[derive(Tsify, Serialize)]
pub struct Activation {
    /// The layer that makes it.
    pub layer: String,
    /// The operation that makes it.
    pub op: String,
    /// Codes of a quantiser, sums of a binary convolution, or packed signs of its weights.
    #[tsify(type = "\"codes\" | \"sums\" | \"signs\"")]
    pub what: &'static str,
    /// Images, height, width, channels.
    pub shape: Vec<usize>,
    /// Bits of a code; 0 for others.
    pub bits: u8,
    /// Codes or sums in row order; for signs the words themselves.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Int32Array")]
    pub values: js_sys::Int32Array,
    /// As it lies in the device's memory.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Uint32Array")]
    pub words: js_sys::Uint32Array,
    /// Differs where the bits do: FNV-1a of the words' bytes.
    pub hash: String,
    /// For codes: how often each occurs, as a share.
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

/// How long submissions to the GPU took.
#[derive(Tsify, Serialize)]
pub struct Timing {
    /// How that is known: by the device's timestamps, by when they were done, or not.
    #[tsify(type = "\"timestamps\" | \"completion\" | \"none\"")]
    pub timer: backend::Timer,
    /// Submissions so far; small steps share one.
    pub submissions: u64,
    /// The longest of the last 64 that were measured, in milliseconds: of a step that shares a submission, its part of it.
    pub longest_ms: f64,
    /// Measured ones, of all, that took longer than the budget.
    pub over_budget: u64,
    /// What one should take at most, in milliseconds.
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
    /// How long the GPU took, in milliseconds.
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

/// How one operation fared in the self-test.
#[derive(Tsify, Serialize)]
pub struct Outcome {
    /// The operation, and the kernel where there are several.
    pub stem: String,
    /// Samples that were run.
    pub samples: usize,
    /// Largest difference from the twin, relative to the twin's largest value.
    pub worst: f32,
    /// The bound on it; 0 means exact.
    pub bound: f32,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

impl From<selftest::Outcome> for Outcome {
    fn from(outcome: selftest::Outcome) -> Self {
        let name = outcome.name();
        let selftest::Outcome { samples, worst, bound, failure, .. } = outcome;
        Self { stem: name, samples, worst, bound, failure }
    }
}
