//! `batch_norm_stats`: mean and biased variance of each channel over all rows, `[2, c]`, in units
//! of the stored numbers.
//!
//! For sums of a binary convolution they are computed from exact integers: Σs in 32 bits, Σs² in
//! 64, var = (P·Σs² − (Σs)²)/P², with the difference in 64 bits; rounding begins with the
//! conversion to float. For floats, chunks of up to [`sum::CHUNK`] rows, each with its mean and sum
//! of squared deviations from it, are merged in pairs by Chan's formula: first those of a lane,
//! then the lanes. Both have a fixed order, without atomics.

use super::batch_norm::tile_rows;
use super::sum::{self, Pairs, rows_per_chunk};
use super::{Activity, Backward, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::simd::{self, Simd};
use crate::tensor::{
    Encoding::{F16, F32, I16, I32, Planes, U32},
    LANES, TensorType, View, ViewMut,
};

/// Statistics: input x `[…, c]`, output `[2, c]`: mean, variance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNormStats {
    /// Largest possible magnitude of integers; 0 for floats.
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

/// Whether sums up to `largest` over `rows` rows have exact statistics: Σs in 32 bits, s² in 32,
/// P·Σs² in 64.
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
            U32 | F16 | Planes(_) => return Err(format!("batch-norm reads floats or sums, not {x}")),
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

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, lanes) = (inputs[0], inputs[0].ty.lanes());
        let out = output.floats();
        let (means, variances) = out.split_at_mut(lanes);
        if x.ty.is_exact() {
            let found = exact_sums(x).into_iter().map(|sums| exact(sums, x.ty.rows()));
            found.zip(means.iter_mut().zip(variances)).for_each(|(found, (mean, variance))| (*mean, *variance) = found);
        } else {
            merged(&x.numbers(), lanes, means, variances);
        }
    }
}

impl BatchNormStats {
    /// The launches that compute the statistics; `rest` extends the launch that finishes them,
    /// right after their binding.
    pub(super) fn program_with(&self, x: &TensorType, caps: &Caps, rest: impl FnOnce(Launch) -> Launch) -> Program {
        reduction(x, caps, false, rest)
    }
}

/// The launches that compute statistics, or `moments`, the exact sums that they follow from. `rest`
/// extends the last launch, right after the binding of its result.
pub(super) fn reduction(x: &TensorType, caps: &Caps, moments: bool, rest: impl FnOnce(Launch) -> Launch) -> Program {
    let exact = x.is_exact();
    let per_chunk = rows_per_chunk(x.rows(), x.quads());
    let chunks = x.rows().div_ceil(per_chunk);
    let (part, kind, merge) = if exact {
        (U32, "exact", include_str!("../../shaders/batch_norm_stats_exact.wgsl"))
    } else {
        (F32, "float", include_str!("../../shaders/batch_norm_stats_float.wgsl"))
    };
    let direct = sum::direct(x.rows(), caps);
    let of_chunks = |mut launch: Launch| {
        launch.kernel.body.push(include_str!("../../shaders/batch_norm_chunk.wgsl").into());
        launch.constant("EXACT", usize::from(exact)).read("x", x.encoding, Input(0))
    };
    // Sums of integers need no float operations.
    let chunk_ops = if exact { 0 } else { 5 * x.len() };
    let label = if moments { "batch_norm_moments".to_string() } else { format!("batch_norm_stats_{kind}") };
    let mut merge = sum::lanes(if direct { label + "_direct" } else { label }, merge, x.quads(), caps);
    if exact && !moments {
        merge.kernel.body.push(INTEGERS.into());
    }
    if !moments {
        merge.kernel.body.push(FOUND.into());
    }
    let merge = merge.constant("PER_CHUNK", per_chunk).constant("DIRECT", usize::from(direct));
    let merge = merge.constant("MOMENTS", usize::from(moments));
    let merge_ops = match (moments, exact) {
        (true, _) => 0,
        (false, true) => 4 * x.channels(),
        (false, false) => 10 * chunks * x.channels(),
    };
    let write = |launch: Launch| match moments {
        true => launch.write("moments", U32, Output),
        false => launch.write("stats", F32, Output),
    };
    if direct {
        return rest(write(of_chunks(merge).float_ops(chunk_ops + merge_ops))).into();
    }
    let partial = Launch::new(
        if moments { "batch_norm_moments_partial".into() } else { format!("batch_norm_stats_partial_{kind}") },
        &[include_str!("../../shaders/batch_norm_stats_partial.wgsl")],
    );
    let partial = of_chunks(partial.constant("PER_CHUNK", per_chunk))
        .write("part", part, Scratch(0))
        .params(&ChunkParams::new(x))
        .threads(chunks * x.quads())
        .float_ops(chunk_ops);
    let merge = write(merge.float_ops(merge_ops).read("part", part, Scratch(0)));
    let words = chunks * if exact { 3 } else { 2 } * x.lanes();
    Program { scratch_words: vec![words], launches: vec![partial, rest(merge)] }
}

