//! The matrix products of the twins of convolutions, in blocks that stay in registers.
//!
//! **Invariant:** every element is the sum of a plain loop in a stated order, which blocks do not change, to the bit. A chunk is up to [`CHUNK`] channels of one tap ([`product`]), or up to
//! [`CHUNK`] rows ([`outer_product`]), added up from 0; chunks are added one after the other into parts, and parts in pairs: see [`super::sum`].

use super::sum::{self, CHUNK, Pairs};
use super::window::Window;
use crate::{parallel, simd};
use std::ops::Range;

/// Columns of a block: one vector of AVX-512, two of AVX2, four of SSE or NEON.
const WIDE: usize = 16;
/// Columns of a block at the end of a row; lanes come in fours.
const NARROW: usize = 4;
/// Rows of a block.
const TALL: usize = 4;

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
        let Self { taps, panels: &Panels { inner, lanes, .. }, first, .. } = self;
        let places: Vec<_> = (first..).take(self.out.len() / lanes).map(|row| taps.place(row)).collect();
        let work = Chunks { taps, from: self.from, panels: self.panels, zeros: self.zeros, places: &places };
        let mut parts = Parts::new(taps.count * inner.div_ceil(CHUNK));
        while let Some(chunks) = parts.next(self.out) {
            work.add(chunks, self.out);
        }
    }
}

/// The parts of a sum of chunks, one after the other, each made in the same memory; at last it holds the sum of all.
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

    /// Takes the part that lies in `out`; the chunks of the next one, to be added to zeros.
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
        out.fill(0.0);
        let part = self.next..(self.next + self.of_part).min(self.chunks);
        self.next = part.end;
        Some(part)
    }
}

/// Chunks of a product, for a band of rows that stand at `places`.
struct Chunks<'a> {
    taps: &'a Taps,
    from: &'a [f32],
    panels: &'a Panels,
    zeros: &'a [f32],
    places: &'a [Place],
}

