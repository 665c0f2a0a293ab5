//! Training-specific parts of a graph: losses, and optimisers over several steps compared with
//! their formulas in f64.

use crate::evaluate::leaf_name;
use crate::{doubled, reference};
use halfwave::graph::Value;
use halfwave::model::Role;
use halfwave::ops::class_loss::{ClassLoss, Term};
use halfwave::ops::sample::Noise;
use halfwave::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use halfwave::ops::{Op, sign::Sign};
use halfwave::pass::{self, Adam, AdamW, Bop, Group, Lion, Moments, Optimizer, Rule, Sgd};
use halfwave::tensor::Tensor;
use halfwave::testing::{GradientCase as Case, Net};
use std::collections::BTreeMap;

/// The mean loss, which is an objective: its upstream gradient is 1.
pub(crate) fn losses() -> impl Iterator<Item = Case> {
    type Of = fn(&[f64], usize) -> f64;
    let softmax: [(f32, Of); 3] = [
        (0.0, |z, label| reference::softmax_cross_entropy(0.0, z, label)),
        (0.125, |z, label| reference::softmax_cross_entropy(0.125, z, label)),
        (1.0, |z, label| reference::softmax_cross_entropy(1.0, z, label)),
    ];
    let terms: [(Term, Of); 3] = [
        (Term::SigmoidCrossEntropy, reference::sigmoid_cross_entropy),
        (Term::SquaredError, reference::squared_error),
        (Term::SquaredHinge, reference::squared_hinge),
    ];
    let softmax = softmax.into_iter().map(|(smoothing, of)| {
        (format!("softmax_cross_entropy smoothed by {smoothing}"), Op::from(SoftmaxCrossEntropy { smoothing }), of)
    });
    let terms = terms.into_iter().map(|(term, of)| (format!("class_loss {term:?}"), ClassLoss { term }.into(), of));
    softmax.chain(terms).map(|(name, op, of)| {
        let (rows, classes) = (5, 7);
        let (mut noise, mut net) = (Noise::new(80), Net::new());
        let (a, x) = doubled(&mut net, noise.floats(&[rows, 1, 1, classes]));
        let labels = noise.words(&[rows], classes as u32);
        let truth: Vec<_> = labels.to_ints().into_iter().map(|label| label as u32).collect();
        let labels = net.constant("labels", labels);
        let root = net.add(op, &[x, labels]);
        let reference = move |v: &[Vec<f64>]| vec![reference::mean_loss(classes, &crate::twice(&v[0]), &truth, of)];
        Case { seeded: false, ..Case::new(name, net, root, &[a], reference) }
    })
}

/// A binary weight, a float one, a bias, γ and β.
const LEAVES: [&str; 5] = ["b.weight", "conv.weight", "conv.bias", "bn.weight", "bn.bias"];
const STEPS: u64 = 4;

fn role(leaf: &str) -> Role {
    match leaf {
        "b.weight" => Role::Weight { binary: true, clipped: false },
        "conv.weight" => Role::Weight { binary: false, clipped: false },
        _ => Role::Trained,
    }
}
const LR: [f64; 4] = [0.125, 0.0625, 0.25, 0.125];

fn shape(leaf: &str) -> &'static [usize] {
    if matches!(leaf, "b.weight" | "conv.weight") { &[1, 2, 4, 5] } else { &[10] }
}

/// Returns all state after four steps with the same gradients, computed by the reference
/// implementations, and the leaves before them.
fn train(optimizer: &Optimizer) -> [BTreeMap<String, Vec<f64>>; 2] {
    let (mut noise, mut net) = (Noise::new(82), Net::new());
    let mut pairs = Vec::new();
    for leaf in LEAVES {
        let start = noise.floats(shape(leaf));
        let signs: Vec<_> = start.to_f32().into_iter().map(f32::signum).collect();
        let start = if leaf == "b.weight" { Tensor::from_f32(shape(leaf), &signs) } else { start };
        let value = net.trained(leaf, start);
        let gradient = net.constant(&format!("grad/{leaf}"), noise.floats(shape(leaf)));
        pairs.push((value, gradient));
    }
    net.add(Sign::identity(4), &[pairs[0].0]);
    pass::update(&mut net.graph, &pairs, optimizer, role).unwrap();
    net.graph.verify();
    for name in net.graph.nodes().iter().filter_map(leaf_name).filter(|name| Optimizer::owns(name)) {
        let name = name.to_string();
        let (what, leaf) = name.split_once('/').unwrap();
        // A mean of squares is positive.
        let start = if what == "moment2" { noise.positive(shape(leaf)) } else { noise.floats(shape(leaf)) };
        net.leaves.insert(name.clone(), start);
    }
    let real = |net: &Net| {
        let leaves = net.leaves.iter().filter(|(name, _)| *name != "rates");
        leaves.map(|(name, t)| (name.clone(), t.to_f32().into_iter().map(f64::from).collect())).collect()
    };
    let before = real(&net);
    for step in 0..STEPS {
        let rates = optimizer.rates(LR[step as usize] as f32, step + 1);
        net.leaves.insert("rates".to_string(), Tensor::from_f32(&[4], &rates));
        let values = net.values();
        for (value, node) in net.graph.iter() {
            if let Some(index) = node.op.in_place() {
                let state = leaf_name(net.graph.node(node.inputs[index])).unwrap().to_string();
                net.leaves.insert(state, values[value.0].clone());
            }
        }
    }
    [before, real(&net)]
}

