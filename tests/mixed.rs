//! Training with `precision = "mixed"`: the values stored in half precision, their scales, and the
//! loss of accuracy.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::data::{Dataset, Normalise};
use halfwave::graph::Phase;
use halfwave::halves::{EXPONENT, LARGEST, ROW, SCALES, start};
use halfwave::pass::Precision;
use halfwave::plan::Plan;
use halfwave::recipe::{self, Memory, Recipe};
use halfwave::tensor::Encoding;
use halfwave::train::Session;
use halfwave::train::checkpoint::HostTensor;
use halfwave::train::session::training_plan;
use pollster::block_on;
use std::collections::BTreeMap;

fn recipe(name: &str, precision: Precision) -> Recipe {
    let mut recipe = Recipe::parse(recipe::builtin(name).unwrap(), name).unwrap();
    recipe.train.precision = precision;
    recipe
}

fn session(backend: Box<dyn Backend>, precision: Precision) -> Session {
    block_on(Session::new(&recipe("digits", precision), backend, true)).unwrap()
}

fn on_cpu(precision: Precision) -> Session {
    session(Box::new(CpuBackend::new()), precision)
}

/// Batch `number` of the digits, times a factor.
fn batch(number: u32, factor: f32) -> (Vec<f32>, Vec<u32>) {
    let recipe = recipe("digits", Precision::Full);
    let dataset = Dataset::load(&recipe.data).unwrap();
    let positions: Vec<_> = (64 * number..64 * (number + 1)).collect();
    let (mut images, labels) = dataset.train.normalised(&positions, &Normalise::new(&recipe.data)).unwrap();
    images.iter_mut().for_each(|value| *value *= factor);
    (images, labels)
}

/// Performs a step on such a batch, and returns its loss.
fn step(session: &mut Session, number: u32, factor: f32, lr: f32) -> f32 {
    let (images, labels) = batch(number, factor);
    block_on(session.train_step(&images, &labels, lr)).unwrap();
    let measured = block_on(session.measured()).unwrap();
    assert_eq!(measured[0].fault, 0);
    measured[0].loss
}

fn tensors(session: &mut Session) -> BTreeMap<String, HostTensor> {
    block_on(session.tensors()).unwrap()
}

fn scales(session: &mut Session) -> Vec<[f32; ROW]> {
    tensors(session)[SCALES].values.as_chunks().0.to_vec()
}

/// ‖a − b‖ / ‖b‖.
fn distance(a: &HostTensor, b: &HostTensor) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let differences = a.values.iter().zip(&b.values).map(|(a, b)| f64::from(*a) - f64::from(*b));
    square(&mut { differences }) / square(&mut b.values.iter().map(|b| f64::from(*b)))
}

/// Returns, for each value in half precision, its row, its layer, and whether it is a gradient.
fn rows(plan: &Plan) -> Vec<(usize, String, bool)> {
    let row =
        |node: &halfwave::plan::PlanNode| Some((node.output.scale?, node.layer.clone(), node.phase == Phase::Backward));
    plan.nodes.iter().filter_map(row).collect()
}

/// Without quantisers, rectifiers and max-pools, where a rounded number may become another code, or
/// its gradient may take another path.
const SMOOTH: &str = r#"
[model]
input = [1, 8, 8]
classes = 10
layers = [
    { name = "conv1", kind = "conv", filters = 16, kernel = 3, padding = 1 },
    { name = "bn1", kind = "batch_norm" },
    { name = "conv2", kind = "conv", filters = 32, kernel = 3, padding = 1 },
    { name = "bn2", kind = "batch_norm" },
    { name = "pool", kind = "avg_pool", kernel = 2 },
    { name = "conv3", kind = "conv", filters = 32, kernel = 3, padding = 1 },
    { name = "bn3", kind = "batch_norm" },
    { name = "fc", kind = "linear", units = 10 },
]
[data]
set = "digits"
[train]
batch = 64
epochs = 1
[train.optimizer]
kind = "sgd"
lr = 0.05
"#;

