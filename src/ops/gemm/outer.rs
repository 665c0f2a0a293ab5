//! Products that sum over rows: the gradient of a convolution's weight.

use super::{CHUNK, PANEL, PANELS, Parts, TALL, Taps, add_block, block, panels::panel_row, panels_at_once, vectors};
use super::{with_panels, with_vectors};
use crate::simd::Simd;
use crate::{parallel, simd};
use std::borrow::Cow;
use std::ops::Range;

/// The gathered operand x by quads of channels, `[quad][row]`, or in its original rows.
pub(in super::super) enum Quads<'a> {
    /// Floats.
    Floats(Vec<[f32; TALL]>),
    /// Original rows, short enough that the rows of a tap share the L1 cache.
    Rows(&'a [f32]),
    /// Indices into a table of all possible quads.
    Codes(Vec<u8>, Box<[[f32; TALL]; 256]>),
}

/// Maximum number of channels of rows that are read in their original layout: longer rows map to
/// few sets of the L1 cache.
const SHORT: usize = 64;

impl<'a> Quads<'a> {
    /// Floats in rows of `channels` lanes.
    pub(in super::super) fn of_floats(x: Cow<'a, [f32]>, channels: usize) -> Self {
        let x = match x {
            Cow::Borrowed(x) if channels <= SHORT => return Self::Rows(x),
            x => x,
        };
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

/// `out[tap][c][k] = scale · Σ_row x[source(row, tap)][c] · dy[row][k]`; x has `channels` lanes, a
/// row of dy `lanes`.
pub(in super::super) fn outer_product(
    taps: &Taps,
    (x, channels): (&Quads<'_>, usize),
    (dy, lanes): (&[f32], usize),
    scale: f32,
    out: &mut [f32],
) {
    let (quads, panels) = (channels / TALL, lanes.div_ceil(PANEL));
    // A group of panels that fits the L1 cache, with all taps and quads of channels: its blocks,
    // each in separate memory.
    let groups = panels.div_ceil(PANELS);
    let of_group = panels.div_ceil(groups);
    let block_len = TALL * of_group * PANEL;
    let mut blocks = vec![0.0; groups * taps.count * quads * block_len];
    // Each task passes over all rows and packs dy itself, so there are no more tasks than keep the
    // cores busy.
    let band = (groups * taps.count * quads).div_ceil(parallel::threads()).max(1);
    parallel::bands(&mut blocks, block_len, band, |first, out| {
        let work = OuterProduct { taps, quads, dy, lanes, of_group, first };
        match x {
            Quads::Floats(values) => {
                let rows = values.len() / quads;
                simd::run(Sums { work, x: ByQuad { quad: |at: usize| &values[at], rows }, out });
            }
            Quads::Codes(codes, table) => {
                let (quad, rows) = (|at: usize| &table[usize::from(codes[at])], codes.len() / quads);
                simd::run(Sums { work, x: ByQuad { quad, rows }, out });
            }
            Quads::Rows(values) => simd::run(Sums { work, x: ByRow { values, channels }, out }),
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

/// Work of a task: a band of blocks.
struct OuterProduct<'a> {
    taps: &'a Taps,
    /// Number of quads of channels of x.
    quads: usize,
    dy: &'a [f32],
    lanes: usize,
    /// Number of panels of a group.
    of_group: usize,
    /// Index of the first block, counted over quads, taps and groups.
    first: usize,
}

/// Access to the rows of x.
trait Rows {
    /// Some channels of a row.
    type Channels;

    /// Returns M channels of a row, starting at a quad.
    fn channels<const M: usize>(&self, row: usize, quad: usize) -> Self::Channels;

    /// Returns the channel at index `m`.
    fn one<const M: usize>(channels: &Self::Channels, m: usize) -> f32;
}

/// Rows by quad: `quad(quad · rows + row)`.
struct ByQuad<Q> {
    quad: Q,
    rows: usize,
}

impl<'x, Q: Fn(usize) -> &'x [f32; TALL]> Rows for ByQuad<Q> {
    type Channels = [&'x [f32; TALL]; 4];

    #[inline(always)]
    fn channels<const M: usize>(&self, row: usize, quad: usize) -> Self::Channels {
        let mut quads = [&[0.0; TALL]; 4];
        for (i, to) in quads[..M / TALL].iter_mut().enumerate() {
            *to = (self.quad)((quad + i) * self.rows + row);
        }
        quads
    }

    #[inline(always)]
    fn one<const M: usize>(channels: &Self::Channels, m: usize) -> f32 {
        channels[m / TALL][m % TALL]
    }
}

/// Rows of `channels` channels in their original layout.
struct ByRow<'x> {
    values: &'x [f32],
    channels: usize,
}

impl<'x> Rows for ByRow<'x> {
    type Channels = &'x [f32];

    #[inline(always)]
    fn channels<const M: usize>(&self, row: usize, quad: usize) -> Self::Channels {
        &self.values[row * self.channels + quad * TALL..][..M]
    }

    #[inline(always)]
    fn one<const M: usize>(channels: &Self::Channels, m: usize) -> f32 {
        channels[..M][m]
    }
}

/// Computes the band.
struct Sums<'a, X> {
    work: OuterProduct<'a>,
    x: X,
    out: &'a mut [f32],
}

impl<X: Rows> simd::Job for Sums<'_, X> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { work, x, out } = self;
        let mut parts = Parts::new((work.dy.len() / work.lanes).div_ceil(CHUNK));
        let mut packed = Packed::default();
        while let Some(chunks) = parts.next(out) {
            out.fill(0.0);
            for chunk in chunks {
                with_vectors!(S, V => work.add::<S, V>(simd, chunk, &x, &mut packed, out));
            }
        }
    }
}

/// Packed operands of a chunk of rows.
#[derive(Default)]
struct Packed {
    /// dy of a group, `[panel][row]`.
    dy: Vec<[f32; PANEL]>,
    /// For each row that has a source at the tap: the source, and the index of the row in the
    /// chunk.
    pairs: Vec<(u32, u32)>,
}

impl OuterProduct<'_> {
    #[inline(always)]
    fn add<S: Simd, const V: usize>(&self, simd: S, chunk: usize, x: &impl Rows, packed: &mut Packed, out: &mut [f32]) {
        let Self { taps, quads, dy, lanes, of_group, first } = *self;
        let rows = chunk * CHUNK..((chunk + 1) * CHUNK).min(dy.len() / lanes);
        let width = of_group * PANEL;
        let (mut group_now, mut tap_now) = (None, None);
        let (mut at, block_len) = (0, TALL * width);
        while at * block_len < out.len() {
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
            // The quads of a tap are adjacent: take as many of them as there are registers for.
            let most = (quads - quad).min(out.len() / block_len - at);
            let some = match panels_at_once::<S>(of_group) {
                1 if V == 1 && most >= 4 => 4,
                1..=3 if V == 1 && most >= 2 => 2,
                _ => 1,
            };
            let sums = &mut out[at * block_len..][..some * block_len];
            match some {
                4 => add_quads::<S, _, 16, 1, V>(simd, (x, quad), (packed, rows.len(), 0), sums, width),
                2 => {
                    with_panels!(of_group, P => add_quads::<S, _, 8, P, V>(simd, (x, quad), (packed, rows.len(), 0), sums, width))
                }
                _ => {
                    let mut panel = 0;
                    while panel < of_group {
                        let some = panels_at_once::<S>(of_group - panel);
                        with_panels!(some, P => {
                            add_quads::<S, _, TALL, P, V>(simd, (x, quad), (packed, rows.len(), panel), sums, width);
                        });
                        panel += some;
                    }
                }
            }
            at += some;
        }
    }
}

/// Adds the products of a chunk of rows to M channels of P panels, starting at `panel`.
#[inline(always)]
fn add_quads<S: Simd, X: Rows, const M: usize, const P: usize, const V: usize>(
    simd: S,
    (x, quad): (&X, usize),
    (packed, rows, panel): (&Packed, usize, usize),
    sums: &mut [f32],
    width: usize,
) {
    let mut dy: [&[[S::f32s; V]]; P] = [&[]; P];
    for p in 0..P {
        dy[p] = vectors::<S, V>(&packed.dy[(panel + p) * rows..][..rows]);
    }
    let dy = |i: usize, p: usize| dy[p][packed.pairs[i].1 as usize];
    let x = |i: usize| x.channels::<M>(packed.pairs[i].0 as usize, quad);
    let block = block::<S, M, P, V, _>(simd, packed.pairs.len(), (x, X::one::<M>), dy);
    add_block::<S, M, P, V>(simd, &block, sums, width, panel * PANEL);
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
