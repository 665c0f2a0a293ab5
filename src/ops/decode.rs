//! `decode`: the float tensor that an encoded one represents: Δ·code, ±1 or a level for codes,
//! times a learned scale if there is one; α_k·Δ·s for sums of a packed convolution.
//!
//! Needed only if a float layer reads codes or sums. The gradient is dy itself: by convention, the
//! gradient of an encoded tensor is that of the tensor that it represents.

use super::code::{self, Code};
use super::{Backward, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{F32, I16, I32, Planes},
    TensorType, View, ViewMut,
};

/// Decodes: inputs codes, then a scale `[1]` if it is learned; or sums and α.
#[derive(Clone, PartialEq, Debug)]
pub struct Decode {
    /// Values that the codes represent; for sums, their step.
    pub code: Code,
}

impl Decode {
    /// Decodes uniform codes with step Δ, or sums of such codes.
    pub fn uniform(step: f32) -> Self {
        Self { code: Code::Uniform(step) }
    }
}

const DECODE: &str = include_str!("../../shaders/decode.wgsl");
/// WGSL that unpacks a quad of codes.
pub(super) const CODES: &str = include_str!("../../shaders/codes.wgsl");

impl Operation for Decode {
    fn stem(&self) -> &'static str {
        "decode"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs.first().map(|x| x.encoding) {
            Some(Planes(bits)) => {
                self.code.check(bits)?;
                if inputs.len() == 2 {
                    super::same("the scale", inputs[1], &TensorType::f32(&[1]))?;
                } else {
                    super::arity(inputs, 1)?;
                }
            }
            Some(I16 | I32) => {
                super::arity(inputs, 2)?;
                super::same("alpha", inputs[1], &TensorType::f32(&[inputs[0].channels()]))?;
            }
            _ => return Err(format!("expected codes or sums, got {inputs:?}")),
        }
        Ok(inputs[0].with(F32))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        cx.accumulate(0, dy)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let bits = if let Planes(bits) = inputs[0].encoding { bits as usize } else { 0 };
        let scaled = bits > 0 && inputs.len() == 2;
        let (label, parts): (_, &[_]) = match bits {
            0 => ("decode_sums", &[DECODE]),
            _ => ("decode_codes", &[DECODE, CODES, code::VALUES]),
        };
        let launch = add::per_channel(label, parts, output, self.code.step())
            .constant("SUMS", usize::from(bits == 0))
            .constant("SCALED", usize::from(scaled));
        let launch = if bits == 0 { launch } else { self.code.constants(launch, bits, output.channels()) };
        let launch = launch.read("x", inputs[0].encoding, Input(0));
        let launch = match (bits, scaled) {
            (0, _) => launch.read("alpha", F32, Input(1)),
            (_, true) => launch.read("factor", F32, Input(1)),
            _ => launch,
        };
        launch.write("y", F32, Output).float_ops(output.len()).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, step, lanes) = (inputs[0], self.code.step(), output.ty.lanes());
        if let Planes(_) = x.ty.encoding {
            let step = inputs.get(1).map_or(step, |scale| step * scale.numbers()[0]);
            self.code.put_values(x, step, output.floats());
        } else {
            let (sums, alpha) = (x.numbers(), inputs[1].numbers());
            parallel::rows(output.floats(), lanes, |row, out| {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = sums[row * lanes + c] * (alpha[c] * step);
                }
            });
        }
    }
}

impl Decode {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(14);
        let mut samples = Vec::new();
        for encoding in [I16, I32] {
            let sums = noise.ints(&[2, 3, 5, 41], encoding, 3000);
            samples.push(Sample::new(Decode::uniform(0.538), vec![sums, noise.positive(&[41])]));
        }
        for bits in 1..=4 {
            let codes = noise.ints(&[3, 2, 3, 41], Planes(bits), 0);
            samples.push(Sample::new(Decode::uniform(0.3217), vec![codes.clone()]));
            samples.push(Sample::new(Decode::uniform(0.25), vec![codes.clone(), noise.positive(&[1])]));
            let levels = (1..1 << bits).map(|i| (i * i) as f32 * 0.1).collect();
            let levels = Decode { code: Code::Levels(levels) };
            samples.push(Sample::new(levels.clone(), vec![codes.clone()]));
            samples.push(Sample::new(levels, vec![codes, noise.positive(&[1])]));
        }
        samples.push(Sample::new(Decode { code: Code::Sign }, vec![noise.ints(&[3, 2, 3, 41], Planes(1), 0)]));
        samples
    }
}
