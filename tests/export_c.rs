//! Networks exported to C: compiled with the host's compiler and, where they are installed, with
//! those for a Cortex-M4 and for RISC-V, they give the bits of `halfwave-infer`.
//!
//! `REQUIRE_CROSS=1` makes a missing cross compiler or emulator a failure.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "export/compilers.rs"]
mod compilers;
#[path = "export/networks.rs"]
mod networks;
#[path = "export/pieces.rs"]
mod pieces;

use compilers::{CHECKED, CROSS, GNU, HOST, UNCHECKED, clang};
use halfwave::backend::cpu::CpuBackend;
use halfwave::data::{Dataset, Pixels};
use halfwave::export::{CFiles, Network, Trained, c, fold};
use halfwave::recipe::{Recipe, builtin};
use halfwave::train::Trainer;
use halfwave_infer::{Runner, largest};
use networks::Sample;
use pollster::block_on;
use std::collections::BTreeSet;
use std::path::Path;

fn export(network: &Network) -> CFiles {
    c(network, "net").unwrap()
}

/// Compares a network's program with the runner.
fn comes_back(name: &str, network: Network, images: &[u8], checked: bool) -> CFiles {
    let files = export(&network);
    let runner = Runner::new(network).unwrap();
    HOST.agrees(name, &files, &runner, images);
    if checked {
        CHECKED.agrees(name, &files, &runner, images);
    }
    println!("{name}: {} bytes of constants, {} bytes of memory", files.flash, files.ram);
    files
}

fn noise(name: &str, images: usize, checked: bool) {
    let sample = Sample::noise(name);
    comes_back(name, sample.fold().unwrap(), &sample.images(images), checked);
}

/// Bytes for images of a network.
fn bytes(network: &Network, count: usize) -> Vec<u8> {
    let mut random = halfwave::random::Random::new(3, "bytes");
    (0..count * network.input.len()).map(|_| random.word() as u8).collect()
}

/// The digits network after some epochs, and the images and labels of its test set.
fn trained_digits(epochs: u64) -> (Network, Vec<u8>, Vec<u16>) {
    let recipe = Recipe::parse(builtin("digits").unwrap(), "digits").unwrap();
    let data = Dataset::load(&recipe.data).unwrap();
    let Pixels::Memory(images) = data.test.pixels.clone() else { panic!("the digits are embedded") };
    let (labels, classes) = (data.test.labels.clone(), data.class_names.clone());
    let mut trainer = block_on(Trainer::new(recipe.clone(), data, Box::new(CpuBackend::new()), false)).unwrap();
    for _ in 0..epochs * trainer.epoch_steps() {
        block_on(trainer.advance(1)).unwrap();
    }
    let tensors = block_on(trainer.session().tensors()).unwrap();
    let normalise = trainer.normalise().clone();
    let card = Default::default();
    let model = &recipe.model;
    let network = fold(&Trained { model, tensors: &tensors, normalise: &normalise, classes: &classes, card: &card });
    (network.unwrap(), images, labels)
}

#[test]
fn trained_digits_agree_everywhere() {
    let (network, images, labels) = trained_digits(3);
    let files = comes_back("digits", network.clone(), &images, true);
    let runner = Runner::new(network).unwrap();
    let logits = runner.batch(&images, 2).unwrap();
    let right = logits.chunks_exact(10).zip(&labels).filter(|(logits, label)| largest(logits) == usize::from(**label));
    let accuracy = right.count() as f64 / labels.len() as f64;
    println!("accuracy {accuracy:.3}");
    assert!(accuracy > 0.8, "{accuracy}");
    assert!(files.ram < 16 << 10, "{} bytes of memory", files.ram);
    GNU.agrees("digits", &files, &runner, &images);
    match clang() {
        Some(clang) => clang.agrees("digits", &files, &runner, &images),
        None => eprintln!("SKIPPED: clang is not there (tools/install-test-deps.sh)"),
    }
    for target in CROSS.iter().filter(|target| target.is_there()) {
        target.agrees("digits", &files, &runner, &images);
    }
}

#[test]
fn small_networks_of_the_zoo_agree() {
    for name in ["digits-float", "lenet", "resnet20", "vgg-small-quarter"] {
        noise(name, 3, true);
    }
}

#[test]
fn every_quantiser_of_vgg_small_agrees() {
    for name in ["vgg-small-bw", "vgg-small-bw-sign", "vgg-small-dorefa-1-2", "vgg-small-hwgq-lloyd", "vgg-small-xnor"]
    {
        noise(name, 1, false);
    }
}

