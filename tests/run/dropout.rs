//! Random numbers of training: a function of seed, step and index, whatever interruptions there
//! are; none in inference.

use super::{dataset, recipe, rows, trainer, whole_as_resumed};
use halfwave::backend::cpu::CpuBackend;
use halfwave::data::Normalise;
use halfwave::model::{Dropout, Layer, LayerKind};
use halfwave::recipe::Recipe;
use halfwave::train::metrics::Row;
use halfwave::train::{Event, Session};
use pollster::block_on;

/// The digits with dropout of half of the last layer's input.
fn dropping(rate: f32) -> Recipe {
    let mut recipe = recipe();
    let last = recipe.model.layers.len() - 1;
    let from = std::mem::replace(&mut recipe.model.layers[last].from, vec!["drop".into()]).remove(0);
    recipe.model.layers.insert(last, Layer::new("drop", &from, LayerKind::Dropout(Dropout { rate })));
    recipe
}

/// The first step's loss.
fn first_loss(recipe: Recipe) -> f32 {
    let events = block_on(trainer(recipe).advance(1)).unwrap();
    let Some(Event::Row(Row::Step(row))) = events.first() else { panic!("a step has a row") };
    row.loss
}

#[test]
fn a_resumed_run_drops_the_same_values() {
    let base = tempfile::tempdir().unwrap();
    let whole = whole_as_resumed(base.path(), &dropping(0.5));
    // Equal weights and images: only the dropped values differ.
    let [dropped, kept] = [0.5, 0.0].map(|rate| first_loss(dropping(rate)));
    assert!(matches!(&rows(&whole)[0], Row::Step(row) if row.loss == dropped));
    assert_ne!(dropped, kept);
    assert_eq!(kept, first_loss(recipe()));
}

#[test]
fn each_step_and_seed_draws_anew_and_measuring_changes_nothing() {
    let data = dataset(16);
    let (images, labels) =
        data.train.normalised(&(0..16).collect::<Vec<_>>(), &Normalise::new(&Recipe::digits().data)).unwrap();
    let recipe = dropping(0.5);
    let session = |recipe: &Recipe| block_on(Session::new(recipe, Box::new(CpuBackend::new()), false)).unwrap();
    let mut measured = session(&recipe);
    let mut plain = session(&recipe);
    block_on(measured.warm_up(recipe.train.seed)).unwrap();
    // A learning rate of 0: only the dropped values differ from step to step.
    let mut losses = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        block_on(measured.measure(1, |_| {})).unwrap();
        for (session, losses) in [&mut measured, &mut plain].into_iter().zip(&mut losses) {
            block_on(session.train_step(&images, &labels, 0.0)).unwrap();
            losses.extend(block_on(session.measured()).unwrap().iter().map(|measured| measured.loss.to_bits()));
        }
    }
    assert_eq!(losses[0], losses[1]);
    let mut distinct = losses[0].clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4, "{losses:?}");

    // The same weights, but another seed, in either half.
    let tensors = block_on(plain.tensors()).unwrap();
    for seed in [1, 1 << 32] {
        plain.restart(seed);
        plain.set_tensors(&tensors, "", 0).unwrap();
        block_on(plain.train_step(&images, &labels, 0.0)).unwrap();
        let loss = block_on(plain.measured()).unwrap()[0].loss;
        assert!(!losses[0].contains(&loss.to_bits()), "seed {seed}: {loss}");
    }
}

#[test]
fn inference_drops_nothing() {
    let [mut with, mut without] = [dropping(0.9), recipe()].map(trainer);
    let tensors = block_on(with.session().tensors()).unwrap();
    without.session().set_tensors(&tensors, "", 0).unwrap();
    let data = dataset(16);
    let (images, _) =
        data.test.normalised(&(0..16).collect::<Vec<_>>(), &Normalise::new(&Recipe::digits().data)).unwrap();
    let [a, b] = [&mut with, &mut without].map(|trainer| block_on(trainer.session().logits(&images)).unwrap());
    assert_eq!(a, b);
}
