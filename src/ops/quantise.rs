//! `quantise`: the code of x is the number of thresholds below x; quantises and packs in one
//! kernel.
//!
//! One operation for every activation quantiser: half-wave Gaussian levels (Cai et al., 2017, arXiv
//! 1702.00953: t_1 = 0, t_i = (q_{i−1} + q_i)/2, bins closed on the right), sign (one threshold, x
//! ≥ 0 is +1), DoReFa (t_i = (i − ½)/(2^k − 1)), and, with a learned scale s that multiplies the
//! thresholds, PACT, LSQ and any levels up to s. What the codes represent is not part of this
//! operation: see [`super::code`]. Codes are exact for a given x.

mod code_statistics;

use super::quantise_backward::{QuantiseBackward, QuantiseScale};
use super::{Activity, Backward, Fold, Operation, Sample, batch_norm, sample::Noise, scale};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::simd::{self, Simd};
use crate::tensor::{
    Encoding::{F32, Planes},
    Tensor, TensorType, View, ViewMut, WORD_BITS,
};

pub use code_statistics::CodeStatistics;

/// Maximum number of bits of a code.
const MOST_BITS: usize = 4;
/// Maximum number of thresholds.
pub const MOST_THRESHOLDS: usize = (1 << MOST_BITS) - 1;

/// Quantiser: inputs x, then the coefficients of a preceding batch-norm, if any, then the scale
/// `[1]`, if it is learned. Output: codes.
#[derive(Clone, PartialEq, Debug)]
pub struct Quantise {
    /// Thresholds in ascending order, 1 to 15.
    pub thresholds: Vec<f32>,
    /// Whether a value equal to a threshold counts as above it: `[x ≥ t]` instead of `[x > t]`.
    pub at_least: bool,
    /// Function whose derivative replaces that of the quantiser.
    pub surrogate: Surrogate,
    /// The top level, in units of the scale.
    pub top: f32,
    /// How the scale is learned, if it is.
    pub scale: Option<Scale>,
}

/// Gradient rule of a learned scale. n is the largest code; the levels are i·s for LSQ, i·s/n for
/// PACT, and q_i·s for RCF, with any q_1 < … < q_n = 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scale {
    /// PACT (Choi et al., 2018, arXiv 1805.06085): s is the clipping threshold; ds = Σ dy over x >
    /// s.
    Pact,
    /// LSQ (Esser et al., 2020, arXiv 1902.08153): s is the step size; ds = Σ dy·(code − x/s
    /// inside, n above)/√(N·n), N the number of elements of x.
    Lsq,
    /// The reparametrised clipping function (Li, Dong, Wang, 2020, arXiv 1909.13144): s is the
    /// clipping threshold; ds = Σ dy·(q − x/s inside, 1 above), q the level of x in units of s.
    Rcf,
}

/// Surrogate whose derivative is used as the quantiser's; q is the top level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Surrogate {
    /// x.
    Identity,
    /// max(x, 0).
    Vanilla,
    /// min(max(x, 0), q): 1 on (0, q].
    Clipped,
    /// As clipped, but q + ln(x − q + 1) above q.
    LogTailed,
    /// min(max(x, −1), 1): 1 on [−1, 1] (BinaryNet).
    HardTanh,
    /// 2x + x² on [−1, 0), 2x − x² on [0, 1), ±1 beyond (Bi-Real Net; Liu et al., 2018, arXiv
    /// 1808.00278).
    Polynomial,
}

pub(super) const SURROGATES: [(&str, Surrogate); 6] = [
    ("IDENTITY", Surrogate::Identity),
    ("VANILLA", Surrogate::Vanilla),
    ("CLIPPED", Surrogate::Clipped),
    ("LOG_TAILED", Surrogate::LogTailed),
    ("HARD_TANH", Surrogate::HardTanh),
    ("POLYNOMIAL", Surrogate::Polynomial),
];

