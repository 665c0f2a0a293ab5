//! The trainer: runs a session through a recipe, epoch by epoch, and reports progress as events.
//!
//! The order of the images depends only on (seed, epoch), so that a run can be resumed exactly from
//! any step.
//!
//! **Invariant:** a training set that fits is kept on the device, as bytes; a step only receives
//! the indices of its images.

mod divergence;

use super::checkpoint::{Checkpoint, HostTensor, MEAN_IMAGE, Position};
use super::evaluate::{Evaluation, evaluate};
use super::low_bit::{self, SAMPLE, Signs};
use super::metrics::{EpochRow, Row, StepRow};
use super::ranks::{Communicator, Ranks, agreement};
use super::session::{Batch, NonFinite, Session};
use super::source::{self, Source};
use super::start;
use super::trained_on::TrainedOn;
use crate::backend::Backend;
use crate::data::{Dataset, Normalise, Part, epoch_batches};
use crate::error::{Error, Result};
use crate::pass::{Bytes, ImageInput, Optimizer, RING, Store};
use crate::recipe::Recipe;
use crate::stop::Stop;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// An event since the last call.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A row of metrics.
    Row(Row),
    /// The end of an epoch: a good time for a checkpoint.
    EpochEnd,
}

/// Runs a session through a recipe.
pub struct Trainer {
    recipe: Recipe,
    dataset: Arc<Dataset>,
    normalise: Normalise,
    /// Source of training images that are not kept on the device.
    source: Option<Source>,
    session: Session,
    position: Position,
    /// Sizes of the batches whose metrics have not arrived.
    pending: VecDeque<u64>,
    /// Events not yet returned.
    waiting: Vec<Event>,
    /// The signs of binary weights at the end of the previous epoch; `None` until first needed.
    signs: Option<Signs>,
    order: Option<(u64, Vec<Vec<u32>>)>,
    clock: Clock,
    /// The first step in which a value was not finite, and where, if a check on the device found
    /// it.
    diverged: Option<(u64, Option<NonFinite>)>,
    evaluated: Option<Evaluation>,
    trained_on: TrainedOn,
    /// Whether ranks have compared the state from which they go on.
    agreed: bool,
}

/// Images and seconds of training, without evaluation.
#[derive(Default)]
struct Clock {
    steps: u64,
    images: u64,
    seconds: f64,
}

impl Trainer {
    /// Creates a run from its beginning, on a device; `dump` is as in [`Session::new`].
    ///
    /// # Errors
    ///
    /// Returns an error if the model or the images do not fit the device.
    pub async fn new(
        recipe: Recipe,
        dataset: impl Into<Arc<Dataset>>,
        backend: Box<dyn Backend>,
        dump: bool,
    ) -> Result<Self> {
        Self::of_ranks(recipe, dataset, backend, None, dump).await
    }

    /// Like [`Trainer::new`], for one of several ranks that train together: all of them with the same
    /// recipe and the same images. `stop` ends the run after the current step on all ranks, whichever
    /// rank it is requested on; the backend must not have a stop signal of its own, which would end an
    /// evaluation on this rank only.
    ///
    /// If ranks vote on flips, checkpoints within an epoch have this rank's own state of the votes until all ranks have
    /// stopped.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Trainer::new`] does, if a batch has fewer images than there are ranks, or
    /// if ranks differ in recipe or images.
    pub async fn with_ranks(
        recipe: Recipe,
        dataset: impl Into<Arc<Dataset>>,
        backend: Box<dyn Backend>,
        communicator: Box<dyn Communicator>,
        stop: Stop,
    ) -> Result<Self> {
        let (batch, ranks) = (recipe.train.batch, communicator.ranks());
        if ranks > batch {
            return Err(Error::Model(format!(
                "a batch of {batch} images cannot be divided among {ranks} ranks; use a larger train.batch, or fewer ranks"
            )));
        }
        let dataset = dataset.into();
        let mut ranks = Ranks::new(communicator, backend.name(), stop)?;
        ranks.agree_on(&agreement::of_run(&recipe, &dataset))?;
        Self::of_ranks(recipe, dataset, backend, Some(ranks), false).await
    }

