//! Products with gathered rows: a convolution, or its transpose.

use super::{CHUNK, PANEL, Panels, Parts, TALL, Taps, add, block, panels_at_once, vectors, with_vectors};
use crate::simd::Simd;
use crate::{parallel, simd};
use std::ops::Range;

/// Number of floats of the panels that fit the L1 cache together with the rows multiplied by them.
const CACHED: usize = 6144;

/// `out[row][lane] = Σ_tap Σ_i from[source(row, tap)][i] · panels[tap][i][lane]`.
pub(in super::super) fn product(taps: &Taps, from: &[f32], panels: &Panels, out: &mut [f32]) {
    // Bands are tall because each one passes over all panels, which are read from memory.
    let band = (4096 / panels.lanes).max(64).next_multiple_of(8);
    parallel::bands(out, panels.lanes, band, |first, out| simd::run(Product { taps, from, panels, first, out }));
}

/// A product over a band of rows.
struct Product<'a> {
    taps: &'a Taps,
    from: &'a [f32],
    panels: &'a Panels,
    /// Index of the first row.
    first: usize,
    out: &'a mut [f32],
}

/// Locations of the terms of a band of rows.
struct Sources {
    zeros: Vec<f32>,
    /// `[tap][row]`, rows in the order of [`Taps::row`]: start of the source of a row in `from`;
    /// beyond its end in the border.
    offsets: Vec<usize>,
    /// Distance between the sources of consecutive rows in that order, if no border or end of a
    /// line is between them.
    step: usize,
}

impl simd::Job for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let inner = self.panels.inner;
        let rows = self.first..self.first + self.out.len() / self.panels.lanes;
        let (offsets, step) = (self.taps.offsets(rows, inner), self.taps.step() * inner);
        let sources = Sources { zeros: vec![0.0; inner], offsets, step };
        let mut parts = Parts::new(self.taps.count * inner.div_ceil(CHUNK));
        while let Some(part) = parts.next(self.out) {
            with_vectors!(S, V => self.sum::<S, V>(simd, &sources, part));
        }
    }
}

