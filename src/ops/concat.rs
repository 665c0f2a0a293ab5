//! `concat`: concatenates two or more tensors along the channels in their stored encoding: floats,
//! sums or codes, all of the same encoding. Its gradients are slices of dy.

use super::channels::{self, Rest, Run};
use super::{Backward, Operation, Sample, sample::Noise, slice::Slice};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{
    Encoding::{I16, I32, Planes},
    TensorType, View, ViewMut,
};

/// Concatenation: inputs whose shapes differ only in the number of channels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Concat;

/// Target channels of each input.
fn runs<'a>(inputs: impl Iterator<Item = &'a TensorType>) -> impl Iterator<Item = Run> {
    inputs.scan(0, |next, x| {
        let to = *next;
        *next += x.channels();
        Some(Run { from: 0, to, count: x.channels() })
    })
}

impl Operation for Concat {
    fn stem(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [first, others @ ..] = inputs else { return Err("nothing to concatenate".to_string()) };
        if others.is_empty() {
            return Err("expected at least two inputs, got 1".to_string());
        }
        let (mut ty, axis) = ((*first).clone(), first.shape.len() - 1);
        for other in others {
            let mut fits = (*first).clone();
            fits.shape[axis] = other.channels();
            super::same("an input", other, &fits)?;
            ty.shape[axis] += other.channels();
        }
        Ok(ty)
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        let types: Vec<_> = (0..cx.inputs().len()).map(|index| cx.input_type(index)).collect();
        for (index, run) in runs(types.iter()).enumerate() {
            if cx.needs_gradient(index) {
                let dx = cx.add(Slice { first: run.to, count: run.count }, &[dy])?;
                cx.accumulate(index, dx)?;
            }
        }
        Ok(())
    }

    /// One launch per input, so the number of inputs is not limited by the number of bindings. Each
    /// launch continues in the unit that the previous one may have begun.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let launches = runs(inputs.iter().copied()).zip(inputs).enumerate();
        let launch = |(i, (run, x)): (usize, (Run, &&TensorType))| {
            channels::launch("concat", x, Input(i), output, run, Rest::Kept)
        };
        Program { scratch_words: Vec::new(), launches: launches.map(launch).collect() }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        output.words.fill(0);
        for (run, x) in runs(inputs.iter().map(|x| x.ty)).zip(inputs) {
            channels::copy(*x, output, run);
        }
    }
}

impl Concat {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(93);
        // Ranges that fill units, end inside one, begin and end in the same one.
        let cases = [vec![8, 12], vec![3, 5, 10], vec![1, 1, 1, 1, 2], vec![64, 32, 33], vec![31, 2, 70], vec![41; 9]];
        let mut samples = Vec::new();
        for (i, channels) in cases.into_iter().enumerate() {
            let mut case = |make: &mut dyn FnMut(&[usize]) -> crate::tensor::Tensor| {
                let inputs = channels.iter().map(|&c| make(&[2, 3, 5, c])).collect();
                samples.push(Sample::new(Concat, inputs));
            };
            case(&mut |shape| noise.floats(shape));
            case(&mut |shape| noise.ints(shape, I16, 3000));
            case(&mut |shape| noise.ints(shape, I32, 40_000));
            case(&mut |shape| noise.ints(shape, Planes((i % 4 + 1) as u8), 0));
        }
        samples
    }
}
