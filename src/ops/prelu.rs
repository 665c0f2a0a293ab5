//! `prelu`: y = x for x > 0, else a_c·x, with a learned slope a per channel (He et al., 2015); x
//! can be the batch-norm of the stored input.
//!
//! `prelu_backward`: dx = dy for x > 0, else a_c·dy. `prelu_slope`: da_c = Σ dy·min(x, 0). A
//! learned slope may become negative, so y does not determine the sign of x: the backward pass
//! reads x, and reapplies a folded batch-norm instead of keeping its output.
//!
//! **Order of the sum** ([`super::sum`]): chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 rows;
//! their sums in 64 lanes, in chunks of 128, then pairs, then the tree of lanes.

use super::sum::{self, rows_per_chunk};
use super::{Activity, Backward, Fold, Operation, Sample, add, batch_norm, mean, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Initial slope of a channel, as in PyTorch.
pub const START: f32 = 0.25;

/// Rectifier with learned slopes: inputs a `[c]`, x, or a, x and the coefficients of a preceding
/// batch-norm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prelu;

/// Gradient of the input: inputs dy, a, x, or dy, a, x and coefficients; with coefficients, the
/// gradient of the normalised value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PreluBackward;

/// Gradient of the slopes, `[c]`: inputs dy, x, or dy, x and coefficients.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PreluSlope;

crate::params! {
    struct ChunkParams { rows: u32, quads: u32 }
}

impl Operation for Prelu {
    fn stem(&self) -> &'static str {
        "prelu"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs.get(1..).unwrap_or_default())?;
        super::same("the slopes", inputs[0], &TensorType::f32(&[inputs[1].channels()]))?;
        Ok(inputs[1].with(F32))
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 1, trailing: 0 })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, slopes, x) = (cx.dy(), cx.input(0), cx.input(1));
        if cx.needs_gradient(0) {
            let da = cx.add(PreluSlope, &[dy, x])?;
            cx.accumulate(0, da)?;
        }
        if cx.needs_gradient(1) {
            let dx = cx.add(PreluBackward, &[dy, slopes, x])?;
            cx.accumulate(1, dx)?;
        }
        Ok(())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let launch = add::per_channel("prelu", &[include_str!("../../shaders/prelu.wgsl")], output, 1.0);
        let launch = launch.float_ops(2 * output.len()).read("a", F32, Input(0));
        batch_norm::read(launch, self, inputs).write("y", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (a, lanes) = (inputs[0].numbers(), output.ty.lanes());
        batch_norm::Prologue::new(&inputs[1..]).rows(output.floats(), lanes, |_, x, out| {
            for (c, out) in out.iter_mut().enumerate() {
                *out = if x[c] > 0.0 { x[c] } else { a[c] * x[c] };
            }
        });
    }
}

impl Prelu {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(60);
        let mut samples = Vec::new();
        for shape in [[2, 3, 5, 41], [3, 1, 1, 6]] {
            samples.push(Sample::new(Prelu, vec![noise.floats(&shape[3..]), noise.floats(&shape)]));
        }
        for inputs in batch_norm::prologue_cases(&mut noise) {
            let slopes = noise.floats(&[inputs[0].ty.channels()]);
            samples.push(Sample::new(Prelu, [vec![slopes], inputs].concat()));
        }
        samples
    }
}

impl Operation for PreluBackward {
    fn stem(&self) -> &'static str {
        "prelu_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let ty = Prelu.infer(inputs.get(1..).unwrap_or_default())?;
        super::same("the gradient", inputs[0], &ty)?;
        Ok(ty)
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 2, trailing: 0 })
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let text = include_str!("../../shaders/prelu_backward.wgsl");
        let launch = add::per_channel("prelu_backward", &[text], output, 1.0).float_ops(2 * output.len());
        let launch = launch.read("dy", F32, Input(0)).read("a", F32, Input(1));
        batch_norm::read(launch, self, inputs).write("dx", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, a, lanes) = (inputs[0].numbers(), inputs[1].numbers(), output.ty.lanes());
        batch_norm::Prologue::new(&inputs[2..]).rows(output.floats(), lanes, |row, x, out| {
            for (c, out) in out.iter_mut().enumerate() {
                let dy = dy[row * lanes + c];
                *out = if x[c] > 0.0 { dy } else { a[c] * dy };
            }
        });
    }
}

/// Samples of [`Prelu`] with a gradient prepended.
fn with_gradient(seed: u64) -> Vec<Vec<crate::tensor::Tensor>> {
    let mut noise = Noise::new(seed);
    let samples = Prelu::samples().into_iter();
    samples.map(|sample| [vec![noise.floats(&sample.inputs[1].ty.shape)], sample.inputs].concat()).collect()
}

impl PreluBackward {
    pub(super) fn samples() -> Vec<Sample> {
        with_gradient(61).into_iter().map(|inputs| Sample::new(PreluBackward, inputs)).collect()
    }
}

impl Operation for PreluSlope {
    fn stem(&self) -> &'static str {
        "prelu_slope"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs.get(1..).unwrap_or_default())?;
        super::same("the gradient", inputs[0], &inputs[1].with(F32))?;
        Ok(TensorType::f32(&[inputs[1].channels()]))
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 1, trailing: 0 })
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    /// Launches: a sum for each chunk of rows, then the sum of these.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let x = inputs[1];
        let per_chunk = rows_per_chunk(x.rows(), x.quads());
        let chunks = x.rows().div_ceil(per_chunk);
        let text = include_str!("../../shaders/prelu_slope_partial.wgsl");
        let launch =
            Launch::new("prelu_slope_partial", &[text]).constant("PER_CHUNK", per_chunk).float_ops(3 * x.len());
        let partial = batch_norm::read(launch.read("dy", F32, Input(0)), self, inputs)
            .write("part", F32, Scratch(0))
            .params(&ChunkParams { rows: x.rows() as u32, quads: x.quads() as u32 })
            .threads(chunks * x.quads());
        let parts = TensorType::f32(&[chunks, output.channels()]);
        let sum = mean::column_sum("prelu_slope", &parts, Scratch(0), 1.0, caps);
        Program { scratch_words: vec![parts.words()], launches: vec![partial, sum] }
    }

    /// Sums in the kernels' order.
    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, x) = (inputs[0].numbers(), batch_norm::Prologue::new(&inputs[1..]).numbers());
        let (lanes, rows) = (inputs[1].ty.lanes(), inputs[1].ty.rows());
        let per_chunk = rows_per_chunk(rows, inputs[1].ty.quads());
        let sums = sum::columns(rows.div_ceil(per_chunk), lanes, |chunk, sums| {
            for (c, sum) in sums.iter_mut().enumerate() {
                let rows = chunk * per_chunk..((chunk + 1) * per_chunk).min(rows);
                *sum += rows.fold(0.0, |sum, row| sum + dy[row * lanes + c] * x[row * lanes + c].min(0.0));
            }
        });
        output.floats().copy_from_slice(&sums);
    }
}

impl PreluSlope {
    pub(super) fn samples() -> Vec<Sample> {
        let drop_slopes = |mut inputs: Vec<_>| {
            inputs.remove(1);
            Sample::new(PreluSlope, inputs)
        };
        let mut noise = Noise::new(62);
        let many = [5, 17, 13, 6];
        let mut samples: Vec<_> = with_gradient(63).into_iter().map(drop_slopes).collect();
        samples.push(Sample::new(PreluSlope, vec![noise.floats(&many), noise.floats(&many)]));
        samples
    }
}
