//! Kernels that rest on the driver are compared with their reference before they are used, once; one that is wrong is replaced by the next, and training goes on with right numbers.
//!
//! A driver that computes wrongly is played by a backend that alters what certain kernels wrote.
#![allow(clippy::unwrap_used)]

mod common;

use halfwave::backend::gpu::{GpuBackend, Request};
use halfwave::backend::{Backend, Clock, Grain, LocalFuture, PlanId, TimedRun, cpu::CpuBackend};
use halfwave::caps::{Caps, Coop, DeviceClass};
use halfwave::first_use;
use halfwave::ops::{self, Graph};
use halfwave::pass::Feed;
use halfwave::plan::{Plan, lower};
use halfwave::recipe::Recipe;
use halfwave::variant::verdict_key;
use halfwave::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The CPU backend in place of a GPU, whose kernels with these labels give wrong results.
struct Broken {
    cpu: CpuBackend,
    caps: Caps,
    wrong: Vec<String>,
    /// Labels of the kernels of every plan that was run.
    ran: Rc<RefCell<Vec<Vec<String>>>>,
}

impl Broken {
    fn new(wrong: &[&str]) -> Self {
        let wrong = wrong.iter().map(ToString::to_string).collect();
        Self { cpu: CpuBackend::new(), caps: Caps::unlimited(DeviceClass::Gpu), wrong, ran: Rc::default() }
    }

    fn labels(&self, id: PlanId) -> Vec<String> {
        self.cpu.plan(id).kernels.iter().map(|kernel| kernel.label.clone()).collect()
    }
}

