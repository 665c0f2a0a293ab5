//! `dorefa_gradient`: k-bit gradients (DoReFa-Net; Zhou et al., 2016, arXiv 1606.06160): the
//! forward pass is the identity, which `simplify` removes; the backward pass is
//!
//! f(dr) = 2m·(quantize_k(dr/(2m) + ½ + N) − ½), m = max |dr| of the sample, N uniform within half
//! a step on both sides.
//!
//! Rounding with this noise is stochastic rounding. With v = (2^k − 1)·(dr/(2m) + ½) and u uniform
//! in [0, 1): dx = m·(2·(⌊v⌋ + [u < v − ⌊v⌋])/(2^k − 1) − 1). dr = ±m is unchanged; a sample whose
//! gradient is zero keeps a zero gradient.
//!
//! v depends on a division, for which WGSL permits an error of 2.5 ULP: if u is that close to v −
//! ⌊v⌋, devices may differ by one step. The samples below avoid such values.

use super::dropout::{PHILOX, check_random, drawing};
use super::{Backward, Operation, Sample, add, max_abs::MaxAbs, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::random;
use crate::tensor::{
    Encoding::{F32, I16, I32},
    LANES, Tensor, TensorType, View, ViewMut,
};

/// Identity whose gradient has k bits: inputs x (floats, or sums that represent floats), random
/// `[4]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DorefaGradient {
    /// Number of bits k, 1 to 8.
    pub bits: u8,
    /// Stream of random numbers: the low half of [`random::stream`] of "`<layer>`/gradient".
    pub stream: u32,
}

/// Gradient of [`DorefaGradient`]: inputs dy, m `[n, 1]`, random `[4]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DorefaGradientBackward {
    /// Number of bits k, 1 to 8.
    pub bits: u8,
    /// Stream of random numbers.
    pub stream: u32,
}

crate::params! {
    struct CopyParams { quads: u32 }
}

crate::params! {
    struct RoundParams { quads: u32, row_quads: u32, sample_quads: u32, channels: u32, stream: u32, steps: f32 }
}

fn check_bits(bits: u8) -> Result<(), String> {
    if (1..=8).contains(&bits) { Ok(()) } else { Err(format!("gradients have 1 to 8 bits, not {bits}")) }
}

impl Operation for DorefaGradient {
    fn stem(&self) -> &'static str {
        "dorefa_gradient"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        check_random(inputs[1])?;
        check_bits(self.bits)?;
        if !matches!(inputs[0].encoding, F32 | I16 | I32) {
            return Err(format!("expected floats or sums, got {}", inputs[0]));
        }
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, random) = (cx.dy(), cx.input(1));
        let largest = cx.add(MaxAbs, &[dy])?;
        let op = DorefaGradientBackward { bits: self.bits, stream: self.stream };
        let dx = cx.add(op, &[dy, largest, random])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (x, quads) = (inputs[0], output.rows() * output.quads());
        Launch::new("dorefa_gradient", &[add::ELEMENTWISE, include_str!("../../shaders/dorefa_gradient.wgsl")])
            .constant("INTEGERS", usize::from(x.is_exact()))
            .read("x", x.encoding, Input(0))
            .write("y", x.encoding, Output)
            .params(&CopyParams { quads: quads as u32 })
            .threads(quads)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        output.words.copy_from_slice(inputs[0].words);
    }

    /// The output is a copy.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl DorefaGradient {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(104);
        let op = DorefaGradient { bits: 4, stream: 3 };
        let shape = [2, 3, 5, 41];
        let inputs = [noise.floats(&shape), noise.ints(&shape, I16, 900), noise.ints(&shape, I32, 70_000)];
        inputs.into_iter().map(|x| Sample::new(op, vec![x, Tensor::from_u32(&[4], &[1, 2, 3, 4])])).collect()
    }
}

impl DorefaGradientBackward {
    /// 2^k − 1.
    fn steps(&self) -> f32 {
        ((1u32 << self.bits) - 1) as f32
    }

    /// v of a gradient in a sample with maximum magnitude m.
    fn place(&self, dy: f32, m: f32) -> f32 {
        ((dy / (2.0 * m.max(1e-30)) + 0.5) * self.steps()).clamp(0.0, self.steps())
    }
}

