//! Values for the leaves of graphs.

use halfwave::graph::Node;
use halfwave::ops::sample::Noise;
use halfwave::ops::{Graph, Op};
use halfwave::pass::EVALUATION;
use halfwave::tensor::Tensor;
use std::collections::HashMap;

/// The name of a leaf.
pub(crate) fn leaf_name(node: &Node<Op>) -> Option<&str> {
    match &node.op {
        Op::Leaf(leaf) => Some(&leaf.name),
        _ => None,
    }
}

/// Random values for all leaves: labels below 10, positive running variances, zero in the padding
/// rows of weights.
pub(crate) fn start(graph: &Graph, noise: &mut Noise) -> HashMap<String, Tensor> {
    // Channels of weights, by name; the optimiser's state of a weight has the same padding.
    let mut channels = HashMap::new();
    for node in graph.nodes() {
        let (weight, count) = match &node.op {
            Op::Conv(_) => (node.inputs[1], graph.ty(node.inputs[0]).channels()),
            Op::Sign(sign) => (node.inputs[0], sign.channels),
            _ => continue,
        };
        // A group's filters are a slice of the weight; an unpacked weight has its leaf behind its
        // signs.
        let node = graph.node(weight);
        let node = if let Op::Slice(_) = node.op { graph.node(node.inputs[0]) } else { node };
        channels.extend(leaf_name(node).map(|name| (name, count)));
    }
    let mut leaves = HashMap::new();
    for node in graph.nodes() {
        let (Some(name), ty) = (leaf_name(node), &node.ty) else { continue };
        let plain = name.strip_prefix(EVALUATION).unwrap_or(name);
        let tensor = match (plain, channels.get(name.rsplit('/').next().unwrap())) {
            (_, Some(channels)) => noise.weights([ty.shape[0], ty.shape[1]], *channels, ty.shape[3]),
            ("labels", _) => noise.words(&ty.shape, 10),
            ("index", _) => noise.words(&ty.shape, 5), // size of the smallest store in tests
            _ if plain == "random" || plain.starts_with("store/") || name.ends_with(".saturated") => {
                noise.words(&ty.shape, u32::MAX)
            }
            ("step" | "batch", _) => Tensor::from_u32(&ty.shape, &[3]),
            ("fault", _) => Tensor::from_u32(&ty.shape, &[0]),
            ("rates", _) => Tensor::from_f32(&ty.shape, &[0.05, 0.19, 0.003, 0.0]),
            _ if name.ends_with(".running") => noise.positive(&ty.shape),
            _ => noise.floats(&ty.shape),
        };
        // A mean of squares is not negative.
        let tensor = if name.starts_with("moment2/") { magnitudes(&tensor) } else { tensor };
        assert_eq!(&tensor.ty, ty, "{name}");
        leaves.insert(name.to_string(), tensor);
    }
    leaves
}

fn magnitudes(tensor: &Tensor) -> Tensor {
    Tensor::from_f32(&tensor.ty.shape, &tensor.to_f32().into_iter().map(f32::abs).collect::<Vec<_>>())
}
