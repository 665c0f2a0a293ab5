//! Summation of many floats in a fixed order, on the CPU and in kernels.
//!
//! **Invariant:** a sum of n floats obeys `|error| ≤ (DEPTH + log₂ n)·2⁻²⁴·Σ|xᵢ|`, because no term
//! passes through more than [`DEPTH`] sequential additions; above them is a tree. The error of a
//! plain running sum grows with n: at 10⁶ terms its last digits are lost. `tests/sums.rs` lists
//! every operation that reduces and checks each against the bound with millions of terms.
//!
//! **Order.** A *chunk* is [`CHUNK`] terms or fewer, added sequentially from 0. Chunks are added in
//! pairs: neighbours, then neighbouring pairs, and so on (`Pairs`; `shaders/sum.wgsl`).
//!
//! | sum | order |
//! |---|---|
//! | over rows of a channel: `mean`, `channel_sum`, `total`, `alpha`, `xnor_gradient`, `dorefa_weight_backward`, `abc_*` | 64 lanes; lane l takes the rows l, l + 64, … in chunks; then the halves of the lanes (`columns`) |
//! | over rows in two launches, or in one if there are few rows (`direct`): `batch_norm_*`; in two: `prelu_slope`, `square_sum` | chunks of neighbouring rows (`rows_per_chunk`); their sums as above |
//! | over taps, classes or channels in one invocation: `avg_pool*`, `input_scale`, losses | chunks (`of`) |
//! | matrix products and weight gradients in GPU tiles | parts of up to [`TILE_CHUNK`] terms, added sequentially: `c` of their bound; parts in pairs |
//! | matrix products (`conv`, `conv_dx`, `bconv_dx`) elsewhere | a chunk is up to [`CHUNK`] channels of one tap; up to [`CHUNK`] chunks are added sequentially into a part; parts in pairs (`parts`) |
//! | weight gradients (`conv_dw`, `bconv_dw`) elsewhere | a chunk is up to [`CHUNK`] rows; then the same |
//!
//! Messages of ranks (`decompress`) are added one after the other, at most 1024. Sums of integers
//! (`bconv`, `batch_norm_stats` of sums, `compress`, `count_saturated`) are exact in any order.

use super::add;
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType};
/// The order is defined where exported networks need it, too.
pub use halfwave_infer::sum::CHUNK;
pub(super) use halfwave_infer::sum::{Pairs, add_all, of, of_rows, parts};

/// Maximum number of sequential additions that a term passes through, not counting the tree: within
/// its chunk, and of chunks within a part.
pub const DEPTH: usize = 2 * CHUNK;

/// Number of terms that the tiles of matrix products add sequentially: a part of the sum. Shorter
/// chunks would need twice the registers, which costs a third of the speed on an NVIDIA H200
/// (`docs/measurements`); the error bound of these sums is (TILE_CHUNK + log₂ n)·2⁻²⁴·Σ|xᵢ|.
pub const TILE_CHUNK: usize = 8192;

/// Maximum memory for the parts of a sum, in bytes.
pub(super) const PARTS_BYTES: usize = 20 << 20;

/// Number of invocations that share an item of a reduction.
pub(super) const LANES: usize = 64;

/// Start of the tree over a workgroup's 64 values. It is a uniform so that drivers do not unroll
/// the tree: with an unrolled tree, software drivers compile for seconds.
pub(super) const HALF: u32 = LANES as u32 / 2;

/// Number of rows of `quads` quads that one invocation reduces: at most a chunk, fewer if that
/// gives work to 65 536 invocations, enough to occupy a large device. A multiple of eight, because
/// eight rows are read at the same time.
pub(super) fn rows_per_chunk(rows: usize, quads: usize) -> usize {
    (rows * quads).div_ceil(1 << 16).next_multiple_of(8).clamp(16, CHUNK)
}