impl Surrogate {
    /// Q̃(x).
    pub fn value(self, top: f64, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Vanilla => x.max(0.0),
            Self::Clipped => x.clamp(0.0, top),
            Self::LogTailed if x > top => top + libm::log(x - (top - 1.0)),
            Self::LogTailed => x.max(0.0),
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::Polynomial if x.abs() >= 1.0 => x.signum(),
            Self::Polynomial => 2.0 * x - x * x.abs(),
        }
    }

    /// Q̃′(x); for half-wave quantisers 0 at 0 and 1 at q.
    pub(super) fn slope(self, top: f32, x: f32) -> f32 {
        match self {
            Self::Identity => 1.0,
            Self::Vanilla => f32::from(x > 0.0),
            Self::Clipped => f32::from(x > 0.0 && x <= top),
            Self::LogTailed if x > top => 1.0 / (x - (top - 1.0)).max(1.0),
            Self::LogTailed => f32::from(x > 0.0),
            Self::HardTanh => f32::from(x.abs() <= 1.0),
            Self::Polynomial => (2.0 - 2.0 * x.abs()).max(0.0),
        }
    }

    /// Q̃′ of a vector of values.
    #[inline(always)]
    pub(super) fn slopes<S: Simd>(self, simd: S, top: f32, x: S::f32s) -> S::f32s {
        let splat = |value: f32| simd.splat_f32s(value);
        let (none, one) = (splat(0.0), splat(1.0));
        let positive = simd.select_f32s(simd.greater_than_f32s(x, none), one, none);
        match self {
            Self::Identity => one,
            Self::Vanilla => positive,
            Self::Clipped => simd.select_f32s(simd.less_than_or_equal_f32s(x, splat(top)), positive, none),
            Self::LogTailed => {
                let tail = simd.div_f32s(one, simd.max_f32s(simd.sub_f32s(x, splat(top - 1.0)), one));
                simd.select_f32s(simd.greater_than_f32s(x, splat(top)), tail, positive)
            }
            Self::HardTanh => simd.select_f32s(simd.less_than_or_equal_f32s(simd.abs_f32s(x), one), one, none),
            Self::Polynomial => {
                let slope = simd.sub_f32s(splat(2.0), simd.mul_f32s(splat(2.0), simd.abs_f32s(x)));
                simd.select_f32s(simd.greater_than_f32s(slope, none), slope, none)
            }
        }
    }

    /// Number of float operations of the slope.
    pub(super) fn ops(self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Vanilla => 1,
            Self::Clipped | Self::HardTanh => 2,
            Self::Polynomial => 4,
            Self::LogTailed => 5,
        }
    }
}

/// Checks the inputs `x`, `x, coef`, `x, scale` or `x, coef, scale`.
pub(super) fn infer(inputs: &[&TensorType], scaled: bool) -> Result<(), String> {
    let (rest, scale) = inputs.split_at(inputs.len().saturating_sub(usize::from(scaled)));
    batch_norm::infer_prologue(rest)?;
    match scale {
        [scale] => super::same("the scale", scale, &TensorType::f32(&[1])),
        _ => Ok(()),
    }
}

impl Quantise {
    /// The half-wave quantiser of these positive levels. Thresholds lie midway between neighbouring
    /// levels; the first is at 0, or at half the first level if `half` is set.
    pub fn half_wave(levels: &[f32], half: bool, surrogate: Surrogate) -> Self {
        let middle = |i: usize| match i {
            0 if half => levels[0] / 2.0,
            0 => 0.0,
            _ => (levels[i - 1] + levels[i]) / 2.0,
        };
        let thresholds = (0..levels.len()).map(middle).collect();
        Self { thresholds, at_least: false, surrogate, top: levels[levels.len() - 1], scale: None }
    }

    /// The sign quantiser: x ≥ 0 is +1.
    pub fn sign(surrogate: Surrogate) -> Self {
        Self { thresholds: vec![0.0], at_least: true, surrogate, top: 1.0, scale: None }
    }

