//! `clamp`: w ← min(max(w, −1), 1), in place: keeps latent weights where their signs can still
//! change (BinaryNet; Courbariaux et al., 2016, arXiv 1602.02830).

use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Clamped latent weight: input w (in place).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Clamp;

impl Operation for Clamp {
    fn stem(&self) -> &'static str {
        "clamp"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the latent weight", inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("clamp", include_str!("../../shaders/clamp.wgsl"), output)
            .write("w", F32, Output)
            .each_quad(output.words() / 4)
            .float_ops(2 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let w = inputs[0].numbers();
        output.floats().iter_mut().zip(w.iter()).for_each(|(out, w)| *out = w.clamp(-1.0, 1.0));
    }
}

impl Clamp {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(39);
        let shapes = [vec![3, 3, 8, 41], vec![2, 5]].into_iter();
        shapes.map(|shape| Sample::new(Clamp, vec![noise.floats(&shape)])).collect()
    }
}
