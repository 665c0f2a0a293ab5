//! Matrix products for the reference implementations (`reference`) of convolutions, in register
//! blocks.
//!
//! **Invariant:** every element is the sum of a plain loop in a defined order, which blocking does
//! not change, bit for bit. A chunk is up to [`CHUNK`] channels of one tap ([`product`]) or up to
//! [`CHUNK`] rows ([`outer_product`]), added up from 0; chunks are added sequentially into parts,
//! and parts in pairs: see [`super::sum`].
//!
//! A block is several rows of up to four panels of 16 columns: as many rows as there are registers
//! for. Vectors are explicit (`pulp`), because compilers vectorise a loop over arrays in one
//! function and not the same loop in another.

mod counts;
mod outer;
mod panels;
mod product;
mod taps;
#[cfg(test)]
mod tests;

pub(super) use counts::{BAND, Counts, Planes};
pub(super) use outer::{Quads, outer_product};
pub(super) use panels::Panels;
pub(super) use product::product;
pub(super) use taps::Taps;

use super::sum::{self, CHUNK, Pairs};
use crate::simd::Simd;
use std::ops::Range;

/// Minimum number of rows of a block, and number of channels of a quad.
const TALL: usize = 4;
/// Columns of a panel: one vector of AVX-512, two of AVX2, four of NEON or WebAssembly.
const PANEL: usize = 16;
/// Maximum number of panels of a block: as many as AVX-512 has registers for.
const PANELS: usize = 4;

/// Number of the remaining panels that these vectors process at once.
#[inline(always)]
fn panels_at_once<S: Simd>(left: usize) -> usize {
    if S::F32_LANES == PANEL { left.min(PANELS) } else { 1 }
}

/// Runs `$body` with the constant `$vectors`: the number of vectors of `$simd` in a row of a panel.
macro_rules! with_vectors {
    ($simd:ty, $vectors:ident => $body:expr) => {
        match PANEL / <$simd>::F32_LANES {
            1 => {
                const $vectors: usize = 1;
                $body
            }
            2 => {
                const $vectors: usize = 2;
                $body
            }
            4 => {
                const $vectors: usize = 4;
                $body
            }
            _ => {
                const $vectors: usize = $crate::ops::gemm::PANEL;
                $body
            }
        }
    };
}

/// Runs `$body` with the constant `$panels`, equal to `$count`.
macro_rules! with_panels {
    ($count:expr, $panels:ident => $body:expr) => {
        match $count {
            1 => {
                const $panels: usize = 1;
                $body
            }
            2 => {
                const $panels: usize = 2;
                $body
            }
            3 => {
                const $panels: usize = 3;
                $body
            }
            _ => {
                const $panels: usize = $crate::ops::gemm::PANELS;
                $body
            }
        }
    };
}
use {with_panels, with_vectors};

/// A block of sums: rows, panels, the vectors of a panel.
type Block<S, const M: usize, const P: usize, const V: usize> = [[[<S as Simd>::f32s; V]; P]; M];

/// `Σ_i a(i)[row] · b(i, panel)`, added sequentially from 0; `of_row` extracts the value of a row
/// from `a(i)`.
#[inline(always)]
fn block<S: Simd, const M: usize, const P: usize, const V: usize, A>(
    simd: S,
    terms: usize,
    (a, of_row): (impl Fn(usize) -> A, impl Fn(&A, usize) -> f32),
    b: impl Fn(usize, usize) -> [S::f32s; V],
) -> Block<S, M, P, V> {
    let mut sums = [[[simd.splat_f32s(0.0); V]; P]; M];
    for i in 0..terms {
        let mut row = [[simd.splat_f32s(0.0); V]; P];
        for p in 0..P {
            row[p] = b(i, p);
        }
        let column = a(i);
        for m in 0..M {
            let a = simd.splat_f32s(of_row(&column, m));
            for p in 0..P {
                for v in 0..V {
                    sums[m][p][v] = simd.add_f32s(sums[m][p][v], simd.mul_f32s(a, row[p][v]));
                }
            }
        }
    }
    sums
}

/// Adds a block to another.
#[inline(always)]
fn add<S: Simd, const M: usize, const P: usize, const V: usize>(
    simd: S,
    sums: &mut Block<S, M, P, V>,
    block: &Block<S, M, P, V>,
) {
    for m in 0..M {
        for p in 0..P {
            for v in 0..V {
                sums[m][p][v] = simd.add_f32s(sums[m][p][v], block[m][p][v]);
            }
        }
    }
}

/// Adds a block to up to four rows of `lanes` columns, from `column` on, up to the last column.
#[inline(always)]
fn add_block<S: Simd, const M: usize, const P: usize, const V: usize>(
    simd: S,
    block: &Block<S, M, P, V>,
    rows: &mut [f32],
    lanes: usize,
    column: usize,
) {
    for (sums, row) in block.iter().zip(rows.chunks_mut(lanes)) {
        for (sums, row) in sums.iter().zip(row[column..].chunks_mut(PANEL)) {
            if row.len() == PANEL {
                for (sum, row) in sums.iter().zip(S::as_mut_simd_f32s(row).0) {
                    *row = simd.add_f32s(*row, *sum);
                }
            } else {
                let mut values = [0.0; PANEL];
                S::as_mut_simd_f32s(&mut values).0.copy_from_slice(sums);
                row.iter_mut().zip(values).for_each(|(row, sum)| *row += sum);
            }
        }
    }
}

/// The rows of a panel as vectors.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(panel: &[[f32; PANEL]]) -> &[[S::f32s; V]] {
    S::as_simd_f32s(panel.as_flattened()).0.as_chunks().0
}

/// Iterates over the parts of a sum of chunks. Each part is computed in the same memory, which
/// finally holds the total.
struct Parts {
    chunks: usize,
    of_part: usize,
    next: usize,
    done: Pairs<Vec<f32>>,
}

impl Parts {
    fn new(chunks: usize) -> Self {
        Self { chunks, of_part: sum::parts(chunks).1, next: 0, done: Pairs::new() }
    }

    /// Takes the finished part from `out`; returns the chunks of the next part, whose sum must then
    /// be written there.
    fn next(&mut self, out: &mut [f32]) -> Option<Range<usize>> {
        let last = self.next >= self.chunks;
        if self.next > 0 && self.chunks > self.of_part {
            self.done.push(out.to_vec(), sum::add_all);
        }
        if last {
            if let Some(sum) = std::mem::replace(&mut self.done, Pairs::new()).finish(sum::add_all) {
                out.copy_from_slice(&sum);
            }
            return None;
        }
        let part = self.next..(self.next + self.of_part).min(self.chunks);
        self.next = part.end;
        Some(part)
    }
}
