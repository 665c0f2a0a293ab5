//! `accumulate`: a step in micro-batches equals that of the whole batch, except for the order of
//! sums.

use super::{Outcome, bits, cpu, gpu, outcome};
use crate::common;
use halfwave::backend::Backend;
use halfwave::data::{Dataset, Normalise};
use halfwave::recipe::Recipe;
use halfwave::train::{HostTensor, Session, Trainer};
use pollster::block_on;
use std::collections::BTreeMap;

const HEAD: &str = "[data]\nset = \"digits\"\nshuffle = false\n";
const IMAGES: usize = 24;

/// A network without batch-norm that uses all kinds of random numbers: crops, dropout, rounding,
/// low-bit gradients; and a learned step, whose gradient is scaled by the number of all elements.
fn drawing(train: &str) -> Recipe {
    let text = format!(
        r#"
[model]
input = [1, 8, 8]
classes = 10
layers = [
    {{ name = "conv1", kind = "conv", filters = 8, kernel = 3, padding = 1, bias = true }},
    {{ name = "q1", kind = "lsq", bits = 2 }},
    {{ name = "conv2", kind = "conv", filters = 12, kernel = 3, padding = 1, weights = "dorefa", weight_bits = 1, gradient_bits = 6 }},
    {{ name = "fixed2", kind = "fixed", format = [4, 12], rounding = "stochastic", gradient_format = [2, 20] }},
    {{ name = "relu2", kind = "prelu" }},
    {{ name = "pool2", kind = "max_pool", kernel = 2 }},
    {{ name = "drop", kind = "dropout", rate = 0.25 }},
    {{ name = "fc", kind = "linear", units = 10 }},
]

{HEAD}
[data.augment]
pad = 2
mirror = true
cutout = 3

[train]
batch = {IMAGES}
steps = 4
seed = 3
{train}

[train.optimizer]
kind = "sgd"
lr = 0.05
momentum = 0.9
weight_decay = 0.0005
"#
    );
    Recipe::parse(&text, "drawing.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// One linear layer, for which every term of the gradient is known.
fn linear(batch: usize, train: &str, optimizer: &str) -> Recipe {
    let text = format!(
        "[model]\ninput = [1, 8, 8]\nclasses = 10\nlayers = [{{ name = \"fc\", kind = \"linear\", units = 10 }}]\n{HEAD}\n[train]\nbatch = {batch}\nsteps = 4\nseed = 3\n{train}\n[train.optimizer]\nkind = \"sgd\"\nlr = 0.05\n{optimizer}"
    );
    Recipe::parse(&text, "linear.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn images(n: usize) -> (Vec<f32>, Vec<u32>) {
    let recipe = Recipe::digits();
    let data = Dataset::load(&recipe.data).unwrap();
    data.train.normalised(&(0..n as u32).collect::<Vec<_>>(), &Normalise::new(&recipe.data)).unwrap()
}

/// The results of a step on some images, with its loss and accuracy.
struct Step {
    gradients: BTreeMap<String, HostTensor>,
    tensors: BTreeMap<String, HostTensor>,
    loss: f32,
    accuracy: f32,
}

fn step(recipe: &Recipe, n: usize) -> Step {
    let mut session = block_on(Session::new(recipe, cpu(), true)).unwrap();
    let (images, labels) = images(n);
    block_on(session.train_step(&images, &labels, 0.05)).unwrap();
    let measured = block_on(session.measured()).unwrap()[0];
    assert_eq!(measured.fault, 0);
    Step {
        gradients: block_on(session.gradients()).unwrap(),
        tensors: block_on(session.tensors()).unwrap(),
        loss: measured.loss,
        accuracy: measured.accuracy,
    }
}

/// 2^−24: half of the distance between 1 and the next f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// **Tolerance.** A sum of n floats, in any order used by this program, has an error of at most
/// (256 + log₂ n)·2⁻²⁴·Σ|t| (ARCHITECTURE); the sequential sum over N micro-batches adds
/// N·2⁻²⁴·Σ|t|. Every term t = dy·x of this gradient is known: dy follows from the logits, which
/// have the same bits, and x is the image.
#[test]
fn a_gradient_differs_by_the_order_of_its_sum_alone() {
    // The last batch of an epoch may be shorter, and so may its last micro-batch.
    for n in [IMAGES, 20] {
        let whole = step(&linear(n, "", ""), n);
        for accumulate in [2, 3, 8, IMAGES] {
            let parts = step(&linear(IMAGES, &format!("accumulate = {accumulate}"), ""), n);
            assert_eq!(bits(parts.gradients["logits"].clone()), bits(whole.gradients["logits"].clone()));
            let (images, labels) = images(n);
            let logits = &parts.gradients["logits"].values;
            let share = |image: usize, class: usize| {
                let row = &logits[image * 10..][..10];
                let all: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
                let y = f64::from(u8::from(labels[image] as usize == class));
                (f64::from(row[class]).exp() / all - y).abs() / n as f64
            };
            let bound = 2.0 * (256.0 + (n as f64).log2()) + accumulate as f64;
            let mut different = 0;
            for class in 0..10 {
                for pixel in 0..64 {
                    let terms = (0..n).map(|image| share(image, class) * f64::from(images[image * 64 + pixel].abs()));
                    let [a, b] =
                        [&whole, &parts].map(|step| step.gradients["grad/fc.weight"].values[class * 64 + pixel]);
                    let apart = (f64::from(a) - f64::from(b)).abs();
                    // dy itself is computed from equal logits by the same operations.
                    assert!(apart <= bound * UNIT * terms.sum::<f64>(), "{accumulate} {class} {pixel}: {a} {b}");
                    different += usize::from(a != b);
                }
            }
            // Otherwise the test would not cover the order; micro-batches of one image add up in
            // the order of the whole batch.
            assert_eq!(different > 0, accumulate < IMAGES, "{accumulate}");
            // The update is lr times that, with one rounding.
            for (name, tensor) in &whole.tensors {
                let apart = tensor.values.iter().zip(&parts.tensors[name].values).map(|(a, b)| (a - b).abs());
                assert!(apart.fold(0.0, f32::max) < 1e-6, "{name}");
            }
            assert!((whole.loss - parts.loss).abs() <= bound as f32 * UNIT as f32 * whole.loss, "{accumulate}");
            assert_eq!((whole.accuracy * n as f32).round(), (parts.accuracy * n as f32).round());
        }
    }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

/// Logits have the same bits, so every image used the same random numbers in the forward pass.
/// Gradients differ by no more than 1e-5 in norm; different random numbers in the backward pass
/// would exceed that by far.
#[test]
fn images_draw_what_they_draw_in_the_whole_batch() {
    let whole = step(&drawing(""), IMAGES);
    for accumulate in [2, 4, IMAGES] {
        let parts = step(&drawing(&format!("accumulate = {accumulate}")), IMAGES);
        assert_eq!(bits(parts.gradients["logits"].clone()), bits(whole.gradients["logits"].clone()), "{accumulate}");
        for (name, expected) in whole.gradients.iter().chain(&whole.tensors) {
            let got = parts.gradients.get(name).or(parts.tensors.get(name)).unwrap();
            let apart = norm(expected.values.iter().zip(&got.values).map(|(a, b)| a - b));
            let scale = norm(expected.values.iter().copied());
            assert!(apart <= 1e-5 * scale, "{accumulate}: {name} is {apart} of {scale} off");
        }
    }
}

/// Includes crops of images that are uploaded as bytes, over epochs with a shorter last batch.
#[test]
fn runs_stay_together() {
    let [whole, parts] = ["", "accumulate = 4"].map(|train| outcome(&drawing(train), 3, cpu()));
    for (a, b) in whole.losses.iter().zip(&parts.losses) {
        let [a, b] = [a, b].map(|bits| f32::from_bits(*bits));
        assert!((a - b).abs() <= 1e-4 * a, "{:?}", [a, b]);
    }
    assert_ne!(whole.tensors, parts.tensors);
}

/// The norm is that of the accumulated gradient: it is known for the linear layer, and clipped.
#[test]
fn gradients_are_clipped_when_they_have_been_added_up() {
    for train in ["", "accumulate = 6"] {
        let clipped = step(&linear(IMAGES, train, "clip_norm = 0.01\n"), IMAGES);
        let start = block_on(Session::new(&linear(IMAGES, "", ""), cpu(), false)).unwrap();
        let start = block_on({ start }.tensors()).unwrap();
        let moved = ["fc.weight", "fc.bias"].into_iter().flat_map(|name| {
            let pairs = start[name].values.iter().zip(&clipped.tensors[name].values);
            pairs.map(|(a, b)| (a - b) / 0.05).collect::<Vec<_>>()
        });
        let length = norm(moved);
        assert!((length - 0.01).abs() < 1e-5, "{train}: the step has the length {length}");
    }
}

/// Batch-norms use the statistics of a micro-batch: their running statistics are updated once for
/// each, as in a step on that micro-batch only.
#[test]
fn statistics_are_those_of_micro_batches() {
    let mut recipe = Recipe::digits();
    (recipe.train.batch, recipe.train.accumulate) = (IMAGES, 2);
    let mut halves = recipe.clone();
    (halves.train.batch, halves.train.accumulate) = (IMAGES / 2, 1);
    let (images, labels) = images(IMAGES);
    let [mut together, mut alone] =
        [&recipe, &halves].map(|recipe| block_on(Session::new(recipe, cpu(), false)).unwrap());
    block_on(together.train_step(&images, &labels, 0.0)).unwrap();
    for half in 0..2 {
        let (images, labels) = (images.chunks(images.len() / 2), labels.chunks(labels.len() / 2));
        let (images, labels) = (images.collect::<Vec<_>>()[half], labels.collect::<Vec<_>>()[half]);
        block_on(alone.train_step(images, labels, 0.0)).unwrap();
    }
    let [together, alone] = [&mut together, &mut alone].map(|session| block_on(session.tensors()).unwrap());
    let running: Vec<_> = together.keys().filter(|name| name.contains("running_")).collect();
    assert!(!running.is_empty());
    for name in running {
        assert_eq!(bits(together[name].clone()), bits(alone[name].clone()), "{name}");
    }
}

fn accumulating() -> Recipe {
    let mut recipe = Recipe::digits();
    (recipe.train.batch, recipe.train.accumulate) = (32, 4);
    recipe
}

/// An interrupted step leaves no trace: the accumulation starts again.
#[test]
fn a_run_is_repeated_to_the_bit() {
    for recipe in [accumulating(), drawing("accumulate = 4"), super::low::low(&accumulating())] {
        let [first, second] = [(); 2].map(|()| outcome(&recipe, 4, cpu()));
        assert_eq!(first, second);
    }
    assert_eq!(outcome(&accumulating(), 4, cpu()), outcome(&super::low::low(&accumulating()), 4, cpu()));
}

#[test]
fn each_driver_accumulates() {
    common::on_each_driver("accumulate::each_driver_accumulates", || {
        if gpu().is_none() {
            return;
        }
        let run = |recipe: &Recipe, backend: Box<dyn Backend>| outcome(recipe, 4, backend);
        let device: Outcome = run(&accumulating(), gpu().unwrap());
        assert_eq!(device, run(&accumulating(), gpu().unwrap()));
        assert_eq!(device, run(&super::low::low(&accumulating()), gpu().unwrap()));
        let host = run(&accumulating(), cpu());
        for (a, b) in device.losses.iter().zip(&host.losses) {
            let [a, b] = [a, b].map(|bits| f32::from_bits(*bits));
            assert!((a - b).abs() <= 1e-3 * b, "{a} on the device, {b} on the host");
        }
    });
}

/// A non-finite number in one micro-batch is reported, with the layer in which it appeared first;
/// the following update does not hide it.
#[test]
fn a_fault_in_any_micro_batch_is_found() {
    let recipe = accumulating();
    let mut session = block_on(Session::new(&recipe, cpu(), false)).unwrap();
    let (mut images, labels) = images(32);
    images[20 * 64] = f32::NAN;
    block_on(session.train_step(&images, &labels, 0.05)).unwrap();
    let measured = block_on(session.measured()).unwrap()[0];
    assert!(measured.fault > 0);
    // In the forward pass of the second step, and in the update of the first one.
    for (lr, weight_decay, place) in
        [(1e30, 0.0, "it started in layer \""), (3e38, 1e3, "it started in the parameter ")]
    {
        let mut data = Dataset::load(&recipe.data).unwrap();
        data.train = data.train.select(&(0..40).collect::<Vec<_>>());
        let mut steep = recipe.clone();
        (steep.train.optimizer.lr, steep.train.optimizer.weight_decay) = (lr, weight_decay);
        let mut trainer = block_on(Trainer::new(steep, data, cpu(), false)).unwrap();
        let events = [(); 4].map(|()| block_on(trainer.advance(1)).map_err(|error| error.to_string()));
        let error = events.into_iter().find_map(Result::err).expect("training diverges");
        assert!(error.contains(place), "{error} should say {place}");
    }
}
