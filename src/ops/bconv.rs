//! `bconv`: packed convolution of codes with sign planes, computed by counting bits.
//!
//! `s[n, y, x, k] = Σ_taps Σ_words Σ_{p, j} 2^(p + j) · (2·popcount(w_j & a_p) − popcount(a_p))`,
//! the sum of w·code over the window; zero padding is exact because code 0 has no bits set. For
//! signs, `s = Σ (2^J − 1)·valid channels − 2·Σ_j 2^j·popcount(w_j ^ a)`, counted only inside the
//! input: zero padding is again exact. s represents y = α_k · Δ · s.
//!
//! Inputs: codes `Planes(b)` `[n, h, w, c]`, signs `U32` `[r, s, ⌈c/32⌉·J, k]` (the planes of a
//! word are consecutive), α `[k]` (used only by the gradient), then the scale `[1]` of the codes if
//! it is learned. Output: `I16` if the largest |s| fits, otherwise `I32`: exact on every device,
//! with every kernel variant.
//!
//! With free levels or bases ([`Code::Levels`], [`SignPlanes::Bases`]; α is then `[J, k]`), the
//! output is y itself in floats: the exact integer of each term times its coefficient, added up in
//! the order of the terms.

mod kernels;

use super::code::{Code, SignPlanes};
use super::gemm::{BAND, Counts, Taps};
use super::window::{Window, WindowParams};
use super::{Backward, Operation, Sample, bconv_backward, conv, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{self, I16, I32, Planes, U32},
    Tensor, TensorType, View, ViewMut, WORD_BITS,
};
use crate::variant::{self, Offer, Split};
use kernels::Packed;

/// Packed convolution: inputs codes, signs, α, and the scale of the codes if it is learned.
#[derive(Clone, PartialEq, Debug)]
pub struct Bconv {
    /// The window.
    pub window: Window,
    /// Values that the codes represent.
    pub code: Code,
    /// Values that the signs represent.
    pub planes: SignPlanes,
}

impl Bconv {
    /// Convolution of uniform codes with step Δ and binary weights.
    pub fn uniform(window: Window, step: f32) -> Self {
        Self { window, code: Code::Uniform(step), planes: SignPlanes::ONE }
    }

    /// Whether the output is floats, because coefficients are not integers.
    fn combined(&self) -> bool {
        matches!(self.code, Code::Levels(_)) || matches!(self.planes, SignPlanes::Bases(_))
    }

    /// The largest |s| for `bits`-bit codes of `channels` channels.
    pub fn largest_sum(&self, bits: u8, channels: usize) -> usize {
        self.code.largest(bits) * self.planes.largest() * channels * self.window.taps()
    }
}

pub(super) const GATHER: &str = include_str!("../../shaders/window_gather.wgsl");
const BCONV: &str = include_str!("../../shaders/bconv.wgsl");

pub(super) fn bits_of(what: &str, ty: &TensorType) -> Result<u8, String> {
    match ty.encoding {
        Planes(bits) => Ok(bits),
        _ => Err(format!("{what} must be codes, not {ty}: put a quantiser before a layer with packed weights")),
    }
}

/// Checks signs and α against the window and the input; returns the output's float type.
pub(super) fn infer(
    window: &Window,
    planes: SignPlanes,
    x: &TensorType,
    signs: &TensorType,
    alpha: &TensorType,
) -> Result<TensorType, String> {
    if signs.encoding != U32 {
        return Err(format!("the signs must be u32, not {signs}"));
    }
    let y = conv::infer(window, x, signs, x.channels().div_ceil(WORD_BITS) * planes.count())?;
    let expected = match planes {
        SignPlanes::Binary(_) => TensorType::f32(&[y.channels()]),
        SignPlanes::Bases(count) => TensorType::f32(&[count, y.channels()]),
    };
    super::same("alpha", alpha, &expected)?;
    Ok(y)
}

impl Bconv {
    /// Parameters of the kernels.
    fn packed(&self, x: &TensorType, output: &TensorType) -> Packed {
        let (bits, levels) = (x.row_words() / x.plane_words(), self.code.level_steps().len());
        Packed {
            rows: output.rows(),
            filters: output.lanes(),
            taps: self.window.taps(),
            words: x.plane_words(),
            planes: [if levels > 0 { 1 } else { bits }, self.planes.planes_of_base()],
            pairs: if levels > 0 { levels } else { bits } * self.planes.count(),
            plain: matches!(self.code, Code::Uniform(_)) && self.planes == SignPlanes::ONE,
        }
    }
}

