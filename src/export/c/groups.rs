//! Layers that are computed together, one pixel at a time, so that only the last one's output is
//! stored.

use super::layers::CHUNK;
use halfwave_infer::{Network, Op, Window};

/// The layers of a group, by index: the first one reads stored tensors, each of the others the one
/// before it.
pub(super) type Group = Vec<usize>;

/// Which inputs of an operation it reads pixel by pixel, while they are computed: the first ones
/// up to this number.
fn by_pixel(op: &Op) -> usize {
    match op {
        Op::Affine { .. }
        | Op::Threshold { .. }
        | Op::Quantise { .. }
        | Op::Decode { .. }
        | Op::Round { .. }
        | Op::Relu
        | Op::Prelu { .. }
        | Op::Activation { .. }
        | Op::ScalePixels => 1,
        Op::Add => 2,
        _ => 0,
    }
}

/// Whether a pool can be computed together with the convolution that it reads: no value is part of
/// two windows, and all lie inside the image.
fn pools(op: &Op) -> bool {
    let apart = |window: &Window| {
        window.padding == [0, 0] && window.dilation == [1, 1] && (0..2).all(|i| window.stride[i] >= window.kernel[i])
    };
    match op {
        Op::MaxPool { window } => apart(window),
        Op::AvgPool { window } => apart(window) && window.taps() <= CHUNK,
        _ => false,
    }
}

/// Whether a pool can join a group: it begins with a convolution, and reads no other tensor and no
/// pool after it.
fn takes_pool(network: &Network, group: &Group) -> bool {
    let op = |&at: &usize| &network.layers[at].op;
    let begins = group.first().is_some_and(|at| matches!(op(at), Op::Conv { .. } | Op::PackedConv { .. }));
    begins && group.iter().skip(1).all(|at| by_pixel(op(at)) == 1 && network.layers[*at].from.len() == 1)
}

/// Returns the groups in the order in which they are computed. A layer joins the group of a value
/// that only it reads.
pub(super) fn groups(network: &Network) -> Vec<Group> {
    let mut readers = vec![0; network.layers.len() + 1];
    network.layers.iter().flat_map(|layer| &layer.from).for_each(|&from| readers[from] += 1);
    let mut groups: Vec<Group> = Vec::new();
    for (at, layer) in network.layers.iter().enumerate() {
        let pools = pools(&layer.op);
        let inputs = if pools { 1 } else { by_pixel(&layer.op) };
        let joins = layer.from[..inputs].iter().filter(|&&from| from > 0 && readers[from] == 1).max();
        let group = joins.and_then(|from| groups.iter_mut().find(|group| group.last() == Some(&(from - 1))));
        match group.filter(|group| !pools || takes_pool(network, group)) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups.sort_by_key(|group| group.last().copied());
    groups
}
