//! `activation`: y = f(x), or f(z) with z the batch-norm of x, for a function f of
//! [`CURVES`]. `activation_backward`: dx = dy · f′, f′ computed from y or, where
//! f is not monotonic, from x or z.

use super::curve::{CURVES, Curve, Reads, TOLERANCE, TOP};
use super::{Backward, Fold, Op, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// Inputs x, or x and a batch-norm's coefficients that are applied first.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Activation {
    /// f.
    pub curve: Curve,
}

/// Its gradient: inputs dy and y, or dy, x and coefficients if there are any. With a batch-norm
/// folded in, the gradient of the normalised value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ActivationBackward {
    /// f.
    pub curve: Curve,
}

crate::params! {
    struct CurveParams { rows: u32, quads: u32, channels: u32, number: f32 }
}

const ACTIVATION: &str = include_str!("../../shaders/activation.wgsl");
const BACKWARD: &str = include_str!("../../shaders/activation_backward.wgsl");

/// A launch over all quads of `ty` that computes f, or f′.
fn launch(curve: Curve, part: &'static str, ty: &TensorType, derivative: bool) -> Launch {
    let stem = if derivative { "activation_backward" } else { "activation" };
    let params = CurveParams {
        rows: ty.rows() as u32,
        quads: ty.quads() as u32,
        channels: ty.channels() as u32,
        number: curve.number,
    };
    let launch = add::per_channel(format!("{stem}_{}", curve.row().name), &[part], ty, 1.0);
    curve
        .declare(launch, derivative)
        .params(&params)
        .float_ops(curve.row().float_ops[usize::from(derivative)] * ty.len())
}

impl Operation for Activation {
    fn stem(&self) -> &'static str {
        "activation"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs)?;
        self.curve.check()?;
        Ok(inputs[0].with(F32))
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 0, trailing: 0 })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let of = match self.curve.row().reads {
            Reads::Output => vec![cx.output()],
            Reads::Input => cx.inputs().to_vec(),
        };
        let dy = cx.dy();
        let dx = cx.add(ActivationBackward { curve: self.curve }, &[vec![dy], of].concat())?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let launch = launch(self.curve, ACTIVATION, output, false);
        let launch = launch.constant("MOVES_ZERO", usize::from(self.curve.moves_zero()));
        batch_norm::read(launch, self, inputs).must_be_finite().write("y", F32, Output).into()
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        TOLERANCE
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (lanes, channels) = (output.ty.lanes(), output.ty.channels());
        batch_norm::Prologue::new(inputs).rows(output.floats(), lanes, |_, x, out| {
            let (out, padding) = out.split_at_mut(channels);
            out.copy_from_slice(&x[..channels]);
            self.curve.values(out);
            padding.fill(0.0);
        });
    }
}

/// Every function with its default.
fn curves() -> impl Iterator<Item = Curve> {
    CURVES.iter().map(Curve::from)
}

/// Values on and beside the kinks, and values so large that e^x overflows or vanishes.
fn edges() -> Tensor {
    let mut values = vec![0.0, -0.0, f32::MIN_POSITIVE, -1e-6, 1e-6, 0.01, -0.01, 20.0, -20.0, 100.0, -100.0, 1e4];
    for at in [TOP, 1.0, -1.0] {
        values.extend([at, f32::from_bits(at.to_bits() + 1), f32::from_bits(at.to_bits() - 1)]);
    }
    Tensor::from_f32(&[1, 1, 1, values.len()], &values)
}

impl Activation {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(17);
        let mut samples = Vec::new();
        for curve in curves() {
            let op = Activation { curve };
            samples.push(Sample::new(op, vec![noise.floats(&[2, 3, 5, 41])]));
            samples.push(Sample::new(op, vec![edges()]));
            let cases = batch_norm::prologue_cases(&mut noise).into_iter();
            samples.extend(cases.map(|inputs| Sample::new(op, inputs)));
        }
        samples
    }
}

impl Operation for ActivationBackward {
    fn stem(&self) -> &'static str {
        "activation_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [dy, of @ ..] = inputs else { return Err("a gradient expected, not 0 inputs".to_string()) };
        super::float("the gradient", dy)?;
        match self.curve.row().reads {
            Reads::Output => super::arity(inputs, 2).and_then(|()| super::float("the output", of[0]))?,
            Reads::Input => batch_norm::infer_prologue(of)?,
        }
        super::same("the gradient", dy, &of[0].with(F32))?;
        self.curve.check()?;
        Ok((*dy).clone())
    }

    fn folds(&self) -> Option<Fold> {
        (self.curve.row().reads == Reads::Input).then_some(Fold { input: 1, trailing: 0 })
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let by_input = self.curve.row().reads == Reads::Input;
        let launch = launch(self.curve, BACKWARD, output, true).constant("BY_INPUT", usize::from(by_input));
        let launch = launch.read("dy", F32, Input(0));
        let launch = if by_input { batch_norm::read(launch, self, inputs) } else { launch.read("y", F32, Input(1)) };
        launch.write("dx", F32, Output).into()
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        TOLERANCE
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, lanes) = (inputs[0].numbers(), output.ty.lanes());
        batch_norm::Prologue::new(&inputs[1..]).rows(output.floats(), lanes, |row, of, out| {
            out.copy_from_slice(&of[..lanes]);
            self.curve.slopes(out);
            // The gradient of padding is 0, whatever its slope.
            out.iter_mut().zip(&dy[row * lanes..]).for_each(|(out, dy)| *out *= dy);
        });
    }
}

impl ActivationBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(18);
        let mut samples = Vec::new();
        for curve in curves() {
            let op = ActivationBackward { curve };
            for x in [noise.floats(&[2, 3, 5, 41]), edges()] {
                let dy = noise.floats(&x.ty.shape);
                let of = match curve.row().reads {
                    Reads::Output => Op::from(Activation { curve }).evaluate(&[&x]),
                    Reads::Input => x,
                };
                samples.push(Sample::new(op, vec![dy, of]));
            }
            if curve.row().reads == Reads::Input {
                for inputs in batch_norm::prologue_cases(&mut noise) {
                    let dy = noise.floats(&inputs[0].ty.shape);
                    samples.push(Sample::new(op, [vec![dy], inputs].concat()));
                }
            }
        }
        samples
    }
}
