//! `bconv`: packed convolution of binary weights with codes, an exact integer.
//!
//! `s[n, y, x, k] = Σ_taps Σ_words Σ_p 2^p · (2·popcount(w & a_p) − popcount(a_p))`, the sum of ±code over the window; zero padding is exact, for code 0 has no
//! bits. s stands for y = α_k · Δ · s. Inputs: codes `Planes(b)` `[n, h, w, c]`, signs `U32` `[r, s, ⌈c/32⌉, k]`, α `[k]` (for the gradient only).
//! Output: `I16` where |s| ≤ (2^b − 1)·C·R·S fits, else `I32`. Exact on every device, whatever kernel runs.

use super::window::{Window, WindowParams};
use super::{Backward, Operation, Sample, bconv_backward, conv, sample::Noise};
use crate::caps::{Caps, LaunchShape};
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{self, I16, I32, Planes, U32},
    TensorType, View, ViewMut, WORD_BITS,
};

/// Packed convolution: inputs codes, signs, α.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bconv {
    /// The window.
    pub window: Window,
    /// The quantiser's step Δ.
    pub step: f32,
}

const GATHER: &str = include_str!("../../shaders/window_gather.wgsl");
const BCONV: &str = include_str!("../../shaders/bconv.wgsl");
const REGISTERS: &str = include_str!("../../shaders/bconv_registers.wgsl");
const TILED: &str = include_str!("../../shaders/bconv_tiled.wgsl");

/// Rows an invocation makes in the `Registers` shape, rows and filters of a tile in the other.
const ROWS: usize = 4;
const TILE: usize = 64;

/// The largest |s| that `bits`-bit codes of `channels` channels under a window can sum up to.
pub fn largest_sum(window: &Window, bits: u8, channels: usize) -> usize {
    ((1 << bits) - 1) * channels * window.taps()
}

/// The narrowest encoding that holds every possible sum.
pub fn sum_encoding(window: &Window, bits: u8, channels: usize) -> Encoding {
    if largest_sum(window, bits, channels) <= i16::MAX as usize { I16 } else { I32 }
}

pub(super) fn bits_of(what: &str, ty: &TensorType) -> Result<u8, String> {
    match ty.encoding {
        Planes(bits) => Ok(bits),
        _ => Err(format!("{what} must be codes, not {ty}; binary weights need a hwgq layer before them")),
    }
}

/// Checks signs and α against the window and the input; returns the output's float type.
pub(super) fn infer(
    window: &Window,
    x: &TensorType,
    signs: &TensorType,
    alpha: &TensorType,
) -> Result<TensorType, String> {
    if signs.encoding != U32 {
        return Err(format!("the signs must be u32, not {signs}"));
    }
    let y = conv::infer(window, x, signs, x.channels().div_ceil(WORD_BITS))?;
    super::same("alpha", alpha, &TensorType::f32(&[y.channels()]))?;
    Ok(y)
}

