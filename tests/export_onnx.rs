//! ONNX and QONNX files: `onnx.checker` accepts them, onnxruntime and the `qonnx` package compute
//! what halfwave-infer computes. Integers between the first and the last layer are compared one by
//! one.
//!
//! `HALFWAVE_TEST_ONNX` and `HALFWAVE_TEST_QONNX` name the Python programs that have these packages
//! (tools/python-export.sh); without them the tests only write the files, and say so.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "export/every_op.rs"]
mod every_op;
#[path = "export/networks.rs"]
mod networks;

use halfwave::backend::cpu::CpuBackend;
use halfwave::data::Dataset;
use halfwave::export::onnx::{OnnxOptions, Weights, onnx, qonnx};
use halfwave::export::{Trained, fold};
use halfwave::recipe::{Length, Recipe};
use halfwave::train::Trainer;
use halfwave_infer::{Data, Kind, Network, Op, Runner, Type};
use networks::Sample;
use pollster::block_on;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A form in which networks are written, and the Python program that runs it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Onnx,
    Qonnx,
}

impl Form {
    fn write(self, network: &Network, weights: Weights) -> Vec<u8> {
        match self {
            Self::Onnx => onnx(network, &OnnxOptions { weights }).unwrap(),
            Self::Qonnx => qonnx(network).unwrap(),
        }
    }

    /// Checks all files of a folder.
    fn check(self, folder: &Path) {
        let (variable, script) = match self {
            Self::Onnx => ("HALFWAVE_TEST_ONNX", "tests/export/check_onnx.py"),
            Self::Qonnx => ("HALFWAVE_TEST_QONNX", "tests/export/check_qonnx.py"),
        };
        let Some(python) = std::env::var_os(variable) else {
            return eprintln!(
                "SKIPPED: {variable} names no Python program; the files in {} are not checked (tools/python-export.sh)",
                folder.display()
            );
        };
        let output = Command::new(&python).arg(script).arg(folder).output();
        let output = output.unwrap_or_else(|error| panic!("{variable}={}: {error}", python.display()));
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        print!("{text}");
        assert!(output.status.success(), "{script} fails:\n{text}\n{errors}");
    }
}

