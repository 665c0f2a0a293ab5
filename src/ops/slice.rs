//! `slice`: y = x\[…, first .. first + count\], a range of channels in their stored encoding:
//! floats, sums, codes, or the filters of a weight and of its signs. `slice_backward`: dy padded
//! with zeros.

use super::channels::{self, Rest, Run};
use super::{Backward, Operation, Sample, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{
    Encoding::{I16, I32, Planes},
    TensorType, View, ViewMut,
};

/// A range of channels: input x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slice {
    /// The first channel.
    pub first: usize,
    /// Number of channels.
    pub count: usize,
}

/// Gradient of [`Slice`]: input dy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SliceBackward {
    /// The first channel.
    pub first: usize,
    /// The type of x as floats, and of dx.
    pub input: TensorType,
}

impl Slice {
    fn run(&self) -> Run {
        Run { from: self.first, to: 0, count: self.count }
    }
}

impl Operation for Slice {
    fn stem(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        let (Slice { first, count }, channels) = (*self, inputs[0].channels());
        if count == 0 || first + count > channels {
            return Err(format!("cannot take {count} channels from channel {first} on: the input has {channels}"));
        }
        let mut ty = inputs[0].clone();
        ty.shape[inputs[0].shape.len() - 1] = count;
        Ok(ty)
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        // For signs, dy has the type of the weight that they represent, which has more rows.
        let mut input = cx.type_of(dy).clone();
        let axis = input.shape.len() - 1;
        input.shape[axis] = cx.input_type(0).channels();
        let dx = cx.add(SliceBackward { first: self.first, input }, &[dy])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        channels::launch("slice", inputs[0], Input(0), output, self.run(), Rest::Zero).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        output.words.fill(0);
        channels::copy(inputs[0], output, self.run());
    }
}

/// Ranges of channels: aligned and unaligned to units, within one unit, over several, up to the
/// end; the last one covers all channels.
fn runs() -> [(usize, usize, usize); 8] {
    // channels, first, count
    [(41, 8, 20), (41, 3, 7), (41, 38, 3), (10, 1, 2), (130, 64, 64), (130, 33, 70), (130, 31, 99), (70, 0, 70)]
}

impl Slice {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(91);
        let mut samples = Vec::new();
        for (i, (channels, first, count)) in runs().into_iter().enumerate() {
            let shape = [2, 3, 5, channels];
            for x in [
                noise.floats(&shape),
                noise.ints(&shape, I16, 3000),
                noise.ints(&shape, I32, 40_000),
                noise.ints(&shape, Planes((i % 4 + 1) as u8), 0),
                noise.words(&shape, u32::MAX),
            ] {
                samples.push(Sample::new(Slice { first, count }, vec![x]));
            }
        }
        samples
    }
}

impl Operation for SliceBackward {
    fn stem(&self) -> &'static str {
        "slice_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        let slice = Slice { first: self.first, count: inputs[0].channels() };
        super::same("the gradient", inputs[0], &slice.infer(&[&self.input])?)?;
        Ok(self.input.clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let run = Run { from: 0, to: self.first, count: inputs[0].channels() };
        channels::launch("slice_backward", inputs[0], Input(0), output, run, Rest::Zero).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        output.words.fill(0);
        channels::copy(inputs[0], output, Run { from: 0, to: self.first, count: inputs[0].ty.channels() });
    }
}

impl SliceBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(92);
        let cases = runs().into_iter().map(|(channels, first, count)| {
            let input = TensorType::f32(&[2, 3, 5, channels]);
            Sample::new(SliceBackward { first, input }, vec![noise.floats(&[2, 3, 5, count])])
        });
        cases.collect()
    }
}
