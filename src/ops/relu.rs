//! `relu`: y = max(x, 0), or max(z, 0) with z the batch-norm of x. `relu_backward`: dx = dy where y
//! > 0, else 0.

use super::{Backward, Fold, Op, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Rectifier: inputs x, or x and the coefficients of a preceding batch-norm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Relu;

/// Gradient of [`Relu`]: inputs dy, y. With folded coefficients, the gradient of the normalised
/// value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReluBackward;

impl Operation for Relu {
    fn stem(&self) -> &'static str {
        "relu"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs)?;
        Ok(inputs[0].with(F32))
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 0, trailing: 0 })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, y) = (cx.dy(), cx.output());
        let dx = cx.add(ReluBackward, &[dy, y])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let launch = add::per_channel("relu", &[include_str!("../../shaders/relu.wgsl")], output, 1.0);
        batch_norm::read(launch.float_ops(output.len()), self, inputs).must_be_finite().write("y", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let lanes = output.ty.lanes();
        batch_norm::Prologue::new(inputs).rows(output.floats(), lanes, |_, x, out| {
            for (out, x) in out.iter_mut().zip(x) {
                *out = x.max(0.0);
            }
        });
    }
}

impl Relu {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(15);
        let mut samples = vec![Sample::new(Relu, vec![noise.floats(&[2, 3, 5, 41])])];
        samples.extend(batch_norm::prologue_cases(&mut noise).into_iter().map(|inputs| Sample::new(Relu, inputs)));
        samples
    }
}

impl Operation for ReluBackward {
    fn stem(&self) -> &'static str {
        "relu_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the gradient", inputs[0])?;
        super::same("the output", inputs[1], inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("relu_backward", include_str!("../../shaders/relu_backward.wgsl"), output)
            .read("dy", F32, Input(0))
            .must_be_finite()
            .read("y", F32, Input(1))
            .write("dx", F32, Output)
            .float_ops(output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, y) = (inputs[0].numbers(), inputs[1].numbers());
        parallel::each(output.floats(), [&dy, &y], |[dy, y]| if y > 0.0 { dy } else { 0.0 });
    }
}

impl ReluBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(16);
        let shape = [2, 3, 5, 41];
        let y = Op::from(Relu).evaluate(&[&noise.floats(&shape)]);
        vec![Sample::new(ReluBackward, vec![noise.floats(&shape), y])]
    }
}
