//! `abc_thresholds`, `abc_alpha`, `abc_weight`: a weight as a sum of binary bases (ABC-Net; Lin,
//! Zhao, Pan, 2017, arXiv 1711.11294): W̃ = Σ_j α_j·B_j, B_j = sign(W − mean + u_j·std), u_j
//! equally spaced from −1 to 1 (0 for a single base), mean and standard deviation over the layer, α
//! by least squares: min |W − Σ α_j·B_j|².
//!
//! The bases compare W with ascending thresholds t_j, so W̃ is a step function of W with the levels
//! v_0 … v_J between them, v_b − v_{b−1} = 2α_{b−1}, v_0 = −v_J. The least-squares solution needs
//! no system of equations: an inner level is the mean of the weights in its bin, and v_J = (Σ of
//! the weights above all thresholds − Σ of those below all thresholds)/(their number). Levels of
//! empty bins are interpolated evenly between their neighbours.
//!
//! Straight-through estimator for every sign: dW = Σ_j α_j·dW̃. No gradient flows through
//! thresholds and α.
//!
//! w `[r, s, 4⌈c/4⌉, k]` → thresholds `[J]`; α `[J, k]`, equal for all filters; planes
//! `[r, s, ⌈c/32⌉·J, k]` (`U32`), exact for given thresholds.
//!
//! **Order of the sums** ([`super::sum`]): 64 lanes of rows in chunks of
//! [`CHUNK`](super::sum::CHUNK) = 128, then pairs, then the tree of lanes; then the filters in
//! chunks.

use super::dorefa_weight::{planes, planes_reference};
use super::scale::{Scale, Total};
use super::{Activity, Backward, Op, Operation, Sample, add, sample::Noise, sign, slice::Slice, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, LANES, Tensor, TensorType, View, ViewMut};

/// Thresholds `[bases]` in ascending order: input w.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AbcThresholds {
    /// Number of bases J, 1 to 8.
    pub bases: usize,
    /// Input channels without padding.
    pub channels: usize,
}

/// Coefficients `[bases, k]`: inputs w, thresholds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AbcAlpha {
    /// Number of bases J, 1 to 8.
    pub bases: usize,
    /// Input channels without padding.
    pub channels: usize,
}

/// Planes: inputs w, thresholds, and α, which only the gradient uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AbcWeight {
    /// Number of bases J, 1 to 8.
    pub bases: usize,
    /// Input channels without padding.
    pub channels: usize,
}

crate::params! {
    struct ColumnParams { rows: u32, quads: u32, items: u32, half: u32 }
}

crate::params! {
    struct ThresholdParams { quads: u32, count: f32, step: f32, start: f32 }
}

crate::params! {
    struct LevelParams { quads: u32, bins: u32 }
}

const COLUMNS: &str = include_str!("../../shaders/abc_columns.wgsl");
const TOTAL: &str = include_str!("../../shaders/abc_total.wgsl");

fn check(bases: usize, inputs: &[&TensorType], count: usize) -> Result<(), String> {
    super::arity(inputs, count)?;
    super::float("the latent weight", inputs[0])?;
    super::nhwc("the weight", inputs[0])?;
    if !(1..=8).contains(&bases) {
        return Err(format!("{bases} bases: choose 1 to 8"));
    }
    if let Some(thresholds) = inputs.get(1) {
        super::same("the thresholds", thresholds, &TensorType::f32(&[bases]))?;
    }
    Ok(())
}

/// Step and start of the thresholds: u_j = j·step − start.
fn spread(bases: usize) -> (f32, f32) {
    if bases == 1 { (0.0, 0.0) } else { (2.0 / (bases - 1) as f32, 1.0) }
}

/// The launch that reduces each bin of each filter to two numbers, `[bins, 2, k]`, and the number
/// of words that it writes; without thresholds, all weights are in one bin.
fn columns(label: &str, w: &TensorType, channels: usize, thresholds: Option<usize>, caps: &Caps) -> (Launch, usize) {
    let (bins, quads) = (thresholds.map_or(1, |count| count + 1), w.quads());
    let items = 2 * bins * quads;
    let params = ColumnParams { rows: w.rows() as u32, quads: quads as u32, items: items as u32, half: sum::HALF };
    let mut launch = sum::reduction(label, COLUMNS, (items, w.rows()), caps)
        .constant("MOMENTS", usize::from(thresholds.is_none()))
        .constant("COUNT", thresholds.unwrap_or(0))
        .constant("FILTERS", w.channels())
        .constant("CHANNELS", channels)
        .constant("CHANNEL_ROWS", w.nhwc()[2])
        .read("w", F32, Input(0));
    if thresholds.is_some() {
        launch = launch.read("thresholds", F32, Input(1));
    }
    let ops = thresholds.map_or(3, |count| bins * (count + 2)) * w.len();
    (launch.write("columns", F32, Scratch(0)).params(&params).float_ops(ops), 2 * bins * w.lanes())
}

