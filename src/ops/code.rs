//! Values represented by the codes of a quantiser and by the sign planes of a weight: coefficients
//! of bit planes.
//!
//! Every quantised tensor is c_0 + Σ c_p·plane p. A packed convolution counts bits of pairs of
//! planes: the counts are integers, exact on every device. If all coefficients are a common factor
//! times powers of two, the counts combine into one integer sum, which is the result of the
//! convolution. Otherwise (free levels, free bases) it adds up coefficient times integer in floats,
//! in a fixed order.

use super::gemm::{Planes, Quads};
use crate::bits;
use crate::kernel::Launch;
use crate::parallel;
use crate::simd::{self, Simd};
use crate::tensor::{View, WORD_BITS};
use std::borrow::Cow;

/// Values that the codes represent.
#[derive(Clone, PartialEq, Debug)]
pub enum Code {
    /// Δ·code: plane p contributes Δ·2^p.
    Uniform(f32),
    /// +1 for code 1, −1 for code 0, in one plane.
    Sign,
    /// These positive levels in ascending order; code 0 is 0. The planes are [code ≥ i] with
    /// coefficients q_i − q_{i−1}; they are derived in registers from the bits of the code.
    Levels(Vec<f32>),
}

/// WGSL that converts a quad of codes to floats; needs `codes.wgsl`.
pub(super) const VALUES: &str = include_str!("../../shaders/code_values.wgsl");

/// Names of the constants that hold the levels and the differences between them.
const LEVEL: [&str; 15] = [
    "LEVEL_0", "LEVEL_1", "LEVEL_2", "LEVEL_3", "LEVEL_4", "LEVEL_5", "LEVEL_6", "LEVEL_7", "LEVEL_8", "LEVEL_9",
    "LEVEL_10", "LEVEL_11", "LEVEL_12", "LEVEL_13", "LEVEL_14",
];
const LEVEL_STEP: [&str; 15] = [
    "LEVEL_STEP_0",
    "LEVEL_STEP_1",
    "LEVEL_STEP_2",
    "LEVEL_STEP_3",
    "LEVEL_STEP_4",
    "LEVEL_STEP_5",
    "LEVEL_STEP_6",
    "LEVEL_STEP_7",
    "LEVEL_STEP_8",
    "LEVEL_STEP_9",
    "LEVEL_STEP_10",
    "LEVEL_STEP_11",
    "LEVEL_STEP_12",
    "LEVEL_STEP_13",
    "LEVEL_STEP_14",
];

impl Code {
    /// The factor common to all values: Δ of uniform codes, otherwise 1.
    pub fn step(&self) -> f32 {
        if let Self::Uniform(step) = self { *step } else { 1.0 }
    }

    /// The value of a code without the common factor.
    pub fn unit_value(&self, code: u32) -> f32 {
        match self {
            Self::Uniform(_) => code as f32,
            Self::Sign => 2.0 * code as f32 - 1.0,
            Self::Levels(_) if code == 0 => 0.0,
            Self::Levels(levels) => levels[(code as usize).min(levels.len()) - 1],
        }
    }

    /// Differences between neighbouring levels; empty if the codes have no free levels.
    pub fn level_steps(&self) -> Vec<f32> {
        let Self::Levels(levels) = self else { return Vec::new() };
        levels.iter().enumerate().map(|(i, &level)| if i == 0 { level } else { level - levels[i - 1] }).collect()
    }

    /// The largest magnitude of a value without the common factor, for `bits`-bit codes; only
    /// meaningful for integers.
    pub fn largest(&self, bits: u8) -> usize {
        if *self == Self::Sign { 1 } else { (1 << bits) - 1 }
    }

    /// Checks that codes of `bits` bits can represent these values.
    ///
    /// # Errors
    ///
    /// Returns an error if they cannot; the message states the mismatch.
    pub(super) fn check(&self, bits: u8) -> Result<(), String> {
        match self {
            Self::Sign if bits != 1 => Err(format!("signs have one bit, not {bits}")),
            Self::Levels(levels) if levels.is_empty() || levels.len() >= 1 << bits => {
                Err(format!("{} levels do not fit {bits} bits", levels.len()))
            }
            _ => Ok(()),
        }
    }

