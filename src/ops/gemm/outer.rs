//! Products that add up over rows: the gradient of a convolution's weight.

use super::{CHUNK, PANEL, PANELS, Parts, TALL, Taps, add_block, block, panels::panel_row, panels_at_once, vectors};
use super::{with_panels, with_vectors};
use crate::simd::Simd;
use crate::{parallel, simd};
use std::ops::Range;

/// The rows that the gradient is gathered from, by quads of channels: `[quad][row]`.
pub(in super::super) enum Quads {
    /// Numbers.
    Floats(Vec<[f32; TALL]>),
    /// Places in a table of all quads that there can be.
    Codes(Vec<u8>, Box<[[f32; TALL]; 256]>),
}

impl Quads {
    /// Of floats in rows of `channels` lanes.
    pub(in super::super) fn of_floats(x: &[f32], channels: usize) -> Self {
        let rows = x.len() / channels;
        let mut quads = vec![[0.0; TALL]; x.len() / TALL];
        parallel::bands(&mut quads, 1, rows.max(1), |first, quads| {
            let first = first / rows * TALL;
            for (quad, row) in quads.iter_mut().zip(x.chunks_exact(channels)) {
                quad.copy_from_slice(&row[first..][..TALL]);
            }
        });
        Self::Floats(quads)
    }
}

/// `out[tap][c][k] = scale · Σ_row x[source(row, tap)][c] · dy[row][k]`; x has `channels` lanes, a row of dy `lanes`.
pub(in super::super) fn outer_product(
    taps: &Taps,
    (x, channels): (&Quads, usize),
    (dy, lanes): (&[f32], usize),
    scale: f32,
    out: &mut [f32],
) {
    let (quads, panels) = (channels / TALL, lanes.div_ceil(PANEL));
    // A group of panels that stay in the first cache, with all taps and quads of channels: its blocks, each in memory of its own.
    let groups = panels.div_ceil(PANELS);
    let of_group = panels.div_ceil(groups);
    let block_len = TALL * of_group * PANEL;
    let mut blocks = vec![0.0; groups * taps.count * quads * block_len];
    // Each task goes through all rows and packs dy for itself: as few tasks as keep the cores busy.
    let band = (groups * taps.count * quads).div_ceil(parallel::threads()).max(1);
    parallel::bands(&mut blocks, block_len, band, |first, out| {
        let work = OuterProduct { taps, quads, dy, lanes, of_group, first };
        match x {
            Quads::Floats(values) => simd::run(Sums { work, x: |at: usize| &values[at], x_len: values.len(), out }),
            Quads::Codes(codes, table) => {
                let x = |at: usize| &table[usize::from(codes[at])];
                simd::run(Sums { work, x, x_len: codes.len(), out });
            }
        }
    });
    parallel::rows(out, lanes, |row, out| {
        let (of_quad, m) = (row / TALL, row % TALL);
        for (group, out) in out.chunks_mut(of_group * PANEL).enumerate() {
            let sums = &blocks[(group * taps.count * quads + of_quad) * block_len + m * of_group * PANEL..];
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = scale * sum);
        }
    });
}

/// What a band of blocks is made of.
struct OuterProduct<'a> {
    taps: &'a Taps,
    /// Quads of channels of x.
    quads: usize,
    dy: &'a [f32],
    lanes: usize,
    /// Panels of a group.
    of_group: usize,
    /// The first block, counted through quads, taps and groups.
    first: usize,
}

/// That band, with `x(quad · rows + row)`.
struct Sums<'a, X> {
    work: OuterProduct<'a>,
    x: X,
    x_len: usize,
    out: &'a mut [f32],
}

impl<'x, X: Fn(usize) -> &'x [f32; TALL]> simd::Job for Sums<'_, X> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { work, x, x_len, out } = self;
        let mut parts = Parts::new((work.dy.len() / work.lanes).div_ceil(CHUNK));
        let mut packed = Packed::default();
        while let Some(chunks) = parts.next(out) {
            for chunk in chunks {
                with_vectors!(S, V => work.add::<S, V>(simd, chunk, (&x, x_len), &mut packed, out));
            }
        }
    }
}

/// What blocks read of a chunk of rows.
#[derive(Default)]
struct Packed {
    /// dy of a group, `[panel][row]`.
    dy: Vec<[f32; PANEL]>,
    /// For each row that has a source under the tap: the source, and which of the chunk it is.
    pairs: Vec<(u32, u32)>,
}

impl OuterProduct<'_> {
    #[inline(always)]
    fn add<'x, S: Simd, const V: usize>(
        &self,
        simd: S,
        chunk: usize,
        (x, x_len): (&impl Fn(usize) -> &'x [f32; TALL], usize),
        packed: &mut Packed,
        out: &mut [f32],
    ) {
        let Self { taps, quads, dy, lanes, of_group, first } = *self;
        let rows = chunk * CHUNK..((chunk + 1) * CHUNK).min(dy.len() / lanes);
        let (width, x_rows) = (of_group * PANEL, x_len / quads);
        let (mut group_now, mut tap_now) = (None, None);
        for (at, sums) in out.chunks_exact_mut(TALL * width).enumerate() {
            let (of_tap, quad) = ((first + at) / quads, (first + at) % quads);
            let (group, tap) = (of_tap / taps.count, of_tap % taps.count);
            if group_now.replace(group) != Some(group) {
                let panels = group * of_group..(group + 1) * of_group;
                packed.take_dy(&dy[rows.start * lanes..rows.end * lanes], lanes, panels);
            }
            if tap_now.replace(of_tap) != Some(of_tap) {
                packed.pairs.clear();
                taps.pairs(rows.clone(), tap, &mut packed.pairs);
            }
            let x = |i: usize, m: usize| x(quad * x_rows + packed.pairs[i].0 as usize)[m];
            let mut panel = 0;
            while panel < of_group {
                let some = panels_at_once::<S>(of_group - panel);
                with_panels!(some, P => {
                    let mut dy: [&[[S::f32s; V]]; P] = [&[]; P];
                    for p in 0..P {
                        dy[p] = vectors::<S, V>(&packed.dy[(panel + p) * rows.len()..][..rows.len()]);
                    }
                    let dy = |i: usize, p: usize| dy[p][packed.pairs[i].1 as usize];
                    let block = block::<S, P, V>(simd, packed.pairs.len(), x, dy);
                    add_block::<S, P, V>(simd, &block, sums, width, panel * PANEL);
                });
                panel += some;
            }
        }
    }
}

impl Packed {
    #[inline(always)]
    fn take_dy(&mut self, dy: &[f32], lanes: usize, panels: Range<usize>) {
        self.dy.clear();
        for panel in panels {
            self.dy.extend(dy.chunks_exact(lanes).map(|row| panel_row(row.get(panel * PANEL..).unwrap_or_default())));
        }
    }
}
