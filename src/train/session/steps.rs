//! A session's plans, and how it runs a training step: with one plan, or with one per micro-batch
//! and one for the update.
//!
//! **Invariant:** a step runs as a whole. Once its first micro-batch runs, requests to stop are
//! ignored until its update, because running statistics of batch-norms have been updated by then.

use super::{Batch, Purpose, Session};
use crate::backend::{LocalFuture, PlanId};
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::first_use;
use crate::ops::Graph;
use crate::pass::{self, Accumulating, Part, Precision, RING};
use crate::plan::{Plan, arrange, lower};
use crate::recipe::{Memory, Recipe};
use crate::tensor::Tensor;
use crate::train::inspect;
use crate::train::metrics::RankRow;
use crate::train::ranks::Ranks;
use crate::train::ranks::agreement::Fact;
use std::ops::Range;

/// The plan of a recipe's training step on `batch` images that each batch carries, without a
/// device; if gradients are accumulated, the plan of its first micro-batch.
///
/// # Errors
///
/// Returns an error if the model does not fit or exceeds the limits.
pub fn training_plan(recipe: &Recipe, batch: usize, caps: &Caps) -> Result<Plan> {
    Ok(step_plans(recipe, batch, caps)?.swap_remove(0))
}

/// The plans of a recipe's training step on `batch` images that each batch carries, without a
/// device: of the whole step, or of its first micro-batch and of the update.
///
/// # Errors
///
/// Returns an error if the model does not fit or exceeds the limits.
pub fn step_plans(recipe: &Recipe, batch: usize, caps: &Caps) -> Result<Vec<Plan>> {
    let (image_input, train) = (super::batch_input(recipe), &recipe.train);
    let (loss, optimizer) = (&train.loss, &train.optimizer);
    let graphs = if train.accumulate == 1 {
        vec![pass::training(&recipe.model, batch, &image_input, loss, optimizer, false)?]
    } else {
        let part = Part { images: batch.div_ceil(train.accumulate), of: batch, together: None };
        let Accumulating { micro_batch, update } =
            pass::accumulating(&recipe.model, part, &image_input, loss, optimizer, false)?;
        vec![micro_batch, update]
    };
    let images = batch.div_ceil(train.accumulate);
    let scheduled = |graph| scheduled(graph, images, (train.memory, train.precision), caps);
    graphs.into_iter().map(|graph| lower(&scheduled(graph)?, caps)).collect()
}

/// The nodes of a training step on `images` images in execution order, with the formats in which
/// they are stored.
fn scheduled(graph: Graph, images: usize, (memory, precision): (Memory, Precision), caps: &Caps) -> Result<Graph> {
    match memory {
        Memory::Normal => arrange(&precision.store(graph, images, Ok)?, caps),
        Memory::Low => {
            // A deferred dispatch would keep its inputs alive, so none is deferred.
            let low = precision.store(graph.clone(), images, |graph| pass::low_memory(&graph))?;
            // The rewrites only consider values. If scratch memory dominates, the original step may
            // need less.
            let mut plain = arrange(&precision.store(graph, images, Ok)?, caps)?;
            plain.compact = true;
            let peak = |graph: &Graph| lower(graph, caps).map(|plan| plan.memory.peak);
            Ok(if peak(&plain)? < peak(&low)? { plain } else { low })
        }
    }
}

/// A part of a step, which is computed at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Round {
    /// The images of this rank, counted from its first one; may be empty if ranks synchronise batch-norms.
    pub(super) images: Range<usize>,
    /// Number of images of all ranks over which batch-norms compute their statistics, if they synchronise.
    pub(super) together: Option<usize>,
}

/// Divides `len` images into parts of at most `most`.
fn parts(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(most).map(move |first| first..(first + most).min(len))
}

impl Session {
    /// The part of the images of a step on `of` images that this rank computes.
    pub(in crate::train) fn share(&self, of: usize) -> Range<usize> {
        self.ranks.as_ref().map_or(0..of, |ranks| ranks.share(of))
    }

    /// Number of ranks that train together.
    pub(in crate::train) fn ranks(&self) -> usize {
        self.ranks.as_ref().map_or(1, Ranks::ranks)
    }

