//! `batch_norm_sums`, `batch_norm_dx`: the gradient of [`super::batch_norm`], complete: through the statistics too.
//!
//! With n = (x − mean)·unit: dγ = Σ dz·n, dβ = Σ dz (rows of the sums `[2, c]`), dy = gain·(dz − dβ/P − n·dγ/P), the gradient of the real y that x stands for.
//!
//! Where an activation stands behind the map, they may read *its* gradient dy, for dz = dy·Q̃′(z): what the activation's own gradient would be is then never written, and read twice.
//!
//! **Order of the sums** ([`super::sum`]): chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 rows; their sums in 64 lanes, in chunks of 128, then pairs, then the tree of lanes.

use super::batch_norm_stats::ChunkParams;
use super::quantise::Surrogate;
use super::quantise_backward::QuantiseBackward;
use super::sum::{self, rows_per_chunk};
use super::{Activity, Operation, Sample, add, batch_norm, joint::Case, row, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{
    Launch,
    Operand::{self, *},
    Program,
};
use crate::tensor::{Encoding::F32, LANES, TensorType, View, ViewMut};
use crate::{parallel, simd};
use std::borrow::Cow;
use std::ops::Range;

/// (dγ, dβ): inputs x, coefficients, dz, or dy and its scale if there is one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormSums {
    /// The gradient of an activation behind the map.
    pub through: Option<QuantiseBackward>,
}

/// Gradient of the input: inputs x, coefficients, dz, sums, or dy in place of dz and behind the sums its scale if there is one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormDx {
    /// The gradient of an activation behind the map.
    pub through: Option<QuantiseBackward>,
}

crate::params! {
    struct SumsParams { rows: u32, quads: u32, top: f32 }
}

/// The uniform over x.
fn params(x: &TensorType, through: Option<QuantiseBackward>) -> SumsParams {
    SumsParams { rows: x.rows() as u32, quads: x.quads() as u32, top: through.map_or(0.0, |op| op.top) }
}

/// Checks x, coefficients and dz, or dy with its scale.
fn infer(inputs: &[&TensorType], through: Option<QuantiseBackward>, more: usize) -> Result<TensorType, String> {
    let scaled = through.is_some_and(|op| op.scaled);
    super::arity(inputs, 3 + more + usize::from(scaled))?;
    batch_norm::infer_prologue(&inputs[..2])?;
    super::same("the gradient", inputs[2], &inputs[0].with(F32))?;
    if scaled {
        super::same("the scale", inputs[3 + more], &TensorType::f32(&[1]))?;
    }
    Ok(TensorType::f32(&[2, inputs[0].channels()]))
}

/// Adds what the launches share: x, coefficients and the gradient, through an activation or not, whose scale is the last input.
fn gradient(launch: Launch, inputs: &[&TensorType], through: Option<QuantiseBackward>) -> Launch {
    let mut launch = launch
        .constant("THROUGH", usize::from(through.is_some()))
        .read("x", inputs[0].encoding, Input(0))
        .read("coef", F32, Input(1))
        .read("dz", F32, Input(2))
        .params(&params(inputs[0], through));
    launch.kernel.body.push(include_str!("../../shaders/batch_norm_gradient.wgsl").into());
    match through {
        None => launch,
        Some(op) if op.scaled => op.slope(launch.read("scale", F32, Input(inputs.len() - 1))),
        Some(op) => op.slope(launch),
    }
}

/// Float operations of dz, for each element.
fn gradient_ops(through: Option<QuantiseBackward>) -> usize {
    through.map_or(0, |op| 1 + op.surrogate.ops() + batch_norm::NORMALISE_OPS)
}

/// dz in a twin.
fn gradient_twin<'a>(inputs: &[View<'a>], through: Option<QuantiseBackward>) -> Cow<'a, [f32]> {
    let Some(op) = through else { return inputs[2].numbers() };
    let mut dz = vec![0.0f32; inputs[2].words.len()];
    let scale = op.scaled.then(|| inputs[inputs.len() - 1]);
    let operands: Vec<_> = [inputs[2], inputs[0], inputs[1]].into_iter().chain(scale).collect();
    op.twin(&operands, &mut ViewMut::new(inputs[2].ty, bytemuck::cast_slice_mut(&mut dz)));
    Cow::Owned(dz)
}

impl Operation for BatchNormSums {
    fn stem(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        infer(inputs, self.through, 0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        self.program_with(inputs, &[], caps)
    }

    /// In the kernels' order.
    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (coef, dz) = (inputs[1].numbers(), gradient_twin(inputs, self.through));
        let (lanes, rows) = (inputs[0].ty.lanes(), inputs[0].ty.rows());
        let per_chunk = rows_per_chunk(rows, lanes / LANES);
        let chunks = rows.div_ceil(per_chunk);
        let mut partial = vec![0.0; chunks * 2 * lanes];
        parallel::bands(&mut partial, 2 * lanes, 1, |chunk, sums| {
            let rows = chunk * per_chunk..((chunk + 1) * per_chunk).min(rows);
            simd::run(ChunkSums { x: inputs[0], rows, coef: &coef, dz: &dz, sums });
        });
        let sums = sum::columns(chunks, 2 * lanes, |chunk, sums| {
            sums.iter_mut().zip(&partial[chunk * 2 * lanes..]).for_each(|(sum, part)| *sum += part);
        });
        output.floats().copy_from_slice(&sums);
    }
}

/// (dγ, dβ) of a chunk of rows.
struct ChunkSums<'a> {
    x: View<'a>,
    rows: Range<usize>,
    coef: &'a [f32],
    dz: &'a [f32],
    sums: &'a mut [f32],
}

