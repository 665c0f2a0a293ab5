//! Quantiser levels with the least squared error for a half-wave Gaussian: Lloyd's algorithm (S.
//! Lloyd, 1982) on the density of N(0, 1) above 0, using its integrals rather than samples.
//!
//! A half-wave quantiser returns 0 for x ≤ t_1 and q_i for t_i < x ≤ t_{i+1}, with t_i = (q_{i−1} +
//! q_i)/2 for i ≥ 2. t_1 is 0 as published (Cai et al., 2017, arXiv 1702.00953), or q_1/2 (`half`),
//! which has a smaller error. All numbers have f64 precision; the unit is the standard deviation of
//! the Gaussian.

use libm::{erfc, exp, sqrt};

const ROUNDS: usize = 100_000;

/// Probability of (a, b].
fn mass(a: f64, b: f64) -> f64 {
    (erfc(a / std::f64::consts::SQRT_2) - erfc(b / std::f64::consts::SQRT_2)) / 2.0
}

/// ∫ x over (a, b].
fn moment(a: f64, b: f64) -> f64 {
    let density = |x: f64| exp(-x * x / 2.0) / sqrt(2.0 * std::f64::consts::PI);
    density(a) - density(b)
}

/// Returns the lower bounds of the bins of these levels.
fn thresholds(levels: &[f64], half: bool) -> Vec<f64> {
    let before = |i: usize| if i == 0 { 0.0 } else { levels[i - 1] };
    (0..levels.len()).map(|i| if i == 0 && !half { 0.0 } else { (before(i) + levels[i]) / 2.0 }).collect()
}

/// Returns the probability and the first moment of each bin.
fn bins(levels: &[f64], half: bool) -> Vec<(f64, f64)> {
    let mut ends = thresholds(levels, half);
    ends.push(f64::INFINITY);
    ends.windows(2).map(|bin| (mass(bin[0], bin[1]), moment(bin[0], bin[1]))).collect()
}

/// Repeats `step` until the levels no longer change.
fn iterate(mut levels: Vec<f64>, step: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    for _ in 0..ROUNDS {
        let next = step(&levels);
        let moved = levels.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        levels = next;
        if moved < 1e-14 {
            break;
        }
    }
    levels
}

fn multiples(step: f64, count: usize) -> Vec<f64> {
    (1..=count).map(|i| i as f64 * step).collect()
}

/// Returns the `count` positive levels of least squared error.
pub fn levels(count: usize, half: bool) -> Vec<f64> {
    iterate(multiples(3.0 / count as f64, count), |levels| bins(levels, half).into_iter().map(|(p, m)| m / p).collect())
}

/// Returns the Δ for which the `count` levels Δ, 2Δ, … have the least squared error.
pub fn uniform_step(count: usize, half: bool) -> f64 {
    // For fixed bins the best Δ is Σ i·moment / Σ i²·mass.
    let settled = iterate(multiples(3.0 / count as f64, count), |levels| {
        let (mut above, mut below) = (0.0, 0.0);
        for (i, (p, m)) in bins(levels, half).into_iter().enumerate() {
            let i = (i + 1) as f64;
            (above, below) = (above + i * m, below + i * i * p);
        }
        multiples(above / below, count)
    });
    settled[0]
}

/// Returns the mean squared error of these levels relative to max(x, 0), over all of N(0, 1).
pub fn error(levels: &[f64], half: bool) -> f64 {
    // ∫ x² over x > 0 is 1/2; each bin adds q²·mass − 2q·moment.
    0.5 + bins(levels, half).iter().zip(levels).map(|((p, m), q)| q * q * p - 2.0 * q * m).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
    }

    /// Expected values computed by another program, in float64.
    #[test]
    fn uniform_steps_are_the_best() {
        for (bits, step, mse) in [
            (1, 0.7978845608, 0.1816901138),
            (2, 0.5388119234, 0.0432206578),
            (3, 0.3217289091, 0.0102030131),
            (4, 0.1842433428, 0.0025126386),
        ] {
            let count = (1 << bits) - 1;
            near(uniform_step(count, false), step);
            near(error(&multiples(uniform_step(count, false), count), false), mse);
        }
        for (bits, step) in [(1, 1.2240063619), (2, 0.6507697040), (3, 0.3534113156), (4, 0.1932485244)] {
            near(uniform_step((1 << bits) - 1, true), step);
        }
    }

    #[test]
    fn free_levels_are_the_best() {
        let seven = [0.14570624, 0.44132089, 0.75044262, 1.08563531, 1.46752827, 1.93861241, 2.62506251];
        let fifteen = [
            0.07015525, 0.21092809, 0.35310963, 0.49771370, 0.64587629, 0.79892698, 0.95849036, 1.12663986, 1.30614684,
            1.50091233, 1.71677886, 1.96322380, 2.25744032, 2.63661420, 3.21356224,
        ];
        let known: [(&[f64], f64); 4] = [
            (&[0.45278003, 1.51041761], 0.0587409239),
            (&[0.31771637, 1.00010605, 1.89359481], 0.0289888269),
            (&seven, 0.0061160001),
            (&fifteen, 0.0014196402),
        ];
        for (expected, mse) in known {
            let got = levels(expected.len(), false);
            got.iter().zip(expected).for_each(|(&got, &expected)| near(got, expected));
            near(error(&got, false), mse);
        }
    }

    #[test]
    fn a_moved_level_is_worse() {
        for half in [false, true] {
            let best = levels(3, half);
            for i in 0..3 {
                for by in [-1e-3, 1e-3] {
                    let mut moved = best.clone();
                    moved[i] += by;
                    assert!(error(&moved, half) > error(&best, half), "level {i} by {by}");
                }
            }
        }
    }
}
