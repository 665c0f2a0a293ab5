//! Cases whose floats of images lie in half precision, as with `precision = "mixed"`: [`crate::halves`].

use crate::error::Result;
use crate::graph::{Phase, Typed, Value};
use crate::halves::{self, EXPONENT, ROW, SCALES, SEEN};
use crate::ops::joint::Case;
use crate::ops::{Graph, Leaf, Role};
use crate::tensor::{Encoding, Tensor, TensorType};
use std::ops::Range;

/// Rows of the table of scales, the same in all cases, for a backend keeps state by name.
const ROWS: usize = 16;

/// The scale with which a tensor's largest number gets the exponent that it has in a run.
fn scale_of(tensor: &Tensor) -> f32 {
    let largest = tensor.view().numbers().iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    if largest == 0.0 { 1.0 } else { 2f32.powi(EXPONENT - libm::ilogbf(largest)) }
}

/// The words of a tensor of floats in half precision.
fn words(tensor: &Tensor, scale: f32) -> Vec<u32> {
    let mut words = vec![0; tensor.words.len() / 2];
    halves::store(bytemuck::cast_slice(&tensor.words), scale, &mut words);
    words
}

/// Whether a run may store a value like this in half precision, as far as a case tells.
fn may_be(ty: &TensorType, images: usize) -> bool {
    ty.encoding == Encoding::F32 && ty.shape.len() == 4 && ty.shape[0] == images
}

/// What of a case lies in half precision.
#[derive(Default)]
pub(super) struct Halves {
    /// By row of the table: which value, and its scale.
    rows: Vec<(Value, f32)>,
}

impl Halves {
    /// The case with inputs that halves hold exactly, and what of it lies in half precision; `None` where nothing does.
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

    /// Whether nothing lies in half precision.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The words of an input as it lies in memory.
    pub(super) fn input(&self, index: usize, tensor: &Tensor) -> Vec<u32> {
        self.scale(Value(index)).map_or_else(|| tensor.words.clone(), |scale| words(tensor, scale))
    }

    /// The words of an output, with what lies behind it, as floats.
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

    /// What rounding to halves adds to the bound on the error of the outputs, relative to the largest number: twice what rounding to nearest does, for drivers may round towards zero.
    pub(super) fn bound(&self, outputs: Range<usize>) -> f32 {
        if self.rows.iter().any(|(value, _)| outputs.contains(&value.0)) { 2f32.powi(-10) } else { 0.0 }
    }

    /// Marks the values in the graph, and adds both tables.
    ///
    /// # Errors
    /// None.
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

    /// Both tables, by name, before a run; none where nothing lies in half precision.
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

    /// Compares what the device noted of its outputs with what it wrote: that the largest is known, and nothing saturated.
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
                return Err(format!("noted {most} as the largest number, not {largest}, and {saturated} as saturated"));
            }
        }
        Ok(())
    }
}
