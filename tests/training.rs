//! A whole training step: its integers are bit-identical on every device. (`tests/reference.rs`
//! compares whole runs with PyTorch's.)
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::caps::Choice;
use halfwave::data::{Dataset, Normalise};
use halfwave::pass::{self, ImageInput};
use halfwave::plan::lower;
use halfwave::recipe::Recipe;
use halfwave::tensor::Tensor;
use halfwave::train::checkpoint::{self, HostTensor};
use halfwave::train::inspect;
use std::collections::BTreeMap;
use std::path::Path;

fn recipe() -> Recipe {
    Recipe::parse(include_str!("../assets/reference/digits-hwgq.toml"), "digits-hwgq.toml").unwrap()
}

fn reference() -> BTreeMap<String, HostTensor> {
    let path = Path::new("assets/reference/digits-hwgq.safetensors");
    checkpoint::from_bytes(&std::fs::read(path).unwrap(), path).unwrap().0
}

/// A backend that uses cooperative matrices wherever a kernel supports them.
fn on_matrices() -> Box<dyn Backend> {
    let found = common::adapter().unwrap();
    let request = common::on_matrices(&found);
    Box::new(pollster::block_on(GpuBackend::open(found, request)).unwrap())
}

fn gpu() -> Option<Box<dyn Backend>> {
    let found = common::adapter()?;
    Some(Box::new(pollster::block_on(GpuBackend::open(found, None)).unwrap()))
}

/// Hashes of every code plane, packed sign and integer sum of the first step.
async fn integers(backend: &mut dyn Backend) -> BTreeMap<String, u64> {
    let (recipe, reference) = (recipe(), reference());
    let (loss, optimizer) = (&recipe.train.loss, &recipe.train.optimizer);
    let mut graph =
        pass::training(&recipe.model, recipe.train.batch, &ImageInput::Floats, loss, optimizer, false).unwrap();
    inspect::expose(&mut graph);
    let plan = lower(&graph, &backend.caps().clone()).unwrap();
    if let Some(Choice { kernel, .. }) = backend.caps().choices.get("bconv") {
        let label = format!("bconv_{kernel}");
        assert!(plan.kernels.iter().any(|kernel| kernel.label == label), "the plan has no {label}");
    }
    let id = backend.load(plan).await.unwrap();
    for parameter in recipe.model.parameters().unwrap() {
        let found = parameter.find("init/", |name| reference.get(name).cloned()).unwrap();
        backend.write(id, &parameter.name, &found.unwrap_or_else(|| parameter.start(0)).words);
    }
    let dataset = Dataset::load(&recipe.data).unwrap();
    let (images, labels) =
        dataset.train.normalised(&(0..64).collect::<Vec<_>>(), &Normalise::new(&recipe.data)).unwrap();
    backend.write(id, "images", &Tensor::from_f32(&[64, 8, 8, 1], &images).words);
    backend.write(id, "labels", &Tensor::from_u32(&[64], &labels).words);
    backend.write(id, "step", &[0; 4]);
    backend.write(id, "rates", &Tensor::from_f32(&[4], &optimizer.rates(0.05, 1)).words);
    backend.run(id).unwrap();
    let mut hashes = BTreeMap::new();
    for activation in inspect::read(backend, id).await.unwrap() {
        let name = format!("{} {} {}", activation.layer, activation.stem, activation.ty);
        assert!(activation.words.iter().any(|&word| word != 0), "{name} is all zero");
        hashes.insert(name, activation.hash());
    }
    hashes
}

/// The hashes on which all adapters and the CPU must agree, computed by the reference
/// implementations.
fn expected_integers() -> BTreeMap<String, u64> {
    pollster::block_on(integers(&mut CpuBackend::new()))
}

#[test]
fn integers_are_identical_on_each_driver() {
    let expected = expected_integers();
    // Two quantisers, two binary weights, two binary convolutions, one pool with its argmax.
    assert_eq!(expected.len(), 8, "{expected:?}");
    common::on_each_driver("integers_are_identical_on_each_driver", || {
        if let Some(mut backend) = gpu() {
            let got = pollster::block_on(integers(&mut *backend));
            got.iter().for_each(|(name, hash)| println!("{}: {name} {hash:016x}", backend.name()));
            assert_eq!(got, expected, "{}", backend.name());
        }
    });
}

#[test]
fn integers_are_identical_on_cooperative_matrices() {
    let expected = expected_integers();
    common::on_coop_driver("integers_are_identical_on_cooperative_matrices", || {
        let mut backend = on_matrices();
        let got = pollster::block_on(integers(&mut *backend));
        assert_eq!(got, expected, "{}", backend.name());
    });
}
