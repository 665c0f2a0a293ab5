//! The matrix products of the twins of convolutions, in blocks that stay in registers.
//!
//! **Invariant:** every element is the sum of the plain loop, in its order: over taps, then over channels ([`product`]); over rows ([`outer_product`]). Blocks change nothing
//! in a result, to the bit.

use super::window::Window;
use crate::{parallel, simd};

/// Columns of a block: one vector of AVX-512, two of AVX2, four of SSE or NEON.
const WIDE: usize = 16;
/// Columns of a block at the end of a row; lanes come in fours.
const NARROW: usize = 4;
/// Rows of a block.
const TALL: usize = 4;
/// Rows of dy that are summed before the next block of sums is taken up: few enough to stay in the first cache.
const CHUNK: usize = 128;

/// Which row of the one side belongs to a row of the other under each tap; the same for each image.
pub(super) struct Taps {
    count: usize,
    /// `[row][tap]` within an image; `usize::MAX` in the border.
    sources: Vec<usize>,
    rows: usize,
    source_rows: usize,
}

impl Taps {
    /// Input rows under the outputs of a window.
    pub(super) fn inputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        Self::new(window, output, input, |at, tap| window.source(input, at, tap))
    }

    /// Output rows that see the inputs of a window.
    pub(super) fn outputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        Self::new(window, input, output, |at, tap| window.target(output, at, tap))
    }

    fn new(
        window: &Window,
        [h, w]: [usize; 2],
        [source_h, source_w]: [usize; 2],
        source: impl Fn([usize; 2], [usize; 2]) -> Option<[usize; 2]>,
    ) -> Self {
        let count = window.taps();
        let mut sources = Vec::with_capacity(h * w * count);
        for row in 0..h * w {
            for tap in 0..count {
                let tap = [tap / window.kernel[1], tap % window.kernel[1]];
                sources.push(source([row / w, row % w], tap).map_or(usize::MAX, |[y, x]| y * source_w + x));
            }
        }
        Self { count, sources, rows: h * w, source_rows: source_h * source_w }
    }

    /// Where a row stands, counted through all images.
    #[inline(always)]
    pub(super) fn place(&self, row: usize) -> Place {
        let (image, row) = (row / self.rows, row % self.rows);
        Place { sources_at: row * self.count, image_at: image * self.source_rows }
    }

    /// The row under a tap of the row that stands there, counted through all images; none in the border.
    #[inline(always)]
    pub(super) fn source(&self, place: Place, tap: usize) -> Option<usize> {
        let source = self.sources[place.sources_at + tap];
        (source != usize::MAX).then(|| place.image_at + source)
    }
}

/// Where the sources of a row are.
#[derive(Clone, Copy)]
pub(super) struct Place {
    sources_at: usize,
    image_at: usize,
}

/// The second factor of [`product`]: `[tap][inner][lane]`, in panels of as many columns as a block has.
pub(super) struct Panels {
    inner: usize,
    lanes: usize,
    values: Vec<f32>,
}

impl Panels {
    /// `fill(tap, block)` writes the matrix `[inner][lane]` of a tap.
    pub(super) fn new(taps: usize, inner: usize, lanes: usize, fill: impl Fn(usize, &mut [f32])) -> Self {
        let mut values = Vec::with_capacity(taps * inner * lanes);
        let mut block = vec![0.0; inner * lanes];
        for tap in 0..taps {
            fill(tap, &mut block);
            for (first, width) in columns(lanes) {
                for row in block.chunks_exact(lanes) {
                    values.extend_from_slice(&row[first..first + width]);
                }
            }
        }
        Self { inner, lanes, values }
    }
}

/// First column and width of each block.
#[inline(always)]
fn columns(lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    let wide = lanes / WIDE;
    let narrow = (wide * WIDE..lanes).step_by(NARROW);
    (0..wide).map(|block| (block * WIDE, WIDE)).chain(narrow.map(|first| (first, NARROW)))
}

/// `out[row][lane] = Σ_tap Σ_i from[source(row, tap)][i] · panels[tap][i][lane]`.
pub(super) fn product(taps: &Taps, from: &[f32], panels: &Panels, out: &mut [f32]) {
    let band = (4096 / panels.lanes).max(1).next_multiple_of(TALL);
    parallel::bands(out, panels.lanes, band, |first, out| {
        simd::run(Product { taps, from, panels, zeros: &vec![0.0; panels.inner], first, out });
    });
}

struct Product<'a> {
    taps: &'a Taps,
    from: &'a [f32],
    panels: &'a Panels,
    zeros: &'a [f32],
    first: usize,
    out: &'a mut [f32],
}

