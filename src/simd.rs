//! Loops compiled for the vectors of several processors, of which the one at hand takes its own.
//!
//! **Invariant:** vectors change no result: multiplications and additions stay apart, each rounded on its own, in the order in which they are written.

/// A loop to be compiled for several instruction sets.
pub trait Job {
    /// Runs it. To be marked `#[inline(always)]`, as all that it calls in its inner loops: what is not inlined is compiled for the oldest processor.
    fn run(self);
}

/// Runs a job with AVX-512, AVX2 or NEON where the processor has it.
pub fn run(job: impl Job) {
    #[cfg(not(target_arch = "wasm32"))]
    {
        struct Dispatched<J>(J);
        impl<J: Job> pulp::WithSimd for Dispatched<J> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, _: S) {
                self.0.run();
            }
        }
        pulp::Arch::new().dispatch(Dispatched(job));
    }
    #[cfg(target_arch = "wasm32")]
    job.run();
}
