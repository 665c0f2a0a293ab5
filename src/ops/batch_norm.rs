//! `batch_norm`: z = γ·(y − mean)/√(var + eps) + β (Ioffe, Szegedy, 2015), in three steps that
//! other kernels can share.
//!
//! `batch_norm_coef` combines statistics, the scale α·Δ of a binary convolution, γ and β into five
//! rows `[5, c]`: mean, slope and shift with z = (x − mean)·slope + shift for the *stored* number x
//! (a float, or a sum s with y = α·Δ·s); unit (x − mean to normalised y) and gain (γ/√(var + eps))
//! for the gradient. `batch_norm` applies the map; quantisers and rectifiers apply it themselves
//! when it is folded into them. `batch_norm_running` updates the running statistics of y by
//! PyTorch's rules (unbiased variance).

mod prologue;

use super::batch_norm_stats::{self, BatchNormStats};
use super::{
    Activity, Backward, Op, Operation, Sample, add, batch_norm_backward, fusion::Case, row::Row, sample::Noise,
};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{
    Launch,
    Operand::{self, *},
    Program,
};
use crate::tensor::{
    Encoding::{F32, I16, I32},
    Tensor, TensorType, View, ViewMut,
};

pub(super) use prologue::{Map, Prologue, tile_rows};

/// Coefficients: inputs statistics `[2, c]`, then α `[c]` if `scaled`, then γ and β `[c]` if
/// `affine`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormCoef {
    /// Added to the variance.
    pub eps: f32,
    /// Step Δ of the quantiser in front of a binary convolution.
    pub step: f32,
    /// Whether stored numbers represent α·Δ times themselves.
    pub scaled: bool,
    /// Whether there are γ and β.
    pub affine: bool,
    /// Whether the statistics are running ones, which are those of y, not of the stored numbers.
    pub running: bool,
}

/// Update of running statistics: inputs running `[2, c]` (in place), statistics of the batch
/// `[2, c]`, α if `scaled`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormRunning {
    /// Weight of the new batch.
    pub momentum: f32,
    /// Number of rows of the batch.
    pub rows: usize,
    /// Step Δ of the quantiser in front of a binary convolution.
    pub step: f32,
    /// Whether stored numbers represent α·Δ times themselves.
    pub scaled: bool,
}

/// Applies the map: inputs x, coefficients.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNorm;

crate::params! {
    struct CoefParams { quads: u32, eps: f32, step: f32 }
}

crate::params! {
    struct RunningParams { quads: u32, momentum: f32, keep: f32, unbiased: f32, step: f32 }
}

crate::params! {
    struct TogetherParams {
        rows: u32, quads: u32, half: u32, eps: f32, step: f32, momentum: f32, keep: f32, unbiased: f32,
    }
}

/// WGSL that updates the running statistics.
const RUNNING: &str = include_str!("../../shaders/batch_norm_running.wgsl");
/// Float operations per channel of the coefficients: the scale and its square, ε, the square root,
/// its inverse, γ.
const COEF_OPS: usize = 6;

/// Statistics, coefficients and, if present, running statistics: the latter two are computed in the
/// launch that finishes the statistics.
pub(super) fn together(
    stats: &BatchNormStats,
    coef: &BatchNormCoef,
    running: Option<&BatchNormRunning>,
    x: &TensorType,
    caps: &Caps,
) -> Program {
    let mut program = stats.program_with(x, caps, |launch| {
        let mut launch = launch.constant("COEF", 1).constant("TRACK", usize::from(running.is_some())).must_be_finite();
        if coef.scaled {
            launch = launch.read("alpha", F32, InputOf(1, 1));
        }
        launch = coef.of(launch, x.channels(), |index| InputOf(1, index), OutputOf(1));
        if running.is_some() {
            launch.kernel.body.push(RUNNING.into());
            launch = launch.write("running", F32, OutputOf(2));
        }
        let momentum = running.map_or(0.0, |running| running.momentum);
        let chunk = batch_norm_stats::ChunkParams::new(x);
        launch.constant("ALONE", 0).params(&TogetherParams {
            rows: chunk.rows,
            quads: chunk.quads,
            half: chunk.half,
            eps: coef.eps,
            step: coef.step,
            momentum,
            keep: 1.0 - momentum,
            unbiased: running.map_or(0.0, BatchNormRunning::unbiased),
        })
    });
    let merge = program.launches.last_mut().expect("the launch that finishes the statistics");
    merge.kernel.label += "_coef";
    merge.float_ops += (COEF_OPS + if running.is_some() { 8 } else { 0 }) * x.channels();
    program
}

