//! `add`: y = a + b for float tensors of the same shape. Both gradients are dy.

use super::{Backward, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Sum: inputs a, b.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Add;

crate::params! {
    pub(super) struct ElementwiseParams { quads: u32 }
}

/// Shader body that calls `at(i)` for each quad.
pub(super) const ELEMENTWISE: &str = include_str!("../../shaders/elementwise.wgsl");

/// Creates a launch of the function `at(i)` in `body` for each quad of `output`. The uniform `p` has
/// the field `quads`; [`Launch::add_params`] adds others.
pub fn elementwise(stem: &str, body: &'static str, output: &TensorType) -> Launch {
    let quads = output.words() / 4;
    Launch::new(stem, &[ELEMENTWISE, body]).params(&ElementwiseParams { quads: quads as u32 }).threads(quads)
}

crate::params! {
    pub(super) struct PerChannelParams { rows: u32, quads: u32, step: f32 }
}

/// Shader body that calls `prepare(quad)` once and `at(i, quad)` for several rows.
const PER_CHANNEL: &str = include_str!("../../shaders/per_channel.wgsl");
const ROWS: usize = 8;

/// A launch of `at(i, quad)` for each quad of `ty`, with per-channel operands loaded once for 8
/// rows.
pub(super) fn per_channel(label: impl Into<String>, parts: &[&'static str], ty: &TensorType, step: f32) -> Launch {
    let mut body = vec![PER_CHANNEL];
    body.extend(parts);
    let params = PerChannelParams { rows: ty.rows() as u32, quads: ty.quads() as u32, step };
    Launch::new(label, &body).constant("ROWS", ROWS).params(&params).threads(ty.rows().div_ceil(ROWS) * ty.quads())
}

impl Operation for Add {
    fn stem(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("a summand", inputs[0])?;
        super::same("the second summand", inputs[1], inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        for index in 0..2 {
            if cx.needs_gradient(index) {
                cx.accumulate(index, dy)?;
            }
        }
        Ok(())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        elementwise("add", include_str!("../../shaders/add.wgsl"), output)
            .float_ops(output.len())
            .read("a", F32, Input(0))
            .read("b", F32, Input(1))
            .write("y", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (a, b) = (inputs[0].numbers(), inputs[1].numbers());
        parallel::each(output.floats(), [&a, &b], |[a, b]| a + b);
    }
}

impl Add {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(10);
        let shapes = [vec![2, 3, 5, 41], vec![1, 1, 1, 10], vec![7]].into_iter();
        shapes.map(|shape| Sample::new(Add, vec![noise.floats(&shape), noise.floats(&shape)])).collect()
    }
}
