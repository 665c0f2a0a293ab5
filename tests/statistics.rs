//! Quantisers on a million numbers of the standard normal distribution, compared with integrals of
//! its density.
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::model::{ZeroBin, uniform_step};
use halfwave::ops::Op;
use halfwave::ops::quantise::{Quantise, Surrogate};
use halfwave::ops::quantise_backward::QuantiseBackward;
use halfwave::random;
use halfwave::tensor::Tensor;

const COUNT: usize = 1_000_000;

/// Fails unless a share of `COUNT` numbers lies within four standard deviations of its probability.
fn check(what: &str, share: f64, probability: f64) {
    let deviation = (probability * (1.0 - probability) / COUNT as f64).sqrt();
    println!("{what}: {share:.6}, expected {probability:.6} ± {deviation:.6}");
    assert!((share - probability).abs() < 4.0 * deviation, "{what}: {share} is not {probability}");
}

fn gaussian() -> Tensor {
    Tensor::from_f32(&[COUNT / 1000, 1, 1, 1000], &random::normal(11, "statistics", COUNT))
}

fn share(values: &[f32], of: impl Fn(f32) -> bool) -> f64 {
    values.iter().filter(|&&v| of(v)).count() as f64 / values.len() as f64
}

/// Two bits, Δ = 0.538: the published quantiser's codes, and the share of gradients that its
/// surrogates pass.
#[test]
fn the_half_wave_quantiser_has_the_shares_of_its_density() {
    let step = uniform_step(2, ZeroBin::Zero);
    let levels: Vec<_> = (1..4).map(|i| i as f32 * step).collect();
    let (x, quantiser) = (gaussian(), Quantise::half_wave(&levels, false, Surrogate::Clipped));
    let codes = Op::from(quantiser.clone()).evaluate(&[&x]).to_f32();
    for (code, probability) in [0.500_000, 0.290_167, 0.120_521, 0.089_313].into_iter().enumerate() {
        check(&format!("code {code}"), share(&codes, |v| v == code as f32), probability);
    }
    let ones = Tensor::from_f32(&x.ty.shape, &vec![1.0; COUNT]);
    let slopes = |surrogate| {
        let op = QuantiseBackward { surrogate, top: quantiser.top, scaled: false };
        Op::from(op).evaluate(&[&ones, &x]).to_f32()
    };
    check("clipped lets through", share(&slopes(Surrogate::Clipped), |v| v == 1.0), 0.446_736);
    check("vanilla lets through", share(&slopes(Surrogate::Vanilla), |v| v == 1.0), 0.5);
    let tailed = slopes(Surrogate::LogTailed);
    check("log-tailed weakens", share(&tailed, |v| v > 0.0 && v < 1.0), 0.053_264);
    assert!(slopes(Surrogate::Identity).iter().all(|&v| v == 1.0));
}

/// Half of all signs are positive; hard tanh passes gradients within one standard deviation.
#[test]
fn signs_have_the_shares_of_their_density() {
    let x = gaussian();
    let codes = Op::from(Quantise::sign(Surrogate::HardTanh)).evaluate(&[&x]).to_f32();
    check("+1", share(&codes, |v| v == 1.0), 0.5);
    let ones = Tensor::from_f32(&x.ty.shape, &vec![1.0; COUNT]);
    let op = QuantiseBackward { surrogate: Surrogate::HardTanh, top: 1.0, scaled: false };
    let slopes = Op::from(op).evaluate(&[&ones, &x]).to_f32();
    check("hard tanh lets through", share(&slopes, |v| v == 1.0), 0.682_689_5);
}
