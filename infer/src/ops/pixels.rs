//! Operations that convert, select or arrange elements: exact.

use crate::network::{Kind, Type};
use crate::runner::Data;
use crate::simd::{self, Simd};
use crate::window::Window;
use alloc::vec;
use alloc::vec::Vec;

/// Codes of 32 channels at a time: the bits of a pixel's codes, written to their planes.
struct Planes<'a> {
    words: &'a mut [u32],
    /// Distance between planes.
    plane: usize,
}

impl Planes<'_> {
    /// Sets the code of channel `c` of the pixel whose words begin at `pixel`.
    #[inline(always)]
    fn set(&mut self, pixel: usize, c: usize, code: u32) {
        let mut code = code;
        let mut at = pixel + c / 32;
        while code != 0 {
            self.words[at] |= (code & 1) << (c % 32);
            code >>= 1;
            at += self.plane;
        }
    }
}

/// Returns the code of channel `c` of a pixel.
#[inline(always)]
fn code(words: &[u32], ty: &Type, bits: u8, pixel: usize, c: usize) -> u32 {
    let (plane, at) = (ty.pixels() * ty.words(), pixel * ty.words() + c / 32);
    (0..usize::from(bits)).map(|p| (words[p * plane + at] >> (c % 32) & 1) << p).sum()
}

/// Number of words of codes of this type.
pub(super) fn code_words(ty: &Type) -> usize {
    ty.bytes() / 4
}

/// Packs the codes of all elements, which `code` returns by pixel and channel.
fn pack(ty: &Type, mut code: impl FnMut(usize, usize) -> u32) -> Vec<u32> {
    let mut words = vec![0; code_words(ty)];
    let plane = ty.pixels() * ty.words();
    let mut planes = Planes { words: &mut words, plane };
    for pixel in 0..ty.pixels() {
        for c in 0..ty.channels() {
            planes.set(pixel * ty.words(), c, code(pixel, c));
        }
    }
    words
}

/// Packs the codes of rows of values: for each channel, the number of thresholds reached.
///
/// 32 values at a time, by bit-sliced addition of comparisons.
struct Count<'a, T, R> {
    values: &'a [T],
    output: &'a Type,
    thresholds: usize,
    reached: R,
    out: &'a mut [u32],
}

trait Reached<T> {
    /// Returns the word of comparisons of up to 32 values, from channel `first` on, with threshold t.
    fn word<S: Simd>(&self, simd: S, values: &[T], first: usize, t: usize) -> u32;
}

impl<T, R: Reached<T>> simd::Job for Count<'_, T, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { values, output, thresholds, reached, out } = self;
        let (channels, words) = (output.channels(), output.words());
        let plane = output.pixels() * words;
        for (pixel, row) in values.chunks_exact(channels).enumerate() {
            for (word, values) in row.chunks(32).enumerate() {
                let mut planes = [0u32; 4];
                for t in 0..thresholds {
                    let mut carry = reached.word(simd, values, word * 32, t);
                    for plane in &mut planes {
                        (*plane, carry) = (*plane ^ carry, *plane & carry);
                    }
                }
                let at = pixel * words + word;
                for (out, word) in out.chunks_exact_mut(plane).zip(planes) {
                    out[at] = word;
                }
            }
        }
    }
}

fn count<T>(values: &[T], output: &Type, thresholds: usize, reached: impl Reached<T>) -> Vec<u32> {
    let mut out = vec![0; code_words(output)];
    simd::run(Count { values, output, thresholds, reached, out: &mut out });
    out
}

/// A word whose bit i is `reached(values[i], others[i])`; whole words have a loop of their own, which
/// compilers vectorise.
#[inline(always)]
fn word<T: Copy, U: Copy>(values: &[T], others: &[U], reached: impl Fn(T, U) -> bool) -> u32 {
    let mut word = 0;
    if let (Ok(values), Ok(others)) = (<&[T; 32]>::try_from(values), <&[U; 32]>::try_from(others)) {
        for i in 0..32 {
            word |= u32::from(reached(values[i], others[i])) << i;
        }
    } else {
        for (i, (&value, &other)) in values.iter().zip(others).enumerate() {
            word |= u32::from(reached(value, other)) << i;
        }
    }
    word
}

