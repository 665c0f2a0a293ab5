//! `sgd_velocity`, `sgd`: stochastic gradient descent with momentum by PyTorch's rules: v ← μ·v + dw + decay·w; w ← w − lr·v.

use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// New velocity: inputs v (in place), w, dw.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SgdVelocity {
    /// μ.
    pub momentum: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
}

/// New weight: inputs w (in place), v, learning rate `[1]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sgd;

crate::params! {
    struct VelocityParams { quads: u32, momentum: f32, decay: f32 }
}

impl Operation for SgdVelocity {
    fn stem(&self) -> &'static str {
        "sgd_velocity"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::float("the velocity", inputs[0])?;
        super::same("the weight", inputs[1], inputs[0])?;
        super::same("the gradient", inputs[2], inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("sgd_velocity", &[add::ELEMENTWISE, include_str!("../../shaders/sgd_velocity.wgsl")])
            .read("w", F32, Input(1))
            .read("dw", F32, Input(2))
            .write("velocity", F32, Output)
            .params(&VelocityParams { quads: quads as u32, momentum: self.momentum, decay: self.decay })
            .threads(quads)
            .float_ops(4 * output.len())
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (v, w, dw) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers());
        for (i, out) in output.floats().iter_mut().enumerate() {
            *out = v[i] * self.momentum + dw[i] + w[i] * self.decay;
        }
    }
}

impl SgdVelocity {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(52);
        let shapes = [vec![3, 3, 8, 41], vec![2, 5], vec![10]].into_iter();
        shapes
            .map(|shape| {
                let inputs = vec![noise.floats(&shape), noise.floats(&shape), noise.floats(&shape)];
                Sample::new(SgdVelocity { momentum: 0.9, decay: 5e-4 }, inputs)
            })
            .collect()
    }
}

impl Operation for Sgd {
    fn stem(&self) -> &'static str {
        "sgd"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::float("the weight", inputs[0])?;
        super::same("the velocity", inputs[1], inputs[0])?;
        super::same("the learning rate", inputs[2], &TensorType::f32(&[1]))?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("sgd", include_str!("../../shaders/sgd.wgsl"), output)
            .read("velocity", F32, Input(1))
            .read("lr", F32, Input(2))
            .write("w", F32, Output)
            .float_ops(2 * output.len())
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (w, v, lr) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers()[0]);
        for (i, out) in output.floats().iter_mut().enumerate() {
            *out = w[i] - v[i] * lr;
        }
    }
}

impl Sgd {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(53);
        let shapes = [vec![3, 3, 8, 41], vec![2, 5], vec![10]].into_iter();
        shapes
            .map(|shape| Sample::new(Sgd, vec![noise.floats(&shape), noise.floats(&shape), noise.floats(&[1])]))
            .collect()
    }
}
