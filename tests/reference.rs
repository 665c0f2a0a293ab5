//! Whole training runs compared with an independent implementation: PyTorch in float64, for every
//! recipe in `tests/reference/recipes` (and for the older network in `assets/reference`).
//! `tests/reference/torch_reference.py` generated the results.
//!
//! **Tolerance.** PyTorch's own run in float32 is within 2e-5 of its run in float64 in every tensor
//! of every case (`torch_reference.py --float32`), after all steps: no value is so near a threshold
//! that rounding decides. A float32 engine should therefore not differ by more than 1e-4.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::data::Dataset;
use halfwave::model::builtin_kinds;
use halfwave::pass;
use halfwave::recipe::{Curve, Loss, Recipe, Rule, Sgd};
use halfwave::schema::{Key, Kinds, Purpose, Setting, Visitor};
use halfwave::train::checkpoint::{self, HostTensor};
use halfwave::train::session::training_plan;
use halfwave::train::{Event, Trainer, metrics::Row};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Bound of the relative norm of a difference; where zeros are expected there must be zeros.
const BOUND: f64 = 1e-4;
const RESULTS: &str = "assets/reference";

/// A recipe with PyTorch's results.
struct Case {
    name: String,
    recipe: Recipe,
    expected: BTreeMap<String, HostTensor>,
}

/// Returns the files of a folder with this suffix, by the rest of their names.
fn files(folder: &str, extension: &str) -> BTreeMap<String, PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect()
}

/// Recipes by name.
fn recipes() -> BTreeMap<String, PathBuf> {
    files("tests/reference/recipes", "toml").into_iter().chain(files(RESULTS, "toml")).collect()
}

impl Case {
    fn read(name: &str, path: &Path) -> Self {
        let recipe = Recipe::parse(&std::fs::read_to_string(path).unwrap(), &path.display().to_string()).unwrap();
        let path = Path::new(RESULTS).join(format!("{name}.safetensors"));
        let expected = checkpoint::from_bytes(&std::fs::read(&path).unwrap(), &path).unwrap().0;
        Self { name: name.to_string(), recipe, expected }
    }

    /// Runs the case on a backend, and returns the relative norm of the difference from PyTorch for
    /// each tensor.
    async fn run(&self, backend: Box<dyn Backend>) -> BTreeMap<String, f64> {
        let dataset = Dataset::load(&self.recipe.data).unwrap();
        let mut trainer = Trainer::new(self.recipe.clone(), dataset, backend, true).await.unwrap();
        trainer.initialise(&self.expected).unwrap();
        let mut errors = BTreeMap::new();
        let mut compare = |name: String, got: &HostTensor| {
            let expected = self.expected.get(&name).unwrap_or_else(|| panic!("{}: PyTorch has no {name}", self.name));
            assert_eq!(got.shape, expected.shape, "{}: {name}", self.name);
            errors.insert(name, relative_norm(&got.values, &expected.values));
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
        // The logits and "grad/…" of every parameter.
        for (name, tensor) in trainer.session().gradients().await.unwrap() {
            compare(name, &tensor);
        }
        while collect(trainer.advance(u64::MAX).await.unwrap()) {}
        compare("loss".to_string(), &HostTensor { shape: vec![losses.len()], values: losses });
        for (name, tensor) in trainer.session().tensors().await.unwrap() {
            if !pass::Optimizer::owns(&name) {
                compare(format!("final/{name}"), &tensor);
            }
        }
        let wanted: BTreeSet<_> = self.expected.keys().filter(|name| !name.starts_with("init/")).collect();
        assert_eq!(errors.keys().collect::<BTreeSet<_>>(), wanted, "{}: left what was compared", self.name);
        errors
    }
}

fn relative_norm(got: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(expected).map(|(&g, &e)| f64::from(g) - f64::from(e)));
    match norm(&mut expected.iter().map(|&e| f64::from(e))) {
        0.0 if difference == 0.0 => 0.0,
        expected => difference / expected,
    }
}

