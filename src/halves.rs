//! Float values stored in half precision with `precision = "mixed"`: gradients of activations, and
//! float activations.
//!
//! A value x is stored as the IEEE half nearest to S·x, where the scale S is a power of two for
//! each value. Where |S·x| exceeds 65 504, the largest half, it is clamped to that, and the number
//! is counted as saturated. The relative error is therefore at most 2⁻¹¹ (2⁻¹⁰ on drivers that
//! round towards zero) for |S·x| ≥ 2⁻¹⁴; below that the absolute error is at most 2⁻²⁴/S.
//!
//! **Scales are computed on the device** by the operation
//! [`half_scales`](mod@crate::ops::half_scales) at the end of each step. The new scale would have
//! placed the largest |S·x| of that step in [2¹¹, 2¹²): a value may grow by a factor of 16 from one
//! step to the next before it saturates, and numbers 2²⁵ times smaller than the largest are still
//! normal halves. The first step of a run uses [`start`].
//!
//! Two tables with one row per value hold them; both are part of the session's state:
//!
//! | table | row | when |
//! |---|---|---|
//! | [`SCALES`], f32 `[rows, 4]` | S, 1/S, numbers saturated since the run began (exact up to 2²⁴), largest \|x\| of the last step | read during a step, written at its end; in checkpoints |
//! | [`SEEN`], u32 `[rows, 4]` | bits of the largest \|S·x\| so far, numbers saturated so far, numbers saturated in the last step | written during a step (atomically: the result does not depend on the order); the first two are zero at its end |

use crate::parallel;
use half::f16;

/// Name of the state that holds the scales.
pub const SCALES: &str = "half/scales";
/// Name of the state that collects the statistics for the next scales.
pub const SEEN: &str = "half/seen";
/// The largest finite half.
pub const LARGEST: f32 = 65_504.0;
/// Words in a row of either table.
pub const ROW: usize = 4;

/// Exponent of the largest |S·x| of a step, expressed in the new scale.
pub const EXPONENT: i32 = 11;
/// Bounds of a scale's exponent: S and 1/S are normal floats.
pub const EXPONENTS: std::ops::RangeInclusive<i32> = -100..=100;

/// Floats that one thread converts at a time.
const BLOCK: usize = 16_384;

/// Returns a value's row of [`SCALES`] before the first step: S = 1 for an activation; for a
/// gradient 256 times the power of two not below the batch size, because the loss is a mean over
/// the batch.
pub fn start(gradient: bool, batch: usize) -> [f32; ROW] {
    let scale = if gradient { 256.0 * batch.next_power_of_two() as f32 } else { 1.0 };
    [scale, 1.0 / scale, 0.0, 0.0]
}

/// Statistics of a stored value: its row of [`SEEN`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Seen {
    /// Bits of the largest |S·x|.
    pub most: u32,
    /// Numbers that saturated.
    pub saturated: u32,
}