/// Whether a batch-norm's sums over this many rows take a single launch, in which each lane of a
/// workgroup sums its own chunks, of at most 128 rows each. Rows are then read by far fewer
/// invocations, which costs about as much time as a second launch would. Software drivers have no
/// lanes.
pub(super) fn direct(rows: usize, caps: &Caps) -> bool {
    caps.class.traits().barriers && rows <= LANES * CHUNK
}

/// Cost of writing and adding up parts of `words` words, in multiply-adds: a device moves a word in
/// the time of about 20 of these.
pub(super) fn cost(parts: usize, words: usize) -> f64 {
    if parts == 1 { 0.0 } else { (20 * (2 * parts + 1) * words) as f64 }
}

/// Chunked sums of many items at once: `add(term, sums)` adds the terms with that index to all
/// sums.
pub(super) fn of_many(terms: usize, sums: usize, mut add: impl FnMut(usize, &mut [f32])) -> Vec<f32> {
    let mut pairs = Pairs::new();
    for chunk in (0..terms.max(1)).step_by(CHUNK) {
        let mut values = vec![0.0; sums];
        (chunk..(chunk + CHUNK).min(terms)).for_each(|term| add(term, &mut values));
        pairs.push(values, add_all);
    }
    pairs.finish(add_all).expect("at least one chunk")
}

/// Sums over rows in the order of [`reduction`]: `add(row, sums)` adds the terms of a row.
pub(super) fn columns(rows: usize, sums: usize, mut add: impl FnMut(usize, &mut [f32])) -> Vec<f32> {
    let lanes = of_many(rows.div_ceil(LANES), LANES * sums, |round, lanes| {
        for (row, sums) in (round * LANES..rows).zip(lanes.chunks_exact_mut(sums)) {
            add(row, sums);
        }
    });
    let lane = |lane: usize, i: usize| lanes[lane * sums + i];
    (0..sums).map(|i| tree(&mut std::array::from_fn(|at| lane(at, i)), |a, b| a + b)).collect()
}

/// Reduces 64 values in the order of a workgroup: the upper half onto the lower half.
pub(super) fn tree<T: Copy>(values: &mut [T; LANES], mut combine: impl FnMut(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            values[i] = combine(values[i], values[i + half]);
        }
        half /= 2;
    }
    values[0]
}

/// Sum of all values, with a separate sum for each lane of a quad first.
pub(super) fn of_quads(values: &[f32]) -> f32 {
    halfwave_infer::sum::of_quads(values, |value| value)
}

/// A launch whose invocations add up to `terms` terms each; its text defines `sum_start`,
/// `sum_term`, `sum_result`.
pub(super) fn running(launch: Launch, terms: usize) -> Launch {
    running_chunks(launch, CHUNK, usize::from(terms > CHUNK))
}

/// The same without chunks, for terms that are themselves sums: they are added in pairs.
pub(super) fn paired(launch: Launch) -> Launch {
    running_chunks(launch, 1, 1)
}

fn running_chunks(mut launch: Launch, chunk: usize, chunked: usize) -> Launch {
    launch.kernel.body.push(include_str!("../../shaders/sum.wgsl").into());
    launch.constant("SUM_CHUNK", chunk).constant("CHUNKED", chunked)
}

/// WGSL: `quads_sum(first, count)`, the sum of an operation's `summand(i)` and of its lanes; for a
/// launch with [`running`] sums.
pub(super) const QUADS_SUM: &str = include_str!("../../shaders/quads_sum.wgsl");

crate::params! {
    struct PartsParams { quads: u32 }
}

/// The program of a launch that writes parts of the output, concatenated, to `name`: the launch,
/// followed by the sum of the parts if there are several.
pub(super) fn of_parts(stem: &str, launch: Launch, name: &'static str, parts: usize, output: &TensorType) -> Program {
    if parts == 1 {
        return launch.write(name, F32, Output).into();
    }
    let words = output.words();
    let sum = paired(Launch::new(
        format!("{stem}_sum_parts"),
        &[add::ELEMENTWISE, include_str!("../../shaders/sum_parts.wgsl")],
    ))
    .constant("PARTS", parts)
    .read("part", F32, Scratch(0))
    .write("sum", F32, Output)
    .params(&PartsParams { quads: (words / 4) as u32 })
    .each_quad(words / 4)
    .float_ops(parts * output.len());
    Program { scratch_words: vec![parts * words], launches: vec![launch.write(name, F32, Scratch(0)), sum] }
}

