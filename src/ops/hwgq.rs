//! `hwgq`: the half-wave Gaussian quantiser (Cai, He, Sun, Vasconcelos, 2017, arXiv 1702.00953), uniform levels, quantised and packed in one kernel.
//!
//! Q(x) = 0 for x ≤ 0, else Δ·code, code = number of thresholds below x: t_1 = 0, t_i = (i − ½)·Δ for i = 2 … 2^b − 1. Every x > 0, however small, becomes at
//! least Δ; bins are closed on the right. Codes are exact for a given x. `hwgq_backward`: dx = dy · Q̃′(x), Q̃ a surrogate.

use super::{Activity, Backward, Operation, Sample, add, batch_norm, sample::Noise};
use crate::bits;
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::model::Surrogate;
use crate::parallel;
use crate::tensor::{
    Encoding::{F32, Planes},
    Tensor, TensorType, View, ViewMut,
};

/// The steps Δ for 1 to 4 bits that "uniform" means: Lloyd-optimal for the half-wave Gaussian, with the authors' rounding at 2 and 3 bits.
pub const UNIFORM_STEPS: [f32; 4] = [0.797_884_6, 0.538, 0.3217, 0.184_243_34];

/// Quantiser: inputs x, or x and a batch-norm's coefficients that are applied first. Output: codes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hwgq {
    /// 1 to 4.
    pub bits: u8,
    /// Δ.
    pub step: f32,
    /// Whose derivative stands in for the quantiser's.
    pub surrogate: Surrogate,
}

/// Its gradient: inputs dy, x, or dy, x and coefficients; then it is the gradient of the normalised value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HwgqBackward {
    /// Whose derivative stands in for the quantiser's.
    pub surrogate: Surrogate,
    /// q_m = (2^b − 1)·Δ.
    pub top: f32,
}

impl Hwgq {
    /// The uniform quantiser of 1 to 4 bits.
    pub fn uniform(bits: u8, surrogate: Surrogate) -> Self {
        Self { bits, step: UNIFORM_STEPS[bits as usize - 1], surrogate }
    }

    /// The largest level q_m.
    pub fn top(&self) -> f32 {
        f32::from((1u8 << self.bits) - 1) * self.step
    }

    /// The code of a value.
    pub fn code(&self, x: f32) -> u32 {
        let inner = (1u32 << self.bits) - 2;
        u32::from(x > 0.0) + (0..inner).map(|i| u32::from(x > (i as f32 + 1.5) * self.step)).sum::<u32>()
    }
}

/// Q̃(x): the function whose derivative the backward pass takes.
pub fn surrogate(kind: Surrogate, top: f64, x: f64) -> f64 {
    match kind {
        Surrogate::Identity => x,
        Surrogate::Vanilla => x.max(0.0),
        Surrogate::Clipped => x.clamp(0.0, top),
        Surrogate::LogTailed if x > top => top + (x - (top - 1.0)).ln(),
        Surrogate::LogTailed => x.max(0.0),
    }
}

/// Q̃′(x), 0 at 0 and 1 at q_m.
fn slope(kind: Surrogate, top: f32, x: f32) -> f32 {
    match kind {
        Surrogate::Identity => 1.0,
        Surrogate::Vanilla => f32::from(x > 0.0),
        Surrogate::Clipped => f32::from(x > 0.0 && x <= top),
        Surrogate::LogTailed if x > top => 1.0 / (x - (top - 1.0)).max(1.0),
        Surrogate::LogTailed => f32::from(x > 0.0),
    }
}

const ROWS: usize = 4;

crate::params! {
    struct HwgqParams { rows: u32, quads: u32, step: f32 }
}

impl Operation for Hwgq {
    fn stem(&self) -> &'static str {
        "hwgq"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs)?;
        if !(1..=4).contains(&self.bits) {
            return Err(format!("hwgq has 1 to 4 bits, not {}", self.bits));
        }
        Ok(inputs[0].with(Planes(self.bits)))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (x, dy) = (cx.input(0), cx.dy());
        let dx = cx.add(HwgqBackward { surrogate: self.surrogate, top: self.top() }, &[dy, x])?;
        cx.give(0, dx)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let normalised = inputs.len() == 2;
        let mut body = vec![include_str!("../../shaders/hwgq.wgsl")];
        if normalised {
            body.push(batch_norm::NORMALISE);
        }
        let params = HwgqParams { rows: output.rows() as u32, quads: output.quads() as u32, step: self.step };
        let launch = Launch::new(if normalised { "hwgq_normalised" } else { "hwgq" }, &body)
            .constant("NORMALISED", usize::from(normalised))
            .constant("ROWS", ROWS)
            .constant("BITS", self.bits as usize)
            .constant("INNER_LEVELS", (1 << self.bits) - 2)
            .read("x", inputs[0].encoding, Input(0));
        let launch = if normalised { launch.read("coef", F32, Input(1)) } else { launch };
        launch
            .write("y", output.encoding, Output)
            .params(&params)
            .threads(output.rows().div_ceil(ROWS) * output.plane_words())
            .float_ops(output.len() * ((1 << self.bits) - 1 + if normalised { batch_norm::NORMALISE_OPS } else { 0 }))
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, ty) = (batch_norm::Prologue::new(inputs), output.ty);
        parallel::rows(output.words, ty.row_words(), |row, words| {
            words.fill(0);
            for c in 0..ty.channels() {
                bits::set_code(words, ty.plane_words(), self.bits, c, self.code(x.at(row, c)));
            }
        });
    }
}

