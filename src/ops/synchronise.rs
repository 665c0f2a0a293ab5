//! `synchronise`: y = x, a point of a step at which ranks exchange x ([`crate::train::ranks`]).
//!
//! On a device it copies x. The session runs a step up to this node, replaces the contents of x by a value that
//! all ranks have agreed on, and runs the rest; without other ranks nothing is replaced. x must be an output
//! of the graph, so that it can be read and written.

use super::{Activity, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut,
};

/// What the exchanged values are, and how those of the ranks are combined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shared {
    /// Sums of [`super::batch_norm_moments`], which are added.
    Moments,
    /// Mean and variance `[2, c]` of floats, which are combined by Chan's formula.
    Statistics,
    /// Sums `[2, c]` of [`super::batch_norm_backward`], which are added, and then multiplied by this rank's share
    /// of the rows, because the next operation divides them by its own number of rows.
    Gradients,
}

/// A copy: input x, output of the same type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Synchronise {
    /// What x is.
    pub shared: Shared,
    /// Number of rows of this rank that x stands for.
    pub rows: usize,
}

impl Operation for Synchronise {
    fn stem(&self) -> &'static str {
        "synchronise"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        let encoding = if self.shared == Shared::Moments { U32 } else { F32 };
        super::same("the shared value", inputs[0], &inputs[0].with(encoding))?;
        Ok(inputs[0].clone())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        // Not merged with other launches quad by quad: x must be in memory before this launch.
        add::elementwise("synchronise", include_str!("../../shaders/synchronise.wgsl"), output)
            .read("x", inputs[0].encoding, Input(0))
            .write("y", output.encoding, Output)
            .moves(2 * output.words())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        output.words.copy_from_slice(inputs[0].words);
    }
}

impl Synchronise {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(61);
        let floats = [Shared::Statistics, Shared::Gradients].map(|shared| (shared, noise.floats(&[2, 41])));
        let moments = super::batch_norm_moments::BatchNormMoments::samples().remove(0).expected();
        let cases = floats.into_iter().chain([(Shared::Moments, moments)]);
        cases.map(|(shared, x)| Sample::new(Synchronise { shared, rows: 30 }, vec![x])).collect()
    }
}
