//! DoReFa-Net's gradients, which are not derivatives and so cannot be compared with finite
//! differences: they are compared with their formula in f64, and their mean is checked.

use halfwave::ops::dorefa_gradient::DorefaGradient;
use halfwave::ops::sample::Noise;
use halfwave::tensor::Tensor;
use halfwave::testing::Net;
use halfwave::{pass, random};

const OP: DorefaGradient = DorefaGradient { bits: 3, stream: 0x2468_ace0 };

/// The gradient of x through the op with the upstream gradient dy in this step.
fn gradient(dy: &Tensor, step: u32) -> Vec<f32> {
    let mut net = Net::new();
    let x = net.trained("x", Noise::new(97).floats(&dy.ty.shape));
    let random = net.constant("random", Tensor::from_u32(&[4], &[5, 6, step, 0]));
    let root = net.add(OP, &[x, random]);
    let seed = net.constant("seed", dy.clone());
    let gradients = pass::differentiate(&mut net.graph, root, Some(seed)).unwrap();
    let values = net.values();
    assert_eq!(values[root.0], values[x.0], "forward it is the identity");
    values[gradients[0].1.0].to_f32()
}

/// Samples of different magnitude, one of them with zero gradient.
fn upstream() -> Tensor {
    let mut values = Noise::new(98).floats(&[3, 2, 4, 6]).to_f32();
    for (i, value) in values.iter_mut().enumerate() {
        *value *= [1.0, 0.0, 1e-3][i / 48];
    }
    Tensor::from_f32(&[3, 2, 4, 6], &values)
}

#[test]
fn dorefa_gradients_follow_their_formula() {
    let dy = upstream();
    let values = dy.to_f32();
    for (i, got) in gradient(&dy, 4).into_iter().enumerate() {
        let sample = &values[i / 48 * 48..][..48];
        let m = sample.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        // A row has 6 channels in 2 quads.
        let (quad, lane) = (i / 6 * 2 + i % 6 / 4, i % 6 % 4);
        let u = f64::from(random::fraction(random::quad(&[5, 6, 4, 0], quad as u32, OP.stream)[lane]));
        let v = 7.0 * (f64::from(values[i]) / (2.0 * m) + 0.5);
        let code = v.floor() + f64::from(u8::from(u < v - v.floor()));
        let expected = if m > 0.0 { 2.0 * m * (code / 7.0 - 0.5) } else { 0.0 };
        assert!((f64::from(got) - expected).abs() <= 1e-6 * m, "element {i}: {got}, not {expected}");
    }
}

#[test]
fn dorefa_gradients_have_the_mean_of_the_gradient() {
    let (dy, steps) = (upstream(), 1500);
    let values: Vec<_> = dy.to_f32().into_iter().map(f64::from).collect();
    let mut sums = vec![0.0f64; values.len()];
    for step in 0..steps {
        sums.iter_mut().zip(gradient(&dy, step)).for_each(|(sum, v)| *sum += f64::from(v));
    }
    let (mut chi_squared, mut freedom) = (0.0, 0.0f64);
    for (sample, sums) in values.chunks(48).zip(sums.chunks(48)) {
        let m = sample.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (value, sum) in sample.iter().zip(sums).filter(|_| m > 0.0) {
            let v = 7.0 * (value / (2.0 * m) + 0.5);
            let share = v - v.floor();
            if share * (1.0 - share) > 1e-3 {
                let variance = (2.0 * m / 7.0).powi(2) * share * (1.0 - share) * f64::from(steps);
                chi_squared += (sum - value * f64::from(steps)).powi(2) / variance;
                freedom += 1.0;
            }
        }
    }
    let deviation = (2.0 * freedom).sqrt();
    assert!(freedom > 80.0 && (chi_squared - freedom).abs() < 4.5 * deviation, "{chi_squared} for {freedom}");
}