/// Float operations of the map per element.
pub(super) const NORMALISE_OPS: usize = 3;

/// Binds the input x of an operation, and the coefficients if a batch-norm is folded in. The
/// launch's own float operations must have been set before.
pub(super) fn read(mut launch: Launch, op: &dyn Operation, inputs: &[&TensorType]) -> Launch {
    let fold = op.folds().expect("an operation that a batch-norm can be folded into");
    let (x, coef) = (inputs[fold.input], fold.coef(inputs.len()));
    if coef.is_some() {
        launch.kernel.label += "_normalised";
        launch.float_ops += NORMALISE_OPS * x.len();
    }
    launch.read_mapped("x", x.encoding, Input(fold.input), coef.map(Input))
}

/// Checks the inputs `x` or `x, coef` of an operation that can apply a batch-norm first.
pub(super) fn infer_prologue(inputs: &[&TensorType]) -> Result<(), String> {
    match inputs {
        [x] => super::float("the input", x),
        [x, coef] => {
            if !matches!(x.encoding, F32 | I16 | I32) {
                return Err(format!("batch-norm reads floats or sums, not {x}"));
            }
            super::same("the coefficients", coef, &TensorType::f32(&[5, x.channels()]))
        }
        _ => Err(format!("expected x, or x and coefficients, got {} inputs", inputs.len())),
    }
}

/// Inputs `x, coef` for samples of operations with this prologue.
pub(super) fn prologue_cases(noise: &mut Noise) -> Vec<Vec<Tensor>> {
    let cases = [([2, 3, 5, 41], F32), ([3, 4, 3, 70], I16), ([1, 2, 3, 5], I32)].into_iter();
    cases.map(|(shape, encoding)| prologue_case(noise, &shape, encoding)).collect()
}

/// Random numbers of this shape, and coefficients from their statistics.
pub(super) fn prologue_case(noise: &mut Noise, shape: &[usize], encoding: crate::tensor::Encoding) -> Vec<Tensor> {
    let x = if encoding == F32 { noise.floats(shape) } else { noise.ints(shape, encoding, 500) };
    let largest = if encoding == F32 { 0 } else { 500 };
    let stats = Op::from(BatchNormStats { largest }).evaluate(&[&x]);
    let coef = BatchNormCoef { eps: 1e-5, step: 1.0, scaled: false, affine: true, running: false };
    let channels = [x.ty.channels()];
    let coef = Op::from(coef).evaluate(&[&stats, &noise.floats(&channels), &noise.floats(&channels)]);
    vec![x, coef]
}

