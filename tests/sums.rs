//! Accuracy of long sums: every operation that adds up many floats satisfies |error| ≤ (DEPTH +
//! log₂ n)·2⁻²⁴·Σ|xᵢ| relative to float64 with more than two million terms, on the CPU and on each
//! driver with the kernels for both device classes; and so do the gradients of a step on large
//! images.
//!
//! The terms cancel: a run of large positive numbers, then one of other negative numbers, whose sum
//! is small. A plain running sum is so large in between that every further term is rounded in the
//! same direction, and fails by far.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "sums/cases.rs"]
mod cases;
mod common;
#[path = "sums/order.rs"]
mod order;
#[path = "sums/step.rs"]
mod step;

use cases::Case;
use halfwave::backend::{Backend, gpu::GpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::Phase;
use halfwave::ops::{self, Activity, Graph, Leaf, Op, sum};
use halfwave::plan::lower;
use halfwave::tensor::Tensor;
use std::collections::BTreeSet;

/// Operations that add up any number of floats: each has a case.
const REDUCING: [&str; 23] = [
    "conv",
    "conv_dx",
    "conv_dw",
    "bconv_dx",
    "bconv_dw",
    "alpha",
    "xnor_gradient",
    "dorefa_weight_backward",
    "abc_thresholds",
    "abc_alpha",
    "input_scale",
    "channel_sum",
    "mean",
    "total",
    "batch_norm_stats",
    "batch_norm_sums",
    "prelu_slope",
    "avg_pool",
    "avg_pool_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "class_loss",
    "square_sum",
];

/// Operations that add up or count integers, or take the maximum: exact in any order.
const EXACT: [&str; 5] = ["max_abs", "count_saturated", "dorefa_thresholds", "evaluation_record", "compress"];

/// Operations that add up few floats: the terms of a binary convolution with free coefficients (120
/// at most; everything else is integers), the windows that contain an input of a max-pool (whose
/// cost grows with the square of their number), the messages of ranks (1024 at most, in their
/// order).
const SHORT: [&str; 3] = ["bconv", "max_pool_backward", "decompress"];

/// Operations that compute each element from a fixed number of others, besides the updates of
/// optimisers.
const ELEMENTWISE: [&str; 48] = [
    "accumulate",
    "gather",
    "sign",
    "unpack",
    "dorefa_weight",
    "abc_weight",
    "scale_rows",
    "decode",
    "pad",
    "pad_backward",
    "bias",
    "add",
    "batch_norm_coef",
    "batch_norm_running",
    "batch_norm",
    "batch_norm_dx",
    "threshold",
    "quantise",
    "quantise_backward",
    "quantise_scale",
    "relu",
    "relu_backward",
    "activation",
    "activation_backward",
    "prelu",
    "prelu_backward",
    "fixed",
    "fixed_backward",
    "dorefa_gradient",
    "dorefa_gradient_backward",
    "dropout",
    "slice",
    "slice_backward",
    "concat",
    "flatten",
    "flatten_backward",
    "max_pool",
    "max_pool_argmax",
    "max_unpool",
    "class_loss_backward",
    "record",
    "row",
    "scale",
    "clamp",
    "clip_scale",
    "half_scales",
    "half_seen",
    "feedback",
];

/// Returns the output of an operation on a backend, with the kernel selected for these
/// capabilities.
fn compute(backend: &mut dyn Backend, caps: &Caps, op: &Op, tensors: &[Tensor]) -> Tensor {
    let mut graph = Graph::new();
    graph.at(op.stem(), Phase::Forward);
    let leaf = |(i, tensor): (usize, &Tensor)| Leaf::input(&format!("in{i}"), tensor.ty.clone());
    let inputs: Vec<_> = tensors.iter().enumerate().map(|input| graph.add(leaf(input), &[]).unwrap()).collect();
    let out = graph.add(op.clone(), &inputs).unwrap();
    graph.output("out", out);
    let ty = graph.ty(out).clone();
    let plan = lower(&graph, caps).unwrap();
    let id = pollster::block_on(backend.load(plan)).unwrap();
    for (i, tensor) in tensors.iter().enumerate() {
        backend.write(id, &format!("in{i}"), &tensor.words);
    }
    backend.run(id).unwrap();
    Tensor { ty, words: pollster::block_on(backend.read(id, "out")).unwrap() }
}

/// Returns the error bound of a sum with `depth` sequential additions.
fn bound(sum: &cases::Sum, depth: usize) -> f64 {
    (depth as f64 + (sum.terms as f64).log2()) * 0.5f64.powi(24) * sum.magnitude
}

/// Returns the largest error of a case in units of its bound, which must not exceed 1.
fn worst(case: &Case, got: &Tensor, depth: usize) -> f64 {
    let got = got.to_f32();
    let worst = case.sums.iter().map(|sum| {
        assert!(sum.terms >= 2_000_000, "{}: {} terms", case.name, sum.terms);
        (f64::from(got[sum.at]) - sum.value).abs() / bound(sum, depth)
    });
    worst.fold(0.0, |worst: f64, error| if error.is_nan() { f64::INFINITY } else { worst.max(error) })
}

fn check(what: &str, left_out: &[&str], depth: impl Fn(&Case) -> usize, evaluate: impl Fn(&Case) -> Tensor) {
    let mut failures = Vec::new();
    for case in cases::all().into_iter().filter(|case| !left_out.contains(&case.name.as_str())) {
        let begun = std::time::Instant::now();
        let error = worst(&case, &evaluate(&case), depth(&case));
        println!("{what} {:<32} {error:.4} of the bound, {:.1} s", case.name, begun.elapsed().as_secs_f64());
        if error > 1.0 {
            failures.push(format!("{}: the error is {error:.2} times the bound", case.name));
        }
    }
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

#[test]
fn every_operation_is_known_to_reduce_or_not_to() {
    let samples = ops::samples();
    let others = samples.iter().filter(|sample| sample.op.activity() != Some(Activity::Update));
    let stems: BTreeSet<_> = others.map(|sample| sample.op.stem()).collect();
    let lists: [&[&str]; 4] = [&REDUCING, &EXACT, &SHORT, &ELEMENTWISE];
    let listed: Vec<_> = lists.concat();
    let known: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(known.len(), listed.len(), "an operation is listed twice");
    assert_eq!(stems, known, "an operation that is not listed, or one that is gone");
    let tested: BTreeSet<_> = cases::all().iter().map(|case| case.op.stem()).collect();
    assert_eq!(tested, REDUCING.into_iter().collect(), "operations that reduce and have a case");
}

#[test]
fn plain_sums_of_the_same_terms_fail() {
    for (name, terms) in cases::terms() {
        let exact = cases::sum(0, 1.0, terms.iter().copied().map(f64::from));
        let plain = terms.iter().fold(0.0f32, |sum, term| sum + term);
        let error = (f64::from(plain) - exact.value).abs() / bound(&exact, sum::DEPTH);
        println!("{name}: a plain sum errs by {error:.1} times the bound");
        assert!(error > 2.0, "{name}: a plain sum errs by {error} times the bound: the terms tell nothing");
    }
}

#[test]
fn long_sums_are_accurate_on_the_cpu() {
    check("cpu", &[], |_| sum::DEPTH, |case| case.op.evaluate(&case.inputs.iter().collect::<Vec<_>>()));
}

fn on_the_device(class: DeviceClass) {
    let Some(found) = common::adapter() else { return };
    let what = format!("{} {class:?}", found.report.name);
    let backend = pollster::block_on(GpuBackend::open(found, Some(class))).unwrap();
    let (caps, backend) = (backend.caps().clone(), std::cell::RefCell::new(backend));
    // Two million taps of one channel each take minutes in tiles on a software driver; the case
    // over channels uses the same loops.
    let left_out: &[&str] = if class == DeviceClass::Gpu { &["conv over pixels"] } else { &[] };
    // The tiles of matrix products add up more terms sequentially, and state it.
    let products = ["conv", "conv_dx", "conv_dw", "bconv_dx", "bconv_dw"];
    let in_tiles = |case: &Case| class == DeviceClass::Gpu && products.contains(&case.op.stem());
    let depth = |case: &Case| if in_tiles(case) { sum::TILE_CHUNK } else { sum::DEPTH };
    check(&what, left_out, depth, |case| compute(&mut *backend.borrow_mut(), &caps, &case.op, &case.inputs));
}

#[test]
fn long_sums_are_accurate_with_registers() {
    common::on_each_driver("long_sums_are_accurate_with_registers", || on_the_device(DeviceClass::Software));
}

#[test]
fn long_sums_are_accurate_with_tiles() {
    common::on_each_driver("long_sums_are_accurate_with_tiles", || on_the_device(DeviceClass::Gpu));
}
