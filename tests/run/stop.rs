//! A request to stop at any moment of a run: no work is started after it, and the resumed run has
//! the rows and bytes of one that was never interrupted.

use super::{checkpoint, create, dataset, finish, recipe, resume, rows};
use halfwave::backend::{Backend, Clock, Device, Grain, LocalFuture, PlanId, TimedRun, cpu::CpuBackend};
use halfwave::caps::Caps;
use halfwave::plan::Plan;
use halfwave::recipe::{Length, Recipe};
use halfwave::stop::Stop;
use halfwave::train::Trainer;
use halfwave::train::claim::Claim;
use halfwave::train::run::{BEST, Run};
use halfwave::{Error, Result};
use pollster::block_on;
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// The CPU backend with a stop requested just before plans are loaded or run for the `at`-th time.
struct Asking {
    inner: CpuBackend,
    stop: Stop,
    at: usize,
    calls: Rc<Cell<usize>>,
    /// Whether a step that must run as a whole has started.
    ignores_stops: bool,
}

impl Asking {
    fn new(at: usize, calls: &Rc<Cell<usize>>) -> Self {
        let (mut inner, stop) = (CpuBackend::new(), Stop::default());
        inner.stop_by(stop.clone());
        Self { inner, stop, at, calls: Rc::clone(calls), ignores_stops: false }
    }

    /// Counts a call before it is forwarded.
    fn called(&self) {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.at {
            self.stop.ask();
        }
    }
}

impl Backend for Asking {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn caps(&self) -> &Caps {
        self.inner.caps()
    }

    fn obey_stops(&mut self, heard: bool) {
        self.ignores_stops = !heard;
        self.inner.obey_stops(heard);
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>> {
        self.called();
        let loading = self.inner.load(plan);
        let asked = self.stop.asked();
        Box::pin(async move { loading.await.inspect(|_| assert!(!asked, "a plan is loaded after the request")) })
    }

    fn plan(&self, id: PlanId) -> &Plan {
        self.inner.plan(id)
    }

    fn write(&mut self, id: PlanId, port: &str, words: &[u32]) {
        self.inner.write(id, port, words);
    }

    fn run_part(&mut self, id: PlanId, steps: std::ops::Range<usize>) -> Result<()> {
        self.called();
        let heard = !self.ignores_stops && self.stop.asked();
        self.inner.run_part(id, steps).inspect(|()| assert!(!heard, "a plan is run after the request"))
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        self.inner.read(id, port)
    }

    fn run_timed<'a>(
        &'a mut self,
        id: PlanId,
        repeats: &'a [u32],
        clock: Clock,
        grain: Grain,
    ) -> LocalFuture<'a, Result<TimedRun>> {
        self.inner.run_timed(id, repeats, clock, grain)
    }

    fn finish(&mut self) -> LocalFuture<'_, Result<()>> {
        self.inner.finish()
    }
}