    /// Whether all ranks end after the last step.
    pub(in crate::train) fn stopping(&self) -> bool {
        self.ranks.as_ref().is_some_and(Ranks::stopping)
    }

    /// The devices of all ranks, in their order; none if there are no others.
    pub fn rank_devices(&self) -> &[String] {
        self.ranks.as_ref().map_or(&[], Ranks::devices)
    }

    /// The names of the ranks' computers, in their order; none if there are no others.
    pub fn rank_hosts(&self) -> &[String] {
        self.ranks.as_ref().map_or(&[], Ranks::hosts)
    }

    /// Checks that all ranks have the same facts.
    pub(in crate::train) fn agree_on(&mut self, facts: &[Fact]) -> Result<()> {
        self.ranks.as_mut().map_or(Ok(()), |ranks| ranks.agree_on(facts))
    }

    /// Bytes that this rank has sent to others.
    pub fn sent_bytes(&self) -> u64 {
        self.ranks.as_ref().map_or(0, Ranks::sent_bytes)
    }

    /// What each rank has exchanged in the last `steps` steps, which took this rank `seconds`; none if there are no
    /// others.
    pub(in crate::train) fn rank_rows(&mut self, steps: u64, seconds: f64) -> Result<Vec<RankRow>> {
        self.ranks.as_mut().map_or(Ok(Vec::new()), |ranks| ranks.rows(steps, seconds))
    }

    /// Starts counting anew what ranks exchange.
    pub(in crate::train) fn begin_rank_rows(&mut self) {
        if let Some(ranks) = &mut self.ranks {
            ranks.begin();
        }
    }

    /// Whether one plan is a step: there are no micro-batches, and no other ranks.
    pub(super) fn is_whole(&self) -> bool {
        self.micro_batches == 1 && self.ranks.is_none()
    }

    /// Images of a full batch that are computed at once.
    pub(super) fn at_once(&self) -> usize {
        self.share(self.batch).len().div_ceil(self.micro_batches)
    }

    /// The plan of the first part of a full batch's step, which every session has.
    pub(super) fn training(&self) -> PlanId {
        let first = self.rounds(self.batch).swap_remove(0);
        self.plans[&self.step_plan(self.batch, &first)]
    }

    /// The plan that computes this rank's images of a round in a step on `of` images.
    fn step_plan(&self, of: usize, round: &Round) -> (Purpose, usize) {
        let images = round.images.len();
        if self.is_whole() { (Purpose::Train, of) } else { (Purpose::Micro { of, together: round.together }, images) }
    }

    /// The parts of a step on `of` images. If ranks synchronise batch-norms, they compute as many parts as
    /// the one with most of them.
    pub(super) fn rounds(&self, of: usize) -> Vec<Round> {
        let Some(ranks) = self.ranks.as_ref().filter(|_| self.synchronised) else {
            let most = if self.is_whole() { of.max(1) } else { self.at_once() };
            return parts(self.share(of).len(), most).map(|images| Round { images, together: None }).collect();
        };
        let all: Vec<_> = (0..ranks.ranks()).map(|rank| self.parts_of(of, rank)).collect();
        let count = all.iter().map(Vec::len).max().unwrap_or(0);
        let images = |rank: usize, round: usize| all[rank].get(round).cloned().unwrap_or(0..0);
        let together = |round: usize| (0..all.len()).map(|rank| images(rank, round).len()).sum();
        (0..count).map(|at| Round { images: images(ranks.rank(), at), together: Some(together(at)) }).collect()
    }

    /// The parts of a rank's images in a step on `of` images, counted from its first one.
    pub(super) fn parts_of(&self, of: usize, rank: usize) -> Vec<Range<usize>> {
        let share = |len: usize| self.ranks.as_ref().map_or(len, |ranks| ranks.share_of(len, rank).len());
        parts(share(of), share(self.batch).div_ceil(self.micro_batches)).collect()
    }

    /// The plans that a step on `of` images has run, in order, each once.
    pub(super) fn known_ids(&self, of: usize) -> Vec<PlanId> {
        let mut all: Vec<_> = self.rounds(of).iter().map(|round| self.step_plan(of, round)).collect();
        all.extend(self.checking().chain([(Purpose::Update, 0)]));
        all.dedup();
        all.iter().filter_map(|plan| self.plans.get(plan).copied()).collect()
    }