impl Operation for BatchNormCoef {
    fn stem(&self) -> &'static str {
        "batch_norm_coef"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, self.affine_at() + 2 * usize::from(self.affine))?;
        let channels = inputs[0].channels();
        super::same("the statistics", inputs[0], &TensorType::f32(&[2, channels]))?;
        if self.scaled {
            super::same("alpha", inputs[1], &TensorType::f32(&[channels]))?;
        }
        for (name, ty) in ["gamma", "beta"].into_iter().zip(&inputs[self.affine_at()..]) {
            super::same(name, ty, &TensorType::f32(&[channels]))?;
        }
        Ok(TensorType::f32(&[5, channels]))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        // The gradient that batch_norm provides for the coefficients is (dγ, dβ).
        let dy = cx.dy();
        for index in 0..2 * usize::from(self.affine) {
            if cx.needs_gradient(self.affine_at() + index) {
                let gradient = cx.add(Row { index }, &[dy])?;
                cx.accumulate(self.affine_at() + index, gradient)?;
            }
        }
        Ok(())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let mut launch = Launch::new("batch_norm_coef", &[add::ELEMENTWISE])
            .constant("ALONE", 1)
            // 1/√∞ is 0, so an infinite variance would not show in the coefficients.
            .read("stats", F32, Input(0))
            .must_be_finite();
        if self.scaled {
            launch = launch.read("alpha", F32, Input(1));
        }
        let quads = output.quads();
        self.of(launch, output.channels(), Input, Output)
            .params(&CoefParams { quads: quads as u32, eps: self.eps, step: self.step })
            .threads(quads)
            .float_ops(COEF_OPS * output.channels())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (channels, lanes) = (output.ty.channels(), output.ty.lanes());
        let stats = inputs[0].numbers();
        let alpha = self.scaled.then(|| inputs[1].numbers());
        let affine = self.affine.then(|| [0, 1].map(|index| inputs[self.affine_at() + index].numbers()));
        let out = output.floats();
        out.fill(0.0);
        for c in 0..channels {
            let scale = alpha.as_ref().map_or(1.0, |alpha| alpha[c] * self.step);
            let (gamma, beta) = affine.as_ref().map_or((1.0, 0.0), |[gamma, beta]| (gamma[c], beta[c]));
            let (mean, variance) = (stats[c], stats[lanes + c]);
            let (inverse, centre, shift) = if self.running {
                let inverse = 1.0 / (variance + self.eps).sqrt();
                (inverse, 0.0, beta - mean * (gamma * inverse))
            } else {
                (1.0 / (variance * (scale * scale) + self.eps).sqrt(), mean, beta)
            };
            let unit = scale * inverse;
            for (row, value) in [centre, unit * gamma, shift, unit, inverse * gamma].into_iter().enumerate() {
                out[row * lanes + c] = value;
            }
        }
    }
}

impl BatchNormCoef {
    /// Adds `coefficients(quad, mean, variance)` to a launch that reads α if the input is scaled,
    /// and whose uniform holds `quads`, `eps` and `step`.
    fn of(&self, mut launch: Launch, channels: usize, input: impl Fn(usize) -> Operand, coef: Operand) -> Launch {
        launch.kernel.body.push(include_str!("../../shaders/batch_norm_coef.wgsl").into());
        if self.affine {
            let at = self.affine_at();
            launch = launch.read("gamma", F32, input(at)).read("beta", F32, input(at + 1));
        }
        launch
            .constant("ALPHA", usize::from(self.scaled))
            .constant("AFFINE", usize::from(self.affine))
            .constant("RUNNING", usize::from(self.running))
            .constant("CHANNELS", channels)
            .write("coef", F32, coef)
            .must_be_finite()
    }

    /// Index of γ among the inputs; β follows it.
    fn affine_at(&self) -> usize {
        1 + usize::from(self.scaled)
    }

    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(21);
        let mut samples = Vec::new();
        for case in 0..8 {
            let (scaled, affine, running) = (case & 1 == 1, case & 2 == 2, case & 4 == 4);
            let mut inputs = vec![noise.positive(&[2, 41])];
            if scaled {
                inputs.push(noise.positive(&[41]));
            }
            if affine {
                inputs.extend([noise.floats(&[41]), noise.floats(&[41])]);
            }
            samples.push(Sample::new(BatchNormCoef { eps: 1e-5, step: 0.538, scaled, affine, running }, inputs));
        }
        samples
    }
}

impl Operation for BatchNormRunning {
    fn stem(&self) -> &'static str {
        "batch_norm_running"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2 + usize::from(self.scaled))?;
        super::same("the statistics", inputs[1], inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.quads();
        let params = RunningParams {
            quads: quads as u32,
            momentum: self.momentum,
            keep: 1.0 - self.momentum,
            unbiased: self.unbiased(),
            step: self.step,
        };
        let launch = Launch::new("batch_norm_running", &[add::ELEMENTWISE, RUNNING])
            .constant("ALONE", 1)
            .constant("ALPHA", usize::from(self.scaled))
            .read("stats", F32, Input(1));
        let launch = if self.scaled { launch.read("alpha", F32, Input(2)) } else { launch };
        launch.write("running", F32, Output).params(&params).threads(quads).float_ops(4 * output.len()).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let lanes = output.ty.lanes();
        let (old, stats) = (inputs[0].numbers(), inputs[1].numbers());
        let alpha = self.scaled.then(|| inputs[2].numbers());
        let keep = 1.0 - self.momentum;
        for (c, out) in output.floats().iter_mut().enumerate() {
            let scale = alpha.as_ref().map_or(1.0, |alpha| alpha[c % lanes] * self.step);
            let new = if c < lanes { stats[c] * scale } else { stats[c] * (scale * scale) * self.unbiased() };
            *out = old[c] * keep + new * self.momentum;
        }
    }
}