/// An element of every pixel and channel as a float, in the order H, W, C.
fn numbers(ty: &Type, data: &Data) -> Vec<f32> {
    match data {
        Data::Float(values) => values.clone(),
        Data::Sums(values) => values.iter().map(|&sum| sum as f32).collect(),
        Data::Codes(words) => {
            let (c, of_pixel, plane) = (ty.channels(), ty.words(), ty.pixels() * ty.words());
            let bit = |i: usize, p: usize| words[p * plane + i / c * of_pixel + i % c / 32] >> (i % c % 32) & 1;
            let planes = words.len() / plane;
            (0..ty.len()).map(|i| (0..planes).map(|p| bit(i, p) << p).sum::<u32>() as f32).collect()
        }
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Writes a network, images and what halfwave-infer computes for them: each layer's values, and the
/// logits.
fn write(folder: &Path, name: &str, file: &[u8], network: &Network, images: &[u8]) {
    let runner = Runner::new(network.clone()).unwrap();
    let mut layers = Vec::new();
    let mut trace = Vec::new();
    for (at, image) in images.chunks_exact(network.input.len()).enumerate() {
        runner
            .trace(image, |layer, ty, data| {
                if at == 0 {
                    let exact = ty.kind != Kind::Float;
                    // A quantiser of floats: where its input is close to a threshold, codes may differ.
                    let (of, thresholds) = match (&layer.op, layer.from[0].checked_sub(1)) {
                        (Op::Quantise { thresholds, .. }, Some(of)) => (Some(&network.layers[of].name), &thresholds[..]),
                        _ => (None, &[][..]),
                    };
                    let facts = json!({ "name": layer.name, "shape": ty.shape, "exact": exact, "of": of, "thresholds": thresholds });
                    layers.push(facts);
                }
                trace.extend(bytes(&numbers(ty, data)));
            })
            .unwrap();
    }
    let classes = network.classes.len();
    let facts = json!({ "input": network.input.shape, "classes": classes, "layers": layers });
    let put = |extension: &str, bytes: &[u8]| fs::write(folder.join(format!("{name}.{extension}")), bytes).unwrap();
    put("onnx", file);
    put("json", facts.to_string().as_bytes());
    put("images", images);
    put("logits", &bytes(&runner.batch(images, 2).unwrap()));
    put("trace", &trace);
}

/// Writes recipes with random weights in both forms and checks them; QONNX with one image.
fn come_back(recipes: &[&str], images: usize) {
    let forms = [(Form::Onnx, tempfile::tempdir().unwrap()), (Form::Qonnx, tempfile::tempdir().unwrap())];
    for name in recipes {
        let sample = Sample::noise(name);
        let network = sample.fold().unwrap();
        let packed = network.to_bytes().unwrap().len();
        for (form, folder) in &forms {
            let file = form.write(&network, Weights::Int8);
            println!("{name}: {form:?} {} bytes, packed {packed}", file.len());
            let images = sample.images(if *form == Form::Onnx { images } else { 1 });
            write(folder.path(), name, &file, &network, &images);
        }
    }
    forms.iter().for_each(|(form, folder)| form.check(folder.path()));
}

const SMALL: [&str; 7] =
    ["digits", "digits-float", "lenet", "mlp-sigmoid", "mlp-sigmoid-cross-entropy", "resnet20", "vgg-small-quarter"];

/// Every kind of weight and of quantiser.
const QUANTISERS: [&str; 10] = [
    "vgg-small",
    "vgg-small-bw",
    "vgg-small-bw-sign",
    "vgg-small-dorefa-1-2",
    "vgg-small-dorefa-1-2-6",
    "vgg-small-float",
    "vgg-small-hwgq-3",
    "vgg-small-hwgq-4",
    "vgg-small-hwgq-lloyd",
    "vgg-small-xnor",
];

const LARGE: [&str; 8] =
    ["alexnet", "bnn-convnet", "googlenet", "nin", "resnet18", "resnet50", "vgg11", "vgg11-quarter-bw"];

#[test]
fn every_recipe_is_tested() {
    let mut tested = [&SMALL[..], &QUANTISERS, &LARGE].concat();
    tested.sort_unstable();
    let recipes: Vec<_> = fs::read_dir("assets/recipes").unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut recipes: Vec<_> = recipes.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    recipes.sort_unstable();
    assert_eq!(tested, recipes);
}

/// Writes a network under several names, each with its form of weights, and checks the files.
fn same_answers(form: Form, cases: &[(&str, Weights)], network: &Network, images: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    for &(name, weights) in cases {
        let file = form.write(network, weights);
        println!("{name}: {} bytes, packed {}", file.len(), network.to_bytes().unwrap().len());
        write(folder.path(), name, &file, network, images);
    }
    form.check(folder.path());
}

const WEIGHTS: [(&str, Weights); 3] = [("int8", Weights::Int8), ("int4", Weights::Int4), ("int2", Weights::Int2)];

/// Both forms of a network.
fn both_forms(network: &Network, images: &[u8]) {
    same_answers(Form::Onnx, &WEIGHTS, network, images);
    same_answers(Form::Qonnx, &[("qonnx", Weights::Int8)], network, images);
}

#[test]
fn every_operation_has_the_same_answers() {
    let (network, images) = every_op::network();
    both_forms(&network, &images);
}

#[test]
fn a_layer_without_a_name_is_refused() {
    let (mut network, _) = every_op::network();
    network.layers[2].name.clear();
    let errors = [onnx(&network, &OnnxOptions::default()), qonnx(&network)].map(|file| file.unwrap_err().to_string());
    errors.iter().for_each(|error| assert!(error.contains("layer 3 has no name"), "{error}"));
}

#[test]
fn small_networks_of_the_zoo_have_the_same_answers() {
    come_back(&SMALL, 3);
}

#[test]
fn every_quantiser_of_vgg_small_has_the_same_answers() {
    come_back(&QUANTISERS, 2);
}

#[test]
fn large_networks_of_the_zoo_have_the_same_answers() {
    LARGE.into_iter().for_each(|name| come_back(&[name], 1));
}

/// The digits after some epochs, folded, and the images of the test set.
fn digits() -> (Network, Vec<u8>) {
    let mut recipe = Recipe::digits();
    recipe.train.length = Length::Epochs(3);
    let data = Dataset::load(&recipe.data).unwrap();
    let (classes, images) = (data.class_names.clone(), data.test.in_memory().unwrap().to_vec());
    let mut trainer = block_on(Trainer::new(recipe.clone(), data, Box::new(CpuBackend::new()), false)).unwrap();
    while !trainer.over() {
        block_on(trainer.advance(u64::MAX)).unwrap();
    }
    let accuracy = trainer.evaluated().unwrap().accuracy();
    assert!(accuracy > 0.85, "the digits are classified with {accuracy}");
    let normalise = trainer.normalise().clone();
    let tensors = block_on(trainer.session().tensors()).unwrap();
    let card = BTreeMap::from([("recipe".to_string(), "digits".to_string())]);
    let trained =
        Trained { model: &recipe.model, tensors: &tensors, normalise: &normalise, classes: &classes, card: &card };
    (fold(&trained).unwrap(), images)
}

#[test]
fn trained_digits_have_the_same_answers_on_the_whole_test_set() {
    let (network, images) = digits();
    both_forms(&network, &images);
}
