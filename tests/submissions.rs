//! Small runs share submissions: each with its own inputs, bit-identical to runs that are waited
//! for, and with far fewer submissions than steps.
#![allow(clippy::unwrap_used)]

mod common;

use halfwave::backend::{Backend, PlanId, Timing, gpu::GpuBackend};
use halfwave::kernel::Cost;
use halfwave::ops::sample::Noise;
use halfwave::pass::RING;
use halfwave::plan::{Plan, Port};
use halfwave::recipe::{self, Recipe};
use halfwave::tensor::Tensor;
use halfwave::train::session::{Session, batch_input, training_plan};
use pollster::block_on;
use std::collections::BTreeSet;

const STEPS: u32 = 80;

fn tiny() -> Recipe {
    let mut recipe = Recipe::parse(recipe::builtin("mlp-sigmoid").unwrap(), "mlp-sigmoid").unwrap();
    recipe.train.batch = 4;
    recipe
}

fn open() -> Option<GpuBackend> {
    Some(block_on(GpuBackend::open(common::adapter()?, None)).unwrap())
}

/// Returns the most submissions of `runs` runs of a plan between two waits: one run in the first
/// submission, twice as many in each further one, limited by three quarters of the budget.
fn most_submissions(plan: &Plan, runs: u64, timing: Timing) -> u64 {
    let guess = |cost: &Cost| 20_000 + cost.bytes + cost.float_ops + cost.bit_ops / 10;
    let guessed: u64 = plan.steps.iter().map(|step| guess(&step.cost)).sum();
    let fits = timing.budget_ns * 3 / 4 / guessed;
    assert!(fits > 8, "the runs are too large to share: {guessed} ns each");
    u64::from(runs.ilog2()) + runs.div_ceil(fits)
}

/// Performs steps that differ in weights, image indices, labels, rates and ring rows; returns their
/// plan, the ring and weights, and the number of submissions.
fn steps(backend: &mut GpuBackend, wait: bool) -> (PlanId, [Vec<u32>; 2], u64) {
    let recipe = tiny();
    let plan = training_plan(&recipe, recipe.train.batch, &backend.caps().clone()).unwrap();
    let id = block_on(backend.load(plan)).unwrap();
    // Including the optimiser's state from an earlier call.
    for Port { name, place } in backend.plan(id).state.clone() {
        backend.write(id, &name, &vec![0; place.ty.words()]);
    }
    for parameter in recipe.model.parameters().unwrap() {
        backend.write(id, &parameter.name, &parameter.start(0).words);
    }
    let mut noise = Noise::new(1);
    let mut write = |backend: &mut GpuBackend, name: &str, below: u32| {
        let shape = backend.plan(id).port(name).unwrap().place.ty.shape.clone();
        let words = if below == 0 { noise.floats(&shape).words } else { noise.words(&shape, below).words };
        backend.write(id, name, &words);
    };
    write(backend, "input.table", 0);
    let before = backend.timing().unwrap().submissions;
    for step in 0..STEPS {
        // Once often enough to fill the staging buffer.
        for _ in 0..if step == STEPS / 2 { 80 } else { 1 } {
            write(backend, "fc1.weight", 0);
        }
        write(backend, "store/0", u32::MAX);
        write(backend, "index", recipe.train.batch as u32);
        write(backend, "labels", recipe.model.classes as u32);
        backend.write(id, "step", &Tensor::from_u32(&[1], &[step % RING as u32]).words);
        let rates = recipe.train.optimizer.rates(0.01 * step as f32, u64::from(step) + 1);
        backend.write(id, "rates", &Tensor::from_f32(&[4], &rates).words);
        backend.run(id).unwrap();
        if wait {
            block_on(backend.finish()).unwrap();
        }
    }
    let results = ["history", "fc2.weight"].map(|port| block_on(backend.read(id, port)).unwrap());
    (id, results, backend.timing().unwrap().submissions - before)
}

#[test]
fn runs_that_share_a_submission_take_their_own_inputs() {
    common::on_each_driver("runs_that_share_a_submission_take_their_own_inputs", || {
        let Some(mut backend) = open() else { return };
        let (_, results, submissions) = steps(&mut backend, true);
        assert!(submissions >= u64::from(STEPS), "{submissions} submissions of {STEPS} steps, each waited for");
        let losses: BTreeSet<_> = results[0].chunks_exact(4).map(|row| row[0]).collect();
        assert!(losses.len() > RING / 2, "other inputs, other losses: {losses:?}");
        let name = backend.name().to_string();
        assert_eq!(results, steps(&mut backend, false).1, "{name}: sharing changes results");
        backend.pace_by_guesses();
        let (id, same, fewer) = steps(&mut backend, false);
        assert_eq!(results, same, "{name}: measuring changes results");
        println!("{name}: {STEPS} steps in {fewer} submissions");
        // One because the staging buffer is full, and two for reads.
        let most = most_submissions(backend.plan(id), STEPS.into(), backend.timing().unwrap()) + 3;
        assert!(fewer <= most, "{name}: {STEPS} steps in {fewer} submissions, at most {most}");
    });
}

#[test]
fn a_session_makes_few_submissions() {
    common::on_each_driver("a_session_makes_few_submissions", || {
        let Some(mut backend) = open() else { return };
        backend.pace_by_guesses();
        let recipe = tiny();
        let mut session =
            block_on(Session::with_image_input(&recipe, Box::new(backend), batch_input(&recipe), false)).unwrap();
        let (pixels, labels) = (vec![7; 64 * recipe.train.batch], vec![3; recipe.train.batch]);
        let submissions = |session: &Session| session.timing().unwrap().submissions;
        let before = submissions(&session);
        let rounds = 4;
        for _ in 0..rounds {
            for _ in 0..RING {
                block_on(session.train_bytes(&pixels, &labels, 0.1)).unwrap();
            }
            assert_eq!(block_on(session.measured()).unwrap().len(), RING, "nothing is held back from who asks");
        }
        let made = submissions(&session) - before;
        println!("{}: {} steps in {made} submissions", session.device(), rounds * RING);
        // One more for each request.
        let each = most_submissions(session.plan(), RING as u64, session.timing().unwrap()) + 1;
        assert!(made <= rounds as u64 * each, "{}: {made} submissions, {each} a round allowed", session.device());
    });
}
