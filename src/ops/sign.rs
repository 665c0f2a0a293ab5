//! `sign`, `alpha`: a binary weight from its latent float weight, W̃ = α · sign(W), sign(0) = +1.
//!
//! w `[r, s, 4⌈c/4⌉, k]` → signs `[r, s, ⌈c/32⌉, k]` (`U32`, bit 1 for +1) and α `[k]`: mean |W|
//! over a filter (XNOR-Net, HWGQ), mean |W| over the layer (DoReFa-Net), or a constant. No gradient
//! flows through α.
//!
//! The latent W receives the gradient g of W̃ unchanged (HWGQ, BinaryNet), or XNOR-Net's gradient
//! (Rastegari et al., 2016, arXiv 1603.05279, equation of section 3.1 corrected: α depends on every
//! weight of the filter): dW_i = sign(W_i)/n·Σ_j g_j·sign(W_j) + α·g_i·[|W_i| ≤ 1], n the number of
//! weights of a filter: `xnor_gradient`.
//!
//! **Order of the sums** ([`super::sum`]): 64 lanes of rows in chunks of
//! [`CHUNK`](super::sum::CHUNK) = 128, then pairs, then the tree of lanes; over a layer, the
//! filters are then summed in chunks in the same way.

use super::{Activity, Backward, Op, Operation, Sample, add, fusion::Case, sample::Noise, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut, WORD_BITS,
};

/// Packed signs: input w, and α of this scope if XNOR-Net's gradient is used.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sign {
    /// Input channels without padding.
    pub channels: usize,
    /// Scope of α for XNOR-Net's gradient; `None` passes the gradient through unchanged.
    pub scope: Option<Scope>,
}

/// Scale per filter: input w.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Alpha {
    /// Input channels without padding.
    pub channels: usize,
    /// Scope of the mean.
    pub scope: Scope,
}

/// How a scale α is computed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scope {
    /// mean |w| over a filter.
    Filter,
    /// mean |w| over the layer.
    Layer,
    /// This constant.
    Constant(f32),
}

/// XNOR-Net's gradient of a latent weight: inputs dW̃, w, α.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct XnorGradient {
    /// Input channels without padding.
    pub channels: usize,
    /// Scope of α: n is the number of weights in the mean; a constant has no part in the gradient.
    pub scope: Scope,
}

crate::params! {
    struct SignParams { taps: u32, tap_rows: u32, words: u32, quads: u32, channels: u32, filters: u32 }
}

crate::params! {
    struct AlphaParams { rows: u32, quads: u32, count: f32, half: u32 }
}

crate::params! {
    struct AlphaSignParams {
        rows: u32, quads: u32, count: f32, half: u32, reducing: u32,
        taps: u32, tap_rows: u32, words: u32, channels: u32, filters: u32,
    }
}

pub(super) const ALPHA: &str = include_str!("../../shaders/alpha.wgsl");
const SIGN: &str = include_str!("../../shaders/sign.wgsl");
const CONSTANT: &str = include_str!("../../shaders/alpha_constant.wgsl");

impl Sign {
    fn params(&self, w: &TensorType, signs: &TensorType) -> SignParams {
        let [r, s, words, filters] = signs.nhwc();
        SignParams {
            taps: (r * s) as u32,
            tap_rows: w.nhwc()[2] as u32,
            words: words as u32,
            quads: signs.quads() as u32,
            channels: self.channels as u32,
            filters: filters as u32,
        }
    }

    /// Number of invocations, which pack four words each.
    fn items(signs: &TensorType) -> usize {
        signs.rows() * signs.quads()
    }

    fn comparisons(&self, signs: &TensorType) -> usize {
        let [r, s, _, filters] = signs.nhwc();
        r * s * self.channels * filters
    }

    /// Signs whose gradient is passed through unchanged.
    pub fn identity(channels: usize) -> Self {
        Self { channels, scope: None }
    }

