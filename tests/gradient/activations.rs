//! Gradient cases of the activations, and that folding a batch-norm into them changes no bit.

use crate::{EPS, clear_of, doubled, one_input, reference, twice};
use halfwave::graph::Value;
use halfwave::ops::activation::Activation;
use halfwave::ops::batch_norm::{BatchNorm, BatchNormCoef};
use halfwave::ops::batch_norm_stats::BatchNormStats;
use halfwave::ops::curve::{CURVES, Curve};
use halfwave::ops::sample::Noise;
use halfwave::ops::{Graph, Op, bias::Bias, prelu::Prelu, relu::Relu};
use halfwave::pass;
use halfwave::testing::evaluate;
use halfwave::testing::{GradientCase as Case, Net};

/// The functions in float64, by name: their number, for which no default is taken so that a
/// constant in a kernel shows, f, and where it has kinks.
type Meant = (f32, fn(f64) -> f64, &'static [f32]);

fn meant(name: &str) -> Meant {
    match name {
        "clipped_relu" => (1.25, |x| x.clamp(0.0, 1.25), &[0.0, 1.25]),
        "log_tailed_relu" => (1.25, |x| if x > 1.25 { 1.25 + (x - 0.25).ln() } else { x.max(0.0) }, &[0.0]),
        "tanh" => (0.0, f64::tanh, &[]),
        "hard_tanh" => (0.0, |x| x.clamp(-1.0, 1.0), &[-1.0, 1.0]),
        "sigmoid" => (0.0, |x| 1.0 / (1.0 + (-x).exp()), &[]),
        "silu" => (0.0, |x| x / (1.0 + (-x).exp()), &[]),
        "leaky_relu" => (0.2, |x| if x > 0.0 { x } else { 0.2f32 as f64 * x }, &[0.0]),
        _ => panic!("no reference for {name}"),
    }
}

fn curves() -> impl Iterator<Item = (Curve, fn(f64) -> f64, &'static [f32])> {
    CURVES.iter().map(|row| {
        let (number, f, kinks) = meant(row.name);
        (Curve::from(row).with(number), f, kinks)
    })
}

pub(crate) fn activations() -> impl Iterator<Item = Case> {
    curves().map(|(curve, f, kinks)| {
        let a = clear_of(kinks, &[2, 3, 5, 9]);
        one_input(&format!("activation {curve:?}"), a, 9, Activation { curve }, move |x| {
            x.iter().map(|v| f(*v)).collect()
        })
    })
}

/// Slopes of both signs; more rows than one chunk.
pub(crate) fn prelu() -> Case {
    let (mut noise, mut net) = (Noise::new(90), Net::new());
    let (a, x) = doubled(&mut net, clear_of(&[0.0], &[3, 4, 5, 6]));
    let slopes = net.trained("slopes", noise.floats(&[6]));
    let y = net.add(Prelu, &[slopes, x]);
    let b = net.trained("b", noise.floats(&[6]));
    let root = net.add(Bias, &[y, b]);
    Case::new("prelu", net, root, &[a, slopes, b], |v| {
        let x = twice(&v[0]);
        let y = x.iter().enumerate().map(|(i, x)| if *x > 0.0 { *x } else { v[1][i % 6] * x });
        reference::bias(&y.collect::<Vec<_>>(), &v[2])
    })
}

fn count(graph: &Graph, stem: &str) -> usize {
    graph.nodes().iter().filter(|node| node.op.stem() == stem).count()
}

#[test]
fn a_batch_norm_folds_into_every_activation() {
    let mut ops: Vec<(Op, bool)> = vec![(Prelu.into(), true), (Relu.into(), false)];
    ops.extend(curves().map(|(curve, ..)| (Activation { curve }.into(), false)));
    for (op, learned) in ops {
        let (mut noise, mut net) = (Noise::new(91), Net::new());
        let x = net.trained("x", noise.floats(&[3, 4, 5, 6]));
        let stats = net.add(BatchNormStats { largest: 0 }, &[x]);
        let coef = BatchNormCoef { eps: EPS, step: 1.0, scaled: false, affine: false, running: false };
        let coef = net.add(coef, &[stats]);
        let z = net.add(BatchNorm, &[x, coef]);
        let slopes: Vec<Value> = learned.then(|| net.trained("slopes", noise.floats(&[6]))).into_iter().collect();
        let y = net.add(op.clone(), &[slopes, vec![z]].concat());
        let seed = net.constant("seed", noise.floats(&[3, 4, 5, 6]));
        let gradients = pass::differentiate(&mut net.graph, y, Some(seed)).unwrap();
        net.graph.output("y", y);
        for (index, (_, gradient)) in gradients.iter().enumerate() {
            net.graph.output(format!("gradient {index}"), *gradient);
        }
        assert_eq!(net.graph.outputs.len(), 2 + usize::from(learned));
        let fused = pass::simplify(&pass::fuse(&net.graph).unwrap()).unwrap();
        fused.verify();
        assert_eq!((count(&net.graph, "batch_norm"), count(&fused, "batch_norm")), (1, 0), "{op:?}");
        let (plain, folded) = (net.values(), evaluate(&fused, &net.leaves));
        for ((name, a), (_, b)) in net.graph.outputs.iter().zip(&fused.outputs) {
            assert_eq!(plain[a.0], folded[b.0], "{op:?}: {name}");
        }
    }
}
