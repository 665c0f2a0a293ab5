//! Kernels whose results depend on driver behaviour are compared with the reference implementation
//! before their first use, once. A wrong kernel is replaced by the next one, and training continues
//! with correct numbers.
//!
//! A backend that alters the output of certain kernels simulates a faulty driver.
#![allow(clippy::unwrap_used)]

mod common;

use halfwave::backend::gpu::{GpuBackend, Request};
use halfwave::backend::{Backend, Clock, Grain, LocalFuture, PlanId, TimedRun, cpu::CpuBackend};
use halfwave::caps::{Caps, Coop, DeviceClass};
use halfwave::first_use;
use halfwave::kernel::Kernel;
use halfwave::ops::{self, Graph};
use halfwave::pass::{ImageInput, Precision};
use halfwave::plan::{Plan, lower};
use halfwave::recipe::Recipe;
use halfwave::tensor::Encoding;
use halfwave::variant::verdict_key;
use halfwave::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The CPU backend in place of a GPU, with wrong results from kernels with these labels.
struct Broken {
    cpu: CpuBackend,
    caps: Caps,
    wrong: Vec<String>,
    /// Whether only kernels with operands in half precision are wrong.
    on_halves: bool,
    /// Labels of the kernels of every plan that was run.
    ran: Rc<RefCell<Vec<Vec<String>>>>,
}

