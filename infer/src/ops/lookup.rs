//! Packed convolution by lookup.
//!
//! For four channels of a pixel, a table of 16 bytes holds the sum of their codes over each subset, and the
//! signs of four weights select from it: one byte shuffle adds up four products for each of 16 to 64 filters.
//! The tables of all codes of two bits are constants ([`TABLES`]), so four codes are stored as one byte, the
//! index of their table. Codes of three or four bits are computed as two parts.

use super::Coding;
use super::packed::Packed;
use crate::simd::{TableJob, Tables};
use alloc::vec;
use alloc::vec::Vec;

/// Channels that share a table.
const QUAD: usize = 4;
/// Filters of a block: the bytes of one vector of AVX-512.
pub(super) const BLOCK: usize = 64;
/// Pixels that are computed together.
const PIXELS: usize = 4;

/// Four weights of each filter of a block, a bit each. Byte 2i is filter i, byte 2i + 1 filter 32 + i, so that
/// even and odd bytes, as 16-bit numbers, are filters in order.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Nibbles([u32; BLOCK / 4]);

#[repr(align(64))]
struct Aligned([[u8; 16]; 256]);

/// For four codes, given as their low bits and, times 16, their high bits: the sum over each subset.
static TABLES: Aligned = {
    let mut tables = [[0; 16]; 256];
    let mut at = 0;
    while at < 256 {
        let mut of = 0;
        while of < 16 {
            tables[at][of] = ((at & of).count_ones() + 2 * (at >> 4 & of).count_ones()) as u8;
            of += 1;
        }
        at += 1;
    }
    Aligned(tables)
};

/// The number of tables of a pixel.
pub(super) fn quads(channels: usize) -> usize {
    channels.div_ceil(QUAD)
}

/// The signs `[k, taps, words]` of a plane as `[⌈k/64⌉, taps, quads]`.
pub(super) fn nibbles(signs: &[u32], filters: usize, channels: usize) -> impl Iterator<Item = Nibbles> {
    let (words, quads, row) = (channels.div_ceil(32), quads(channels), signs.len() / filters);
    let of = move |block: usize, tap: usize, quad: usize| {
        let nibble = |at: usize| {
            let filter = block * BLOCK + at / 2 + at % 2 * BLOCK / 2;
            let word = signs.get(filter * row + tap * words + quad / 8).filter(|_| filter < filters);
            word.map_or(0, |word| (word >> (quad % 8 * QUAD) & 15) as u8)
        };
        Nibbles(core::array::from_fn(|four| u32::from_ne_bytes(core::array::from_fn(|at| nibble(4 * four + at)))))
    };
    let taps = move |block| (0..row / words).flat_map(move |tap| (0..quads).map(move |quad| of(block, tap, quad)));
    (0..filters.div_ceil(BLOCK)).flat_map(taps)
}

/// Spreads the nibbles of a word to bytes.
#[inline(always)]
fn spread(word: u32) -> u64 {
    let mut bytes = u64::from(word);
    bytes = (bytes | bytes << 16) & 0x0000_ffff_0000_ffff;
    bytes = (bytes | bytes << 8) & 0x00ff_00ff_00ff_00ff;
    (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f
}

/// Computes the sums of one base.
pub(super) struct Lookup<'a> {
    pub(super) packed: &'a Packed,
    /// Planes of codes.
    pub(super) x: &'a [u32],
    pub(super) base: usize,
    /// Without elements at first.
    pub(super) sums: &'a mut Vec<i32>,
}

/// Codes of up to two bits: the tables of pixels, one more for pixels outside of the image, and the sum of
/// each pixel's codes.
struct Codes {
    tables: Vec<u8>,
    totals: Vec<i32>,
    /// The largest entry of a table.
    most: usize,
}

