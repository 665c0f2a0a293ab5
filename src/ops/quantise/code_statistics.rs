//! Diagnostic statistics of a quantiser: the frequency of each code, and the share of inputs that
//! pass a gradient.

use super::{Quantise, batch_norm, split};
use crate::tensor::View;

/// Distribution of a quantiser's inputs.
#[derive(Clone, PartialEq, Debug)]
pub struct CodeStatistics {
    /// Share of inputs per code, in ascending order of codes.
    pub codes: Vec<f32>,
    /// Shares expected for standard normal inputs.
    pub ideal: Vec<f32>,
    /// Share of inputs at which the surrogate's slope is not 0.
    pub passed: f32,
}

/// Φ, the cumulative distribution function of the standard normal distribution.
fn below(x: f32) -> f64 {
    0.5 * libm::erfc(-f64::from(x) / std::f64::consts::SQRT_2)
}

impl Quantise {
    /// Computes the statistics for inputs in the operation's format.
    pub fn code_statistics(&self, inputs: &[View<'_>]) -> CodeStatistics {
        let (inputs, scale) = split(inputs, self.scale.is_some());
        let (ty, x) = (inputs[0].ty, batch_norm::Prologue::new(inputs).numbers());
        let mut counts = vec![0u64; self.thresholds.len() + 1];
        let mut passed = 0u64;
        for row in x.chunks_exact(ty.lanes()) {
            for &x in &row[..ty.channels()] {
                counts[self.code(x, scale) as usize] += 1;
                passed += u64::from(self.surrogate.slope(self.top * scale, x) != 0.0);
            }
        }
        let share = |count: u64| (count as f64 / ty.len().max(1) as f64) as f32;
        let edges = self.thresholds.iter().map(|t| below(t * scale)).chain([1.0]);
        let ideal = edges.scan(0.0, |from, to| Some((to - std::mem::replace(from, to)) as f32));
        CodeStatistics { ideal: ideal.collect(), codes: counts.into_iter().map(share).collect(), passed: share(passed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::quantise::{Scale, Surrogate};
    use crate::random;
    use crate::tensor::Tensor;

    #[test]
    fn normal_inputs_have_ideal_shares() {
        let x = Tensor::from_f32(&[1, 100, 100, 10], &random::normal(1, "x", 100_000));
        let op = Quantise::half_wave(&[0.538, 1.076, 1.614], false, Surrogate::Clipped);
        let code_statistics = op.code_statistics(&[x.view()]);
        assert!(
            (code_statistics.ideal[0] - 0.5).abs() < 1e-6
                && (code_statistics.ideal.iter().sum::<f32>() - 1.0).abs() < 1e-6
        );
        // Φ(0.807) − ½; the gradient passes on Φ(1.614) − ½.
        assert!((code_statistics.ideal[1] - 0.290_17).abs() < 1e-4, "{code_statistics:?}");
        assert!((code_statistics.passed - 0.446_74).abs() < 0.005, "{code_statistics:?}");
        let pairs = code_statistics.codes.iter().zip(&code_statistics.ideal);
        assert!(pairs.into_iter().all(|(share, ideal)| (share - ideal).abs() < 0.005), "{code_statistics:?}");
    }

    #[test]
    fn what_lies_on_an_edge_is_as_the_operation_has_it() {
        let x = Tensor::from_f32(&[1, 1, 1, 5], &[-1.0, 0.0, 0.5, 2.0, 3.0]);
        let learned = Quantise::nearest(1, 1.0, Some(Scale::Pact));
        let scale = Tensor::from_f32(&[1], &[2.0]);
        let code_statistics = learned.code_statistics(&[x.view(), scale.view()]);
        // The threshold is 1, the top 2.
        assert_eq!((&code_statistics.codes[..], code_statistics.passed), (&[0.6, 0.4][..], 0.4));
        assert!((code_statistics.ideal[1] - 0.158_66).abs() < 1e-4);
        let sign = Quantise::sign(Surrogate::HardTanh).code_statistics(&[x.view()]);
        assert_eq!((&sign.codes[..], sign.passed), (&[0.2, 0.8][..], 0.6));
    }
}