/// Stops a run of a recipe at each moment in turn, until the moment is after its end; returns the
/// number of moments before its end.
fn stop_everywhere(recipe: &Recipe) -> usize {
    let base = tempfile::tempdir().unwrap();
    let whole = base.path().join("whole");
    let data = || {
        let data = dataset(super::TRAIN_LEN);
        if recipe.data.keeps_all() { data } else { data.divided(&recipe.data).unwrap() }
    };
    let finished = |dir: &Path, backend: Box<dyn Backend>| -> Result<bool> {
        let trainer = block_on(Trainer::new(recipe.clone(), data(), backend, false))?;
        let mut run = block_on(Run::create(Claim::new(dir)?, trainer, &Device::cpu()))?;
        loop {
            match block_on(run.advance(2)) {
                Err(Error::Stopped) => break,
                events if events.as_ref().is_ok_and(Vec::is_empty) => return Ok(true),
                events => drop(events?),
            }
        }
        block_on(run.pause()).map(|()| false)
    };
    assert!(finished(&whole, Box::new(CpuBackend::new())).unwrap());
    assert_ne!(whole.join(BEST).exists(), recipe.data.keeps_all());
    for at in 1.. {
        let (dir, calls) = (base.path().join(format!("{at}")), Rc::new(Cell::new(0)));
        match finished(&dir, Box::new(Asking::new(at, &calls))) {
            Ok(true) => return at - 1,
            Ok(false) => {
                let claim = Claim::existing(&dir).unwrap();
                let saved = halfwave::train::run::SavedRun::read_folder(&dir).unwrap();
                let mut trainer =
                    block_on(Trainer::new(recipe.clone(), data(), Box::new(CpuBackend::new()), false)).unwrap();
                saved.restore(&mut trainer).unwrap();
                finish(block_on(Run::resume(claim, trainer, &Device::cpu())).unwrap());
            }
            // Before there was a run.
            Err(Error::Stopped) => {
                assert!(!dir.exists(), "{at}");
                continue;
            }
            Err(error) => panic!("stopped at {at}: {error}"),
        }
        // At most one more call, when no results of earlier steps were left to report; after the
        // remaining work of a step of micro-batches.
        let rest = if recipe.train.accumulate > 1 { recipe.train.accumulate } else { 0 };
        assert!(calls.get() <= at + 1 + rest, "stopped at {at}, {} calls", calls.get());
        assert_eq!(rows(&dir), rows(&whole), "stopped at {at}");
        assert!(checkpoint(&dir) == checkpoint(&whole), "stopped at {at}: the checkpoints differ");
        let best = |dir: &Path| fs::read(dir.join(BEST)).ok();
        assert!(best(&dir) == best(&whole), "stopped at {at}");
    }
    unreachable!("the run ends")
}

#[test]
fn a_run_stops_at_any_moment_and_goes_on_to_the_same_bits() {
    // A whole epoch, and a run that ends within the next one: 4 steps, twice 3 batches of test
    // images and the statistics of low-bit layers, and each of their plans once, of which steps
    // have two.
    let mut steps = recipe();
    steps.train.length = Length::Steps(4);
    assert_eq!(stop_everywhere(&steps), 4 + 2 * (3 + 1) + 4);
}

/// A step runs as a whole: a stop between its micro-batches takes effect after its update.
#[test]
fn a_run_of_micro_batches_stops_between_steps() {
    let mut steps = recipe();
    (steps.train.length, steps.train.accumulate) = (Length::Steps(4), 4);
    // 40 images in batches of 16: steps of 4, 4, 2 and 4 micro-batches, and an update each.
    assert!(stop_everywhere(&steps) > 4 + 4 + 2 + 4 + 4);
    super::whole_as_resumed(tempfile::tempdir().unwrap().path(), &steps);
}

#[test]
fn a_stop_between_two_evaluations_chooses_the_same_best_epoch() {
    // 30 images for training, 10 for validation: test images are only used at the end, after the
    // recipe's patience is exhausted or not.
    let mut recipe = recipe();
    recipe.data.validation = halfwave::data::Validation::Share(0.25);
    (recipe.train.length, recipe.train.patience) = (Length::Epochs(2), 1);
    assert!(stop_everywhere(&recipe) > 10);
}

#[test]
fn a_run_that_stopped_before_its_evaluation_may_be_made_longer() {
    let base = tempfile::tempdir().unwrap();
    let [whole, longer] = ["whole", "longer"].map(|name| base.path().join(name));
    finish(create(&whole, recipe()));
    let mut short = recipe();
    short.train.length = Length::Steps(4);
    // The fourth step is done after two plans, three steps, the evaluation with its plan and the
    // statistics with theirs.
    let backend = Asking::new(2 + 3 + 4 + 2 + 1 + 1, &Rc::default());
    let trainer = super::trainer_on(short, Box::new(backend));
    let mut run = block_on(Run::create(Claim::new(&longer).unwrap(), trainer, &Device::cpu())).unwrap();
    while block_on(run.advance(2)).is_ok() {}
    block_on(run.pause()).unwrap();
    let position = run.trainer().position();
    assert!(position.step == 4 && position.unevaluated && !run.trainer().over(), "{position:?}");
    drop(run);
    finish(resume(&longer, |recipe| recipe.train.length = Length::Epochs(super::EPOCHS)));
    assert_eq!(rows(&longer), rows(&whole));
    assert_eq!(
        halfwave::train::run::SavedRun::read(&longer).unwrap().checkpoint.tensors,
        halfwave::train::run::SavedRun::read(&whole).unwrap().checkpoint.tensors
    );
}