    async fn of_ranks(
        recipe: Recipe,
        dataset: impl Into<Arc<Dataset>>,
        backend: Box<dyn Backend>,
        ranks: Option<Ranks>,
        dump: bool,
    ) -> Result<Self> {
        let dataset = dataset.into();
        let mut normalise = Normalise::new(&recipe.data);
        if recipe.data.mean_image {
            let pixels = dataset.train.in_memory().ok_or_else(|| {
                Error::Data("mean_image = true needs all training images in memory; raise data.stream_above, or give mean and std".into())
            })?;
            normalise.mean = Some(normalise.mean_of(pixels, dataset.train.image_len()));
        }
        let image_input = source::image_input(&recipe, &dataset, backend.caps());
        let resident = matches!(image_input, ImageInput::Bytes(Bytes { store: Store::Resident { .. }, .. }));
        let mut session = Session::with_ranks(&recipe, backend, image_input, ranks, dump).await?;
        session.set_normalise(&normalise);
        if let Some(pixels) = dataset.train.in_memory().filter(|_| resident) {
            session.set_store(pixels);
        }
        let source = (!resident).then(|| Source::new(dataset.clone()));
        let trained_on = TrainedOn::new(&dataset);
        let (position, clock, pending) = (Position::default(), Clock::default(), VecDeque::new());
        let (waiting, signs, order, diverged, evaluated) = (Vec::new(), None, None, None, None);
        Ok(Self {
            recipe,
            dataset,
            normalise,
            source,
            session,
            position,
            pending,
            waiting,
            signs,
            order,
            clock,
            diverged,
            evaluated,
            trained_on,
            agreed: false,
        })
    }