/// A step's gradients differ from those in single precision, by no more than rounding to 11 bits
/// explains.
#[test]
fn gradients_are_those_of_single_precision_but_for_rounding() {
    let [mut full, mut mixed] = [Precision::Full, Precision::Mixed].map(|precision| {
        let mut recipe = Recipe::parse(SMOOTH, "smooth").unwrap();
        recipe.train.precision = precision;
        block_on(Session::new(&recipe, Box::new(CpuBackend::new()), true)).unwrap()
    });
    // The scales of the first step are estimates; from the second on they fit.
    for session in [&mut full, &mut mixed] {
        step(session, 0, 1.0, 0.0);
        step(session, 0, 1.0, 0.0);
    }
    let [expected, got] = [&mut full, &mut mixed].map(|session| block_on(session.gradients()).unwrap());
    let mut worst: (f64, &str) = (0.0, "");
    for (name, gradient) in &expected {
        let distance = distance(&got[name], gradient);
        println!("{name} differs by {distance:.1e} of its norm");
        worst = if distance > worst.0 { (distance, name) } else { worst };
    }
    println!("the gradients of {} differ most: by {:.1e} of their norm", worst.1, worst.0);
    // A chain of eight gradients that are rounded to nearest, with an average error of 2⁻¹² of each
    // number.
    assert!(worst.0 > 1e-5 && worst.0 < 8.0 * 2f64.powi(-11), "{worst:?}");
}

/// Training in mixed precision is reproducible bit for bit, differs from single precision, and
/// reaches a similar loss.
#[test]
fn a_training_learns_as_in_single_precision() {
    let losses = |precision| {
        let mut session = on_cpu(precision);
        let losses: Vec<f32> = (0..44).map(|number| step(&mut session, number % 22, 1.0, 0.05)).collect();
        (losses[38..].iter().sum::<f32>() / 6.0, losses[43])
    };
    let ([full, last], [mixed, again]) = {
        let (full, mixed, again) = (losses(Precision::Full), losses(Precision::Mixed), losses(Precision::Mixed));
        assert_eq!(mixed, again);
        ([full.0, full.1], [mixed.0, mixed.1])
    };
    assert_ne!(last, again);
    println!("loss after 44 steps: {full} in single precision, {mixed} in mixed");
    assert!(full < 0.35 && (mixed - full).abs() < 0.05, "{full}, {mixed}");
}

/// The scale of a step depends only on the previous step.
#[test]
fn a_scale_follows_the_step_before_it() {
    let mut session = on_cpu(Precision::Mixed);
    let rows = rows(session.plan());
    let first = scales(&mut session);
    for (row, _, gradient) in &rows {
        assert_eq!(first[*row], start(*gradient, 64));
    }
    // Without a learning rate, the same images give the same numbers. Those of conv1 are linear in
    // the images.
    let conv1 = rows.iter().find(|(_, layer, gradient)| layer == "conv1" && !gradient).unwrap().0;
    let fits = |[scale, inverse, saturated, most]: [f32; ROW]| {
        assert_eq!((scale * inverse, saturated), (1.0, 0.0));
        assert!((2f32.powi(EXPONENT)..2f32.powi(EXPONENT + 1)).contains(&(scale * most)), "{scale} · {most}");
    };
    let mut of_step = |factor: f32| {
        step(&mut session, 0, factor, 0.0);
        let table = scales(&mut session);
        rows.iter().for_each(|(row, ..)| fits(table[*row]));
        table[conv1]
    };
    let [scale, _, _, most] = of_step(1.0);
    // Values that are four times as large fit the old scale, too, and so does the gradient, which
    // is smaller by that factor.
    assert_eq!(of_step(4.0), [scale / 4.0, 4.0 / scale, 0.0, 4.0 * most]);
    assert_eq!(of_step(0.5), [2.0 * scale, 0.5 / scale, 0.0, 0.5 * most]);
    assert_eq!(of_step(1.0)[0], scale);
}

/// Numbers beyond the largest half are counted, never become infinite, and fit in the next step.
#[test]
fn numbers_that_saturate_are_counted() {
    let mut session = on_cpu(Precision::Mixed);
    step(&mut session, 0, 1.0, 0.0);
    assert!(block_on(session.saturations()).unwrap().values().all(|&count| count == 0));
    let before = scales(&mut session);
    // 64 times as large, where there is room for 16.
    step(&mut session, 0, 64.0, 0.0);
    let counts = block_on(session.saturations()).unwrap();
    let conv1 = rows(session.plan()).into_iter().find(|(_, layer, gradient)| layer == "conv1" && !gradient).unwrap().0;
    let after = scales(&mut session);
    let [scale, _, saturated, most] = after[conv1];
    assert!(saturated > 0.0 && counts["conv1"] >= saturated as u64, "{counts:?}");
    // The recorded maximum is that before saturation.
    assert!(most * before[conv1][0] > LARGEST && scale * most < LARGEST);
    step(&mut session, 0, 64.0, 0.0);
    assert_eq!(scales(&mut session)[conv1][2], saturated, "the second time there is room");
}

