//! A session: one model on one backend, with named state. It runs training steps and inference, and
//! reads and writes tensors.
//!
//! **Invariant:** no step waits for the device: loss and accuracy are collected in a ring on the
//! device, which is copied to the host when it is full or on request, while further steps are
//! running.

mod evaluator;
mod halves;
mod images;
mod inference;
mod measure;
mod non_finite;
#[cfg_attr(target_arch = "wasm32", path = "session/alone.rs")]
mod ranked;
mod steps;

pub(super) use images::Batch;
pub use non_finite::NonFinite;
use ranked::{Bucket, Format, Underway};
pub use steps::{step_plans, training_plan};

use super::checkpoint::HostTensor;
use super::parameters;
use super::ranks::Ranks;
use crate::backend::{Backend, LocalFuture, PlanId, Submission, Timing};
use crate::caps::Choice;
use crate::error::{Error, Result};
use crate::halves::SCALES;
use crate::model::{Model, Parameter, trained_len};
use crate::pass::{Bytes, ImageInput, Loss, Optimizer, Precision, RING, Store};
use crate::plan::Plan;
use crate::recipe::{Memory, Recipe, Statistics};
use crate::tensor::Tensor;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

/// Loss and accuracy of one step's batch, before its update.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Measured {
    /// Step, counted from 0.
    pub step: u64,
    /// Mean loss over the batch.
    pub loss: f32,
    /// Share of the batch classified correctly.
    pub accuracy: f32,
    /// 0, or the first node that encountered a value that is not finite: a [fault
    /// word](crate::kernel::FAULT).
    pub fault: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(target_arch = "wasm32", allow(dead_code))] // browsers are no ranks
enum Purpose {
    Train,
    /// A micro-batch of a step on `of` images; batch-norms compute their statistics over `together` images of all
    /// ranks, or else over those of the micro-batch.
    Micro {
        of: usize,
        together: Option<usize>,
    },
    /// The update after the micro-batches of a step.
    Update,
    /// The parts of an exchange of gradients in few bits.
    Compress,
    Merge,
    Unpack,
    Infer,
    /// An evaluation; `mean`: whether a per-pixel mean is subtracted from the images.
    Evaluate {
        mean: bool,
    },
    Inspect,
    CodeStatistics,
    Expose,
}

/// The optimiser's state tensors for a parameter.
pub(super) fn states(optimizer: &Optimizer, parameter: &Parameter) -> &'static [&'static str] {
    if parameter.trained() { optimizer.states(parameter.binary()) } else { &[] }
}

/// Words being copied to the host.
type Arriving = LocalFuture<'static, Result<Vec<u32>>>;

/// A model on a backend.
pub struct Session {
    backend: Box<dyn Backend>,
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    precision: Precision,
    batch: usize,
    /// Micro-batches per batch, of this rank's images.
    micro_batches: usize,
    /// The other processes that train the same network.
    ranks: Option<Ranks>,
    /// Whether batch-norms use the statistics of the images of all ranks.
    synchronised: bool,
    /// How gradients of weights are exchanged, if not as floats and unless ranks vote on flips.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))]
    format: Option<Format>,
    /// Gradients that ranks exchange together; none without other ranks.
    buckets: Vec<Bucket>,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))]
    underway: Underway,
    memory: Memory,
    image_input: ImageInput,
    dump: bool,
    /// Logits of the last step's images, if they are kept and the step has micro-batches.
    logits: Vec<f32>,
    /// Seed of all random numbers.
    seed: u64,
    parameters: Vec<Parameter>,
    plans: HashMap<(Purpose, usize), PlanId>,
    step: u64,
    /// Steps whose measurements were requested.
    asked: u64,
    /// Pending copies of the ring, each with its steps.
    coming: VecDeque<(Range<u64>, Arriving)>,
    measured: Vec<Measured>,
}

/// How a step gets a recipe's images if each batch carries its own.
pub fn batch_input(recipe: &Recipe) -> ImageInput {
    let (data, [_, h, w]) = (&recipe.data, recipe.data.set.source());
    ImageInput::Bytes(Bytes { source: [h, w], store: Store::Batch, augment: data.augment, mean: data.mean_image })
}

impl Session {
    /// Compiles a recipe's model for a backend and sets initial values from the seed. Its steps
    /// take normalised floats: [`Session::train_step`].
    ///
    /// With `dump`, training steps also keep logits and gradients for [`Session::gradients`], at
    /// the cost of memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not fit the device.
    pub async fn new(recipe: &Recipe, backend: Box<dyn Backend>, dump: bool) -> Result<Self> {
        Self::with_image_input(recipe, backend, ImageInput::Floats, dump).await
    }

    /// Like [`Session::new`], but steps take images as `image_input` says: [`Session::train_on`] or
    /// [`Session::train_bytes`], after [`Session::set_normalise`] and [`Session::set_store`].
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not fit the device.
    pub async fn with_image_input(
        recipe: &Recipe,
        backend: Box<dyn Backend>,
        image_input: ImageInput,
        dump: bool,
    ) -> Result<Self> {
        Self::with_ranks(recipe, backend, image_input, None, dump).await
    }

