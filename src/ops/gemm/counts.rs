//! Products of bits: a packed convolution by AND and popcount. Integers, exact in any order.

use super::{PANEL, TALL, Taps, panels_at_once};
use super::{with_panels, with_vectors};
use crate::parallel;
use crate::simd::{self, Simd};
use crate::tensor::TensorType;
use std::borrow::Cow;
use std::ops::Range;

/// Rows of numbers `Σ_p factor_p · bit_p`: the planes of a row are consecutive, each of
/// `plane_words` words.
pub(in super::super) struct Planes<'a> {
    /// The rows.
    pub(in super::super) words: Cow<'a, [u32]>,
    /// Number of words of a plane of a row.
    pub(in super::super) plane_words: usize,
    /// Value of a bit of each plane.
    pub(in super::super) factors: Vec<i32>,
}

/// Number of rows that one task counts: their sums fit the L2 cache.
pub(in super::super) const BAND: usize = 64;

/// `s[row][k] = Σ_taps Σ_c w[tap][c][k] · planes[source(row, tap)][c]` for w = Σ_j 2^j·(±1)_j.
pub(in super::super) struct Counts<'a> {
    taps: &'a Taps,
    planes: Planes<'a>,
    /// `[panel][tap][word][j][filter]`.
    signs: Vec<[u32; PANEL]>,
    sign_planes: usize,
    lanes: usize,
    filters: usize,
    /// For each row of `planes`, the sum of its numbers.
    totals: Vec<i32>,
}

impl<'a> Counts<'a> {
    /// Uses `used` of the `all` planes of signs, `[tap][word][all][lane]`; bit 1 represents +1. The
    /// sums have the shape of `y`.
    pub(in super::super) fn new(
        taps: &'a Taps,
        planes: Planes<'a>,
        y: &TensorType,
        signs: &[u32],
        (all, used): (usize, Range<usize>),
    ) -> Self {
        let (lanes, filters) = (y.lanes(), y.channels());
        let mut panels = Vec::new();
        for first in (0..lanes).step_by(PANEL) {
            for group in signs.chunks_exact(all * lanes) {
                for row in group.chunks_exact(lanes).skip(used.start).take(used.len()) {
                    let mut panel = [0; PANEL];
                    let row = &row[first..lanes.min(first + PANEL)];
                    panel[..row.len()].copy_from_slice(row);
                    panels.push(panel);
                }
            }
        }
        let row_words = planes.factors.len() * planes.plane_words;
        let mut totals = vec![0; planes.words.len() / row_words];
        parallel::bands(&mut totals, 1, 1024, |first, totals| {
            let rows = &planes.words[first * row_words..][..totals.len() * row_words];
            simd::run_counting(Totals { rows, plane_words: planes.plane_words, factors: &planes.factors, totals });
        });
        Self { taps, planes, signs: panels, sign_planes: used.len(), lanes, filters, totals }
    }

    /// Computes the sums of the rows from `first` on.
    pub(in super::super) fn rows(&self, first: usize, sums: &mut [i32]) {
        simd::run_counting(Job { counts: self, first, sums });
    }
}

/// Sums of the numbers of some rows.
struct Totals<'a> {
    rows: &'a [u32],
    plane_words: usize,
    factors: &'a [i32],
    totals: &'a mut [i32],
}

impl simd::Job for Totals<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, plane_words, factors, totals } = self;
        for (total, row) in totals.iter_mut().zip(rows.chunks_exact(factors.len() * plane_words)) {
            for (factor, plane) in factors.iter().zip(row.chunks_exact(plane_words)) {
                for word in plane {
                    *total += factor * word.count_ones() as i32;
                }
            }
        }
    }
}

struct Job<'a> {
    counts: &'a Counts<'a>,
    first: usize,
    sums: &'a mut [i32],
}

impl simd::Job for Job<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { counts, first, sums } = self;
        let mut gathered = Gathered::default();
        for (block, sums) in sums.chunks_mut(TALL * counts.lanes).enumerate() {
            gathered.take(counts, first + block * TALL, sums.len() / counts.lanes);
            let (mut panel, panels) = (0, counts.lanes.div_ceil(PANEL));
            while panel < panels {
                let some = panels_at_once::<S>(panels - panel);
                with_vectors!(S, V => with_panels!(some, P => {
                    let block = counts.block::<S, P, V>(simd, &gathered, panel);
                    put::<S, P, V>(&block, &gathered.totals, (1 << counts.sign_planes) - 1, sums, (counts.lanes, panel * PANEL));
                }));
                panel += some;
            }
            sums.chunks_mut(counts.lanes).for_each(|row| row[counts.filters..].fill(0));
        }
    }
}