    /// Type of `planes` sign planes of a weight.
    pub(super) fn ty(w: &TensorType, channels: usize, planes: usize) -> Result<TensorType, String> {
        super::float("the latent weight", w)?;
        let [r, s, _, k] = super::nhwc("the weight", w)?;
        Ok(TensorType::new(&[r, s, channels.div_ceil(WORD_BITS) * planes, k], U32))
    }
}

impl Operation for Sign {
    fn stem(&self) -> &'static str {
        "sign"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1 + usize::from(self.scope.is_some()))?;
        if let Some(alpha) = inputs.get(1) {
            super::same("alpha", alpha, &TensorType::f32(&[inputs[0].channels()]))?;
        }
        Self::ty(inputs[0], self.channels, 1)
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        let Some(scope) = self.scope else { return cx.accumulate(0, dy) };
        let (w, alpha) = (cx.input(0), cx.input(1));
        let dw = cx.add(XnorGradient { channels: self.channels, scope }, &[dy, w, alpha])?;
        cx.accumulate(0, dw)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        Launch::new("sign", &[SIGN])
            .constant("ALONE", 1)
            .constant("CONSTANT", 0)
            .read("w", F32, Input(0))
            .write("signs", U32, Output)
            .params(&self.params(inputs[0], output))
            .threads(Self::items(output))
            .float_ops(self.comparisons(output))
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
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

/// Latent weights with odd sizes, and their numbers of input channels.
pub(super) fn latent(noise: &mut Noise) -> Vec<(usize, crate::tensor::Tensor)> {
    let cases = [([3, 3], 41, 10), ([1, 1], 64, 33), ([2, 5], 3, 4), ([4, 4], 32, 68)].into_iter();
    cases.map(|(window, c, k)| (c, noise.weights(window, c, k))).collect()
}

impl Sign {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = latent(&mut Noise::new(4)).into_iter();
        cases.map(|(channels, w)| Sample::new(Sign::identity(channels), vec![w])).collect()
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
        let quads = output.quads();
        if let Scope::Constant(value) = self.scope {
            let launch = Launch::new("alpha_constant", &[add::ELEMENTWISE, CONSTANT]);
            return constant(launch, value, output)
                .params(&add::ElementwiseParams { quads: quads as u32 })
                .threads(quads)
                .into();
        }
        let [r, s, rows, _] = inputs[0].nhwc();
        let params = AlphaParams {
            rows: (r * s * rows) as u32,
            quads: quads as u32,
            count: (r * s * self.channels) as f32,
            half: sum::HALF,
        };
        self.of_filters("alpha", inputs[0], output, caps, |launch| launch.params(&params))
    }

    /// Sums in the kernels' order: over rows, and for a layer then over the filters by lanes.
    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let w = inputs[0].numbers();
        let ([r, s, rows, filters], kl) = (inputs[0].ty.nhwc(), inputs[0].ty.lanes());
        let count = (r * s * self.channels) as f32;
        let out = output.floats();
        out.fill(0.0);
        if let Scope::Constant(value) = self.scope {
            return out[..filters].fill(value);
        }
        let sums = sum::columns(r * s * rows, kl, |row, sums| {
            sums.iter_mut().zip(&w[row * kl..]).for_each(|(sum, w)| *sum += w.abs());
        });
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum / count);
        if self.scope == Scope::Layer {
            let mean = mean_of(out, filters);
            out[..filters].fill(mean);
        }
    }
}

/// A launch that writes the same α for every filter; its body is [`CONSTANT`].
fn constant(launch: Launch, value: f32, alpha: &TensorType) -> Launch {
    launch
        .constant("VALUE_BITS", value.to_bits() as usize)
        .constant("FILTERS", alpha.channels())
        .write("alpha", F32, Output)
}