    /// Like [`Session::with_image_input`], as one of several ranks that train the network together.
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not fit the device.
    pub(super) async fn with_ranks(
        recipe: &Recipe,
        backend: Box<dyn Backend>,
        image_input: ImageInput,
        ranks: Option<Ranks>,
        dump: bool,
    ) -> Result<Self> {
        let voted = ranks.is_some() && recipe.train.ranks.flips;
        let mut session = Self {
            backend,
            model: recipe.model.clone(),
            loss: recipe.train.loss,
            optimizer: Optimizer { voted, ..recipe.train.optimizer.clone() },
            precision: recipe.train.precision,
            batch: recipe.train.batch,
            micro_batches: recipe.train.accumulate,
            synchronised: ranks.is_some() && recipe.train.ranks.batch_norm == Statistics::Synchronised,
            ranks,
            format: recipe.train.ranks.gradients.into(),
            buckets: Vec::new(),
            underway: Underway::default(),
            memory: recipe.train.memory,
            image_input,
            dump,
            logits: Vec::new(),
            seed: recipe.train.seed,
            parameters: recipe.model.parameters()?,
            plans: HashMap::new(),
            step: 0,
            asked: 0,
            coming: VecDeque::new(),
            measured: Vec::new(),
        };
        session.buckets = session.divide_into_buckets();
        session.step_ids(session.batch).await?;
        session.load_votes().await?;
        session.restart(session.seed);
        Ok(session)
    }

