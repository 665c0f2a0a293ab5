//! Loops compiled for several vector instruction sets, as exported networks run them: `halfwave-infer` has the
//! definitions. Here are loads and stores of less than a vector.

#[cfg(test)]
pub(crate) use halfwave_infer::simd::limit;
pub use halfwave_infer::simd::{Job, Simd, bit_mask, count_ones, mask_bits, run, run_counting};

/// Loads one vector from the start of a slice; missing lanes are zero.
#[inline(always)]
pub fn load<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    match S::as_simd_f32s(from).0.first() {
        Some(vector) => *vector,
        None => simd.partial_load_f32s(from),
    }
}

/// Stores a vector, truncated to the length of the slice.
#[inline(always)]
pub fn store<S: Simd>(simd: S, vector: S::f32s, to: &mut [f32]) {
    match S::as_mut_simd_f32s(to).0.first_mut() {
        Some(to) => *to = vector,
        None => simd.partial_store_f32s(to, vector),
    }
}