impl simd::Job for Product<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { taps, from, panels: &Panels { inner, lanes, ref values }, zeros, first, out } = self;
        out.fill(0.0);
        let places: Vec<_> = (first..).take(out.len() / lanes).map(|row| taps.place(row)).collect();
        for tap in 0..taps.count {
            let weights = &values[tap * inner * lanes..][..inner * lanes];
            for (places, rows) in places.chunks(TALL).zip(out.chunks_mut(TALL * lanes)) {
                let mut sources = [None; TALL];
                for (source, &place) in sources.iter_mut().zip(places) {
                    *source = taps.source(place, tap);
                }
                if sources == [None; TALL] {
                    continue;
                }
                // A sum that began at 0 is never −0: adding ±0, zeros times finite weights, leaves it as it is.
                let from = sources.map(|source| source.map_or(zeros, |row| &from[row * inner..][..inner]));
                for (column, width) in columns(lanes) {
                    let panel = &weights[column * inner..][..width * inner];
                    if width == WIDE {
                        add_rows::<WIDE>(from, panel, &mut rows[column..], lanes);
                    } else {
                        add_rows::<NARROW>(from, panel, &mut rows[column..], lanes);
                    }
                }
            }
        }
    }
}

/// Adds to up to four rows of a block what their sources make of a panel.
#[inline(always)]
fn add_rows<const N: usize>(from: [&[f32]; TALL], panel: &[f32], rows: &mut [f32], lanes: usize) {
    let panel = panel.as_chunks::<N>().0;
    let from = from.map(|row| &row[..panel.len()]);
    let mut sums = load::<N>(rows, lanes);
    for i in 0..panel.len() {
        for m in 0..TALL {
            for n in 0..N {
                sums[m][n] += from[m][i] * panel[i][n];
            }
        }
    }
    store(&sums, rows, lanes);
}

/// The block of sums at the beginning of up to four rows; 0 where there are fewer.
#[inline(always)]
fn load<const N: usize>(rows: &[f32], lanes: usize) -> [[f32; N]; TALL] {
    let mut sums = [[0.0; N]; TALL];
    for (sums, row) in sums.iter_mut().zip(rows.chunks(lanes)) {
        sums.copy_from_slice(&row[..N]);
    }
    sums
}

/// Puts it back.
#[inline(always)]
fn store<const N: usize>(sums: &[[f32; N]; TALL], rows: &mut [f32], lanes: usize) {
    for (sums, row) in sums.iter().zip(rows.chunks_mut(lanes)) {
        row[..N].copy_from_slice(sums);
    }
}

/// `out[tap][c][k] = Σ_row x[source(row, tap)][c] · dy[row][k]`; a row of x has `channels` lanes, one of dy `lanes`.
pub(super) fn outer_product(
    taps: &Taps,
    (x, channels): (&[f32], usize),
    (dy, lanes): (&[f32], usize),
    out: &mut [f32],
) {
    // Each task goes through all rows: as few tasks as keep the cores busy.
    let quads = taps.count * channels / TALL;
    let band = quads.div_ceil(2 * parallel::threads()).max(1);
    parallel::bands(out, TALL * lanes, band, |first, out| {
        simd::run(OuterProduct { taps, x, channels, dy, lanes, first, out });
    });
}

struct OuterProduct<'a> {
    taps: &'a Taps,
    x: &'a [f32],
    channels: usize,
    dy: &'a [f32],
    lanes: usize,
    /// The first quad of channels, counted through all taps.
    first: usize,
    out: &'a mut [f32],
}

impl simd::Job for OuterProduct<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { taps, x, channels, dy, lanes, first, out } = self;
        let quads = channels / TALL;
        out.fill(0.0);
        let (mut places, mut pairs) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        let rows = dy.len() / lanes;
        for chunk in (0..rows).step_by(CHUNK) {
            places.clear();
            places.extend((chunk..(chunk + CHUNK).min(rows)).map(|row| (row * lanes, taps.place(row))));
            let mut of_tap = None;
            for (quad, block) in out.chunks_exact_mut(TALL * lanes).enumerate() {
                let (tap, quad) = ((first + quad) / quads, (first + quad) % quads);
                if of_tap != Some(tap) {
                    of_tap = Some(tap);
                    pairs.clear();
                    let sources =
                        places.iter().filter_map(|&(dy, place)| Some((taps.source(place, tap)? * channels, dy)));
                    pairs.extend(sources);
                }
                for (column, width) in columns(lanes) {
                    if width == WIDE {
                        add_pairs::<WIDE>(&pairs, &x[quad * TALL..], &dy[column..], &mut block[column..], lanes);
                    } else {
                        add_pairs::<NARROW>(&pairs, &x[quad * TALL..], &dy[column..], &mut block[column..], lanes);
                    }
                }
            }
        }
    }
}

