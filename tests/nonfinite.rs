//! Non-finite numbers: no operation hides one unless it checks for it, and no run completes with
//! one.
#![allow(clippy::unwrap_used)]

mod common;

use halfwave::backend::gpu::GpuBackend;
use halfwave::backend::{Backend, Device, cpu::CpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::data::{Dataset, Normalise};
use halfwave::kernel::Operand;
use halfwave::ops::{self, Op, Sample};
use halfwave::recipe::{Length, Optimizer, Recipe};
use halfwave::tensor::{Encoding, Tensor};
use halfwave::train::claim::Claim;
use halfwave::train::evaluate::evaluate;
use halfwave::train::metrics::Row;
use halfwave::train::run::{BEST, CHECKPOINT, Run, SavedRun};
use halfwave::train::{Session, Trainer};
use pollster::block_on;
use std::collections::BTreeSet;
use std::path::Path;

/// Inputs whose NaNs and infinities an operation may hide without a check, and why that is safe:
/// operation, inputs, reason.
const EXEMPT: &[(&str, &[usize], &str)] = &[
    ("accumulate", &[2], "the number of the micro-batch, which the host writes"),
    ("abc_weight", &[0, 1], PARAMETER),
    ("adam", &[3], "rates, which the host computes"),
    ("abc_alpha", &[1], PARAMETER),
    ("clamp", &[0], PARAMETER),
    ("dorefa_thresholds", &[0], PARAMETER),
    ("dorefa_weight", &[0, 1], PARAMETER),
    ("dorefa_weight_backward", &[1, 2], PARAMETER),
    ("fixed", &[0, 1, 2], "overwrites a parameter whose update was checked; otherwise after a checked batch-norm"),
    ("sign", &[0], PARAMETER),
    ("vote", &[1], PARAMETER),
    ("xnor_gradient", &[1], PARAMETER),
    ("activation", &[1], COEFFICIENTS),
    ("quantise", &[1, 2], COEFFICIENTS),
    ("relu", &[1], COEFFICIENTS),
    ("threshold", &[1], "thresholds of an exported network, which are integers"),
    ("max_pool", &[1], COEFFICIENTS),
    ("max_pool_argmax", &[1], COEFFICIENTS),
    ("activation_backward", &[1], FORWARD),
    ("batch_norm_dx", &[1, 4], FORWARD),
    ("batch_norm_sums", &[1, 3], FORWARD),
    ("class_loss_backward", &[0], FORWARD),
    ("count_saturated", &[1, 2], FORWARD),
    ("fixed_backward", &[1, 2, 3], FORWARD),
    ("evaluation_record", &[1], "logits that the loss has checked"),
    ("dorefa_gradient_backward", &[1], "the largest of the gradient that is checked"),
    ("max_abs", &[0], "dorefa_gradient_backward checks the same gradient"),
    ("max_pool_backward", &[1], FORWARD),
    ("prelu_backward", &[2, 3], FORWARD),
    ("prelu_slope", &[1, 2], FORWARD),
    ("quantise_backward", &[1, 2, 3], FORWARD),
    ("quantise_scale", &[1, 2, 3], FORWARD),
    ("softmax_cross_entropy_backward", &[0], FORWARD),
    ("relu_backward", &[1], FORWARD),
];
const PARAMETER: &str = "a parameter: its updates are checked, and files with non-finite numbers are rejected";
const COEFFICIENTS: &str = "coefficients of a batch-norm, which are checked where they are computed, or a parameter";
const FORWARD: &str = "values that the forward pass has checked or passed on to a check";

/// Positions in a tensor: the first number, one in the middle, the last.
fn places(tensor: &Tensor) -> [usize; 3] {
    let (lanes, channels, rows) = (tensor.ty.lanes(), tensor.ty.channels(), tensor.ty.rows());
    [0, rows / 2 * lanes + channels / 2, (rows - 1) * lanes + channels - 1]
}

/// Returns the output with another number at a position of an input.
fn with(sample: &Sample, index: usize, place: usize, value: f32) -> Tensor {
    let mut inputs = sample.inputs.clone();
    inputs[index].words[place] = value.to_bits();
    sample.op.evaluate(&inputs.iter().collect::<Vec<_>>())
}

/// Whether the output depends on the number at that position, but does not show a non-finite one.
fn hides(sample: &Sample, before: &Tensor, index: usize, place: usize) -> bool {
    let all_finite = |out: Tensor| out.ty.encoding != Encoding::F32 || out.to_f32().iter().all(|v| v.is_finite());
    let hidden = |value: &f32| all_finite(with(sample, index, place, *value));
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].iter().any(hidden)
        && [1e18, -1e18].iter().any(|&large| with(sample, index, place, large).to_f32() != before.to_f32())
}