/// A launch that reduces each of `items` in 64 lanes: those of a workgroup, or without barriers if
/// the device class has no fast ones. The text defines the reduction: see `shaders/lanes.wgsl`.
pub(super) fn lanes(label: impl Into<String>, text: &'static str, items: usize, caps: &Caps) -> Launch {
    let shared = caps.class.traits().barriers;
    Launch::new(label, &[include_str!("../../shaders/lanes.wgsl"), text])
        .constant("SHARED", usize::from(shared))
        .constant("BESIDE", 0)
        .groups(item_groups(items, caps))
}

/// Adds work to the launch of a reduction: `fn beside(i)` of this text runs for each of `items`
/// other items. The launch's uniform must hold `reducing`, the number of workgroups of the
/// reduction.
pub(super) fn beside(mut launch: Launch, text: &'static str, items: usize) -> Launch {
    launch.kernel.body.push(text.into());
    let chosen = launch.kernel.constants.iter_mut().find(|(name, _)| *name == "BESIDE");
    chosen.expect("a launch of lanes").1 = 1;
    let groups = launch.groups + items.div_ceil(LANES);
    launch.groups(groups)
}

/// Number of workgroups of [`lanes`] for `items` items.
pub(super) fn item_groups(items: usize, caps: &Caps) -> usize {
    if caps.class.traits().barriers { items } else { items.div_ceil(LANES) }
}

/// A reduction in which each item is a sum of `terms` terms, which the text defines: see
/// `shaders/sum_lanes.wgsl`.
pub(super) fn reduction(
    label: impl Into<String>,
    text: &'static str,
    (items, terms): (usize, usize),
    caps: &Caps,
) -> Launch {
    let mut launch = lanes(label, text, items, caps);
    launch.kernel.body.push(include_str!("../../shaders/sum_lanes.wgsl").into());
    running(launch, terms.div_ceil(LANES))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree by definition: repeatedly adds neighbours.
    fn by_definition(mut values: Vec<f32>) -> f32 {
        while values.len() > 1 {
            values = values.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap()).collect();
        }
        values[0]
    }

    fn values(count: usize) -> Vec<f32> {
        let mut noise = crate::ops::sample::Noise::new(7);
        (0..count).map(|i| noise.float() * if i % 3 == 0 { 1e6 } else { 1.0 }).collect()
    }

    #[test]
    fn values_are_added_in_pairs() {
        for count in 1..300 {
            let mut pairs = Pairs::new();
            values(count).into_iter().for_each(|value| pairs.push(value, |a, b| a + b));
            assert_eq!(pairs.finish(|a, b| a + b).unwrap(), by_definition(values(count)), "{count} values");
        }
    }

    #[test]
    fn chunks_are_plain_sums() {
        for count in [1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3] {
            let values = values(count);
            let chunks = values.chunks(CHUNK).map(|chunk| chunk.iter().fold(0.0, |sum, value| sum + value)).collect();
            assert_eq!(of(values.iter().copied()), by_definition(chunks), "{count} values");
        }
        assert_eq!(of([]), 0.0);
    }

    #[test]
    fn parts_hold_all_chunks_and_none_is_empty_or_too_long() {
        for chunks in (1..1000).chain([CHUNK * 199 + 1, CHUNK * 4096 + 5]) {
            let (parts, of_part) = parts(chunks);
            assert!(of_part <= CHUNK && (parts - 1) * of_part < chunks && chunks <= parts * of_part, "{chunks}");
        }
    }
}
