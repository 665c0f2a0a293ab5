//! `fixed`: fixed-point numbers ⟨IL, FL⟩ (Gupta, Agrawal, Gopalakrishnan, Narayanan, ICML 2015):
//! multiples of ε = 2^−FL from −2^(IL−1) to 2^(IL−1) − ε, saturating.
//!
//! With t = x/ε, rounding is to nearest (ties to even) or stochastic: ⌊t⌋ + [u < t − ⌊t⌋], u
//! uniform in [0, 1), so that the expected value is t. x/ε, its floor and the remainder are exact
//! in f32; the result is therefore the same on every device.
//!
//! `fixed_backward`: dx = dy where x lies in the range, 0 where it saturated: the derivative of the
//! clamp. The gradient may first be rounded to a separate format. The backward pass reads x, not y:
//! if y is at an end of the range, it does not show whether x saturated. A batch-norm that was
//! folded in is applied again.

use super::dropout::{PHILOX, check_random, drawing, image_quads};
use super::{Backward, Fold, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::random;
use crate::tensor::{Encoding::F32, LANES, Tensor, TensorType, View, ViewMut};

/// Fixed-point format ⟨IL, FL⟩. At most 24 bits in total, which f32 represents exactly.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Format {
    /// IL, at least 1: integer bits, including the sign.
    pub integer_bits: u8,
    /// FL: fractional bits.
    pub fraction_bits: u8,
}

impl Format {
    /// The format \[IL, FL\], at most 24 bits in total.
    pub fn new([integer_bits, fraction_bits]: [usize; 2]) -> Self {
        Self { integer_bits: integer_bits as u8, fraction_bits: fraction_bits as u8 }
    }

    /// ε, the spacing between neighbouring numbers.
    pub fn eps(self) -> f32 {
        1.0 / self.scale()
    }

    /// 1/ε.
    fn scale(self) -> f32 {
        (1u32 << self.fraction_bits) as f32
    }

    /// The smallest and the largest representable number.
    pub fn range(self) -> [f32; 2] {
        let bound = (1u32 << (self.integer_bits - 1)) as f32;
        [-bound, bound - self.eps()]
    }

    /// Whether a number lies within the range, so that it does not saturate.
    pub fn holds(self, x: f32) -> bool {
        let [low, high] = self.range();
        x >= low && x <= high
    }

    pub(super) fn check(self) -> Result<(), String> {
        let Self { integer_bits, fraction_bits } = self;
        if format_fits([usize::from(integer_bits), usize::from(fraction_bits)]) {
            return Ok(());
        }
        Err(format!(
            "fixed point <{integer_bits}, {fraction_bits}>: use at least 1 integer bit and at most 24 bits in total"
        ))
    }
}

/// Largest number of bits, which f32 represents exactly.
pub const MOST_BITS: usize = 24;

/// Whether a tensor can have the format `[IL, FL]`.
pub fn format_fits([integer, fraction]: [usize; 2]) -> bool {
    integer >= 1 && integer.saturating_add(fraction) <= MOST_BITS
}

/// Rounding of a number between two representable ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Up with a probability proportional to the distance from the lower one: the expected value is
    /// the number itself.
    Stochastic,
}

/// Fixed-point format and rounding mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Quantiser {
    /// Target format.
    pub format: Format,
    /// Rounding mode.
    pub rounding: Rounding,
    /// Stream of random numbers for stochastic rounding: the low half of [`random::stream`] of
    /// "`<layer>/<purpose>`"; else 0.
    pub stream: u32,
}

impl Quantiser {
    fn uses_random(self) -> bool {
        self.rounding != Rounding::Nearest
    }

    /// Rounds x; u is the uniform random number of stochastic rounding.
    pub fn round(self, x: f32, u: f32) -> f32 {
        let [low, high] = self.format.range();
        let t = x.clamp(low, high) * self.format.scale();
        let whole = match self.rounding {
            Rounding::Nearest => t.round_ties_even(),
            Rounding::Stochastic => t.floor() + f32::from(u < t - t.floor()),
        };
        whole * self.format.eps()
    }

