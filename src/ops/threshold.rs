//! `threshold`: the code of an integer sum is the number of its channel's thresholds that it
//! reaches, as in exported networks ([`crate::export`]), where batch-norm and quantiser are folded
//! to integers.
//!
//! `y[n, i, j, c] = #{t : σ_c·x[n, i, j, c] ≥ T[t, c]}`, with the sign σ_c = −1 for channels in which
//! the code falls. Everything is exact: sums and thresholds are integers below 2^24.

use super::{Activity, Operation, Sample, sample::Noise};
use crate::bits;
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{F32, I16, I32, Planes},
    Tensor, TensorType, View, ViewMut, WORD_BITS,
};

/// Codes of sums: inputs x (`I16` or `I32`), limits `[count + 1, c]`: the signs σ, then the thresholds
/// in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Threshold {
    /// Number of thresholds, 1 to 15.
    pub count: usize,
}

const ROWS: usize = 4;

crate::params! {
    struct ThresholdParams { rows: u32, quads: u32 }
}

impl Threshold {
    fn bits(self) -> u8 {
        (self.count + 1).next_power_of_two().trailing_zeros() as u8
    }
}

impl Operation for Threshold {
    fn stem(&self) -> &'static str {
        "threshold"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        if !matches!(inputs[0].encoding, I16 | I32) {
            return Err(format!("thresholds are those of sums, not of {}", inputs[0]));
        }
        if !(1..=super::quantise::MOST_THRESHOLDS).contains(&self.count) {
            return Err(format!("1 to {} thresholds, not {}", super::quantise::MOST_THRESHOLDS, self.count));
        }
        super::same("the limits", inputs[1], &TensorType::f32(&[self.count + 1, inputs[0].channels()]))?;
        Ok(inputs[0].with(Planes(self.bits())))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        // Mask of the channels in the last word of a row.
        let tail = u32::MAX >> ((WORD_BITS - output.channels() % WORD_BITS) % WORD_BITS);
        let body = [include_str!("../../shaders/quantise.wgsl"), include_str!("../../shaders/threshold_code.wgsl")];
        Launch::new("threshold", &body)
            .constant("AT_LEAST", 1)
            .constant("TAIL", tail as usize)
            .constant("ROWS", ROWS)
            .constant("BITS", self.bits() as usize)
            .constant("THRESHOLDS", self.count)
            .float_ops((self.count + 1) * output.len())
            .read_mapped("x", inputs[0].encoding, Input(0), None)
            .read("limits", F32, Input(1))
            .write("y", output.encoding, Output)
            .params(&ThresholdParams { rows: output.rows() as u32, quads: output.quads() as u32 })
            .threads(output.rows().div_ceil(ROWS) * output.plane_words())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, limits, ty) = (inputs[0].numbers(), inputs[1].numbers(), output.ty);
        let (lanes, plane_words, bits) = (ty.lanes(), ty.plane_words(), self.bits());
        parallel::rows(output.words, ty.row_words(), |row, words| {
            words.fill(0);
            for c in 0..ty.channels() {
                let x = x[row * lanes + c] * limits[c];
                let code = (1..=self.count).filter(|t| x >= limits[t * lanes + c]).count();
                bits::set_code(words, plane_words, bits, c, code as u32);
            }
        });
    }
}

impl Threshold {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(102);
        let cases =
            [([2, 3, 5, 41], I16, 3), ([1, 4, 4, 64], I32, 15), ([3, 1, 2, 5], I16, 1), ([1, 2, 3, 70], I32, 6)];
        let sample = |(shape, encoding, count): ([usize; 4], _, usize)| {
            let channels = shape[3];
            // Sums often equal a threshold.
            let sums = noise.ints(&shape, encoding, 9);
            let sign = |c: usize| if c % 3 == 1 { -1.0 } else { 1.0 };
            let limit = |t: usize, c: usize| (2 * t) as f32 - count as f32 + (c % 5) as f32;
            let rows = (0..=count).flat_map(|t| (0..channels).map(move |c| if t == 0 { sign(c) } else { limit(t, c) }));
            let limits = Tensor::from_f32(&[count + 1, channels], &rows.collect::<Vec<_>>());
            Sample::new(Threshold { count }, vec![sums, limits])
        };
        cases.into_iter().map(sample).collect()
    }
}