impl Operation for DorefaGradientBackward {
    fn stem(&self) -> &'static str {
        "dorefa_gradient_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::same("the largest of the samples", inputs[1], &MaxAbs.infer(&inputs[..1])?)?;
        check_random(inputs[2])?;
        check_bits(self.bits)?;
        Ok(inputs[0].clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / LANES;
        let params = RoundParams {
            quads: quads as u32,
            row_quads: output.quads() as u32,
            sample_quads: (quads / inputs[1].rows()) as u32,
            channels: output.channels() as u32,
            stream: self.stream,
            steps: self.steps(),
        };
        let body = include_str!("../../shaders/dorefa_gradient_backward.wgsl");
        let launch = Launch::new("dorefa_gradient_backward", &[add::ELEMENTWISE, body, PHILOX])
            .read("dy", F32, Input(0))
            .must_be_finite()
            .read("largest", F32, Input(1));
        drawing(launch, inputs[2], Input(2), params.sample_quads as usize)
            .write("dx", F32, Output)
            .params(&params)
            .threads(quads)
            .float_ops(14 * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, largest, words) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].words);
        let (row_quads, channels) = (output.ty.quads(), output.ty.channels());
        let sample_quads = dy.len() / LANES / inputs[1].ty.rows();
        parallel::rows(output.floats(), LANES, |quad, out| {
            let m = largest[quad / sample_quads * LANES];
            let drawn = random::first_quad(words, sample_quads) + quad as u32;
            let u = random::quad(words, drawn, self.stream).map(random::fraction);
            for (lane, out) in out.iter_mut().enumerate() {
                // Padding is written explicitly: 0 lies between two steps and would not stay zero.
                let held = m > 0.0 && quad % row_quads * LANES + lane < channels;
                let v = self.place(dy[quad * LANES + lane], m);
                let code = v.floor() + f32::from(u[lane] < v - v.floor());
                *out = if held { m * (2.0 * code / self.steps() - 1.0) } else { 0.0 };
            }
        });
    }
}

impl DorefaGradientBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(105);
        let cases = [(6, vec![2, 3, 5, 41]), (1, vec![3, 10]), (4, vec![2, 8, 8, 6])].into_iter();
        cases
            .map(|(bits, shape)| {
                let micro = (bits == 4).then_some(5);
                let words: Vec<_> = (0..4).map(|_| noise.bits()).chain(micro).collect();
                let op = DorefaGradientBackward { bits, stream: noise.bits() };
                let dy = op.clear(noise.floats(&shape), &words);
                let largest = super::Op::from(MaxAbs).evaluate(&[&dy]);
                Sample::new(op, vec![dy, largest, Tensor::from_u32(&[words.len()], &words)])
            })
            .collect()
    }

    /// Gradients of magnitude at most 2, the first of each sample −2, and none so close to a step
    /// or to its random number that rounding on a device could change the result.
    fn clear(&self, mut dy: Tensor, words: &[u32]) -> Tensor {
        let (channels, quads, rows) = (dy.ty.channels(), dy.ty.quads(), dy.ty.rows());
        let mut values = dy.to_f32();
        let per_sample = values.len() / dy.ty.shape[0];
        for (i, value) in values.iter_mut().enumerate() {
            let (row, c) = (i / channels, i % channels);
            debug_assert!(row < rows);
            let quad = random::first_quad(words, rows / dy.ty.shape[0] * quads) + (row * quads + c / LANES) as u32;
            let u = random::fraction(random::quad(words, quad, self.stream)[c % LANES]);
            let near = |value: f32| {
                let v = self.place(value, 2.0);
                let rest = v - v.floor();
                !(1e-3..=1.0 - 1e-3).contains(&rest) || (rest - u).abs() < 1e-3
            };
            while near(*value) {
                *value = *value * 0.99 + 0.003;
            }
            if i % per_sample == 0 {
                *value = -2.0;
            }
        }
        dy = Tensor::from_f32(&dy.ty.shape, &values);
        dy
    }
}
