//! Layers that are computed together, one pixel at a time, so that only the last one's output is
//! stored.

use halfwave_infer::{Network, Op};

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

/// Returns the groups in the order in which they are computed. A layer joins the group of a value
/// that only it reads.
pub(super) fn groups(network: &Network) -> Vec<Group> {
    let mut readers = vec![0; network.layers.len() + 1];
    network.layers.iter().flat_map(|layer| &layer.from).for_each(|&from| readers[from] += 1);
    let mut groups: Vec<Group> = Vec::new();
    for (at, layer) in network.layers.iter().enumerate() {
        let joins = layer.from[..by_pixel(&layer.op)].iter().filter(|&&from| from > 0 && readers[from] == 1).max();
        match joins.and_then(|from| groups.iter_mut().find(|group| group.last() == Some(&(from - 1)))) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups.sort_by_key(|group| group.last().copied());
    groups
}
