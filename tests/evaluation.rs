//! Evaluation on a device: its counts equal those computed by the host from the logits, and it is
//! read back once.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::{Backend, Clock, Grain, LocalFuture, PlanId, TimedRun, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::caps::Caps;
use halfwave::data::{Dataset, Normalise, Split};
use halfwave::kernel::FAULT;
use halfwave::pass::{EVALUATED_BATCHES, Loss};
use halfwave::plan::Plan;
use halfwave::random::Random;
use halfwave::recipe::Recipe;
use halfwave::train::Session;
use halfwave::train::evaluate::{Evaluation, evaluate, winner};
use pollster::block_on;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The evaluation computed from logits on the host, with the losses of the reference implementation.
fn expected(session: &mut Session, split: &Split, normalise: &Normalise, classes: usize) -> Evaluation {
    let all: Vec<u32> = (0..split.len() as u32).collect();
    let (images, labels) = split.normalised(&all, normalise).unwrap();
    let logits = block_on(session.logits(&images)).unwrap();
    let confusion = vec![vec![0; classes]; classes];
    let mut evaluation = Evaluation { loss: 0.0, correct: 0, top5: 0, images: labels.len(), confusion };
    for (logits, &label) in logits.chunks_exact(classes).zip(&labels) {
        let label = label as usize;
        let mut best: Vec<_> = (0..classes).collect();
        // A stable sort: among equal logits the first stay first.
        best.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        assert_eq!(winner(logits), best[0]);
        evaluation.correct += usize::from(best[0] == label);
        evaluation.top5 += usize::from(best.iter().take(5).any(|&class| class == label));
        evaluation.confusion[label][best[0]] += 1;
        evaluation.loss += f64::from(session.loss().of(logits, label)) / labels.len() as f64;
    }
    evaluation
}

fn check(what: &str, got: &Evaluation, expected: &Evaluation) {
    assert!((got.loss / expected.loss - 1.0).abs() < 1e-6, "{what}: {} for {}", got.loss, expected.loss);
    assert_eq!(*got, Evaluation { loss: got.loss, ..expected.clone() }, "{what}");
}

/// Noise images, larger than a network's input, with arbitrary labels.
fn noise(images: usize, [shape, input]: [[usize; 3]; 2], classes: u32) -> Split {
    let mut random = Random::new(5, "images");
    let pixels = (0..images * shape.iter().product::<usize>()).map(|_| random.word() as u8).collect();
    let labels = (0..images).map(|_| random.below(classes) as u16).collect();
    Split { input, ..Split::new(shape, pixels, labels) }
}

fn counts_as_the_host_does(backend: impl Fn() -> Box<dyn Backend>) {
    let mut recipe = Recipe::digits();
    let data = Dataset::load(&recipe.data).unwrap();
    let normalise = Normalise::new(&recipe.data);
    // The last batch is shorter.
    assert!(!data.test.len().is_multiple_of(recipe.train.batch));
    let losses = [
        Loss::default(),
        Loss::SoftmaxCrossEntropy { label_smoothing: 0.3 },
        Loss::SigmoidCrossEntropy,
        Loss::SquaredError,
        Loss::SquaredHinge,
    ];
    for loss in losses {
        recipe.train.loss = loss;
        let mut session = block_on(Session::new(&recipe, backend(), false)).unwrap();
        let got = block_on(evaluate(&mut session, &data.test, &normalise, 10)).unwrap();
        check(loss.name(), &got, &expected(&mut session, &data.test, &normalise, 10));
        assert!(got.correct > 0 && got.top5 > got.correct && got.top5 < got.images, "{got:?}");
        // Fewer images than a batch, and none.
        let few = data.test.select(&[7, 3, 5]);
        let got = block_on(evaluate(&mut session, &few, &normalise, 10)).unwrap();
        check(loss.name(), &got, &expected(&mut session, &few, &normalise, 10));
        let none = block_on(evaluate(&mut session, &data.test.select(&[]), &normalise, 10)).unwrap();
        assert_eq!((none.images, none.loss, none.accuracy()), (0, 0.0, 0.0));
    }
}

/// A linear network on 3 × 5 × 4 numbers, with more classes than images: on the centres of larger
/// images, with and without a per-pixel mean.
fn many_classes(backend: impl Fn() -> Box<dyn Backend>) {
    const CLASSES: usize = 301;
    let layer = "[[model.layers]]\nname = \"fc\"\nkind = \"linear\"\nunits = 301\n";
    let head = "[model]\ninput = [3, 5, 4]\nclasses = 301\n";
    let tail = "[data]\nset = \"folder\"\ndir = \"nowhere\"\n[train]\nbatch = 32\nepochs = 1\n[train.optimizer]\nkind = \"sgd\"\nlr = 0.1\n";
    let recipe = Recipe::parse(&format!("{head}{layer}{tail}"), "many.toml");
    let mut recipe = recipe.unwrap_or_else(|error| panic!("{error}"));
    recipe.train.batch = 32;
    let shapes = [[3, 9, 7], [3, 5, 4]];
    let split = noise(77, shapes, CLASSES as u32);
    let mut session = block_on(Session::new(&recipe, backend(), false)).unwrap();
    let mut normalise = Normalise::new(&recipe.data);
    let mean = normalise.mean_of(split.in_memory().unwrap(), split.image_len());
    let mut losses = Vec::new();
    for mean in [None, Some(mean)] {
        normalise.mean = mean;
        let got = block_on(evaluate(&mut session, &split, &normalise, CLASSES)).unwrap();
        check("many classes", &got, &expected(&mut session, &split, &normalise, CLASSES));
        losses.push(got.loss);
    }
    assert!((losses[0] - losses[1]).abs() > 1e-3, "the mean changes something: {losses:?}");
    // Where all logits are equal, the first class wins, and the first five are the best.
    let mut tensors = block_on(session.tensors()).unwrap();
    tensors.values_mut().for_each(|tensor| tensor.values.fill(0.0));
    session.set_tensors(&tensors, "", 0).unwrap();
    let split = Split { labels: (0..77).map(|at| at % 7).collect(), ..split };
    let got = block_on(evaluate(&mut session, &split, &normalise, CLASSES)).unwrap();
    assert_eq!((got.correct, got.top5, got.confusion[6][0]), (11, 55, 11));
    assert!((got.loss - 301f64.ln()).abs() < 1e-5, "{}", got.loss);
}

