//! Loops over rows on all cores, natively; one after the other in the browser, which lends no threads.
//!
//! **Invariant:** a row is computed by one thread, in one order: results do not depend on the number of cores.

/// Calls `body(index, row)` for each row of `row_len` elements.
pub fn rows<T: Send>(out: &mut [T], row_len: usize, body: impl Fn(usize, &mut [T]) + Sync + Send) {
    if row_len == 0 {
        return;
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        let rows_per_task = (4096 / row_len).max(1);
        out.par_chunks_mut(row_len * rows_per_task).enumerate().for_each(|(task, rows)| {
            for (index, row) in rows.chunks_mut(row_len).enumerate() {
                body(task * rows_per_task + index, row);
            }
        });
    }
    #[cfg(target_arch = "wasm32")]
    out.chunks_mut(row_len).enumerate().for_each(|(index, row)| body(index, row));
}