fn checks(op: &Op, sample: &Sample, index: usize) -> bool {
    let types: Vec<_> = sample.inputs.iter().map(|tensor| &tensor.ty).collect();
    let output = op.infer(&types).unwrap();
    let program = op.program(&types, &output, &Caps::baseline(DeviceClass::Gpu));
    program.launches.iter().any(|launch| {
        let bindings = launch.kernel.bindings.iter().zip(&launch.operands);
        bindings.into_iter().any(|(binding, operand)| binding.finite && *operand == Operand::Input(index))
    })
}

#[test]
fn an_operation_that_hides_what_is_not_finite_checks_for_it() {
    let (mut found, mut checked) = (BTreeSet::new(), 0);
    for sample in ops::samples() {
        let before = sample.expected();
        for (index, tensor) in sample.inputs.iter().enumerate() {
            let key = (sample.op.stem(), index);
            if tensor.ty.encoding != Encoding::F32 || found.contains(&key) {
                continue;
            }
            if checks(&sample.op, &sample, index) {
                checked += 1;
            } else if places(tensor).into_iter().any(|place| hides(&sample, &before, index, place)) {
                found.insert(key);
            }
        }
    }
    println!("{checked} operands are checked; hidden without: {found:?}");
    assert!(checked > 50, "{checked}");
    let exempt = EXEMPT.iter().flat_map(|(stem, inputs, _)| inputs.iter().map(|input| (*stem, *input)));
    let exempt: BTreeSet<_> = exempt.collect();
    assert_eq!(found.difference(&exempt).collect::<Vec<_>>(), [&("", 0); 0], "hidden, but not checked");
    assert_eq!(exempt.difference(&found).collect::<Vec<_>>(), [&("", 0); 0], "exempt for nothing");
}

fn all_finite(path: &Path) -> bool {
    let saved = SavedRun::read(path).unwrap();
    saved.checkpoint.tensors.values().flat_map(|tensor| &tensor.values).all(|v| v.is_finite())
}

/// Learning rates at which the weights of the digits network become non-finite after some steps,
/// while codes and a mean loss over them are still finite.
fn diverges(backend: impl Fn() -> Box<dyn Backend>) {
    for lr in [1000.5, 1e9, 1e38] {
        let base = tempfile::tempdir().unwrap();
        let mut recipe = Recipe::digits();
        recipe.train.length = Length::Epochs(2);
        recipe.train.optimizer = Optimizer { lr, ..recipe.train.optimizer };
        let trainer = Trainer::new(recipe.clone(), Dataset::load(&recipe.data).unwrap(), backend(), false);
        let mut run =
            block_on(Run::create(Claim::new(base.path()).unwrap(), block_on(trainer).unwrap(), &Device::cpu()))
                .unwrap();
        let message = loop {
            match block_on(run.advance(u64::MAX)) {
                Ok(events) => assert!(!events.is_empty(), "lr {lr}: the run ended as if nothing had happened"),
                Err(error) => break error.to_string(),
            }
        };
        println!("lr {lr}: {message}");
        assert!(message.contains("training has diverged") && message.contains("it started in"), "{message}");
        assert!(all_finite(&base.path().join(CHECKPOINT)), "lr {lr}");
        let best = base.path().join(BEST);
        assert!(!best.exists() || all_finite(&best), "lr {lr}");
        // The row names the step, and no epoch was completed after it.
        let text = std::fs::read_to_string(base.path().join("metrics.jsonl")).unwrap();
        let rows = Row::parse_all(&text, "metrics.jsonl").unwrap();
        let broken = rows.iter().position(|row| matches!(row, Row::Step(row) if row.diverged())).unwrap();
        let Row::Step(step) = &rows[broken] else { unreachable!() };
        assert!(message.contains(&format!("at step {}:", step.step)), "{message}");
        assert!(rows[broken..].iter().all(|row| matches!(row, Row::Step(_))), "an epoch ended after it");
    }
}