    /// The uniform random numbers of a quad; `image_quads` is the number of quads per image.
    fn drawn(self, words: Option<&[u32]>, quad: usize, image_quads: usize) -> [f32; LANES] {
        let words = words.filter(|_| self.uses_random());
        words.map_or([0.0; LANES], |words| {
            let quad = random::first_quad(words, image_quads) + quad as u32;
            random::quad(words, quad, self.stream).map(random::fraction)
        })
    }
}

/// Rounding: inputs random `[4]` (if the value or its gradient is rounded stochastically), x, or x
/// and the coefficients of a preceding batch-norm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fixed {
    /// How the value is rounded.
    pub value: Quantiser,
    /// How the gradient is rounded; `None` leaves it unchanged.
    pub gradient: Option<Quantiser>,
    /// Whether x is state that is rounded in place; it then has no coefficients.
    pub in_place: bool,
}

/// Gradient of [`Fixed`]: inputs dy, random `[4]` (if it is rounded stochastically), x, or x and
/// coefficients; with coefficients, the result is the gradient of the normalised value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FixedBackward {
    /// Format of the value.
    pub format: Format,
    /// How the gradient is rounded, if at all.
    pub gradient: Option<Quantiser>,
}

crate::params! {
    struct FixedParams { rows: u32, quads: u32, stream: u32, low: f32, high: f32, scale: f32, eps: f32 }
}

crate::params! {
    struct BackwardParams {
        rows: u32, quads: u32, stream: u32, low: f32, high: f32, scale: f32, eps: f32, x_low: f32, x_high: f32,
    }
}

/// WGSL of `rounded(x, i)`.
const ROUND: &str = include_str!("../../shaders/fixed_round.wgsl");
/// Operations per element: conversion to units of ε and back, clamping, rounding.
const OPS: usize = 6;

impl Fixed {
    /// Whether the operation or its gradient draws random numbers.
    pub(crate) fn uses_random(&self) -> bool {
        self.value.uses_random() || self.gradient.is_some_and(Quantiser::uses_random)
    }

    /// Index of x among the inputs.
    pub(crate) fn reader(&self) -> usize {
        usize::from(self.uses_random())
    }
}

impl FixedBackward {
    fn uses_random(&self) -> bool {
        self.gradient.is_some_and(Quantiser::uses_random)
    }

    /// Index of x among the inputs.
    pub(crate) fn reader(&self) -> usize {
        1 + usize::from(self.uses_random())
    }
}

/// Checks the random numbers and the prologue, from the input at `random` on.
fn check(inputs: &[&TensorType], random: usize, draws: bool) -> Result<(), String> {
    let rest = inputs.get(random..).unwrap_or_default();
    if draws {
        check_random(rest.first().ok_or("random numbers expected")?)?;
    }
    batch_norm::infer_prologue(rest.get(usize::from(draws)..).unwrap_or_default())
}

