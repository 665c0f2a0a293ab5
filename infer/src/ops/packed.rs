//! Packed convolution: by lookup where the processor has tables ([`lookup`]); otherwise and, population count,
//! add.
//!
//! There, weights are stored by groups of eight filters, a 64-bit word of each at a time. Eight rows of
//! bits (pixels times planes of codes) are gathered, and each weight is loaded once for all of
//! them.

use super::lookup::{self, BLOCK, Lookup, Nibbles};
use super::{Coding, Op};
use crate::network::{Kind, Type};
use crate::runner::Data;
use crate::simd::{self, Simd};
use crate::window::Window;
use alloc::vec;
use alloc::vec::Vec;

/// Filters of a group: one vector of AVX-512.
const GROUP: usize = 8;
/// Rows of bits that are counted together.
const ROWS: usize = 8;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(super) window: Window,
    pub(super) input: Type,
    pub(super) output: Type,
    pub(super) coding: Coding,
    bases: usize,
    pub(super) planes: usize,
    /// `[bases·planes, ⌈k/8⌉, words, 8]`.
    signs: Vec<[u64; GROUP]>,
    /// Where the processor has tables, in place of `signs`: `[bases·planes, ⌈k/64⌉, taps, ⌈c/4⌉]`.
    pub(super) nibbles: Vec<Nibbles>,
    /// `[bases·planes, k]`: what a filter's products exceed their sum by.
    #[cfg_attr(not(all(feature = "std", target_arch = "x86_64")), allow(dead_code))]
    pub(super) biases: Vec<i32>,
    coefficients: Vec<f32>,
    scale: f32,
}

/// 64-bit words of a row of bits: all taps and channels under a window.
fn row_words(window: &Window, input: &Type) -> usize {
    (window.taps() * input.words()).div_ceil(2)
}

/// At most: for tables.
pub(super) fn bytes(window: &Window, planes: usize, input: &Type, output: &Type) -> u64 {
    let of_tap = planes * output.channels().div_ceil(BLOCK) * BLOCK * lookup::quads(input.channels());
    of_tap as u64 * window.taps() as u64 + 4 * (planes * output.channels()) as u64
}

/// The words of a group of filters, side by side.
fn words(group: &[u32], row: usize) -> impl Iterator<Item = [u64; GROUP]> {
    let half = move |lane: usize, at: usize| match at < row {
        true => group.get(lane * row + at).copied().map_or(0, u64::from),
        false => 0,
    };
    (0..row.div_ceil(2))
        .map(move |word| core::array::from_fn(|lane| half(lane, 2 * word) | half(lane, 2 * word + 1) << 32))
}

