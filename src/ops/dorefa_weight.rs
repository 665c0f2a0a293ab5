//! `dorefa_thresholds`, `dorefa_weight`: sign planes of a k-bit weight (DoReFa-Net; Zhou et al.,
//! 2016, arXiv 1606.06160). `dorefa_weight_backward`: the gradient of the latent weight.
//!
//! W̃ = 2·round(n·(tanh w/(2T) + ½))/n − 1, n = 2^k − 1, T = max |tanh w| over the layer. The code
//! round(…) is the number of thresholds t_i = atanh(T·((2i − 1)/n − 1)), i = 1 … n, that w reaches;
//! its bits are the planes: W̃ = (2·code − n)/n = Σ 2^j·(±1)_j/n. Codes are exact for given
//! thresholds.
//!
//! The straight-through estimator applies only to the rounding: with t = tanh w, dw = (1 −
//! t²)/T·(dW̃ − [|w| is the largest]·sign(w)·Σ dW̃·t/T), because T depends on the largest weight,
//! as in the authors' code.
//!
//! w `[r, s, 4⌈c/4⌉, k]`; the largest |w| for each r, `[r, 1]`, comes from `max_abs`.
//!
//! **Order of the sum** of the gradient ([`super::sum`]): 64 lanes of rows in chunks of
//! [`CHUNK`](super::sum::CHUNK) = 128, then pairs, then the tree of lanes; then the filters in
//! chunks.

use super::{Activity, Backward, Op, Operation, Sample, add, max_abs::MaxAbs, sample::Noise, sign, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut, WORD_BITS,
};

/// Thresholds `[2^bits − 1]`: input the largest |w| `[r, 1]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DorefaThresholds {
    /// Number of bits, 2 to 4.
    pub bits: usize,
}

/// Sign planes `[r, s, ⌈c/32⌉·bits, k]`: inputs w, thresholds, and the largest |w|, which only the
/// gradient uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DorefaWeight {
    /// Number of bits, 2 to 4.
    pub bits: usize,
    /// Input channels without padding.
    pub channels: usize,
}

/// Gradient of the latent weight: inputs dW̃, w, the largest |w|.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DorefaWeightBackward;

crate::params! {
    struct ThresholdParams { rows: u32, steps: f32 }
}

crate::params! {
    struct PlaneParams { taps: u32, rows: u32, words: u32, quads: u32, channels: u32, filters: u32 }
}

crate::params! {
    struct ColumnParams { rows: u32, quads: u32, count: f32, half: u32 }
}

impl Operation for DorefaThresholds {
    fn stem(&self) -> &'static str {
        "dorefa_thresholds"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the largest magnitudes", inputs[0])?;
        Ok(TensorType::f32(&[(1 << self.bits) - 1]))
    }

    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Ok(()) // the weight's gradient is complete
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let params = ThresholdParams { rows: inputs[0].rows() as u32, steps: output.channels() as f32 };
        Launch::new("dorefa_thresholds", &[include_str!("../../shaders/dorefa_thresholds.wgsl")])
            .constant("COUNT", output.channels())
            .constant("QUADS", output.quads())
            .read("largest", F32, Input(0))
            .write("thresholds", F32, Output)
            .params(&params)
            .threads(output.quads())
            .float_ops(8 * output.channels())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let top = libm::tanhf(largest(inputs[0]));
        let count = output.ty.channels();
        let out = output.floats();
        out.fill(0.0);
        for (i, out) in out[..count].iter_mut().enumerate() {
            let y = top * ((2 * i + 1) as f32 / count as f32 - 1.0);
            *out = 0.5 * libm::logf((1.0 + y) / (1.0 - y));
        }
    }
}

fn largest(of: View<'_>) -> f32 {
    of.numbers().iter().fold(0.0, |largest, &v| largest.max(v))
}

impl DorefaThresholds {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(42);
        (2..=4).map(|bits| Sample::new(DorefaThresholds { bits }, vec![noise.positive(&[bits, 1])])).collect()
    }
}

impl Operation for DorefaWeight {
    fn stem(&self) -> &'static str {
        "dorefa_weight"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::same("the thresholds", inputs[1], &TensorType::f32(&[(1 << self.bits) - 1]))?;
        sign::Sign::ty(inputs[0], self.channels, self.bits)
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (w, largest, dy) = (cx.input(0), cx.input(2), cx.dy());
        let dw = cx.add(DorefaWeightBackward, &[dy, w, largest])?;
        cx.accumulate(0, dw)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        planes("dorefa_weight", inputs, output, self.channels, self.bits, false).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        planes_reference(inputs, output, self.channels, self.bits, |w, thresholds| {
            thresholds.iter().filter(|&&t| w >= t).count() as u32
        });
    }
}

