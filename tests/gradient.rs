//! Gradients, without a device: every operation's backward pass compared with central differences
//! of the operation's definition.
//!
//! Operations are placed within a graph: their input is `a + a`, whose gradient has contributions
//! of two readers, a bias follows, and the upstream gradient is random. Encoded tensors (codes,
//! sums) have the gradient of the real tensor that they represent: see the convention in
//! `src/ops/mod.rs`.
#![allow(clippy::unwrap_used)]

#[path = "gradient/abc.rs"]
mod abc;
#[path = "gradient/activations.rs"]
mod activations;
#[path = "gradient/dorefa.rs"]
mod dorefa;
#[path = "gradient/evaluate.rs"]
mod evaluate;
#[path = "gradient/fixed.rs"]
mod fixed;
#[path = "gradient/quantisers.rs"]
mod quantisers;
#[path = "gradient/reference.rs"]
mod reference;
#[path = "gradient/structure.rs"]
mod structure;
#[path = "gradient/training.rs"]
mod training;

use evaluate::leaf_name;
use halfwave::graph::Value;
use halfwave::model::{ZeroBin, uniform_step};
use halfwave::ops::batch_norm::{BatchNorm, BatchNormCoef};
use halfwave::ops::batch_norm_stats::BatchNormStats;
use halfwave::ops::quantise::{Quantise, Surrogate};
use halfwave::ops::sample::Noise;
use halfwave::ops::window::Window;
use halfwave::ops::{
    self, Activity, Op, add::Add, avg_pool::AvgPool, bconv::Bconv, bias::Bias, conv::Conv, decode::Decode,
    max_pool::MaxPool, relu::Relu, sign,
};
use halfwave::pass;
use halfwave::tensor::{Encoding, Tensor};
use halfwave::testing::evaluate;
use halfwave::testing::{GradientCase as Case, Net};
use std::collections::BTreeSet;

const EPS: f32 = 1e-5;

/// Operations after the gradients or of inference only, which have no derivative, besides the updates
/// of optimisers.
const WITHOUT_DERIVATIVE: [&str; 16] = [
    "accumulate",
    "batch_norm_running",
    "clamp",
    "clip_scale",
    "compress",
    "count_saturated",
    "decompress",
    "feedback",
    "gather",
    "half_scales",
    "half_seen",
    "evaluation_record",
    "mean",
    "record",
    "square_sum",
    "threshold",
];

/// Operations whose gradients are not derivatives: `gradient/dorefa.rs` has their formula.
const BY_FORMULA: [&str; 3] = ["dorefa_gradient", "dorefa_gradient_backward", "max_abs"];

fn twice(a: &[f64]) -> Vec<f64> {
    a.iter().map(|v| 2.0 * v).collect()
}

/// The leaf "a" and a + a.
fn doubled(net: &mut Net, a: Tensor) -> (Value, Value) {
    let a = net.trained("a", a);
    (a, net.add(Add, &[a, a]))
}

/// `op(a + a) + b` for an operation of one float input.
fn one_input(
    name: &str,
    a: Tensor,
    channels: usize,
    op: impl Into<Op>,
    f: impl Fn(&[f64]) -> Vec<f64> + 'static,
) -> Case {
    let mut net = Net::new();
    let (a, x) = doubled(&mut net, a);
    let y = net.add(op, &[x]);
    let b = net.trained("b", Noise::new(70).floats(&[channels]));
    let root = net.add(Bias, &[y, b]);
    Case::new(name, net, root, &[a, b], move |v| reference::bias(&f(&twice(&v[0])), &v[1]))
}

/// Returns floats that keep a distance of more than the difference step from the kinks at `kinks`
/// (of 2a).
fn clear_of(kinks: &[f32], shape: &[usize]) -> Tensor {
    let values = Noise::new(71).floats(shape).to_f32();
    let clear = |v: f32| kinks.iter().all(|kink| (2.0 * v - kink).abs() > 0.01);
    let values: Vec<_> = values.into_iter().map(|v| if clear(v) { v } else { v + 0.02 }).collect();
    assert!(values.iter().all(|v| clear(*v)));
    Tensor::from_f32(shape, &values)
}