/// Integers reach the limit of their channel.
struct Limits {
    /// `[count, c]`.
    limits: Vec<i32>,
    /// Bits of falling channels, where reaching the limit does not count.
    falling: Vec<u32>,
    channels: usize,
}

impl Reached<i32> for Limits {
    #[inline(always)]
    fn word<S: Simd>(&self, simd: S, values: &[i32], first: usize, t: usize) -> u32 {
        let limits = &self.limits[t * self.channels + first..][..values.len()];
        let (vectors, limit_vectors) = (S::as_simd_i32s(values).0, S::as_simd_i32s(limits).0);
        let word = match values.len() {
            32 if S::I32_LANES > 1 => {
                vectors.iter().zip(limit_vectors).enumerate().fold(0, |word, (at, (x, limit))| {
                    word | simd::mask_bits(simd, simd.greater_than_or_equal_i32s(*x, *limit), at * S::I32_LANES)
                })
            }
            _ => word(values, limits, |x, limit| x >= limit),
        };
        word ^ self.falling[first / 32]
    }
}

/// Floats exceed a threshold, or reach it.
struct Levels<'a, const AT_LEAST: bool>(&'a [f32]);

impl<const AT_LEAST: bool> Reached<f32> for Levels<'_, AT_LEAST> {
    #[inline(always)]
    fn word<S: Simd>(&self, simd: S, values: &[f32], _: usize, t: usize) -> u32 {
        let (threshold, all) = (self.0[t], simd.splat_f32s(self.0[t]));
        match values.len() {
            32 if S::F32_LANES > 1 => S::as_simd_f32s(values).0.iter().enumerate().fold(0, |word, (at, x)| {
                let reached = match AT_LEAST {
                    true => simd.greater_than_or_equal_f32s(*x, all),
                    false => simd.greater_than_f32s(*x, all),
                };
                word | simd::mask_bits(simd, reached, at * S::F32_LANES)
            }),
            _ => word(values, values, |x, _| if AT_LEAST { x >= threshold } else { x > threshold }),
        }
    }
}

pub(super) fn threshold(thresholds: &[i32], falling: &[i32], x: &[i32], output: &Type) -> Vec<u32> {
    let channels = output.channels();
    let falls = |c: usize| falling.get(c).is_some_and(|&falling| falling != 0);
    // −x ≥ t is x < 1 − t.
    let limit = |(at, &t): (usize, &i32)| if falls(at % channels) { 1i32.saturating_sub(t) } else { t };
    let limits = Limits {
        limits: thresholds.iter().enumerate().map(limit).collect(),
        falling: (0..output.words())
            .map(|at| falling.chunks(32).nth(at).map_or(0, |some| word(some, some, |falling, _| falling != 0)))
            .collect(),
        channels,
    };
    count(x, output, thresholds.len() / channels, limits)
}

pub(super) fn quantise(thresholds: &[f32], at_least: bool, x: &[f32], output: &Type) -> Vec<u32> {
    match at_least {
        true => count(x, output, thresholds.len(), Levels::<true>(thresholds)),
        false => count(x, output, thresholds.len(), Levels::<false>(thresholds)),
    }
}

pub(super) fn decode(bits: u8, values: &[f32], ty: &Type, x: &[u32]) -> Vec<f32> {
    let at = |i: usize| values[code(x, ty, bits, i / ty.channels(), i % ty.channels()) as usize];
    (0..ty.len()).map(at).collect()
}