impl Operation for Fixed {
    fn stem(&self) -> &'static str {
        "fixed"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs, 0, self.uses_random())?;
        self.value.format.check()?;
        if let Some(gradient) = self.gradient {
            gradient.format.check()?;
        }
        if self.in_place && inputs.len() > self.reader() + 1 {
            return Err("state is rounded in place: it cannot have a batch-norm before it".to_string());
        }
        Ok(inputs[self.reader()].with(F32))
    }

    fn in_place(&self) -> Option<usize> {
        self.in_place.then_some(self.reader())
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: self.reader(), trailing: 0 })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        if self.in_place {
            return Err(crate::Error::Model("fixed in place has no derivative".to_string()));
        }
        let op = FixedBackward { format: self.value.format, gradient: self.gradient };
        let mut inputs = vec![cx.dy()];
        inputs.extend(op.uses_random().then(|| cx.input(0)));
        inputs.push(cx.input(self.reader()));
        let dx = cx.add(op, &inputs)?;
        cx.accumulate(self.reader(), dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let draws = self.value.uses_random();
        let mut label = String::from(if draws { "fixed_stochastic" } else { "fixed_nearest" });
        let mut parts = vec![include_str!("../../shaders/fixed.wgsl"), ROUND];
        if draws {
            parts.push(PHILOX);
        }
        if self.in_place {
            label += "_in_place";
        }
        let format = self.value.format;
        let [low, high] = format.range();
        let (rows, quads) = (output.rows() as u32, output.quads() as u32);
        let stream = self.value.stream;
        let params = FixedParams { rows, quads, stream, low, high, scale: format.scale(), eps: format.eps() };
        let mut launch = add::per_channel(label, &parts, output, 1.0)
            .params(&params)
            .constant("STOCHASTIC", usize::from(draws))
            .constant("IN_PLACE", usize::from(self.in_place))
            .float_ops(OPS * output.len());
        if draws {
            launch = drawing(launch, inputs[0], Input(0), image_quads(output));
        }
        if !self.in_place {
            launch = batch_norm::read(launch, self, inputs).must_be_finite();
        }
        launch.write("y", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (lanes, words, image) =
            (output.ty.lanes(), self.uses_random().then(|| inputs[0].words), image_quads(output.ty));
        batch_norm::Prologue::new(&inputs[self.reader()..]).rows(output.floats(), lanes, |row, x, out| {
            for (quad, out) in out.chunks_mut(LANES).enumerate() {
                let u = self.value.drawn(words, row * lanes / LANES + quad, image);
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = self.value.round(x[quad * LANES + lane], u[lane]);
                }
            }
        });
    }

    /// Every arithmetic step is exact.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

const NEAREST: Quantiser =
    Quantiser { format: Format { integer_bits: 2, fraction_bits: 5 }, rounding: Rounding::Nearest, stream: 0 };
const STOCHASTIC: Quantiser = Quantiser {
    format: Format { integer_bits: 1, fraction_bits: 4 },
    rounding: Rounding::Stochastic,
    stream: 0x9e37_79b9,
};

/// Ties, the ends of the range, values far beyond them, and the neighbours of all of these.
fn edges(format: Format) -> Tensor {
    let ([low, high], eps) = (format.range(), format.eps());
    let mut values = vec![0.0, -0.0, 1e30, -1e30, f32::MIN_POSITIVE];
    for at in [low, high, 0.5 * eps, 1.5 * eps, -0.5 * eps, -2.5 * eps, 3.0 * eps, high + 0.5 * eps, low - 0.25 * eps] {
        values.extend([at, f32::from_bits(at.to_bits() + 1), f32::from_bits(at.to_bits() - 1)]);
    }
    Tensor::from_f32(&[1, 1, 1, values.len()], &values)
}

/// Inputs x, or x and coefficients, some of which saturate.
fn cases(noise: &mut Noise, format: Format) -> Vec<Vec<Tensor>> {
    let mut cases = vec![vec![noise.floats(&[2, 3, 5, 41])], vec![edges(format)]];
    cases.extend(batch_norm::prologue_cases(noise));
    cases
}

/// Random words for a whole batch, or for a micro-batch.
fn words(noise: &mut Noise, before: Option<u32>) -> Tensor {
    let words: Vec<_> = (0..4).map(|_| noise.bits()).chain(before).collect();
    Tensor::from_u32(&[words.len()], &words)
}

