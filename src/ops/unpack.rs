//! `unpack`: the float weight that sign planes represent, for a convolution over floats, where bits
//! cannot be counted.
//!
//! signs `[r, s, ⌈c/32⌉·J, k]` and α (`[k]`, or `[J, k]` for bases) → W̃ `[r, s, 4⌈c/4⌉, k]` with
//! zero rows in its padding. The gradient of W̃ is the gradient of the weight that the signs
//! represent.

use super::code::SignPlanes;
use super::{Activity, Backward, Operation, Sample, add, bconv, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    LANES, TensorType, View, ViewMut, WORD_BITS,
};

/// Float weight: inputs signs, α.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unpack {
    /// Input channels without padding.
    pub channels: usize,
    /// Values that the signs represent.
    pub planes: SignPlanes,
}

impl Operation for Unpack {
    fn stem(&self) -> &'static str {
        "unpack"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        let [r, s, words, k] = super::nhwc("the signs", inputs[0])?;
        if inputs[0].encoding != U32 || words != self.channels.div_ceil(WORD_BITS) * self.planes.count() {
            return Err(format!("{} does not match sign planes of {} channels", inputs[0], self.channels));
        }
        let alpha = match self.planes {
            SignPlanes::Binary(_) => vec![k],
            SignPlanes::Bases(count) => vec![count, k],
        };
        super::same("alpha", inputs[1], &TensorType::f32(&alpha))?;
        Ok(TensorType::f32(&[r, s, self.channels.next_multiple_of(LANES), k]))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        cx.accumulate(0, dy)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::per_channel("unpack", &[include_str!("../../shaders/unpack.wgsl")], output, 1.0)
            .constant("SIGN_PLANES", self.planes.count())
            .constant("BASED", usize::from(matches!(self.planes, SignPlanes::Bases(_))))
            .constant("CHANNELS", self.channels)
            .constant("CHANNEL_ROWS", output.nhwc()[2])
            .constant("WORDS", self.channels.div_ceil(WORD_BITS))
            .read("signs", U32, Input(0))
            .read("alpha", F32, Input(1))
            .write("w", F32, Output)
            .float_ops(2 * self.planes.count() * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (signs, alpha) = (inputs[0].words, inputs[1].numbers());
        let ([r, s, rows, filters], kl) = (output.ty.nhwc(), output.ty.lanes());
        let (words, count) = (self.channels.div_ceil(WORD_BITS), self.planes.count());
        let out = output.floats();
        out.fill(0.0);
        for tap in 0..r * s {
            for c in 0..self.channels {
                for k in 0..filters {
                    let word = |j| signs[((tap * words + c / WORD_BITS) * count + j) * kl + k];
                    let value = self.planes.value(|j| word(j) >> (c % WORD_BITS) & 1 == 1, |j| alpha[j * kl + k]);
                    out[(tap * rows + c) * kl + k] = value;
                }
            }
        }
    }
}

impl Unpack {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = bconv::family(&mut Noise::new(36)).into_iter();
        let cases = cases.map(|(op, operands)| {
            let channels = operands[0].ty.channels();
            Sample::new(Unpack { channels, planes: op.planes }, operands[1..3].to_vec())
        });
        cases.collect()
    }
}
