//! Integer thresholds in place of monotonic functions of sums, and removal of layers that nothing
//! reads.

use crate::error::{Error, Result};
use halfwave_infer::{Curve, Kind, Layer, Network, Op, Type};

/// Folds quantisers of functions of sums, moves quantisers before pools, and keeps what the output
/// `last` depends on.
pub(super) fn fold(mut network: Network, last: usize) -> Result<Network> {
    let types = types(&network)?;
    // A quantiser is monotonic, so it may be applied before a max-pool: codes are pooled then.
    for at in 0..network.layers.len() {
        move_before_pools(&mut network.layers, &types, at);
    }
    let types = self::types(&network)?;
    for at in 0..network.layers.len() {
        if let Some((source, op)) = threshold(&network.layers, &types, at) {
            network.layers[at] = Layer { from: vec![source], op, ..network.layers[at].clone() };
        }
    }
    Ok(without_dead(network, last))
}

fn types(network: &Network) -> Result<Vec<Type>> {
    network.types().map_err(|error| Error::Model(error.to_string()))
}

/// Exchanges a quantiser with the pool of floats that it reads, if nothing else reads the pool.
fn move_before_pools(layers: &mut [Layer], types: &[Type], at: usize) {
    let Op::Quantise { .. } = layers[at].op else { return };
    let Some(pool) = layers[at].from[0].checked_sub(1) else { return };
    let Op::MaxPool { window } = layers[pool].op else { return };
    let readers = layers.iter().flat_map(|layer| &layer.from).filter(|&&from| from == pool + 1).count();
    if readers == 1 && types[pool + 1].kind == Kind::Float {
        let quantise = std::mem::replace(&mut layers[at].op, Op::MaxPool { window });
        layers[pool].op = quantise;
    }
}

/// If a layer quantises a monotonic function of sums, returns the sums and the thresholds.
fn threshold(layers: &[Layer], types: &[Type], at: usize) -> Option<(usize, Op)> {
    let Op::Quantise { count, at_least, thresholds } = &layers[at].op else { return None };
    let (mut chain, mut source) = (Vec::new(), layers[at].from[0]);
    let largest = loop {
        if let Kind::Sums(largest) = types[source].kind {
            break largest as i32;
        }
        let layer = layers.get(source.checked_sub(1)?)?;
        if !monotonic(&layer.op) {
            return None;
        }
        chain.push(&layer.op);
        source = layer.from[0];
    };
    chain.reverse();
    let channels = types[source].channels();
    let (mut steps, mut falling) = (vec![0; count * channels], vec![0; channels]);
    for c in 0..channels {
        let code = |sum: i32| {
            let x = chain.iter().fold(sum as f32, |x, op| apply(op, c, x));
            thresholds.iter().filter(|&&t| if *at_least { x >= t } else { x > t }).count()
        };
        let sign = if code(largest) < code(-largest) { -1 } else { 1 };
        falling[c] = i32::from(sign < 0);
        for level in 1..=*count {
            // The smallest x with code(sign·x) ≥ level; one beyond the largest if there is none.
            let (mut low, mut high) = (-largest, largest + 1);
            while low < high {
                let middle = low + (high - low) / 2;
                if code(sign * middle) >= level { high = middle } else { low = middle + 1 }
            }
            steps[(level - 1) * channels + c] = low;
        }
    }
    let mixed = falling.contains(&1);
    let falling = if mixed { falling } else { Vec::new() };
    Some((source, Op::Threshold { count: *count, mixed, thresholds: steps, falling }))
}

/// Whether an operation is a monotonic function of each element by itself, rounding included.
/// Exponentials and logarithms of a library may fall by a unit in the last place where the function
/// rises, and a search would not notice.
fn monotonic(op: &Op) -> bool {
    match op {
        Op::Affine { .. } | Op::Relu | Op::Round { .. } => true,
        Op::Prelu { slope } => slope.iter().all(|&slope| slope >= 0.0),
        Op::Activation { curve: Curve::ClippedRelu | Curve::HardTanh, .. } => true,
        Op::Activation { curve: Curve::LeakyRelu, number } => number[0] >= 0.0,
        _ => false,
    }
}

/// A monotonic operation on one number of channel `c`, with the steps of [`halfwave_infer`].
fn apply(op: &Op, c: usize, x: f32) -> f32 {
    match op {
        Op::Affine { gain, shift, .. } => {
            let x = gain.get(c).map_or(x, |gain| x * gain);
            shift.get(c).map_or(x, |shift| x + shift)
        }
        Op::Prelu { slope } if x <= 0.0 => slope[c] * x,
        Op::Prelu { .. } => x,
        other => other.pointwise(x),
    }
}

/// Keeps the layers that the output depends on; `last` becomes the last layer.
fn without_dead(network: Network, last: usize) -> Network {
    let mut needed = vec![false; network.layers.len() + 1];
    needed[last] = true;
    for at in (1..=last).rev() {
        if needed[at] {
            network.layers[at - 1].from.iter().for_each(|&from| needed[from] = true);
        }
    }
    let mut places = vec![0; needed.len()];
    let mut layers = Vec::new();
    for (at, mut layer) in network.layers.into_iter().enumerate() {
        if needed[at + 1] {
            layer.from.iter_mut().for_each(|from| *from = places[*from]);
            layers.push(layer);
            places[at + 1] = layers.len();
        }
    }
    Network { layers, ..network }
}