    /// The plans of the parts of a step on `of` images, and that of its update if it is separate. There is none for a
    /// round in which this rank has no images.
    pub(super) async fn step_ids(&mut self, of: usize) -> Result<(Vec<Option<PlanId>>, Option<PlanId>)> {
        let mut ids = Vec::new();
        for round in self.rounds(of) {
            let (purpose, images) = self.step_plan(of, &round);
            ids.push(if images == 0 { None } else { Some(self.plan_for(purpose, images).await?) });
        }
        let update = if self.is_whole() { None } else { Some(self.plan_for(Purpose::Update, 0).await?) };
        Ok((ids, update))
    }

    /// The plan of a full batch's step that has this port.
    fn owner(&self, port: &str) -> PlanId {
        let after = [(Purpose::Update, 0)].into_iter().chain(self.checking());
        let mut after = after.filter_map(|plan| self.plans.get(&plan).copied());
        after.find(|id| self.backend.plan(*id).port(port).is_some()).unwrap_or(self.training())
    }

    /// Length of state shared by all steps, in words.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))] // browsers are no ranks
    pub(super) fn words_of(&self, name: &str) -> usize {
        self.backend.plan(self.owner(name)).port(name).map_or(0, |port| port.place.stored().words())
    }

    /// Writes state shared by all steps.
    pub(super) fn put(&mut self, name: &str, words: &[u32]) {
        self.backend.write(self.owner(name), name, words);
    }

    /// Reads state shared by all steps.
    pub(super) fn get(&mut self, name: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        self.backend.read(self.owner(name), name)
    }

    pub(super) async fn plan_for(&mut self, purpose: Purpose, batch: usize) -> Result<PlanId> {
        if let Some(&id) = self.plans.get(&(purpose, batch)) {
            return Ok(id);
        }
        let (model, image_input, loss, optimizer) = (&self.model, &self.image_input, &self.loss, &self.optimizer);
        let accumulating = |part| pass::accumulating(model, part, image_input, loss, optimizer, self.dump);
        let step = |graph: Graph| scheduled(graph, batch, (self.memory, self.precision), self.backend.caps());
        let mut graph = match purpose {
            Purpose::Train => step(pass::training(model, batch, image_input, loss, optimizer, self.dump)?)?,
            Purpose::Micro { of, together } => step(accumulating(Part { images: batch, of, together })?.micro_batch)?,
            // The update is the same for all micro-batch sizes.
            Purpose::Update => {
                step(accumulating(Part { images: self.at_once(), of: self.batch, together: None })?.update)?
            }
            Purpose::Compress | Purpose::Merge | Purpose::Unpack => self.exchange_graph(purpose, batch)?,
            Purpose::Infer => pass::inference(model, batch)?,
            Purpose::Evaluate { mean } => pass::evaluation(model, batch, mean, loss)?,
            Purpose::Expose if self.is_whole() => pass::exposed(model, batch, image_input)?,
            Purpose::Expose => pass::share(&pass::exposed(model, batch, image_input)?, batch)?,
            Purpose::CodeStatistics => {
                let mut graph = pass::inference(model, batch)?;
                inspect::expose_quantisers(&mut graph);
                graph
            }
            Purpose::Inspect => {
                let mut graph = pass::inference(model, batch)?;
                inspect::expose(&mut graph);
                graph
            }
        };
        graph.compact = self.memory == Memory::Low;
        graph.nested = matches!(purpose, Purpose::Compress | Purpose::Merge | Purpose::Unpack);
        graph.behind += self.behind(purpose, batch)?;
        let plan = first_use::lower(&graph, &mut *self.backend).await?;
        let (nodes, launches, bytes) = (plan.nodes.len(), plan.steps.len(), plan.memory.peak);
        let started = web_time::Instant::now();
        let id = self.backend.load(plan).await?;
        let seconds = started.elapsed().as_secs_f64();
        log::info!(
            "plan {purpose:?} of {batch} images: {nodes} nodes, {launches} launches, {bytes} bytes; loaded in {seconds:.2} s"
        );
        self.plans.insert((purpose, batch), id);
        Ok(id)
    }

