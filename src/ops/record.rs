//! `record`: writes one row of measurements into a ring on the device, so that a step never waits for a read-back.
//!
//! Inputs: ring `[capacity, c]` (in place), value `[c]`, step number `[1]` (`U32`); row step mod capacity takes the value.

use super::{Activity, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut,
};

/// Ring of measurements: inputs ring, value, step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record;

impl Operation for Record {
    fn stem(&self) -> &'static str {
        "record"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::same("the value", inputs[1], &TensorType::f32(&[inputs[0].channels()]))?;
        super::same("the step number", inputs[2], &TensorType::new(&[1], U32))?;
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
            .read("value", F32, Input(1))
            .read("step", U32, Input(2))
            .write("history", F32, Output)
            .params(&add::ElementwiseParams { quads: quads as u32 })
            .threads(quads)
            .into()
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (rows, lanes) = (output.ty.rows(), output.ty.lanes());
        output.words.copy_from_slice(inputs[0].words);
        let row = inputs[2].words[0] as usize % rows;
        output.words[row * lanes..][..lanes].copy_from_slice(inputs[1].words);
    }
}

impl Record {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(51);
        let steps = [0, 5, 7, 20].into_iter();
        steps
            .map(|step| {
                let inputs =
                    vec![noise.floats(&[7, 2]), noise.floats(&[2]), crate::tensor::Tensor::from_u32(&[1], &[step])];
                Sample::new(Record, inputs)
            })
            .collect()
    }
}
