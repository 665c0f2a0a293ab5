//! `moment`, `adam`: Adam (Kingma and Ba, 2015, arXiv 1412.6980) and AdamW (Loshchilov and Hutter,
//! 2019, arXiv 1711.05101) by PyTorch's rules.
//!
//! g = dw + decay·w (Adam; AdamW has no decay here); m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²;
//! w ← w·(1 − lr·decay) (AdamW only) − lr·(m/(1 − β1^t)) / (√v/√(1 − β2^t) + ε).
//!
//! Rates `[4]`: lr, 1 − β1^t, 1 − β2^t for step t, counted from 1, and 0; the host computes them in
//! f64. lr is scaled by the factor of the parameter's group.

use super::sgd::{SHAPES, alike, check_rates};
use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// New moving average of the gradient, or of its square: inputs m (in place), w, dw.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moment {
    /// Whether the gradient is squared.
    pub second: bool,
    /// β: decay factor of the old average.
    pub keep: f32,
    /// 1 − β, computed in higher precision than β is stored in.
    pub take: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
}

/// New weight: inputs w (in place), m, v, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adam {
    /// ε, above 0; otherwise padding would be 0/0.
    pub eps: f32,
    /// Factor of the learning rate.
    pub lr_scale: f32,
    /// Decoupled weight decay of this tensor, as in AdamW; 0 for Adam.
    pub decay: f32,
}

crate::params! {
    struct MomentParams { quads: u32, keep: f32, take: f32, decay: f32 }
}

crate::params! {
    struct AdamParams {
        quads: u32, eps: f32, lr_scale: f32, decay: f32,
    }
}

impl Operation for Moment {
    fn stem(&self) -> &'static str {
        "moment"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        alike(&["the moment", "the weight", "the gradient"], inputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        let label = if self.second { "moment_second" } else { "moment_first" };
        let (keep, take) = (self.keep, self.take);
        Launch::new(label, &[add::ELEMENTWISE, include_str!("../../shaders/moment.wgsl")])
            .constant("SECOND", usize::from(self.second))
            .read("w", F32, Input(1))
            .read("dw", F32, Input(2))
            .write("moment", F32, Output)
            .params(&MomentParams { quads: quads as u32, keep, take, decay: self.decay })
            .each_quad(quads)
            .float_ops((5 + usize::from(self.second)) * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (m, w, dw) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers());
        for (i, out) in output.floats().iter_mut().enumerate() {
            let g = dw[i] + w[i] * self.decay;
            *out = m[i] * self.keep + if self.second { g * g } else { g } * self.take;
        }
    }
}

impl Moment {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(55);
        let samples = SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]).map(|(shape, second)| {
            let op = Moment { second, keep: 0.9, take: 0.1, decay: 5e-4 };
            Sample::new(op, (0..3).map(|_| noise.floats(shape)).collect())
        });
        samples.collect()
    }
}

impl Operation for Adam {
    fn stem(&self) -> &'static str {
        "adam"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 4)?;
        check_rates(inputs[3])?;
        alike(&["the weight", "the first moment", "the second moment"], &inputs[..3])
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("adam", &[add::ELEMENTWISE, include_str!("../../shaders/adam.wgsl")])
            .read("first", F32, Input(1))
            .must_be_finite()
            .read("second", F32, Input(2))
            .must_be_finite()
            .read_quad("rates", Input(3))
            .write("w", F32, Output)
            .must_be_finite()
            .params(&AdamParams { quads: quads as u32, eps: self.eps, lr_scale: self.lr_scale, decay: self.decay })
            .each_quad(quads)
            // A square root, two quotients, a sum; decay, step.
            .float_ops(8 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (w, m, v, rates) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers(), inputs[3].numbers());
        let root = rates[2].sqrt();
        for (i, out) in output.floats().iter_mut().enumerate() {
            let lr = rates[0] * self.lr_scale;
            let kept = w[i] * (1.0 - lr * self.decay);
            *out = kept - m[i] / (v[i].sqrt() / root + self.eps) * (lr / rates[1]);
        }
    }
}

impl Adam {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(56);
        let samples = SHAPES.into_iter().flat_map(|shape| [(shape, 1e-8), (shape, 0.5)]).map(|(shape, eps)| {
            let op = Adam { eps, lr_scale: 0.5, decay: 0.25 };
            let rates = Tensor::from_f32(&[4], &[0.05, 0.19, 0.003, 0.0]);
            Sample::new(op, vec![noise.floats(shape), noise.floats(shape), noise.positive(shape), rates])
        });
        samples.collect()
    }
}
