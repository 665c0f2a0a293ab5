//! Loops compiled for several instruction sets; the best one is selected at run time (feature
//! `std`). Results do not depend on it: multiplications and additions stay separate, in the order
//! in which they are written.

/// A loop. Mark `run` and everything called in inner loops `#[inline(always)]`: code that is not
/// inlined is compiled for the baseline processor.
pub(crate) trait Job {
    fn run(self);
}

/// Runs a loop.
pub(crate) fn run(job: impl Job) {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    {
        if let Some(set) = x86::Counting::try_new() {
            return set.vectorize(x86::Dispatched(job));
        }
        if let Some(set) = x86::Wide::try_new() {
            return set.vectorize(x86::Dispatched(job));
        }
    }
    job.run();
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86 {
    pulp::simd_type!({
        /// AVX2.
        pub(super) struct Wide {
            popcnt: f!("popcnt"),
            avx2: f!("avx2"),
            bmi1: f!("bmi1"),
            bmi2: f!("bmi2"),
            lzcnt: f!("lzcnt"),
        }

        /// AVX-512 with the population count of each lane.
        pub(super) struct Counting {
            popcnt: f!("popcnt"),
            avx2: f!("avx2"),
            bmi1: f!("bmi1"),
            bmi2: f!("bmi2"),
            lzcnt: f!("lzcnt"),
            avx512f: f!("avx512f"),
            avx512bw: f!("avx512bw"),
            avx512cd: f!("avx512cd"),
            avx512dq: f!("avx512dq"),
            avx512vl: f!("avx512vl"),
            avx512vpopcntdq: f!("avx512vpopcntdq"),
        }
    });

    pub(super) struct Dispatched<J>(pub(super) J);

    impl<J: super::Job> pulp::NullaryFnOnce for Dispatched<J> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            self.0.run();
        }
    }
}
