//! `half_scales`: the scales of values in half precision for the next step, from the values stored
//! in this step ([`crate::halves`]); and `half_seen`, which resets the observations for the next
//! step.
//!
//! After the reset, a row of observations holds zeros, except in its third number: the count of
//! values that saturated in the step.
//!
//! For each row: with m the largest |S·x| of the step, S' = 2^(11 − ⌊log₂ m⌋)·S, with its exponent
//! clamped to [−100, 100]; S if m = 0. Exact. Both operations share one launch, after everything
//! that reads or writes such values.

use super::{Activity, Operation, Sample, add};
use crate::caps::Caps;
use crate::halves::{self, EXPONENT, EXPONENTS, Seen};
use crate::kernel::{Launch, Operand, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    Tensor, TensorType, View, ViewMut,
};

/// The next scales: inputs scales `[rows, 4]` (in place), observations `[rows, 4]` (`U32`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HalfScales;

/// Reset of the observations: input observations `[rows, 4]` (`U32`, in place).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HalfSeen;

fn rows(what: &str, ty: &TensorType, like: &TensorType) -> Result<(), String> {
    super::same(what, ty, &TensorType::new(&[ty.rows(), halves::ROW], like.encoding))
}

/// The launch of either operation, or of both.
fn launch(label: &str, rows: usize, scales: Option<Operand>, seen: [Operand; 2]) -> Launch {
    let [seen, cleared] = seen;
    let launch = Launch::new(label, &[add::ELEMENTWISE, include_str!("../../shaders/half_scales.wgsl")])
        .constant("SCALE", usize::from(scales.is_some()))
        .constant("CLEAR", usize::from(cleared != seen || scales.is_none()));
    let launch = match (scales, cleared == seen) {
        (Some(scales), true) => launch.write("scale", F32, scales).read("noted", U32, seen),
        (Some(scales), false) => launch.write("scale", F32, scales).write("noted", U32, cleared),
        (None, _) => launch.write("noted", U32, cleared),
    };
    launch.params(&add::ElementwiseParams { quads: rows as u32 }).threads(rows)
}

impl HalfScales {
    /// Both operations; [`HalfSeen`] is the second.
    pub(super) fn with_seen(rows: usize) -> Program {
        launch("half_scales", rows, Some(Output), [Input(1), OutputOf(1)]).into()
    }
}

impl Operation for HalfScales {
    fn stem(&self) -> &'static str {
        "half_scales"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        rows("the scales", inputs[0], &TensorType::f32(&[1]))?;
        super::same("the observations", inputs[1], &inputs[0].with(U32))?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        launch("half_scales_alone", output.rows(), Some(Output), [Input(1); 2]).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let scales: &[f32] = bytemuck::cast_slice(inputs[0].words);
        let seen = inputs[1].words.as_chunks::<4>().0;
        let rows = output.floats().as_chunks_mut::<4>().0.iter_mut();
        for ((next, row), &[most, saturated, ..]) in rows.zip(scales.as_chunks::<4>().0).zip(seen) {
            *next = halves::next(*row, Seen { most, saturated });
        }
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl Operation for HalfSeen {
    fn stem(&self) -> &'static str {
        "half_seen"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        rows("the observations", inputs[0], &TensorType::new(&[1], U32))?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        launch("half_seen", output.rows(), None, [Output; 2]).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let rows = inputs[0].words.as_chunks::<4>().0;
        let made = output.words.as_chunks_mut::<4>().0.iter_mut().zip(rows);
        made.for_each(|(row, &[_, saturated, ..])| *row = [0, 0, saturated, 0]);
    }
}

/// Rows with every kind of number.
fn tables() -> [Tensor; 2] {
    let power = |exponent: i32| 2f32.powi(exponent);
    let rows = [
        (0, 0.0),
        (0, 3000.0),
        (-7, 4096.0),
        (30, 1e-30),
        (*EXPONENTS.end(), 1e-40),
        (*EXPONENTS.start(), 1e8),
        (EXPONENT, 1.5),
    ];
    let scales: Vec<f32> = rows.iter().flat_map(|&(s, m)| [power(s), power(-s), 5.0, m]).collect();
    let seen: Vec<u32> = rows.iter().flat_map(|&(_, m): &(i32, f32)| [m.to_bits(), 7, 0, 0]).collect();
    [Tensor::from_f32(&[rows.len(), 4], &scales), Tensor::from_u32(&[rows.len(), 4], &seen)]
}

impl HalfScales {
    pub(super) fn samples() -> Vec<Sample> {
        vec![Sample::new(Self, tables().into())]
    }

    /// Both operations fused.
    pub(super) fn fused_cases() -> Vec<super::fusion::Case> {
        let nodes = vec![(Self.into(), vec![0, 1]), (HalfSeen.into(), vec![1])];
        vec![super::fusion::Case { name: "half_scales with half_seen", nodes, inputs: tables().into() }]
    }
}

impl HalfSeen {
    pub(super) fn samples() -> Vec<Sample> {
        vec![Sample::new(Self, vec![tables()[1].clone()])]
    }
}