    /// Rounds to the nearest of 0, 1/n, 2/n, …, 1 times `top`, n = 2^bits − 1; ties go to the lower
    /// level.
    pub fn nearest(bits: u8, top: f32, scale: Option<Scale>) -> Self {
        let n = ((1u32 << bits) - 1) as f32;
        let thresholds = (0..(1 << bits) - 1).map(|i| (i as f32 + 0.5) * top / n).collect();
        Self { thresholds, at_least: false, surrogate: Surrogate::Clipped, top, scale }
    }

    /// Rounds to the nearest of 0 and these ascending levels; ties go to the lower level.
    pub fn nearest_level(levels: &[f32], scale: Option<Scale>) -> Self {
        Self { scale, ..Self::half_wave(levels, true, Surrogate::Clipped) }
    }

    /// Number of bits of a code.
    pub fn bits(&self) -> u8 {
        (self.thresholds.len() + 1).next_power_of_two().trailing_zeros() as u8
    }

    /// The code of a value at a given scale.
    pub fn code(&self, x: f32, scale: f32) -> u32 {
        self.thresholds.iter().filter(|&t| self.reaches(x, t * scale)).count() as u32
    }

    /// Whether a value is above a threshold, or equal to it if `at_least` is set.
    fn reaches(&self, x: f32, threshold: f32) -> bool {
        if self.at_least { x >= threshold } else { x > threshold }
    }
}

const ROWS: usize = 4;

crate::params! {
    pub(super) struct QuantiseParams {
        rows: u32, quads: u32, top: f32, factor: f32, t0: f32, t1: f32, t2: f32, t3: f32, t4: f32, t5: f32, t6: f32, t7: f32,
        t8: f32, t9: f32, t10: f32, t11: f32, t12: f32, t13: f32, t14: f32,
    }
}

/// The uniform for a tensor of type `ty`, with thresholds.
pub(super) fn params(ty: &TensorType, thresholds: &[f32], top: f32, factor: f32) -> QuantiseParams {
    let t = |i: usize| thresholds.get(i).copied().unwrap_or(f32::MAX);
    QuantiseParams {
        rows: ty.rows() as u32,
        quads: ty.quads() as u32,
        top,
        factor,
        t0: t(0),
        t1: t(1),
        t2: t(2),
        t3: t(3),
        t4: t(4),
        t5: t(5),
        t6: t(6),
        t7: t(7),
        t8: t(8),
        t9: t(9),
        t10: t(10),
        t11: t(11),
        t12: t(12),
        t13: t(13),
        t14: t(14),
    }
}

pub(super) const CODE_OF: &str = include_str!("../../shaders/quantise_code.wgsl");

impl Operation for Quantise {
    fn stem(&self) -> &'static str {
        "quantise"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        infer(inputs, self.scale.is_some())?;
        if self.thresholds.is_empty() || self.thresholds.len() > MOST_THRESHOLDS {
            return Err(format!("a quantiser has 1 to {MOST_THRESHOLDS} thresholds, not {}", self.thresholds.len()));
        }
        Ok(inputs[0].with(Planes(self.bits())))
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 0, trailing: usize::from(self.scale.is_some()) })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        let operands = [&[dy], cx.inputs()].concat();
        let last = operands.len() - 2;
        if cx.needs_gradient(0) {
            let op = QuantiseBackward { surrogate: self.surrogate, top: self.top, scaled: self.scale.is_some() };
            let dx = cx.add(op, &operands)?;
            cx.accumulate(0, dx)?;
        }
        if let Some(scale) = self.scale
            && cx.needs_gradient(last)
        {
            let terms = cx.add(QuantiseScale { thresholds: self.thresholds.clone(), scale, of: None }, &operands)?;
            let sum = cx.add(scale::Total, &[terms])?;
            cx.accumulate(last, sum)?;
        }
        Ok(())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let launch = Launch::new("quantise", &[include_str!("../../shaders/quantise.wgsl"), CODE_OF])
            .float_ops(self.thresholds.len() * output.len())
            .constant("SCALED", usize::from(self.scale.is_some()))
            .constant("AT_LEAST", usize::from(self.at_least))
            .constant("ROWS", ROWS)
            .constant("BITS", self.bits() as usize)
            .constant("THRESHOLDS", self.thresholds.len());
        let launch = batch_norm::read(launch, self, inputs).must_be_finite();
        // Mask of the channels in the last word of a row.
        let tail = u32::MAX >> ((WORD_BITS - output.channels() % WORD_BITS) % WORD_BITS);
        let launch = if self.at_least { launch.constant("TAIL", tail as usize) } else { launch };
        let launch = match self.scale {
            Some(_) => launch.read("scale", F32, Input(inputs.len() - 1)),
            None => launch,
        };
        launch
            .write("y", output.encoding, Output)
            .params(&params(output, &self.thresholds, self.top, 1.0))
            .threads(output.rows().div_ceil(ROWS) * output.plane_words())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (inputs, scale) = split(inputs, self.scale.is_some());
        let (x, ty) = (&batch_norm::Prologue::new(inputs), output.ty);
        let thresholds: &Vec<_> = &self.thresholds.iter().map(|t| t * scale).collect();
        parallel::bands(output.words, ty.row_words(), batch_norm::tile_rows(ty.lanes()), |first, words| {
            simd::run(Codes { x, thresholds, at_least: self.at_least, ty, first, words });
        });
    }
}

