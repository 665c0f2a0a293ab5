//! Whole training steps against an independent implementation: PyTorch's run of `assets/reference/digits-hwgq.toml` in float64.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::data::Dataset;
use halfwave::pass;
use halfwave::plan::lower;
use halfwave::recipe::Recipe;
use halfwave::tensor::Tensor;
use halfwave::train::checkpoint::{self, HostTensor};
use halfwave::train::inspect;
use halfwave::train::{Event, Session, Trainer, metrics::Row};
use std::collections::BTreeMap;
use std::path::Path;

/// Relative norm that a float32 engine has no reason to exceed.
const BOUND: f64 = 1e-4;

fn recipe() -> Recipe {
    Recipe::parse(include_str!("../assets/reference/digits-hwgq.toml"), "digits-hwgq.toml").unwrap()
}

fn reference() -> BTreeMap<String, HostTensor> {
    let path = Path::new("assets/reference/digits-hwgq.safetensors");
    checkpoint::from_bytes(&std::fs::read(path).unwrap(), path).unwrap().0
}

fn gpu() -> Option<Box<dyn Backend>> {
    let found = common::adapter()?;
    Some(Box::new(pollster::block_on(GpuBackend::open(found, None)).unwrap()))
}

fn relative_norm(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(expected).map(|(&g, &e)| f64::from(g) - f64::from(e)));
    difference / norm(&mut expected.iter().map(|&e| f64::from(e)))
}

async fn reproduce(backend: Box<dyn Backend>) {
    let (recipe, reference) = (recipe(), reference());
    let dataset = Dataset::load(&recipe.data.set).unwrap();
    let device = backend.name().to_string();
    let session = Session::new(&recipe, backend, true).await.unwrap();
    let mut trainer = Trainer::new(recipe, dataset, session);
    trainer.initialise(&reference).unwrap();

    let mut compared = 0;
    let mut compare = |name: &str, got: &[f32]| {
        let error = relative_norm(got, &reference[name].values);
        println!("{device}: {name} {error:.2e}");
        assert!(error <= BOUND, "{device}: {name} is {error:.2e} away from PyTorch's");
        compared += 1;
    };
    let mut losses = Vec::new();
    let mut collect = |events: Vec<Event>| {
        losses.extend(events.iter().filter_map(|event| match event {
            Event::Row(Row::Step(row)) => Some(row.loss),
            _ => None,
        }));
        !events.is_empty()
    };
    collect(trainer.advance(1).await.unwrap());
    for (name, tensor) in trainer.session().gradients().await.unwrap() {
        assert_eq!(tensor.shape, reference[&name].shape, "{name}");
        compare(&name, &tensor.values);
    }
    while collect(trainer.advance(u64::MAX).await.unwrap()) {}
    compare("loss", &losses);
    for (name, tensor) in trainer.session().tensors().await.unwrap() {
        if !pass::Optimizer::owns(&name) {
            compare(&format!("final/{name}"), &tensor.values);
        }
    }
    let starts = reference.keys().filter(|name| name.starts_with("init/")).count();
    assert_eq!(compared, reference.len() - starts, "every tensor of the reference is compared");
}

#[test]
fn the_cpu_reproduces_pytorch() {
    pollster::block_on(reproduce(Box::new(CpuBackend::new())));
}

#[test]
fn each_driver_reproduces_pytorch() {
    common::on_each_driver("each_driver_reproduces_pytorch", || {
        if let Some(backend) = gpu() {
            pollster::block_on(reproduce(backend));
        }
    });
}

/// Hashes of every code plane, packed sign and integer sum of the first step.
async fn integers(backend: &mut dyn Backend) -> BTreeMap<String, u64> {
    let (recipe, reference) = (recipe(), reference());
    let (loss, optimizer) = (&recipe.train.loss, &recipe.train.optimizer);
    let mut graph = pass::training(&recipe.model, recipe.train.batch, loss, optimizer, false).unwrap();
    inspect::expose(&mut graph);
    let plan = lower(&graph, &backend.caps().clone()).unwrap();
    let id = backend.load(plan).await.unwrap();
    for parameter in halfwave::train::parameters::of(&recipe.model).unwrap() {
        let found = parameter.find("init/", |name| reference.get(name).cloned()).unwrap();
        backend.write(id, &parameter.name, &found.unwrap_or_else(|| parameter.start(0)).words);
    }
    let dataset = Dataset::load(&recipe.data.set).unwrap();
    let (images, labels) = dataset.train.normalised(&(0..64).collect::<Vec<_>>(), recipe.data.scale);
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

/// What all adapters and the CPU must agree on; computed by the twins.
fn expected_integers() -> BTreeMap<String, u64> {
    pollster::block_on(integers(&mut CpuBackend::new()))
}

#[test]
fn integers_are_identical_on_each_driver() {
    let expected = expected_integers();
    // Two quantisers, two binary weights, two binary convolutions, one pool.
    assert_eq!(expected.len(), 7, "{expected:?}");
    common::on_each_driver("integers_are_identical_on_each_driver", || {
        if let Some(mut backend) = gpu() {
            let got = pollster::block_on(integers(&mut *backend));
            got.iter().for_each(|(name, hash)| println!("{}: {name} {hash:016x}", backend.name()));
            assert_eq!(got, expected, "{}", backend.name());
        }
    });
}
