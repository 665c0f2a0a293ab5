//! `quantise_backward`: dx = dy · Q̃′(x), Q̃ the surrogate of a quantiser. `quantise_scale`: the
//! terms of the gradient of the learned scale s, one per element, to be summed afterwards: for
//! PACT, dy above s; for LSQ and RCF, dy·(level − x/s) inside and dy·(top level) above, with levels
//! in units of s; for LSQ divided by √(N·n). See [`super::quantise`].

use super::code::Code;
use super::quantise::{CODE_OF, QuantiseParams, SURROGATES, Scale, Surrogate, infer, kinds, operands, params, split};
use super::{Fold, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::simd::{self, Simd};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};
use std::ops::Range;

/// Gradient of x: inputs dy, then x, coefficients and scale as for the quantiser; with
/// coefficients, the gradient of the normalised value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QuantiseBackward {
    /// Function whose derivative replaces that of the quantiser.
    pub surrogate: Surrogate,
    /// The top level, in units of the scale.
    pub top: f32,
    /// Whether there is a scale.
    pub scaled: bool,
}

/// Terms of the gradient of the scale, one per element: inputs dy, x, coefficients if there are
/// any, scale.
#[derive(Clone, PartialEq, Debug)]
pub struct QuantiseScale {
    /// Thresholds of the quantiser, in ascending order, each midway between two levels, of which the
    /// lowest is 0.
    pub thresholds: Vec<f32>,
    /// Gradient rule of the scale.
    pub scale: Scale,
    /// Number of images of the step if these rows are only a micro-batch of it; `None` if they are
    /// the whole step.
    pub of: Option<usize>,
}

/// A launch over `dy` that reads x, coefficients and scale as the quantiser does, with `ops` float
/// operations per element.
fn backward_launch(
    op: &dyn Operation,
    part: &'static str,
    inputs: &[&TensorType],
    scaled: bool,
    (params, ops): (&QuantiseParams, usize),
) -> Launch {
    let launch = add::per_channel(op.stem(), &[part], inputs[0], 1.0)
        .params(params)
        .float_ops(ops * inputs[0].len())
        .read("dy", F32, Input(0));
    let launch = batch_norm::read(launch, op, inputs);
    if scaled { launch.read("scale", F32, Input(inputs.len() - 1)) } else { launch }
}

impl Operation for QuantiseBackward {
    fn stem(&self) -> &'static str {
        "quantise_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        infer(inputs.get(1..).unwrap_or_default(), self.scaled)?;
        super::same("the gradient", inputs[0], &inputs[1].with(F32))?;
        Ok(inputs[0].clone())
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 1, trailing: usize::from(self.scaled) })
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let params = params(output, &[], self.top, 1.0);
        let part = include_str!("../../shaders/quantise_backward.wgsl");
        let work = (&params, 1 + self.surrogate.ops());
        self.slope(backward_launch(self, part, inputs, self.scaled, work)).write("dx", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (inputs, scale) = split(inputs, self.scaled);
        let (dy, lanes, top) = (inputs[0].numbers(), output.ty.lanes(), self.top * scale);
        let x = &batch_norm::Prologue::new(&inputs[1..]);
        parallel::bands(output.floats(), lanes, batch_norm::tile_rows(lanes), |first, dx| {
            let dy = &dy[first * lanes..][..dx.len()];
            simd::run(Slopes { x, surrogate: self.surrogate, top, dy, rows: first..first + dx.len() / lanes, dx });
        });
    }
}

/// Computes dx of a tile of rows.
struct Slopes<'a> {
    x: &'a batch_norm::Prologue<'a>,
    surrogate: Surrogate,
    top: f32,
    dy: &'a [f32],
    rows: Range<usize>,
    dx: &'a mut [f32],
}

impl simd::Job for Slopes<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, surrogate, top, dy, rows, dx } = self;
        let mut buffer = Vec::new();
        let x = x.tile(simd, rows, &mut buffer).chunks(S::F32_LANES);
        for ((dx, x), dy) in dx.chunks_mut(S::F32_LANES).zip(x).zip(dy.chunks(S::F32_LANES)) {
            let slopes = surrogate.slopes(simd, top, simd::load(simd, x));
            simd::store(simd, simd.mul_f32s(simd::load(simd, dy), slopes), dx);
        }
    }
}

impl QuantiseBackward {
    /// The gradient of a rectifier, whose slope is that of the vanilla surrogate.
    pub const RECTIFIER: Self = Self { surrogate: Surrogate::Vanilla, top: 1.0, scaled: false };

