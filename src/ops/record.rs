//! `record`: writes one row of measurements to a ring buffer on the device, so that a step never
//! waits for a read-back.
//!
//! Inputs: ring `[capacity, c + 1]` (in place), value `[c]`, step number `[1]` (`U32`), fault word
//! `[1]` (`U32`, below 2^24, so that a float represents it exactly: see
//! [`FAULT`](crate::kernel::FAULT)); row step mod capacity receives the value, followed by the
//! fault word.

use super::{Activity, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    Tensor, TensorType, View, ViewMut,
};

/// Ring buffer of measurements: inputs ring, value, step, fault word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record;

impl Operation for Record {
    fn stem(&self) -> &'static str {
        "record"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 4)?;
        super::same("the value", inputs[1], &TensorType::f32(&[inputs[0].channels() - 1]))?;
        super::same("the step number", inputs[2], &TensorType::new(&[1], U32))?;
        super::same("the fault word", inputs[3], &TensorType::new(&[1], U32))?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.quads();
        Launch::new("record", &[add::ELEMENTWISE, include_str!("../../shaders/record.wgsl")])
            .constant("CAPACITY", inputs[0].rows())
            .constant("VALUE_QUADS", inputs[1].quads())
            .constant("FAULT", inputs[1].channels())
            .read("value", F32, Input(1))
            .read("step", U32, Input(2))
            .read("fault", U32, Input(3))
            .write("history", F32, Output)
            .params(&add::ElementwiseParams { quads: quads as u32 })
            .threads(quads)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (rows, lanes) = (output.ty.rows(), output.ty.lanes());
        output.words.copy_from_slice(inputs[0].words);
        let row = inputs[2].words[0] as usize % rows;
        let row = &mut output.words[row * lanes..][..lanes];
        row[..inputs[1].words.len()].copy_from_slice(inputs[1].words);
        row[inputs[1].ty.channels()..].fill(0);
        row[inputs[1].ty.channels()] = (inputs[3].words[0] as f32).to_bits();
    }
}

impl Record {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(51);
        let cases = [([7, 3], 0, 0), ([7, 3], 5, 123), ([7, 3], 7, (1 << 24) - 1), ([7, 7], 20, 9), ([5, 9], 1, 3)];
        let sample = |(ring, step, fault): ([usize; 2], u32, u32)| {
            let word = |word| Tensor::from_u32(&[1], &[word]);
            let inputs = vec![noise.floats(&ring), noise.floats(&[ring[1] - 1]), word(step), word(fault)];
            Sample::new(Record, inputs)
        };
        cases.into_iter().map(sample).collect()
    }
}
