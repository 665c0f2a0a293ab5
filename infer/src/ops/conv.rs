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
/// Pixels that are computed together.
const PIXELS: usize = 4;

type Block = [[f32; PANEL]; PIXELS];

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
        let mut out = vec![0.0; self.output.len()];
        simd::run(Job { conv: self, x, out: &mut out });
        out
    }
}

struct Job<'a> {
    conv: &'a Conv,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl simd::Job for Job<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { conv: Conv { window, input, output, panels }, x, out } = self;
        let ([h, w, c], [_, ow, filters]) = (input.shape, output.shape);
        let (taps, of_tap) = (window.taps(), c.div_ceil(CHUNK));
        let (parts, per_part) = sum::parts(taps * of_tap);
        // Where the sources of the pixels begin; a source outside the image is a row of zeros.
        let zeros = vec![0.0; c];
        let mut sources = vec![[&zeros[..]; PIXELS]; taps];
        for first in (0..output.pixels()).step_by(PIXELS) {
            let mut inside = vec![false; taps];
            for (tap, source) in sources.iter_mut().enumerate() {
                for (i, source) in source.iter_mut().enumerate() {
                    let pixel = (first + i).min(output.pixels() - 1);
                    let [r, s] = [tap / window.kernel[1], tap % window.kernel[1]];
                    let from = window.source([h, w], [pixel / ow, pixel % ow], [r, s]);
                    inside[tap] |= from.is_some();
                    *source = from.map_or(&zeros[..], |[y, at]| &x[(y * w + at) * c..][..c]);
                }
            }
            for (panel, weights) in panels.chunks_exact(taps * c).enumerate() {
                let mut pairs = Pairs::new();
                let mut total = [[0.0; PANEL]; PIXELS];
                for part in 0..parts {
                    let mut sum = [[0.0; PANEL]; PIXELS];
                    for chunk in part * per_part..((part + 1) * per_part).min(taps * of_tap) {
                        let (tap, from) = (chunk / of_tap, chunk % of_tap * CHUNK);
                        if inside[tap] {
                            let len = (c - from).min(CHUNK);
                            let rows = sources[tap].map(|source| &source[from..][..len]);
                            sum = add(sum, product(rows, &weights[tap * c + from..][..len]));
                        }
                    }
                    match parts {
                        1 => total = sum,
                        _ => pairs.push(sum, add),
                    }
                }
                total = pairs.finish(add).unwrap_or(total);
                for (i, sums) in total.iter().enumerate().take(output.pixels() - first) {
                    let row = &mut out[(first + i) * filters..][..filters][panel * PANEL..];
                    row.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum);
                }
            }
        }
    }
}

#[inline(always)]
fn add(mut a: Block, b: Block) -> Block {
    for (a, b) in a.iter_mut().zip(b) {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    }
    a
}

/// `Σ_i rows[pixel][i]·weights[i][lane]`, added sequentially from 0.
#[inline(always)]
fn product(rows: [&[f32]; PIXELS], weights: &[[f32; PANEL]]) -> Block {
    let mut sums = [[0.0; PANEL]; PIXELS];
    let [a, b, c, d] = rows;
    for ((((weights, a), b), c), d) in weights.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, x) in sums.iter_mut().zip([a, b, c, d]) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += x * weight;
            }
        }
    }
    sums
}
