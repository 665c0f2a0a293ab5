//! ABC-Net's weights: gradient case, and their coefficients compared with least squares by normal
//! equations.

use crate::{doubled, reference, twice};
use halfwave::ops::Op;
use halfwave::ops::abc_weight::{AbcAlpha, AbcThresholds, AbcWeight};
use halfwave::ops::code::SignPlanes;
use halfwave::ops::conv::Conv;
use halfwave::ops::sample::Noise;
use halfwave::ops::unpack::Unpack;
use halfwave::ops::window::Window;
use halfwave::tensor::Tensor;
use halfwave::testing::{GradientCase as Case, Net};

/// A float convolution whose weight has three bases: the latent weight gets the gradient times the
/// sum of the coefficients.
pub(crate) fn abc() -> Case {
    let (window, input, filters, bases) = (Window::square(3, 1, 1), [2, 5, 4, 6], 5, 3);
    let (mut noise, mut net, channels) = (Noise::new(121), Net::new(), input[3]);
    let (a, x) = doubled(&mut net, noise.floats(&input));
    let w = net.trained("w", noise.weights(window.kernel, channels, filters));
    let thresholds = net.add(AbcThresholds { bases, channels }, &[w]);
    let alpha = net.add(AbcAlpha { bases, channels }, &[w, thresholds]);
    let signs = net.add(AbcWeight { bases, channels }, &[w, thresholds, alpha]);
    let weight = net.add(Unpack { channels, planes: SignPlanes::Bases(bases) }, &[signs, alpha]);
    let root = net.add(Conv { window }, &[x, weight]);
    let real = |tensor: &Tensor| tensor.to_f32().into_iter().map(f64::from).collect::<Vec<_>>();
    let (latent, values) = (real(&net.leaves["w"]), net.values());
    let (start, alpha) = (real(&values[weight.0]), real(&values[alpha.0]));
    let total: f64 = (0..bases).map(|base| alpha[base * filters]).sum();
    let lanes = channels.next_multiple_of(4);
    Case::new("abc_weight", net, root, &[a, w], move |v| {
        let moved = v[1].iter().zip(&latent).zip(&start).enumerate();
        let weight: Vec<_> = moved
            .map(
                |(i, ((now, then), start))| {
                    if i / filters % lanes < channels { start + total * (now - then) } else { 0.0 }
                },
            )
            .collect();
        reference::conv(&window, input, filters, &twice(&v[0]), &weight)
    })
}

/// Solves a·x = b by Gaussian elimination with pivoting.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs())).unwrap();
        a.swap(i, pivot);
        b.swap(i, pivot);
        for row in i + 1..n {
            let factor = a[row][i] / a[i][i];
            (i..n).for_each(|column| a[row][column] -= factor * a[i][column]);
            b[row] -= factor * b[i];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|column| a[i][column] * b[column]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b
}

#[test]
fn coefficients_of_bases_are_those_of_least_squares() {
    for (bases, channels) in [(1, 5), (2, 41), (3, 7), (5, 33)] {
        let w = Noise::new(122).weights([3, 2], channels, 9);
        let thresholds = Op::from(AbcThresholds { bases, channels }).evaluate(&[&w]);
        let alpha = Op::from(AbcAlpha { bases, channels }).evaluate(&[&w, &thresholds]).to_f32();
        let rows = channels.next_multiple_of(4);
        let all = w.to_f32().into_iter().enumerate().filter(|(i, _)| i / 9 % rows < channels);
        let latent: Vec<_> = all.map(|(_, w)| f64::from(w)).collect();
        let count = latent.len() as f64;
        let mean = latent.iter().sum::<f64>() / count;
        let deviation = (latent.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / count).sqrt();
        let base = |j: usize, w: f64| {
            let u = if bases == 1 { 0.0 } else { 1.0 - 2.0 * j as f64 / (bases - 1) as f64 };
            if w - mean + u * deviation >= 0.0 { 1.0 } else { -1.0 }
        };
        let product = |i: usize, j: usize| latent.iter().map(|&w| base(i, w) * base(j, w)).sum::<f64>();
        let gram = (0..bases).map(|i| (0..bases).map(|j| product(i, j)).collect()).collect();
        let right = (0..bases).map(|i| latent.iter().map(|&w| w * base(i, w)).sum()).collect();
        for (j, expected) in solve(gram, right).into_iter().enumerate() {
            for got in &alpha[j * 9..][..9] {
                assert!((f64::from(*got) - expected).abs() < 1e-5, "{bases} bases, {j}: {got}, not {expected}");
            }
        }
    }
}
