//! Kernels on cooperative matrices: on Mesa's lavapipe, which has matrices of 8 × 8, and with plain
//! WGSL in place of matrices of 16 × 16, which no software driver supports.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::Backend;
use halfwave::backend::gpu::{Found, GpuBackend, Request};
use halfwave::caps::{Coop, DeviceClass};
use halfwave::graph::Phase;
use halfwave::ops::{Graph, Leaf, conv::Conv, sample::Noise, window::Window};
use halfwave::plan::lower;
use halfwave::selftest;
use halfwave::tensor::Tensor;
use std::collections::BTreeSet;

/// The operations that have such kernels.
const STEMS: [&str; 6] = ["bconv", "bconv_dx", "bconv_dw", "conv", "conv_dx", "conv_dw"];

/// Asserts that the kernels of this name, of all operations that have one, agree with their
/// reference implementations.
fn conforms(found: &Found, request: Request, kernel: &str) {
    let outcomes = pollster::block_on(async {
        let mut backend = GpuBackend::open(found.clone(), request).await.unwrap();
        let caps = backend.caps().coop.expect("a device with cooperative matrices");
        println!("{}: {caps:?}", found.report.name);
        selftest::run_kernels(&mut backend, |stem| STEMS.contains(&stem), |name| name == kernel, usize::MAX, |_| ())
            .await
            .unwrap()
    });
    let stems: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.stem).collect();
    assert_eq!(stems, STEMS.into(), "operations with {kernel}");
    let halves: BTreeSet<_> = outcomes.iter().filter(|outcome| outcome.half).map(|outcome| outcome.stem).collect();
    // All except the one that reads codes and writes sums.
    assert_eq!(halves, STEMS.into_iter().filter(|stem| *stem != "bconv").collect(), "in half precision");
    for outcome in &outcomes {
        let name = outcome.name();
        println!("{name:<22} {:>3} samples, worst {:e}", outcome.samples, outcome.worst);
        assert!(outcome.half || outcome.samples >= 5, "{name}: only {} samples", outcome.samples);
        assert_eq!(outcome.failure, None, "{} by {kernel}", outcome.stem);
    }
}

#[test]
fn matrices_conform() {
    common::on_coop_driver("matrices_conform", || {
        let found = common::adapter().unwrap();
        conforms(&found, Request::from(Some(DeviceClass::Gpu)), "coop8");
    });
}

/// The sizes of matrices and subgroups of NVIDIA, AMD and Apple. The indices are those used on a
/// GPU.
#[test]
fn emulated_matrices_conform() {
    common::on_coop_driver("emulated_matrices_conform", || {
        let found = common::adapter().unwrap();
        for (size, subgroup) in [(16, 32), (16, 64), (8, 32)] {
            let emulate = Some(Coop { size, subgroup, emulated: true });
            let request = Request { class: Some(DeviceClass::Gpu), emulate, ..Request::default() };
            conforms(&found, request, &format!("coop{size}"));
        }
    });
}

/// The guarantees of [`Exactness::Halves`](halfwave::variant::Exactness) for numbers down to 2^-17
/// of the largest of their tensor, and for smaller ones, whatever the largest is. lavapipe
/// truncates.
#[test]
fn halves_keep_what_they_promise() {
    common::on_coop_driver("halves_keep_what_they_promise", || {
        let found = common::adapter().unwrap();
        let mut backend = pollster::block_on(GpuBackend::open(found.clone(), common::on_matrices(&found))).unwrap();
        for largest in [1.0f32, 3e-20, 2.7e33] {
            let mut noise = Noise::new(29);
            // One number per row, over 40 powers of two, times a weight of 1: rows of the result
            // are the numbers as they were multiplied.
            let numbers: Vec<f32> =
                (0..4096).map(|i| largest * (0.5 + 0.5 * noise.float().abs()) * 0.5f32.powi(i % 40)).collect();
            let numbers = [&[largest][..], &numbers[1..]].concat();
            let x: Vec<f32> = numbers.iter().flat_map(|&v| [v, 0.0, 0.0, 0.0]).collect();
            let w = [[1.0, 0.0, 0.0, 0.0], [0.0; 4], [0.0; 4], [0.0; 4]].concat();
            let got =
                product(&mut backend, &Tensor::from_f32(&[1, 64, 64, 4], &x), &Tensor::from_f32(&[1, 1, 4, 4], &w));
            let (mut worst, mut below): (f64, f64) = (0.0, 0.0);
            for (&v, got) in numbers.iter().zip(got.iter().step_by(4)) {
                let error = (f64::from(*got) - f64::from(v)).abs();
                if v >= largest * 0.5f32.powi(17) {
                    worst = worst.max(error / f64::from(v));
                } else {
                    below = below.max(error / f64::from(largest));
                }
            }
            println!("largest {largest:e}: 2^{:.1} of a number, 2^{:.1} of the largest", worst.log2(), below.log2());
            assert!(
                worst <= 0.5f64.powi(21) && below <= 0.5f64.powi(38),
                "{worst:e} of a number, {below:e} of the largest"
            );
            assert!(below > 0.0, "smaller numbers have fewer bits: else the test sees nothing");
        }
    });
}

/// A convolution of one position on cooperative matrices.
fn product(backend: &mut dyn Backend, x: &Tensor, w: &Tensor) -> Vec<f32> {
    let mut graph = Graph::new();
    graph.at("conv", Phase::Forward);
    let inputs =
        [("x", x), ("w", w)].map(|(name, tensor)| graph.add(Leaf::input(name, tensor.ty.clone()), &[]).unwrap());
    let out = graph.add(Conv { window: Window::square(1, 1, 0) }, &inputs).unwrap();
    graph.output("out", out);
    let plan = lower(&graph, &backend.caps().clone()).unwrap();
    assert!(plan.kernels.iter().any(|kernel| kernel.coop), "the product is on cooperative matrices");
    let id = pollster::block_on(backend.load(plan)).unwrap();
    backend.write(id, "x", &x.words);
    backend.write(id, "w", &w.words);
    backend.run(id).unwrap();
    bytemuck::cast_slice(&pollster::block_on(backend.read(id, "out")).unwrap()).to_vec()
}