/// Gathered operands of up to four rows, tap by tap.
#[derive(Default)]
struct Gathered {
    /// `[plane][step]`: one word per row.
    words: Vec<Vec<[u32; TALL]>>,
    /// `[step]`: index of the word of a filter that it is combined with.
    at: Vec<u32>,
    totals: [i32; TALL],
}

impl Gathered {
    #[inline(always)]
    fn take(&mut self, counts: &Counts<'_>, first: usize, rows: usize) {
        let Counts { taps, planes, totals, .. } = counts;
        let (plane_words, row_words) = (planes.plane_words, planes.factors.len() * planes.plane_words);
        self.words.resize(planes.factors.len(), Vec::new());
        self.words.iter_mut().for_each(Vec::clear);
        self.at.clear();
        self.totals = [0; TALL];
        let mut pixels = [None; TALL];
        for (row, place) in pixels[..rows].iter_mut().enumerate() {
            *place = Some(taps.place(first + row));
        }
        for tap in 0..taps.count {
            let mut sources = [None; TALL];
            for row in 0..TALL {
                sources[row] = pixels[row].and_then(|place| taps.source(place, tap));
                self.totals[row] += sources[row].map_or(0, |source| totals[source]);
            }
            if sources == [None; TALL] {
                continue;
            }
            self.at.extend((tap * plane_words) as u32..((tap + 1) * plane_words) as u32);
            for (plane, words) in self.words.iter_mut().enumerate() {
                for word in plane * plane_words..(plane + 1) * plane_words {
                    let mut step = [0; TALL];
                    for row in 0..TALL {
                        step[row] = sources[row].map_or(0, |source| planes.words[source * row_words + word]);
                    }
                    words.push(step);
                }
            }
        }
    }
}

impl Counts<'_> {
    /// `Σ_p factor_p Σ_j 2^j · popcount(w_j & a_p)` of four rows and P panels.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        gathered: &Gathered,
        panel: usize,
    ) -> [[[S::u32s; V]; P]; TALL] {
        let of_panel = self.signs.len() / self.lanes.div_ceil(PANEL);
        let mut signs: [&[[S::u32s; V]]; P] = [&[]; P];
        for p in 0..P {
            let panel = &self.signs[(panel + p) * of_panel..][..of_panel];
            signs[p] = S::as_simd_u32s(panel.as_flattened()).0.as_chunks().0;
        }
        let mut sums = [[[simd.splat_u32s(0); V]; P]; TALL];
        for (words, factor) in gathered.words.iter().zip(&self.planes.factors) {
            for plane in 0..self.sign_planes {
                let mut counts = [[[simd.splat_u32s(0); V]; P]; TALL];
                for (words, &at) in words.iter().zip(&gathered.at) {
                    let at = at as usize * self.sign_planes + plane;
                    for p in 0..P {
                        let signs = signs[p][at];
                        for m in 0..TALL {
                            let word = simd.splat_u32s(words[m]);
                            for v in 0..V {
                                let ones = simd::count_ones::<S>(simd.and_u32s(word, signs[v]));
                                counts[m][p][v] = simd.add_u32s(counts[m][p][v], ones);
                            }
                        }
                    }
                }
                let factor = simd.splat_u32s((factor << plane) as u32);
                for m in 0..TALL {
                    for p in 0..P {
                        for v in 0..V {
                            // Written out in two's complement: compilers turn a loop over lanes
                            // into stores of single lanes.
                            let (times, _) = simd.widening_mul_u32s(counts[m][p][v], factor);
                            sums[m][p][v] = simd.add_u32s(sums[m][p][v], times);
                        }
                    }
                }
            }
        }
        sums
    }
}

/// Writes sums with signs of ±1: twice the count at +1, less the total. Columns beyond the last are
/// omitted.
#[inline(always)]
fn put<S: Simd, const P: usize, const V: usize>(
    block: &[[[S::u32s; V]; P]; TALL],
    totals: &[i32; TALL],
    largest: i32,
    rows: &mut [i32],
    (lanes, column): (usize, usize),
) {
    for ((sums, total), row) in block.iter().zip(totals).zip(rows.chunks_mut(lanes)) {
        for (row, sum) in row[column..].iter_mut().zip(bytemuck::cast_slice::<_, i32>(sums.as_flattened())) {
            *row = 2 * sum - largest * total;
        }
    }
}