fn tall() -> Window {
    Window::new([3, 2], [2, 1], [1, 0])
}

/// Windows, inputs and filters: odd sizes, strides, padding, gaps, non-square; the last is a linear
/// layer.
fn products() -> Vec<(Window, [usize; 4], usize)> {
    vec![
        (Window::square(3, 1, 1), [2, 5, 7, 3], 5),
        (Window::square(3, 2, 1), [1, 7, 6, 5], 6),
        (Window::square(1, 1, 0), [2, 3, 3, 33], 4),
        (tall(), [2, 6, 5, 6], 7),
        (Window::new([2, 4], [3, 2], [1, 2]), [1, 8, 5, 4], 3),
        (Window::square(3, 1, 2).dilated([2, 2]), [2, 6, 5, 3], 4),
        (Window::new([3, 2], [2, 3], [3, 1]).dilated([3, 2]), [1, 7, 8, 5], 6),
        (Window::new([3, 4], [1, 1], [0, 0]), [5, 3, 4, 6], 10),
    ]
}

fn convs() -> impl Iterator<Item = Case> {
    products().into_iter().map(|(window, input, filters)| {
        let mut noise = Noise::new(72);
        let mut net = Net::new();
        let (a, x) = doubled(&mut net, noise.floats(&input));
        let w = net.trained("w", noise.weights(window.kernel, input[3], filters));
        let y = net.add(Conv { window }, &[x, w]);
        let b = net.trained("b", noise.floats(&[filters]));
        let root = net.add(Bias, &[y, b]);
        Case::new(format!("conv {window:?}"), net, root, &[a, w, b], move |v| {
            reference::bias(&reference::conv(&window, input, filters, &twice(&v[0]), &v[1]), &v[2])
        })
    })
}

/// The half-wave quantiser with uniform levels.
fn half_wave(bits: u8, surrogate: Surrogate) -> Quantise {
    let step = uniform_step(bits as usize, ZeroBin::Zero);
    Quantise::half_wave(&(1..1 << bits).map(|i| i as f32 * step).collect::<Vec<_>>(), false, surrogate)
}

/// A binary convolution after a quantiser with the identity as surrogate, so that the gradient of a
/// is that of the real activation Δ·code.
fn binary(bits: u8, window: Window, input: [usize; 4], filters: usize) -> (Net, [Value; 5], Vec<f64>, Vec<f64>) {
    let mut noise = Noise::new(u64::from(bits) + 73);
    let mut net = Net::new();
    let a = net.trained("a", noise.floats(&input));
    let w = net.trained("w", noise.weights(window.kernel, input[3], filters));
    let op = half_wave(bits, Surrogate::Identity);
    let step = f64::from(uniform_step(bits as usize, ZeroBin::Zero));
    let codes = net.add(op, &[a]);
    let signs = net.add(sign::Sign::identity(input[3]), &[w]);
    let alpha = net.add(sign::Alpha { channels: input[3], scope: sign::Scope::Filter }, &[w]);
    let sums = net.add(Bconv::uniform(window, step as f32), &[codes, signs, alpha]);
    let values = net.values();
    let activation = values[codes.0].to_ints().into_iter().map(|code| f64::from(code) * step).collect();
    let latent: Vec<_> = values[w.0].to_f32().into_iter().map(f64::from).collect();
    let weight = reference::binary_weight(window.taps(), input[3], filters, &latent);
    (net, [a, w, codes, alpha, sums], activation, weight)
}

fn bconvs() -> impl Iterator<Item = Case> {
    products().into_iter().enumerate().map(|(i, (window, input, filters))| {
        let bits = (i % 4 + 1) as u8;
        let (mut net, [a, w, _, alpha, sums], activation, weight) = binary(bits, window, input, filters);
        let y = net.add(Decode::uniform(uniform_step(bits as usize, ZeroBin::Zero)), &[sums, alpha]);
        let b = net.trained("b", Noise::new(74).floats(&[filters]));
        let root = net.add(Bias, &[y, b]);
        let name = format!("bconv of {bits} bits, {window:?}");
        let case = Case::new(name, net, root, &[a, w, b], move |v| {
            reference::bias(&reference::conv(&window, input, filters, &v[0], &v[1]), &v[2])
        });
        case.real(0, activation).real(1, weight)
    })
}

