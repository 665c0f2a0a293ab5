//! The built-in recipes: they have the published sizes, can be planned for every device class, and
//! each of them learns.
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::backend::cpu::CpuBackend;
use halfwave::caps::{Caps, DeviceClass};
use halfwave::model::{self, LayerKind, Model};
use halfwave::recipe::{BUILTIN, Folder, Pictures, Recipe, Set, builtin};
use halfwave::train::Session;
use halfwave::train::session::training_plan;
use pollster::block_on;

fn recipe(name: &str) -> Recipe {
    let text = builtin(name).unwrap_or_else(|| panic!("there is no recipe {name}"));
    Recipe::parse(text, name).unwrap_or_else(|error| panic!("{error}"))
}

fn trained_len(model: &Model) -> u64 {
    model::trained_len(&model.parameters().unwrap())
}

/// Outputs of all convolutions: the number of biases, or half the number of normalisation
/// parameters, of a network with one or a pair per output.
fn filters_len(model: &Model) -> u64 {
    let filters = |kind: &LayerKind| if let LayerKind::Conv(conv) = kind { conv.filters as u64 } else { 0 };
    model.layers.iter().map(|layer| filters(&layer.kind)).sum()
}

/// Number of biases that linear layers lack because their weights are binary.
fn missing_biases(model: &Model) -> u64 {
    let missing = |kind: &LayerKind| {
        if let LayerKind::Linear(v) = kind
            && !v.bias
        {
            v.units as u64
        } else {
            0
        }
    };
    model.layers.iter().map(|layer| missing(&layer.kind)).sum()
}

#[test]
fn networks_have_the_published_size() {
    // VGG-small: weights, and biases of the last layer; no normalisation.
    let same_size = |name: &str| name.starts_with("vgg-small") && name != "vgg-small-quarter";
    for (name, _) in BUILTIN.iter().filter(|(name, _)| same_size(name)) {
        let model = recipe(name).model;
        assert_eq!((model.weights_len(), model.multiply_adds()), (Ok(4_656_522), Ok(607_600_640)), "{name}");
    }
    // Weights, biases of the last layer, and two parameters of a batch-norm after every
    // convolution, as in torchvision. Here batch-norms before a quantiser have none. Multiply-adds
    // are the paper's 1.8 and 3.8 · 10⁹.
    let model = recipe("resnet18").model;
    assert_eq!(model.weights_len().unwrap() + 2 * filters_len(&model), 11_689_512);
    assert_eq!(model.multiply_adds(), Ok(1_814_073_344));
    let model = recipe("resnet50").model;
    assert_eq!(model.weights_len().unwrap() + 2 * filters_len(&model), 25_557_032);
    assert!((3.8e9..3.9e9).contains(&(model.multiply_adds().unwrap() as f64)), "{:?}", model.multiply_adds());
    // Weights, and biases everywhere, as published; here a batch-norm provides the shift where
    // there is no bias.
    let original = |model: &Model| model.weights_len().unwrap() + filters_len(model) + missing_biases(model);
    let model = recipe("alexnet").model;
    assert_eq!((original(&model), model.multiply_adds()), (60_965_224, Ok(724_406_816)));
    let model = recipe("googlenet").model;
    assert_eq!(original(&model), 6_998_552);
    assert!((1.5e9..1.6e9).contains(&(model.multiply_adds().unwrap() as f64)), "{:?}", model.multiply_adds());
    // The paper's 0.27 million, batch-norms included, without convolutions in shortcuts; here there
    // are two, 16 → 32 and 32 → 64.
    let model = recipe("resnet20").model;
    assert_eq!(trained_len(&model), 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64));
}