/// The two sums of each bin, added up in the kernels' order. `terms` returns the bin of a weight,
/// if any, and its two summands.
fn totals(w: View<'_>, bins: usize, terms: impl Fn(usize, usize, f32) -> Option<(usize, [f32; 2])>) -> Vec<[f32; 2]> {
    let (values, kl) = (w.numbers(), w.ty.lanes());
    let columns = sum::columns(w.ty.rows(), 2 * bins * kl, |row, sums| {
        for (k, &value) in values[row * kl..][..kl].iter().enumerate() {
            if let Some((bin, add)) = terms(row, k, value) {
                (0..2).for_each(|i| sums[(2 * bin + i) * kl + k] += add[i]);
            }
        }
    });
    let total = |bin: usize, i: usize| sum::of_quads(&columns[(2 * bin + i) * kl..][..kl]);
    (0..bins).map(|bin| [total(bin, 0), total(bin, 1)]).collect()
}

/// Number of thresholds that a weight reaches.
fn reached(w: f32, thresholds: &[f32]) -> usize {
    thresholds.iter().filter(|&&t| w >= t).count()
}

impl Operation for AbcThresholds {
    fn stem(&self) -> &'static str {
        "abc_thresholds"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(self.bases, inputs, 1)?;
        Ok(TensorType::f32(&[self.bases]))
    }

    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Ok(()) // none by definition
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let ([r, s, _, filters], w) = (inputs[0].nhwc(), inputs[0]);
        let (moments, scratch) = columns("abc_thresholds_moments", w, self.channels, None, caps);
        let count = (r * s * self.channels * filters) as f32;
        let (step, start) = spread(self.bases);
        let text = include_str!("../../shaders/abc_thresholds.wgsl");
        let thresholds = sum::running(Launch::new("abc_thresholds", &[TOTAL, sum::QUADS_SUM, text]), w.quads())
            .constant("COUNT", self.bases)
            .constant("QUADS", output.quads())
            .read("columns", F32, Scratch(0))
            .write("thresholds", F32, Output)
            .params(&ThresholdParams { quads: w.quads() as u32, count, step, start })
            .threads(1)
            .float_ops(2 * filters + 2 * self.bases);
        Program { scratch_words: vec![scratch], launches: vec![moments, thresholds] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let [r, s, _, filters] = inputs[0].ty.nhwc();
        let count = (r * s * self.channels * filters) as f32;
        let [sum, squares] = totals(inputs[0], 1, |_, _, w| Some((0, [w, w * w])))[0];
        let mean = sum / count;
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        let (step, start) = spread(self.bases);
        let out = output.floats();
        out.fill(0.0);
        for (j, out) in out[..self.bases].iter_mut().enumerate() {
            *out = mean + (j as f32 * step - start) * deviation;
        }
    }
}

impl AbcThresholds {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = sign::latent(&mut Noise::new(111)).into_iter().zip([1, 2, 3, 5]);
        cases.map(|((channels, w), bases)| Sample::new(AbcThresholds { bases, channels }, vec![w])).collect()
    }
}