    /// Restores the run to the position of a checkpoint.
    ///
    /// # Errors
    ///
    /// Returns an error if the checkpoint's tensors do not fit the model, or it was trained on
    /// other images or classes; nothing is changed then.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.trained_on.as_ref().map_or(Ok(()), |facts| facts.check_all(&self.trained_on))?;
        let epoch_steps = self.epoch_steps();
        let Position { step, epoch, batch, .. } = checkpoint.position;
        let expected = epoch.checked_mul(epoch_steps).and_then(|steps| steps.checked_add(batch));
        if batch > epoch_steps || expected != Some(step) {
            return Err(Error::Model(format!(
                "step {step} is not batch {batch} of epoch {epoch} with {epoch_steps} steps per epoch: the run used different data"
            )));
        }
        self.session.set_tensors(&checkpoint.tensors, "", checkpoint.position.step)?;
        self.agreed = false;
        self.go_to(checkpoint.position.resumed(self.total_steps(), self.dataset.validation.is_some()));
        self.signs = Signs::find(&checkpoint.tensors);
        Ok(())
    }

    /// Restarts the run: initial values from the recipe's seed, step 0.
    pub fn restart(&mut self) {
        self.session.restart(self.recipe.train.seed);
        self.clock = Clock::default();
        self.go_to(Position::default());
    }

    /// Sets the position and discards what belongs to the previous one.
    fn go_to(&mut self, position: Position) {
        self.position = position;
        (self.signs, self.order, self.diverged, self.evaluated) = (None, None, None, None);
        self.pending.clear();
        self.waiting.clear();
    }

    /// Loads initial weights from a collection, by the names that [`super::Start`] gives them;
    /// other tensors, including the optimiser's, are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if a parameter is missing, has another shape or is not finite; nothing is
    /// changed then.
    pub fn initialise(&mut self, tensors: &BTreeMap<String, HostTensor>) -> Result<()> {
        let names: Vec<_> = tensors.keys().map(String::as_str).collect();
        let prefix = start::prefix(&names, &self.recipe.model.parameters()?)?;
        let mut tensors = tensors.clone();
        tensors.retain(|name, _| !Optimizer::owns(name));
        self.agreed = false;
        self.session.set_tensors(&tensors, prefix, 0)
    }

    /// A checkpoint after all steps that were started; their metrics come with the next events.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or the training has diverged: a checkpoint only ever
    /// holds finite values.
    pub async fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.waiting = self.flush().await?;
        self.check_healthy()?;
        let mut tensors = self.session.tensors().await?;
        if let Some(mean) = &self.normalise.mean {
            let shape = vec![self.dataset.height, self.dataset.width, self.dataset.channels];
            tensors.insert(MEAN_IMAGE.to_string(), HostTensor { shape, values: mean.clone() });
        }
        if let Some(signs) = self.signs.as_ref().filter(|_| self.position.batch > 0) {
            tensors.extend(signs.tensors());
        }
        let (recipe, trained_on) = (self.recipe.to_toml(), Some(self.trained_on.clone()));
        Ok(Checkpoint { recipe, position: self.position, trained_on, tensors })
    }

    /// The training data, as recorded in checkpoints.
    pub fn trained_on(&self) -> &TrainedOn {
        &self.trained_on
    }

    /// The session, for plans, gradients and predictions.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// How bytes are normalised for the network.
    pub fn normalise(&self) -> &Normalise {
        &self.normalise
    }

    /// Whether there are validation images.
    pub fn is_validated(&self) -> bool {
        self.dataset.validation.is_some()
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The current position of the run.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.recipe.train.total_steps(self.dataset.train.len())
    }

    /// Whether all steps are completed and evaluated, or the run was stopped early because it did
    /// not improve.
    pub fn over(&self) -> bool {
        self.position.over(self.total_steps())
    }

    /// Steps per epoch.
    pub fn epoch_steps(&self) -> u64 {
        self.recipe.train.epoch_steps(self.dataset.train.len())
    }

    /// The evaluation at the end of the last epoch that had one.
    pub fn evaluated(&self) -> Option<&Evaluation> {
        self.evaluated.as_ref()
    }

    /// Evaluates on the test images.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn evaluate(&mut self) -> Result<Evaluation> {
        self.evaluate_part(Part::Test).await
    }

    async fn evaluate_part(&mut self, part: Part) -> Result<Evaluation> {
        let split = self.dataset.part(part).expect("the part exists");
        evaluate(&mut self.session, split, &self.normalise, self.recipe.model.classes).await
    }

    /// Advances by at most `limit` steps, but not beyond the ring, the end of an epoch or of the
    /// run; no events mean that the run is finished.
    ///
    /// The device is kept busy: measurements of the last steps may come with the events of the next
    /// call, except at the end of an epoch. [`Trainer::flush`] waits for them.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, a picture cannot be read, or a value of an earlier
    /// step was not finite; [`Error::Stopped`] if the backend was asked to stop and there is no
    /// step to report. The run's position is then after its last step: its measurements come with
    /// the next events, and an interrupted evaluation is repeated when the run continues.
    pub async fn advance(&mut self, limit: u64) -> Result<Vec<Event>> {
        let total = self.total_steps();
        // Reported one call later, so that the rows up to here are not lost. Ranks get their rows at
        // different times: they end where all of them do.
        if self.session.ranks() == 1 || self.session.stopping() || self.position.unevaluated {
            self.check_healthy()?;
        }
        if self.over() {
            return Ok(Vec::new());
        }
        if self.session.ranks() > 1 && !std::mem::replace(&mut self.agreed, true) {
            agreement::check_state(&mut self.session, self.position.step).await?;
        }
        let started = web_time::Instant::now();
        if self.signs.is_none() && self.position.batch == 0 {
            self.signs = Some(low_bit::signs(&mut self.session, &self.recipe.model).await?);
        }
        let (epoch, first_step, first) = (self.position.epoch, self.position.step, self.position.batch);
        let batches = self.batches(epoch);
        let epoch_steps = batches.len() as u64;
        let left = total.saturating_sub(first_step);
        let mut last = epoch_steps.min(first + limit.clamp(1, RING as u64)).min(first + left);
        for batch in first..last {
            match self.step(first_step + batch - first, &batches, batch as usize).await {
                Err(Error::Stopped) if batch > first => {
                    last = batch;
                    break;
                }
                done => done?,
            }
            self.pending.push_back(batches[batch as usize].len() as u64);
            // The first half's measurements are copied while the second half runs.
            if batch + 1 == (first + last) / 2 {
                self.session.request_metrics();
            }
        }
        self.session.request_metrics();
        self.order = Some((epoch, batches));
        (self.position.step, self.position.batch) = (first_step + last - first, last);
        let ends = last == epoch_steps || self.position.step >= total;
        self.position.unevaluated = ends;
        let mut events = self.take_metrics(usize::from(last - first > 1 && !ends)).await?;
        self.clock.seconds += started.elapsed().as_secs_f64();
        if self.diverged.is_none() && ends {
            let before = self.position;
            match self.end_epoch(last == epoch_steps).await {
                Ok(row) => events.extend([Event::Row(Row::Epoch(row)), Event::EpochEnd]),
                Err(error) => {
                    (self.position, self.waiting) = (before, events);
                    return Err(error);
                }
            }
        }
        Ok(events)
    }

    /// Waits for the measurements of all steps that were started.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn flush(&mut self) -> Result<Vec<Event>> {
        let started = web_time::Instant::now();
        let events = self.take_metrics(0).await;
        self.clock.seconds += started.elapsed().as_secs_f64();
        events
    }

    /// Runs the step of that number, on batch `at` of an epoch.
    async fn step(&mut self, step: u64, batches: &[Vec<u32>], at: usize) -> Result<()> {
        let of = batches[at].len();
        let positions = &batches[at][self.session.share(of)];
        let labels = self.dataset.train.labels_at(positions);
        let lr = self.recipe.train.lr(step, self.dataset.train.len());
        let batch = self.batch(step, batches, at)?;
        self.session.step_on(&batch, &labels, of, lr).await
    }

    /// This rank's images of batch `at` of an epoch: their positions, or their bytes if they are not
    /// kept on the device.
    fn batch<'a>(&mut self, step: u64, batches: &'a [Vec<u32>], at: usize) -> Result<Batch<'a>> {
        let mine = |batch: &'a Vec<u32>| &batch[self.session.share(batch.len())];
        Ok(match &mut self.source {
            None => Batch::Positions(mine(&batches[at]).into()),
            Some(source) => Batch::Bytes(source.batch(step, batches, at, mine)?.into()),
        })
    }

    /// Events of measurements that have arrived, up to the last `left` requests.
    async fn take_metrics(&mut self, left: usize) -> Result<Vec<Event>> {
        let arrived = self.session.take_metrics(left).await?;
        let mut events = std::mem::take(&mut self.waiting);
        for measured in arrived {
            let images = self.pending.pop_front().expect("a batch for each measure");
            let (step, lr) = (measured.step + 1, self.recipe.train.lr(measured.step, self.dataset.train.len()));
            // No measurement of an epoch arrives after its end.
            let epoch = self.position.epoch + 1;
            let fault = self.session.step_non_finite(images as usize, measured.fault);
            let row = StepRow { step, epoch, loss: measured.loss, lr, fault: fault.as_ref().map(NonFinite::to_string) };
            if row.diverged() && self.diverged.is_none() {
                self.diverged = Some((step, fault));
            }
            events.push(Event::Row(Row::Step(row)));
            self.position.seen += images;
            self.position.correct += (f64::from(measured.accuracy) * images as f64).round() as u64;
            self.clock.images += images;
            self.clock.steps += 1;
        }
        Ok(events)
    }

    /// Evaluates on the test images, for an epoch's row.
    async fn test(&mut self, row: &mut EpochRow) -> Result<()> {
        let evaluation = self.evaluate().await?;
        row.test_accuracy = Some(evaluation.accuracy());
        row.test_loss = Some(evaluation.loss as f32);
        row.test_top5 = evaluation.top5_accuracy();
        self.evaluated = Some(evaluation);
        Ok(())
    }

    /// Records the best epoch by the validation images, of equal ones the first, and stops the run
    /// when the recipe's patience is exhausted before the end. Test images never decide. An incomplete
    /// epoch ends the run, and is only the best until the run is made longer.
    fn watch(&mut self, row: &EpochRow, complete: bool, at_end: bool) {
        let Some(accuracy) = row.validation_accuracy else { return };
        let (position, patience) = (&mut self.position, self.recipe.train.patience);
        if position.best_epoch == 0 || accuracy > position.best_accuracy {
            position.best_whole = (!complete).then_some((position.best_epoch, position.best_accuracy));
            (position.best_epoch, position.best_accuracy) = (row.epoch, accuracy);
        }
        position.stopped = !at_end && patience > 0 && row.epoch - position.best_epoch >= patience;
    }

    fn batches(&mut self, epoch: u64) -> Vec<Vec<u32>> {
        match self.order.take() {
            Some((known, batches)) if known == epoch => batches,
            _ => {
                let (data, train) = (&self.recipe.data, &self.recipe.train);
                epoch_batches(self.dataset.train.len(), train.batch, train.seed, epoch, data.shuffle, train.drop_last)
            }
        }
    }

    /// Ends an epoch, or the run within one.
    async fn end_epoch(&mut self, complete: bool) -> Result<EpochRow> {
        let started = web_time::Instant::now();
        let mut row = EpochRow { epoch: self.position.epoch + 1, step: self.position.step, ..Default::default() };
        row.ranks = self.session.rank_rows(self.clock.steps, self.clock.seconds)?;
        self.session.average_votes().await?;
        let over = self.position.step >= self.total_steps();
        let due = over || row.epoch.is_multiple_of(self.recipe.train.evaluate_every);
        let held_out = self.is_validated();
        if due && held_out {
            let evaluation = self.evaluate_part(Part::Validation).await?;
            row.validation_accuracy = Some(evaluation.accuracy());
            row.validation_loss = Some(evaluation.loss as f32);
        } else if due {
            self.test(&mut row).await?;
        }
        self.position.unevaluated = false;
        self.watch(&row, complete, over);
        // With a validation set for selection, the test set is evaluated only at the end.
        if held_out && self.over() {
            self.test(&mut row).await?;
        }
        row.train_accuracy = Some(self.position.correct as f32 / self.position.seen.max(1) as f32);
        let sample: Vec<_> = (0..self.dataset.train.len().min(SAMPLE) as u32).collect();
        let (images, _) = self.dataset.train.normalised(&sample, &self.normalise)?;
        let before = self.signs.as_ref();
        let (layers, signs) = low_bit::layers(&mut self.session, &self.recipe.model, &images, before).await?;
        row.layers = layers;
        // A run resumed after the epoch's last step has measured nothing.
        let trained = self.clock.images > 0;
        row.images_per_s = if trained { self.clock.images as f64 / self.clock.seconds.max(1e-9) } else { f64::NAN };
        row.seconds = self.clock.seconds + started.elapsed().as_secs_f64();
        self.clock = Clock::default();
        self.session.begin_rank_rows();
        if complete {
            (self.position.epoch, self.position.batch) = (row.epoch, 0);
            (self.position.seen, self.position.correct) = (0, 0);
            self.signs = Some(signs);
        }
        Ok(row)
    }
}