/// Stores floats, multiplied by `scale`, two in each word.
///
/// # Panics
///
/// Panics unless there are twice as many floats as words.
pub fn store(values: &[f32], scale: f32, words: &mut [u32]) -> Seen {
    assert_eq!(values.len(), 2 * words.len(), "two halves in a word");
    let seen = std::sync::Mutex::new(Seen::default());
    parallel::rows(words, words.len().clamp(1, BLOCK / 2), |block, words| {
        let mut own = Seen::default();
        let values = &values[block * BLOCK..][..2 * words.len()];
        for (word, pair) in words.iter_mut().zip(values.as_chunks::<2>().0) {
            *word = pair.iter().rev().fold(0, |word, value| {
                let scaled = value * scale;
                own.most = own.most.max(scaled.to_bits() & 0x7fff_ffff);
                own.saturated += u32::from(scaled.abs() > LARGEST);
                word << 16 | u32::from(f16::from_f32(scaled.clamp(-LARGEST, LARGEST)).to_bits())
            });
        }
        let mut seen = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *seen = Seen { most: seen.most.max(own.most), saturated: seen.saturated.saturating_add(own.saturated) };
    });
    seen.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Returns the floats stored in words; `inverse` is 1/S.
pub fn load(words: &[u32], inverse: f32) -> Vec<f32> {
    let mut values = vec![0.0; 2 * words.len()];
    let chunk = values.len().clamp(1, BLOCK);
    parallel::rows(&mut values, chunk, |block, values| {
        let words = &words[block * BLOCK / 2..];
        for (pair, word) in values.as_chunks_mut::<2>().0.iter_mut().zip(words) {
            *pair = [*word as u16, (word >> 16) as u16].map(|bits| f16::from_bits(bits).to_f32() * inverse);
        }
    });
    values
}

/// Returns the row of [`SCALES`] after a step.
pub fn next(row: [f32; ROW], seen: Seen) -> [f32; ROW] {
    let exponent = |bits: u32| (bits >> 23) as i32 - 127;
    let power = |exponent: i32| f32::from_bits(((exponent + 127) as u32) << 23);
    let [scale, inverse, saturated, _] = row;
    let saturated = saturated + seen.saturated as f32;
    if seen.most == 0 {
        return [scale, inverse, saturated, 0.0];
    }
    let new = exponent(scale.to_bits()) + EXPONENT - exponent(seen.most);
    let new = new.clamp(*EXPONENTS.start(), *EXPONENTS.end());
    [power(new), power(-new), saturated, f32::from_bits(seen.most) * inverse]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_the_stated_error() {
        let values: Vec<f32> = (-40..40).map(|k| 1.37 * f32::from(k as i8) * 2f32.powi(k)).collect();
        for scale in [1.0, 2f32.powi(-25), 2f32.powi(-40)] {
            let mut words = vec![0; values.len() / 2];
            let seen = store(&values, scale, &mut words);
            let largest = values.iter().fold(0f32, |most, v| most.max(v.abs())) * scale;
            assert_eq!(f32::from_bits(seen.most), largest);
            for (value, back) in values.iter().zip(load(&words, 1.0 / scale)) {
                let scaled = value * scale;
                if scaled.abs() > LARGEST {
                    assert_eq!(back * scale, LARGEST.copysign(*value));
                } else {
                    let bound = (scaled.abs() * 2f32.powi(-11)).max(2f32.powi(-25));
                    assert!((back * scale - scaled).abs() <= bound, "{value} · {scale} came back as {back}");
                }
            }
            let saturated = values.iter().filter(|value| (*value * scale).abs() > LARGEST).count();
            assert_eq!(seen.saturated as usize, saturated);
        }
    }

    #[test]
    fn the_next_scale_puts_the_largest_where_it_has_room() {
        for (scale, largest) in [(1.0, 3e-7), (256.0, 5.0), (2f32.powi(20), 1e4), (1.0, 4096.0), (1.0, 4095.9)] {
            let seen = Seen { most: f32::to_bits(largest * scale), saturated: 3 };
            let [next, inverse, saturated, most] = next([scale, 1.0 / scale, 4.0, 0.0], seen);
            assert!((2048.0..4096.0).contains(&(largest * next)), "{largest} · {next}");
            assert_eq!((next * inverse, saturated, most), (1.0, 7.0, largest));
        }
        // Nothing seen: as before.
        assert_eq!(next([8.0, 0.125, 1.0, 9.0], Seen::default()), [8.0, 0.125, 1.0, 0.0]);
        // Beyond all bounds.
        let seen = |most: f32| Seen { most: most.to_bits(), saturated: 0 };
        assert_eq!(next([1.0, 1.0, 0.0, 0.0], seen(1e-45))[0], 2f32.powi(100));
        assert_eq!(next([2f32.powi(-99), 2f32.powi(99), 0.0, 0.0], seen(f32::MAX))[0], 2f32.powi(-100));
        assert_eq!(next([1.0, 1.0, 0.0, 0.0], seen(f32::INFINITY))[0], 2f32.powi(-100));
    }
}
