//! `batch_norm_sums`, `batch_norm_dx`: the gradient of [`super::batch_norm`], complete: through the statistics too.
//!
//! With n = (x − mean)·unit: dγ = Σ dz·n, dβ = Σ dz (rows of the sums `[2, c]`), dy = gain·(dz − dβ/P − n·dγ/P), the gradient of the real y that x stands for.
//!
//! **Order of the sums** ([`super::sum`]): chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 rows; their sums in 64 lanes, in chunks of 128, then pairs, then the tree of lanes.

use super::batch_norm_stats::ChunkParams;
use super::sum::{self, rows_per_chunk};
use super::{Activity, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};
use crate::{parallel, simd};

/// (dγ, dβ): inputs x, coefficients, dz.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNormSums;

/// Gradient of the input: inputs x, coefficients, dz, sums.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNormDx;

impl Operation for BatchNormSums {
    fn stem(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        batch_norm::infer_prologue(&inputs[..2])?;
        super::same("the gradient", inputs[2], &inputs[0].with(F32))?;
        Ok(TensorType::f32(&[2, inputs[0].channels()]))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let x = inputs[0];
        let per_chunk = rows_per_chunk(x.rows());
        let chunks = x.rows().div_ceil(per_chunk);
        let partial =
            Launch::new("batch_norm_sums_partial", &[include_str!("../../shaders/batch_norm_sums_partial.wgsl")])
                .constant("PER_CHUNK", per_chunk)
                .read("x", x.encoding, Input(0))
                .read("coef", F32, Input(1))
                .read("dz", F32, Input(2))
                .write("part", F32, Scratch(0))
                .params(&ChunkParams::new(x))
                .threads(chunks * x.quads())
                .float_ops(5 * x.len());
        let sum = sum::reduction(
            "batch_norm_sums",
            include_str!("../../shaders/batch_norm_sums.wgsl"),
            (2 * output.quads(), chunks),
            caps,
        )
        .constant("PER_CHUNK", per_chunk)
        .read("part", F32, Scratch(0))
        .write("sums", F32, Output)
        .params(&ChunkParams::new(x))
        .float_ops(2 * chunks * x.channels());
        Program { scratch_words: vec![chunks * 2 * x.lanes()], launches: vec![partial, sum] }
    }

    /// In the kernels' order.
    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, coef, dz) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers());
        let (lanes, rows) = (inputs[0].ty.lanes(), inputs[0].ty.rows());
        let per_chunk = rows_per_chunk(rows);
        let chunks = rows.div_ceil(per_chunk);
        let mut partial = vec![0.0; chunks * 2 * lanes];
        parallel::bands(&mut partial, 2 * lanes, 1, |chunk, sums| {
            let rows = chunk * per_chunk * lanes..((chunk + 1) * per_chunk).min(rows) * lanes;
            simd::run(ChunkSums { x: &x[rows.clone()], coef: &coef, dz: &dz[rows], sums });
        });
        let sums = sum::columns(chunks, 2 * lanes, |chunk, sums| {
            sums.iter_mut().zip(&partial[chunk * 2 * lanes..]).for_each(|(sum, part)| *sum += part);
        });
        output.floats().copy_from_slice(&sums);
    }
}

/// (dγ, dβ) of a chunk of rows.
struct ChunkSums<'a> {
    x: &'a [f32],
    coef: &'a [f32],
    dz: &'a [f32],
    sums: &'a mut [f32],
}

impl simd::Job for ChunkSums<'_> {
    #[inline(always)]
    fn run(self) {
        let lanes = self.sums.len() / 2;
        let (mean, unit) = (&self.coef[..lanes], &self.coef[3 * lanes..][..lanes]);
        let (gammas, betas) = self.sums.split_at_mut(lanes);
        for (x, dz) in self.x.chunks_exact(lanes).zip(self.dz.chunks_exact(lanes)) {
            for c in 0..lanes {
                gammas[c] += dz[c] * ((x[c] - mean[c]) * unit[c]);
                betas[c] += dz[c];
            }
        }
    }
}

impl BatchNormSums {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(24);
        let cases = batch_norm::prologue_cases(&mut noise).into_iter();
        cases
            .map(|mut inputs| {
                inputs.push(noise.floats(&inputs[0].ty.shape));
                Sample::new(BatchNormSums, inputs)
            })
            .collect()
    }
}

impl Operation for BatchNormDx {
    fn stem(&self) -> &'static str {
        "batch_norm_dx"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 4)?;
        let sums = BatchNormSums.infer(&inputs[..3])?;
        super::same("the sums", inputs[3], &sums)?;
        Ok(inputs[2].clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::per_channel("batch_norm_dx", &[include_str!("../../shaders/batch_norm_dx.wgsl")], output, 1.0)
            .float_ops(6 * output.len())
            .read("x", inputs[0].encoding, Input(0))
            .read("coef", F32, Input(1))
            .read("dz", F32, Input(2))
            .read("sums", F32, Input(3))
            .write("dx", F32, Output)
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, coef) = (inputs[0].numbers(), inputs[1].numbers());
        let (dz, sums) = (inputs[2].numbers(), inputs[3].numbers());
        let (lanes, rows) = (output.ty.lanes(), output.ty.rows() as f32);
        let (mean, unit, gain) = (&coef[..lanes], &coef[3 * lanes..][..lanes], &coef[4 * lanes..][..lanes]);
        let means: Vec<_> = sums.iter().map(|sum| sum / rows).collect();
        let (along, shift) = means.split_at(lanes);
        parallel::rows(output.floats(), lanes, |row, out| {
            let (x, dz) = (&x[row * lanes..][..lanes], &dz[row * lanes..][..lanes]);
            for c in 0..lanes {
                let normalised = (x[c] - mean[c]) * unit[c];
                out[c] = gain[c] * (dz[c] - shift[c] - normalised * along[c]);
            }
        });
    }
}

impl BatchNormDx {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = BatchNormSums::samples().into_iter();
        cases
            .map(|mut sample| {
                let sums = sample.op.evaluate(&sample.inputs.iter().collect::<Vec<_>>());
                sample.inputs.push(sums);
                Sample::new(BatchNormDx, sample.inputs)
            })
            .collect()
    }
}
