//! `bias`: `y[…, k] = x[…, k] + b[k]`. `channel_sum`: its gradient, `db[k] = Σ dy[…, k]`.
//!
//! **Order of the sum** ([`super::sum`]): 64 lanes of rows in chunks of
//! [`CHUNK`](super::sum::CHUNK) = 128, then pairs, then the tree of lanes.

use super::{Activity, Backward, Operation, Sample, add, mean, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Adds a bias: inputs x, b.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bias;

/// Sum over rows: input x `[…, c]`, output `[c]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChannelSum;

crate::params! {
    struct BiasParams { quads: u32, channel_quads: u32 }
}

impl Operation for Bias {
    fn stem(&self) -> &'static str {
        "bias"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the input", inputs[0])?;
        super::same("the bias", inputs[1], &TensorType::f32(&[inputs[0].channels()]))?;
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        if cx.needs_gradient(0) {
            cx.accumulate(0, dy)?;
        }
        if cx.needs_gradient(1) {
            let db = cx.add(ChannelSum, &[dy])?;
            cx.accumulate(1, db)?;
        }
        Ok(())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("bias", &[add::ELEMENTWISE, include_str!("../../shaders/bias.wgsl")])
            .params(&BiasParams { quads: quads as u32, channel_quads: output.quads() as u32 })
            .each_quad(quads)
            .float_ops(output.len())
            .read("x", F32, Input(0))
            .read("b", F32, Input(1))
            .write("y", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, b, lanes) = (inputs[0].numbers(), inputs[1].numbers(), output.ty.lanes());
        parallel::rows(output.floats(), lanes, |row, out| {
            for (c, out) in out.iter_mut().enumerate() {
                *out = x[row * lanes + c] + b[c];
            }
        });
    }
}

impl Bias {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(12);
        let shapes = [vec![5, 1, 1, 10], vec![2, 3, 3, 41]].into_iter();
        shapes
            .map(|shape| {
                let channels = shape[3];
                Sample::new(Bias, vec![noise.floats(&shape), noise.floats(&[channels])])
            })
            .collect()
    }
}

impl Operation for ChannelSum {
    fn stem(&self) -> &'static str {
        "channel_sum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        Ok(TensorType::f32(&[inputs[0].channels()]))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        mean::column_sum("channel_sum", inputs[0], Input(0), 1.0, caps).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        mean::column_sum_reference(inputs[0], 1.0, output.floats());
    }
}

impl ChannelSum {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(13);
        let shapes = [vec![64, 1, 1, 10], vec![3, 7, 9, 41]].into_iter();
        shapes.map(|shape| Sample::new(ChannelSum, vec![noise.floats(&shape)])).collect()
    }
}