impl Operation for AbcAlpha {
    fn stem(&self) -> &'static str {
        "abc_alpha"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(self.bases, inputs, 2)?;
        Ok(TensorType::f32(&[self.bases, inputs[0].channels()]))
    }

    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Ok(()) // none by definition: the coefficients are constants of the step
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    /// Launches: number and sum of the weights in each bin of each filter; the coefficients; their
    /// copy to every filter.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (w, bins) = (inputs[0], self.bases + 1);
        let (of_bins, scratch) = columns("abc_alpha_bins", w, self.channels, Some(self.bases), caps);
        let text = include_str!("../../shaders/abc_levels.wgsl");
        let levels = Launch::new("abc_alpha_levels", &[TOTAL, sum::QUADS_SUM, text]);
        let levels = sum::running(levels, w.quads())
            .constant("BINS", bins)
            .read("columns", F32, Scratch(0))
            .write("bases", F32, Scratch(1))
            .params(&LevelParams { quads: w.quads() as u32, bins: bins as u32 })
            .threads(1)
            .float_ops(2 * bins * w.channels());
        let text = include_str!("../../shaders/abc_alpha.wgsl");
        let quads = self.bases * output.quads();
        let alpha = Launch::new("abc_alpha", &[add::ELEMENTWISE, text])
            .constant("QUADS", output.quads())
            .constant("FILTERS", output.channels())
            .read("bases", F32, Scratch(1))
            .write("alpha", F32, Output)
            .params(&add::ElementwiseParams { quads: quads as u32 })
            .threads(quads);
        Program { scratch_words: vec![scratch, LANES * self.bases], launches: vec![of_bins, levels, alpha] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (ty, last) = (inputs[0].ty, self.bases);
        let (rows, filters) = (ty.nhwc()[2], ty.channels());
        let thresholds = &inputs[1].numbers()[..self.bases];
        let bins = totals(inputs[0], self.bases + 1, |row, k, w| {
            (row % rows < self.channels && k < filters).then(|| (reached(w, thresholds), [1.0, w]))
        });
        let top = (bins[last][1] - bins[0][1]) / (bins[0][0] + bins[last][0]).max(1.0);
        let (mut level, mut before) = (vec![-top; self.bases + 1], 0);
        for bin in 1..=last {
            let [number, sum] = bins[bin];
            if number > 0.0 || bin == last {
                level[bin] = if bin == last { top } else { sum / number };
                for empty in before + 1..bin {
                    let share = (empty - before) as f32 / (bin - before) as f32;
                    level[empty] = level[before] + share * (level[bin] - level[before]);
                }
                before = bin;
            }
        }
        let kl = output.ty.lanes();
        let out = output.floats();
        out.fill(0.0);
        for (base, out) in out.chunks_exact_mut(kl).enumerate() {
            out[..filters].fill(0.5 * (level[base + 1] - level[base]));
        }
    }
}

/// Latent weights with thresholds; the thresholds of the last case leave bins empty.
fn cases(seed: u64) -> Vec<(usize, usize, Vec<Tensor>)> {
    let cases = sign::latent(&mut Noise::new(seed)).into_iter().zip([1, 2, 3, 5]);
    let cases = cases.map(|((channels, w), bases)| {
        let thresholds = Op::from(AbcThresholds { bases, channels }).evaluate(&[&w]);
        (bases, channels, vec![w, thresholds])
    });
    let mut cases: Vec<_> = cases.collect();
    let empty = Tensor::from_f32(&[5], &[-0.1, 0.05, 0.05, 0.05, 1000.0]);
    cases.push((5, cases[3].1, vec![cases[3].2[0].clone(), empty]));
    cases
}

impl AbcAlpha {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = cases(112).into_iter();
        cases.map(|(bases, channels, inputs)| Sample::new(AbcAlpha { bases, channels }, inputs)).collect()
    }
}

impl Operation for AbcWeight {
    fn stem(&self) -> &'static str {
        "abc_weight"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(self.bases, inputs, 3)?;
        super::same("alpha", inputs[2], &TensorType::f32(&[self.bases, inputs[0].channels()]))?;
        sign::Sign::ty(inputs[0], self.channels, self.bases)
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (alpha, dy) = (cx.input(2), cx.dy());
        // Σ α: all filters have the same coefficients, so one suffices.
        let of_one = cx.add(Slice { first: 0, count: 1 }, &[alpha])?;
        let total = cx.add(Total, &[of_one])?;
        let dw = cx.add(Scale, &[dy, total])?;
        cx.accumulate(0, dw)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        planes("abc_weight", inputs, output, self.channels, self.bases, true).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        planes_reference(inputs, output, self.channels, self.bases, |w, thresholds| (1 << reached(w, thresholds)) - 1);
    }
}

impl AbcWeight {
    pub(super) fn samples() -> Vec<Sample> {
        let cases = cases(113).into_iter();
        let cases = cases.map(|(bases, channels, mut inputs)| {
            inputs.push(Op::from(AbcAlpha { bases, channels }).evaluate(&[&inputs[0], &inputs[1]]));
            Sample::new(AbcWeight { bases, channels }, inputs)
        });
        cases.collect()
    }
}
