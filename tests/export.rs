//! Folded networks: every recipe of the zoo folds to a packed network that gives the CPU backend's
//! logits, bit for bit, and comes back from its file.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "export/networks.rs"]
mod networks;

use halfwave::backend::cpu::CpuBackend;
use halfwave::model::trained_len;
use halfwave::train::Session;
use halfwave_infer::{Kind, Network, Op, Runner};
use networks::Sample;
use pollster::block_on;

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