impl Operation for Bconv {
    fn stem(&self) -> &'static str {
        "bconv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs.len() == 4 {
            super::same("the scale", inputs[3], &TensorType::f32(&[1]))?;
        } else {
            super::arity(inputs, 3)?;
        }
        let bits = bits_of("the input of a packed convolution", inputs[0])?;
        self.code.check(bits)?;
        let y = infer(&self.window, self.planes, inputs[0], inputs[1], inputs[2])?;
        let largest = self.largest_sum(bits, inputs[0].channels());
        if largest >= 1 << 24 {
            return Err(format!("sums up to {largest} exceed 2^24, the largest integer up to which f32 is exact"));
        }
        Ok(match (self.combined(), largest <= i16::MAX as usize) {
            (true, _) => y,
            (_, true) => y.with(I16),
            (_, false) => y.with(I32),
        })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (codes, signs, alpha, dy) = (cx.input(0), cx.input(1), cx.input(2), cx.dy());
        let scale = cx.inputs().get(3).copied();
        let input = cx.input_type(0).with(Encoding::F32);
        let Self { window, code, planes } = self.clone();
        if cx.needs_gradient(0) {
            let dx = cx.add(bconv_backward::BconvDx { window, planes, input: input.clone() }, &[dy, signs, alpha])?;
            cx.accumulate(0, dx)?;
        }
        if cx.needs_gradient(1) {
            let inputs: Vec<_> = [dy, codes].into_iter().chain(scale).collect();
            let dw = cx.add(bconv_backward::BconvDw { window, code }, &inputs)?;
            cx.accumulate(1, dw)?;
        }
        Ok(())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let x = inputs[0];
        let bits = x.row_words() / x.plane_words();
        let levels = self.code.level_steps().len();
        let packed = self.packed(x, output);
        let Split { launch, .. } = variant::launch("bconv", kernels::CANDIDATES, &packed, caps);
        let launch = self.planes.constants(self.code.constants(launch, bits, x.channels()));
        let terms = levels.max(1) * self.planes.bases();
        let mut launch = launch
            .constant("WORDS", x.plane_words())
            .constant("FILTERS", output.channels())
            .constant("A_PLANES", packed.planes[0])
            .constant("TERMS", terms)
            .constant("COMBINED", usize::from(self.combined()))
            .constant("SCALED", usize::from(inputs.len() == 4))
            .read("x", x.encoding, Input(0))
            .read("signs", U32, Input(1));
        if self.combined() {
            launch = launch.read("alpha", Encoding::F32, Input(2)).float_ops((2 * terms + 1) * output.len());
            if inputs.len() == 4 {
                launch = launch.read("factor", Encoding::F32, Input(3));
            }
        }
        let products = output.len() * self.window.taps() * x.channels();
        launch.matrix_ops = if launch.kernel.coop { 2 * products } else { 0 };
        launch
            .write("s", output.encoding, Output)
            .params(&WindowParams::new(&self.window, x, output))
            .bit_ops(2 * products * packed.pairs)
            .into()
    }

    fn candidates(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Vec<Offer> {
        variant::offers("bconv", kernels::CANDIDATES, &self.packed(inputs[0], output), caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (ty, lanes, bases) = (output.ty.clone(), output.ty.lanes(), self.planes.bases());
        let ([_, h, w, _], [_, oh, ow, _]) = (inputs[0].ty.nhwc(), output.ty.nhwc());
        let taps = Taps::inputs(&self.window, [h, w], [oh, ow]);
        // The exact integers of a term: a pair of a level and a base.
        let counts = |term: usize| {
            let of_base = self.planes.planes_of_base();
            let first = term % bases * of_base;
            let planes = self.code.planes(inputs[0], term / bases + 1);
            Counts::new(&taps, planes, &ty, inputs[1].words, (self.planes.count(), first..first + of_base))
        };
        match output.ty.encoding {
            I16 => {
                let counts = counts(0);
                parallel::bands(bytemuck::cast_slice_mut::<_, i16>(output.words), lanes, BAND, |first, out| {
                    let mut sums = vec![0; out.len()];
                    counts.rows(first, &mut sums);
                    // No overflow: I16 was chosen because all sums fit.
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as i16);
                });
            }
            I32 => {
                let counts = counts(0);
                parallel::bands(bytemuck::cast_slice_mut(output.words), lanes, BAND, |first, out| {
                    counts.rows(first, out);
                });
            }
            _ => {
                let alpha = inputs[2].numbers();
                let steps = self.code.level_steps();
                let scale = inputs.get(3).map_or(1.0, |scale| scale.numbers()[0]) * self.code.step();
                let y = output.floats();
                y.fill(0.0);
                for term in 0..steps.len().max(1) * bases {
                    let (counts, step) = (counts(term), steps.get(term / bases).copied().unwrap_or(1.0));
                    parallel::bands(y, lanes, BAND, |first, y| {
                        let mut sums = vec![0; y.len()];
                        counts.rows(first, &mut sums);
                        for (i, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                            *y += alpha[term % bases * lanes + i % lanes] * step * sum as f32;
                        }
                    });
                }
                y.iter_mut().for_each(|y| *y *= scale);
            }
        }
    }
}

