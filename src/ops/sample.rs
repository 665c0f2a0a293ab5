//! Small test cases: an operation with inputs that are never all zero.

use super::Op;
use crate::tensor::{Encoding, Tensor, TensorType};

/// An operation with inputs.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operation.
    pub op: Op,
    /// Its inputs.
    pub inputs: Vec<Tensor>,
}

impl Sample {
    /// Creates a sample of an operation with these inputs.
    pub fn new(op: impl Into<Op>, inputs: Vec<Tensor>) -> Self {
        Self { op: op.into(), inputs }
    }

    /// Output of the reference implementation (`reference`).
    pub fn expected(&self) -> Tensor {
        self.op.evaluate(&self.inputs.iter().collect::<Vec<_>>())
    }
}

/// Pseudo-random values, the same on every machine: floats in (−2, 2), integers in a range, codes
/// over all levels.
pub struct Noise(u64);

impl Noise {
    /// Creates a generator; each seed gives a different sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns 32 random bits (the upper half of a linear congruential generator, scrambled).
    pub fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let high = (self.0 >> 32) as u32;
        (high ^ high >> 15).wrapping_mul(0x2c1b_3c6d)
    }

    /// A float in [−2, 2).
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1u32 << 22) as f32 - 2.0
    }

    /// Floats in [−2, 2).
    pub fn floats(&mut self, shape: &[usize]) -> Tensor {
        let values: Vec<_> = (0..shape.iter().product()).map(|_| self.float()).collect();
        Tensor::from_f32(shape, &values)
    }

    /// Floats in (0, 2], for variances and scales.
    pub fn positive(&mut self, shape: &[usize]) -> Tensor {
        let values: Vec<_> = (0..shape.iter().product()).map(|_| self.float().abs() + 1e-3).collect();
        Tensor::from_f32(shape, &values)
    }

    /// Integers in −bound..=bound; for planes, codes over all levels.
    pub fn ints(&mut self, shape: &[usize], encoding: Encoding, bound: i32) -> Tensor {
        let ty = TensorType::new(shape, encoding);
        let values: Vec<_> = (0..ty.len())
            .map(|_| match encoding {
                Encoding::Planes(bits) => (self.bits() >> (32 - bits)) as i32,
                _ => (self.bits() % (2 * bound as u32 + 1)) as i32 - bound,
            })
            .collect();
        Tensor::from_ints(ty, &values)
    }

    /// Words below `bound`.
    pub fn words(&mut self, shape: &[usize], bound: u32) -> Tensor {
        let values: Vec<_> = (0..shape.iter().product()).map(|_| self.bits() % bound).collect();
        Tensor::from_u32(shape, &values)
    }

    /// Float weights `[r, s, c, k]` whose rows from `channels` on are zero padding.
    pub fn weights(&mut self, window: [usize; 2], channels: usize, filters: usize) -> Tensor {
        let padded = channels.next_multiple_of(4);
        let values: Vec<_> = (0..window[0] * window[1] * padded * filters)
            .map(|i| if i / filters % padded < channels { self.float() } else { 0.0 })
            .collect();
        Tensor::from_f32(&[window[0], window[1], padded, filters], &values)
    }
}
