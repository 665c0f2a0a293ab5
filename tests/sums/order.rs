//! Partial sums of a weight gradient are added in the stated order, pairwise (`src/ops/sum.rs`), by
//! every kernel that splits its sum. The bits are compared with those of an independent
//! implementation of that order.

use super::{common, compute};
use halfwave::backend::Backend;
use halfwave::backend::gpu::{GpuBackend, Request};
use halfwave::caps::{Choice, Coop, DeviceClass};
use halfwave::ops::Op;
use halfwave::ops::bconv_backward::BconvDw;
use halfwave::ops::code::Code;
use halfwave::ops::conv_backward::ConvDw;
use halfwave::ops::sample::Noise;
use halfwave::ops::window::Window;
use halfwave::tensor::{Encoding, Tensor, TensorType};
use std::collections::BTreeSet;

/// Number of partial sums: neither even nor one less than a power of two, so that some wait for
/// their neighbour and one has none.
const PARTS: usize = 11;
/// Filters, each with a separate sum.
const FILTERS: usize = 32;

/// Neighbours, then neighbouring pairs, and so on.
fn in_pairs(mut values: Vec<f32>) -> f32 {
    while values.len() > 1 {
        values = values.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap()).collect();
    }
    values[0]
}

/// The contribution of each part to each filter's sum: numbers of different magnitudes with 22
/// bits, which are exactly two halves, so that matrices compute them exactly.
fn terms() -> Vec<[f32; FILTERS]> {
    let mut noise = Noise::new(17);
    let mut term = || {
        let size = 0.5f32.powi((noise.bits() % 10) as i32);
        let magnitude = ((1 << 21) + noise.bits() % (1 << 21)) as f32 * size;
        if noise.bits() >> 16 & 1 == 0 { magnitude } else { -magnitude }
    };
    (0..PARTS).map(|_| std::array::from_fn(|_| term())).collect()
}

/// Returns how many sums another order would change.
fn changed_by(order: impl Fn(Vec<f32>) -> f32) -> usize {
    let terms = terms();
    let column = |k: usize| terms.iter().map(|part| part[k]).collect::<Vec<_>>();
    (0..FILTERS).filter(|&k| order(column(k)).to_bits() != in_pairs(column(k)).to_bits()).count()
}

#[test]
fn another_order_gives_other_bits() {
    let backwards = |values: Vec<f32>| in_pairs(values.into_iter().rev().collect());
    let one_after_the_other = |values: Vec<f32>| values.into_iter().fold(0.0, |sum, value| sum + value);
    let by_halves = |values: Vec<f32>| {
        let (low, high) = values.split_at(PARTS / 2);
        in_pairs(low.to_vec()) + in_pairs(high.to_vec())
    };
    for changed in [changed_by(backwards), changed_by(one_after_the_other), changed_by(by_halves)] {
        assert!(changed > FILTERS / 4, "only {changed} sums change");
    }
    // Two parts may not be swapped either, except within a pair, whose sum is the same.
    for (a, b) in (0..PARTS).flat_map(|a| (0..a).map(move |b| (a, b))).filter(|(a, b)| a / 2 != b / 2) {
        let swapped = |mut values: Vec<f32>| {
            values.swap(a, b);
            in_pairs(values)
        };
        assert!(changed_by(swapped) > 0, "parts {a} and {b} can change places");
    }
}

/// Rows per part: the minimum of all kernels.
const ROWS: usize = 16;

/// The weight gradients that split their sums, with one non-zero channel, and their operands. One
/// row of each part is non-zero, so the order within a part does not matter.
fn operations() -> [(Op, [Tensor; 2]); 2] {
    let mut x = vec![0.0; PARTS * ROWS * 4];
    let mut dy = vec![0.0; PARTS * ROWS * FILTERS];
    for (part, terms) in terms().iter().enumerate() {
        let row = part * ROWS + part;
        x[4 * row] = 1.0;
        dy[row * FILTERS..][..FILTERS].copy_from_slice(terms);
    }
    let window = Window::square(1, 1, 0);
    let dy = Tensor::from_f32(&[PARTS, 4, 4, FILTERS], &dy);
    let codes: Vec<i32> = x.iter().map(|&x| x as i32).collect();
    let codes = Tensor::from_ints(TensorType::new(&[PARTS, 4, 4, 4], Encoding::Planes(2)), &codes);
    let float = ConvDw { window, weight: TensorType::f32(&[1, 1, 4, FILTERS]) };
    let packed = BconvDw { window, code: Code::Uniform(1.0) };
    [(float.into(), [dy.clone(), Tensor::from_f32(&[PARTS, 4, 4, 4], &x)]), (packed.into(), [dy, codes])]
}

