//! `row`: y = x\[index\], one of several rows that were computed together: the gradient of γ or of
//! β from the sums of a batch-norm.

use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// A row `[c]`: input x `[rows, c]` of floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    /// Index of the row.
    pub index: usize,
}

crate::params! {
    struct RowParams { quads: u32, first: u32 }
}

impl Operation for Row {
    fn stem(&self) -> &'static str {
        "row"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        match inputs[0].shape[..] {
            [rows, channels] if self.index < rows => Ok(TensorType::f32(&[channels])),
            _ => Err(format!("{} has no row {}", inputs[0], self.index)),
        }
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.quads();
        Launch::new("row", &[add::ELEMENTWISE, include_str!("../../shaders/row.wgsl")])
            .read("x", F32, Input(0))
            .write("y", F32, Output)
            .params(&RowParams { quads: quads as u32, first: (self.index * quads) as u32 })
            .each_quad(quads)
            .moves(2 * output.words())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let lanes = output.ty.lanes();
        output.floats().copy_from_slice(&inputs[0].numbers()[self.index * lanes..][..lanes]);
    }
}

impl Row {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(58);
        let cases = [([2, 41], 0), ([2, 41], 1), ([5, 300], 3)].into_iter();
        cases.map(|(shape, index)| Sample::new(Row { index }, vec![noise.floats(&shape)])).collect()
    }
}