impl Codes {
    /// Of the given planes. Signs −1 and +1 become the codes 0 and 2, and what is outside of the image or
    /// beyond the last channel 1: each one more than it is.
    #[inline(always)]
    fn new(packed: &Packed, low: &[u32], high: Option<&[u32]>) -> Self {
        let (words, channels, pixels) = (packed.input.words(), packed.input.channels(), packed.input.pixels());
        let (quads, sign) = (quads(channels), packed.coding == Coding::Sign);
        let mut tables = vec![if sign { 15 } else { 0 }; (pixels + 1) * quads];
        let mut totals = vec![0; pixels + 1];
        for ((pixel, tables), total) in tables.chunks_exact_mut(quads).take(pixels).enumerate().zip(&mut totals) {
            let at = |plane: &[u32], word: usize| plane[pixel * words + word];
            for (word, tables) in tables.chunks_mut(8).enumerate() {
                let (low, high) = (at(low, word), high.map_or(0, |high| at(high, word)));
                *total += (low.count_ones() + 2 * high.count_ones()) as i32;
                let beyond = if word + 1 == words { !(u32::MAX >> (words * 32 - channels)) } else { 0 };
                let (low, high) = if sign { (beyond, low) } else { (low, high) };
                let bytes = (spread(low) | spread(high) << 4).to_le_bytes();
                match tables.first_chunk_mut::<8>() {
                    Some(tables) => *tables = bytes,
                    None => tables.copy_from_slice(&bytes[..tables.len()]),
                }
            }
            if sign {
                *total = 2 * *total - channels as i32;
            }
        }
        let most = if sign { 2 } else { 1 + 2 * usize::from(high.is_some()) };
        Self { tables, totals, most: most * QUAD }
    }
}

impl TableJob for Lookup<'_> {
    #[inline(always)]
    fn run<S: Tables>(self, simd: S) {
        let plane = self.packed.input.pixels() * self.packed.input.words();
        let Self { packed, base, sums, .. } = self;
        for (part, planes) in self.x.chunks(2 * plane).enumerate() {
            let (low, high) = planes.split_at(plane);
            let codes = Codes::new(packed, low, Some(high).filter(|high| !high.is_empty()));
            let part = Part { packed, codes, base, shift: 2 * part };
            match packed.output.pixels() {
                1 => part.add::<S, 1>(simd, sums),
                _ => part.add::<S, PIXELS>(simd, sums),
            }
        }
    }
}

struct Part<'a> {
    packed: &'a Packed,
    codes: Codes,
    base: usize,
    shift: usize,
}

impl Part<'_> {
    /// Adds the sums of P pixels at a time; the first part appends them.
    #[inline(always)]
    fn add<S: Tables, const P: usize>(&self, simd: S, sums: &mut Vec<i32>) {
        let Packed { window, input, output, planes, .. } = self.packed;
        let ([h, w, c], [_, ow, filters], pixels) = (input.shape, output.shape, output.pixels());
        let (taps, quads) = (window.taps(), quads(c));
        let outside = input.pixels();
        let plane = filters.div_ceil(BLOCK) * taps * quads;
        let nibbles = &self.packed.nibbles[self.base * planes * plane..][..planes * plane];
        let biases = &self.packed.biases[self.base * planes * filters..][..planes * filters];
        // Two vectors of products for each table that is loaded.
        let step = if 4 * S::U32_LANES == BLOCK { 2 } else { 1 };
        let mut sources: Vec<(usize, [&[u8]; P])> = Vec::with_capacity(taps);
        let mut rows = vec![0; P * filters];
        for first in (0..pixels).step_by(P) {
            let mut ones = [0; P];
            let places: [[usize; 2]; P] = core::array::from_fn(|i| {
                let pixel = (first + i).min(pixels - 1);
                [pixel / ow, pixel % ow]
            });
            sources.clear();
            rows.fill(0);
            let mut tap = 0;
            for r in 0..window.kernel[0] {
                for s in 0..window.kernel[1] {
                    let from = places.map(|place| window.source([h, w], place, [r, s]));
                    let from = from.map(|from| from.map_or(outside, |[y, x]| y * w + x));
                    if from.iter().any(|&from| from != outside) || self.packed.coding == Coding::Sign {
                        for (ones, from) in ones.iter_mut().zip(from) {
                            *ones += self.codes.totals[from];
                        }
                        sources.push((tap, from.map(|from| &self.codes.tables[from * quads..][..quads])));
                    }
                    tap += quads;
                }
            }
            for (j, (nibbles, biases)) in nibbles.chunks_exact(plane).zip(biases.chunks_exact(filters)).enumerate() {
                let biases = biases.chunks(step * BLOCK);
                for (at, (nibbles, biases)) in nibbles.chunks(step * taps * quads).zip(biases).enumerate() {
                    let mut products = [[0; 2 * BLOCK]; P];
                    match nibbles.split_at(taps * quads) {
                        (one, []) => self.products::<S, P, 1>(simd, [one], &sources, &mut products),
                        (one, two) => self.products::<S, P, 2>(simd, [one, two], &sources, &mut products),
                    }
                    for (i, products) in products.iter().enumerate().take(pixels - first) {
                        let out = &mut rows[i * filters + at * step * BLOCK..][..biases.len()];
                        for ((out, product), bias) in out.iter_mut().zip(products).zip(biases) {
                            *out += (2 * (product - bias) - ones[i]) << (j + self.shift);
                        }
                    }
                }
            }
            let rows = &rows[..P.min(pixels - first) * filters];
            match self.shift {
                0 => sums.extend_from_slice(rows),
                _ => sums[first * filters..].iter_mut().zip(rows).for_each(|(sum, more)| *sum += more),
            }
        }
    }

    /// Adds Σ code over the positive weights of B blocks of filters.
    #[inline(always)]
    fn products<S: Tables, const P: usize, const B: usize>(
        &self,
        simd: S,
        nibbles: [&[Nibbles]; B],
        sources: &[(usize, [&[u8]; P])],
        out: &mut [[i32; 2 * BLOCK]; P],
    ) {
        // Vectors of a block.
        match BLOCK / 4 / S::U32_LANES {
            1 => products::<S, P, B, 1>(simd, self.codes.most, nibbles, sources, out),
            _ => products::<S, P, B, 2>(simd, self.codes.most, nibbles, sources, out),
        }
    }
}