/// WGSL that stores statistics.
pub(super) const FOUND: &str = include_str!("../../shaders/batch_norm_stats.wgsl");
/// WGSL that computes statistics from sums of integers.
pub(super) const INTEGERS: &str = include_str!("../../shaders/batch_norm_integers.wgsl");

/// Number of rows whose integers one task sums.
const BAND: usize = 256;

/// Sum of the integers of each channel, and of their squares.
pub(super) fn exact_sums(x: View<'_>) -> Vec<(i64, u64)> {
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
    let of_channel =
        |c: usize| bands[c..].iter().step_by(lanes).fold((0, 0), |all, band| (all.0 + band.0, all.1 + band.1));
    (0..lanes).map(of_channel).collect()
}

/// Mean and variance of `rows` integers from their sum and that of their squares.
pub(super) fn exact((sum, square): (i64, u64), rows: usize) -> (f32, f32) {
    let (count, scaled) = (rows as f32, rows as u64 * square - (sum * sum) as u64);
    (sum as f32 / count, ((scaled >> 32) as f32 * 4_294_967_296.0 + (scaled as u32) as f32) / (count * count))
}

/// Sums over a band of rows: of the values and of their squares.
struct BandSums<'a, T> {
    x: &'a [T],
    sums: &'a mut [(i64, u64)],
}

impl<T: Copy + Into<i64>> simd::Job for BandSums<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
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

/// Merges in the kernels' order, so that software drivers agree bit for bit.
fn merged(x: &[f32], lanes: usize, means: &mut [f32], variances: &mut [f32]) {
    let rows = x.len() / lanes;
    let per_chunk = rows_per_chunk(rows, lanes / LANES);
    let chunks = rows.div_ceil(per_chunk);
    let mut partial = vec![0.0; chunks * 2 * lanes];
    let band = (tile_rows(lanes) / per_chunk).max(1);
    parallel::bands(&mut partial, 2 * lanes, band, |first, sums| {
        simd::run(ChunkMoments { x: &x[first * per_chunk * lanes..], per_chunk, lanes, sums });
    });
    simd::run(Merge { steps: steps(rows, per_chunk), partial: &mut partial, lanes });
    means.copy_from_slice(&partial[..lanes]);
    variances.iter_mut().zip(&partial[lanes..]).for_each(|(variance, deviation)| *variance = deviation / rows as f32);
}

/// Mean and squared deviations of the channels of some chunks, corrected for the rounding error of
/// the mean.
struct ChunkMoments<'a> {
    /// Values from the first chunk on.
    x: &'a [f32],
    /// Number of rows of a chunk.
    per_chunk: usize,
    lanes: usize,
    sums: &'a mut [f32],
}

