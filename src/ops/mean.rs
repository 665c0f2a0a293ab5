//! `mean`: `out[c]` = mean over rows of `x[row, c]`; used for the loss and the accuracy of a batch.
//!
//! **Order of the sum** ([`super::sum`]): 64 lanes of rows in chunks of
//! [`CHUNK`](super::sum::CHUNK) = 128, then pairs, then the tree of lanes.

use super::{Activity, Operation, Sample, sample::Noise, sum};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Mean over rows: input x `[…, c]`, output `[c]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mean {
    /// Total number of rows of the mean if these rows are only part of it; `None` if they are all.
    pub of: Option<usize>,
}

impl Mean {
    fn scale(self, x: &TensorType) -> f32 {
        1.0 / self.of.unwrap_or(x.rows()) as f32
    }
}

crate::params! {
    pub(super) struct ColumnParams { rows: u32, quads: u32, scale: f32, half: u32 }
}

impl ColumnParams {
    pub(super) fn new(x: &TensorType, scale: f32) -> Self {
        Self { rows: x.rows() as u32, quads: x.quads() as u32, scale, half: sum::HALF }
    }
}

/// The launch that sums the rows of each channel of `operand`, of type `x`, times `scale`, into
/// `[c]`.
pub(super) fn column_sum(label: &str, x: &TensorType, operand: Operand, scale: f32, caps: &Caps) -> Launch {
    sum::reduction(label, include_str!("../../shaders/channel_sum.wgsl"), (x.quads(), x.rows()), caps)
        .read("x", F32, operand)
        .write("out", F32, Output)
        .float_ops(x.len())
        .params(&ColumnParams::new(x, scale))
}

/// Reference implementation of [`column_sum`], in the kernel's order.
pub(super) fn column_sum_reference(x: View<'_>, scale: f32, out: &mut [f32]) {
    let (values, lanes) = (x.numbers(), x.ty.lanes());
    let sums = sum::columns(x.ty.rows(), lanes, |row, sums| {
        sums.iter_mut().zip(&values[row * lanes..]).for_each(|(sum, value)| *sum += value);
    });
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scale);
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
        column_sum("mean", inputs[0], Input(0), self.scale(inputs[0]), caps).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        column_sum_reference(inputs[0], self.scale(inputs[0].ty), output.floats());
    }
}

impl Mean {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(11);
        let cases =
            [(vec![29, 2], None), (vec![300, 5], None), (vec![1, 3], None), (vec![29, 2], Some(48))].into_iter();
        cases.map(|(shape, of)| Sample::new(Mean { of }, vec![noise.floats(&shape)])).collect()
    }
}
