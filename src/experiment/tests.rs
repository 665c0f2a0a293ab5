//! Checks that every arm of every preset is the network that its name states, and tables of known
//! outcomes.

use super::*;
use crate::caps::{Caps, DeviceClass};
use crate::model::{Alpha, Form, LayerKind, Levels, Model, Surrogate, WeightGradient, Weights};
use crate::pass::Loss;
use crate::recipe::{Digits, Length, Padding, Set};
use crate::train::session::training_plan;
use std::collections::BTreeSet;

fn each(mut see: impl FnMut(&Experiment, &Arm, &Preset, &Recipe)) {
    for experiment in EXPERIMENTS {
        for preset in PRESETS {
            for (at, arm) in experiment.arms.iter().enumerate() {
                let recipe = experiment.recipe(at, preset).unwrap_or_else(|error| panic!("{}: {error}", preset.name));
                see(experiment, arm, preset, &recipe);
            }
        }
    }
}

/// Returns the kinds of the activations between the first and the last convolution.
fn activations(model: &Model) -> Vec<&LayerKind> {
    let inner = model.layers.iter().filter(|layer| layer.name.starts_with('q') || layer.name.starts_with("sign"));
    inner.map(|layer| &layer.kind).collect()
}

/// Returns the weights of all convolutions except the first.
fn inner_weights(model: &Model) -> Vec<Weights> {
    let convolutions = model.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::Conv(_)));
    convolutions.skip(1).filter_map(|layer| layer.kind.weights()).collect()
}

/// Returns whether all activations and all inner weights satisfy the predicates; requires at least
/// two of each.
fn holds(model: &Model, activation: impl Fn(&LayerKind) -> bool, weights: impl Fn(&Weights) -> bool) -> bool {
    let (found, inner) = (activations(model), inner_weights(model));
    found.len() >= 2 && found.into_iter().all(activation) && inner.len() >= 2 && inner.iter().all(weights)
}

fn binary(weights: &Weights) -> bool {
    *weights == Weights::BINARY
}

fn float(weights: &Weights) -> bool {
    *weights == Weights::Float
}

fn hwgq(bits: usize, uniform: bool, surrogate: Surrogate) -> impl Fn(&LayerKind) -> bool {
    move |kind| {
        let levels = if uniform { Levels::Uniform } else { Levels::Lloyd };
        matches!(kind, LayerKind::Hwgq(q) if q.bits == bits && q.levels == levels && q.surrogate == surrogate)
    }
}

/// Returns whether an arm is what its name says.
fn as_named(experiment: &str, arm: &str, recipe: &Recipe) -> bool {
    use crate::ops::curve::Curve;
    use LayerKind as K;
    fn is(kind: &K, name: &str) -> bool {
        *kind == K::Activation(Curve::of(name).unwrap())
    }
    let model = &recipe.model;
    let plain = |kind: fn(&K) -> bool| holds(model, kind, binary);
    let published = hwgq(2, true, Surrogate::Clipped);
    let relu = |kind: &K| matches!(kind, K::Relu(_));
    let sign = |kind: &K| matches!(kind, K::Sign(_));
    let surrogate = |name: &str| match name {
        "identity" => Surrogate::Identity,
        "vanilla" => Surrogate::Vanilla,
        "clipped" => Surrogate::Clipped,
        "log-tailed" => Surrogate::LogTailed,
        _ => panic!("there is no surrogate {name}"),
    };
    match (experiment, arm) {
        ("activations", "tanh") => plain(|kind| is(kind, "tanh")),
        ("activations", "hard-tanh") => plain(|kind| is(kind, "hard_tanh")),
        ("activations", "sigmoid") => plain(|kind| is(kind, "sigmoid")),
        ("activations", "clipped-relu") => plain(|kind| is(kind, "clipped_relu")),
        ("activations", "log-tailed-relu") => plain(|kind| is(kind, "log_tailed_relu")),
        ("activations", "relu") | ("low-bit", "bw") | ("bit-width", "32") => holds(model, relu, binary),
        ("low-bit" | "methods", "float") => holds(model, relu, float),
        ("low-bit", "bw-sign") => holds(model, sign, binary),
        ("low-bit", "bw-hwgq") | ("methods" | "learning-curve", "hwgq") => holds(model, published, binary),
        ("surrogates", name) => match name.strip_suffix("-float") {
            Some(name) => holds(model, hwgq(2, true, surrogate(name)), float),
            None => holds(model, hwgq(2, true, surrogate(name)), binary),
        },
        ("bit-width", name) => {
            let (bits, levels) = name.split_once('-').unwrap();
            holds(model, hwgq(bits.parse().unwrap(), levels == "uniform", Surrogate::Clipped), binary)
        }
        ("methods", "bnn") => {
            recipe.train.loss == Loss::SquaredHinge
                && holds(model, sign, |weights| {
                    let none = Form::Binary { alpha: Alpha::None, gradient: WeightGradient::Identity };
                    weights.packed().is_some_and(|packed| packed.form == none && packed.clip)
                })
        }
        ("methods", "xnor") => {
            let scaled = |layer: &crate::model::Layer| match &layer.kind {
                K::Conv(conv) => conv.weights.packed().is_none() || conv.input_scale,
                _ => true,
            };
            model.layers.iter().all(scaled)
                && holds(model, sign, |weights| {
                    let xnor = Form::Binary { alpha: Alpha::Filter, gradient: WeightGradient::Xnor };
                    weights.packed().is_some_and(|packed| packed.form == xnor)
                })
        }
        ("methods", "dorefa") => holds(
            model,
            |kind| matches!(kind, K::Dorefa(v) if v.bits == 2),
            |weights| {
                let layer = Form::Binary { alpha: Alpha::Layer, gradient: WeightGradient::Identity };
                weights.packed().is_some_and(|packed| packed.form == layer)
            },
        ),
        _ => false,
    }
}