impl Product<'_> {
    /// Sums the chunks of a part.
    #[inline(always)]
    fn sum<S: Simd, const V: usize>(&mut self, simd: S, sources: &Sources, part: Range<usize>) {
        let (mut panel, count) = (0, self.panels.lanes.div_ceil(PANEL));
        while panel < count {
            let some = panels_at_once::<S>(count - panel);
            let cached = CACHED / (some * PANEL * self.panels.inner.min(CHUNK));
            let groups = part.len().div_ceil(cached.max(1));
            let of_group = part.len().div_ceil(groups);
            for first in part.clone().step_by(of_group) {
                let work = (first..(first + of_group).min(part.end), first == part.start, panel);
                let terms = if sources.step == self.panels.inner { sources.step } else { 1 };
                // As many rows as there are registers for; a small number of terms is passed as a
                // constant.
                match (some, terms) {
                    (1, 16) if V == 1 => self.add_panels::<S, 8, 1, V, 16>(simd, sources, work),
                    (1, 32) if V == 1 => self.add_panels::<S, 8, 1, V, 32>(simd, sources, work),
                    (1, _) if V == 1 => self.add_panels::<S, 8, 1, V, 1>(simd, sources, work),
                    (1, _) => self.add_panels::<S, TALL, 1, V, 1>(simd, sources, work),
                    (2, 16) => self.add_panels::<S, 8, 2, V, 16>(simd, sources, work),
                    (2, 32) => self.add_panels::<S, 8, 2, V, 32>(simd, sources, work),
                    (2, _) => self.add_panels::<S, 8, 2, V, 1>(simd, sources, work),
                    (3, _) => self.add_panels::<S, 8, 3, V, 1>(simd, sources, work),
                    _ => self.add_panels::<S, TALL, 4, V, 1>(simd, sources, work),
                }
            }
            panel += some;
        }
    }

    /// Adds chunks to P panels of all rows, M rows at a time; the first chunks of a part are added
    /// to zeros. I is the number of terms of a source, or 1 if it is not a constant.
    #[inline(always)]
    fn add_panels<S: Simd, const M: usize, const P: usize, const V: usize, const I: usize>(
        &mut self,
        simd: S,
        Sources { zeros, offsets, step }: &Sources,
        (chunks, first, panel): (Range<usize>, bool, usize),
    ) {
        let Self { taps, from, panels, ref mut out, .. } = *self;
        let (inner, lanes) = (panels.inner, panels.lanes);
        let (of_tap, rows) = (inner.div_ceil(CHUNK), out.len() / lanes);
        for at in (0..rows).step_by(M) {
            let mut sums = [[[simd.splat_f32s(0.0); V]; P]; M];
            let offset_of = |m: usize| taps.row(at + m, rows) * lanes;
            let count = M.min(rows - at);
            if !first {
                for (m, sums) in sums[..count].iter_mut().enumerate() {
                    load::<S, P, V>(sums, &out[offset_of(m)..][..lanes][panel * PANEL..]);
                }
            }
            for chunk in chunks.clone() {
                let (tap, channel) = (chunk / of_tap, chunk % of_tap * CHUNK);
                let channels = channel..(channel + CHUNK).min(inner);
                let zeros = &zeros[channels.clone()];
                let offsets = &offsets[tap * rows..][..rows][at..][..count];
                let mut columns: [&[[S::f32s; V]]; P] = [&[]; P];
                for p in 0..P {
                    columns[p] = &vectors::<S, V>(panels.rows(tap, panel + p, channels.clone()))[..zeros.len()];
                }
                let beside = neighbours::<M>(offsets, *step);
                if let Some(first) = beside.filter(|_| I > 1)
                    && let Some(rows) = from[first..].as_chunks::<I>().0.first_chunk::<M>()
                {
                    columns.iter_mut().for_each(|column| *column = &column[..I]);
                    let a = (|i| i, |&i: &usize, row: usize| rows[row][i]);
                    add(simd, &mut sums, &block::<S, M, P, V, _>(simd, I, a, |i, panel| columns[panel][i]));
                    continue;
                }
                // A sum that began at 0 is never −0: adding ±0, a product of zeros and finite
                // weights, leaves it unchanged.
                let mut sources = [zeros; M];
                if let Some(first) = beside {
                    // All M rows are located with one lookup.
                    let block = &from[first + channel..];
                    for (m, source) in sources.iter_mut().enumerate() {
                        *source = &block[m * step..][..zeros.len()];
                    }
                } else {
                    let mut seen = false;
                    for (source, &offset) in sources.iter_mut().zip(offsets) {
                        if let Some(row) = from.get(offset..).and_then(|row| row.get(channels.clone())) {
                            *source = row;
                            seen = true;
                        }
                    }
                    if !seen {
                        continue;
                    }
                }
                sources.iter_mut().for_each(|source| *source = &source[..zeros.len()]);
                let a = (|i| i, |&i: &usize, row: usize| sources[row][i]);
                let chunk = block::<S, M, P, V, _>(simd, zeros.len(), a, |i, panel| columns[panel][i]);
                add(simd, &mut sums, &chunk);
            }
            for (m, sums) in sums[..count].iter().enumerate() {
                store::<S, P, V>(sums, &mut out[offset_of(m)..][..lanes][panel * PANEL..]);
            }
        }
    }
}

/// Start of the first of M sources that are this far apart, or `None` if they are not.
#[inline(always)]
fn neighbours<const M: usize>(offsets: &[usize], step: usize) -> Option<usize> {
    let offsets: &[usize; M] = offsets.first_chunk()?;
    let first = offsets[0];
    let mut differ = 0;
    for (m, &offset) in offsets.iter().enumerate() {
        differ |= offset ^ first.wrapping_add(m * step);
    }
    (differ == 0 && M > 1).then_some(first)
}

/// Loads a row of a block, starting at the first of these columns; the block keeps zeros where
/// there are none.
#[inline(always)]
fn load<S: Simd, const P: usize, const V: usize>(block: &mut [[S::f32s; V]; P], columns: &[f32]) {
    for (block, columns) in block.iter_mut().zip(columns.chunks(PANEL)) {
        let row = super::panels::panel_row(columns);
        for (block, vector) in block.iter_mut().zip(S::as_simd_f32s(&row).0) {
            *block = *vector;
        }
    }
}

/// Stores a row of a block, up to the number of columns.
#[inline(always)]
fn store<S: Simd, const P: usize, const V: usize>(block: &[[S::f32s; V]; P], columns: &mut [f32]) {
    for (block, columns) in block.iter().zip(columns.chunks_mut(PANEL)) {
        if columns.len() == PANEL {
            for (column, block) in S::as_mut_simd_f32s(columns).0.iter_mut().zip(block) {
                *column = *block;
            }
        } else {
            let mut values = [0.0; PANEL];
            for (column, block) in S::as_mut_simd_f32s(&mut values).0.iter_mut().zip(block) {
                *column = *block;
            }
            columns.copy_from_slice(&values[..columns.len()]);
        }
    }
}