/// Computes the codes of a band of rows that begins at row `first`.
struct Codes<'a> {
    x: &'a batch_norm::Prologue<'a>,
    thresholds: &'a [f32],
    at_least: bool,
    ty: &'a TensorType,
    first: usize,
    words: &'a mut [u32],
}

impl simd::Job for Codes<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, thresholds, at_least, ty, first, words } = self;
        let (lanes, channels, plane_words) = (ty.lanes(), ty.channels(), ty.plane_words());
        let (row_words, mut buffer) = (ty.row_words(), Vec::new());
        let values = x.tile(simd, first..first + words.len() / row_words, &mut buffer);
        for (words, values) in words.chunks_exact_mut(row_words).zip(values.chunks_exact(lanes)) {
            for (word, values) in values.chunks(WORD_BITS).enumerate() {
                let tail = u32::MAX >> WORD_BITS.saturating_sub(channels - word * WORD_BITS);
                let mut planes = [0; MOST_BITS];
                for &t in thresholds {
                    // Bit-sliced addition to 32 counters at once; plane i holds bit i of each
                    // counter.
                    let mut carry = reached(simd, values, t, at_least) & tail;
                    for plane in &mut planes {
                        (*plane, carry) = (*plane ^ carry, *plane & carry);
                    }
                }
                words[word..].iter_mut().step_by(plane_words).zip(planes).for_each(|(word, plane)| *word = plane);
            }
        }
    }
}

/// A word whose bit i is set if value i is above the threshold, or equal to it if `at_least` is
/// set.
#[inline(always)]
fn reached<S: Simd>(simd: S, values: &[f32], threshold: f32, at_least: bool) -> u32 {
    let (threshold, mut word) = (simd.splat_f32s(threshold), 0);
    for (at, values) in values.chunks(S::F32_LANES).enumerate() {
        let values = simd::load(simd, values);
        let above = match at_least {
            true => simd.greater_than_or_equal_f32s(values, threshold),
            false => simd.greater_than_f32s(values, threshold),
        };
        word |= simd::mask_bits(simd, above, at * S::F32_LANES);
    }
    word
}

/// Splits off the scale: returns the other inputs and the scale, or 1.
pub(super) fn split<'i, 'a>(inputs: &'i [View<'a>], scaled: bool) -> (&'i [View<'a>], f32) {
    if scaled {
        let (scale, rest) = inputs.split_last().expect("an input for the scale");
        (rest, scale.numbers()[0])
    } else {
        (inputs, 1.0)
    }
}