impl simd::Job for ChunkSums<'_> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) {
        let lanes = self.sums.len() / 2;
        let (mean, unit) = (&self.coef[..lanes], &self.coef[3 * lanes..][..lanes]);
        let (gammas, betas) = self.sums.split_at_mut(lanes);
        let mut x = vec![0.0; lanes];
        for row in self.rows {
            self.x.put_row(row, &mut x);
            let dz = &self.dz[row * lanes..][..lanes];
            for c in 0..lanes {
                gammas[c] += dz[c] * ((x[c] - mean[c]) * unit[c]);
                betas[c] += dz[c];
            }
        }
    }
}

impl BatchNormSums {
    /// The program; rows of the sums that have a tensor of their own, too, each with the node that it is.
    pub(super) fn program_with(&self, inputs: &[&TensorType], rows: &[(usize, Operand)], caps: &Caps) -> Program {
        let x = inputs[0];
        let per_chunk = rows_per_chunk(x.rows(), x.quads());
        let chunks = x.rows().div_ceil(per_chunk);
        let through = if self.through.is_some() { "_through" } else { "" };
        let partial = Launch::new(
            format!("batch_norm_sums_partial{through}"),
            &[include_str!("../../shaders/batch_norm_sums_partial.wgsl")],
        );
        let partial = gradient(partial, inputs, self.through)
            .constant("PER_CHUNK", per_chunk)
            .write("part", F32, Scratch(0))
            .threads(chunks * x.quads())
            .float_ops((5 + gradient_ops(self.through)) * x.len());
        let text = include_str!("../../shaders/batch_norm_sums.wgsl");
        let mut sum = sum::reduction("batch_norm_sums", text, (2 * x.quads(), chunks), caps)
            .constant("PER_CHUNK", per_chunk)
            .read("part", F32, Scratch(0))
            .write("sums", F32, Output)
            .params(&ChunkParams::new(x))
            .float_ops(2 * chunks * x.channels());
        for (index, [constant, name]) in [["ROW_0", "row_0"], ["ROW_1", "row_1"]].into_iter().enumerate() {
            let row = rows.iter().find(|(row, _)| *row == index);
            sum = sum.constant(constant, usize::from(row.is_some()));
            if let Some(&(_, operand)) = row {
                sum = sum.write(name, F32, operand);
            }
        }
        Program { scratch_words: vec![chunks * 2 * x.lanes()], launches: vec![partial, sum] }
    }

    /// Sums and their rows.
    pub(super) fn joint_cases() -> Vec<Case> {
        let rows: [&[usize]; 3] = [&[0, 1], &[1], &[1, 0]];
        let cases = Self::samples().into_iter().zip(rows.into_iter().cycle());
        let cases = cases.map(|(sample, rows)| {
            let sums = sample.inputs.len();
            let rows = rows.iter().map(|&index| (row::Row { index }.into(), vec![sums]));
            let nodes = [(sample.op, (0..sums).collect())].into_iter().chain(rows).collect();
            Case { name: "batch_norm_sums with rows", nodes, inputs: sample.inputs }
        });
        cases.collect()
    }

    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(24);
        let mut samples = Vec::new();
        for mut inputs in batch_norm::prologue_cases(&mut noise) {
            inputs.push(noise.floats(&inputs[0].ty.shape));
            samples.push(Sample::new(BatchNormSums { through: None }, inputs.clone()));
            for surrogate in [Surrogate::Clipped, Surrogate::Polynomial, Surrogate::LogTailed] {
                let op = QuantiseBackward { surrogate, top: 1.25, scaled: surrogate == Surrogate::Clipped };
                let scale = op.scaled.then(|| noise.positive(&[1]));
                let inputs = inputs.iter().cloned().chain(scale).collect();
                samples.push(Sample::new(BatchNormSums { through: Some(op) }, inputs));
            }
        }
        samples
    }
}

impl Operation for BatchNormDx {
    fn stem(&self) -> &'static str {
        "batch_norm_dx"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let sums = infer(inputs, self.through, 1)?;
        super::same("the sums", inputs[3], &sums)?;
        Ok(inputs[2].clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let label = if self.through.is_some() { "batch_norm_dx_through" } else { "batch_norm_dx" };
        let launch = add::per_channel(label, &[include_str!("../../shaders/batch_norm_dx.wgsl")], output, 1.0);
        gradient(launch, inputs, self.through)
            .read("sums", F32, Input(3))
            .write("dx", F32, Output)
            .float_ops((6 + gradient_ops(self.through)) * output.len())
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, coef) = (inputs[0], inputs[1].numbers());
        let (dz, sums) = (gradient_twin(inputs, self.through), inputs[3].numbers());
        let (lanes, rows) = (output.ty.lanes(), output.ty.rows() as f32);
        let (mean, unit, gain) = (&coef[..lanes], &coef[3 * lanes..][..lanes], &coef[4 * lanes..][..lanes]);
        let means: Vec<_> = sums.iter().map(|sum| sum / rows).collect();
        let (along, shift) = means.split_at(lanes);
        parallel::rows(output.floats(), lanes, |row, out| {
            x.put_row(row, out);
            let dz = &dz[row * lanes..][..lanes];
            for c in 0..lanes {
                let normalised = (out[c] - mean[c]) * unit[c];
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
                let super::Op::BatchNormSums(op) = sample.op else { unreachable!("samples of sums") };
                sample.inputs.insert(3, sample.expected());
                Sample::new(BatchNormDx { through: op.through }, sample.inputs)
            })
            .collect()
    }
}
