//! `dropout`: y = x / (1 − rate) if the random number of an element is at least `rate`, else 0
//! (Srivastava et al., 2014, scaled during training).
//!
//! No mask is stored: the random numbers are a function of seed, step, stream and position, so the
//! gradient is the same operation on dy, which draws them again.

use super::{Backward, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{
    Launch,
    Operand::{self, *},
    Program,
};
use crate::parallel;
use crate::random;
use crate::tensor::{
    Encoding::{F32, U32},
    LANES, Tensor, TensorType, View, ViewMut,
};

/// Dropout: inputs x, random `[4]` = seed low, seed high, step low, step high.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dropout {
    /// Dropout probability, in [0, 1).
    pub rate: f32,
    /// Stream of random numbers: the low half of [`random::stream`] of the layer's name.
    pub stream: u32,
}

crate::params! {
    struct DropoutParams { quads: u32, stream: u32, rate: f32, scale: f32 }
}

/// WGSL of the random number generator; it reads the operand `random`.
pub(super) const PHILOX: &str = include_str!("../../shaders/philox.wgsl");
const DROPOUT: &str = include_str!("../../shaders/dropout.wgsl");
/// Operations per element besides those on integers: conversion to float, comparison, scaling.
const OPS: usize = 4;

/// Returns an error unless the tensor is the input of the random number generator: seed low, seed
/// high, step low, step high; for a micro-batch, also the number of images before it in the step.
pub(super) fn check_random(ty: &TensorType) -> Result<(), String> {
    if *ty == TensorType::new(&[5], U32) {
        return Ok(());
    }
    super::same("random", ty, &TensorType::new(&[4], U32))
}

/// Lets a launch draw random numbers with this operand; `image_quads` is the number of quads per
/// image.
pub(super) fn drawing(launch: Launch, random: &TensorType, operand: Operand, image_quads: usize) -> Launch {
    launch
        .constant("MICRO_BATCH", usize::from(random.channels() > 4))
        .constant("IMAGE_QUADS", image_quads)
        .read("random", U32, operand)
}

/// Number of quads of an image of a batch.
pub(super) fn image_quads(ty: &TensorType) -> usize {
    ty.words() / LANES / ty.shape[0]
}

impl Dropout {
    fn scale(&self) -> f32 {
        1.0 / (1.0 - self.rate)
    }
}

impl Operation for Dropout {
    fn stem(&self) -> &'static str {
        "dropout"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the input", inputs[0])?;
        check_random(inputs[1])?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(format!("dropout rate {} is out of range: choose one from 0 to below 1", self.rate));
        }
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, random) = (cx.dy(), cx.input(1));
        let dx = cx.add(*self, &[dy, random])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / LANES;
        let params = DropoutParams { quads: quads as u32, stream: self.stream, rate: self.rate, scale: self.scale() };
        let launch = Launch::new("dropout", &[add::ELEMENTWISE, PHILOX, DROPOUT]).params(&params).threads(quads).read(
            "x",
            F32,
            Input(0),
        );
        drawing(launch, inputs[1], Input(1), image_quads(output))
            .write("y", F32, Output)
            .float_ops(OPS * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, words, scale) = (inputs[0].numbers(), inputs[1].words, self.scale());
        let first = random::first_quad(words, image_quads(output.ty));
        parallel::rows(output.floats(), LANES, |quad, out| {
            let drawn = random::quad(words, first + quad as u32, self.stream).map(random::fraction);
            for (lane, out) in out.iter_mut().enumerate() {
                *out = if drawn[lane] >= self.rate { x[quad * LANES + lane] * scale } else { 0.0 };
            }
        });
    }
}

impl Dropout {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(90);
        let shapes = [(vec![2, 3, 5, 41], 0.5), (vec![3, 10], 0.1), (vec![7], 0.3), (vec![9, 8, 8, 64], 0.0625)];
        let samples = shapes.into_iter().map(|(shape, rate)| {
            // Uses all 32 bits of seed, step and stream.
            let mut words: Vec<_> = (0..4).map(|_| noise.bits()).collect();
            words.extend((shape.len() > 1 && rate > 0.3).then_some(6));
            let op = Dropout { rate, stream: noise.bits() };
            Sample::new(op, vec![noise.floats(&shape), Tensor::from_u32(&[words.len()], &words)])
        });
        samples.collect()
    }
}
