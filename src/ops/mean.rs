//! `mean`: `out[c]` = mean over rows of `x[row, c]`; the loss and the accuracy of a batch.

use super::{Activity, Operation, Sample, sample::Noise};
use crate::caps::{Caps, LaunchShape};
use crate::kernel::{Launch, Operand, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Mean over rows: input x `[…, c]`, output `[c]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mean;

crate::params! {
    pub(super) struct ColumnParams { rows: u32, quads: u32, scale: f32, half: u32 }
}

impl ColumnParams {
    pub(super) fn new(x: &TensorType, scale: f32) -> Self {
        Self { rows: x.rows() as u32, quads: x.quads() as u32, scale, half: HALF }
    }
}

/// The launch that adds up the rows of each channel of `operand`, which is of the type `x`, times `scale`, into `[c]`.
pub(super) fn column_sum(label: &str, x: &TensorType, operand: Operand, scale: f32, caps: &Caps) -> Launch {
    reduction(label, include_str!("../../shaders/channel_sum.wgsl"), x.quads(), caps)
        .read("x", F32, operand)
        .write("out", F32, Output)
        .float_ops(x.len())
        .params(&ColumnParams::new(x, scale))
}

/// A launch that reduces each of `items` in 64 lanes: those of a workgroup, or without a barrier where the launch shape is [`LaunchShape::Registers`].
pub(super) fn reduction(label: impl Into<String>, text: &'static str, items: usize, caps: &Caps) -> Launch {
    let shared = caps.shape == LaunchShape::Tiled;
    let launch =
        Launch::new(label, &[include_str!("../../shaders/lanes.wgsl"), text]).constant("SHARED", usize::from(shared));
    if shared { launch.groups(items) } else { launch.threads(items) }
}

/// The same in the kernel's order: 64 strided sums, then a tree.
pub(super) fn column_sum_twin(x: View<'_>, scale: f32, out: &mut [f32]) {
    let (values, lanes) = (x.numbers(), x.ty.lanes());
    for (c, out) in out.iter_mut().enumerate() {
        let mut sums = [0.0f32; 64];
        for (row, values) in values.chunks_exact(lanes).enumerate() {
            sums[row % 64] += values[c];
        }
        *out = tree(&mut sums, |a, b| a + b) * scale;
    }
}

/// Where a tree over a workgroup's 64 values begins. A uniform, so that drivers do not unroll the tree: with it unrolled, software drivers compile for seconds.
pub(super) const HALF: u32 = 32;

/// Reduces 64 values as a workgroup does: halves onto halves.
pub(super) fn tree<T: Copy>(values: &mut [T; 64], combine: impl Fn(T, T) -> T) -> T {
    let mut half = 32;
    while half > 0 {
        for i in 0..half {
            values[i] = combine(values[i], values[i + half]);
        }
        half /= 2;
    }
    values[0]
}

impl Operation for Mean {
    fn stem(&self) -> &'static str {
        "mean"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        Ok(TensorType::f32(&[inputs[0].channels()]))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        column_sum("mean", inputs[0], Input(0), 1.0 / inputs[0].rows() as f32, caps).into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        column_sum_twin(inputs[0], 1.0 / inputs[0].ty.rows() as f32, output.floats());
    }
}

impl Mean {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(11);
        [vec![29, 2], vec![300, 5], vec![1, 3]].into_iter().map(|s| Sample::new(Mean, vec![noise.floats(&s)])).collect()
    }
}