impl Alpha {
    /// The program that computes α from the weights; `rest` extends the launch that reads them.
    fn of_filters(
        &self,
        label: &str,
        w: &TensorType,
        alpha: &TensorType,
        caps: &Caps,
        rest: impl FnOnce(Launch) -> Launch,
    ) -> Program {
        let ([r, s, rows, filters], quads) = (w.nhwc(), alpha.quads());
        let filter = sum::reduction(label, ALPHA, (quads, r * s * rows), caps)
            .constant("OF_GRADIENT", 0)
            .constant("OF_TANH", 0)
            .read("w", F32, Input(0))
            .float_ops(r * s * self.channels * filters);
        let filter = rest(filter);
        if self.scope == Scope::Filter {
            return filter.write("alpha", F32, Output).into();
        }
        // All filters have the same length, so the mean over filters is the mean over the layer.
        let text = include_str!("../../shaders/alpha_layer.wgsl");
        let layer = sum::running(Launch::new("alpha_layer", &[add::ELEMENTWISE, text, sum::QUADS_SUM]), quads)
            .constant("FILTERS", filters)
            .read("of_filter", F32, Scratch(0))
            .write("alpha", F32, Output)
            .params(&add::ElementwiseParams { quads: quads as u32 })
            .threads(quads)
            .float_ops(filters);
        Program { scratch_words: vec![alpha.words()], launches: vec![filter.write("alpha", F32, Scratch(0)), layer] }
    }

    /// Computes α and the signs of the same weights; the signs are packed in the launch that sums
    /// the magnitudes.
    pub(super) fn with_sign(&self, sign: &Sign, types: [&TensorType; 3], caps: &Caps) -> Program {
        let [w, alpha, signs] = types;
        let SignParams { taps, tap_rows, words, quads, channels, filters } = sign.params(w, signs);
        let comparisons = sign.comparisons(signs);
        if let Scope::Constant(value) = self.scope {
            let launch =
                Launch::new("alpha_constant_sign", &[CONSTANT, SIGN]).constant("ALONE", 1).constant("CONSTANT", 1);
            return constant(launch.read("w", F32, Input(0)).write("signs", U32, OutputOf(1)), value, alpha)
                .params(&sign.params(w, signs))
                .threads(Sign::items(signs))
                .float_ops(comparisons)
                .into();
        }
        let params = AlphaSignParams {
            rows: taps * tap_rows,
            quads,
            count: (taps * channels) as f32,
            half: sum::HALF,
            reducing: sum::item_groups(alpha.quads(), caps) as u32,
            taps,
            tap_rows,
            words,
            channels,
            filters,
        };
        self.of_filters("alpha_sign", w, alpha, caps, |launch| {
            sum::beside(launch, SIGN, Sign::items(signs))
                .constant("ALONE", 0)
                .constant("CONSTANT", 0)
                .write("signs", U32, OutputOf(1))
                .params(&params)
                // The magnitude and the comparison of each weight.
                .float_ops(2 * comparisons)
        })
    }

    pub(super) fn fused_cases() -> Vec<Case> {
        let mut cases = Vec::new();
        for sample in Self::samples() {
            let Op::Alpha(Alpha { channels, scope }) = sample.op else { unreachable!("samples of alpha") };
            let alone = (Op::from(Sign::identity(channels)), vec![0]);
            // XNOR-Net's signs take α, the first node's output, as an input for their gradient.
            let with_alpha = (Op::from(Sign { channels, scope: Some(scope) }), vec![0, 1]);
            cases.extend([alone, with_alpha].map(|sign| Case {
                name: "alpha with sign",
                nodes: vec![(sample.op.clone(), vec![0]), sign],
                inputs: sample.inputs.clone(),
            }));
        }
        cases
    }
}

/// The mean over the filters, lane by lane; padding is zero.
fn mean_of(filters: &[f32], count: usize) -> f32 {
    sum::of_quads(filters) / count as f32
}

impl Alpha {
    pub(super) fn samples() -> Vec<Sample> {
        let scopes = [Scope::Filter, Scope::Layer, Scope::Constant(0.25)];
        let cases = latent(&mut Noise::new(4)).into_iter();
        let cases =
            cases.flat_map(|(channels, w)| scopes.map(|scope| Sample::new(Alpha { channels, scope }, vec![w.clone()])));
        cases.collect()
    }
}