#[inline(always)]
fn products<S: Tables, const P: usize, const B: usize, const V: usize>(
    simd: S,
    most: usize,
    nibbles: [&[Nibbles]; B],
    sources: &[(usize, [&[u8]; P])],
    out: &mut [[i32; 2 * BLOCK]; P],
) {
    let zero = simd.splat_u32s(0);
    let clear = [[[zero; V]; B]; P];
    // Sums of bytes, of even and odd bytes in 16 bits.
    let (mut bytes, mut even, mut odd) = (clear, clear, clear);
    let (mut filled, mut widened) = (0, 0);
    for (first, rows) in sources {
        let nibbles = nibbles.map(|nibbles| &nibbles[*first..][..rows[0].len()]);
        let mut at = 0;
        while at < rows[0].len() {
            let end = rows[0].len().min(at + 255 / most - filled);
            filled += end - at;
            let (rows, nibbles) = (rows.map(|row| &row[at..end]), nibbles.map(|nibbles| &nibbles[at..end]));
            for at in 0..end - at {
                for p in 0..P {
                    let table = &TABLES.0[usize::from(rows[p][at])];
                    for b in 0..B {
                        for v in 0..V {
                            let selected = simd.look_up(table, S::as_simd_u32s(&nibbles[b][at].0).0[v]);
                            bytes[p][b][v] = simd.add_u32s(bytes[p][b][v], selected);
                        }
                    }
                }
            }
            at = end;
            if filled == 255 / most {
                widen(simd, &mut bytes, &mut even, &mut odd);
                (filled, widened) = (0, widened + 1);
                if widened == 256 {
                    flush::<S, P, B, V>(&even, &odd, out);
                    (even, odd, widened) = (clear, clear, 0);
                }
            }
        }
    }
    widen(simd, &mut bytes, &mut even, &mut odd);
    flush::<S, P, B, V>(&even, &odd, out);
}

/// Adds bytes to 16-bit sums.
#[inline(always)]
fn widen<S: Tables, const P: usize, const B: usize, const V: usize>(
    simd: S,
    bytes: &mut [[[S::u32s; V]; B]; P],
    even: &mut [[[S::u32s; V]; B]; P],
    odd: &mut [[[S::u32s; V]; B]; P],
) {
    for p in 0..P {
        for b in 0..B {
            for v in 0..V {
                even[p][b][v] = simd.add_u32s(even[p][b][v], simd.even_bytes(bytes[p][b][v]));
                odd[p][b][v] = simd.add_u32s(odd[p][b][v], simd.odd_bytes(bytes[p][b][v]));
                bytes[p][b][v] = simd.splat_u32s(0);
            }
        }
    }
}

#[inline(always)]
fn flush<S: Tables, const P: usize, const B: usize, const V: usize>(
    even: &[[[S::u32s; V]; B]; P],
    odd: &[[[S::u32s; V]; B]; P],
    out: &mut [[i32; 2 * BLOCK]; P],
) {
    for (p, out) in out.iter_mut().enumerate() {
        for (b, out) in out.chunks_exact_mut(BLOCK).enumerate().take(B) {
            let (low, high) = out.split_at_mut(BLOCK / 2);
            for (out, from) in [(low, &even[p][b]), (high, &odd[p][b])] {
                let from: &[u16] = bytemuck::cast_slice(from);
                out.iter_mut().zip(from).for_each(|(out, from)| *out += i32::from(*from));
            }
        }
    }
}