#[test]
fn every_arm_is_the_network_that_its_name_promises() {
    let mut count = 0;
    each(|experiment, arm, preset, recipe| {
        count += 1;
        assert!(as_named(experiment.name, arm.name, recipe), "{}, {}, {}", experiment.name, arm.name, preset.name);
    });
    assert_eq!(count, 3 * 32);
}

#[test]
fn every_arm_has_the_images_and_the_length_of_its_preset() {
    each(|experiment, arm, preset, recipe| {
        let name = format!("{}, {}, {}", experiment.name, arm.name, preset.name);
        let augment = &recipe.data.augment;
        match preset.name {
            "smoke" => {
                assert_eq!((&recipe.data.set, recipe.train.length), (&Digits.into(), Length::Epochs(3)), "{name}");
            }
            "small" => {
                assert_eq!(recipe.train.length, Length::Epochs(10), "{name}");
                assert_eq!((recipe.data.limit, recipe.data.test_limit), (Some(10_000), Some(5000)), "{name}");
                let (network, multiply_adds) = match experiment.name {
                    "surrogates" => ("vgg11-quarter-bw", 9_880_832),
                    _ => ("vgg-small-quarter", 38_653_952),
                };
                assert_eq!(arm.base(experiment.name, preset), network);
                assert_eq!(recipe.model.multiply_adds(), Ok(multiply_adds), "{name}");
                assert!(augment.mirror && augment.pad == 4, "{name}");
                assert_eq!(recipe.data.mean_image, network == "vgg-small-quarter", "{name}");
            }
            _ => {
                let epochs = if experiment.name == "learning-curve" { 30 } else { 200 };
                assert_eq!(recipe.train.length, Length::Epochs(epochs), "{name}");
                assert!(matches!(recipe.data.set, Set::Cifar10(_)) && recipe.data.keeps_all(), "{name}");
                let network = match arm.name {
                    "bnn" => "bnn-convnet",
                    name if name.ends_with("-float") => "vgg11",
                    _ => "vgg-small",
                };
                assert_eq!(arm.base(experiment.name, preset), network);
                // BinaryNet was published without augmentation.
                assert_eq!(augment.mirror && augment.pad == 4, network != "bnn-convnet", "{name}");
                assert_eq!(augment.padding == Padding::Replicate, network == "vgg-small", "{name}");
            }
        }
    });
}

#[test]
fn every_arm_is_planned() {
    // One plan for each network is sufficient; the batch is small because memory is not tested
    // here.
    let mut seen = BTreeSet::new();
    each(|experiment, arm, preset, recipe| {
        if seen.insert(format!("{:?}{:?}", recipe.model, recipe.train.loss)) {
            let plan = training_plan(recipe, 4, &Caps::baseline(DeviceClass::Software));
            let plan = plan.unwrap_or_else(|error| panic!("{}, {}: {error}", experiment.name, arm.name));
            assert!(plan.steps.len() > recipe.model.layers.len(), "{}, {}", arm.name, preset.name);
        }
    });
    assert!(seen.len() > 50, "{}", seen.len());
}

#[test]
fn names_are_told_apart_and_mistakes_are_answered() {
    for experiment in EXPERIMENTS {
        let names: BTreeSet<_> = experiment.arms.iter().map(|arm| arm.name).collect();
        assert_eq!(names.len(), experiment.arms.len(), "{}", experiment.name);
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')));
    }
    let study = find("methods").unwrap().study(preset("smoke").unwrap(), 3).unwrap();
    assert_eq!((study.run_name(1, 2).as_str(), study.recipe(1, 2).train.seed), ("xnor-seed2", 2));
    assert!(find("surogates").unwrap_err().to_string().contains("did you mean \"surrogates\"?"));
    assert!(preset("huge").unwrap_err().to_string().contains("there are smoke, small, paper"));
}

