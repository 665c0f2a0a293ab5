//! `accumulate`: gradient sums over the micro-batches of a step. The first micro-batch overwrites
//! the sum of the previous step, so an interrupted step leaves nothing behind.
//!
//! **Order of the sum**: the micro-batches in sequence; the order within each one is that of its
//! own sum ([`super::sum`]).

use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// Sum: inputs sum (in place), g, and a quad `[4]` whose lane 0 is the index of the micro-batch,
/// from 0; a float like all inputs of a merged launch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Accumulate;

impl Operation for Accumulate {
    fn stem(&self) -> &'static str {
        "accumulate"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::float("the sum", inputs[0])?;
        super::same("the summand", inputs[1], inputs[0])?;
        super::same("the index of the micro-batch", inputs[2], &TensorType::f32(&[4]))?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("accumulate", include_str!("../../shaders/accumulate.wgsl"), output)
            .read("g", F32, Input(1))
            .read_quad("micro", Input(2))
            .write("sum", F32, Output)
            .each_quad(output.words() / 4)
            .float_ops(output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (sum, g) = (inputs[0].numbers(), inputs[1].numbers());
        let first = inputs[2].numbers()[0] == 0.0;
        parallel::each(output.floats(), [&sum, &g], |[sum, g]| if first { g } else { sum + g });
    }
}

impl Accumulate {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(53);
        let cases = [(vec![3, 3, 8, 41], 0.0), (vec![2, 5], 1.0), (vec![10], 0.0), (vec![3, 3, 8, 41], 7.0)];
        let sample = |(shape, micro): (Vec<usize>, f32)| {
            let micro = Tensor::from_f32(&[4], &[micro, 0.0, 0.0, 0.0]);
            let inputs = vec![noise.floats(&shape), noise.floats(&shape), micro];
            Sample::new(Accumulate, inputs)
        };
        cases.into_iter().map(sample).collect()
    }
}
