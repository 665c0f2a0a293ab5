//! Gradient cases of operations that select, move and drop elements.

use crate::{doubled, one_input, reference, twice};
use halfwave::ops::sample::Noise;
use halfwave::ops::window::Window;
use halfwave::ops::{
    bias::Bias, concat::Concat, conv::Conv, decode::Decode, dropout::Dropout, flatten::Flatten, slice::Slice,
};
use halfwave::pass;
use halfwave::tensor::{Encoding, Tensor};
use halfwave::testing::evaluate;
use halfwave::testing::{GradientCase as Case, Net};

/// op(a + a, random) + b.
fn dropout() -> Case {
    let (shape, rate, stream, random) = ([2, 3, 5, 9], 0.3, 0x9e37_79b9, [7, 0x8000_0001, 12, 3]);
    let mut noise = Noise::new(110);
    let mut net = Net::new();
    let (a, x) = doubled(&mut net, noise.floats(&shape));
    let random_leaf = net.constant("random", Tensor::from_u32(&[4], &random));
    let y = net.add(Dropout { rate, stream }, &[x, random_leaf]);
    let b = net.trained("b", noise.floats(&[9]));
    let root = net.add(Bias, &[y, b]);
    Case::new("dropout", net, root, &[a, b], move |v| {
        reference::bias(&reference::dropout(f64::from(rate), stream, random, shape[3], &twice(&v[0])), &v[1])
    })
}

/// Ranges of channels aligned to quads and not.
fn slices() -> impl Iterator<Item = Case> {
    [(4, 4), (3, 5), (1, 2), (0, 9)].into_iter().map(|(first, count)| {
        let name = format!("slice of {count} from {first}");
        let a = Noise::new(111).floats(&[2, 3, 3, 9]);
        one_input(&name, a, count, Slice { first, count }, move |x| reference::slice(9, first, count, x))
    })
}

/// Codes that are sliced, then decoded; the gradient is that of the floats that they represent.
fn slice_of_codes() -> Case {
    let (first, count) = (5, 34);
    let mut noise = Noise::new(112);
    let mut net = Net::new();
    let codes = net.trained("x", noise.ints(&[2, 2, 3, 41], Encoding::Planes(3), 0));
    let real = net.leaves["x"].to_ints().into_iter().map(|code| f64::from(code) * 0.5).collect();
    let some = net.add(Slice { first, count }, &[codes]);
    let y = net.add(Decode::uniform(0.5), &[some]);
    let b = net.trained("b", noise.floats(&[count]));
    let root = net.add(Bias, &[y, b]);
    let reference = move |v: &[Vec<f64>]| reference::bias(&reference::slice(41, first, count, &v[0]), &v[1]);
    Case::new("slice of codes", net, root, &[codes, b], reference).real(0, real)
}

/// a, b, a again: one input twice, and ranges that begin inside a quad.
fn concat() -> Case {
    let mut noise = Noise::new(113);
    let mut net = Net::new();
    let [a, b] = [("a", 5), ("b", 6)].map(|(name, c)| net.trained(name, noise.floats(&[2, 3, 3, c])));
    let y = net.add(Concat, &[a, b, a]);
    let bias = net.trained("bias", noise.floats(&[16]));
    let root = net.add(Bias, &[y, bias]);
    Case::new("concat", net, root, &[a, b, bias], |v| {
        reference::bias(&reference::concat(&[(5, &v[0]), (6, &v[1]), (5, &v[0])]), &v[2])
    })
}

/// Sums with the scales of their own filters, concatenated.
fn concat_of_sums() -> Case {
    let mut noise = Noise::new(114);
    let mut net = Net::new();
    let alphas = [3, 5].map(|c| noise.positive(&[c]));
    let mut leaves = Vec::new();
    let mut real = Vec::new();
    for (name, alpha) in ["x", "y"].into_iter().zip(&alphas) {
        let c = alpha.ty.channels();
        leaves.push(net.trained(name, noise.ints(&[2, 3, 3, c], Encoding::I16, 300)));
        let (sums, alpha) = (net.leaves[name].to_ints(), alpha.to_f32());
        real.push(sums.iter().enumerate().map(|(i, s)| 0.5 * f64::from(*s) * f64::from(alpha[i % c])).collect());
    }
    let sums = net.add(Concat, &leaves);
    let alphas = alphas.into_iter().enumerate().map(|(i, alpha)| net.constant(&format!("alpha{i}"), alpha));
    let alphas: Vec<_> = alphas.collect();
    let alpha = net.add(Concat, &alphas);
    let y = net.add(Decode::uniform(0.5), &[sums, alpha]);
    let b = net.trained("b", noise.floats(&[8]));
    let root = net.add(Bias, &[y, b]);
    let [first, second] = real.try_into().unwrap();
    let reference = |v: &[Vec<f64>]| reference::bias(&reference::concat(&[(3, &v[0]), (5, &v[1])]), &v[2]);
    let case = Case::new("concat of sums", net, root, &[leaves[0], leaves[1], b], reference);
    case.real(0, first).real(1, second)
}