struct Pool<'a, T> {
    window: &'a Window,
    input: &'a Type,
    output: &'a Type,
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Copy + PartialOrd> simd::Job for Pool<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { window, input, output, x, out } = self;
        let ([h, w, c], [_, ow, _]) = (input.shape, output.shape);
        for (pixel, out) in out.chunks_exact_mut(c).enumerate() {
            for r in 0..window.kernel[0] {
                for s in 0..window.kernel[1] {
                    let Some([y, at]) = window.source([h, w], [pixel / ow, pixel % ow], [r, s]) else { continue };
                    for (best, &value) in out.iter_mut().zip(&x[(y * w + at) * c..][..c]) {
                        *best = if value > *best { value } else { *best };
                    }
                }
            }
        }
    }
}

pub(super) fn max_pool(window: &Window, ty: &Type, x: &Data, output: &Type) -> Data {
    fn pool<T: Copy + PartialOrd>(window: &Window, ty: &Type, output: &Type, start: T, x: &[T]) -> Vec<T> {
        let mut out = vec![start; output.len()];
        simd::run(Pool { window, input: ty, output, x, out: &mut out });
        out
    }
    match x {
        Data::Float(x) => Data::Float(pool(window, ty, output, f32::NEG_INFINITY, x)),
        Data::Sums(x) => Data::Sums(pool(window, ty, output, i32::MIN, x)),
        Data::Codes(words) => {
            let Kind::Codes(bits) = ty.kind else { unreachable!("codes") };
            let at = |i: usize| code(words, ty, bits, i / ty.channels(), i % ty.channels());
            let codes: Vec<_> = (0..ty.len()).map(at).collect();
            let codes = pool(window, ty, output, 0, &codes);
            Data::Codes(pack(output, |pixel, c| codes[pixel * output.channels() + c]))
        }
    }
}

/// The channels of several inputs from the given channel on, one after the other, until the output
/// has all.
pub(super) fn channels(parts: &[(&Type, &Data, usize)], output: &Type) -> Data {
    fn join<T: Copy>(parts: &[(&Type, &[T], usize)], output: &Type) -> Vec<T> {
        let mut out = Vec::with_capacity(output.len());
        for pixel in 0..output.pixels() {
            for (ty, x, first) in parts {
                let count = (ty.channels() - first).min(output.channels());
                out.extend_from_slice(&x[pixel * ty.channels() + first..][..count]);
            }
        }
        out
    }
    match parts[0].1 {
        Data::Float(_) => {
            let parts: Vec<_> = parts.iter().map(|&(ty, x, first)| (ty, x.floats(), first)).collect();
            Data::Float(join(&parts, output))
        }
        Data::Sums(_) => {
            let parts: Vec<_> = parts.iter().map(|&(ty, x, first)| (ty, x.sums(), first)).collect();
            Data::Sums(join(&parts, output))
        }
        Data::Codes(_) => {
            let Kind::Codes(bits) = output.kind else { unreachable!("codes") };
            let of = |pixel: usize, mut c: usize| {
                for (ty, x, first) in parts {
                    let count = ty.channels() - first;
                    if c < count {
                        return code(x.codes(), ty, bits, pixel, first + c);
                    }
                    c -= count;
                }
                0
            };
            Data::Codes(pack(output, of))
        }
    }
}

/// Surrounds 1-bit codes by 1 bits.
pub(super) fn pad([top, left]: [usize; 2], ty: &Type, x: &[u32], output: &Type) -> Vec<u32> {
    let ([h, w, c], [_, ow, _], words) = (ty.shape, output.shape, ty.words());
    let mut out = vec![u32::MAX; code_words(output)];
    for (pixel, out) in out.chunks_exact_mut(words).enumerate() {
        let inside = (pixel / ow).checked_sub(top).zip((pixel % ow).checked_sub(left));
        match inside.filter(|&(y, x)| y < h && x < w) {
            Some((y, at)) => out.copy_from_slice(&x[(y * w + at) * words..][..words]),
            None => out[words - 1] = u32::MAX >> (words * 32 - c),
        }
    }
    out
}