/// Values on and beside the thresholds and the top level, where an off-by-one would show.
fn edges(step: f32, levels: usize) -> Tensor {
    let mut values = vec![0.0, -0.0, f32::MIN_POSITIVE, -1.0, 100.0];
    for i in 0..levels {
        for at in [(i as f32 + 0.5) * step, (i as f32 + 1.0) * step] {
            values.extend([at, f32::from_bits(at.to_bits() + 1), f32::from_bits(at.to_bits() - 1)]);
        }
    }
    Tensor::from_f32(&[1, 1, 1, values.len()], &values)
}

const SURROGATES: [Surrogate; 4] = [Surrogate::Identity, Surrogate::Vanilla, Surrogate::Clipped, Surrogate::LogTailed];

impl Hwgq {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(30);
        let mut samples = Vec::new();
        for bits in 1..=4 {
            let op = Hwgq::uniform(bits, Surrogate::Clipped);
            samples.push(Sample::new(op, vec![noise.floats(&[2, 3, 5, 41])]));
            samples.push(Sample::new(op, vec![edges(op.step, (1 << bits) - 1)]));
            let cases = batch_norm::prologue_cases(&mut noise).into_iter();
            samples.extend(cases.map(|inputs| Sample::new(op, inputs)));
        }
        samples
    }
}

impl Operation for HwgqBackward {
    fn stem(&self) -> &'static str {
        "hwgq_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs.get(1..).unwrap_or_default())?;
        super::same("the gradient", inputs[0], &inputs[1].with(F32))?;
        Ok(inputs[0].clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let normalised = inputs.len() == 3;
        let mut parts = vec![include_str!("../../shaders/hwgq_backward.wgsl")];
        if normalised {
            parts.push(batch_norm::NORMALISE);
        }
        let label = if normalised { "hwgq_backward_normalised" } else { "hwgq_backward" };
        let mut launch = add::per_channel(label, &parts, output, self.top)
            .constant("NORMALISED", usize::from(normalised))
            .read("dy", F32, Input(0))
            .read("x", inputs[1].encoding, Input(1));
        for (name, kind) in ["IDENTITY", "VANILLA", "CLIPPED", "LOG_TAILED"].into_iter().zip(SURROGATES) {
            launch = launch.constant(name, usize::from(kind == self.surrogate));
        }
        let launch = if normalised { launch.read("coef", F32, Input(2)) } else { launch };
        let slope_ops = match self.surrogate {
            Surrogate::Identity => 0,
            Surrogate::Vanilla => 1,
            Surrogate::Clipped => 2,
            Surrogate::LogTailed => 5,
        };
        let ops = 1 + slope_ops + if normalised { batch_norm::NORMALISE_OPS } else { 0 };
        launch.write("dx", F32, Output).float_ops(ops * output.len()).into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, x, lanes) = (inputs[0].numbers(), batch_norm::Prologue::new(&inputs[1..]), output.ty.lanes());
        parallel::rows(output.floats(), lanes, |row, out| {
            for (c, out) in out.iter_mut().enumerate() {
                *out = dy[row * lanes + c] * slope(self.surrogate, self.top, x.at(row, c));
            }
        });
    }
}

impl HwgqBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(31);
        let mut samples = Vec::new();
        for surrogate in SURROGATES {
            let op = HwgqBackward { surrogate, top: 1.614 };
            for x in [noise.floats(&[2, 3, 5, 41]), edges(0.538, 3)] {
                samples.push(Sample::new(op, vec![noise.floats(&x.ty.shape), x]));
            }
            for inputs in batch_norm::prologue_cases(&mut noise) {
                let dy = noise.floats(&inputs[0].ty.shape);
                samples.push(Sample::new(op, [vec![dy], inputs].concat()));
            }
        }
        samples
    }
}