/// The parts of a convolution in two groups: each reads half of the channels and computes half of
/// the filters.
fn groups() -> Case {
    let (window, input, filters) = (Window::square(3, 1, 1), [2, 4, 5, 6], 10);
    let mut noise = Noise::new(115);
    let mut net = Net::new();
    let (a, x) = doubled(&mut net, noise.floats(&input));
    let w = net.trained("w", noise.weights(window.kernel, 3, filters));
    let halves: Vec<_> = (0..2)
        .map(|group| {
            let x = net.add(Slice { first: 3 * group, count: 3 }, &[x]);
            let w = net.add(Slice { first: 5 * group, count: 5 }, &[w]);
            net.add(Conv { window }, &[x, w])
        })
        .collect();
    let root = net.add(Concat, &halves);
    Case::new("conv in groups", net, root, &[a, w], move |v| {
        let halves = [0, 1].map(|group| {
            let x = reference::slice(6, 3 * group, 3, &twice(&v[0]));
            reference::conv(&window, [2, 4, 5, 3], 5, &x, &reference::slice(filters, 5 * group, 5, &v[1]))
        });
        reference::concat(&[(5, &halves[0]), (5, &halves[1])])
    })
}

fn flatten() -> Case {
    let shape = [2, 3, 4, 5];
    one_input("flatten", Noise::new(116).floats(&shape), 60, Flatten, move |x| reference::flatten(shape, x))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = slices().collect();
    cases.extend([dropout(), slice_of_codes(), concat(), concat_of_sums(), groups(), flatten()]);
    cases
}

/// Slices of x, covering all of its channels or not, possibly with another reader of x: which
/// gradients are concatenated, and that no bit changes.
#[test]
fn gradients_of_slices_that_make_the_whole_are_joined() {
    for (slices, others, joined) in [
        (vec![(0, 3), (3, 5), (8, 1)], 0, true),
        (vec![(3, 6), (0, 3)], 1, true),
        (vec![(3, 6), (0, 3)], 2, false),
        (vec![(0, 3), (3, 5)], 0, false),
        (vec![(0, 5), (3, 6)], 0, false),
        (vec![(0, 5), (5, 4), (5, 4)], 1, false),
    ] {
        let (mut noise, mut net) = (Noise::new(117), Net::new());
        let x = net.trained("x", noise.floats(&[2, 3, 3, 9]));
        let mut parts: Vec<_> = slices
            .iter()
            .enumerate()
            .map(|(i, &(first, count))| {
                let part = net.add(Slice { first, count }, &[x]);
                let b = net.trained(&format!("b{i}"), noise.floats(&[count]));
                net.add(Bias, &[part, b])
            })
            .collect();
        parts.extend(std::iter::repeat_n(x, others));
        let root = net.add(Concat, &parts);
        let seed = net.constant("seed", noise.floats(&net.graph.ty(root).shape.clone()));
        let gradients = pass::differentiate(&mut net.graph, root, Some(seed)).unwrap();
        for (i, (_, gradient)) in gradients.into_iter().enumerate() {
            net.graph.output(format!("{i}"), gradient);
        }
        let plain = pass::simplify(&net.graph).unwrap();
        let fused = pass::simplify(&pass::fuse(&plain).unwrap()).unwrap();
        fused.verify();
        let count = |graph: &halfwave::ops::Graph, stem| graph.nodes().iter().filter(|n| n.op.stem() == stem).count();
        assert!(count(&plain, "slice_backward") > 1, "{slices:?}");
        assert_eq!(count(&fused, "slice_backward") == 0, joined, "{slices:?} and {others} others");
        let [a, b] = [&plain, &fused].map(|graph| (graph, evaluate(graph, &net.leaves)));
        for ((name, plain), (_, fused)) in a.0.outputs.iter().zip(&b.0.outputs) {
            assert_eq!(a.1[plain.0], b.1[fused.0], "{slices:?}: gradient {name}");
        }
    }
}
