//! `bconv_dx`, `bconv_dw`: the gradients of [`super::bconv`], from the packed operands.
//!
//! With y = W̃ ∗ (Δ·code), W̃ = α·sign(W): dx is the transposed convolution of dy with W̃, whose values are made in registers from the packed signs;
//! dw = Δ · Σ dy · code, codes unpacked in registers. dx is the gradient of the real activation Δ·code, dw that of W̃ and, unchanged, of the latent W.

use super::window::{Window, WindowParams};
use super::{Activity, Operation, Sample, bconv, conv, conv_backward, decode, sample::Noise};
use crate::bits;
use crate::caps::Caps;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut, WORD_BITS,
};

/// Gradient of the activation: inputs dy, signs, α.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BconvDx {
    /// The convolution's window.
    pub window: Window,
    /// The type of dx.
    pub input: TensorType,
}

/// Gradient of the weight: inputs dy, codes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BconvDw {
    /// The convolution's window.
    pub window: Window,
    /// The quantiser's step Δ.
    pub step: f32,
}

const BCONV_DX: &str = include_str!("../../shaders/bconv_dx.wgsl");
const BCONV_DW: &str = include_str!("../../shaders/bconv_dw.wgsl");

impl Operation for BconvDx {
    fn stem(&self) -> &'static str {
        "bconv_dx"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        let y = bconv::infer(&self.window, &self.input, inputs[1], inputs[2])?;
        super::same("the gradient", inputs[0], &y)?;
        Ok(self.input.clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        conv::product("bconv_dx", [conv_backward::SCATTER, BCONV_DX], output.rows(), output, caps)
            .constant("UNIT_STRIDE", usize::from(self.window.stride == [1, 1]))
            .constant("WORDS", output.plane_words())
            .constant("CHANNELS", output.channels())
            .read("dy", F32, Input(0))
            .read("signs", U32, Input(1))
            .read("alpha", F32, Input(2))
            .write("dx", F32, Output)
            .params(&WindowParams::new(&self.window, output, inputs[0]))
            .float_ops(2 * inputs[0].len() * self.window.taps() * output.channels())
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (signs, alpha) = (inputs[1].words, inputs[2].numbers());
        let (channels, cl, kl) = (output.ty.channels(), output.ty.lanes(), inputs[0].ty.lanes());
        let words = output.ty.plane_words();
        conv_backward::input_gradient_twin(&self.window, (inputs[0].ty, &inputs[0].numbers()), output, |tap, block| {
            for (k, row) in block.chunks_exact_mut(cl).enumerate() {
                for (c, weight) in row[..channels].iter_mut().enumerate() {
                    let word = signs[(tap * words + c / WORD_BITS) * kl + k];
                    *weight = if word >> (c % WORD_BITS) & 1 == 1 { alpha[k] } else { -alpha[k] };
                }
            }
        });
    }
}

impl BconvDx {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(7);
        let cases = bconv::operands(&mut noise).into_iter();
        cases
            .map(|(window, [codes, signs, alpha])| {
                let input = codes.ty.with(F32);
                let y = bconv::infer(&window, &codes.ty, &signs.ty, &alpha.ty).expect("a case that fits");
                Sample::new(BconvDx { window, input }, vec![noise.floats(&y.shape), signs, alpha])
            })
            .collect()
    }
}

impl Operation for BconvDw {
    fn stem(&self) -> &'static str {
        "bconv_dw"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        bconv::bits_of("the activation", inputs[1])?;
        let [_, _, _, k] = super::nhwc("the gradient", inputs[0])?;
        let weight = TensorType::f32(&[self.window.kernel[0], self.window.kernel[1], inputs[1].lanes(), k]);
        let y = conv::infer(&self.window, inputs[1], &weight, inputs[1].lanes())?;
        super::same("the gradient", inputs[0], &y)?;
        Ok(weight)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (dy, x) = (inputs[0], inputs[1]);
        conv_backward::weight_gradient(
            "bconv_dw",
            &[decode::CODES, BCONV_DW],
            &self.window,
            (x, dy, output),
            caps,
            |launch| {
                launch
                    .constant("BITS", x.row_words() / x.plane_words())
                    .constant("WORDS", x.plane_words())
                    .constant("STEP_BITS", self.step.to_bits() as usize)
                    .params(&WindowParams::new(&self.window, x, dy))
                    .read("x", x.encoding, Input(1))
            },
        )
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, x) = ((inputs[0].ty, &*inputs[0].numbers()), inputs[1]);
        let (lanes, plane_words) = (x.ty.lanes(), x.ty.plane_words());
        // One layer's codes as floats, for the length of this loop only.
        let mut codes = vec![0.0; x.ty.rows() * lanes];
        for (codes, row) in codes.chunks_exact_mut(lanes).zip(x.words.chunks_exact(x.ty.row_words())) {
            bits::spread_codes(row, plane_words, codes);
        }
        conv_backward::weight_gradient_twin(&self.window, (x.ty, &codes), dy, self.step, output.floats());
    }
}

impl BconvDw {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(8);
        let cases = bconv::operands(&mut noise).into_iter();
        cases
            .map(|(window, [codes, signs, alpha])| {
                let y = bconv::infer(&window, &codes.ty, &signs.ty, &alpha.ty).expect("a case that fits");
                Sample::new(BconvDw { window, step: 0.538 }, vec![noise.floats(&y.shape), codes])
            })
            .collect()
    }
}
