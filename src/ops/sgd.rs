//! `sgd_velocity`, `sgd`, `sgd_nesterov`: stochastic gradient descent with momentum by PyTorch's
//! rules (`torch.optim.SGD` without dampening).
//!
//! g = dw + decay·w; v ← μ·v + g; then w ← w − lr·v, or with Nesterov momentum w ← w − lr·(g +
//! μ·v), v the new velocity. lr is lane 0 of the rates, times the scale of the parameter's group.

use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// New velocity: inputs v (in place), w, dw.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SgdVelocity {
    /// Momentum μ.
    pub momentum: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
}

/// New weight: inputs w (in place), v, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sgd {
    /// Factor of the learning rate.
    pub lr_scale: f32,
}

/// New weight: inputs w (in place), v, dw, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SgdNesterov {
    /// Momentum μ.
    pub momentum: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
    /// Factor of the learning rate.
    pub lr_scale: f32,
}

crate::params! {
    struct VelocityParams { quads: u32, momentum: f32, decay: f32 }
}

crate::params! {
    struct SgdParams { quads: u32, lr_scale: f32 }
}

crate::params! {
    struct NesterovParams {
        quads: u32, momentum: f32, decay: f32, lr_scale: f32,
    }
}

/// Checks the per-step input that holds the learning rate and the bias corrections.
pub(super) fn check_rates(ty: &TensorType) -> Result<(), String> {
    super::same("the rates", ty, &TensorType::f32(&[4]))
}

/// Checks that the inputs are float tensors of the same shape; returns their type.
pub(super) fn alike(names: &[&str], inputs: &[&TensorType]) -> Result<TensorType, String> {
    super::float(names[0], inputs[0])?;
    for (name, ty) in names.iter().zip(inputs).skip(1) {
        super::same(name, ty, inputs[0])?;
    }
    Ok(inputs[0].clone())
}

impl Operation for SgdVelocity {
    fn stem(&self) -> &'static str {
        "sgd_velocity"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        alike(&["the velocity", "the weight", "the gradient"], inputs)
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
            .each_quad(quads)
            .float_ops(4 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (v, w, dw) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers());
        parallel::each(output.floats(), [&v, &w, &dw], |[v, w, dw]| v * self.momentum + dw + w * self.decay);
    }
}

/// Shapes of parameters.
pub(super) const SHAPES: [&[usize]; 3] = [&[3, 3, 8, 41], &[2, 5], &[10]];

impl SgdVelocity {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(52);
        let samples = SHAPES.into_iter().map(|shape| {
            let op = SgdVelocity { momentum: 0.9, decay: 5e-4 };
            Sample::new(op, (0..3).map(|_| noise.floats(shape)).collect())
        });
        samples.collect()
    }
}

impl Operation for Sgd {
    fn stem(&self) -> &'static str {
        "sgd"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        check_rates(inputs[2])?;
        alike(&["the weight", "the velocity"], &inputs[..2])
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("sgd", &[add::ELEMENTWISE, include_str!("../../shaders/sgd.wgsl")])
            .read("velocity", F32, Input(1))
            .read_quad("rates", Input(2))
            .write("w", F32, Output)
            .must_be_finite()
            .params(&SgdParams { quads: quads as u32, lr_scale: self.lr_scale })
            .each_quad(quads)
            .float_ops(2 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (w, v, lr) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers()[0]);
        parallel::each(output.floats(), [&w, &v], |[w, v]| w - v * (lr * self.lr_scale));
    }
}

impl Sgd {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(53);
        let samples = SHAPES.into_iter().map(|shape| {
            let inputs = vec![noise.floats(shape), noise.floats(shape), noise.floats(&[4])];
            Sample::new(Sgd { lr_scale: 0.5 }, inputs)
        });
        samples.collect()
    }
}

impl Operation for SgdNesterov {
    fn stem(&self) -> &'static str {
        "sgd_nesterov"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 4)?;
        check_rates(inputs[3])?;
        alike(&["the weight", "the velocity", "the gradient"], &inputs[..3])
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("sgd_nesterov", &[add::ELEMENTWISE, include_str!("../../shaders/sgd_nesterov.wgsl")])
            .read("velocity", F32, Input(1))
            .read("dw", F32, Input(2))
            .read_quad("rates", Input(3))
            .write("w", F32, Output)
            .must_be_finite()
            .params(&NesterovParams {
                quads: quads as u32,
                momentum: self.momentum,
                decay: self.decay,
                lr_scale: self.lr_scale,
            })
            .each_quad(quads)
            .float_ops(6 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (w, v, dw) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers());
        let lr = inputs[3].numbers()[0];
        parallel::each(output.floats(), [&w, &v, &dw], |[w, v, dw]| {
            let g = dw + w * self.decay;
            w - (g + v * self.momentum) * (lr * self.lr_scale)
        });
    }
}

impl SgdNesterov {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(54);
        let samples = SHAPES.into_iter().map(|shape| {
            let op = SgdNesterov { momentum: 0.9, decay: 5e-4, lr_scale: 0.5 };
            let mut inputs: Vec<_> = (0..3).map(|_| noise.floats(shape)).collect();
            inputs.push(noise.floats(&[4]));
            Sample::new(op, inputs)
        });
        samples.collect()
    }
}
