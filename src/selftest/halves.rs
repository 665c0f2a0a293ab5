//! Test cases in which floats of images are stored in half precision, as with `precision =
//! "mixed"`: [`crate::halves`].

use crate::error::Result;
use crate::graph::{Phase, Typed, Value};
use crate::halves::{self, EXPONENT, ROW, SCALES, SEEN};
use crate::ops::fusion::Case;
use crate::ops::{Graph, Leaf, Role};
use crate::tensor::{Encoding, Tensor, TensorType};
use std::ops::Range;

/// Rows of the table of scales, the same in all cases, because a backend keeps state by name.
const ROWS: usize = 16;

/// Returns the scale that gives a tensor's largest number the exponent that it has in a run.
fn scale_of(tensor: &Tensor) -> f32 {
    let largest = tensor.view().numbers().iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    if largest == 0.0 { 1.0 } else { 2f32.powi(EXPONENT - libm::ilogbf(largest)) }
}

/// Returns a float tensor's words in half precision.
fn words(tensor: &Tensor, scale: f32) -> Vec<u32> {
    let mut words = vec![0; tensor.words.len() / 2];
    halves::store(bytemuck::cast_slice(&tensor.words), scale, &mut words);
    words
}

/// Whether a run may store such a value in half precision, as far as the case determines it.
fn may_be(ty: &TensorType, images: usize) -> bool {
    ty.encoding == Encoding::F32 && ty.shape.len() == 4 && ty.shape[0] == images
}

/// The values of a case that are stored in half precision.
#[derive(Default)]
pub(super) struct Halves {
    /// Value and scale by row of the table.
    rows: Vec<(Value, f32)>,
}

impl Halves {
    /// Returns the case, with inputs rounded to values that halves represent exactly, and its
    /// values in half precision; `None` if there are none.
    pub(super) fn of(case: &Case) -> Option<(Case, Self)> {
        let images = case.inputs.iter().find(|input| input.ty.shape.len() == 4)?.ty.shape[0];
        let mut case = case.clone();
        let mut rows = Vec::new();
        for (index, input) in case.inputs.iter_mut().enumerate().filter(|(_, input)| may_be(&input.ty, images)) {
            let scale = scale_of(input);
            input.words = bytemuck::cast_vec(halves::load(&words(input, scale), 1.0 / scale));
            rows.push((Value(index), scale));
        }
        for (at, ((op, _), output)) in case.nodes.iter().zip(case.expected()).enumerate() {
            if op.in_place().is_none() && may_be(&output.ty, images) {
                rows.push((Value(case.inputs.len() + at), scale_of(&output)));
            }
        }
        let updated =
            |value: &Value| case.nodes.iter().any(|(op, inputs)| op.in_place().is_some_and(|at| inputs[at] == value.0));
        rows.retain(|(value, _)| !updated(value));
        (!rows.is_empty()).then_some((case, Self { rows }))
    }

    /// Whether no value is stored in half precision.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the words of an input as stored in memory.
    pub(super) fn input(&self, index: usize, tensor: &Tensor) -> Vec<u32> {
        self.scale(Value(index)).map_or_else(|| tensor.words.clone(), |scale| words(tensor, scale))
    }

    /// Returns the words of an output as floats, followed by the words behind it.
    pub(super) fn output(&self, value: Value, ty: &TensorType, mut stored: Vec<u32>) -> Vec<u32> {
        let Some(scale) = self.scale(value) else { return stored };
        let behind = stored.split_off(ty.with(Encoding::F16).words());
        let mut floats: Vec<u32> = bytemuck::cast_vec(halves::load(&stored, 1.0 / scale));
        floats.extend(behind);
        floats
    }

    fn scale(&self, value: Value) -> Option<f32> {
        self.rows.iter().find(|(other, _)| *other == value).map(|(_, scale)| *scale)
    }

    /// Returns the contribution of rounding to halves to the error bound of the outputs, relative
    /// to the largest number. It is twice that of rounding to nearest, because drivers may round
    /// towards zero.
    pub(super) fn bound(&self, outputs: Range<usize>) -> f32 {
        if self.rows.iter().any(|(value, _)| outputs.contains(&value.0)) { 2f32.powi(-10) } else { 0.0 }
    }

    /// Marks the values in the graph, and adds both tables.
    ///
    /// # Errors
    ///
    /// Never returns an error.
    pub(super) fn mark(&self, graph: &mut Graph) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        graph.at("", Phase::Forward);
        for (name, encoding) in [(SCALES, Encoding::F32), (SEEN, Encoding::U32)] {
            let ty = TensorType::new(&[ROWS, ROW], encoding);
            graph.add(Leaf { name: name.to_string(), ty, role: Role::State { trained: false } }, &[])?;
        }
        self.rows.iter().enumerate().for_each(|(row, (value, _))| graph.store_half(*value, row));
        Ok(())
    }

    /// Returns the initial contents of both tables by name; empty if no value is stored in half
    /// precision.
    pub(super) fn tables(&self) -> Vec<(&'static str, Vec<u32>)> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut scales = vec![0.0f32; ROWS * ROW];
        for (row, (_, scale)) in scales.as_chunks_mut::<ROW>().0.iter_mut().zip(&self.rows) {
            *row = [*scale, 1.0 / scale, 0.0, 0.0];
        }
        vec![(SCALES, bytemuck::cast_vec(scales)), (SEEN, vec![0; ROWS * ROW])]
    }

    /// Compares the statistics that the device recorded for its outputs with the expected outputs:
    /// the largest number must match, and nothing may be saturated.
    pub(super) fn compare_seen(
        &self,
        outputs: Range<usize>,
        expected: &[Tensor],
        seen: &[u32],
        tolerance: f32,
    ) -> Result<(), String> {
        for (row, (value, scale)) in self.rows.iter().enumerate().filter(|(_, (value, _))| outputs.contains(&value.0)) {
            let [most, saturated, ..] = seen.as_chunks::<ROW>().0[row];
            let numbers = expected[value.0 - outputs.start].view().numbers();
            let largest = numbers.iter().fold(0.0f32, |largest, v| largest.max(v.abs())) * scale;
            let most = f32::from_bits(most);
            if (most - largest).abs() > tolerance.max(f32::EPSILON) * largest || saturated != 0 {
                return Err(format!(
                    "recorded {most} as the largest number, not {largest}, and {saturated} saturated numbers"
                ));
            }
        }
        Ok(())
    }
}
