//! `bop`: the binary optimiser (Helwegen et al., 2019, arXiv 1906.02107, algorithm 1): a binary
//! weight without a latent weight, which flips when the gradient has consistently opposed it.
//!
//! m ← (1 − γ)·m + γ·g is [`super::adam::Moment`]; then w ← −w where |m| > τ and m has w's sign. w
//! is ±1.

use super::sgd::{SHAPES, alike};
use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// New weight: inputs w (in place), m.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bop {
    /// τ, at least 0.
    pub threshold: f32,
}

crate::params! {
    struct BopParams { quads: u32, threshold: f32 }
}

impl Operation for Bop {
    fn stem(&self) -> &'static str {
        "bop"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        alike(&["the weight", "the momentum"], inputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("bop", &[add::ELEMENTWISE, include_str!("../../shaders/bop.wgsl")])
            .read("momentum", F32, Input(1))
            .must_be_finite()
            .write("w", F32, Output)
            .params(&BopParams { quads: quads as u32, threshold: self.threshold })
            .each_quad(quads)
            // Comparison of the magnitude with the threshold, two signs.
            .float_ops(3 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (w, m) = (inputs[0].numbers(), inputs[1].numbers());
        for (i, out) in output.floats().iter_mut().enumerate() {
            let flips = m[i].abs() > self.threshold && (m[i] > 0.0) == (w[i] > 0.0);
            *out = if flips { -w[i] } else { w[i] };
        }
    }

    /// A weight either flips or does not.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl Bop {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(57);
        let samples = SHAPES
            .into_iter()
            .map(|shape| Sample::new(Bop { threshold: 0.5 }, vec![noise.floats(shape), noise.floats(shape)]));
        samples.collect()
    }
}