#[test]
fn an_evaluation_counts_what_logits_say() {
    counts_as_the_host_does(|| Box::new(CpuBackend::new()));
    many_classes(|| Box::new(CpuBackend::new()));
    common::on_each_driver("an_evaluation_counts_what_logits_say", || {
        if common::adapter().is_none() {
            return;
        }
        let backend = || Box::new(block_on(GpuBackend::open(common::adapter().unwrap(), None)).unwrap()) as _;
        counts_as_the_host_does(backend);
        many_classes(backend);
    });
}

/// Number of writes, runs and reads of each port, and their words.
type Log = Rc<RefCell<BTreeMap<String, (usize, usize)>>>;

/// The CPU backend with a log of the calls.
struct Logged(CpuBackend, Log);

impl Logged {
    fn note(&self, what: String, words: usize) {
        let mut log = self.1.borrow_mut();
        let (times, sum) = log.entry(what).or_default();
        (*times, *sum) = (*times + 1, *sum + words);
    }
}

impl Backend for Logged {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn caps(&self) -> &Caps {
        self.0.caps()
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, halfwave::Result<PlanId>> {
        self.note("load".into(), 0);
        self.0.load(plan)
    }

    fn plan(&self, id: PlanId) -> &Plan {
        self.0.plan(id)
    }

    fn write(&mut self, id: PlanId, port: &str, words: &[u32]) {
        self.note(format!("write {port}"), words.len());
        self.0.write(id, port, words);
    }

    fn run_part(&mut self, id: PlanId, steps: std::ops::Range<usize>) -> halfwave::Result<()> {
        self.note("run".into(), 0);
        self.0.run_part(id, steps)
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, halfwave::Result<Vec<u32>>> {
        let words = self.0.plan(id).port(port).unwrap().place.ty.words();
        self.note(format!("read {port}"), words);
        self.0.read(id, port)
    }

    fn run_timed<'a>(
        &'a mut self,
        id: PlanId,
        repeats: &'a [u32],
        clock: Clock,
        grain: Grain,
    ) -> LocalFuture<'a, halfwave::Result<TimedRun>> {
        self.0.run_timed(id, repeats, clock, grain)
    }

    fn finish(&mut self) -> LocalFuture<'_, halfwave::Result<()>> {
        self.0.finish()
    }
}

#[test]
fn an_evaluation_writes_bytes_and_reads_back_once() {
    let mut recipe = Recipe::digits();
    let data = Dataset::load(&recipe.data).unwrap();
    let normalise = Normalise::new(&recipe.data);
    // 6 batches, the last one shorter; then more batches of one image than the device keeps rows
    // for.
    for (batch, batches, pieces) in [(64, 6, 1), (1, 360, 2)] {
        assert_eq!([data.test.len().div_ceil(batch), usize::div_ceil(batches, EVALUATED_BATCHES)], [batches, pieces]);
        recipe.train.batch = batch;
        let log = Log::default();
        let backend = Logged(CpuBackend::new(), Rc::clone(&log));
        let mut session = block_on(Session::new(&recipe, Box::new(backend), false)).unwrap();
        // Only the first evaluation loads a plan.
        for loads in [1, 0] {
            log.borrow_mut().clear();
            let got = block_on(evaluate(&mut session, &data.test, &normalise, 10)).unwrap();
            let of = |what: &str| log.borrow().get(what).copied().unwrap_or_default();
            assert_eq!((of("load").0, of("run").0), (loads, batches));
            // 64 bytes per image; 4 words and the fault word per batch.
            assert_eq!(of("write evaluation/store/0"), (batches, batches * batch * 16));
            assert_eq!(of("read judged"), (pieces, pieces * EVALUATED_BATCHES * batch * 4));
            assert_eq!(of(&format!("read {FAULT}")), (batches, batches * 4));
            let reads: usize = log.borrow().iter().filter(|(what, _)| what.starts_with("read")).map(|(_, n)| n.0).sum();
            assert_eq!(reads, pieces + batches, "nothing else is read");
            check("in pieces", &got, &expected(&mut session, &data.test, &normalise, 10));
        }
    }
}