    /// Runs one step on noise and discards it, so that work deferred by the driver to the first
    /// step is done. Then restarts with initial values from the seed.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn warm_up(&mut self, seed: u64) -> Result<()> {
        let noise = self.noise();
        let labels = vec![0; self.share(self.batch).len()];
        self.step_on(&noise, &labels, self.batch, 0.0).await?;
        self.measured().await?;
        self.restart(seed);
        Ok(())
    }

    /// Resets the session to step 0, with initial values from a seed that later steps also use for
    /// random numbers.
    pub fn restart(&mut self, seed: u64) {
        self.seed = seed;
        for parameter in self.parameters.clone() {
            let start = parameter.start(seed);
            let start = self.admitted(&parameter, start);
            self.put(&parameter.name, &start.words);
            for state in states(&self.optimizer, &parameter) {
                self.put(&format!("{state}/{}", parameter.name), &vec![0; start.words.len()]);
            }
        }
        self.start_scales();
        self.go_to(0);
    }

    /// The names of all tensors that steps change, on the device.
    fn state(&self) -> Vec<String> {
        let names = self.parameters.iter().flat_map(|parameter| {
            let states = states(&self.optimizer, parameter).iter().map(|state| format!("{state}/{}", parameter.name));
            [parameter.name.clone()].into_iter().chain(states)
        });
        names.chain(self.plan().port(SCALES).map(|port| port.name.clone())).collect()
    }

    /// Converts values to those the parameter can hold: signs if the optimiser flips it, values of
    /// its format in fixed point.
    fn admitted(&self, parameter: &Parameter, tensor: Tensor) -> Tensor {
        if self.optimizer.flips(parameter.binary()) { parameter.signs(tensor) } else { parameter.settled(tensor) }
    }

    /// Number of saturated values of each layer since the run was started: for a `fixed` layer its
    /// activations; for a layer with fixed weights the weights, counted at each update; with mixed
    /// precision also the layer's activations and gradients stored in half precision. Waits for
    /// running steps.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn saturations(&mut self) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        for parameter in self.parameters.clone().iter().filter(|parameter| parameter.counts()) {
            let words = self.get(&parameter.name).await?;
            all.insert(parameter.layer.clone(), parameters::count_of(&words));
        }
        self.count_halves(&mut all).await?;
        Ok(all)
    }

    /// Display name of the backend.
    pub fn device(&self) -> &str {
        self.backend.name()
    }

    /// The plan of a full batch's training step.
    pub fn plan(&self) -> &Plan {
        self.backend.plan(self.training())
    }

    /// Device memory of a full batch's training step with all its plans, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        Plan::peak_of(self.known_ids(self.batch).into_iter().map(|id| self.backend.plan(id)))
    }

    /// The kernels of a full batch's training step, by site, and all others set on the backend.
    pub fn choices(&self) -> BTreeMap<String, Choice> {
        let mut choices = self.backend.caps().choices.clone();
        choices.extend(self.plan().choices());
        choices
    }

    /// Number of trained values.
    pub fn parameter_len(&self) -> usize {
        trained_len(&self.parameters) as usize
    }

    /// Duration of submissions, if the backend measures it.
    pub fn timing(&self) -> Option<Timing> {
        self.backend.timing()
    }

    /// The measured submissions since the last call, each with its plan.
    pub fn trace(&mut self) -> Vec<(Submission, &Plan)> {
        let submissions = self.backend.trace();
        submissions.into_iter().map(|submission| (submission.clone(), self.backend.plan(submission.plan))).collect()
    }

    /// Images per full batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Steps completed.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The input tensor of a batch, `[n, h, w, c]`, from values in that order.
    fn images(&self, values: &[f32], batch: usize) -> Tensor {
        let [c, h, w] = self.model.input;
        Tensor::from_f32(&[batch, h, w, c], values)
    }

    /// Discards measurements; the next step is `step`.
    fn go_to(&mut self, step: u64) {
        (self.step, self.asked) = (step, step);
        self.clear_fault();
        self.clear_residuals();
        self.begin_rank_rows();
        self.coming.clear();
        self.measured.clear();
    }

    /// Requests loss and accuracy of the steps since the last request: a copy that runs
    /// concurrently with further steps.
    pub fn request_metrics(&mut self) {
        if self.asked < self.step {
            let copy = self.get("history");
            self.coming.push_back((self.asked..self.step, copy));
            self.asked = self.step;
        }
    }

    /// Loss and accuracy of requested steps, in order, each returned once; waits until at most
    /// `left` requests are pending.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn take_metrics(&mut self, left: usize) -> Result<Vec<Measured>> {
        while self.coming.len() > left {
            let Some((steps, copy)) = self.coming.pop_front() else { break };
            let words = copy.await?;
            self.measured.extend(steps.map(|step| {
                let row = (step % RING as u64) as usize * 4;
                let [loss, accuracy, fault] = [0, 1, 2].map(|at| f32::from_bits(words[row + at]));
                Measured { step, loss, accuracy, fault: fault as u32 }
            }));
        }
        Ok(std::mem::take(&mut self.measured))
    }

    /// Loss and accuracy of all steps since the last call; waits for running steps.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn measured(&mut self) -> Result<Vec<Measured>> {
        self.request_metrics();
        self.take_metrics(0).await
    }

    /// The latent weights of all layers for which the device computes with the signs of the
    /// weights, by their PyTorch names.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn latent_weights(&mut self) -> Result<BTreeMap<String, HostTensor>> {
        let mut all = BTreeMap::new();
        for layer in self.model.clone().layers.iter().filter(|layer| layer.kind.packed_weights().is_some()) {
            let name = format!("{}.weight", layer.name);
            let words = self.get(&name).await?;
            let parameter = self.parameters.iter().find(|parameter| parameter.name == name);
            let parameter = parameter.expect("a layer with weights has a parameter");
            all.extend(parameter.to_host(words));
        }
        Ok(all)
    }

    /// The loss function.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// The PyTorch names of all trained parameters.
    pub fn trained(&self) -> Vec<String> {
        let trained = self.parameters.iter().filter(|parameter| parameter.trained());
        trained.flat_map(Parameter::host).map(|(name, _)| name).collect()
    }

    /// Parameters, running statistics and the optimiser's state (`velocity/…`, `moment1/…`) by
    /// their PyTorch names.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn tensors(&mut self) -> Result<BTreeMap<String, HostTensor>> {
        let mut all = BTreeMap::new();
        for parameter in self.parameters.clone() {
            all.extend(parameter.to_host(self.get(&parameter.name).await?));
            for state in states(&self.optimizer, &parameter) {
                let kept = self.get(&format!("{state}/{}", parameter.name)).await?;
                let parts = parameter.to_host(kept).into_iter();
                all.extend(parts.map(|(name, tensor)| (format!("{state}/{name}"), tensor)));
            }
        }
        all.extend(self.scales().await?.map(|tensor| (SCALES.to_string(), tensor)));
        Ok(all)
    }

    /// Sets parameters named `prefix` + PyTorch name, and the optimiser's state, from a collection;
    /// other tensors are ignored. Weights that the optimiser flips become signs, fixed-point
    /// weights the nearest values of their format. Missing running statistics and state keep their
    /// values; the session continues at `step`.
    ///
    /// # Errors
    ///
    /// Returns an error if a parameter is missing, has another shape or holds values that are not
    /// finite; nothing is changed then.
    pub fn set_tensors(&mut self, tensors: &BTreeMap<String, HostTensor>, prefix: &str, step: u64) -> Result<()> {
        let get = |name: &str| tensors.get(name).cloned();
        let mut found = Vec::new();
        for parameter in &self.parameters {
            match parameter.find(prefix, get)? {
                Some(tensor) => {
                    found.push((parameter.name.clone(), self.admitted(parameter, tensor)));
                }
                None if parameter.trained() => {
                    let name = &parameter.host()[0].0;
                    return Err(Error::Model(format!("the tensor {prefix}{name} is missing")));
                }
                None => {}
            }
            for state in states(&self.optimizer, parameter) {
                if let Some(kept) = parameter.find(&format!("{state}/"), get)? {
                    found.push((format!("{state}/{}", parameter.name), kept));
                }
            }
        }
        let scales = self.found_scales(tensors.get(SCALES));
        found.iter().for_each(|(name, tensor)| self.put(name, &tensor.words));
        self.set_scales(scales);
        self.go_to(step);
        Ok(())
    }
}
