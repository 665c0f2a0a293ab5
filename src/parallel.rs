//! Parallel loops over rows: on all cores natively, sequential in the browser, where there are no
//! threads.
//!
//! **Invariant:** each row is computed by one thread in a fixed order, so results do not depend on
//! the number of cores.

use crate::simd;

/// Number of threads that share the work.
pub fn threads() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    1
}

/// Runs `body`, which calls the loops of this module, on one of the pool's threads. This avoids
/// waking the pool and the caller for each loop.
pub fn within(body: impl FnOnce() + Send) {
    #[cfg(not(target_arch = "wasm32"))]
    rayon::scope(|_| body());
    #[cfg(target_arch = "wasm32")]
    body();
}

/// Calls `body(index, row)` for each row of `row_len` elements. A body small enough to be inlined
/// is vectorised.
pub fn rows<T: Send>(out: &mut [T], row_len: usize, body: impl Fn(usize, &mut [T]) + Sync + Send) {
    if row_len == 0 {
        return;
    }
    bands(out, row_len, (4096 / row_len).max(1), |first, band| {
        simd::run(Band { first, band, row_len, body: &body });
    });
}

struct Band<'a, T, F> {
    first: usize,
    band: &'a mut [T],
    row_len: usize,
    body: &'a F,
}

impl<T, F: Fn(usize, &mut [T])> simd::Job for Band<'_, T, F> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) {
        for (index, row) in self.band.chunks_mut(self.row_len).enumerate() {
            (self.body)(self.first + index, row);
        }
    }
}

/// Whether all chunks of up to `len` elements pass a test.
pub fn all<T: Sync>(values: &[T], len: usize, test: impl Fn(&[T]) -> bool + Sync + Send) -> bool {
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        values.par_chunks(len).all(test)
    }
    #[cfg(target_arch = "wasm32")]
    values.chunks(len).all(test)
}

/// Computes `out[i] = of([input[i] for each input])`, for a function small enough to be inlined.
pub fn each<const N: usize>(out: &mut [f32], inputs: [&[f32]; N], of: impl Fn([f32; N]) -> f32 + Sync + Send) {
    bands(out, 1, 8192, |first, band| {
        let inputs = inputs.map(|input| &input[first..][..band.len()]);
        simd::run(Each { band, inputs, of: &of });
    });
}

struct Each<'a, F, const N: usize> {
    band: &'a mut [f32],
    inputs: [&'a [f32]; N],
    of: &'a F,
}

impl<F: Fn([f32; N]) -> f32, const N: usize> simd::Job for Each<'_, F, N> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) {
        let Self { band, inputs, of } = self;
        let inputs = inputs.map(|input| &input[..band.len()]);
        for (i, out) in band.iter_mut().enumerate() {
            *out = of(inputs.map(|input| input[i]));
        }
    }
}

/// Calls `body(first, rows)` for bands of up to `band` rows of `row_len` elements, with the index
/// of the first row.
pub fn bands<T: Send>(out: &mut [T], row_len: usize, band: usize, body: impl Fn(usize, &mut [T]) + Sync + Send) {
    let len = row_len * band;
    if len == 0 {
        return;
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        out.par_chunks_mut(len).enumerate().for_each(|(index, rows)| body(index * band, rows));
    }
    #[cfg(target_arch = "wasm32")]
    out.chunks_mut(len).enumerate().for_each(|(index, rows)| body(index * band, rows));
}