impl BatchNormRunning {
    /// P/(P − 1): converts the biased variance of a batch to the unbiased one of PyTorch.
    fn unbiased(&self) -> f32 {
        self.rows as f32 / (self.rows as f32 - 1.0).max(1.0)
    }

    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(22);
        let samples = [false, true].into_iter();
        samples
            .map(|scaled| {
                let mut inputs = vec![noise.positive(&[2, 41]), noise.positive(&[2, 41])];
                if scaled {
                    inputs.push(noise.positive(&[41]));
                }
                Sample::new(BatchNormRunning { momentum: 0.1, rows: 30, step: 0.538, scaled }, inputs)
            })
            .collect()
    }
}

/// Statistics fused with coefficients: of floats and of sums, with and without running statistics.
pub(super) fn fused_cases() -> Vec<Case> {
    let mut noise = Noise::new(25);
    let mut cases = Vec::new();
    for sample in BatchNormStats::samples() {
        for (scaled, affine, running) in
            [(false, true, true), (true, false, true), (true, true, true), (false, false, false)]
        {
            let (x, channels) = (&sample.inputs[0], sample.inputs[0].ty.channels());
            let mut inputs = vec![x.clone(), noise.positive(&[2, channels])];
            // After x and the running statistics come α, γ and β, then the statistics.
            let alpha = scaled.then(|| inputs.push(noise.positive(&[channels]))).map(|()| 2);
            let affine_at = inputs.len();
            if affine {
                inputs.extend([noise.floats(&[channels]), noise.floats(&[channels])]);
            }
            let stats = inputs.len();
            let coef = BatchNormCoef { eps: 1e-5, step: 0.538, scaled, affine, running: false };
            let mut nodes = vec![
                (sample.op.clone(), vec![0]),
                (coef.into(), [stats].into_iter().chain(alpha).chain(affine_at..stats).collect()),
            ];
            if running {
                let op = BatchNormRunning { momentum: 0.1, rows: x.ty.rows(), step: 0.538, scaled };
                nodes.push((op.into(), [1, stats].into_iter().chain(alpha).collect()));
            }
            cases.push(Case { name: "batch_norm_stats with coefficients", nodes, inputs });
        }
    }
    cases
}

impl Operation for BatchNorm {
    fn stem(&self) -> &'static str {
        "batch_norm"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        infer_prologue(inputs)?;
        Ok(inputs[0].with(F32))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (x, coef, dz) = (cx.input(0), cx.input(1), cx.dy());
        let sums = cx.add(batch_norm_backward::BatchNormSums { through: None, unpool: None }, &[x, coef, dz])?;
        if cx.needs_gradient(1) {
            cx.accumulate(1, sums)?;
        }
        if cx.needs_gradient(0) {
            let dx = cx.add(
                batch_norm_backward::BatchNormDx { through: None, unpool: None, plus: false, in_place: false },
                &[x, coef, dz, sums],
            )?;
            cx.accumulate(0, dx)?;
        }
        Ok(())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::per_channel("batch_norm", &[include_str!("../../shaders/batch_norm.wgsl")], output, 1.0)
            .float_ops(NORMALISE_OPS * output.len())
            .read_mapped("x", inputs[0].encoding, Input(0), Some(Input(1)))
            .write("y", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        Prologue::new(inputs).put_numbers(output.floats());
    }
}

impl BatchNorm {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = prologue_cases(&mut Noise::new(23)).into_iter();
        cases.map(|inputs| Sample::new(BatchNorm, inputs)).collect()
    }
}