/// Codes, signs (with zero tails) and α for each case of a convolution, with 1 to 4 bits.
pub(super) fn operands(noise: &mut Noise) -> Vec<(Window, [Tensor; 3])> {
    let cases = conv::cases().into_iter().enumerate();
    cases
        .map(|(i, (window, input, filters))| {
            let bits = (i % 4 + 1) as u8;
            let codes = noise.ints(&input, Planes(bits), 0);
            let w = noise.weights(window.kernel, input[3], filters);
            let signs = super::Op::from(super::sign::Sign::identity(input[3])).evaluate(&[&w]);
            (window, [codes, signs, noise.positive(&[filters])])
        })
        .collect()
}

/// Every kind of codes and every kind of weights, paired so that every kind of kernel occurs, over
/// the cases of a convolution.
pub(super) fn family(noise: &mut Noise) -> Vec<(Bconv, Vec<Tensor>)> {
    let levels = |bits: u8| Code::Levels((1..1 << bits).map(|i| 0.3 * (i as f32) + 0.02 * (i * i) as f32).collect());
    let pairs = [
        ((Code::Sign, 1), SignPlanes::ONE),
        ((levels(2), 2), SignPlanes::Bases(2)),
        ((Code::Uniform(0.25), 3), SignPlanes::Binary(2)),
        ((levels(4), 4), SignPlanes::ONE),
        ((Code::Levels(vec![0.453, 1.51]), 2), SignPlanes::Binary(2)),
        ((Code::Sign, 1), SignPlanes::Binary(3)),
        ((Code::Uniform(0.5), 2), SignPlanes::Bases(3)),
    ];
    let pairs = pairs.iter().zip(conv::cases().into_iter().cycle()).enumerate();
    pairs
        .map(|(i, (((code, bits), planes), (window, input, filters)))| {
            let planes = *planes;
            let top = code.level_steps().len();
            let mut codes = noise.ints(&input, Planes(*bits), 0);
            if top > 0 {
                let values: Vec<_> = codes.to_ints().into_iter().map(|code| code % (top as i32 + 1)).collect();
                codes = Tensor::from_ints(codes.ty, &values);
            }
            let words = input[3].div_ceil(WORD_BITS);
            let mut signs = Vec::new();
            for row in 0..window.taps() * words * planes.count() {
                let channels = (input[3] - row / planes.count() % words * WORD_BITS).min(WORD_BITS);
                signs.extend((0..filters).map(|_| noise.bits() & u32::MAX >> (WORD_BITS - channels)));
            }
            let signs =
                Tensor::from_u32(&[window.kernel[0], window.kernel[1], words * planes.count(), filters], &signs);
            let alpha = match planes {
                SignPlanes::Binary(_) => noise.positive(&[filters]),
                SignPlanes::Bases(count) => noise.positive(&[count, filters]),
            };
            let mut inputs = vec![codes, signs, alpha];
            if i % 2 == 0 && matches!(code, Code::Uniform(_)) || i == 3 {
                inputs.push(noise.positive(&[1]));
            }
            (Bconv { window, code: code.clone(), planes }, inputs)
        })
        .collect()
}

impl Bconv {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = operands(&mut Noise::new(5)).into_iter();
        let mut samples: Vec<_> =
            cases.map(|(window, inputs)| Sample::new(Bconv::uniform(window, 0.538), inputs.to_vec())).collect();
        // Sums that need 32 bits.
        let mut noise = Noise::new(6);
        let (window, codes) = (Window::square(3, 1, 1), noise.ints(&[1, 3, 3, 300], Planes(4), 0));
        let signs = super::Op::from(super::sign::Sign::identity(300)).evaluate(&[&noise.weights([3, 3], 300, 6)]);
        samples.push(Sample::new(Bconv::uniform(window, 0.184), vec![codes, signs, noise.positive(&[6])]));
        samples.extend(family(&mut noise).into_iter().map(|(op, inputs)| Sample::new(op, inputs)));
        samples
    }
}
