//! Products whose rows are gathered: a convolution, or its transpose.

use super::{CHUNK, PANEL, Panels, Parts, TALL, Taps, add_block, block, panels_at_once, taps::Place, vectors};
use super::{with_panels, with_vectors};
use crate::simd::Simd;
use crate::{parallel, simd};
use std::ops::Range;

/// `out[row][lane] = Σ_tap Σ_i from[source(row, tap)][i] · panels[tap][i][lane]`.
pub(in super::super) fn product(taps: &Taps, from: &[f32], panels: &Panels, out: &mut [f32]) {
    // Tall enough that the panels, which each band goes through, are read from memory seldom.
    let band = (4096 / panels.lanes).max(64).next_multiple_of(TALL);
    parallel::bands(out, panels.lanes, band, |first, out| {
        let places: Vec<_> = (first..).take(out.len() / panels.lanes).map(|row| taps.place(row)).collect();
        simd::run(Product { taps, from, panels, zeros: &vec![0.0; panels.inner], places: &places, out });
    });
}

/// A product, for a band of rows that stand at `places`.
struct Product<'a> {
    taps: &'a Taps,
    from: &'a [f32],
    panels: &'a Panels,
    zeros: &'a [f32],
    places: &'a [Place],
    out: &'a mut [f32],
}

impl simd::Job for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let mut parts = Parts::new(self.taps.count * self.panels.inner.div_ceil(CHUNK));
        while let Some(chunks) = parts.next(self.out) {
            with_vectors!(S, V => self.add::<S, V>(simd, chunks));
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn add<S: Simd, const V: usize>(&mut self, simd: S, chunks: Range<usize>) {
        let Self { taps, from, panels, zeros, places, ref mut out } = *self;
        let (inner, lanes) = (panels.inner, panels.lanes);
        let of_tap = inner.div_ceil(CHUNK);
        for chunk in chunks {
            let (tap, channel) = (chunk / of_tap, chunk % of_tap * CHUNK);
            let channels = channel..(channel + CHUNK).min(inner);
            for (places, rows) in places.chunks(TALL).zip(out.chunks_mut(TALL * lanes)) {
                // A sum that began at 0 is never −0: adding ±0, zeros times finite weights, leaves it as it is.
                let mut sources = [&zeros[channels.clone()]; TALL];
                let mut seen = false;
                for (source, &place) in sources.iter_mut().zip(places) {
                    if let Some(row) = taps.source(place, tap) {
                        *source = &from[row * inner..][channels.clone()];
                        seen = true;
                    }
                }
                if !seen {
                    continue;
                }
                let (mut panel, count) = (0, lanes.div_ceil(PANEL));
                while panel < count {
                    let some = panels_at_once::<S>(count - panel);
                    with_panels!(some, P => {
                        let mut columns: [&[[S::f32s; V]]; P] = [&[]; P];
                        for p in 0..P {
                            columns[p] = vectors::<S, V>(panels.rows(tap, panel + p, channels.clone()));
                        }
                        add_rows::<S, P, V>(simd, &sources, &columns, rows, (lanes, panel * PANEL));
                    });
                    panel += some;
                }
            }
        }
    }
}

/// Adds to up to four rows, from `column` on, what their sources make of a chunk of panels.
#[inline(always)]
fn add_rows<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sources: &[&[f32]; TALL],
    panels: &[&[[S::f32s; V]]; P],
    rows: &mut [f32],
    (lanes, column): (usize, usize),
) {
    let terms = panels[0].len();
    let (mut a, mut b) = (*sources, *panels);
    a.iter_mut().for_each(|row| *row = &row[..terms]);
    b.iter_mut().for_each(|panel| *panel = &panel[..terms]);
    let sums = block::<S, P, V>(simd, terms, |i, row| a[row][i], |i, panel| b[panel][i]);
    add_block::<S, P, V>(simd, &sums, rows, lanes, column);
}