impl Backend for Broken {
    fn name(&self) -> &str {
        "a broken driver"
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn runs_kernels(&self) -> bool {
        true
    }

    fn judge(&mut self, kernel: &str, right: bool) {
        let before = self.caps.verdicts.insert(kernel.to_string(), right);
        assert_eq!(before, None, "{kernel} is compared twice");
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>> {
        self.cpu.load(plan)
    }

    fn plan(&self, id: PlanId) -> &Plan {
        self.cpu.plan(id)
    }

    fn write(&mut self, id: PlanId, port: &str, words: &[u32]) {
        self.cpu.write(id, port, words);
    }

    fn run(&mut self, id: PlanId) -> Result<()> {
        self.ran.borrow_mut().push(self.labels(id));
        self.cpu.run(id)
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        let wrong = self.labels(id).iter().any(|label| self.wrong.contains(label));
        let right = self.cpu.read(id, port);
        Box::pin(async move {
            let mut words = right.await?;
            if wrong {
                words[0] ^= 1 << 20;
            }
            Ok(words)
        })
    }

    fn run_timed<'a>(&'a mut self, _: PlanId, _: &'a [u32], _: Clock, _: Grain) -> LocalFuture<'a, Result<TimedRun>> {
        Box::pin(async { Err(Error::Stopped) })
    }

    fn finish(&mut self) -> LocalFuture<'_, Result<()>> {
        self.cpu.finish()
    }
}

fn graph() -> Graph {
    let recipe = Recipe::parse(include_str!("../assets/recipes/vgg-small.toml"), "vgg-small").unwrap();
    let graph = halfwave::pass::inference(&recipe.model, 8).unwrap();
    graph.verify();
    graph
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.kernels.iter().map(|kernel| kernel.label.as_str()).collect()
}

/// The kernels that the plan rests on the driver with.
fn unproven(plan: &Plan) -> Vec<(&'static str, &'static str)> {
    let offers = plan.nodes.iter().filter_map(|node| Some((node.op.stem(), node.offer.as_ref()?)));
    let mut all: Vec<_> =
        offers.filter(|(_, offer)| offer.unproven).map(|(stem, offer)| (stem, offer.kernel)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn right_kernels_are_compared_once_and_stay() {
    let (graph, mut backend) = (graph(), Broken::new(&[]));
    let expected = lower(&graph, backend.caps()).unwrap();
    let unproven = unproven(&expected);
    assert!(unproven.len() >= 2, "{unproven:?}");
    let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
    assert_eq!(plan, expected);
    let keys: Vec<_> = unproven.iter().map(|(stem, kernel)| verdict_key(stem, kernel, false)).collect();
    let verdicts: Vec<_> = backend.caps.verdicts.clone().into_iter().collect();
    assert_eq!(verdicts, keys.into_iter().map(|key| (key, true)).collect::<Vec<_>>());
    assert_eq!(backend.ran.borrow().len(), unproven.len(), "a small plan each");
    // What is known is not compared again.
    pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
    assert_eq!(backend.ran.borrow().len(), unproven.len());
}

#[test]
fn a_wrong_kernel_is_replaced_by_the_next() {
    let graph = graph();
    let expected = lower(&graph, &Caps::unlimited(DeviceClass::Gpu)).unwrap();
    let (_, kernel) = unproven(&expected).into_iter().find(|(stem, _)| *stem == "bconv").unwrap();
    let first = format!("bconv_{kernel}");
    let mut backend = Broken::new(&[&first]);
    let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
    assert!(!labels(&plan).contains(&first.as_str()), "{:?}", labels(&plan));
    assert!(labels(&plan).iter().any(|label| label.starts_with("bconv_")));
    assert!(!backend.caps.verdicts[&verdict_key("bconv", kernel, false)]);
}

#[test]
fn where_all_that_rest_on_the_driver_are_wrong_the_plain_kernel_computes() {
    let graph = graph();
    let wrong: Vec<_> = ["bconv_tile64", "bconv_narrow"].to_vec();
    let plan = pollster::block_on(first_use::lower(&graph, &mut Broken::new(&wrong))).unwrap();
    let of_bconv: BTreeSet<_> = labels(&plan).into_iter().filter(|label| label.starts_with("bconv_")).collect();
    assert_eq!(of_bconv, ["bconv_registers"].into());
}

/// A device with matrices of 16 × 16.
fn with_matrices(checks: bool) -> Caps {
    let coop = Some(Coop { size: 16, subgroup: 32, emulated: false });
    Caps { f16: true, coop, workgroup_bytes: 32 << 10, checks, ..Caps::unlimited(DeviceClass::Gpu) }
}

/// wgpu's checks say nothing of subnormal halves nor of the width of sums: what is computed on matrices is compared with them, too, and nothing else is.
#[test]
fn matrices_are_compared_with_checks_too() {
    let graph = graph();
    for wrong in [false, true] {
        let wrong_kernels: &[&str] = if wrong { &["bconv_coop16"] } else { &[] };
        let mut backend = Broken::new(wrong_kernels);
        // Without checks a verdict is of another program, and says nothing of this one.
        let known = verdict_key("bconv", "coop16", false);
        backend.caps = Caps { verdicts: [(known.clone(), true)].into(), ..with_matrices(true) };
        let first = lower(&graph, backend.caps()).unwrap();
        assert!(labels(&first).contains(&"bconv_coop16"), "{:?}", labels(&first));
        assert!(unproven(&first).iter().all(|(_, kernel)| *kernel == "coop16"), "{:?}", unproven(&first));
        let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
        assert_eq!(labels(&plan).contains(&"bconv_coop16"), !wrong, "{:?}", labels(&plan));
        let mut verdicts = backend.caps.verdicts.clone();
        assert_eq!(verdicts.remove(&known), Some(true));
        assert_eq!(verdicts.remove(&verdict_key("bconv", "coop16", true)), Some(!wrong));
        assert!(verdicts.keys().all(|key| key.ends_with("/coop16 with checks")), "{verdicts:?}");
        if wrong {
            // The next of the list needs no comparison, for it runs with checks.
            assert!(labels(&plan).iter().any(|label| label.starts_with("bconv_")), "{:?}", labels(&plan));
            assert!(unproven(&plan).iter().all(|(stem, _)| *stem != "bconv"), "{:?}", unproven(&plan));
        }
    }
}

/// The same on a driver that has matrices: they agree, with checks and without, and each program has a verdict of its own.
#[test]
fn a_driver_with_matrices_keeps_them() {
    common::on_coop_driver("a_driver_with_matrices_keeps_them", || {
        let found = common::adapter().unwrap();
        for checks in [false, true] {
            let request = Request { checks, class: Some(DeviceClass::Gpu), ..common::on_matrices(&found) };
            let mut backend = pollster::block_on(GpuBackend::open(found.clone(), request)).unwrap();
            let graph = graph();
            let expected = lower(&graph, backend.caps()).unwrap();
            let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
            assert_eq!(plan, expected);
            let verdicts = &backend.caps().verdicts;
            assert_eq!(verdicts.len(), unproven(&expected).len());
            assert_eq!(verdicts.get(&verdict_key("bconv", "coop8", checks)), Some(&true), "{verdicts:?}");
            assert!(!checks || verdicts.keys().all(|key| key.ends_with("/coop8 with checks")), "{verdicts:?}");
        }
    });
}

/// The CPU backend has plans whose kernels rest on the driver, too, but it runs none of them.
#[test]
fn the_reference_is_not_compared_with_itself() {
    let recipe = Recipe::parse(include_str!("../assets/recipes/resnet50.toml"), "resnet50").unwrap();
    let (loss, optimizer) = (&recipe.train.loss, &recipe.train.optimizer);
    let graph = halfwave::pass::training(&recipe.model, 2, &Feed::Floats, loss, optimizer, false).unwrap();
    let mut backend = CpuBackend::new();
    let expected = lower(&graph, backend.caps()).unwrap();
    assert!(!unproven(&expected).is_empty(), "the check shows nothing");
    assert_eq!(pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap(), expected);
    assert!(backend.caps().verdicts.is_empty());
}

/// A kernel without a case could not be compared: each has one.
#[test]
fn every_kernel_that_rests_on_the_driver_has_a_case() {
    let caps = Caps::baseline(DeviceClass::Gpu);
    let mut seen = BTreeSet::new();
    for case in ops::joint::cases() {
        seen.extend(case.variants(&caps).into_iter().filter_map(|(kernel, _)| Some((case.name, kernel?))));
    }
    for name in ["digits", "vgg-small", "resnet20", "resnet18"] {
        let text = std::fs::read_to_string(format!("{}/assets/recipes/{name}.toml", env!("CARGO_MANIFEST_DIR")));
        let recipe = Recipe::parse(&text.unwrap(), name).unwrap();
        let plan = halfwave::train::session::training_plan(&recipe, 16, &Caps::unlimited(DeviceClass::Gpu)).unwrap();
        let missing: Vec<_> = unproven(&plan).into_iter().filter(|kernel| !seen.contains(kernel)).collect();
        assert_eq!(missing, [], "{name}");
    }
}

/// On a real driver, with the kernels for GPUs: what is compared agrees, and each of the drivers keeps its kernels.
#[test]
fn drivers_keep_their_kernels() {
    common::on_each_driver("drivers_keep_their_kernels", || {
        let Some(found) = common::adapter() else { return };
        let mut backend = pollster::block_on(GpuBackend::open(found, Some(DeviceClass::Gpu))).unwrap();
        let graph = graph();
        let expected = lower(&graph, backend.caps()).unwrap();
        let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
        assert_eq!(plan, expected);
        assert_eq!(backend.caps().verdicts.len(), unproven(&expected).len());
        assert!(backend.caps().verdicts.values().all(|right| *right), "{:?}", backend.caps().verdicts);
    });
}
