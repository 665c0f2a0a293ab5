//! Operations on floats other than convolutions.

use super::Op;
use crate::network::Type;
use crate::simd::{self, Simd};
use crate::sum;
use crate::window::Window;
use alloc::vec;
use alloc::vec::Vec;

/// x·gain + shift; an empty array is omitted.
pub(super) fn affine(gain: &[f32], shift: &[f32], mut x: Vec<f32>, channels: usize) -> Vec<f32> {
    simd::run(Affine { gain, shift, x: &mut x, channels });
    x
}

struct Affine<'a> {
    gain: &'a [f32],
    shift: &'a [f32],
    x: &'a mut [f32],
    channels: usize,
}

impl simd::Job for Affine<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for row in self.x.chunks_exact_mut(self.channels) {
            row.iter_mut().zip(self.gain).for_each(|(x, gain)| *x *= gain);
            row.iter_mut().zip(self.shift).for_each(|(x, shift)| *x += shift);
        }
    }
}

/// Computes an operation on floats; `other` is the second input, if there is one.
pub(super) fn run(op: &Op, (ty, x): (&Type, &[f32]), other: &[f32], output: &Type) -> Vec<f32> {
    let channels = ty.channels();
    match op {
        Op::Relu | Op::Round { .. } => x.iter().map(|&x| one(op, x)).collect(),
        Op::Prelu { slope } => {
            let at = |(i, &x): (usize, &f32)| if x > 0.0 { x } else { slope[i % channels] * x };
            x.iter().enumerate().map(at).collect()
        }
        Op::Activation { curve, number } => {
            let mut x = x.to_vec();
            curve.map(&mut x, number[0]);
            x
        }
        Op::AvgPool { window } => avg_pool(window, ty, x, output),
        Op::Add => x.iter().zip(other).map(|(a, b)| a + b).collect(),
        Op::Flatten => {
            let pixels = ty.pixels();
            (0..x.len()).map(|i| x[i % pixels * channels + i / pixels]).collect()
        }
        Op::InputScale { window } => input_scale(window, ty, x, output),
        Op::ScalePixels => x.iter().enumerate().map(|(i, x)| x * other[i / channels]).collect(),
        _ => unreachable!("the operations of other files"),
    }
}

/// One element of an operation that treats all elements alike.
pub(super) fn one(op: &Op, x: f32) -> f32 {
    match op {
        Op::Relu => x.max(0.0),
        Op::Round { integer, fraction } => {
            let scale = (1u32 << fraction) as f32;
            let (eps, half) = (1.0 / scale, (1u32 << (integer - 1)) as f32);
            libm::rintf(x.clamp(-half, half - eps) * scale) * eps
        }
        Op::Activation { curve, number } => {
            let mut value = [x];
            curve.map(&mut value, number[0]);
            value[0]
        }
        _ => x,
    }
}

fn taps(window: &Window) -> impl Iterator<Item = [usize; 2]> {
    let [r, s] = window.kernel;
    (0..r).flat_map(move |r| (0..s).map(move |s| [r, s]))
}

fn avg_pool(window: &Window, ty: &Type, x: &[f32], output: &Type) -> Vec<f32> {
    let ([h, w, c], [oh, ow, _]) = (ty.shape, output.shape);
    let mut out = vec![0.0; output.len()];
    for (pixel, out) in out.chunks_exact_mut(c).enumerate() {
        debug_assert!(pixel < oh * ow);
        let sources = taps(window).filter_map(|tap| window.source([h, w], [pixel / ow, pixel % ow], tap));
        sum::of_rows(sources.map(|[y, at]| &x[(y * w + at) * c..][..c]), out);
        out.iter_mut().for_each(|out| *out /= window.taps() as f32);
    }
    out
}

fn input_scale(window: &Window, ty: &Type, x: &[f32], output: &Type) -> Vec<f32> {
    let ([h, w, c], [_, ow, _]) = (ty.shape, output.shape);
    let magnitudes: Vec<_> = x.chunks_exact(c).map(|row| sum::of_quads(row, f32::abs)).collect();
    let count = (c * window.taps()) as f32;
    let at = |pixel: usize| {
        let sources = taps(window).filter_map(|tap| window.source([h, w], [pixel / ow, pixel % ow], tap));
        sum::of(sources.map(|[y, x]| magnitudes[y * w + x])) / count
    };
    (0..output.pixels()).map(at).collect()
}
