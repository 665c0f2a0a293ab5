//! Loops over rows on all cores, natively; one after the other in the browser, which lends no threads.
//!
//! **Invariant:** a row is computed by one thread, in one order: results do not depend on the number of cores.

use crate::simd;

/// Threads that share the work.
pub fn threads() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    1
}

/// Calls `body(index, row)` for each row of `row_len` elements, with the processor's vectors where it is small enough to be inlined.
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

/// Calls `body(first, rows)` for bands of up to `band` rows of `row_len` elements, with the index of the first.
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