    /// Writes `scale` times the values of the codes without the common factor, `rows × lanes`;
    /// channel padding is 0.
    pub(super) fn put_values(&self, x: View<'_>, scale: f32, out: &mut [f32]) {
        let lanes = x.ty.lanes();
        parallel::bands(out, lanes, (4096 / lanes).max(1), |first, out| {
            simd::run(Values { code: self, x, scale, first, out });
        });
    }

    /// All values without the common factor, by quads of channels. Codes of one or two bits remain
    /// codes.
    pub(super) fn quads(&self, x: View<'_>) -> Quads<'static> {
        let (lanes, plane_words, row_words) = (x.ty.lanes(), x.ty.plane_words(), x.ty.row_words());
        let (rows, channels) = (x.ty.rows(), x.ty.channels());
        // Channel padding must be 0, which is not always the value of code 0.
        let whole = channels == lanes || self.unit_value(0) == 0.0;
        if row_words > 2 * plane_words || !whole {
            let mut values = vec![0.0; rows * lanes];
            self.put_values(x, 1.0, &mut values);
            return Quads::of_floats(values.into(), lanes);
        }
        // Four bits of each plane form the codes of a quad.
        let mut codes = vec![0; rows * lanes / 4];
        parallel::bands(&mut codes, 1, rows, |first, codes| {
            let (word, shift) = (first / rows * 4 / WORD_BITS, first / rows * 4 % WORD_BITS);
            for (code, row) in codes.iter_mut().zip(x.words.chunks_exact(row_words)) {
                let planes = row[word..].iter().step_by(plane_words);
                *code = planes.rev().fold(0, |code, plane| code << 4 | (plane >> shift & 15) as u8);
            }
        });
        let value = |at: usize, c: usize| self.unit_value((at >> c & 1 | (at >> (4 + c) & 1) << 1) as u32);
        Quads::Codes(codes, Box::new(std::array::from_fn(|at| std::array::from_fn(|c| value(at, c)))))
    }

    /// Bit planes that a packed convolution counts; for free levels, the plane [code ≥ `level`].
    pub(super) fn planes<'a>(&self, x: View<'a>, level: usize) -> Planes<'a> {
        let (plane_words, row_words, channels) = (x.ty.plane_words(), x.ty.row_words(), x.ty.channels());
        let derived = |planes: usize, derive: &(dyn Fn(&[u32], &mut [u32]) + Sync)| {
            let mut words = vec![0; x.ty.rows() * planes * plane_words];
            parallel::rows(&mut words, planes * plane_words, |row, words| {
                derive(&x.words[row * row_words..][..row_words], words);
            });
            Cow::Owned(words)
        };
        let (words, factors) = match self {
            Self::Uniform(_) => (Cow::Borrowed(x.words), (0..row_words / plane_words).map(|p| 1 << p).collect()),
            Self::Sign => {
                let tail = |word: usize| u32::MAX >> (WORD_BITS - (channels - word * WORD_BITS).min(WORD_BITS));
                let both = derived(2, &|codes, words| {
                    let (plus, minus) = words.split_at_mut(plane_words);
                    plus.copy_from_slice(codes);
                    minus.iter_mut().zip(codes).enumerate().for_each(|(at, (minus, plus))| *minus = !plus & tail(at));
                });
                (both, vec![1, -1])
            }
            Self::Levels(_) => {
                let reached = derived(1, &|codes, words| {
                    for c in (0..channels).filter(|&c| bits::code(codes, plane_words, c) >= level as u32) {
                        words[c / WORD_BITS] |= 1 << (c % WORD_BITS);
                    }
                });
                (reached, vec![1])
            }
        };
        Planes { words, plane_words, factors }
    }

    /// Adds the constants that a kernel needs to decode codes of `channels` channels.
    pub(super) fn constants(&self, mut launch: Launch, bits: usize, channels: usize) -> Launch {
        let levels = if let Self::Levels(levels) = self { &levels[..] } else { &[] };
        launch = launch
            .constant("BITS", bits)
            .constant("CHANNELS", channels)
            .constant("SIGNED", usize::from(*self == Self::Sign))
            .constant("LEVELS", levels.len())
            .constant("STEP_BITS", self.step().to_bits() as usize);
        for (i, (level, step)) in levels.iter().zip(self.level_steps()).enumerate() {
            launch = launch.constant(LEVEL[i], level.to_bits() as usize);
            launch = launch.constant(LEVEL_STEP[i], step.to_bits() as usize);
        }
        launch
    }
}