/// Runs the wanted cases, and lists the tensors whose difference is too large.
fn reproduce(wanted: impl Fn(&str) -> bool, mut backend: impl FnMut() -> Box<dyn Backend>) {
    let mut failures = Vec::new();
    for (name, path) in recipes().into_iter().filter(|(name, _)| wanted(name)) {
        let case = Case::read(&name, &path);
        let errors = pollster::block_on(case.run(backend()));
        let (worst, error) = errors.iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        println!("{name:<28} {:>3} tensors, worst {error:.1e} {worst}", errors.len());
        let far = errors.iter().filter(|(_, error)| error.is_nan() || **error > BOUND);
        failures.extend(far.map(|(tensor, error)| format!("{name}: {tensor} is {error:.2e} away")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_result_has_a_recipe_and_ten_steps_at_least() {
    let (recipes, results) = (recipes(), files(RESULTS, "safetensors"));
    assert_eq!(recipes.keys().collect::<Vec<_>>(), results.keys().collect::<Vec<_>>(), "left recipes, right results");
    assert!(recipes.len() >= 3, "{recipes:?}");
    for (name, path) in recipes {
        let losses = &Case::read(&name, &path).expected["loss"];
        assert!(losses.values.len() >= 10, "{name} has {} steps", losses.values.len());
    }
}

/// The words that keys of layers can have: all of them for [`Purpose::List`], else those in use.
struct Words {
    purpose: Purpose,
    kind: &'static str,
    found: BTreeSet<String>,
}

impl Visitor for Words {
    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn visit(&mut self, key: Key, setting: Setting<'_>) {
        let Setting::Word(at, words) = setting else { return };
        let shown = if self.purpose == Purpose::List { words } else { &words[*at..=*at] };
        // A linear layer uses its weights like a convolution.
        let kind = if self.kind == "linear" { "conv" } else { self.kind };
        self.found.extend(shown.iter().map(|word| format!("{kind}, {} = {word}", key.name)));
    }
}

/// Every kind of layer with every word of its keys, and every loss, optimiser and schedule occur in
/// a PyTorch run.
#[test]
fn everything_is_compared_with_pytorch() {
    let mut there = Words { purpose: Purpose::List, kind: "", found: BTreeSet::new() };
    for kind in builtin_kinds().iter() {
        there.kind = kind.name;
        there.found.insert(kind.name.to_string());
        kind.start.clone().keys().keys(&mut there);
    }
    let mut compared = Words { purpose: Purpose::Write, kind: "", found: BTreeSet::new() };
    let mut training = BTreeSet::new();
    for (name, path) in recipes() {
        let Recipe { model, train, .. } = Case::read(&name, &path).recipe;
        for mut layer in model.layers {
            compared.kind = layer.kind.name();
            compared.found.insert(compared.kind.to_string());
            layer.kind.keys().keys(&mut compared);
        }
        training.extend([train.loss.name(), train.schedule.curve.name(), train.optimizer.name()]);
    }
    assert_eq!(compared.found, there.found, "left: compared; right: there is");
    let kinds: [&dyn Kinds; 3] = [&Loss::default(), &Curve::default(), &Rule::from(Sgd::default())];
    let all = kinds.iter().flat_map(|kinds| kinds.all()).map(|(name, _)| name);
    assert_eq!(training, all.collect::<BTreeSet<_>>(), "left: compared; right: there is");
}

#[test]
fn the_cpu_reproduces_pytorch() {
    reproduce(|_| true, || Box::new(CpuBackend::new()));
}

/// Cases with every operation, for drivers that take long to compile kernels.
const SOME: [&str; 16] = [
    "abc",
    "activations-pieces",
    "apot",
    "bnn",
    "concat-codes",
    "digits-hwgq",
    "dorefa-gradients",
    "dropout",
    "fixed-weights",
    "groups",
    "optimizer-bop",
    "optimizer-clip",
    "optimizer-lion",
    "optimizer-nesterov",
    "slice",
    "xnor",
];

#[test]
fn some_cases_have_every_operation() {
    let (mut some, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (name, path) in recipes() {
        let recipe = Case::read(&name, &path).recipe;
        let plan = training_plan(&recipe, recipe.train.batch, &Caps::baseline(DeviceClass::Software)).unwrap();
        let stems = plan.nodes.iter().map(|node| node.op.stem());
        if SOME.contains(&&*name) {
            some.extend(stems.clone())
        }
        all.extend(stems);
    }
    assert_eq!(some, all, "left: some; right: all");
}

#[test]
fn each_driver_reproduces_pytorch() {
    common::on_each_driver("each_driver_reproduces_pytorch", || {
        if let Some(found) = common::adapter() {
            let slow = found.report.name.contains("SwiftShader") || std::env::var_os("HALFWAVE_TEST_SOME").is_some();
            let open = || GpuBackend::open(common::adapter().unwrap(), None);
            let wanted = |name: &str| !slow || SOME.contains(&name);
            reproduce(wanted, || Box::new(pollster::block_on(open()).unwrap()));
        }
    });
}

/// With all products on cooperative matrices and floats split into two halves: a network with
/// packed convolutions, and one with float convolutions and linear layers of every kind.
#[test]
fn matrices_reproduce_pytorch() {
    common::on_coop_driver("matrices_reproduce_pytorch", || {
        let open = || {
            let found = common::adapter().unwrap();
            let request = common::on_matrices(&found);
            Box::new(pollster::block_on(GpuBackend::open(found, request)).unwrap())
        };
        let recipes = ["digits-hwgq", "shortcut"];
        reproduce(|name| recipes.contains(&name), || open());
    });
}