#[test]
fn every_operation_agrees() {
    let pieces = [
        ("codes", pieces::codes()),
        ("levels", pieces::levels()),
        ("signs", pieces::signs()),
        ("pools", pieces::pools()),
        ("exact curves", pieces::curves(true)),
    ];
    let mut sources = String::new();
    for (name, network) in pieces {
        let images = bytes(&network, 20);
        let files = comes_back(name, network.clone(), &images, true);
        let runner = Runner::new(network).unwrap();
        for target in clang().iter().chain(CROSS.iter().filter(|target| target.is_there())) {
            target.agrees(name, &files, &runner, &images);
        }
        sources += &files.source;
    }
    sources += &export(&pieces::curves(false)).source;
    // The functions of the library are all part of these networks.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/export/c");
    let mut missing = BTreeSet::new();
    for file in ["windows", "sums", "floats", "curves", "integers", "codes", "packed"] {
        let text = std::fs::read_to_string(folder.join(file).with_extension("c")).unwrap();
        for line in text.lines().filter(|line| line.starts_with("static ")) {
            if !sources.contains(line) {
                missing.insert(line.to_string());
            }
        }
    }
    assert!(missing.is_empty(), "no network has {missing:?}");
}

/// A threshold that is off by one, or a bit beyond the last channel, changes logits.
#[test]
fn a_wrong_program_is_noticed() {
    for (network, right, wrong) in [
        (pieces::codes(), "code += in[c] >= thresholds[i];", "code += in[c] > thresholds[i];"),
        (pieces::pools(), "code += x >= thresholds[i];", "code += x > thresholds[i];"),
        (pieces::signs(), "field[plane + words - 1] >>= words * 32 - channels;", ";"),
        (pieces::levels(), "(level >> b & 1)", "(level + 1 >> b & 1)"),
    ] {
        let mut files = export(&network);
        let images = bytes(&network, 20);
        let run = |files: &CFiles| UNCHECKED.run(files, &images, network.input.len());
        let before = run(&files);
        assert_eq!(files.source.matches(right).count(), 1, "{right}");
        files.source = files.source.replace(right, wrong);
        assert_ne!(run(&files), before, "{wrong}");
    }
}

/// The C library's exponential may differ in the last bits from that of `halfwave-infer`.
#[test]
fn curves_agree_up_to_rounding() {
    let sample = Sample::noise("mlp-sigmoid");
    let curves = pieces::curves(false);
    let images = bytes(&curves, 20);
    for (name, network, images) in
        [("mlp-sigmoid", sample.fold().unwrap(), sample.images(20)), ("curves", curves, images)]
    {
        let files = export(&network);
        assert!(files.header.contains("expf"), "{}", files.header);
        let runner = Runner::new(network).unwrap();
        let lines = HOST.run(&files, &images, runner.network().input.len());
        let expected = runner.batch(&images, 2).unwrap();
        let classes = runner.network().classes.len();
        let (mut worst, mut different) = (0f32, 0);
        for (line, expected) in lines.iter().zip(expected.chunks_exact(classes)) {
            let mut words = line.split(' ');
            let class: usize = words.next().unwrap().parse().unwrap();
            assert_eq!(class, largest(expected), "{name}");
            for (word, expected) in words.zip(expected) {
                let logit = f32::from_bits(u32::from_str_radix(word, 16).unwrap());
                worst = worst.max((logit - expected).abs() / expected.abs().max(1.0));
                different += usize::from(logit != *expected);
            }
        }
        println!("{name}: {different} of {} logits differ, at most by {worst:.1e}", expected.len());
        assert!(worst < 1e-5, "{name}: {worst}");
    }
}

#[test]
fn headers_are_right_for_cpp_and_texts_do_not_end_comments() {
    let network = pieces::levels();
    let files = export(&network);
    let lines = HOST.run(&files, &bytes(&network, 1), network.input.len());
    assert_eq!(lines[1..], ["a", "*/ b", "\"c\\??/", "", "é", "%s"]);
    assert!(files.header.contains("extern \"C\""));
}

#[test]
fn what_c_cannot_express_is_refused() {
    let mut network = pieces::curves(true);
    for name in ["", "Net", "3", "a-b"] {
        assert!(c(&network, name).unwrap_err().to_string().contains("lower-case"));
    }
    network.classes[2] = "x".repeat(1001);
    assert!(c(&network, "net").unwrap_err().to_string().contains("class name"));
    network.classes.pop();
    assert!(c(&network, "net").unwrap_err().to_string().contains("classes"));
}
