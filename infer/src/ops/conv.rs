//! Convolution of floats, with the bits of halfwave's CPU backend.
//!
//! A chunk is up to 128 channels of one tap, added sequentially; chunks are added sequentially into
//! parts, and parts in pairs ([`crate::sum`]).

use crate::network::Type;
use crate::simd::{self, Simd};
use crate::sum::{self, CHUNK, Pairs};
use crate::window::Window;
use alloc::vec;
use alloc::vec::Vec;

/// Filters of a panel.
const PANEL: usize = 16;
/// Weights as panels `[⌈k/16⌉, tap, c, 16]`.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    window: Window,
    input: Type,
    output: Type,
    panels: Vec<[f32; PANEL]>,
}

pub(super) fn bytes(window: &Window, input: &Type, output: &Type) -> u64 {
    (output.channels().div_ceil(PANEL) * PANEL * 4) as u64 * window.taps() as u64 * input.channels() as u64
}

impl Conv {
    pub(super) fn new(window: &Window, weight: &[f32], input: &Type, output: &Type) -> Self {
        let (filters, rows) = (output.channels(), window.taps() * input.channels());
        let panel = |panel: usize, row: usize| {
            let weights = &weight[row * filters..][..filters][panel * PANEL..];
            core::array::from_fn(|lane| weights.get(lane).copied().unwrap_or(0.0))
        };
        let panels = (0..filters.div_ceil(PANEL)).flat_map(|p| (0..rows).map(move |row| panel(p, row)));
        Self { window: *window, input: *input, output: *output, panels: panels.collect() }
    }

    pub(super) fn run(&self, x: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.output.len());
        simd::run(Job { conv: self, x, out: &mut out });
        out
    }
}

struct Job<'a> {
    conv: &'a Conv,
    x: &'a [f32],
    /// Without elements at first.
    out: &'a mut Vec<f32>,
}

impl simd::Job for Job<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // As many pixels as sums fit the registers; the vectors of a panel.
        match (S::F32_LANES, self.conv.output.pixels()) {
            (16, 1) => self.blocks::<S, 1, 1>(simd),
            (16, _) => self.blocks::<S, 8, 1>(simd),
            (8, _) => self.blocks::<S, 4, 2>(simd),
            (4, _) => self.blocks::<S, 4, 4>(simd),
            _ => self.blocks::<S, 4, PANEL>(simd),
        }
    }
}

impl Job<'_> {
    /// Computes P pixels at a time with panels of V vectors.
    #[inline(always)]
    fn blocks<S: Simd, const P: usize, const V: usize>(self, simd: S) {
        let Self { conv: Conv { window, input, output, panels }, x, out } = self;
        let ([h, w, c], [_, ow, filters], pixels) = (input.shape, output.shape, output.pixels());
        let (taps, of_tap) = (window.taps(), c.div_ceil(CHUNK));
        let (parts, per_part) = sum::parts(taps * of_tap);
        // What each pixel's window reads; zeros outside of the image add nothing.
        let (mut read, mut rows) = (vec![0.0; P * taps * c], vec![0.0; P * filters]);
        for first in (0..pixels).step_by(P) {
            for (i, read) in read.chunks_exact_mut(taps * c).enumerate() {
                let pixel = (first + i).min(pixels - 1);
                window.gather(x, [h, w, c], [pixel / ow, pixel % ow], 0.0, read);
            }
            let read: [&[f32]; P] = core::array::from_fn(|i| &read[i * taps * c..][..taps * c]);
            for (panel, weights) in panels.chunks_exact(taps * c).enumerate() {
                let mut pairs = Pairs::new();
                let mut total = [[simd.splat_f32s(0.0); V]; P];
                let (mut from, mut next) = (0, c);
                for part in 0..parts {
                    let mut sum = [[simd.splat_f32s(0.0); V]; P];
                    for _ in part * per_part..((part + 1) * per_part).min(taps * of_tap) {
                        let end = (from + CHUNK).min(next);
                        let x = read.map(|read| &read[from..end]);
                        sum = add::<S, P, V>(simd, sum, product::<S, P, V>(simd, x, &weights[from..end]));
                        from = end;
                        next += if from == next { c } else { 0 };
                    }
                    match parts {
                        1 => total = sum,
                        _ => pairs.push(sum, |a, b| add::<S, P, V>(simd, a, b)),
                    }
                }
                if parts > 1 {
                    total = pairs.finish(|a, b| add::<S, P, V>(simd, a, b)).unwrap_or(total);
                }
                for (sums, row) in total.iter().zip(rows.chunks_exact_mut(filters)) {
                    let row = &mut row[panel * PANEL..];
                    match row.first_chunk_mut::<PANEL>() {
                        Some(row) => S::as_mut_simd_f32s(row).0.copy_from_slice(sums),
                        None => row.iter_mut().zip(bytemuck::cast_slice(sums)).for_each(|(out, sum)| *out = *sum),
                    }
                }
            }
            out.extend_from_slice(&rows[..P.min(pixels - first) * filters]);
        }
    }
}

#[inline(always)]
fn add<S: Simd, const P: usize, const V: usize>(
    simd: S,
    mut sums: [[S::f32s; V]; P],
    more: [[S::f32s; V]; P],
) -> [[S::f32s; V]; P] {
    for (sums, more) in sums.iter_mut().zip(more) {
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = simd.add_f32s(*sum, more));
    }
    sums
}

/// `Σ_i x[pixel][i]·weights[i][lane]`, added sequentially from 0.
#[inline(always)]
fn product<S: Simd, const P: usize, const V: usize>(
    simd: S,
    x: [&[f32]; P],
    weights: &[[f32; PANEL]],
) -> [[S::f32s; V]; P] {
    let mut sums = [[simd.splat_f32s(0.0); V]; P];
    let x = x.map(|x| &x[..weights.len()]);
    for (i, weights) in weights.iter().enumerate() {
        let weights = S::as_simd_f32s(weights).0;
        for (sums, x) in sums.iter_mut().zip(x) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.add_f32s(*sum, simd.mul_f32s(simd.splat_f32s(x[i]), *weight));
            }
        }
    }
    sums
}