impl Packed {
    pub(super) fn new(op: &Op, input: &Type, output: &Type) -> Self {
        let Op::PackedConv { window, filters, coding, bases, planes, signs, coefficients, scale } = op else {
            unreachable!("a packed convolution");
        };
        // A table adds up both planes of two-bit codes; of a single plane, AVX-512 counts more bits at a time.
        let single = match (coding, input.kind) {
            (Coding::Uniform, Kind::Codes(bits)) => bits == 1,
            (Coding::Levels(_), _) => true,
            _ => false,
        };
        let look_up = simd::has_tables() && !(single && simd::has_counting());
        let row = window.taps() * input.words();
        let (mut grouped, mut nibbles, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for plane in signs.chunks_exact(filters * row) {
            if look_up {
                let ones = |filter: &[u32]| filter.iter().map(|word| word.count_ones() as i32).sum::<i32>();
                nibbles.extend(lookup::nibbles(plane, *filters, input.channels()));
                biases.extend(plane.chunks_exact(row).map(|row| if *coding == Coding::Sign { ones(row) } else { 0 }));
            } else {
                grouped.extend(plane.chunks(GROUP * row).flat_map(|group| words(group, row)));
            }
        }
        Self {
            window: *window,
            input: *input,
            output: *output,
            coding: *coding,
            bases: *bases,
            planes: *planes,
            signs: grouped,
            nibbles,
            biases,
            coefficients: coefficients.clone(),
            scale: scale.first().copied().unwrap_or(1.0),
        }
    }

    /// Whether the weights were prepared for tables, not for counting.
    fn has_tables(&self) -> bool {
        !self.nibbles.is_empty()
    }

    pub(super) fn run(&self, x: &[u32]) -> Data {
        let (planes, factors) = self.derived(x);
        let sums = |rows: &[u32], factors: &[i32], base: usize| {
            let mut sums = Vec::with_capacity(self.output.len());
            if self.has_tables() {
                simd::run_tables(Lookup { packed: self, x: rows, base, sums: &mut sums });
            } else {
                sums.resize(self.output.len(), 0);
                simd::run_counting(Job { packed: self, planes: rows, factors, base, sums: &mut sums });
            }
            sums
        };
        if let (Kind::Sums(_), 1) = (self.output.kind, self.bases) {
            return Data::Sums(sums(&planes, &factors, 0));
        }
        // Each level and base has a coefficient of its own.
        let plane = self.input.pixels() * self.input.words();
        let filters = self.output.channels();
        let mut y = vec![0.0; self.output.len()];
        let levels = if let Coding::Levels(levels) = self.coding { levels } else { 1 };
        for term in 0..levels * self.bases {
            let (rows, factors) = match self.coding {
                Coding::Levels(_) => (&planes[term / self.bases * plane..][..plane], &[1][..]),
                _ => (&planes[..], &factors[..]),
            };
            let coefficients = &self.coefficients[term * filters..][..filters];
            let sums = sums(rows, factors, term % self.bases);
            for (y, sums) in y.chunks_exact_mut(filters).zip(sums.chunks_exact(filters)) {
                y.iter_mut().zip(sums).zip(coefficients).for_each(|((y, &sum), c)| *y += c * sum as f32);
            }
        }
        y.iter_mut().for_each(|y| *y *= self.scale);
        Data::Float(y)
    }

    /// The planes that are counted, and their factors.
    fn derived(&self, x: &[u32]) -> (Vec<u32>, Vec<i32>) {
        let (words, plane) = (self.input.words(), self.input.pixels() * self.input.words());
        match self.coding {
            Coding::Uniform => (x.to_vec(), (0..x.len() / plane).map(|p| 1 << p).collect()),
            Coding::Sign if self.has_tables() => (x.to_vec(), vec![1]),
            Coding::Sign => {
                let tail = u32::MAX >> (words * 32 - self.input.channels());
                let minus = x.chunks_exact(words).flat_map(|pixel| {
                    pixel.iter().enumerate().map(|(at, word)| if at + 1 == words { !word & tail } else { !word })
                });
                (x.iter().copied().chain(minus.collect::<Vec<_>>()).collect(), Vec::from([1, -1]))
            }
            Coding::Levels(levels) => {
                let bits = x.len() / plane;
                let reached = |level: usize, at: usize| {
                    // code ≥ level, bit by bit from the top: above decides, equal goes on.
                    let (mut above, mut equal) = (0, u32::MAX);
                    for p in (0..bits).rev() {
                        let word = x[p * plane + at];
                        match level >> p & 1 {
                            1 => equal &= word,
                            _ => {
                                above |= equal & word;
                                equal &= !word;
                            }
                        }
                    }
                    above | equal
                };
                let planes = (1..=levels).flat_map(|level| (0..plane).map(move |at| reached(level, at)));
                (planes.collect(), vec![1; levels])
            }
        }
    }
}

struct Job<'a> {
    packed: &'a Packed,
    planes: &'a [u32],
    factors: &'a [i32],
    base: usize,
    sums: &'a mut [i32],
}

impl simd::Job for Job<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The number of planes as a constant, so that loops over it have no branches.
        match self.factors.len() {
            1 => self.count::<S, 1>(simd),
            2 => self.count::<S, 2>(simd),
            3 => self.count::<S, 3>(simd),
            _ => self.count::<S, 4>(simd),
        }
    }
}