impl Chunks<'_> {
    #[inline(always)]
    fn add(&self, chunks: Range<usize>, out: &mut [f32]) {
        let Self { taps, from, panels: &Panels { inner, lanes, ref values }, zeros, places } = *self;
        let of_tap = inner.div_ceil(CHUNK);
        for chunk in chunks {
            let (tap, channel) = (chunk / of_tap, chunk % of_tap * CHUNK);
            let channels = channel..(channel + CHUNK).min(inner);
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
                let from = from.map(|row| &row[channels.clone()]);
                for (column, width) in columns(lanes) {
                    let panel = &weights[column * inner..][channels.start * width..channels.end * width];
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

/// Adds to up to four rows of a block what their sources make of a chunk of a panel.
#[inline(always)]
fn add_rows<const N: usize>(from: [&[f32]; TALL], panel: &[f32], rows: &mut [f32], lanes: usize) {
    let panel = panel.as_chunks::<N>().0;
    let from = from.map(|row| &row[..panel.len()]);
    let mut sums = [[0.0; N]; TALL];
    for i in 0..panel.len() {
        for m in 0..TALL {
            for n in 0..N {
                sums[m][n] += from[m][i] * panel[i][n];
            }
        }
    }
    add_block(&sums, rows, lanes);
}

/// Adds a block of sums to the beginning of up to four rows.
#[inline(always)]
fn add_block<const N: usize>(sums: &[[f32; N]; TALL], rows: &mut [f32], lanes: usize) {
    for (sums, row) in sums.iter().zip(rows.chunks_mut(lanes)) {
        for (sum, row) in sums.iter().zip(&mut row[..N]) {
            *row += sum;
        }
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
        let work = OuterChunks { taps, x, channels, dy, lanes, first };
        let mut parts = Parts::new((dy.len() / lanes).div_ceil(CHUNK));
        while let Some(chunks) = parts.next(out) {
            work.add(chunks, out);
        }
    }
}

/// Chunks of rows of an outer product, for a band of quads of channels.
struct OuterChunks<'a> {
    taps: &'a Taps,
    x: &'a [f32],
    channels: usize,
    dy: &'a [f32],
    lanes: usize,
    first: usize,
}

impl OuterChunks<'_> {
    #[inline(always)]
    fn add(&self, chunks: Range<usize>, out: &mut [f32]) {
        let Self { taps, x, channels, dy, lanes, first } = *self;
        let quads = channels / TALL;
        let (mut places, mut pairs) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        let rows = dy.len() / lanes;
        for chunk in chunks {
            places.clear();
            let rows = chunk * CHUNK..((chunk + 1) * CHUNK).min(rows);
            places.extend(rows.map(|row| (row * lanes, taps.place(row))));
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

/// Adds to four rows of a block the outer products of a chunk of pairs of rows, given by where they begin.
#[inline(always)]
fn add_pairs<const N: usize>(pairs: &[(usize, usize)], x: &[f32], dy: &[f32], rows: &mut [f32], lanes: usize) {
    let mut sums = [[0.0; N]; TALL];
    for &(x_at, dy_at) in pairs {
        let (x, dy) = (&x[x_at..][..TALL], &dy[dy_at..][..N]);
        for m in 0..TALL {
            for n in 0..N {
                sums[m][n] += x[m] * dy[n];
            }
        }
    }
    add_block(&sums, rows, lanes);
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

    /// All cases of a convolution, the lanes of both sides, rows that fill no block, and sums of several parts.
    fn cases() -> impl Iterator<Item = (Window, [usize; 4], [usize; 2], usize)> {
        let long = [
            (Window::square(2, 1, 1), [1, 3, 2, 300], 20),
            (Window::square(1, 1, 0), [1, 1, 2, CHUNK * CHUNK + 200], 4),
            (Window::square(12, 1, 6), [1, 6, 6, 4], 4),
            (Window::new([1, 2], [1, 1], [0, 1]), [2, 130, 77, 4], 4),
        ];
        conv::cases().into_iter().chain(long).map(|(window, [n, h, w, c], filters)| {
            let output = window.output([h, w]).unwrap();
            (window, [n, h, w, c.next_multiple_of(4)], output, filters.next_multiple_of(4))
        })
    }

    /// The sum of all chunks: parts one chunk after the other, then neighbouring parts.
    fn of_chunks(chunks: Vec<Vec<f32>>) -> Vec<f32> {
        let (_, of_part) = sum::parts(chunks.len());
        let plain = |chunks: &[Vec<f32>]| chunks.iter().cloned().fold(vec![0.0; chunks[0].len()], sum::add_all);
        let mut parts: Vec<_> = chunks.chunks(of_part).map(plain).collect();
        while parts.len() > 1 {
            parts = parts.chunks(2).map(plain_pair).collect();
        }
        parts.remove(0)
    }

    fn plain_pair(pair: &[Vec<f32>]) -> Vec<f32> {
        pair.iter().cloned().reduce(sum::add_all).unwrap()
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
                let mut chunks = Vec::new();
                for tap in 0..window.taps() {
                    let (at, rs) = ([row / ow % oh, row % ow], [tap / window.kernel[1], tap % window.kernel[1]]);
                    let source = window.source([h, w], at, rs);
                    for first in (0..c).step_by(CHUNK) {
                        let mut chunk = vec![0.0; k];
                        let Some([y, x_at]) = source else {
                            chunks.push(chunk);
                            continue;
                        };
                        for i in first..(first + CHUNK).min(c) {
                            for (lane, sum) in chunk.iter_mut().enumerate() {
                                *sum += x[((row / (oh * ow) * h + y) * w + x_at) * c + i]
                                    * weights[(tap * c + i) * k + lane];
                            }
                        }
                        chunks.push(chunk);
                    }
                }
                sums.copy_from_slice(&of_chunks(chunks));
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
                let rows: Vec<_> = (0..n * oh * ow).collect();
                let chunks = rows.chunks(CHUNK).map(|rows| {
                    let mut chunk = vec![0.0; k];
                    for &at in rows {
                        let (place, rs) = ([at / ow % oh, at % ow], [tap / window.kernel[1], tap % window.kernel[1]]);
                        let Some([y, x_at]) = window.source([h, w], place, rs) else { continue };
                        for (lane, sum) in chunk.iter_mut().enumerate() {
                            *sum += x[((at / (oh * ow) * h + y) * w + x_at) * c + i] * dy[at * k + lane];
                        }
                    }
                    chunk
                });
                sums.copy_from_slice(&of_chunks(chunks.collect()));
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
