//! `scale`: y = s·x with a scalar s `[1]`; `total`: the sum of all elements, `[1]`.
//!
//! **Order of the sum** ([`super::sum`]): each channel as in [`super::mean`], then the channels in
//! chunks of [`CHUNK`](super::sum::CHUNK) = 128.

use super::mean::{self, ColumnParams};
use super::{Backward, Operation, Sample, add, sample::Noise, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Multiplication by a scalar: inputs x, s `[1]`. s receives no gradient.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scale;

/// Sum of all elements: input x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Total;

crate::params! {
    struct TotalParams { quads: u32 }
}

impl Operation for Scale {
    fn stem(&self) -> &'static str {
        "scale"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the input", inputs[0])?;
        super::same("the scale", inputs[1], &TensorType::f32(&[1]))?;
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (s, dy) = (cx.input(1), cx.dy());
        if !cx.needs_gradient(0) {
            return Ok(());
        }
        let dx = cx.add(Scale, &[dy, s])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("scale", include_str!("../../shaders/scale.wgsl"), output)
            .each_quad(output.words() / 4)
            .float_ops(output.len())
            .read("x", F32, Input(0))
            .read("s", F32, Input(1))
            .write("y", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, s) = (inputs[0].numbers(), inputs[1].numbers()[0]);
        output.floats().iter_mut().zip(x.iter()).for_each(|(y, x)| *y = x * s);
    }
}

impl Scale {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(33);
        let shapes = [vec![2, 3, 5, 41], vec![7]].into_iter();
        shapes.map(|shape| Sample::new(Scale, vec![noise.floats(&shape), noise.floats(&[1])])).collect()
    }
}

impl Operation for Total {
    fn stem(&self) -> &'static str {
        "total"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        Ok(TensorType::f32(&[1]))
    }

    /// Launches: the sum of each channel in 64 lanes; then the sum of the channels, in order.
    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        let x = inputs[0];
        let text = include_str!("../../shaders/channel_sum.wgsl");
        let columns = sum::reduction("total_columns", text, (x.quads(), x.rows()), caps)
            .read("x", F32, Input(0))
            .write("out", F32, Scratch(0))
            .float_ops(x.len())
            .params(&ColumnParams::new(x, 1.0));
        let total = Launch::new("total", &[include_str!("../../shaders/total.wgsl"), sum::QUADS_SUM]);
        let total = sum::running(total, x.quads())
            .read("columns", F32, Scratch(0))
            .write("out", F32, Output)
            .float_ops(x.channels())
            .params(&TotalParams { quads: x.quads() as u32 })
            .threads(1);
        Program { scratch_words: vec![x.lanes()], launches: vec![columns, total] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let mut columns = vec![0.0; inputs[0].ty.lanes()];
        mean::column_sum_reference(inputs[0], 1.0, &mut columns);
        let out = output.floats();
        out.fill(0.0);
        out[0] = sum::of_quads(&columns);
    }
}

impl Total {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(34);
        let shapes = [vec![2, 3, 5, 41], vec![7], vec![300, 5], vec![3, 3, 8, 66]].into_iter();
        shapes.map(|shape| Sample::new(Total, vec![noise.positive(&shape)])).collect()
    }
}