impl Operation for XnorGradient {
    fn stem(&self) -> &'static str {
        "xnor_gradient"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::float("the gradient", inputs[0])?;
        super::same("the latent weight", inputs[1], inputs[0])?;
        super::same("alpha", inputs[2], &TensorType::f32(&[inputs[0].channels()]))?;
        Ok(inputs[0].clone())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let [r, s, rows, _] = output.nhwc();
        let quads = output.quads();
        let params = AlphaParams {
            rows: (r * s * rows) as u32,
            quads: quads as u32,
            count: (r * s * self.channels) as f32,
            half: sum::HALF,
        };
        let mean = sum::reduction("xnor_gradient_mean", ALPHA, (quads, r * s * rows), caps)
            .constant("OF_GRADIENT", 1)
            .constant("OF_TANH", 0)
            .read("dy", F32, Input(0))
            .read("w", F32, Input(1))
            .write("alpha", F32, Scratch(0))
            .params(&params)
            .float_ops(2 * output.len());
        let mut texts = vec![include_str!("../../shaders/xnor_gradient.wgsl")];
        let over_layer = self.scope == Scope::Layer;
        if over_layer {
            texts.push(sum::QUADS_SUM);
        }
        let mut gradient = add::per_channel("xnor_gradient", &texts, output, 1.0);
        if over_layer {
            gradient = sum::running(gradient, quads);
        }
        let gradient = gradient
            .constant("CHANNEL_ROWS", rows)
            .constant("CHANNELS", self.channels)
            .constant("FILTERS", output.channels())
            .constant("OF_FILTER", usize::from(self.scope == Scope::Filter))
            .constant("OF_LAYER", usize::from(over_layer))
            .read("dy", F32, Input(0))
            .must_be_finite()
            .read("w", F32, Input(1))
            .read("alpha", F32, Input(2))
            .write("dw", F32, Output)
            .float_ops(4 * output.len());
        if matches!(self.scope, Scope::Constant(_)) {
            return gradient.into();
        }
        let gradient = gradient.read("mean", F32, Scratch(0));
        Program { scratch_words: vec![output.lanes()], launches: vec![mean, gradient] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, w, alpha) = (inputs[0].numbers(), inputs[1].numbers(), inputs[2].numbers());
        let ([r, s, rows, _], kl) = (inputs[0].ty.nhwc(), inputs[0].ty.lanes());
        let count = (r * s * self.channels) as f32;
        let sign = |v: f32| if v >= 0.0 { 1.0f32 } else { -1.0 };
        let sums = sum::columns(r * s * rows, kl, |row, sums| {
            (0..kl).for_each(|k| sums[k] += dy[row * kl + k] * sign(w[row * kl + k]));
        });
        let means: Vec<_> = sums.into_iter().map(|sum| sum / count).collect();
        let filters = inputs[0].ty.channels();
        let over_layer = mean_of(&means, filters);
        for (row, out) in output.floats().chunks_exact_mut(kl).enumerate() {
            for (k, out) in out.iter_mut().enumerate() {
                let (w, dy) = (w[row * kl + k], dy[row * kl + k]);
                let inside = if w.abs() <= 1.0 { alpha[k] * dy } else { 0.0 };
                let mean = match self.scope {
                    Scope::Filter => means[k],
                    Scope::Layer => over_layer,
                    Scope::Constant(_) => 0.0,
                };
                let exists = row % rows < self.channels && k < filters;
                *out = if exists { sign(w) * mean + inside } else { 0.0 };
            }
        }
    }
}

impl XnorGradient {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(35);
        let scopes = [Scope::Filter, Scope::Layer, Scope::Constant(1.0), Scope::Filter];
        let cases = latent(&mut noise).into_iter().zip(scopes);
        let cases = cases.map(|((channels, w), scope)| {
            let [r, s, _, k] = w.ty.nhwc();
            let alpha = Op::from(Alpha { channels, scope }).evaluate(&[&w]);
            Sample::new(XnorGradient { channels, scope }, vec![noise.weights([r, s], channels, k), w, alpha])
        });
        cases.collect()
    }
}
