//! `batch_norm_stats`: mean and biased variance of each channel over all rows, `[2, c]`, in the units of the input's numbers.
//!
//! Of the sums of a binary convolution they come from exact integers: Σs in 32 bits, Σs² in 64, var = (P·Σs² − (Σs)²)/P², the difference in 64 bits; rounding begins
//! with the conversion to float. Of floats, chunks of up to [`sum::CHUNK`] rows, each with its mean and the squared deviations from it, are merged in pairs by Chan's formula: first
//! those of a lane, then the lanes. Both in a fixed order, without atomics.

use super::sum::{self, Pairs, rows_per_chunk};
use super::{Activity, Backward, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, I16, I32, Planes, U32},
    LANES, TensorType, View, ViewMut,
};
use crate::{parallel, simd};

/// Statistics: input x `[…, c]`, output `[2, c]`: mean, variance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNormStats {
    /// Of integers, the largest magnitude that can occur; of floats, 0.
    pub largest: usize,
}

crate::params! {
    pub(super) struct ChunkParams { rows: u32, quads: u32, half: u32 }
}

impl ChunkParams {
    pub(super) fn new(x: &TensorType) -> Self {
        Self { rows: x.rows() as u32, quads: x.quads() as u32, half: sum::HALF }
    }
}

/// Whether sums up to `largest` over `rows` rows have exact statistics: Σs in 32 bits, s² in 32, P·Σs² in 64.
pub fn exact_fits(largest: usize, rows: usize) -> bool {
    largest <= 0xffff && largest * rows < 1 << 31
}

impl Operation for BatchNormStats {
    fn stem(&self) -> &'static str {
        "batch_norm_stats"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        let x = inputs[0];
        match x.encoding {
            F32 => {}
            I16 | I32 if exact_fits(self.largest, x.rows()) => {}
            I16 | I32 => {
                return Err(format!("sums up to {} over {} rows exceed 64-bit statistics", self.largest, x.rows()));
            }
            U32 | Planes(_) => return Err(format!("batch-norm reads floats or sums, not {x}")),
        }
        Ok(TensorType::f32(&[2, x.channels()]))
    }

    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Ok(()) // batch_norm's gradient is complete: it goes through the statistics too
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        let x = inputs[0];
        self.program_with(x, caps, |launch| {
            launch.constant("COEF", 0).constant("TRACK", 0).params(&ChunkParams::new(x))
        })
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, lanes) = (inputs[0], inputs[0].ty.lanes());
        let out = output.floats();
        let (means, variances) = out.split_at_mut(lanes);
        if x.ty.is_exact() {
            exact(x, means, variances);
        } else {
            merged(&x.numbers(), lanes, means, variances);
        }
    }
}

impl BatchNormStats {
    /// The launches that make the statistics; `rest` adds to the one that finds them, right behind their binding.
    pub(super) fn program_with(&self, x: &TensorType, caps: &Caps, rest: impl FnOnce(Launch) -> Launch) -> Program {
        let exact = x.is_exact();
        let per_chunk = rows_per_chunk(x.rows(), x.quads());
        let chunks = x.rows().div_ceil(per_chunk);
        let (part, kind, merge) = if exact {
            (U32, "exact", include_str!("../../shaders/batch_norm_stats_exact.wgsl"))
        } else {
            (F32, "float", include_str!("../../shaders/batch_norm_stats_float.wgsl"))
        };
        let partial = Launch::new(
            format!("batch_norm_stats_partial_{kind}"),
            &[include_str!("../../shaders/batch_norm_stats_partial.wgsl")],
        )
        .constant("PER_CHUNK", per_chunk)
        .constant("EXACT", usize::from(exact))
        .read("x", x.encoding, Input(0))
        .write("part", part, Scratch(0))
        .params(&ChunkParams::new(x))
        .threads(chunks * x.quads())
        // Sums of integers need no floats.
        .float_ops(if exact { 0 } else { 5 * x.len() });
        let mut merge = sum::lanes(format!("batch_norm_stats_{kind}"), merge, x.quads(), caps);
        merge.kernel.body.push(include_str!("../../shaders/batch_norm_stats.wgsl").into());
        let merge = merge
            .constant("PER_CHUNK", per_chunk)
            .float_ops(if exact { 4 } else { 10 * chunks } * x.channels())
            .read("part", part, Scratch(0))
            .write("stats", F32, Output);
        let words = chunks * if exact { 3 } else { 2 } * x.lanes();
        Program { scratch_words: vec![words], launches: vec![partial, rest(merge)] }
    }
}

/// Rows whose integers one task adds up.
const BAND: usize = 256;