/// The arguments of a formula for one element.
struct At<'a> {
    /// The step, counted from 1.
    t: i32,
    lr: f64,
    decay: f64,
    g: f64,
    w: &'a mut f64,
    /// Its states, in the order of their names.
    states: Vec<&'a mut f64>,
    binary: bool,
}

/// Runs several steps of an optimiser and of `formula`, with the scale of lr and the weight decay
/// that `settings` returns for a parameter, and compares all state.
fn follows(optimizer: &Optimizer, settings: impl Fn(&str) -> (f64, f64), formula: impl Fn(At<'_>)) {
    let [mut expected, got] = train(optimizer);
    let gradients: Vec<f64> = LEAVES.iter().flat_map(|leaf| expected[&format!("grad/{leaf}")].clone()).collect();
    let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
    let scale = optimizer.clip_norm.map_or(1.0, |most| (f64::from(most) / (norm + 1e-6)).min(1.0));
    for t in 1..=STEPS as i32 {
        for leaf in LEAVES {
            let (lr_scale, decay) = settings(leaf);
            let mut w = expected[leaf].clone();
            let states: Vec<_> = expected.keys().filter(|name| name.ends_with(&format!("/{leaf}"))).cloned().collect();
            let mut states: Vec<_> = states.into_iter().filter(|name| Optimizer::owns(name)).collect();
            states.sort();
            let mut values: Vec<_> = states.iter().map(|name| expected[name].clone()).collect();
            for i in 0..w.len() {
                formula(At {
                    t,
                    lr: LR[t as usize - 1] * lr_scale,
                    decay,
                    g: expected[&format!("grad/{leaf}")][i] * scale,
                    w: &mut w[i],
                    states: values.iter_mut().map(|state| &mut state[i]).collect(),
                    binary: leaf == "b.weight",
                });
            }
            expected.insert(leaf.to_string(), w);
            states.into_iter().zip(values).for_each(|(name, state)| drop(expected.insert(name, state)));
        }
    }
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in &expected {
        for (got, expected) in got[name].iter().zip(expected) {
            assert!((got - expected).abs() < 4e-6, "{optimizer:?}\n{name}: {got}, not {expected}");
        }
    }
}

/// Weight decay applies to weights of convolutions only.
fn on_weights(decay: f64) -> impl Fn(&str) -> (f64, f64) {
    move |name| (1.0, if matches!(name, "b.weight" | "conv.weight") { decay } else { 0.0 })
}

const DECAY: f32 = 0.03125;

fn sgd(momentum: f64, nesterov: bool) -> impl Fn(At<'_>) {
    move |at| {
        let g = at.g + at.decay * *at.w;
        let [v] = &at.states[..] else { panic!("one state") };
        let v = momentum * **v + g;
        *at.w -= at.lr * if nesterov { g + momentum * v } else { v };
        *at.states.into_iter().next().unwrap() = v;
    }
}

fn adam(moments: Moments, decoupled: bool) -> impl Fn(At<'_>) {
    let Moments { beta1, beta2, eps } = moments;
    move |at| {
        let mut states = at.states.into_iter();
        let (m, v) = (states.next().unwrap(), states.next().unwrap());
        let g = at.g + if decoupled { 0.0 } else { at.decay * *at.w };
        if decoupled {
            *at.w -= at.lr * at.decay * *at.w;
        }
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let (m_hat, v_hat) = (*m / (1.0 - beta1.powi(at.t)), *v / (1.0 - beta2.powi(at.t)));
        *at.w -= at.lr * m_hat / (v_hat.sqrt() + f64::from(eps));
    }
}

/// With a large ε, so that it matters.
const MOMENTS: Moments = Moments { beta1: 0.875, beta2: 0.99, eps: 0.015625 };

#[test]
fn sgd_follows_its_formula() {
    for nesterov in [false, true] {
        let rule = Sgd { momentum: 0.875, nesterov };
        let optimizer = Optimizer { weight_decay: DECAY, ..Optimizer::new(0.1, rule) };
        follows(&optimizer, on_weights(f64::from(DECAY)), sgd(0.875, nesterov));
    }
}

#[test]
fn adam_follows_its_formula() {
    for decoupled in [false, true] {
        let rule: Rule = if decoupled { AdamW(MOMENTS).into() } else { Adam(MOMENTS).into() };
        let optimizer = Optimizer { weight_decay: DECAY, ..Optimizer::new(0.1, rule) };
        follows(&optimizer, on_weights(f64::from(DECAY)), adam(MOMENTS, decoupled));
    }
}

#[test]
fn bop_flips_binary_weights_and_leaves_the_rest_to_adam() {
    let (gamma, threshold) = (0.125, 0.25);
    let optimizer = Optimizer::new(0.1, Bop { moments: MOMENTS, gamma, threshold });
    let others = adam(MOMENTS, false);
    follows(
        &optimizer,
        |_| (1.0, 0.0),
        |mut at| {
            if !at.binary {
                return others(at);
            }
            let [m] = &mut at.states[..] else { panic!("one state") };
            **m = (1.0 - gamma) * **m + gamma * at.g;
            if m.abs() > f64::from(threshold) && m.signum() == at.w.signum() {
                *at.w = -*at.w;
            }
        },
    );
    let [before, after] = train(&optimizer).map(|all| all["b.weight"].clone());
    let flipped = before.iter().zip(&after).filter(|(a, b)| **a == -**b).count();
    assert!(after.iter().all(|w| w.abs() == 1.0));
    assert!(flipped > 3 && flipped < before.len() - 3, "{flipped} of {} flipped", before.len());
}

#[test]
fn lion_follows_its_formula() {
    let (beta1, beta2) = (0.875, 0.75);
    let optimizer = Optimizer { weight_decay: DECAY, ..Optimizer::new(0.1, Lion { beta1, beta2 }) };
    follows(&optimizer, on_weights(f64::from(DECAY)), |mut at| {
        let [m] = &mut at.states[..] else { panic!("one state") };
        *at.w -= at.lr * ((beta1 * **m + (1.0 - beta1) * at.g).signum() + at.decay * *at.w);
        **m = beta2 * **m + (1.0 - beta2) * at.g;
    });
}

#[test]
fn groups_scale_the_rate_and_set_the_decay() {
    let group = |pattern: &str, lr_scale, weight_decay| Group { pattern: pattern.into(), lr_scale, weight_decay };
    let groups =
        vec![group("bn.bias", 0.5, Some(0.25)), group("*.bias", 2.0, None), group("c*.weight", 0.0, Some(0.5))];
    let settings = |name: &str| match name {
        "bn.bias" => (0.5, 0.25),
        "conv.bias" => (2.0, 0.0),
        "conv.weight" => (0.0, 0.5),
        "b.weight" => (1.0, f64::from(DECAY)),
        _ => (1.0, 0.0),
    };
    let with = |rule: Rule| Optimizer { weight_decay: DECAY, groups: groups.clone(), ..Optimizer::new(0.1, rule) };
    for nesterov in [false, true] {
        follows(&with(Sgd { momentum: 0.5, nesterov }.into()), settings, sgd(0.5, nesterov));
    }
    follows(&with(Adam(MOMENTS).into()), settings, adam(MOMENTS, false));
    follows(&with(AdamW(MOMENTS).into()), settings, adam(MOMENTS, true));
}

/// The norm is that of all gradients together, about 8.
#[test]
fn gradients_are_clipped_by_their_global_norm() {
    for norm in [1.5, 100.0] {
        let optimizer = Optimizer { clip_norm: Some(norm), ..Optimizer::sgd(0.1, 0.5, 0.0) };
        follows(&optimizer, |_| (1.0, 0.0), sgd(0.5, false));
    }
    let nodes = |optimizer: &Optimizer| {
        let mut net = Net::new();
        let w = net.trained("conv.bias", Noise::new(1).floats(&[5]));
        let g: Value = net.constant("grad", Noise::new(2).floats(&[5]));
        pass::update(&mut net.graph, &[(w, g)], optimizer, role).unwrap();
        net.graph.nodes().iter().map(|node| node.op.stem()).filter(|stem| *stem != "leaf").collect::<Vec<_>>()
    };
    assert_eq!(nodes(&Optimizer::sgd(0.1, 0.5, 0.0)), ["sgd_velocity", "sgd"]);
    let clipped = Optimizer { clip_norm: Some(1.0), ..Optimizer::sgd(0.1, 0.5, 0.0) };
    assert_eq!(nodes(&clipped), ["square_sum", "clip_scale", "scale", "sgd_velocity", "sgd"]);
}