#[test]
fn other_networks_have_the_size_that_their_layers_tell() {
    let sides = |widths: &[u64]| widths.windows(2).map(|pair| pair[0] * pair[1]).sum::<u64>();
    let bnn = 9 * sides(&[3, 128, 128, 256, 256, 512, 512]) + sides(&[512 * 16, 1024, 1024, 10]);
    let nin = 25 * (3 * 192 + 96 * 192) + sides(&[192, 160, 96]) + 2 * 192 * 192 + (9 + 1) * 192 * 192 + 192 * 10;
    let table = [
        ("bnn-convnet", bnn),
        ("vgg-small-quarter", 9 * sides(&[3, 32, 32, 64, 64, 128, 128]) + 128 * 16 * 10 + 10),
        ("vgg11", 9 * sides(&[3, 64, 128, 256, 256, 512, 512, 512, 512]) + 512 * 10 + 10),
        ("vgg11-quarter-bw", 9 * sides(&[3, 16, 32, 64, 64, 128, 128, 128, 128]) + 128 * 10 + 10),
        ("nin", nin + 192 + 10),
        ("mlp-sigmoid", (64 + 1) * 64 + (64 + 1) * 10),
        ("lenet", 25 * sides(&[1, 6, 16]) + 6 + 16 + (64 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10),
    ];
    for (name, weights) in table {
        assert_eq!(recipe(name).model.weights_len(), Ok(weights), "{name}");
    }
    assert_eq!(missing_biases(&recipe("bnn-convnet").model), 1024 + 1024 + 10);
}

#[test]
fn every_recipe_is_planned() {
    for (name, _) in BUILTIN {
        let recipe = recipe(name);
        for class in [DeviceClass::Gpu, DeviceClass::Software] {
            let plan = training_plan(&recipe, recipe.train.batch, &Caps::baseline(class))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(plan.steps.len() > recipe.model.layers.len(), "{name}: {} steps", plan.steps.len());
        }
    }
}

#[test]
fn no_launch_that_matters_wastes_more_than_two_thirds_of_its_products() {
    let mut looked_at = 0;
    for (name, _) in BUILTIN {
        let recipe = recipe(name);
        for class in [DeviceClass::Gpu, DeviceClass::Software] {
            let plan = training_plan(&recipe, recipe.train.batch, &Caps::baseline(class)).unwrap();
            let counted = || plan.steps.iter().enumerate().filter(|(_, step)| step.cost.executed > 0);
            let all: u64 = counted().map(|(_, step)| step.cost.needed()).sum();
            for (index, step) in counted().filter(|(_, step)| step.cost.needed() * 100 > all) {
                // Images of one channel are stored in quads: three lanes of four are padding,
                // whatever a kernel does.
                let node = plan.nodes.iter().find(|node| node.steps.contains(&index)).unwrap();
                let one = node.inputs.iter().map(|place| &place.ty).any(|ty| ty.shape.len() == 4 && ty.channels() == 1);
                let share = step.cost.needed() as f64 * if one { 4.0 } else { 1.0 } / step.cost.executed as f64;
                let label = &plan.kernels[step.kernel].label;
                assert!((0.3..=1.0).contains(&share), "{name}, {class:?}: {label} uses {share:.3} of its products");
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 500, "{looked_at} launches");
}

#[test]
fn weight_gradients_fill_a_large_device() {
    for name in ["vgg-small", "resnet18"] {
        let recipe = recipe(name);
        let plan = training_plan(&recipe, recipe.train.batch, &Caps::baseline(DeviceClass::Gpu)).unwrap();
        let of_weights = plan.nodes.iter().filter(|node| ["conv_dw", "bconv_dw"].contains(&node.op.stem()));
        for node in of_weights {
            let step = &plan.steps[node.steps.start];
            let threads = u64::from(plan.kernels[step.kernel].threads);
            let invocations = u64::from(step.groups[0]) * u64::from(step.groups[1]) * threads;
            let label = format!("{name}: {} of {}", node.op.stem(), node.layer);
            // A part has at least the 16 rows of a step.
            let parts = step.bindings.iter().map(|&(_, words)| words).max().unwrap() / node.output.ty.words();
            let least = node.inputs[0].ty.rows().div_ceil(parts) <= 16;
            assert!(invocations >= 32_000 || least, "{label} has {invocations} invocations");
            if node.steps.len() > 1 {
                let written = step.bindings.iter().map(|&(_, words)| words as u64 * 4).max().unwrap();
                let operands = node.inputs.iter().map(|place| place.ty.bytes() as u64).max().unwrap();
                assert!(written <= operands.max(20 << 20), "{label} has {written} bytes of parts");
            }
        }
    }
}

/// Returns a height and width at which a network can be tested quickly: the last stages have one to
/// four pixels. The weights of convolutions are complete; linear layers after them become smaller.
fn small(name: &str) -> Option<usize> {
    match name {
        "lenet" | "mlp-sigmoid" | "mlp-sigmoid-cross-entropy" | "digits" | "digits-float" => None,
        "alexnet" => Some(67),
        "vgg11" | "vgg11-quarter-bw" | "resnet18" | "resnet50" | "googlenet" => Some(32),
        _ => Some(8),
    }
}

/// One step on a few images, in which the loss is finite and a gradient reaches every weight.
fn learns(name: &str) {
    let mut recipe = recipe(name);
    recipe.train.batch = 4;
    if let Some(side) = small(name) {
        let image = [recipe.model.input[0], side, side];
        (recipe.model.input, recipe.data.set) = (
            image,
            Folder { dir: "none".into(), image, classes: recipe.model.classes, pictures: Pictures::default() }.into(),
        );
    }
    let weights: Vec<_> = recipe
        .model
        .layers
        .iter()
        .filter(|layer| layer.kind.weights().is_some())
        .map(|layer| format!("{}.weight", layer.name))
        .collect();
    let images_len = recipe.train.batch * recipe.model.input.iter().product::<usize>();
    let images = halfwave::random::normal(3, "images", images_len);
    let lr = recipe.train.optimizer.lr;
    block_on(async {
        let mut session = Session::new(&recipe, Box::new(CpuBackend::new()), true).await.unwrap();
        assert_eq!(session.parameter_len() as u64, trained_len(&recipe.model));
        let before = session.tensors().await.unwrap();
        session.train_step(&images, &[0, 3, 1, 2], lr).await.unwrap();
        let measured = session.measured().await.unwrap();
        assert!(
            measured.len() == 1 && measured[0].loss.is_finite() && measured[0].loss > 0.0,
            "{name}: {}",
            measured.len()
        );
        let (gradients, after) = (session.gradients().await.unwrap(), session.tensors().await.unwrap());
        for weight in &weights {
            let values = &gradients[&format!("grad/{weight}")].values;
            assert!(values.iter().all(|value| value.is_finite()), "{name}: {weight}");
            assert!(values.iter().any(|value| *value != 0.0), "{name}: no gradient reaches {weight}");
            assert!(after[weight].values != before[weight].values, "{name}: {weight} stays");
        }
    });
}

fn all_learn(is_meant: impl Fn(&str, &Set) -> bool) {
    let meant = |name: &&str| is_meant(name, &recipe(name).data.set);
    BUILTIN.iter().map(|(name, _)| *name).filter(meant).for_each(learns);
}

#[test]
fn networks_for_digits_learn() {
    all_learn(|_, set| matches!(set, Set::Digits(_)));
}

#[test]
fn every_variant_of_vgg_small_learns() {
    all_learn(|name, set| matches!(set, Set::Cifar10(_)) && name.starts_with("vgg-small"));
}

#[test]
fn networks_for_cifar10_learn() {
    all_learn(|name, set| matches!(set, Set::Cifar10(_)) && !name.starts_with("vgg-small"));
}

#[test]
fn networks_for_pictures_learn() {
    all_learn(|_, set| matches!(set, Set::Folder(_)));
}