/// bconv → batch-norm on its exact sums: the gradient reaches activations and weights through α.
fn bconv_batch_norm() -> Case {
    let (window, input, filters) = (Window::square(3, 1, 1), [2, 5, 4, 6], 5);
    let (mut net, [a, w, _, alpha, sums], activation, weight) = binary(2, window, input, filters);
    let stats = net.add(BatchNormStats { largest: 3 * 9 * 6 }, &[sums]);
    let op =
        BatchNormCoef { eps: EPS, step: uniform_step(2, ZeroBin::Zero), scaled: true, affine: false, running: false };
    let coef = net.add(op, &[stats, alpha]);
    let root = net.add(BatchNorm, &[sums, coef]);
    let case = Case::new("bconv, batch_norm", net, root, &[a, w], move |v| {
        let y = reference::conv(&window, input, filters, &v[0], &v[1]);
        reference::batch_norm(filters, f64::from(EPS), &y, None)
    });
    case.real(0, activation).real(1, weight)
}

fn decodes() -> impl Iterator<Item = Case> {
    let shape = [2, 3, 5, 9];
    let mut noise = Noise::new(75);
    let encodings = [Encoding::I16, Encoding::I32, Encoding::Planes(1), Encoding::Planes(3)];
    encodings.into_iter().map(move |encoding| {
        let mut net = Net::new();
        let x = net.trained("x", noise.ints(&shape, encoding, 300));
        let stored: Vec<_> = net.leaves["x"].to_ints().into_iter().map(f64::from).collect();
        let sums = !matches!(encoding, Encoding::Planes(_));
        let alpha = noise.positive(&[9]);
        let scale: Vec<_> = alpha.to_f32().into_iter().map(|alpha| if sums { f64::from(alpha) } else { 1.0 }).collect();
        let inputs = if sums { vec![x, net.constant("alpha", alpha)] } else { vec![x] };
        let y = net.add(Decode::uniform(0.5), &inputs);
        let b = net.trained("b", noise.floats(&[9]));
        let root = net.add(Bias, &[y, b]);
        let real = stored.iter().enumerate().map(|(i, v)| v * 0.5 * scale[i % 9]).collect();
        let case = Case::new(format!("decode {encoding:?}"), net, root, &[x, b], |v| reference::bias(&v[0], &v[1]));
        case.real(0, real)
    })
}

/// Two different summands, one of which is read again after the sum.
fn add() -> Case {
    let mut noise = Noise::new(76);
    let mut net = Net::new();
    let [a, b] = ["a", "b"].map(|name| net.trained(name, noise.floats(&[2, 3, 3, 5])));
    let sum = net.add(Add, &[a, b]);
    let root = net.add(Add, &[sum, b]);
    Case::new("add", net, root, &[a, b], |v| v[0].iter().zip(&v[1]).map(|(a, b)| a + 2.0 * b).collect())
}