#[test]
fn published_numbers_have_sources_and_no_more_digits_than_were_published() {
    each(|_, arm, _, _| {
        let Some(known) = arm.known() else { return };
        assert!(known.low <= known.high && known.low > 80.0 && known.high < 96.0, "{}", arm.name);
        assert!(known.source.contains("arXiv ") || known.source.contains("readme"), "{}", known.source);
    });
    let text = |experiment: &str, arm: &str| {
        let arms = find(experiment).unwrap().arms;
        arms.iter().find(|known| known.name == arm).unwrap().known().map(|known| (known.text(), known.cited()))
    };
    let hwgq = ("92.0–92.5".to_string(), "the authors' code, examples/cifar10/readme.md".to_string());
    assert_eq!(text("low-bit", "bw-hwgq"), Some(hwgq));
    let vanilla = ("88.69".to_string(), "arXiv 1903.05662, table 1".to_string());
    assert_eq!(text("surrogates", "vanilla-float"), Some(vanilla));
    assert_eq!(text("methods", "xnor").unwrap().1, "arXiv 1603.05279, on another network");
    assert_eq!((text("activations", "tanh"), text("learning-curve", "hwgq")), (None, None));
    assert_eq!([91.0, 92.25, 93.0].map(|v| published::HWGQ.difference(v)), [-1.0, 0.0, 0.5]);
}

/// Outcomes of "low-bit": two seeds finished, one diverged, one missing.
fn outcomes() -> Vec<Vec<Option<Outcome>>> {
    let run = |accuracies: &[f64]| {
        let curve = (1..).zip(accuracies.iter().copied()).collect();
        Some(Outcome { curve, images_per_s: Some(250.0), device: "a device".into(), ..Outcome::default() })
    };
    let broken = Outcome { curve: vec![(1, 20.0)], diverged: Some(77), device: "another".into(), ..Outcome::default() };
    vec![
        vec![run(&[70.0, 94.0]), run(&[80.0, 95.0])],
        vec![run(&[70.0, 90.0]), Some(broken)],
        vec![run(&[81.5, 80.0]), None],
        vec![None, None],
    ]
}

fn low_bit(name: &str) -> Study {
    find("low-bit").unwrap().study(preset(name).unwrap(), 2).unwrap()
}

#[test]
fn a_table_says_what_came_of_each_arm() {
    let outcomes = outcomes();
    let study = low_bit("paper");
    let table = Table::new(&study, &outcomes);
    let expected = "\
arm              seeds  test accuracy, %  images/s  published, %  difference  source
float                2      94.50 ± 0.71       250          93.8       +0.70  LQ-Nets, arXiv 1807.10029, as others quote it
bw       2, 1 diverged             90.00       250         90.12           –  arXiv 1603.05279, on another network
bw-sign         1 of 2             80.00       250             –           –
bw-hwgq         0 of 2                 –         –     92.0–92.5           –  the authors' code, examples/cifar10/readme.md
";
    assert_eq!(table.text(None), expected);
    let csv = table.csv();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0].matches(',').count(), 11);
    let float = "float,vgg-small,2,2,0,94.5000,0.7071,250.0000,93.8000,93.8000,0.7000,\"LQ-Nets, arXiv";
    assert!(lines[1].starts_with(float), "{csv}");
    assert_eq!(lines[3], "bw-sign,vgg-small,2,1,0,80.0000,,250.0000,,,,");
    let markdown = table.markdown();
    for part in [
        "# low-bit: the cost of low precision",
        "Preset paper: VGG-small on CIFAR-10",
        "on the adapter a device and another.",
        "| float | float weights, ReLU | 2 | 94.50 ± 0.71 | 250 | 93.8 | +0.70 | LQ-Nets,",
        "over 2 seeds",
        "![accuracy by epoch](accuracy.svg)",
    ] {
        assert!(markdown.contains(part), "{part} is not in {markdown}");
    }
}

#[test]
fn no_difference_is_taken_from_another_setting() {
    let outcomes = outcomes();
    let study = low_bit("smoke");
    let table = Table::new(&study, &outcomes);
    assert!(table.text(None).contains("93.8           –  LQ-Nets"), "{}", table.text(None));
    assert!(table.markdown().contains("no difference is given"));
    assert!(table.csv().lines().nth(1).unwrap().contains("93.8000,93.8000,,\"LQ-Nets"), "{}", table.csv());
}

#[test]
fn curves_are_means_by_epoch() {
    let outcomes = outcomes();
    let study = low_bit("smoke");
    let table = Table::new(&study, &outcomes);
    let curves = table.curves();
    let half = 0.5_f64.sqrt();
    assert_eq!(curves[0].iter().map(|point| (point.0, point.1)).collect::<Vec<_>>(), [(1, 75.0), (2, 94.5)]);
    assert!((curves[0][1].2.unwrap() - half).abs() < 1e-12 && curves[3].is_empty());
    assert_eq!(curves[2], [(1, 81.5, None), (2, 80.0, None)]);
    assert!(table.curves_csv().contains("\nfloat,2,94.5000,0.7071\n"), "{}", table.curves_csv());
    assert!(table.curves_csv().contains("\nbw-sign,1,81.5000,\n"), "{}", table.curves_csv());
}
