//! `decode`: the float tensor that an encoded one stands for: y = Δ·code, or y = α_k·Δ·s for the sums of a binary convolution.
//!
//! Needed only where a float layer reads codes or sums. The gradient is dy itself: by convention the gradient of an encoded tensor is that of what it stands for.

use super::{Backward, Operation, Sample, add, sample::Noise};
use crate::bits;
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{F32, I16, I32, Planes},
    TensorType, View, ViewMut,
};

/// Decodes: inputs codes, or sums and α.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decode {
    /// The quantiser's step Δ.
    pub step: f32,
}

const DECODE: &str = include_str!("../../shaders/decode.wgsl");
/// WGSL that unpacks a quad of codes.
pub(super) const CODES: &str = include_str!("../../shaders/codes.wgsl");

impl Operation for Decode {
    fn stem(&self) -> &'static str {
        "decode"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs.first().map(|x| x.encoding) {
            Some(Planes(_)) => super::arity(inputs, 1)?,
            Some(I16 | I32) => {
                super::arity(inputs, 2)?;
                super::same("alpha", inputs[1], &TensorType::f32(&[inputs[0].channels()]))?;
            }
            _ => return Err(format!("codes or sums expected, not {inputs:?}")),
        }
        Ok(inputs[0].with(F32))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        cx.give(0, dy)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let bits = if let Planes(bits) = inputs[0].encoding { bits as usize } else { 0 };
        let (label, parts): (_, &[_]) = match bits {
            0 => ("decode_sums", &[DECODE]),
            _ => ("decode_codes", &[DECODE, CODES]),
        };
        let launch = add::per_channel(label, parts, output, self.step)
            .constant("SUMS", usize::from(bits == 0))
            .constant("BITS", bits)
            .read("x", inputs[0].encoding, Input(0));
        let launch = if bits == 0 { launch.read("alpha", F32, Input(1)) } else { launch };
        launch.write("y", F32, Output).float_ops(output.len()).into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, step, lanes) = (inputs[0], self.step, output.ty.lanes());
        if let Planes(_) = x.ty.encoding {
            let (row_words, plane_words) = (x.ty.row_words(), x.ty.plane_words());
            parallel::rows(output.floats(), lanes, |row, out| {
                bits::spread_codes(&x.words[row * row_words..][..row_words], plane_words, out);
                out.iter_mut().for_each(|value| *value *= step);
            });
        } else {
            let (sums, alpha) = (x.numbers(), inputs[1].numbers());
            parallel::rows(output.floats(), lanes, |row, out| {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = sums[row * lanes + c] * (alpha[c] * step);
                }
            });
        }
    }
}

impl Decode {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(14);
        let mut samples = Vec::new();
        for encoding in [I16, I32] {
            let sums = noise.ints(&[2, 3, 5, 41], encoding, 3000);
            samples.push(Sample::new(Decode { step: 0.538 }, vec![sums, noise.positive(&[41])]));
        }
        for bits in 1..=4 {
            samples.push(Sample::new(Decode { step: 0.3217 }, vec![noise.ints(&[3, 2, 3, 41], Planes(bits), 0)]));
        }
        samples
    }
}