/// Runs every kernel of both that a device supports, or only those on matrices; returns the names
/// of the tested kernels.
fn on_the_device(request: Request, matrices_alone: bool) -> BTreeSet<String> {
    let Some(found) = common::adapter() else { return BTreeSet::new() };
    let name = found.report.name.clone();
    let mut backend = pollster::block_on(GpuBackend::open(found, request)).unwrap();
    let mut tested = BTreeSet::new();
    for (op, inputs) in operations() {
        let types: Vec<&TensorType> = inputs.iter().map(|input| &input.ty).collect();
        let output = op.infer(&types).unwrap();
        for offer in op.candidates(&types, &output, backend.caps()) {
            let kernel = offer.kernel;
            if matrices_alone && !kernel.starts_with("coop") {
                continue;
            }
            let mut caps = backend.caps().clone();
            caps.choices.insert(op.stem().to_string(), Choice { kernel: kernel.to_string(), parts: Some(PARTS) });
            let parts = op.candidates(&types, &output, &caps)[0].parts;
            assert_eq!(parts, PARTS, "{kernel} does not split the sum as requested");
            let dw = compute(&mut backend, &caps, &op, &inputs).to_f32();
            for (k, got) in dw[..FILTERS].iter().enumerate() {
                let expected = in_pairs(terms().iter().map(|part| part[k]).collect());
                assert_eq!(
                    got.to_bits(),
                    expected.to_bits(),
                    "partial sum out of order: {name} {caps:?}, {} by {kernel}, filter {k}: {got}, not {expected}",
                    op.stem()
                );
            }
            tested.insert(format!("{}/{kernel}", op.stem()));
        }
    }
    println!("{name}: {tested:?}");
    tested
}

/// The same for both gradients.
fn of_class(class: DeviceClass) {
    if common::adapter().is_some() {
        let tested = on_the_device(Some(class).into(), false);
        assert!(["bconv_dw", "conv_dw"].iter().all(|stem| tested.iter().any(|kernel| kernel.starts_with(stem))));
    }
}

#[test]
fn parts_are_added_in_pairs_with_registers() {
    common::on_each_driver("order::parts_are_added_in_pairs_with_registers", || of_class(DeviceClass::Software));
}

#[test]
fn parts_are_added_in_pairs_with_tiles() {
    common::on_each_driver("order::parts_are_added_in_pairs_with_tiles", || of_class(DeviceClass::Gpu));
}

fn both(kernel: &str) -> BTreeSet<String> {
    ["bconv_dw", "conv_dw"].map(|stem| format!("{stem}/{kernel}")).into()
}

#[test]
fn parts_are_added_in_pairs_on_matrices() {
    common::on_coop_driver("order::parts_are_added_in_pairs_on_matrices", || {
        assert_eq!(on_the_device(Some(DeviceClass::Gpu).into(), true), both("coop8"));
    });
}

/// The sizes of matrices and subgroups of NVIDIA, AMD and Apple.
#[test]
fn parts_are_added_in_pairs_on_emulated_matrices() {
    common::on_coop_driver("order::parts_are_added_in_pairs_on_emulated_matrices", || {
        for (size, subgroup) in [(16, 32), (16, 64), (8, 32)] {
            let emulate = Some(Coop { size, subgroup, emulated: true });
            let request = Request { class: Some(DeviceClass::Gpu), emulate, ..Request::default() };
            assert_eq!(on_the_device(request, true), both(&format!("coop{size}")));
        }
    });
}