fn exact(x: View<'_>, means: &mut [f32], variances: &mut [f32]) {
    let (lanes, rows) = (x.ty.lanes(), x.ty.rows());
    let mut bands = vec![(0, 0); rows.div_ceil(BAND) * lanes];
    parallel::bands(&mut bands, lanes, 1, |band, sums| {
        let row_words = x.ty.row_words();
        let words = &x.words[band * BAND * row_words..((band + 1) * BAND).min(rows) * row_words];
        match x.ty.encoding {
            I16 => simd::run(BandSums { x: bytemuck::cast_slice::<_, i16>(words), sums }),
            _ => simd::run(BandSums { x: bytemuck::cast_slice::<_, i32>(words), sums }),
        }
    });
    let (count, rows) = (rows as f32, rows as u64);
    for c in 0..lanes {
        let (mut sum, mut square) = (0, 0);
        bands[c..].iter().step_by(lanes).for_each(|of_band| (sum, square) = (sum + of_band.0, square + of_band.1));
        let scaled = rows * square - (sum * sum) as u64;
        means[c] = sum as f32 / count;
        variances[c] = ((scaled >> 32) as f32 * 4_294_967_296.0 + (scaled as u32) as f32) / (count * count);
    }
}

/// Sums of a band of rows and of their squares.
struct BandSums<'a, T> {
    x: &'a [T],
    sums: &'a mut [(i64, u64)],
}

impl<T: Copy + Into<i64>> simd::Job for BandSums<'_, T> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) {
        let lanes = self.sums.len();
        let (mut sums, mut squares) = (vec![0i64; lanes], vec![0u64; lanes]);
        for row in self.x.chunks_exact(lanes) {
            for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(row) {
                let value: i64 = value.into();
                *sum += value;
                *square += (value * value) as u64;
            }
        }
        self.sums.iter_mut().zip(sums.into_iter().zip(squares)).for_each(|(out, sums)| *out = sums);
    }
}

/// In the kernels' order, so that software drivers agree to the bit.
fn merged(x: &[f32], lanes: usize, means: &mut [f32], variances: &mut [f32]) {
    let rows = x.len() / lanes;
    let per_chunk = rows_per_chunk(rows, lanes / LANES);
    let chunks = rows.div_ceil(per_chunk);
    let mut partial = vec![0.0; chunks * 2 * lanes];
    parallel::bands(&mut partial, 2 * lanes, 1, |chunk, sums| {
        simd::run(ChunkMoments { x: &x[chunk * per_chunk * lanes..((chunk + 1) * per_chunk).min(rows) * lanes], sums });
    });
    for c in 0..lanes {
        let mut slots: [_; sum::LANES] = std::array::from_fn(|_| Pairs::new());
        for (chunk, moments) in partial.chunks_exact(2 * lanes).enumerate() {
            let count = (((chunk + 1) * per_chunk).min(rows) - chunk * per_chunk) as f32;
            slots[chunk % sum::LANES].push((count, moments[c], moments[lanes + c]), chan);
        }
        let mut slots = slots.map(|slot| slot.finish(chan).unwrap_or_default());
        let (_, mean, deviation) = sum::tree(&mut slots, chan);
        means[c] = mean;
        variances[c] = deviation / rows as f32;
    }
}

/// Mean and squared deviations from it of the channels of a chunk, corrected by what rounding left of the mean.
struct ChunkMoments<'a> {
    x: &'a [f32],
    sums: &'a mut [f32],
}

impl simd::Job for ChunkMoments<'_> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) {
        let lanes = self.sums.len() / 2;
        let (means, squares) = self.sums.split_at_mut(lanes);
        let count = (self.x.len() / lanes) as f32;
        for x in self.x.chunks_exact(lanes) {
            for c in 0..lanes {
                means[c] += x[c];
            }
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        let mut sums = vec![0.0; lanes];
        for x in self.x.chunks_exact(lanes) {
            for c in 0..lanes {
                let d = x[c] - means[c];
                sums[c] += d;
                squares[c] += d * d;
            }
        }
        for c in 0..lanes {
            let rest = sums[c] / count;
            means[c] += rest;
            squares[c] -= sums[c] * rest;
        }
    }
}

/// Merges (count, mean, squared deviations) of two sets.
fn chan(into: (f32, f32, f32), from: (f32, f32, f32)) -> (f32, f32, f32) {
    if from.0 == 0.0 {
        return into;
    }
    let all = into.0 + from.0;
    let share = from.0 / all;
    let delta = from.1 - into.1;
    (all, into.1 + delta * share, into.2 + (from.2 + delta * delta * (into.0 * share)))
}

impl BatchNormStats {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(20);
        let mut samples = Vec::new();
        for shape in [[2, 3, 5, 41], [64, 8, 8, 6], [1, 70, 64, 4]] {
            samples.push(Sample::new(BatchNormStats { largest: 0 }, vec![noise.floats(&shape)]));
        }
        for (encoding, largest, shape) in
            [(I16, 3000, [2, 3, 5, 41]), (I16, 13_824, [4, 16, 16, 6]), (I32, 65_535, [3, 100, 100, 5])]
        {
            samples.push(Sample::new(BatchNormStats { largest }, vec![noise.ints(&shape, encoding, largest as i32)]));
        }
        samples
    }
}