/// Converts the codes of some rows to values.
struct Values<'a> {
    code: &'a Code,
    x: View<'a>,
    scale: f32,
    /// Index of the first row.
    first: usize,
    out: &'a mut [f32],
}

impl simd::Job for Values<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { code, x, scale, first, out } = self;
        let (channels, lanes, plane_words) = (x.ty.channels(), x.ty.lanes(), x.ty.plane_words());
        let (none, factor) = (simd.splat_f32s(0.0), simd.splat_f32s(scale));
        let rows = x.words[first * x.ty.row_words()..].chunks_exact(x.ty.row_words());
        for (out, row) in out.chunks_exact_mut(lanes).zip(rows) {
            for (word, out) in out.chunks_mut(WORD_BITS).enumerate() {
                for (at, out) in out.chunks_mut(S::F32_LANES).enumerate() {
                    let (mut codes, mut weight) = (none, 1.0);
                    for &word in row[word..].iter().step_by(plane_words) {
                        let set = simd::bit_mask(simd, word, at * S::F32_LANES);
                        codes = simd.add_f32s(codes, simd.select_f32s(set, simd.splat_f32s(weight), none));
                        weight *= 2.0;
                    }
                    simd::store(simd, simd.mul_f32s(codes, factor), out);
                }
            }
            if !matches!(code, Code::Uniform(_)) {
                for (c, value) in out[..channels].iter_mut().enumerate() {
                    *value = code.unit_value(bits::code(row, plane_words, c)) * scale;
                }
            }
        }
    }
}

/// Values that the sign planes of a weight represent, apart from a scale per filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SignPlanes {
    /// Σ 2^j·(±1)_j: the odd integers from −(2^n − 1) to 2^n − 1; n = 1 is a binary weight.
    Binary(usize),
    /// Σ β_j·(±1)_j, with a coefficient per plane and filter.
    Bases(usize),
}

impl SignPlanes {
    /// A binary weight.
    pub const ONE: Self = Self::Binary(1);

    /// Number of planes.
    pub fn count(self) -> usize {
        match self {
            Self::Binary(count) | Self::Bases(count) => count,
        }
    }

    /// Number of coefficients that are not powers of two: rows of α.
    pub fn bases(self) -> usize {
        if let Self::Bases(count) = self { count } else { 1 }
    }

    /// Number of planes that share such a coefficient.
    pub fn planes_of_base(self) -> usize {
        self.count() / self.bases()
    }

    /// Largest magnitude of the integers that share a coefficient.
    pub fn largest(self) -> usize {
        (1 << self.planes_of_base()) - 1
    }

    /// The weight with these signs, positive where the plane's bit is 1, and the coefficients of
    /// one filter.
    pub(super) fn value(self, plane_bits: impl Fn(usize) -> bool, alpha: impl Fn(usize) -> f32) -> f32 {
        let sign = |plane| if plane_bits(plane) { 1.0f32 } else { -1.0 };
        match self {
            Self::Binary(count) => (0..count).map(|j| sign(j) * (1u32 << j) as f32).sum::<f32>() * alpha(0),
            Self::Bases(count) => (0..count).map(|j| sign(j) * alpha(j)).sum(),
        }
    }

    pub(super) fn constants(self, launch: Launch) -> Launch {
        launch
            .constant("SIGN_PLANES", self.count())
            .constant("BASES", self.bases())
            .constant("W_PLANES", self.planes_of_base())
    }
}