    /// Runs a step on `of` images, of which the batch holds those of this rank.
    pub(in crate::train) async fn step_on(
        &mut self,
        batch: &Batch<'_>,
        labels: &[u32],
        of: usize,
        lr: f32,
    ) -> Result<()> {
        assert!(
            labels.iter().all(|&label| (label as usize) < self.model.classes),
            "labels below the number of classes"
        );
        assert_eq!(labels.len(), self.share(of).len(), "a label for each image of this rank");
        if self.stopping() {
            return Err(Error::Stopped);
        }
        if self.step - self.asked == RING as u64 {
            self.request_metrics();
        }
        let (ids, update) = self.step_ids(of).await?;
        self.logits.clear();
        let done = self.run_step(&ids, update, batch, labels, of, lr).await;
        self.backend.obey_stops(true);
        done?;
        self.step += 1;
        Ok(())
    }

    async fn run_step(
        &mut self,
        ids: &[Option<PlanId>],
        update: Option<PlanId>,
        batch: &Batch<'_>,
        labels: &[u32],
        of: usize,
        lr: f32,
    ) -> Result<()> {
        let (n, before) = (labels.len(), self.share(of).start);
        for (micro, (Round { images, .. }, &id)) in self.rounds(of).into_iter().zip(ids).enumerate() {
            let last = micro + 1 == ids.len();
            let Some(id) = id else {
                self.join_synchronisation(last, n > 0).await?;
                continue;
            };
            let part = batch.part(n, images.clone());
            self.ports(id, images.len(), &part).iter().for_each(|(name, words)| self.backend.write(id, name, words));
            let labels = &labels[images.clone()];
            self.backend.write(id, "labels", &Tensor::from_u32(&[labels.len()], labels).words);
            self.write_random(id, before + images.start);
            match update {
                None => self.write_rates(id, lr),
                Some(_) => {
                    self.backend.write(id, "micro", &Tensor::from_f32(&[4], &[micro as f32, 0.0, 0.0, 0.0]).words)
                }
            }
            self.run_synchronised(id, last).await?;
            if update.is_some() {
                self.backend.obey_stops(false);
                if self.dump {
                    let values = self.logits_of(id).await?;
                    self.logits.extend(values);
                }
            }
        }
        if let Some(id) = update {
            if self.ranks.is_some() {
                self.exchange(of).await?;
            }
            self.write_rates(id, lr);
            self.write_random(id, 0);
            self.backend.run(id)?;
        }
        Ok(())
    }

    fn write_rates(&mut self, id: PlanId, lr: f32) {
        self.backend.write(id, "step", &Tensor::from_u32(&[1], &[(self.step % RING as u64) as u32]).words);
        let rates = self.optimizer.rates(lr, self.step + 1);
        self.backend.write(id, "rates", &Tensor::from_f32(&[4], &rates).words);
    }

    pub(super) fn write_random(&mut self, id: PlanId, before: usize) {
        if let Some(random) = self.random(id, before) {
            self.backend.write(id, "random", &random.words);
        }
    }

    /// The "logits" that a plan has computed.
    pub(super) async fn logits_of(&mut self, id: PlanId) -> Result<Vec<f32>> {
        let ty = self.backend.plan(id).port("logits").expect("a plan that keeps logits").place.ty.clone();
        let words = self.backend.read(id, "logits").await?;
        Ok(Tensor { ty, words }.to_f32())
    }

    /// The random numbers' key for the next step, if the plan uses any: the seed and the step of
    /// the whole run, so that a resumed run draws the same numbers; for a micro-batch also the
    /// number of the step's images before it.
    pub(super) fn random(&self, plan: PlanId, before: usize) -> Option<Tensor> {
        let wanted = self.backend.plan(plan).port("random")?.place.ty.len();
        let halves = |number: u64| [number as u32, (number >> 32) as u32];
        let [[a, b], [c, d]] = [halves(self.seed), halves(self.step)];
        Some(Tensor::from_u32(&[wanted], &[a, b, c, d, before as u32][..wanted]))
    }
}
