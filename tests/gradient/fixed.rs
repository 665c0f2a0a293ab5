//! Fixed point: gradient case, rounding compared with its formula in f64, the mean of stochastic
//! rounding, the gradient's own format, the counter of saturated values.

use crate::{clear_of, one_input};
use halfwave::ops::Op;
use halfwave::ops::count_saturated::CountSaturated;
use halfwave::ops::fixed::{Fixed, FixedBackward, Format, Quantiser, Rounding};
use halfwave::ops::sample::Noise;
use halfwave::random;
use halfwave::tensor::Tensor;
use halfwave::testing::GradientCase as Case;

const FORMAT: Format = Format { integer_bits: 1, fraction_bits: 3 };
const STREAM: u32 = 0x1234_5678;

fn rounding(rounding: Rounding) -> Quantiser {
    Quantiser { format: FORMAT, rounding, stream: STREAM }
}

/// The reference for the rounded value is the clip only.
pub(crate) fn fixed() -> Case {
    let op = Fixed { value: rounding(Rounding::Nearest), gradient: None, in_place: false };
    let a = clear_of(&[-1.0, 0.875], &[2, 3, 5, 9]);
    one_input("fixed", a, 9, op, |x| x.iter().map(|v| v.clamp(-1.0, 0.875)).collect())
}

fn words(step: u32) -> Tensor {
    Tensor::from_u32(&[4], &[7, 9, step, 0])
}

#[test]
fn rounding_to_nearest_takes_ties_to_even_and_saturates() {
    let x = [0.0, 0.0625, 0.1875, 0.3125, -0.0625, -0.1875, 0.05, 0.07, -0.99, 0.93, 5.0, -1.1, -7.0];
    let expected = [0.0, 0.0, 0.25, 0.25, 0.0, -0.25, 0.0, 0.125, -1.0, 0.875, 0.875, -1.0, -1.0];
    let op = Fixed { value: rounding(Rounding::Nearest), gradient: None, in_place: false };
    let y = Op::from(op).evaluate(&[&Tensor::from_f32(&[x.len()], &x)]);
    assert_eq!(y.to_f32(), expected);
    assert_eq!((FORMAT.eps(), FORMAT.range()), (0.125, [-1.0, 0.875]));
}

/// The mean over many steps is x, and the deviations from it match Bernoulli trials that round up
/// with probability (x − floor)/eps.
#[test]
fn stochastic_rounding_has_the_mean_x() {
    let (steps, len) = (2000u32, 192);
    let x: Vec<_> = Noise::new(95).floats(&[len]).to_f32().into_iter().map(|v| v * 0.4).collect();
    let x = Tensor::from_f32(&[16, 12], &x);
    let op = Op::from(Fixed { value: rounding(Rounding::Stochastic), gradient: None, in_place: false });
    let mut ups = vec![0u32; len];
    for step in 0..steps {
        let y = op.evaluate(&[&words(step), &x]).to_f32();
        for ((up, y), x) in ups.iter_mut().zip(y).zip(x.to_f32()) {
            let t = x * 8.0;
            assert!(y * 8.0 == t.floor() || y * 8.0 == t.floor() + 1.0, "{x} became {y}");
            *up += u32::from(y * 8.0 > t);
        }
    }
    let deviations = ups.iter().zip(x.to_f32()).map(|(&up, x)| {
        let share = f64::from(x) * 8.0 - (f64::from(x) * 8.0).floor();
        (f64::from(up) - f64::from(steps) * share).powi(2) / (f64::from(steps) * share * (1.0 - share))
    });
    // χ² of 192 degrees of freedom: mean 192, standard deviation 19.6.
    let chi_squared: f64 = deviations.sum();
    assert!((112.0..272.0).contains(&chi_squared), "{chi_squared}");
}

#[test]
fn the_gradient_is_rounded_to_its_own_format_by_its_own_numbers() {
    let fine = Format { integer_bits: 1, fraction_bits: 6 };
    let gradient = Quantiser { format: fine, rounding: Rounding::Stochastic, stream: STREAM };
    let mut noise = Noise::new(96);
    let (dy, x) = (noise.floats(&[6, 8]), noise.floats(&[6, 8]));
    let op = FixedBackward { format: FORMAT, gradient: Some(gradient) };
    let dx = Op::from(op).evaluate(&[&dy, &words(3), &x]).to_f32();
    let [mut kept, mut dropped] = [0, 0];
    for (i, ((dx, dy), x)) in dx.into_iter().zip(dy.to_f32()).zip(x.to_f32()).enumerate() {
        let u = random::fraction(random::quad(&[7, 9, 3, 0], (i / 4) as u32, STREAM)[i % 4]);
        let t = f64::from(dy).clamp(-1.0, 1.0 - 1.0 / 64.0) * 64.0;
        let up = f64::from(u) < t - t.floor();
        let expected = (t.floor() + f64::from(u8::from(up))) / 64.0;
        let inside = (-1.0..=0.875).contains(&x);
        assert_eq!(f64::from(dx), if inside { expected } else { 0.0 }, "element {i}");
        [kept, dropped] = if inside { [kept + 1, dropped] } else { [kept, dropped + 1] };
    }
    assert!(kept > 10 && dropped > 10, "{kept} {dropped}");
}

#[test]
fn saturated_numbers_are_counted_over_32_bits() {
    let x = Tensor::from_f32(&[2, 5], &[-1.0, -1.01, 0.875, 0.876, 0.0, 3.0, -9.0, 0.5, 0.9, 1e30]);
    let counter = Tensor::from_u32(&[2], &[u32::MAX - 1, 4]);
    let op = Op::from(CountSaturated { format: FORMAT });
    assert_eq!(op.evaluate(&[&counter, &x]).words, [4, 5, 0, 0]);
}
