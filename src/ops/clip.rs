//! `square_sum`, `clip_scale`: gradient clipping by global norm, as in PyTorch's `clip_grad_norm_`.
//!
//! total = Σ over all gradients of Σ dw²; scale = min(1, max_norm/(√total + 1e-6)); dw ← dw·scale
//! ([`super::scale`]).
//!
//! Each sum of squares is added to the total of the preceding gradients, so the order is fixed and
//! no launch binds more than two of them. Within a gradient, memory is treated as rows of 64 quads.
//!
//! **Order of the sum** ([`super::sum`]): chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 of
//! those rows; their sums in chunks of 128, then pairs, then the tree of lanes. Gradients are added
//! sequentially in runs of 64, and the runs in pairs.

use super::sum::{self, rows_per_chunk};
use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// Sum of squares of all elements, `[1]`: inputs x, or x and the running total `[1]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SquareSum;

/// Scale factor of all gradients, `[1]`: input total `[1]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClipScale {
    /// Maximum global norm of the gradients, above 0.
    pub max_norm: f32,
}

/// Number of quads of a row.
const LANE_QUADS: usize = 64;

/// Constant that PyTorch adds to the norm.
const MARGIN: f32 = 1e-6;

crate::params! {
    struct SquareParams { quads: u32, half: u32 }
}

crate::params! {
    struct ScaleParams { quads: u32, max_norm: f32 }
}

/// Number of rows of 64 quads, rows per chunk, number of chunks.
fn cut(x: &TensorType) -> (usize, usize, usize) {
    let rows = (x.words() / 4).div_ceil(LANE_QUADS);
    let per_chunk = rows_per_chunk(rows, sum::LANES);
    (rows, per_chunk, rows.div_ceil(per_chunk))
}

impl Operation for SquareSum {
    fn stem(&self) -> &'static str {
        "square_sum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1 + usize::from(inputs.len() > 1))?;
        super::float("the input", inputs[0])?;
        let total = TensorType::f32(&[1]);
        if let Some(before) = inputs.get(1) {
            super::same("the running total", before, &total)?;
        }
        Ok(total)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        let (x, joined) = (inputs[0], inputs.len() == 2);
        let (_, per_chunk, chunks) = cut(x);
        let params = SquareParams { quads: (x.words() / 4) as u32, half: sum::HALF };
        let partial = Launch::new("square_sum_partial", &[include_str!("../../shaders/square_sum_partial.wgsl")])
            .constant("PER_CHUNK", per_chunk)
            .read("x", F32, Input(0))
            .write("part", F32, Scratch(0))
            .params(&params)
            .threads(chunks * LANE_QUADS)
            .float_ops(2 * x.len());
        let label = if joined { "square_sum_joined" } else { "square_sum" };
        // Each lane adds up one quad of each chunk.
        let terms = chunks * sum::LANES;
        let mut sum = sum::reduction(label, include_str!("../../shaders/square_sum.wgsl"), (1, terms), caps)
            .constant("PER_CHUNK", per_chunk)
            .constant("JOINED", usize::from(joined))
            .read("part", F32, Scratch(0));
        if joined {
            sum = sum.read("before", F32, Input(1));
        }
        let sum = sum.write("total", F32, Output).params(&params).float_ops(chunks * 4 * LANE_QUADS);
        Program { scratch_words: vec![chunks * LANE_QUADS * 4], launches: vec![partial, sum] }
    }

    /// Sums in the kernels' order.
    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let x = inputs[0].numbers();
        let (rows, per_chunk, chunks) = cut(inputs[0].ty);
        let row_len = 4 * LANE_QUADS;
        let lanes = sum::of_many(chunks, row_len, |chunk, sums| {
            let mut part = vec![0.0; row_len];
            for row in chunk * per_chunk..((chunk + 1) * per_chunk).min(rows) {
                part.iter_mut().zip(&x[row * row_len..]).for_each(|(part, x)| *part += x * x);
            }
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        });
        let of_lane = |i: usize| sum::tree(&mut std::array::from_fn(|lane| lanes[4 * lane + i]), |a, b| a + b);
        let [x, y, z, w] = [0, 1, 2, 3].map(of_lane);
        let before = inputs.get(1).map_or(0.0, |before| before.numbers()[0]);
        let out = output.floats();
        out.fill(0.0);
        out[0] = (x + y) + (z + w) + before;
    }
}

impl SquareSum {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(58);
        // The first shape has several chunks, the last less than a row.
        let shapes: [&[usize]; 4] = [&[3, 3, 64, 150], &[3, 3, 8, 41], &[2, 5], &[10]];
        let mut samples: Vec<_> =
            shapes.into_iter().map(|shape| Sample::new(SquareSum, vec![noise.floats(shape)])).collect();
        samples.push(Sample::new(SquareSum, vec![noise.floats(&[2, 300]), noise.positive(&[1])]));
        samples
    }
}

impl Operation for ClipScale {
    fn stem(&self) -> &'static str {
        "clip_scale"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::same("the total", inputs[0], &TensorType::f32(&[1]))?;
        Ok(inputs[0].clone())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        Launch::new("clip_scale", &[add::ELEMENTWISE, include_str!("../../shaders/clip_scale.wgsl")])
            .read("total", F32, Input(0))
            .must_be_finite()
            .write("scale", F32, Output)
            .params(&ScaleParams { quads: output.quads() as u32, max_norm: self.max_norm })
            .threads(output.quads())
            .float_ops(4)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let norm = inputs[0].numbers()[0].sqrt();
        let out = output.floats();
        out.fill(0.0);
        out[0] = (self.max_norm / (norm + MARGIN)).min(1.0);
    }
}

impl ClipScale {
    pub(super) fn samples() -> Vec<Sample> {
        // Clipped, not clipped, zero gradient.
        let totals = [9.0, 0.25, 0.0].into_iter();
        totals.map(|total| Sample::new(ClipScale { max_norm: 1.5 }, vec![Tensor::from_f32(&[1], &[total])])).collect()
    }
}