impl Broken {
    fn new(wrong: &[&str]) -> Self {
        let wrong = wrong.iter().map(ToString::to_string).collect();
        Self {
            cpu: CpuBackend::new(),
            caps: Caps::unlimited(DeviceClass::Gpu),
            wrong,
            on_halves: false,
            ran: Rc::default(),
        }
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

    fn set_verdict(&mut self, kernel: &str, right: bool) {
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

    fn run_part(&mut self, id: PlanId, steps: std::ops::Range<usize>) -> Result<()> {
        self.ran.borrow_mut().push(self.labels(id));
        self.cpu.run_part(id, steps)
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        let halves = |kernel: &Kernel| kernel.bindings.iter().any(|binding| binding.encoding == Encoding::F16);
        let wrong = |kernel: &Kernel| self.wrong.contains(&kernel.label) && (!self.on_halves || halves(kernel));
        let wrong = self.cpu.plan(id).kernels.iter().any(wrong);
        let (right, on_halves) = (self.cpu.read(id, port), self.on_halves);
        Box::pin(async move {
            let mut words = right.await?;
            if wrong {
                // A different number, or two halves with the opposite signs.
                words[0] ^= 1 << 20;
                words.iter_mut().filter(|_| on_halves).for_each(|word| *word ^= 0x8000_8000);
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

/// Returns the plan's kernels that depend on driver behaviour, and whether any of their operands
/// are in half precision.
fn unproven(plan: &Plan) -> Vec<(&'static str, &'static str, bool)> {
    let offers = plan.nodes.iter().filter_map(|node| Some((node, node.offer.as_ref()?)));
    let unproven = offers.filter(|(_, offer)| offer.unproven);
    let mut all: Vec<_> = unproven.map(|(node, offer)| (node.op.stem(), offer.kernel, node.half())).collect();
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
    let keys: Vec<_> = unproven.iter().map(|(stem, kernel, half)| verdict_key(stem, kernel, *half, false)).collect();
    let verdicts: Vec<_> = backend.caps.verdicts.clone().into_iter().collect();
    assert_eq!(verdicts, keys.into_iter().map(|key| (key, true)).collect::<Vec<_>>());
    assert_eq!(backend.ran.borrow().len(), unproven.len(), "a small plan each");
    // Known verdicts are not compared again.
    pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
    assert_eq!(backend.ran.borrow().len(), unproven.len());
}

#[test]
fn a_wrong_kernel_is_replaced_by_the_next() {
    let graph = graph();
    let expected = lower(&graph, &Caps::unlimited(DeviceClass::Gpu)).unwrap();
    let (_, kernel, _) = unproven(&expected).into_iter().find(|(stem, ..)| *stem == "bconv").unwrap();
    let first = format!("bconv_{kernel}");
    let mut backend = Broken::new(&[&first]);
    let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
    assert!(!labels(&plan).contains(&first.as_str()), "{:?}", labels(&plan));
    assert!(labels(&plan).iter().any(|label| label.starts_with("bconv_")));
    assert!(!backend.caps.verdicts[&verdict_key("bconv", kernel, false, false)]);
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

/// wgpu's checks cover neither subnormal halves nor the precision of sums: with them, kernels on
/// matrices are compared, and no others.
#[test]
fn matrices_are_compared_with_checks_too() {
    let graph = graph();
    for wrong in [false, true] {
        let wrong_kernels: &[&str] = if wrong { &["bconv_coop16"] } else { &[] };
        let mut backend = Broken::new(wrong_kernels);
        // A verdict without checks is for a different program, and does not apply.
        let known = verdict_key("bconv", "coop16", false, false);
        backend.caps = Caps { verdicts: [(known.clone(), true)].into(), ..with_matrices(true) };
        let first = lower(&graph, backend.caps()).unwrap();
        assert!(labels(&first).contains(&"bconv_coop16"), "{:?}", labels(&first));
        assert!(unproven(&first).iter().all(|(_, kernel, _)| *kernel == "coop16"), "{:?}", unproven(&first));
        let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
        assert_eq!(labels(&plan).contains(&"bconv_coop16"), !wrong, "{:?}", labels(&plan));
        let mut verdicts = backend.caps.verdicts.clone();
        assert_eq!(verdicts.remove(&known), Some(true));
        assert_eq!(verdicts.remove(&verdict_key("bconv", "coop16", false, true)), Some(!wrong));
        assert!(verdicts.keys().all(|key| key.ends_with("/coop16 with checks")), "{verdicts:?}");
        if wrong {
            // The next of the list needs no comparison, because it runs with checks.
            assert!(labels(&plan).iter().any(|label| label.starts_with("bconv_")), "{:?}", labels(&plan));
            assert!(unproven(&plan).iter().all(|(stem, ..)| *stem != "bconv"), "{:?}", unproven(&plan));
        }
    }
}

/// A training step whose floats of images are in half precision.
fn mixed(name: &str) -> Graph {
    let recipe = Recipe::parse(halfwave::recipe::builtin(name).unwrap(), name).unwrap();
    let (loss, optimizer) = (&recipe.train.loss, &recipe.train.optimizer);
    let graph = halfwave::pass::training(&recipe.model, 8, &ImageInput::Floats, loss, optimizer, false).unwrap();
    Precision::Mixed.store(graph, 8, Ok).unwrap()
}

/// With operands in half precision a kernel is a different program, which is compared separately: a
/// verdict for floats does not apply.
#[test]
fn operands_in_half_precision_are_compared_as_such() {
    for name in ["digits", "vgg-small", "resnet20"] {
        let graph = mixed(name);
        for caps in [with_matrices(true), with_matrices(false), Caps::unlimited(DeviceClass::Gpu)] {
            let mut backend = Broken { caps, ..Broken::new(&[]) };
            let expected = lower(&graph, backend.caps()).unwrap();
            let unproven = unproven(&expected);
            assert!(unproven.iter().any(|(.., half)| *half), "{name}: {unproven:?}");
            assert_eq!(pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap(), expected);
            let key = |(stem, kernel, half): &(&str, &str, bool)| verdict_key(stem, kernel, *half, backend.caps.checks);
            let keys: BTreeSet<_> = unproven.iter().map(key).collect();
            assert_eq!(backend.caps.verdicts, keys.into_iter().map(|key| (key, true)).collect(), "{name}");
        }
    }
}

/// A kernel that is wrong only with halves is detected, although it was right with floats, and is
/// not used for floats either.
#[test]
fn a_kernel_that_is_wrong_on_halves_is_replaced() {
    let graph = mixed("vgg-small");
    let floats: Vec<_> = unproven(&lower(&graph, &with_matrices(true)).unwrap());
    let on_halves: Vec<_> = floats.iter().filter(|(.., half)| *half).collect();
    assert!(on_halves.iter().any(|(stem, ..)| *stem == "bconv_dx"), "{on_halves:?}");
    for &(stem, kernel, _) in on_halves {
        let label = format!("{stem}_{kernel}");
        let mut backend = Broken { on_halves: true, caps: with_matrices(true), ..Broken::new(&[&label]) };
        backend.caps.verdicts = floats.iter().map(|(s, k, _)| (verdict_key(s, k, false, true), true)).collect();
        let plan = pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap();
        assert!(!labels(&plan).contains(&&*label), "{:?}", labels(&plan));
        assert_eq!(backend.caps.verdicts.get(&verdict_key(stem, kernel, true, true)), Some(&false), "{label}");
        assert_eq!(backend.caps.verdicts.values().filter(|right| !**right).count(), 1, "{:?}", backend.caps.verdicts);
    }
}

/// On a driver with matrices: results agree, with and without checks, and each program has its own
/// verdict.
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
            assert_eq!(verdicts.get(&verdict_key("bconv", "coop8", false, checks)), Some(&true), "{verdicts:?}");
            assert!(!checks || verdicts.keys().all(|key| key.ends_with("/coop8 with checks")), "{verdicts:?}");
        }
    });
}

/// The CPU backend's plans may contain kernels that depend on driver behaviour, but it runs none of
/// them.
#[test]
fn the_reference_is_not_compared_with_itself() {
    let recipe = Recipe::parse(include_str!("../assets/recipes/resnet50.toml"), "resnet50").unwrap();
    let (loss, optimizer) = (&recipe.train.loss, &recipe.train.optimizer);
    let graph = halfwave::pass::training(&recipe.model, 2, &ImageInput::Floats, loss, optimizer, false).unwrap();
    let mut backend = CpuBackend::new();
    let expected = lower(&graph, backend.caps()).unwrap();
    assert!(!unproven(&expected).is_empty(), "the check covers nothing");
    assert_eq!(pollster::block_on(first_use::lower(&graph, &mut backend)).unwrap(), expected);
    assert!(backend.caps().verdicts.is_empty());
}

/// Every kernel has a case; without one it could not be compared.
#[test]
fn every_kernel_that_rests_on_the_driver_has_a_case() {
    let caps = Caps::baseline(DeviceClass::Gpu);
    let mut seen = BTreeSet::new();
    for case in ops::fusion::cases() {
        seen.extend(case.variants(&caps).into_iter().filter_map(|(kernel, _)| Some((case.name, kernel?))));
    }
    for name in ["digits", "vgg-small", "resnet20", "resnet18"] {
        let text = std::fs::read_to_string(format!("{}/assets/recipes/{name}.toml", env!("CARGO_MANIFEST_DIR")));
        let recipe = Recipe::parse(&text.unwrap(), name).unwrap();
        let plan = halfwave::train::session::training_plan(&recipe, 16, &Caps::unlimited(DeviceClass::Gpu)).unwrap();
        let missing: Vec<_> =
            unproven(&plan).into_iter().filter(|(stem, kernel, _)| !seen.contains(&(stem, kernel))).collect();
        assert_eq!(missing, [], "{name}");
    }
}

/// On a real driver, with the kernels for GPUs: comparisons agree, and no driver loses a kernel.
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
