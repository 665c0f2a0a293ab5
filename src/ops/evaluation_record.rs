//! `evaluation_record`: records the result for each image of a batch in rows on the device, so that an
//! evaluation needs a single read-back.
//!
//! Inputs: rows `[capacity, 4]` (in place), logits `[n, 1, 1, k]`, labels `[n]` (`U32`), losses
//! `[n, 2]` as an objective outputs them, batch index `[1]` (`U32`), fault word `[1]` (`U32`, below
//! 2^24, so that a float represents it exactly: see [`FAULT`](crate::kernel::FAULT)). Row
//! (batch·n + i) mod capacity receives, for image i: the loss; the class of the largest logit, the
//! first one in case of ties; the rank of the label, which is the number of classes with larger
//! logits, including those with equal logits before it; the fault word. All are exact.

use super::{Activity, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    Tensor, TensorType, View, ViewMut,
};

/// Per-image results: inputs rows, logits, labels, losses, batch index, fault word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EvaluationRecord;

crate::params! {
    struct JudgeParams { rows: u32, quads: u32 }
}

/// Numbers in a row: loss, predicted class, rank of the label, fault word.
pub const COLUMNS: usize = 4;

/// Index of the first largest logit.
pub fn winner(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, c| if logits[c] > logits[best] { c } else { best })
}

/// Number of classes with larger logits than `label`, including those with equal logits before it.
pub(crate) fn rank(logits: &[f32], label: usize) -> usize {
    let larger = |(c, &v): (usize, &f32)| v > logits[label] || v == logits[label] && c < label;
    logits.iter().enumerate().filter(|&class| larger(class)).count()
}

impl Operation for EvaluationRecord {
    fn stem(&self) -> &'static str {
        "evaluation_record"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 6)?;
        super::float("the logits", inputs[1])?;
        let [batch, word] = [inputs[1].rows(), 1].map(|len| TensorType::new(&[len], U32));
        super::same("the rows", inputs[0], &TensorType::f32(&[inputs[0].rows(), COLUMNS]))?;
        super::same("the labels", inputs[2], &batch)?;
        super::same("the losses", inputs[3], &TensorType::f32(&[batch.len(), 2]))?;
        super::same("the batch number", inputs[4], &word)?;
        super::same("the fault word", inputs[5], &word)?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (rows, quads) = (inputs[1].rows(), inputs[1].quads());
        // Only the batch's rows are written.
        let words = inputs[1].words() + inputs[2].words() + inputs[3].words() + rows * COLUMNS + 2;
        Launch::new("evaluation_record", &[include_str!("../../shaders/evaluation_record.wgsl")])
            .constant("CLASSES", inputs[1].channels())
            .constant("CAPACITY", output.rows())
            .read("x", F32, Input(1))
            .read("labels", U32, Input(2))
            .read("loss", F32, Input(3))
            .read("batch", U32, Input(4))
            .read("fault", U32, Input(5))
            .write("rows", F32, Output)
            .params(&JudgeParams { rows: rows as u32, quads: quads as u32 })
            .threads(rows)
            .moves(words)
            // Per class: two comparisons for larger, one for equal.
            .float_ops(3 * inputs[1].len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (classes, lanes, capacity) = (inputs[1].ty.channels(), inputs[1].ty.lanes(), output.ty.rows());
        let (x, labels, losses) = (inputs[1].numbers(), inputs[2].words, inputs[3].words);
        let (batch, fault) = (inputs[4].words[0] as usize, inputs[5].words[0]);
        output.words.copy_from_slice(inputs[0].words);
        let first = batch * inputs[1].ty.rows();
        for (at, (x, loss)) in x.chunks_exact(lanes).zip(losses.chunks_exact(4)).enumerate() {
            let (x, label) = (&x[..classes], labels[at] as usize);
            let row = &mut output.words[(first + at) % capacity * COLUMNS..][..COLUMNS];
            let [predicted, rank, fault] = [winner(x) as f32, rank(x, label) as f32, fault as f32].map(f32::to_bits);
            row.copy_from_slice(&[loss[0], predicted, rank, fault]);
        }
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl EvaluationRecord {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(70);
        // Images, classes, batches, batch index, fault word, number of distinct logits: if small,
        // many are equal.
        let cases = [
            (29, 10, 4, 0, 0, 5),
            (29, 10, 4, 3, 123, u32::MAX),
            (1, 2, 3, 5, (1 << 24) - 1, 2),
            (70, 101, 2, 1, 7, 9),
            (64, 7, 1, 0, 0, 1),
            (5, 301, 2, 0, 0, u32::MAX),
        ];
        let sample = |(n, classes, batches, batch, fault, kinds): (usize, usize, usize, u32, u32, u32)| {
            let word = |word| Tensor::from_u32(&[1], &[word]);
            let logits: Vec<_> = (0..n * classes).map(|_| (noise.bits() % kinds) as f32 / 16.0 - 2.0).collect();
            let logits = Tensor::from_f32(&[n, 1, 1, classes], &logits);
            let (kept, losses) = (noise.floats(&[batches * n, COLUMNS]), noise.floats(&[n, 2]));
            let labels = noise.words(&[n], classes as u32);
            Sample::new(EvaluationRecord, vec![kept, logits, labels, losses, word(batch), word(fault)])
        };
        cases.into_iter().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_equal_logits_in_order() {
        let logits = [1.0, 3.0, 2.0, 3.0];
        assert_eq!([0, 1, 2, 3].map(|label| rank(&logits, label)), [3, 0, 2, 1]);
        assert_eq!(winner(&logits), 1);
    }
}
