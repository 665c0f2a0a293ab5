//! Sums of floats in a fixed order: chunks of 128 terms, added in pairs. Exported networks share it with the
//! engine's CPU backend, which also documents it (`src/ops/sum.rs`).

use alloc::vec::Vec;

/// Number of terms that are added sequentially.
pub const CHUNK: usize = 128;

/// Returns the number of parts into which a sum of this many chunks is split, and the number of chunks of a
/// part: at most [`CHUNK`].
#[inline]
pub fn parts(chunks: usize) -> (usize, usize) {
    let parts = chunks.div_ceil(CHUNK).max(1);
    (parts, chunks.div_ceil(parts))
}

/// Pairwise summation of a stream: neighbours, then neighbouring pairs, and so on. Values without a
/// partner wait on a stack, one for each set bit of the count.
pub struct Pairs<T> {
    waiting: Vec<T>,
    count: usize,
}

impl<T> Pairs<T> {
    /// A sum without values.
    #[allow(clippy::new_without_default)] // made at few places
    pub fn new() -> Self {
        Self { waiting: Vec::new(), count: 0 }
    }

    /// Adds a value.
    pub fn push(&mut self, mut value: T, mut add: impl FnMut(T, T) -> T) {
        let mut bits = self.count;
        while bits & 1 == 1 {
            let Some(before) = self.waiting.pop() else { break };
            value = add(before, value);
            bits >>= 1;
        }
        self.waiting.push(value);
        self.count += 1;
    }

    /// Returns the total; `None` if there were no values.
    pub fn finish(mut self, mut add: impl FnMut(T, T) -> T) -> Option<T> {
        let mut value = self.waiting.pop()?;
        while let Some(before) = self.waiting.pop() {
            value = add(before, value);
        }
        Some(value)
    }
}

/// The sum of the terms.
pub fn of(terms: impl IntoIterator<Item = f32>) -> f32 {
    let mut terms = terms.into_iter().peekable();
    let mut pairs = Pairs::new();
    while terms.peek().is_some() {
        pairs.push(terms.by_ref().take(CHUNK).fold(0.0, |sum, term| sum + term), |a, b| a + b);
    }
    pairs.finish(|a, b| a + b).unwrap_or(0.0)
}

/// The sum of a row of channels, by quads.
pub fn of_quads(values: &[f32], of_value: impl Fn(f32) -> f32 + Copy) -> f32 {
    let [x, y, z, w] = [0, 1, 2, 3].map(|lane| of(values.iter().skip(lane).step_by(4).map(|&value| of_value(value))));
    (x + y) + (z + w)
}

/// The sum of rows, channel by channel, into `out`.
pub fn of_rows<'a>(rows: impl IntoIterator<Item = &'a [f32]>, out: &mut [f32]) {
    let (mut pairs, mut terms) = (Pairs::new(), 0);
    out.fill(0.0);
    for row in rows {
        if terms == CHUNK {
            pairs.push(out.to_vec(), add_all);
            out.fill(0.0);
            terms = 0;
        }
        out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        terms += 1;
    }
    if pairs.count > 0 {
        pairs.push(out.to_vec(), add_all);
        if let Some(total) = pairs.finish(add_all) {
            out.copy_from_slice(&total);
        }
    }
}

/// Adds elementwise.
#[inline]
pub fn add_all(mut into: Vec<f32>, from: Vec<f32>) -> Vec<f32> {
    into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
    into
}