fn batch_norms() -> impl Iterator<Item = Case> {
    let (shape, c) = ([3, 4, 5, 6], 6);
    let all = [Encoding::F32, Encoding::I16, Encoding::I32].into_iter().flat_map(|e| [(e, false), (e, true)]);
    all.map(move |(encoding, affine)| {
        let (mut noise, mut net) = (Noise::new(77), Net::new());
        let scaled = encoding != Encoding::F32;
        let (largest, step) = if scaled { (300, 0.538) } else { (0, 1.0) };
        let (leaf, x) = if scaled {
            let x = net.trained("x", noise.ints(&shape, encoding, 300));
            (x, x)
        } else {
            doubled(&mut net, noise.floats(&shape))
        };
        let alpha = noise.positive(&[c]);
        let scale: Vec<_> = alpha.to_f32().into_iter().map(f64::from).collect();
        let stored: Vec<_> = net.values()[leaf.0].to_f32().into_iter().map(f64::from).collect();
        let stats = net.add(BatchNormStats { largest }, &[x]);
        let mut inputs = vec![stats];
        if scaled {
            inputs.push(net.constant("alpha", alpha));
        }
        let mut leaves = vec![leaf];
        if affine {
            leaves.extend(["gamma", "beta"].map(|name| net.trained(name, noise.floats(&[c]))));
            inputs.extend(&leaves[1..]);
        }
        let coef = net.add(BatchNormCoef { eps: EPS, step, scaled, affine, running: false }, &inputs);
        let z = net.add(BatchNorm, &[x, coef]);
        leaves.push(net.trained("b", noise.floats(&[c])));
        let root = net.add(Bias, &[z, leaves[leaves.len() - 1]]);
        let name = format!("batch_norm {encoding:?}{}", if affine { ", affine" } else { "" });
        let case = Case::new(name, net, root, &leaves, move |v| {
            let x = if scaled { v[0].clone() } else { twice(&v[0]) };
            let affine = affine.then(|| [v[1].as_slice(), &v[2]]);
            reference::bias(&reference::batch_norm(c, f64::from(EPS), &x, affine), &v[v.len() - 1])
        });
        if !scaled {
            return case;
        }
        case.real(0, stored.iter().enumerate().map(|(i, s)| s * f64::from(step) * scale[i % c]).collect())
    })
}

fn hwgqs() -> impl Iterator<Item = Case> {
    let kinds = [Surrogate::Identity, Surrogate::Vanilla, Surrogate::Clipped, Surrogate::LogTailed];
    kinds.into_iter().zip(1..=4).map(|(kind, bits)| {
        let op = half_wave(bits, kind);
        let top = (f32::from(1u8 << bits) - 1.0) * uniform_step(bits as usize, ZeroBin::Zero);
        let mut net = Net::new();
        let (a, x) = doubled(&mut net, clear_of(&[0.0, top], &[2, 3, 5, 9]));
        let codes = net.add(op, &[x]);
        let y = net.add(Decode::uniform(uniform_step(bits as usize, ZeroBin::Zero)), &[codes]);
        let b = net.trained("b", Noise::new(78).floats(&[9]));
        let root = net.add(Bias, &[y, b]);
        Case::new(format!("hwgq of {bits} bits, {kind:?}"), net, root, &[a, b], move |v| {
            let smooth = v[0].iter().map(|a| reference::surrogate(kind, f64::from(top), 2.0 * a));
            reference::bias(&smooth.collect::<Vec<_>>(), &v[1])
        })
    })
}

fn relu() -> Case {
    let a = clear_of(&[0.0], &[2, 3, 5, 9]);
    one_input("relu", a, 9, Relu, |x| x.iter().map(|v| v.max(0.0)).collect())
}

/// Windows and inputs of pools: overlapping, with borders, non-square.
fn pools() -> Vec<(Window, [usize; 4])> {
    vec![
        (Window::square(2, 2, 0), [2, 6, 5, 5]),
        (Window::square(3, 2, 1), [1, 7, 6, 5]),
        (Window::square(3, 1, 1), [2, 4, 3, 6]),
        (Window::new([2, 3], [3, 2], [0, 1]), [1, 8, 7, 3]),
    ]
}

/// Values that differ by more than the difference step, in no order.
fn distinct(shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>();
    let order = halfwave::random::permutation(5, 0, len);
    Tensor::from_f32(shape, &order.into_iter().map(|v| v as f32 * 0.01 - 1.0).collect::<Vec<_>>())
}

