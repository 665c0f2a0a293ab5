//! `count_saturated`: counts the numbers outside the range of a fixed-point format, over the whole
//! run.
//!
//! Inputs: counter `[2]` (`U32`, in place: low and high word of a 64-bit count), x, or x and the
//! coefficients of a preceding batch-norm. Integers can be added in any order: the count is the
//! same on every device.

use super::fixed::Format;
use super::sum::{self, rows_per_chunk};
use super::{Activity, Fold, Operation, Sample, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::U32, Tensor, TensorType, View, ViewMut};

/// Count of saturated numbers: inputs counter, x, or counter, x, coefficients.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CountSaturated {
    /// Format whose range is checked.
    pub format: Format,
}

crate::params! {
    struct PartialParams { rows: u32, quads: u32, low: f32, high: f32 }
}

crate::params! {
    struct CountParams { parts: u32, half: u32 }
}

impl Operation for CountSaturated {
    fn stem(&self) -> &'static str {
        "count_saturated"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs.get(1..).unwrap_or_default())?;
        self.format.check()?;
        super::same("the counter", inputs[0], &TensorType::new(&[2], U32))?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { input: 1, trailing: 0 })
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    /// Launches: a count for each chunk of rows of a quad of channels, then the sum of all.
    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        let x = inputs[1];
        let per_chunk = rows_per_chunk(x.rows(), x.quads());
        let parts = x.rows().div_ceil(per_chunk) * x.quads();
        let text = include_str!("../../shaders/count_saturated_partial.wgsl");
        let [low, high] = self.format.range();
        let partial = Launch::new("count_saturated_partial", &[text]).constant("PER_CHUNK", per_chunk);
        let partial = batch_norm::read(partial.float_ops(2 * x.len()), self, inputs)
            .write("part", U32, Scratch(0))
            .params(&PartialParams { rows: x.rows() as u32, quads: x.quads() as u32, low, high })
            .threads(parts);
        let text = include_str!("../../shaders/count_saturated.wgsl");
        let sum = sum::lanes("count_saturated", text, 1, caps)
            .read("part", U32, Scratch(0))
            .write("counter", U32, Output)
            .params(&CountParams { parts: parts as u32, half: sum::HALF });
        Program { scratch_words: vec![4 * parts], launches: vec![partial, sum] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, ty) = (batch_norm::Prologue::new(&inputs[1..]).numbers(), inputs[1].ty);
        let values = x.chunks_exact(ty.lanes()).flat_map(|row| &row[..ty.channels()]);
        let saturated = values.filter(|x| !self.format.holds(**x)).count() as u64;
        let before = u64::from(inputs[0].words[0]) | u64::from(inputs[0].words[1]) << 32;
        let count = before.wrapping_add(saturated);
        output.words.copy_from_slice(&[count as u32, (count >> 32) as u32, 0, 0]);
    }
}

impl CountSaturated {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(102);
        let op = CountSaturated { format: Format { integer_bits: 1, fraction_bits: 3 } };
        let counter = |low, high| Tensor::from_u32(&[2], &[low, high]);
        let mut samples = vec![
            Sample::new(op, vec![counter(5, 0), noise.floats(&[2, 3, 5, 41])]),
            // The low word overflows.
            Sample::new(op, vec![counter(u32::MAX - 3, 7), noise.floats(&[17, 9, 11, 6])]),
        ];
        let cases = batch_norm::prologue_cases(&mut noise).into_iter();
        samples.extend(cases.map(|inputs| Sample::new(op, [vec![counter(0, 1)], inputs].concat())));
        samples
    }
}