impl Fixed {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(100);
        let mut samples = Vec::new();
        for value in [NEAREST, STOCHASTIC] {
            let op = Fixed { value, gradient: None, in_place: false };
            for inputs in cases(&mut noise, value.format) {
                let random = value.uses_random().then(|| words(&mut noise, None));
                samples.push(Sample::new(op, random.into_iter().chain(inputs).collect()));
            }
            let random = value.uses_random().then(|| words(&mut noise, None));
            let weight = noise.weights([3, 2], 6, 10);
            let inputs = random.into_iter().chain([weight]).collect();
            samples.push(Sample::new(Fixed { in_place: true, ..op }, inputs));
        }
        // Only the gradient is rounded stochastically.
        let op = Fixed { value: NEAREST, gradient: Some(STOCHASTIC), in_place: false };
        samples.push(Sample::new(op, vec![words(&mut noise, Some(3)), noise.floats(&[3, 7])]));
        samples
    }
}

impl Operation for FixedBackward {
    fn stem(&self) -> &'static str {
        "fixed_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs, 1, self.uses_random())?;
        self.format.check()?;
        if let Some(gradient) = self.gradient {
            gradient.format.check()?;
        }
        super::same("the gradient", inputs[0], &inputs[self.reader()].with(F32))?;
        Ok(inputs[0].clone())
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: self.reader(), trailing: 0 })
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let draws = self.uses_random();
        let (kind, format) = match self.gradient {
            None => ("whole", self.format),
            Some(gradient) => (if draws { "stochastic" } else { "nearest" }, gradient.format),
        };
        let label = format!("fixed_backward_{kind}");
        let mut parts = vec![include_str!("../../shaders/fixed_backward.wgsl"), ROUND];
        if draws {
            parts.push(PHILOX);
        }
        let ([low, high], [x_low, x_high]) = (format.range(), self.format.range());
        let params = BackwardParams {
            rows: output.rows() as u32,
            quads: output.quads() as u32,
            stream: self.gradient.map_or(0, |gradient| gradient.stream),
            low,
            high,
            scale: format.scale(),
            eps: format.eps(),
            x_low,
            x_high,
        };
        let mut launch: Launch = add::per_channel(label, &parts, output, 1.0)
            .params(&params)
            .constant("ROUNDED", usize::from(self.gradient.is_some()))
            .constant("STOCHASTIC", usize::from(draws))
            .read("dy", F32, Input(0))
            .must_be_finite();
        if draws {
            launch = drawing(launch, inputs[1], Input(1), image_quads(output));
        }
        let rounding_ops = if self.gradient.is_some() { OPS } else { 0 };
        let launch = launch.float_ops((2 + rounding_ops) * output.len());
        batch_norm::read(launch, self, inputs).write("dx", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, lanes) = (inputs[0].numbers(), output.ty.lanes());
        let (words, image) = (self.uses_random().then(|| inputs[1].words), image_quads(output.ty));
        batch_norm::Prologue::new(&inputs[self.reader()..]).rows(output.floats(), lanes, |row, x, out| {
            for (quad, out) in out.chunks_mut(LANES).enumerate() {
                let u = self.gradient.map_or([0.0; LANES], |g| g.drawn(words, row * lanes / LANES + quad, image));
                for (lane, out) in out.iter_mut().enumerate() {
                    let c = quad * LANES + lane;
                    let dy = dy[row * lanes + c];
                    let rounded = self.gradient.map_or(dy, |gradient| gradient.round(dy, u[lane]));
                    *out = if self.format.holds(x[c]) { rounded } else { 0.0 };
                }
            }
        });
    }

    /// Every arithmetic step is exact.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl FixedBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(101);
        let mut samples = Vec::new();
        for gradient in [None, Some(NEAREST), Some(STOCHASTIC)] {
            let op = FixedBackward { format: STOCHASTIC.format, gradient };
            for inputs in cases(&mut noise, op.format) {
                let dy = noise.floats(&inputs[0].ty.shape);
                let random = op.uses_random().then(|| words(&mut noise, None));
                samples.push(Sample::new(op, [dy].into_iter().chain(random).chain(inputs).collect()));
            }
        }
        samples
    }
}