impl simd::Job for ChunkMoments<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, per_chunk, lanes, sums } = self;
        for (x, sums) in x.chunks(per_chunk * lanes).zip(sums.chunks_exact_mut(2 * lanes)) {
            let (means, squares) = sums.split_at_mut(lanes);
            let count = simd.splat_f32s((x.len() / lanes) as f32);
            for c in (0..lanes).step_by(S::F32_LANES) {
                let rows = || x.chunks_exact(lanes).map(|row| simd::load(simd, &row[c..]));
                let mean = rows().fold(simd.splat_f32s(0.0), |sum, x| simd.add_f32s(sum, x));
                let mean = simd.div_f32s(mean, count);
                let (mut sum, mut square) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
                for x in rows() {
                    let d = simd.sub_f32s(x, mean);
                    sum = simd.add_f32s(sum, d);
                    square = simd.add_f32s(square, simd.mul_f32s(d, d));
                }
                let rest = simd.div_f32s(sum, count);
                simd::store(simd, simd.add_f32s(mean, rest), &mut means[c..]);
                simd::store(simd, simd.sub_f32s(square, simd.mul_f32s(sum, rest)), &mut squares[c..]);
            }
        }
    }
}

/// Order in which the moments of chunks are merged: those of each lane of [`sum`] in pairs, then
/// the lanes; finally the first chunk holds the moments of all.
fn steps(rows: usize, per_chunk: usize) -> Vec<Step> {
    let (mut steps, chunks) = (Vec::new(), rows.div_ceil(per_chunk));
    // A set is (number of rows, index of its first chunk).
    let mut merge = |into: (f32, usize), from: (f32, usize)| {
        if from.0 == 0.0 {
            return into;
        }
        let all = into.0 + from.0;
        let share = from.0 / all;
        steps.push(Step { into: into.1, from: from.1, share, both: into.0 * share });
        (all, into.1)
    };
    let mut slots: [_; sum::LANES] = std::array::from_fn(|slot| {
        let mut pairs = Pairs::new();
        for chunk in (slot..chunks).step_by(sum::LANES) {
            let count = ((chunk + 1) * per_chunk).min(rows) - chunk * per_chunk;
            pairs.push((count as f32, chunk), &mut merge);
        }
        pairs.finish(&mut merge).unwrap_or_default()
    });
    sum::tree(&mut slots, merge);
    steps
}

/// A step of Chan's formula: merges the moments of one set into those of another, which precedes
/// it.
struct Step {
    into: usize,
    from: usize,
    /// n₂/(n₁ + n₂).
    share: f32,
    /// n₁·n₂/(n₁ + n₂).
    both: f32,
}

/// Performs these steps for all channels at once.
struct Merge<'a> {
    steps: Vec<Step>,
    /// `[chunk][mean, squared deviations]`.
    partial: &'a mut [f32],
    lanes: usize,
}

impl simd::Job for Merge<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { steps, partial, lanes } = self;
        for Step { into, from, share, both } in steps {
            let (share, both) = (simd.splat_f32s(share), simd.splat_f32s(both));
            let (into_part, from_part) = partial.split_at_mut(from * 2 * lanes);
            let (means, deviations) = into_part[into * 2 * lanes..][..2 * lanes].split_at_mut(lanes);
            let (from_means, from_deviations) = from_part[..2 * lanes].split_at(lanes);
            for c in (0..lanes).step_by(S::F32_LANES) {
                let (mean, deviation) = (simd::load(simd, &means[c..]), simd::load(simd, &deviations[c..]));
                let delta = simd.sub_f32s(simd::load(simd, &from_means[c..]), mean);
                let between = simd.mul_f32s(simd.mul_f32s(delta, delta), both);
                let added = simd.add_f32s(simd::load(simd, &from_deviations[c..]), between);
                simd::store(simd, simd.add_f32s(mean, simd.mul_f32s(delta, share)), &mut means[c..]);
                simd::store(simd, simd.add_f32s(deviation, added), &mut deviations[c..]);
            }
        }
    }
}

impl BatchNormStats {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(20);
        let mut samples = Vec::new();
        for shape in [[2, 3, 5, 41], [64, 8, 8, 6], [1, 70, 64, 4], [1, 100, 90, 4]] {
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