    /// Adds `slope(z)` to a launch whose uniform holds `top` and which reads `scale` if there is
    /// one.
    pub(super) fn slope(&self, mut launch: Launch) -> Launch {
        launch.kernel.body.push(include_str!("../../shaders/quantise_slope.wgsl").into());
        let launch = launch.constant("SCALED", usize::from(self.scaled));
        SURROGATES
            .into_iter()
            .fold(launch, |launch, (name, kind)| launch.constant(name, usize::from(kind == self.surrogate)))
    }

    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(31);
        let mut samples = Vec::new();
        for op in kinds() {
            for inputs in operands(&op, &mut noise) {
                let dy = noise.floats(&inputs[0].ty.shape);
                let op = QuantiseBackward { surrogate: op.surrogate, top: op.top, scaled: op.scale.is_some() };
                samples.push(Sample::new(op, [vec![dy], inputs].concat()));
            }
        }
        samples
    }
}

impl QuantiseScale {
    /// The factor of LSQ's gradient, 1/√(N·n), with N the number of elements of all images of the
    /// step; otherwise 1.
    fn factor(&self, terms: &TensorType) -> f32 {
        let len = self.of.map_or(terms.len(), |images| terms.len() / terms.shape[0] * images);
        match self.scale {
            Scale::Pact | Scale::Rcf => 1.0,
            Scale::Lsq => 1.0 / ((len * self.thresholds.len()) as f32).sqrt(),
        }
    }

    /// The levels in units of the scale. Those of LSQ are the codes; PACT's rule uses none.
    fn levels(&self) -> Code {
        let mut below = 0.0;
        let mut above = |threshold: &f32| {
            below = 2.0 * threshold - below;
            below
        };
        match self.scale {
            Scale::Pact | Scale::Lsq => Code::Uniform(1.0),
            Scale::Rcf => Code::Levels(self.thresholds.iter().map(&mut above).collect()),
        }
    }

    /// The largest code.
    fn largest_code(&self) -> u32 {
        self.thresholds.len() as u32
    }
}

impl Operation for QuantiseScale {
    fn stem(&self) -> &'static str {
        "quantise_scale"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        infer(inputs.get(1..).unwrap_or_default(), true)?;
        super::same("the gradient", inputs[0], &inputs[1].with(F32))?;
        Ok(inputs[0].clone())
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 1, trailing: 1 })
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let levels = self.levels();
        let top = levels.unit_value(self.largest_code());
        let params = params(output, &self.thresholds, top, self.factor(output));
        let part = include_str!("../../shaders/quantise_scale.wgsl");
        let launch = backward_launch(self, part, inputs, true, (&params, 3 + self.thresholds.len()));
        let bits = (u32::BITS - self.largest_code().leading_zeros()) as usize;
        let mut kernel = levels
            .constants(launch, bits, output.channels())
            .constant("SCALED", 1)
            .constant("PACT", usize::from(self.scale == Scale::Pact))
            .constant("AT_LEAST", 0)
            .constant("THRESHOLDS", self.thresholds.len());
        kernel.kernel.body.push(CODE_OF.into());
        kernel.write("terms", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (inputs, s) = split(inputs, true);
        let (dy, lanes) = (inputs[0].numbers(), output.ty.lanes());
        let (levels, factor, channels) = (self.levels(), self.factor(output.ty), output.ty.channels());
        let top = levels.unit_value(self.largest_code());
        let level = |x: f32| levels.unit_value(self.thresholds.iter().filter(|&&t| x > t * s).count() as u32);
        batch_norm::Prologue::new(&inputs[1..]).rows(output.floats(), lanes, |row, x, out| {
            out.fill(0.0);
            for (c, out) in out[..channels].iter_mut().enumerate() {
                let x = x[c];
                let slope = match self.scale {
                    Scale::Pact => f32::from(x > s),
                    Scale::Lsq | Scale::Rcf if x <= 0.0 => 0.0,
                    Scale::Lsq | Scale::Rcf if x >= top * s => top,
                    Scale::Lsq | Scale::Rcf => level(x) - x / s,
                };
                *out = dy[row * lanes + c] * slope * factor;
            }
        });
    }

    /// x/s − level suffers cancellation: a division on a device may be off by 2.5 ULP of x/s, which
    /// is up to 15.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        5e-5
    }
}

impl QuantiseScale {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(32);
        let mut samples = Vec::new();
        for op in kinds() {
            let Some(scale) = op.scale else { continue };
            for inputs in operands(&op, &mut noise) {
                let dy = noise.floats(&inputs[0].ty.shape);
                let of = (scale == Scale::Lsq && inputs.len() > 2).then_some(12);
                let op = QuantiseScale { thresholds: op.thresholds.clone(), scale, of };
                samples.push(Sample::new(op, [vec![dy], inputs].concat()));
            }
        }
        samples
    }
}