impl Job<'_> {
    /// Counts with P planes of codes.
    #[inline(always)]
    fn count<S: Simd, const P: usize>(self, simd: S) {
        let Self { packed, planes, factors, base, sums } = self;
        let Packed { window, input, output, .. } = packed;
        let (words, filters, pixels) = (row_words(window, input), output.channels(), output.pixels());
        let factors: [i32; P] = core::array::from_fn(|p| factors[p]);
        let (mut rows, mut side_by_side) = (vec![0u64; ROWS * words], vec![[0; ROWS]; words]);
        let groups = filters.div_ceil(GROUP) * words;
        let signs = &packed.signs[base * packed.planes * groups..][..packed.planes * groups];
        for first in (0..pixels).step_by(ROWS / P) {
            let count = (ROWS / P).min(pixels - first);
            for i in 0..count {
                for p in 0..P {
                    let row = &mut rows[(i * P + p) * words..][..words];
                    let (plane, pixel) = (input.pixels() * input.words(), first + i);
                    let place = [pixel / output.shape[1], pixel % output.shape[1]];
                    let [h, w, _] = input.shape;
                    let row: &mut [u32] = bytemuck::cast_slice_mut(row);
                    let row = &mut row[..window.taps() * input.words()];
                    window.gather(&planes[p * plane..][..plane], [h, w, input.words()], place, 0, row);
                }
            }
            // Σ over planes of factor·popcount(a_p), for each pixel.
            let ones: [i32; ROWS] = core::array::from_fn(|i| {
                if i >= count {
                    return 0;
                }
                let of = |p: usize| rows[(i * P + p) * words..][..words].iter().map(|word| word.count_ones() as i32);
                (0..P).map(|p| factors[p] * of(p).sum::<i32>()).sum()
            });
            for (word, bits) in side_by_side.iter_mut().enumerate() {
                *bits = core::array::from_fn(|row| rows[row * words + word]);
            }
            for (plane, signs) in signs.chunks_exact(groups).enumerate() {
                for (group, signs) in signs.chunks_exact(words).enumerate() {
                    let counts = counts(simd, signs, &side_by_side);
                    let lanes = (filters - group * GROUP).min(GROUP);
                    for i in 0..count {
                        let mut both = [0i32; GROUP];
                        for p in 0..P {
                            for (both, count) in both.iter_mut().zip(counts[i * P + p]) {
                                *both += factors[p] * count as i32;
                            }
                        }
                        let both = both.map(|both| (2 * both - ones[i]) << plane);
                        let out = &mut sums[(first + i) * filters + group * GROUP..][..lanes];
                        match <&mut [i32; GROUP]>::try_from(&mut *out) {
                            Ok(out) => out.iter_mut().zip(both).for_each(|(out, sum)| *out += sum),
                            Err(_) => out.iter_mut().zip(both).for_each(|(out, sum)| *out += sum),
                        }
                    }
                }
            }
        }
    }
}

/// For each row of bits and each filter of a group, the number of bits set in both.
#[inline(always)]
fn counts<S: Simd>(simd: S, signs: &[[u64; GROUP]], rows: &[[u64; ROWS]]) -> [[u64; GROUP]; ROWS] {
    match GROUP / S::U64_LANES {
        1 => counts_of::<S, 1>(simd, signs, rows),
        2 => counts_of::<S, 2>(simd, signs, rows),
        4 => counts_of::<S, 4>(simd, signs, rows),
        _ => counts_of::<S, GROUP>(simd, signs, rows),
    }
}

/// The same with V vectors for a group. Vectors are explicit, because a compiler left to itself
/// gathers over words.
#[inline(always)]
fn counts_of<S: Simd, const V: usize>(simd: S, signs: &[[u64; GROUP]], rows: &[[u64; ROWS]]) -> [[u64; GROUP]; ROWS] {
    let mut counts = [[simd.splat_u64s(0); V]; ROWS];
    for (signs, rows) in signs.iter().zip(rows) {
        for (v, signs) in S::as_simd_u64s(signs).0.iter().enumerate() {
            for (counts, row) in counts.iter_mut().zip(rows) {
                let both = simd.and_u64s(*signs, simd.splat_u64s(*row));
                counts[v] = simd.add_u64s(counts[v], simd::count_ones_u64::<S>(both));
            }
        }
    }
    let mut out = [[0; GROUP]; ROWS];
    for (out, counts) in out.iter_mut().zip(&counts) {
        S::as_mut_simd_u64s(out).0.copy_from_slice(counts);
    }
    out
}