impl Operation for Bconv {
    fn stem(&self) -> &'static str {
        "bconv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        let bits = bits_of("the input of a binary convolution", inputs[0])?;
        let y = infer(&self.window, inputs[0], inputs[1], inputs[2])?;
        let largest = largest_sum(&self.window, bits, inputs[0].channels());
        if largest >= 1 << 24 {
            return Err(format!("sums up to {largest} exceed 2^24, beyond which floats do not hold them exactly"));
        }
        Ok(y.with(sum_encoding(&self.window, bits, inputs[0].channels())))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (codes, signs, alpha, dy) = (cx.input(0), cx.input(1), cx.input(2), cx.dy());
        let input = cx.input_type(0).with(Encoding::F32);
        let Bconv { window, step } = *self;
        if cx.wants(0) {
            let dx = cx.add(bconv_backward::BconvDx { window, input: input.clone() }, &[dy, signs, alpha])?;
            cx.give(0, dx)?;
        }
        if cx.wants(1) {
            let dw = cx.add(bconv_backward::BconvDw { window, step }, &[dy, codes])?;
            cx.give(1, dw)?;
        }
        Ok(())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (x, rows) = (inputs[0], output.rows());
        let bits = x.row_words() / x.plane_words();
        let launch = match caps.shape {
            LaunchShape::Registers => {
                let block = if output.quads().is_multiple_of(2) { 2 } else { 1 };
                Launch::new("bconv_registers", &[GATHER, BCONV, REGISTERS])
                    .constant("ROWS", ROWS)
                    .constant("CQ", block)
                    .threads(rows.div_ceil(ROWS) * output.quads() / block)
            }
            LaunchShape::Tiled => Launch::new("bconv_tiled", &[GATHER, BCONV, TILED])
                .groups(rows.div_ceil(TILE) * output.lanes().div_ceil(TILE)),
        };
        launch
            .constant("BITS", bits)
            .constant("WORDS", x.plane_words())
            .constant("FILTERS", output.channels())
            .read("x", x.encoding, Input(0))
            .read("signs", U32, Input(1))
            .write("s", output.encoding, Output)
            .params(&WindowParams::new(&self.window, x, output))
            .bit_ops(2 * output.len() * self.window.taps() * x.channels() * bits)
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let ([_, h, w, _], [_, oh, ow, filters]) = (inputs[0].ty.nhwc(), output.ty.nhwc());
        let (x, signs, window) = (inputs[0], inputs[1].words, self.window);
        let (words, row_words, kl) = (x.ty.plane_words(), x.ty.row_words(), output.ty.lanes());
        let mut sums = vec![0i32; output.ty.rows() * kl];
        parallel::rows(&mut sums, kl, |row, out| {
            let (n, oy, ox) = (row / (oh * ow), row / ow % oh, row % ow);
            for r in 0..window.kernel[0] {
                for s in 0..window.kernel[1] {
                    let Some([y, x_at]) = window.source([h, w], [oy, ox], [r, s]) else { continue };
                    let planes = &x.words[((n * h + y) * w + x_at) * row_words..][..row_words];
                    let tap = r * window.kernel[1] + s;
                    for (i, &a) in planes.iter().enumerate() {
                        let (plane, word) = (i / words, i % words);
                        let signs = &signs[(tap * words + word) * kl..][..filters];
                        let all = a.count_ones() as i32;
                        for (out, &w) in out.iter_mut().zip(signs) {
                            *out += (2 * (w & a).count_ones() as i32 - all) << plane;
                        }
                    }
                }
            }
        });
        output.put_ints(&sums);
    }
}

/// Codes, signs (with zero tails) and α for each case of a convolution, over 1 to 4 bits.
pub(super) fn operands(noise: &mut Noise) -> Vec<(Window, [crate::tensor::Tensor; 3])> {
    let cases = conv::cases().into_iter().enumerate();
    cases
        .map(|(i, (window, input, filters))| {
            let bits = (i % 4 + 1) as u8;
            let codes = noise.ints(&input, Planes(bits), 0);
            let w = noise.weights(window.kernel, input[3], filters);
            let signs = super::Op::from(super::sign::Sign { channels: input[3] }).evaluate(&[&w]);
            (window, [codes, signs, noise.positive(&[filters])])
        })
        .collect()
}

impl Bconv {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = operands(&mut Noise::new(5)).into_iter();
        let mut samples: Vec<_> =
            cases.map(|(window, inputs)| Sample::new(Bconv { window, step: 0.538 }, inputs.to_vec())).collect();
        // Sums that need 32 bits.
        let mut noise = Noise::new(6);
        let (window, codes) = (Window::square(3, 1, 1), noise.ints(&[1, 3, 3, 300], Planes(4), 0));
        let signs = super::Op::from(super::sign::Sign { channels: 300 }).evaluate(&[&noise.weights([3, 3], 300, 6)]);
        samples.push(Sample::new(Bconv { window, step: 0.184 }, vec![codes, signs, noise.positive(&[6])]));
        samples
    }
}