#[test]
fn a_run_ends_where_numbers_are_not_finite() {
    diverges(|| Box::new(CpuBackend::new()));
}

#[test]
fn a_run_on_a_device_ends_where_numbers_are_not_finite() {
    common::on_each_driver("a_run_on_a_device_ends_where_numbers_are_not_finite", || {
        if common::adapter().is_none() {
            return;
        }
        diverges(|| Box::new(block_on(GpuBackend::open(common::adapter().unwrap(), None)).unwrap()));
    });
}

/// An inference whose numbers overflow: in a layer followed by a quantiser, which makes codes of
/// any number, and in the logits only. An evaluation gives the same error.
fn overflows(backend: Box<dyn Backend>) {
    let recipe = Recipe::digits();
    let mut session = block_on(Session::new(&recipe, backend, false)).unwrap();
    let healthy = block_on(session.tensors()).unwrap();
    let images = vec![0.5; 2 * 64];
    assert!(block_on(session.logits(&images)).unwrap().iter().all(|v| v.is_finite()));
    let (data, normalise) = (Dataset::load(&recipe.data).unwrap(), Normalise::new(&recipe.data));
    // More batches than may be in flight.
    assert!(data.test.len() > 5 * recipe.train.batch);
    for (weight, place) in [("conv1.weight", "first in layer \"q1\""), ("fc.weight", ", in the logits:")] {
        let mut large = healthy.clone();
        large.get_mut(weight).unwrap().values.fill(3e38);
        session.set_tensors(&large, "", 0).unwrap();
        let message = block_on(session.logits(&images)).unwrap_err().to_string();
        assert!(message.contains("NaN or infinity") && message.contains(place), "{message}");
        let evaluated = block_on(evaluate(&mut session, &data.test, &normalise, data.classes));
        assert_eq!(evaluated.unwrap_err().to_string(), message);
        // Found while others were in flight, or in the only batch.
        let few = data.test.select(&[0, 1, 2]);
        let evaluated = block_on(evaluate(&mut session, &few, &normalise, data.classes));
        assert_eq!(evaluated.unwrap_err().to_string(), message);
        // The next inference is independent.
        session.set_tensors(&healthy, "", 0).unwrap();
        block_on(session.logits(&images)).unwrap();
        block_on(evaluate(&mut session, &data.test, &normalise, data.classes)).unwrap();
    }
    // Finite logits with a loss that is not finite.
    let mut apart = healthy;
    let bias = &mut apart.get_mut("fc.bias").unwrap().values;
    bias.iter_mut().enumerate().for_each(|(class, bias)| *bias = if class % 2 == 0 { 3e38 } else { -3e38 });
    session.set_tensors(&apart, "", 0).unwrap();
    assert!(block_on(session.logits(&images)).unwrap().iter().all(|v| v.is_finite()));
    let evaluated = block_on(evaluate(&mut session, &data.test, &normalise, data.classes));
    let message = evaluated.unwrap_err().to_string();
    assert!(message.contains("NaN or infinity, in the loss"), "{message}");
}

#[test]
fn an_inference_with_numbers_that_are_not_finite_is_an_error() {
    overflows(Box::new(CpuBackend::new()));
    common::on_each_driver("an_inference_with_numbers_that_are_not_finite_is_an_error", || {
        let Some(found) = common::adapter() else { return };
        overflows(Box::new(block_on(GpuBackend::open(found, None)).unwrap()));
    });
}
