//! `flatten`: x `[n, h, w, c]` becomes y `[n, 1, 1, c·h·w]` in C, H, W order, as in PyTorch:
//! y\[(c·h + r)·w + s\] = x\[r, s, c\]. `flatten_backward` restores the layout of dy.

use super::{Backward, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Flattens each image to one row: input x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flatten;

/// Gradient of [`Flatten`]: input dy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FlattenBackward {
    /// The type of x, and of dx.
    pub input: TensorType,
}

crate::params! {
    /// `len` elements of an image in `flat_quads`; `pixels` rows of `row_quads`.
    struct FlattenParams { quads: u32, pixels: u32, len: u32, row_quads: u32, flat_quads: u32 }
}

impl FlattenParams {
    /// Parameters from the types before and after; each invocation writes one quad of `output`,
    /// which is one of the two.
    fn new(image: &TensorType, flat: &TensorType, output: &TensorType) -> Self {
        let [_, h, w, _] = image.nhwc();
        Self {
            quads: (output.words() / 4) as u32,
            pixels: (h * w) as u32,
            len: flat.channels() as u32,
            row_quads: image.quads() as u32,
            flat_quads: flat.quads() as u32,
        }
    }
}

impl Operation for Flatten {
    fn stem(&self) -> &'static str {
        "flatten"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        let [n, h, w, c] = super::nhwc("the input", inputs[0])?;
        Ok(TensorType::f32(&[n, 1, 1, c * h * w]))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, input) = (cx.dy(), cx.input_type(0));
        let dx = cx.add(FlattenBackward { input }, &[dy])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("flatten", include_str!("../../shaders/flatten.wgsl"), output)
            .params(&FlattenParams::new(inputs[0], output, output))
            .read("x", F32, Input(0))
            .write("y", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, [_, h, w, c], lanes) = (inputs[0].numbers(), inputs[0].ty.nhwc(), inputs[0].ty.lanes());
        let (pixels, out_lanes) = (h * w, output.ty.lanes());
        parallel::rows(output.floats(), out_lanes, |image, out| {
            out.fill(0.0);
            for (i, out) in out[..c * pixels].iter_mut().enumerate() {
                *out = x[(image * pixels + i % pixels) * lanes + i / pixels];
            }
        });
    }
}

/// Channels within a quad and beyond, one pixel and many.
fn shapes() -> [[usize; 4]; 4] {
    [[2, 3, 5, 41], [3, 4, 4, 6], [5, 1, 1, 10], [2, 7, 1, 1]]
}

impl Flatten {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(94);
        shapes().into_iter().map(|shape| Sample::new(Flatten, vec![noise.floats(&shape)])).collect()
    }
}

impl Operation for FlattenBackward {
    fn stem(&self) -> &'static str {
        "flatten_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::same("the gradient", inputs[0], &Flatten.infer(&[&self.input])?)?;
        Ok(self.input.clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        add::elementwise("flatten_backward", include_str!("../../shaders/flatten_backward.wgsl"), output)
            .params(&FlattenParams::new(output, inputs[0], output))
            .read("dy", F32, Input(0))
            .write("dx", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, [_, h, w, c], lanes) = (inputs[0].numbers(), output.ty.nhwc(), output.ty.lanes());
        let (pixels, in_lanes) = (h * w, inputs[0].ty.lanes());
        parallel::rows(output.floats(), lanes, |row, out| {
            let (image, pixel) = (row / pixels, row % pixels);
            out.fill(0.0);
            for (channel, out) in out[..c].iter_mut().enumerate() {
                *out = dy[image * in_lanes + channel * pixels + pixel];
            }
        });
    }
}

impl FlattenBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(95);
        let cases = shapes().into_iter().map(|shape| {
            let input = TensorType::f32(&shape);
            let y = Flatten.infer(&[&input]).expect("a tensor with four axes");
            Sample::new(FlattenBackward { input }, vec![noise.floats(&y.shape)])
        });
        cases.collect()
    }
}