/// A run resumed from its tensors gives the same results as an uninterrupted one.
#[test]
fn scales_travel_with_a_checkpoint() {
    let mut session = on_cpu(Precision::Mixed);
    for number in 0..3 {
        step(&mut session, number, 1.0, 0.05);
    }
    let checkpoint = tensors(&mut session);
    let mut resumed = on_cpu(Precision::Mixed);
    resumed.set_tensors(&checkpoint, "", 3).unwrap();
    let mut without = on_cpu(Precision::Mixed);
    let fresh: BTreeMap<_, _> = checkpoint.clone().into_iter().filter(|(name, _)| name != SCALES).collect();
    without.set_tensors(&fresh, "", 3).unwrap();
    assert_eq!(scales(&mut without)[0], start(false, 64), "single-precision checkpoints get initial scales");
    let ends = [session, resumed, without].map(|mut session| {
        step(&mut session, 3, 1.0, 0.05);
        tensors(&mut session)
    });
    assert_eq!(ends[0], ends[1]);
    assert_ne!(ends[0], ends[2]);
    // Scales that are not powers of two, or that belong to another network, are rejected.
    for spoil in [
        |t: &mut HostTensor| t.values[0] = 3.0,
        |t: &mut HostTensor| t.values[1] = 0.0,
        |t: &mut HostTensor| t.shape[0] += 1,
    ] {
        let mut bad = checkpoint.clone();
        spoil(bad.get_mut(SCALES).unwrap());
        let mut session = on_cpu(Precision::Mixed);
        session.set_tensors(&bad, "", 3).unwrap();
        assert_eq!(scales(&mut session)[0], start(false, 64));
    }
}

/// With `memory = "low"` and in micro-batches: training works, and a resumed run gives the same
/// bits; overwriting and overwritten values stay in single precision.
#[test]
fn it_goes_with_low_memory_and_micro_batches() {
    let open = || {
        let mut recipe = recipe("digits", Precision::Mixed);
        (recipe.train.memory, recipe.train.accumulate) = (Memory::Low, 2);
        block_on(Session::new(&recipe, Box::new(CpuBackend::new()), false)).unwrap()
    };
    let mut session = open();
    assert!(rows(session.plan()).len() >= 4);
    let losses: Vec<f32> = (0..22).map(|number| step(&mut session, number, 1.0, 0.05)).collect();
    assert!(losses[21] < 0.5 * losses[0], "{losses:?}");
    let mut resumed = open();
    resumed.set_tensors(&tensors(&mut session), "", 22).unwrap();
    let ends = [session, resumed].map(|mut session| {
        step(&mut session, 3, 1.0, 0.05);
        tensors(&mut session)
    });
    assert_eq!(ends[0], ends[1]);
}

/// Plans of one run share a table, whatever they recompute or overwrite; a recomputed value has the
/// scale of the original.
#[test]
fn low_memory_changes_no_row_of_the_table() {
    for (name, batches) in [("digits", [1, 16, 64]), ("vgg-small", [1, 16, 128])] {
        let mut recipe = recipe(name, Precision::Mixed);
        let count = |plan: &Plan| plan.port(SCALES).unwrap().place.ty.rows();
        let plan = |recipe: &Recipe, batch| training_plan(recipe, batch, &Caps::baseline(DeviceClass::Gpu)).unwrap();
        let normal = count(&plan(&recipe, batches[2]));
        recipe.train.memory = Memory::Low;
        assert_eq!(batches.map(|batch| count(&plan(&recipe, batch))), [normal; 3], "{name}");
        let plan = plan(&recipe, batches[2]);
        let convolutions = plan.nodes.iter().filter(|node| node.layer == "conv1" && node.op.stem() == "conv");
        let rows: Vec<_> = convolutions.map(|node| node.output.scale.unwrap()).collect();
        assert_eq!(rows, [rows[0]; 2], "{name}: computed twice");
        let mut session = block_on(Session::new(&recipe, Box::new(CpuBackend::new()), false)).unwrap();
        assert_eq!(scales(&mut session)[rows[0]], start(false, recipe.train.batch), "{name}");
    }
}

