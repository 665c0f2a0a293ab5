//! Loops compiled for several instruction sets; the best one is selected at run time (feature
//! `std`). Results do not depend on it: multiplications and additions stay separate, in the order
//! in which they are written.

pub(crate) use pulp::Simd;

/// A loop, with explicit vectors of `simd` or by the compiler's vectorisation.
///
/// Mark `run` and everything called in inner loops `#[inline(always)]`: code that is not inlined is
/// compiled for the baseline processor.
pub(crate) trait Job {
    fn run<S: Simd>(self, simd: S);
}

/// Runs a loop with AVX-512 and its population count, with AVX2, with NEON, or as the target is
/// compiled.
pub(crate) fn run(job: impl Job) {
    #[cfg(feature = "std")]
    {
        #[cfg(target_arch = "x86_64")]
        if let (Some(counting), Some(simd)) = (x86::Counting::try_new(), pulp::x86::V4::try_new()) {
            return counting.vectorize(x86::Counted(job, simd));
        }
        pulp::Arch::new().dispatch(Dispatched(job));
    }
    #[cfg(not(feature = "std"))]
    job.run(pulp::Scalar);
}

/// Counts the 1 bits of each lane. Compilers emit the instruction if there is one, and otherwise
/// the shortest equivalent.
#[inline(always)]
pub(crate) fn count_ones<S: Simd>(mut lanes: S::u64s) -> S::u64s {
    let each: &mut [u64] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut lanes));
    each.iter_mut().for_each(|lane| *lane = u64::from(lane.count_ones()));
    lanes
}

#[cfg(feature = "std")]
struct Dispatched<J>(J);

#[cfg(feature = "std")]
impl<J: Job> pulp::WithSimd for Dispatched<J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.run(simd);
    }
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86 {
    pulp::simd_type!({
        /// AVX-512 with the population count of each lane.
        pub(super) struct Counting {
            popcnt: f!("popcnt"),
            avx2: f!("avx2"),
            bmi1: f!("bmi1"),
            bmi2: f!("bmi2"),
            fma: f!("fma"),
            lzcnt: f!("lzcnt"),
            avx512f: f!("avx512f"),
            avx512bw: f!("avx512bw"),
            avx512cd: f!("avx512cd"),
            avx512dq: f!("avx512dq"),
            avx512vl: f!("avx512vl"),
            avx512vpopcntdq: f!("avx512vpopcntdq"),
        }
    });

    pub(super) struct Counted<J>(pub(super) J, pub(super) pulp::x86::V4);

    impl<J: super::Job> pulp::NullaryFnOnce for Counted<J> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            self.0.run(self.1);
        }
    }
}