/// Adds to four rows of a block the outer products of pairs of rows, given by where they begin.
#[inline(always)]
fn add_pairs<const N: usize>(pairs: &[(usize, usize)], x: &[f32], dy: &[f32], rows: &mut [f32], lanes: usize) {
    let mut sums = load::<N>(rows, lanes);
    for &(x_at, dy_at) in pairs {
        let (x, dy) = (&x[x_at..][..TALL], &dy[dy_at..][..N]);
        for m in 0..TALL {
            for n in 0..N {
                sums[m][n] += x[m] * dy[n];
            }
        }
    }
    store(&sums, rows, lanes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{conv, sample::Noise};

    fn values(noise: &mut Noise, len: usize) -> Vec<f32> {
        // Signed zeros and values of very different size: another order, or a fused multiply-add, would show.
        let value = |(i, v): (usize, f32)| match i % 7 {
            0 => 0.0,
            1 => -0.0,
            2 => v * 1e6,
            _ => v,
        };
        noise.floats(&[len]).to_f32().into_iter().enumerate().map(value).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    /// All cases of a convolution, the lanes of both sides, and rows that fill no block.
    fn cases() -> impl Iterator<Item = (Window, [usize; 4], [usize; 2], usize)> {
        conv::cases().into_iter().map(|(window, [n, h, w, c], filters)| {
            let output = window.output([h, w]).unwrap();
            (window, [n, h, w, c.next_multiple_of(4)], output, filters.next_multiple_of(4))
        })
    }

    #[test]
    fn a_product_is_the_plain_loop_to_the_bit() {
        let mut noise = Noise::new(90);
        for (window, [n, h, w, c], [oh, ow], k) in cases() {
            let (x, weights) = (values(&mut noise, n * h * w * c), values(&mut noise, window.taps() * c * k));
            let panels = Panels::new(window.taps(), c, k, |tap, block| {
                block.copy_from_slice(&weights[tap * c * k..][..c * k]);
            });
            let mut out = vec![f32::NAN; n * oh * ow * k];
            product(&Taps::inputs(&window, [h, w], [oh, ow]), &x, &panels, &mut out);
            let mut plain = vec![0.0; out.len()];
            for (row, sums) in plain.chunks_exact_mut(k).enumerate() {
                for tap in 0..window.taps() {
                    let (at, rs) = ([row / ow % oh, row % ow], [tap / window.kernel[1], tap % window.kernel[1]]);
                    let Some([y, x_at]) = window.source([h, w], at, rs) else { continue };
                    for i in 0..c {
                        for (lane, sum) in sums.iter_mut().enumerate() {
                            *sum +=
                                x[((row / (oh * ow) * h + y) * w + x_at) * c + i] * weights[(tap * c + i) * k + lane];
                        }
                    }
                }
            }
            assert_eq!(bits(&out), bits(&plain), "{window}, {n}×{h}×{w}×{c} to {k}");
        }
    }

    #[test]
    fn an_outer_product_is_the_plain_loop_to_the_bit() {
        let mut noise = Noise::new(91);
        for (window, [n, h, w, c], [oh, ow], k) in cases() {
            let (x, dy) = (values(&mut noise, n * h * w * c), values(&mut noise, n * oh * ow * k));
            let mut out = vec![f32::NAN; window.taps() * c * k];
            outer_product(&Taps::inputs(&window, [h, w], [oh, ow]), (&x, c), (&dy, k), &mut out);
            let mut plain = vec![0.0; out.len()];
            for (row, sums) in plain.chunks_exact_mut(k).enumerate() {
                let (tap, i) = (row / c, row % c);
                for at in 0..n * oh * ow {
                    let (place, rs) = ([at / ow % oh, at % ow], [tap / window.kernel[1], tap % window.kernel[1]]);
                    let Some([y, x_at]) = window.source([h, w], place, rs) else { continue };
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        *sum += x[((at / (oh * ow) * h + y) * w + x_at) * c + i] * dy[at * k + lane];
                    }
                }
            }
            assert_eq!(bits(&out), bits(&plain), "{window}, {n}×{h}×{w}×{c} to {k}");
        }
    }

    #[test]
    fn outputs_are_seen_from_inputs() {
        for (window, [_, h, w, _], [oh, ow], _) in cases() {
            let (inputs, outputs) = (Taps::inputs(&window, [h, w], [oh, ow]), Taps::outputs(&window, [h, w], [oh, ow]));
            // Rows of the third image.
            for y in 2 * oh * ow..3 * oh * ow {
                for tap in 0..window.taps() {
                    let Some(x) = inputs.source(inputs.place(y), tap) else { continue };
                    assert!((2 * h * w..3 * h * w).contains(&x), "{window}");
                    assert_eq!(outputs.source(outputs.place(x), tap), Some(y), "{window}");
                }
            }
        }
    }
}