/// The same steps on each driver, which round halves differently.
#[test]
fn a_training_is_alike_on_each_driver() {
    common::on_each_driver("a_training_is_alike_on_each_driver", || {
        let Some(found) = common::adapter() else { return };
        let mut gpu = session(Box::new(block_on(GpuBackend::open(found, None)).unwrap()), Precision::Mixed);
        let mut cpu = on_cpu(Precision::Mixed);
        for session in [&mut gpu, &mut cpu] {
            step(session, 0, 1.0, 0.0);
            step(session, 0, 1.0, 0.0);
        }
        let [got, expected] = [&mut gpu, &mut cpu].map(|session| block_on(session.gradients()).unwrap());
        for (name, gradient) in &expected {
            let distance = distance(&got[name], gradient);
            println!("{}: {name} differs by {distance:.1e}", gpu.device());
            assert!(distance < 8.0 * 2f64.powi(-10), "{name} differs by {distance:e}");
        }
        for ([scale, _, saturated, _], [expected, ..]) in scales(&mut gpu).into_iter().zip(scales(&mut cpu)) {
            // One may be below a power of two and the other above it.
            assert!((0.5..=2.0).contains(&(scale / expected)) && saturated == 0.0, "{scale}, {expected}");
        }
    });
}

/// Values in half precision: gradients of activations and float activations, no parameters and no
/// vectors.
#[test]
fn values_of_images_are_stored_in_half_precision() {
    for name in ["digits", "vgg-small", "resnet20"] {
        let plan = training_plan(&recipe(name, Precision::Mixed), 16, &Caps::baseline(DeviceClass::Gpu)).unwrap();
        let mut seen = 0;
        for node in &plan.nodes {
            let ty = &node.output.ty;
            let of_images = ty.shape.len() == 4 && ty.shape[0] == 16 && ty.shape[1] > 1 && ty.encoding == Encoding::F32;
            assert_eq!(
                node.output.scale.is_some(),
                of_images && node.op.stem() != "gather",
                "{name}: {} {ty}",
                node.op.stem()
            );
            seen += usize::from(node.output.scale.is_some());
        }
        assert!(seen >= 8, "{name}: {seen} values");
        // One launch computes the next scales, after all launches that read or write them.
        let touches = |name: &str| {
            let touches = |step: &halfwave::plan::Step| {
                let bindings = plan.kernels[step.kernel].bindings.iter().zip(&step.bindings);
                bindings.into_iter().any(|(_, (slot, _))| *slot == plan.port(name).unwrap().place.slot)
            };
            plan.steps.iter().rposition(touches).unwrap()
        };
        let of_scales = plan.nodes.iter().find(|node| node.op.stem() == "half_scales").unwrap().steps.clone();
        assert_eq!([touches(SCALES), touches(halfwave::halves::SEEN)], [of_scales.start; 2]);
        assert_eq!(of_scales.len(), 1);
    }
}

/// Memory, launches and bytes of VGG-small at batch 128.
#[test]
fn a_step_takes_less_memory_and_moves_less() {
    let [full, mixed, low] =
        [(Precision::Full, Memory::Normal), (Precision::Mixed, Memory::Normal), (Precision::Mixed, Memory::Low)].map(
            |(precision, memory)| {
                let mut recipe = recipe("vgg-small", precision);
                recipe.train.memory = memory;
                let plan = training_plan(&recipe, 128, &Caps::baseline(DeviceClass::Gpu)).unwrap();
                let moved: u64 = plan.steps.iter().map(|step| step.cost.bytes).sum();
                println!(
                    "{}: {} launches, {} bytes moved, {} at the peak",
                    precision.name(),
                    plan.steps.len(),
                    moved,
                    plan.memory.peak
                );
                (plan.steps.len(), moved, plan.memory.peak)
            },
        );
    // PyTorch's fastest step of this network takes 603 MB.
    assert!(mixed.2 <= 241_000_000, "{} bytes", mixed.2);
    assert!(low.2 < mixed.2 && low.2 <= 151_000_000, "{} bytes", low.2);
    assert!(mixed.0 <= full.0 + 1 && mixed.0 <= 60, "{} launches, {}", full.0, mixed.0);
    assert!(mixed.1 as f64 <= 0.68 * full.1 as f64, "{} and {} bytes moved", full.1, mixed.1);
}