/// The launch that packs the planes of a weight: the bits of the number of thresholds reached, or,
/// as a thermometer code, one comparison per threshold.
pub(super) fn planes(
    label: &str,
    inputs: &[&TensorType],
    output: &TensorType,
    channels: usize,
    planes: usize,
    thermometer: bool,
) -> Launch {
    let [r, s, rows, filters] = inputs[0].nhwc();
    let (words, count) = (channels.div_ceil(WORD_BITS), inputs[1].channels());
    let params = PlaneParams {
        taps: (r * s) as u32,
        rows: rows as u32,
        words: words as u32,
        quads: output.quads() as u32,
        channels: channels as u32,
        filters: filters as u32,
    };
    Launch::new(label, &[include_str!("../../shaders/weight_planes.wgsl")])
        .constant("PLANES", planes)
        .constant("COUNT", count)
        .constant("THERMOMETER", usize::from(thermometer))
        .read("w", F32, Input(0))
        .read("thresholds", F32, Input(1))
        .write("signs", U32, Output)
        .params(&params)
        .threads(r * s * words * output.quads())
        .float_ops(count * r * s * channels * filters)
}

/// Reference implementation of [`planes`]: plane j receives bit j of `code(weight, thresholds)`.
pub(super) fn planes_reference(
    inputs: &[View<'_>],
    output: &mut ViewMut<'_>,
    channels: usize,
    planes: usize,
    code: impl Fn(f32, &[f32]) -> u32,
) {
    let (w, thresholds) = (inputs[0].numbers(), inputs[1].numbers());
    let ([r, s, rows, filters], kl) = (inputs[0].ty.nhwc(), inputs[0].ty.lanes());
    let words = channels.div_ceil(WORD_BITS);
    output.words.fill(0);
    for (tap, c) in (0..r * s).flat_map(|tap| (0..channels).map(move |c| (tap, c))) {
        for k in 0..filters {
            let code = code(w[(tap * rows + c) * kl + k], &thresholds[..inputs[1].ty.channels()]);
            for j in 0..planes {
                let row = (tap * words + c / WORD_BITS) * planes + j;
                output.words[row * kl + k] |= (code >> j & 1) << (c % WORD_BITS);
            }
        }
    }
}

/// Latent weights with the largest magnitude of each row of taps.
fn latent(noise: &mut Noise) -> Vec<(usize, [crate::tensor::Tensor; 2])> {
    let cases = sign::latent(noise).into_iter();
    cases.map(|(channels, w)| (channels, [w.clone(), Op::from(MaxAbs).evaluate(&[&w])])).collect()
}

impl DorefaWeight {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = latent(&mut Noise::new(43)).into_iter().zip([2, 3, 4, 2]);
        let cases = cases.map(|((channels, [w, largest]), bits)| {
            let thresholds = Op::from(DorefaThresholds { bits }).evaluate(&[&largest]);
            Sample::new(DorefaWeight { bits, channels }, vec![w, thresholds, largest])
        });
        cases.collect()
    }
}

impl Operation for DorefaWeightBackward {
    fn stem(&self) -> &'static str {
        "dorefa_weight_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::float("the gradient", inputs[0])?;
        super::same("the latent weight", inputs[1], inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    /// Launches: Σ dW̃·tanh w over each filter, then over all filters, then the gradient of each
    /// weight.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (rows, quads) = (output.rows(), output.quads());
        let params = ColumnParams { rows: rows as u32, quads: quads as u32, count: 1.0, half: sum::HALF };
        let columns = sum::reduction("dorefa_weight_backward_columns", sign::ALPHA, (quads, rows), caps)
            .constant("OF_GRADIENT", 0)
            .constant("OF_TANH", 1)
            .read("dy", F32, Input(0))
            .read("w", F32, Input(1))
            .write("alpha", F32, Scratch(0))
            .params(&params)
            .float_ops(3 * output.len());
        let part = include_str!("../../shaders/dorefa_weight_backward.wgsl");
        let gradient = add::per_channel("dorefa_weight_backward", &[part, sum::QUADS_SUM], output, 1.0);
        let gradient = sum::running(gradient, quads)
            .constant("LARGEST_ROWS", inputs[2].rows())
            .read("dy", F32, Input(0))
            .read("w", F32, Input(1))
            .read("largest", F32, Input(2))
            .read("columns", F32, Scratch(0))
            .write("dw", F32, Output)
            .float_ops(6 * output.len());
        Program { scratch_words: vec![output.lanes()], launches: vec![columns, gradient] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, w) = (inputs[0].numbers(), inputs[1].numbers());
        let (largest, kl) = (largest(inputs[2]), inputs[0].ty.lanes());
        let top = libm::tanhf(largest);
        let sums = sum::columns(inputs[0].ty.rows(), kl, |row, sums| {
            (0..kl).for_each(|k| sums[k] += dy[row * kl + k] * libm::tanhf(w[row * kl + k]));
        });
        let through_top = sum::of_quads(&sums) / top;
        for (i, out) in output.floats().iter_mut().enumerate() {
            let t = libm::tanhf(w[i]);
            let sign = if w[i] >= 0.0 { through_top } else { -through_top };
            let g = if w[i].abs() == largest { dy[i] - sign } else { dy[i] };
            *out = g * (1.0 - t * t) / top;
        }
    }

    /// 1 − tanh² amplifies the error of tanh, about 1e-6 where WGSL implementations compute it from
    /// exponentials.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        1e-4
    }
}

impl DorefaWeightBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(44);
        let cases = latent(&mut noise).into_iter();
        let cases = cases.map(|(channels, [w, largest])| {
            let [r, s, _, k] = w.ty.nhwc();
            Sample::new(DorefaWeightBackward, vec![noise.weights([r, s], channels, k), w, largest])
        });
        cases.collect()
    }
}
