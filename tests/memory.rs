//! Steps with reduced memory: `memory = "low"`, which changes no bit, and `accumulate`, which
//! changes the order of sums.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "memory/accumulate.rs"]
mod accumulate;
mod common;
#[path = "memory/low.rs"]
mod low;
#[path = "memory/packing.rs"]
mod packing;
#[path = "memory/whole.rs"]
mod whole;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::data::Dataset;
use halfwave::recipe::{Length, Recipe, builtin};
use halfwave::train::metrics::Row;
use halfwave::train::{Event, HostTensor, Trainer};
use pollster::block_on;
use std::collections::BTreeMap;

fn built_in(name: &str) -> Recipe {
    Recipe::parse(builtin(name).unwrap(), name).unwrap()
}

/// The small recipes that cover every kind of layer, by name.
fn small() -> BTreeMap<String, Recipe> {
    let files = std::fs::read_dir("tests/reference/recipes").unwrap().map(|entry| entry.unwrap().path());
    let recipe = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), Recipe::parse(&text, "test.toml").unwrap())
    };
    files.map(recipe).collect()
}

/// The losses and all tensors of a run of a few steps on digits, as bits.
#[derive(PartialEq, Debug)]
struct Outcome {
    losses: Vec<u32>,
    tensors: BTreeMap<String, Vec<u32>>,
}

fn bits(tensor: HostTensor) -> Vec<u32> {
    tensor.values.into_iter().map(f32::to_bits).collect()
}

/// Runs at most this many steps, in epochs of two full batches and a shorter one.
fn outcome(recipe: &Recipe, steps: u64, backend: Box<dyn Backend>) -> Outcome {
    let mut recipe = recipe.clone();
    recipe.train.length = Length::Steps(steps);
    let mut data = Dataset::load(&recipe.data).unwrap();
    let len = (2 * recipe.train.batch + recipe.train.batch / 2 + 2) as u32;
    data.train = data.train.select(&(0..len).collect::<Vec<_>>());
    data.test = data.test.select(&(0..8).collect::<Vec<_>>());
    let mut trainer = block_on(Trainer::new(recipe, data, backend, false)).unwrap();
    let mut losses = Vec::new();
    loop {
        let events = block_on(trainer.advance(u64::MAX)).unwrap();
        if events.is_empty() {
            break;
        }
        losses.extend(events.iter().filter_map(|event| match event {
            Event::Row(Row::Step(row)) => Some(row.loss.to_bits()),
            _ => None,
        }));
    }
    assert_eq!(losses.len() as u64, steps);
    let tensors = block_on(trainer.session().tensors()).unwrap();
    Outcome { losses, tensors: tensors.into_iter().map(|(name, tensor)| (name, bits(tensor))).collect() }
}

fn cpu() -> Box<dyn Backend> {
    Box::new(CpuBackend::new())
}

fn gpu() -> Option<Box<dyn Backend>> {
    Some(Box::new(block_on(GpuBackend::open(common::adapter()?, None)).unwrap()))
}
