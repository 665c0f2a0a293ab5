//! `sign`, `alpha`: a binary weight from its latent float, W̃ = α_k · sign(W), sign(0) = +1, α_k = mean |W| over one filter (HWGQ; Cai et al., 2017).
//!
//! w `[r, s, 4⌈c/4⌉, k]` → signs `[r, s, ⌈c/32⌉, k]` (`U32`, bit 1 for +1) and α `[k]`. The gradient of W̃ is given to the latent W unchanged: no mask, no factor, no
//! gradient through α.

use super::{Activity, Backward, Op, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut, WORD_BITS,
};

/// Packed signs: input w.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sign {
    /// Input channels without padding.
    pub channels: usize,
}

/// Scale of each filter: input w.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Alpha {
    /// Input channels without padding.
    pub channels: usize,
}

crate::params! {
    struct SignParams { taps: u32, rows: u32, words: u32, quads: u32, channels: u32, filters: u32 }
}

crate::params! {
    struct AlphaParams { rows: u32, quads: u32, count: f32, half: u32 }
}

impl Operation for Sign {
    fn stem(&self) -> &'static str {
        "sign"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the latent weight", inputs[0])?;
        let [r, s, _, k] = super::nhwc("the weight", inputs[0])?;
        Ok(TensorType::new(&[r, s, self.channels.div_ceil(WORD_BITS), k], U32))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        cx.give(0, dy)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let [r, s, words, filters] = output.nhwc();
        let params = SignParams {
            taps: (r * s) as u32,
            rows: inputs[0].nhwc()[2] as u32,
            words: words as u32,
            quads: output.quads() as u32,
            channels: self.channels as u32,
            filters: filters as u32,
        };
        Launch::new("sign", &[include_str!("../../shaders/sign.wgsl")])
            .read("w", F32, Input(0))
            .write("signs", U32, Output)
            .params(&params)
            .threads(r * s * words * output.quads())
            .float_ops(r * s * self.channels * filters)
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let w = inputs[0].numbers();
        let ([r, s, rows, filters], kl) = (inputs[0].ty.nhwc(), inputs[0].ty.lanes());
        let words = output.ty.nhwc()[2];
        output.words.fill(0);
        for tap in 0..r * s {
            for c in 0..self.channels {
                for k in 0..filters {
                    let bit = u32::from(w[(tap * rows + c) * kl + k] >= 0.0);
                    output.words[(tap * words + c / WORD_BITS) * kl + k] |= bit << (c % WORD_BITS);
                }
            }
        }
    }
}

impl Sign {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(4);
        let cases = [([3, 3], 41, 10), ([1, 1], 64, 33), ([2, 5], 3, 4), ([4, 4], 32, 68)].into_iter();
        cases.map(|(window, c, k)| Sample::new(Sign { channels: c }, vec![noise.weights(window, c, k)])).collect()
    }
}

impl Operation for Alpha {
    fn stem(&self) -> &'static str {
        "alpha"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the latent weight", inputs[0])?;
        Ok(TensorType::f32(&[inputs[0].channels()]))
    }

    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Ok(()) // none by definition: the scale is a constant of the step
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let [r, s, rows, _] = inputs[0].nhwc();
        let params = AlphaParams {
            rows: (r * s * rows) as u32,
            quads: output.quads() as u32,
            count: (r * s * self.channels) as f32,
            half: super::mean::HALF,
        };
        super::mean::reduction("alpha", include_str!("../../shaders/alpha.wgsl"), output.quads(), caps)
            .read("w", F32, Input(0))
            .write("alpha", F32, Output)
            .params(&params)
            .float_ops(r * s * self.channels * output.channels())
            .into()
    }

    /// Adds in the kernel's order: 64 strided sums, then a tree.
    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let w = inputs[0].numbers();
        let ([r, s, rows, _], kl) = (inputs[0].ty.nhwc(), inputs[0].ty.lanes());
        let count = (r * s * self.channels) as f32;
        for (k, out) in output.floats().iter_mut().enumerate() {
            let mut sums = [0.0f32; 64];
            for row in 0..r * s * rows {
                sums[row % 64] += w[row * kl + k].abs();
            }
            *out = super::mean::tree(&mut sums, |a, b| a + b) / count;
        }
    }
}

impl Alpha {
    pub(super) fn samples() -> Vec<Sample> {
        Sign::samples()
            .into_iter()
            .map(|sample| {
                let Op::Sign(Sign { channels }) = sample.op else { unreachable!("samples of sign") };
                Sample::new(Alpha { channels }, sample.inputs)
            })
            .collect()
    }
}
