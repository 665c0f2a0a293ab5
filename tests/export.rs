//! Folded networks: every recipe of the zoo folds to a packed network that gives the CPU backend's
//! logits, bit for bit, and comes back from its file.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
#[path = "export/networks.rs"]
mod networks;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::data::{Dataset, Normalise};
use halfwave::export::DeviceRunner;
use halfwave::export::onnx::{self, OnnxOptions};
use halfwave::metrics::Row;
use halfwave::model::trained_len;
use halfwave::recipe::{Length, Recipe, builtin};
use halfwave::train::evaluate::winner;
use halfwave::train::inspect::Exact;
use halfwave::train::{Session, Trainer};
use halfwave_infer::{Data, Kind, Layer, Network, Op, Runner, Type};
use networks::Sample;
use pollster::block_on;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// The engine's logits of images: bytes.
fn expected(sample: &Sample, images: &[u8]) -> Vec<f32> {
    let mut session = block_on(Session::new(&sample.recipe, Box::new(CpuBackend::new()), false)).unwrap();
    session.set_tensors(&sample.tensors, "", 0).unwrap();
    block_on(session.logits(&sample.normalise.images(images))).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn comes_back(name: &str, images: usize) {
    let sample = Sample::noise(name);
    let network = sample.fold().unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = network.to_bytes().unwrap();
    // For tools/compare-inference.py.
    if let Some(dir) = std::env::var_os("HALFWAVE_EXPORT_DIR").map(PathBuf::from) {
        fs::write(dir.join(format!("{name}.packed.safetensors")), &bytes).unwrap();
        fs::write(dir.join(format!("{name}.onnx")), onnx::onnx(&network, &OnnxOptions::default()).unwrap()).unwrap();
    }
    assert_eq!(Network::read(&bytes).unwrap(), network, "{name}");
    let images = sample.images(images);
    let runner = Runner::new(network).unwrap();
    let (found, wanted) = (runner.batch(&images, 2).unwrap(), expected(&sample, &images));
    assert!(wanted.iter().any(|&logit| logit != wanted[0]), "{name}: the logits are all equal");
    assert_eq!(bits(&found), bits(&wanted), "{name}: {found:?} instead of {wanted:?}");
    let f32_bytes = 4 * trained_len(&sample.recipe.model.parameters().unwrap());
    println!("{name}: {} bytes, 1/{:.1} of f32's", bytes.len(), f32_bytes as f64 / bytes.len() as f64);
}

#[test]
fn small_networks_of_the_zoo_come_back() {
    for name in ["digits", "digits-float", "lenet", "mlp-sigmoid", "resnet20", "vgg-small-quarter"] {
        comes_back(name, 3);
    }
}

#[test]
fn every_quantiser_of_vgg_small_comes_back() {
    for name in [
        "vgg-small",
        "vgg-small-bw",
        "vgg-small-bw-sign",
        "vgg-small-float",
        "vgg-small-dorefa-1-2",
        "vgg-small-hwgq-lloyd",
        "vgg-small-xnor",
    ] {
        comes_back(name, 1);
    }
}

#[test]
fn large_networks_of_the_zoo_come_back() {
    for name in ["alexnet", "bnn-convnet", "googlenet", "nin", "resnet18", "resnet50", "vgg11"] {
        comes_back(name, 1);
    }
}

#[test]
fn a_plain_network_has_integers_between_its_first_and_last_layer() {
    let network = Sample::noise("vgg-small").fold().unwrap();
    let types = network.types().unwrap();
    let first = network.layers.iter().position(|layer| matches!(layer.op, Op::Quantise { .. })).unwrap();
    let last = network.layers.iter().rposition(|layer| matches!(layer.op, Op::PackedConv { .. })).unwrap();
    assert!(first < last);
    for (layer, ty) in network.layers[first..last].iter().zip(&types[first + 1..]) {
        assert_ne!(ty.kind, Kind::Float, "{} computes floats", layer.name);
    }
}

/// Networks whose packed convolutions all give integers run on devices, too.
#[test]
fn devices_give_the_same_answers() {
    common::on_each_driver("devices_give_the_same_answers", || {
        for name in ["digits", "lenet", "resnet20", "vgg-small-quarter", "vgg-small-bw-sign", "vgg-small-xnor"] {
            let sample = Sample::noise(name);
            let network = sample.fold().unwrap();
            let classes = network.classes.len();
            let images = sample.images(5);
            let expected = Runner::new(network.clone()).unwrap().batch(&images, 2).unwrap();
            // The last batch is shorter.
            let Some(found) = common::adapter() else { return };
            let backend = block_on(GpuBackend::open(found, None)).unwrap();
            let mut runner = block_on(DeviceRunner::new(network, backend, 3)).unwrap();
            let found = block_on(runner.logits(&images)).unwrap();
            let largest = expected.iter().fold(0.0f32, |most, logit| most.max(logit.abs()));
            let error = found.iter().zip(&expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
            println!("{name}: logits within {error:e} of the largest");
            assert!(error < 1e-5, "{name}: {found:?} instead of {expected:?}");
            let class = |logits: &[f32]| logits.chunks(classes).map(winner).collect::<Vec<_>>();
            assert_eq!(class(&found), class(&expected), "{name}");
        }
    });
}

#[test]
fn what_has_no_kernel_is_refused_by_layer() {
    let network = Sample::noise("vgg-small-hwgq-lloyd").fold().unwrap();
    let error = block_on(DeviceRunner::new(network, CpuBackend::new(), 1)).err().unwrap().to_string();
    assert!(error.contains("conv2") && error.contains("processor"), "{error}");
}

/// A digits network that was trained for some epochs on the CPU backend, and its data set.
fn trained() -> (Sample, Dataset) {
    let mut recipe = Recipe::digits();
    recipe.train.length = Length::Epochs(3);
    let data = Dataset::load(&recipe.data).unwrap();
    let mut trainer = block_on(Trainer::new(recipe.clone(), data.clone(), Box::new(CpuBackend::new()), false)).unwrap();
    block_on(trainer.run(&mut |_: &Row| {})).unwrap();
    let tensors = block_on(trainer.session().tensors()).unwrap();
    let normalise = Normalise::new(&recipe.data);
    (Sample { recipe, tensors, normalise }, data)
}

/// Codes, sums and classes of the whole test set, on the CPU backend and on each driver; on the CPU
/// backend the bits of the logits, too.
#[test]
fn trained_digits_give_the_engines_codes_and_classes() {
    common::on_each_driver("trained_digits_give_the_engines_codes_and_classes", || {
        let (sample, data) = trained();
        let runner = Runner::new(sample.fold().unwrap()).unwrap();
        let pixels = data.test.in_memory().unwrap();
        let floats = sample.normalise.images(pixels);
        let (len, images) = (runner.network().input.len(), data.test.len());
        let mut codes: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for image in pixels.chunks_exact(len) {
            let visit = |layer: &Layer, ty: &Type, data: &Data| match (ty.kind, data) {
                (Kind::Codes(bits), Data::Codes(words)) => {
                    codes.entry(layer.name.clone()).or_default().extend(integers(words, ty, bits.into()));
                }
                (_, Data::Sums(sums)) => codes.entry(layer.name.clone()).or_default().extend(sums),
                _ => {}
            };
            runner.trace(image, visit).unwrap();
        }
        let logits = runner.batch(pixels, 2).unwrap();
        let classes: Vec<_> = logits.chunks_exact(10).map(winner).collect();
        let labels = data.test.labels.iter().map(|&label| usize::from(label));
        let right = classes.iter().zip(labels).filter(|(class, label)| *class == label).count();
        assert!(right * 10 > images * 8, "{right} of {images} are classified correctly");

        let adapter = common::adapter().map(|found| block_on(GpuBackend::open(found, None)).unwrap());
        let gpu = adapter.map(|backend| Box::new(backend) as Box<dyn Backend>);
        for (exact, backend) in [(true, Some(Box::new(CpuBackend::new()) as _)), (false, gpu)] {
            let Some(backend) = backend else { continue };
            let mut session = block_on(Session::new(&sample.recipe, backend, false)).unwrap();
            session.set_tensors(&sample.tensors, "", 0).unwrap();
            let found = block_on(session.logits(&floats)).unwrap();
            assert_eq!(
                found.chunks_exact(10).map(winner).collect::<Vec<_>>(),
                classes,
                "classes on {}",
                session.device()
            );
            assert!(!exact || bits(&found) == bits(&logits), "logits of the CPU backend");
            let mut compared = 0;
            for activation in block_on(session.inspect(&floats)).unwrap() {
                let known = codes.get(&activation.layer).filter(|_| activation.exact != Exact::Signs);
                if let Some(known) = known {
                    assert!(activation.values() == *known, "{} on {}", activation.layer, session.device());
                    compared += 1;
                }
            }
            println!("{}: {compared} layers of {images} images have the same integers", session.device());
            assert!(compared >= 4);
        }
    });
}

/// The codes of a tensor, H, W, C.
fn integers(words: &[u32], ty: &Type, bits: usize) -> Vec<i32> {
    let (c, row, plane) = (ty.channels(), ty.words(), ty.pixels() * ty.words());
    let bit = |p: usize, i: usize| (words[p * plane + i / c * row + i % c / 32] >> (i % c % 32) & 1) as i32;
    (0..ty.len()).map(|i| (0..bits).map(|p| bit(p, i) << p).sum()).collect()
}

/// The whole test set of CIFAR-10, with the bits of the CPU backend's logits.
#[test]
fn a_trained_vgg_small_quarter_gives_the_engines_logits() {
    let Some(dir) = std::env::var_os("CIFAR10_DIR") else {
        return eprintln!("SKIPPED: CIFAR10_DIR is not set");
    };
    let text = builtin("vgg-small-quarter").unwrap();
    let mut recipe = Recipe::parse(text, "vgg-small-quarter").unwrap();
    *recipe.data.set.location().unwrap().path = dir.into();
    (recipe.train.length, recipe.train.batch) = (Length::Steps(100), 50);
    let data = Dataset::load(&recipe.data).unwrap();
    let mut trainer = block_on(Trainer::new(recipe.clone(), data.clone(), Box::new(CpuBackend::new()), false)).unwrap();
    block_on(trainer.advance(12)).unwrap();
    let tensors = block_on(trainer.session().tensors()).unwrap();
    let normalise = Normalise::new(&recipe.data).centred(recipe.data.set.source(), recipe.model.input);
    let sample = Sample { recipe, tensors, normalise };
    let runner = Runner::new(sample.fold().unwrap()).unwrap();
    let mut session = block_on(Session::new(&sample.recipe, Box::new(CpuBackend::new()), false)).unwrap();
    session.set_tensors(&sample.tensors, "", 0).unwrap();
    let (all, mut classes): (Vec<u32>, BTreeSet<_>) = ((0..data.test.len() as u32).collect(), BTreeSet::new());
    for chunk in all.chunks(1000) {
        let pixels = data.test.centre_crops(chunk).unwrap();
        let expected = block_on(session.logits(&sample.normalise.images(&pixels))).unwrap();
        let found = runner.batch(&pixels, 2).unwrap();
        assert!(bits(&found) == bits(&expected), "images from {} on", chunk[0]);
        classes.extend(found.chunks_exact(10).map(winner));
    }
    assert!(classes.len() > 1, "only the classes {classes:?} are predicted");
    println!("{} images have the same bits; {} classes are predicted", all.len(), classes.len());
}
