//! `batch_norm_moments`, `batch_norm_finish`: the statistics of a packed layer in two steps, between which
//! the sums of several ranks can be added ([`super::synchronise`]). The sums are exact integers, so that the
//! statistics do not depend on how the images are divided.
//!
//! `batch_norm_moments`: x `[…, c]` of sums of a binary convolution → `[3, c]` words: Σs in two's complement,
//! Σs² modulo 2³², Σs² div 2³².
//!
//! `batch_norm_finish`: `[3, c]` → mean and biased variance `[2, c]`, as [`super::batch_norm_stats`] computes
//! them.

use super::batch_norm_stats::{self, BatchNormStats, exact_fits};
use super::{Activity, Operation, Sample, add};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    Tensor, TensorType, View, ViewMut,
};

/// Sums of integers and of their squares: input x `[…, c]`, output `[3, c]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNormMoments {
    /// Largest possible magnitude of the integers.
    pub largest: usize,
    /// Number of rows of all ranks, whose sums must fit as well.
    pub rows: usize,
}

/// Statistics from the sums of `rows` rows: input `[3, c]`, output `[2, c]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchNormFinish {
    /// Number of rows.
    pub rows: usize,
}

/// Adds moments to others, both in the layout of [`BatchNormMoments`].
///
/// # Panics
///
/// Panics if the lengths differ.
pub fn add_moments(sum: &mut [u32], moments: &[u32]) {
    assert_eq!(sum.len(), moments.len(), "moments of the same channels");
    let lanes = sum.len() / 3;
    for c in 0..lanes {
        sum[c] = sum[c].wrapping_add(moments[c]);
        let square = |words: &[u32]| u64::from(words[lanes + c]) | u64::from(words[2 * lanes + c]) << 32;
        let both = square(sum) + square(moments);
        (sum[lanes + c], sum[2 * lanes + c]) = (both as u32, (both >> 32) as u32);
    }
}

impl Operation for BatchNormMoments {
    fn stem(&self) -> &'static str {
        "batch_norm_moments"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        if !inputs[0].is_exact() {
            return Err(format!("moments are those of integers, not of {}", inputs[0]));
        }
        if !exact_fits(self.largest, self.rows.max(inputs[0].rows())) {
            return Err(format!(
                "sums up to {} over {} rows of all ranks exceed 64-bit statistics",
                self.largest, self.rows
            ));
        }
        Ok(TensorType::new(&[3, inputs[0].channels()], U32))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        let params = batch_norm_stats::ChunkParams::new(inputs[0]);
        batch_norm_stats::reduction(inputs[0], caps, true, |launch| launch.params(&params))
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let lanes = output.ty.lanes();
        for (c, (sum, square)) in batch_norm_stats::exact_sums(inputs[0]).into_iter().enumerate() {
            let rows = [sum as u32, square as u32, (square >> 32) as u32];
            rows.into_iter().enumerate().for_each(|(row, word)| output.words[row * lanes + c] = word);
        }
    }
}

crate::params! {
    struct FinishParams { quads: u32, rows: u32 }
}

impl Operation for BatchNormFinish {
    fn stem(&self) -> &'static str {
        "batch_norm_finish"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        let channels = inputs[0].channels();
        super::same("the sums", inputs[0], &TensorType::new(&[3, channels], U32))?;
        Ok(TensorType::f32(&[2, channels]))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (quads, text) = (output.quads(), include_str!("../../shaders/batch_norm_finish.wgsl"));
        Launch::new("batch_norm_finish", &[add::ELEMENTWISE, text, batch_norm_stats::INTEGERS, batch_norm_stats::FOUND])
            .constant("COEF", 0)
            .constant("TRACK", 0)
            .read("moments", U32, Input(0))
            .write("stats", F32, Output)
            .params(&FinishParams { quads: quads as u32, rows: self.rows as u32 })
            .threads(quads)
            .float_ops(4 * output.channels())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (words, lanes) = (inputs[0].words, output.ty.lanes());
        let out = output.floats();
        for c in 0..lanes {
            let square = u64::from(words[lanes + c]) | u64::from(words[2 * lanes + c]) << 32;
            (out[c], out[lanes + c]) = batch_norm_stats::exact((i64::from(words[c] as i32), square), self.rows);
        }
    }
}

impl BatchNormMoments {
    pub(super) fn samples() -> Vec<Sample> {
        let samples = BatchNormStats::samples().into_iter();
        let samples = samples.filter_map(|Sample { op, inputs, .. }| match op {
            super::Op::BatchNormStats(BatchNormStats { largest }) if largest > 0 => {
                let rows = inputs[0].ty.rows();
                Some(Sample::new(BatchNormMoments { largest, rows }, inputs))
            }
            _ => None,
        });
        samples.collect()
    }
}

impl BatchNormFinish {
    /// The moments of the other operation's samples, as of one rank and as of three with the same images.
    pub(super) fn samples() -> Vec<Sample> {
        let of = |(ranks, sample): (usize, Sample)| {
            let (rows, one): (usize, Tensor) = (sample.inputs[0].ty.rows(), sample.expected());
            let mut all = one.clone();
            (1..ranks).for_each(|_| add_moments(&mut all.words, &one.words));
            Sample::new(BatchNormFinish { rows: ranks * rows }, vec![all])
        };
        [1, 3, 1].into_iter().zip(BatchNormMoments::samples()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{BatchNormFinish, BatchNormMoments, BatchNormStats, add_moments};
    use crate::ops::{Op, sample::Noise};
    use crate::tensor::{Encoding::I32, Tensor};

    #[test]
    fn statistics_do_not_depend_on_the_division() {
        let x = Noise::new(4).ints(&[6, 50, 70, 5], I32, 65_535);
        let whole = Op::from(BatchNormStats { largest: 65_535 }).evaluate(&[&x]);
        let (rows, image) = (x.ty.rows(), x.words.len() / 6);
        for division in [vec![6], vec![1, 5], vec![2, 2, 1, 1]] {
            let (mut sum, mut first) = (vec![0; 3 * 8], 0);
            for images in division {
                let mut part = Noise::new(4).ints(&[images, 50, 70, 5], I32, 65_535);
                part.words.copy_from_slice(&x.words[first * image..(first + images) * image]);
                let op = BatchNormMoments { largest: 65_535, rows };
                add_moments(&mut sum, &Op::from(op).evaluate(&[&part]).words);
                first += images;
            }
            let mut moments = Tensor::zeros(crate::tensor::TensorType::new(&[3, 5], crate::tensor::Encoding::U32));
            moments.words.copy_from_slice(&sum);
            assert_eq!(Op::from(BatchNormFinish { rows }).evaluate(&[&moments]), whole);
        }
    }
}