fn pooled() -> impl Iterator<Item = Case> {
    pools().into_iter().flat_map(|(window, input)| {
        let max =
            one_input(&format!("max_pool {window:?}"), distinct(&input), input[3], MaxPool { window }, move |x| {
                reference::max_pool(&window, input, x).0
            });
        let a = Noise::new(79).floats(&input);
        let avg = one_input(&format!("avg_pool {window:?}"), a, input[3], AvgPool { window }, move |x| {
            reference::avg_pool(&window, input, x)
        });
        [max, avg]
    })
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = convs().chain(bconvs()).chain(decodes()).chain(batch_norms()).chain(hwgqs()).collect();
    cases.extend(quantisers::cases());
    cases.extend(pooled());
    cases.extend(activations::activations());
    cases.extend(structure::cases());
    cases.extend([bconv_batch_norm(), add(), relu(), activations::prelu(), fixed::fixed(), abc::abc()]);
    cases.extend(training::losses());
    cases
}

#[test]
fn gradients_agree_with_finite_differences() {
    let mut failures = Vec::new();
    for case in cases() {
        let name = case.name.clone();
        match case.check() {
            Ok(error) => println!("{name:<100} {error:e}"),
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_operation_has_a_gradient_case_or_no_derivative() {
    let mut covered: BTreeSet<_> = cases().iter_mut().flat_map(|case| case.differentiate().2).collect();
    covered.remove("leaf");
    let underivable = |op: &Op| WITHOUT_DERIVATIVE.contains(&op.stem()) || op.activity() == Some(Activity::Update);
    for sample in ops::samples().into_iter().filter(|sample| underivable(&sample.op)) {
        let (stem, mut net) = (sample.op.stem(), Net::new());
        let inputs = sample.inputs.into_iter().enumerate().map(|(i, tensor)| net.trained(&format!("x{i}"), tensor));
        let inputs: Vec<_> = inputs.collect();
        let root = net.add(sample.op, &inputs);
        let error = pass::differentiate(&mut net.graph, root, None).unwrap_err().to_string();
        assert!(error.contains(stem) && error.contains("no derivative"), "{stem}: {error}");
        covered.insert(stem);
    }
    covered.extend(BY_FORMULA);
    let all: BTreeSet<_> = ops::samples().iter().map(|sample| sample.op.stem()).collect();
    assert_eq!(covered, all, "left: has a case; right: exists");
}

/// Among equal values the first in row order gets the whole gradient, in every encoding.
#[test]
fn ties_of_a_max_pool_go_to_the_first() {
    for encoding in [Encoding::F32, Encoding::I16, Encoding::I32, Encoding::Planes(1), Encoding::Planes(2)] {
        for (window, input) in pools() {
            let mut noise = Noise::new(81);
            let x = match encoding {
                Encoding::F32 => {
                    let few = noise.ints(&input, Encoding::I32, 1).to_f32();
                    Tensor::from_f32(&input, &few)
                }
                _ => noise.ints(&input, encoding, 1),
            };
            let values: Vec<_> = x.to_f32().into_iter().map(f64::from).collect();
            let (best, winners) = reference::max_pool(&window, input, &values);
            let mut net = Net::new();
            let leaf = net.trained("x", x);
            let root = net.add(MaxPool { window }, &[leaf]);
            let dy = noise.floats(&net.graph.ty(root).shape.clone());
            let upstream = dy.to_f32();
            let seed = net.constant("seed", dy);
            let gradients = pass::differentiate(&mut net.graph, root, Some(seed)).unwrap();
            let evaluated = net.values();
            let mut dx = vec![0.0f32; values.len()];
            winners.iter().zip(&upstream).for_each(|(&winner, d)| dx[winner] += d);
            assert_eq!(evaluated[gradients[0].1.0].to_f32(), dx, "{encoding:?} {window:?}");
            let pooled: Vec<_> = evaluated[root.0].to_f32().into_iter().map(f64::from).collect();
            assert_eq!(pooled, best, "{encoding:?} {window:?}");
            // The case is meaningful only if windows contain their largest value twice.
            let mut last = vec![usize::MAX; best.len()];
            reference::slide(&window, input, |out, _, row| {
                for c in 0..input[3] {
                    if values[row * input[3] + c] == best[out * input[3] + c] {
                        last[out * input[3] + c] = row * input[3] + c;
                    }
                }
            });
            assert_ne!(last, winners, "no ties: {encoding:?} {window:?}");
        }
    }
}

/// A network whose sums are pooled before a batch-norm.
const DIGITS: &str = include_str!("../assets/reference/digits-hwgq.toml");

/// A network with folding: batch-norms before quantisers and rectifiers, on floats and on sums,
/// with pools and a residual.
const FOLDS: &str = include_str!("golden/residual.toml");

/// Groups of signs, codes and floats, including dilated ones, concatenated; and random numbers.
const GROUPS: &str = include_str!("reference/recipes/groups.toml");

/// Folding a batch-norm into its readers, folding a pool's gradient into a batch-norm's, and
/// joining the gradients of slices change no bit of logits, gradients or updates.
#[test]
fn fused_graphs_give_the_same_values() {
    // With a pool after a rectifier, too.
    let pool = "[[model.layers]]\nname = \"pool3\"\nkind = \"max_pool\"\nkernel = 2\n\n";
    let pooled = DIGITS.replace("[[model.layers]]\nname = \"fc\"", &format!("{pool}[[model.layers]]\nname = \"fc\""));
    // With a shortcut around a batch-norm, instead of the pool.
    let sum = "name = \"sum2\"\nkind = \"add\"\nfrom = [\"conv2\", \"conv1\"]";
    let shortcut = DIGITS.replace("name = \"pool2\"\nkind = \"max_pool\"\nkernel = 2", sum);
    let shortcut = shortcut.replace("filters = 40", "filters = 16");
    assert!(pooled != DIGITS && shortcut.contains(sum));
    let texts = [
        ("digits-hwgq", DIGITS),
        ("pooled", &pooled),
        ("shortcut", &shortcut),
        ("residual", FOLDS),
        ("groups", GROUPS),
        ("structure", include_str!("reference/recipes/structure.toml")),
        ("fixed", include_str!("reference/recipes/fixed-stochastic.toml")),
    ];
    let mut added = false;
    for (name, text) in texts {
        let model = halfwave::recipe::Recipe::parse(text, name).unwrap().model;
        let (mut graph, logits) = pass::build(&model, 6, &pass::ImageInput::Floats, pass::Mode::Train).unwrap();
        let loss = pass::objective(&mut graph, logits, &pass::Loss::default()).unwrap();
        let gradients = pass::differentiate(&mut graph, loss, None).unwrap();
        graph.output("logits", logits);
        for &(leaf, gradient) in &gradients {
            let name = leaf_name(graph.node(leaf)).unwrap().to_string();
            graph.output(name, gradient);
        }
        let plain = pass::simplify(&graph).unwrap();
        let fused = pass::simplify(&pass::fuse(&plain).unwrap()).unwrap();
        fused.verify();
        let rewritten =
            |node: &&halfwave::graph::Node<ops::Op>| ["batch_norm", "slice_backward"].contains(&node.op.stem());
        let left = |graph: &ops::Graph| graph.nodes().iter().filter(rewritten).count();
        assert!(left(&fused) < left(&plain), "{name}: nothing was folded or joined");
        let among_zeros = |node: &halfwave::graph::Node<ops::Op>| ["max_unpool", "relu"].contains(&node.op.stem());
        assert!(name != "pooled" || !fused.nodes().iter().any(among_zeros), "a pool was not folded");
        added |= fused.nodes().iter().any(|node| matches!(&node.op, Op::BatchNormDx(dx) if dx.plus));
        let leaves = evaluate::start(&plain, &mut Noise::new(83));
        let (plain_values, fused_values) = (evaluate(&plain, &leaves), evaluate(&fused, &leaves));
        assert_eq!(plain.outputs.len(), fused.outputs.len());
        for ((output, a), (_, b)) in plain.outputs.iter().zip(&fused.outputs) {
            assert!(plain_values[a.0].words.iter().any(|&word| word != 0), "{name}: {output} is zero");
            assert_eq!(plain_values[a.0], fused_values[b.0], "{name}: {output}");
        }
    }
    assert!(added, "no batch-norm's gradient was added to another one");
}
