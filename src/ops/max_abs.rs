//! `max_abs`: the largest |x| of each sample: x `[n, …]` → `[n, 1]`. The maximum does not depend on
//! the order.

use super::sum::{self, rows_per_chunk};
use super::{Activity, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, LANES, TensorType, View, ViewMut};

/// The largest magnitude of each sample: input x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxAbs;

crate::params! {
    struct MaxParams { samples: u32, quads: u32, chunks: u32, half: u32 }
}

/// Number of quads per invocation and number of invocations, for a sample of `quads` quads.
fn cut(quads: usize) -> (usize, usize) {
    let per_chunk = rows_per_chunk(quads, 256);
    (per_chunk, quads.div_ceil(per_chunk))
}

impl Operation for MaxAbs {
    fn stem(&self) -> &'static str {
        "max_abs"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        match inputs[0].shape[..] {
            [samples, _, ..] => Ok(TensorType::f32(&[samples, 1])),
            _ => Err(format!("expected samples along the first axis, got {}", inputs[0])),
        }
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    /// Launches: the largest of each chunk of quads, then of each sample's chunks.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let samples = output.rows();
        let quads = inputs[0].words() / LANES / samples;
        let (per_chunk, chunks) = cut(quads);
        let params = MaxParams { samples: samples as u32, quads: quads as u32, chunks: chunks as u32, half: sum::HALF };
        let partial = Launch::new("max_abs_partial", &[include_str!("../../shaders/max_abs_partial.wgsl")])
            .constant("PER_CHUNK", per_chunk)
            .read("x", F32, Input(0))
            .write("part", F32, Scratch(0))
            .params(&params)
            .threads(samples * chunks)
            .float_ops(inputs[0].len());
        let largest = sum::lanes("max_abs", include_str!("../../shaders/max_abs.wgsl"), samples, caps)
            .read("part", F32, Scratch(0))
            .write("largest", F32, Output)
            .params(&params)
            .float_ops(LANES * samples * chunks);
        Program { scratch_words: vec![LANES * samples * chunks], launches: vec![partial, largest] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let x = inputs[0].numbers();
        let sample_len = x.len() / output.ty.rows();
        parallel::rows(output.floats(), LANES, |sample, out| {
            let values = &x[sample * sample_len..][..sample_len];
            out.copy_from_slice(&[values.iter().fold(0.0f32, |largest, v| largest.max(v.abs())), 0.0, 0.0, 0.0]);
        });
    }

    /// Nothing is rounded.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl MaxAbs {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(103);
        let shapes = [vec![3, 5, 7, 41], vec![2, 1, 1, 3], vec![5, 10], vec![2, 70, 64, 4]].into_iter();
        shapes.map(|shape| Sample::new(MaxAbs, vec![noise.floats(&shape)])).collect()
    }
}
