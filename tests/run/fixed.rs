//! Fixed point: parameters are on their grids from the start, and saturated values are counted over
//! the whole run, including interruptions.

use super::{dataset, recipe, rows, trainer, whole_as_resumed};
use halfwave::data::Normalise;
use halfwave::model::{Fixed, FixedWeights, Layer, LayerKind, Linear, Rounding, Weights};
use halfwave::recipe::Recipe;
use halfwave::train::metrics::Row;
use pollster::block_on;

/// The digits with the last layer and its input in fixed point; the formats are so narrow that both
/// saturate.
fn fixed() -> Recipe {
    let mut recipe = recipe();
    let last = recipe.model.layers.len() - 1;
    let rounding = Rounding::Stochastic;
    let weights = Weights::Fixed(FixedWeights { format: [1, 6], rounding, gradient_format: None });
    recipe.model.layers[last].kind = LayerKind::Linear(Linear { units: 10, weights, ..Linear::default() });
    let from = std::mem::replace(&mut recipe.model.layers[last].from, vec!["f".into()]).remove(0);
    let kind = LayerKind::Fixed(Fixed { format: [1, 4], rounding, gradient_format: Some([1, 12]) });
    recipe.model.layers.insert(last, Layer::new("f", &from, kind));
    recipe.train.optimizer.lr = 0.4;
    recipe
}

/// Whether every value is a multiple of 2^−6 in [−1, 1).
fn on_grid(values: &[f32]) -> bool {
    values.iter().all(|v| (v * 64.0).fract() == 0.0 && (-1.0..1.0).contains(v))
}

#[test]
fn a_resumed_run_rounds_and_counts_the_same() {
    let base = tempfile::tempdir().unwrap();
    let whole = whole_as_resumed(base.path(), &fixed());
    let counts: Vec<_> = rows(&whole)
        .into_iter()
        .filter_map(|row| if let Row::Epoch(row) = row { Some(row.layers) } else { None })
        .map(|layers| ["f", "fc"].map(|layer| layers[layer].saturated.unwrap()))
        .collect();
    assert!(counts.len() >= 2, "{counts:?}");
    for pair in counts.windows(2) {
        assert!(pair[0][0] > 0 && pair[1][0] > pair[0][0], "activations saturate in every epoch: {counts:?}");
        assert!(pair[1][1] >= pair[0][1], "{counts:?}");
    }
    assert!(counts.last().unwrap()[1] > 0, "weights saturate too: {counts:?}");
}

#[test]
fn parameters_lie_on_their_grid() {
    let mut trainer = trainer(fixed());
    let tensors = |trainer: &mut halfwave::train::Trainer| block_on(trainer.session().tensors()).unwrap();
    let start = tensors(&mut trainer);
    assert!(on_grid(&start["fc.weight"].values) && start["fc.weight"].values.iter().any(|v| *v != 0.0));
    block_on(trainer.advance(3)).unwrap();
    let after = tensors(&mut trainer);
    assert!(on_grid(&after["fc.weight"].values) && on_grid(&after["fc.bias"].values));
    assert_ne!(after["fc.weight"], start["fc.weight"]);
    assert!(!on_grid(&after["velocity/fc.weight"].values), "the optimiser computes wide");

    // Loaded weights are rounded to the nearest values of the format.
    let mut others = start.clone();
    others.get_mut("fc.weight").unwrap().values.iter_mut().for_each(|v| *v += 0.004);
    others.get_mut("fc.bias").unwrap().values.fill(7.0);
    trainer.session().set_tensors(&others, "", 0).unwrap();
    let settled = tensors(&mut trainer);
    assert_eq!(settled["fc.weight"], start["fc.weight"]);
    assert!(settled["fc.bias"].values.iter().all(|v| *v == 63.0 / 64.0));
}

#[test]
fn counts_beyond_a_float_come_back() {
    let mut trainer = trainer(fixed());
    let mut tensors = block_on(trainer.session().tensors()).unwrap();
    let count = (3u64 << 50) + (5 << 25) + 7;
    let digits = [0, 24, 48].map(|bits| (count >> bits & 0xff_ffff) as f32);
    tensors.get_mut("f.saturated").unwrap().values = digits.to_vec();
    trainer.session().set_tensors(&tensors, "", 0).unwrap();
    assert_eq!(block_on(trainer.session().saturations()).unwrap()["f"], count);
    assert_eq!(block_on(trainer.session().tensors()).unwrap()["f.saturated"].values, digits);
}

#[test]
fn inference_rounds_to_nearest() {
    let mut trainer = trainer(fixed());
    let data = dataset(16);
    let (images, _) =
        data.test.normalised(&(0..16).collect::<Vec<_>>(), &Normalise::new(&Recipe::digits().data)).unwrap();
    let [a, b] = [0; 2].map(|_| block_on(trainer.session().logits(&images)).unwrap());
    assert_eq!(a, b, "nothing is drawn");
    assert_eq!(block_on(trainer.session().saturations()).unwrap()["f"], 0, "nothing is counted");
}