/// Values at these points and directly next to them, where off-by-one errors would show.
fn edges(points: &[f32]) -> Tensor {
    let mut values = vec![0.0, -0.0, f32::MIN_POSITIVE, -1.0, 100.0];
    for &at in points {
        // A device may flush subnormal numbers to 0.
        let beside = match at {
            0.0 => [f32::MIN_POSITIVE, -f32::MIN_POSITIVE],
            _ => [1u32, u32::MAX].map(|step| f32::from_bits(at.to_bits().wrapping_add(step))),
        };
        values.extend([at].into_iter().chain(beside));
    }
    Tensor::from_f32(&[1, 1, 1, values.len()], &values)
}

/// One quantiser of every kind.
pub(super) fn kinds() -> Vec<Quantise> {
    let uniform = |bits: u32, step: f32| (1..1 << bits).map(|i| i as f32 * step).collect::<Vec<_>>();
    let clipped = Surrogate::Clipped;
    vec![
        Quantise::half_wave(&uniform(1, 0.797_884_6), false, Surrogate::Identity),
        Quantise::half_wave(&uniform(2, 0.538), false, clipped),
        Quantise::half_wave(&uniform(3, 0.3217), false, Surrogate::LogTailed),
        Quantise::half_wave(&uniform(4, 0.184_243_34), false, Surrogate::Vanilla),
        Quantise::half_wave(&uniform(2, 0.650_769_7), true, clipped),
        Quantise::half_wave(&[0.453, 1.51], false, clipped),
        Quantise::sign(Surrogate::HardTanh),
        Quantise::sign(Surrogate::Polynomial),
        Quantise::nearest(2, 1.0, None),
        Quantise::nearest(3, 1.0, Some(Scale::Pact)),
        Quantise::nearest(2, 3.0, Some(Scale::Lsq)),
        Quantise::nearest_level(&[0.125, 0.25, 0.375, 0.75, 1.0], Some(Scale::Rcf)),
    ]
}

/// Inputs for test cases: x, or x and coefficients, then the scale; one case has values at the
/// edges of the quantiser's bins.
pub(super) fn operands(op: &Quantise, noise: &mut Noise) -> Vec<Vec<Tensor>> {
    let points: Vec<_> = op.thresholds.iter().copied().chain([op.top, 1.0]).collect();
    let mut cases = vec![vec![noise.floats(&[2, 3, 5, 41])], vec![edges(&points)]];
    cases.extend(batch_norm::prologue_cases(noise));
    if op.scale.is_some() {
        cases.iter_mut().for_each(|inputs| inputs.push(noise.positive(&[1])));
    }
    cases
}

impl Quantise {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(30);
        let cases = kinds().into_iter().flat_map(|op| {
            operands(&op, &mut noise).into_iter().map(|inputs| Sample::new(op.clone(), inputs)).collect::<Vec<_>>()
        });
        cases.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slopes<'a>(Surrogate, &'a [f32], &'a mut [f32]);

    impl simd::Job for Slopes<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for (x, out) in self.1.chunks(S::F32_LANES).zip(self.2.chunks_mut(S::F32_LANES)) {
                simd::store(simd, self.0.slopes(simd, 1.25, simd::load(simd, x)), out);
            }
        }
    }

    #[test]
    fn slopes_of_vectors_are_those_of_values() {
        let around = (-100..=100).map(|i| i as f32 / 32.0);
        let odd = [-0.0, f32::MIN_POSITIVE, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let x: Vec<_> = around.chain(odd).chain([1.25, -1.0, 1.0].map(f32::next_up)).collect();
        for (name, surrogate) in SURROGATES {
            let expected: Vec<_> = x.iter().map(|&x| surrogate.slope(1.25, x).to_bits()).collect();
            simd::limit::each(|| {
                let mut slopes = vec![f32::NAN; x.len()];
                simd::run(Slopes(surrogate, &x, &mut slopes));
                assert_eq!(slopes.iter().map(|slope| slope.to_bits()).collect::<Vec<_>>(), expected, "{name}");
            });
        }
    }
}
