//! Loops compiled for several vector instruction sets; the best one that the processor supports is
//! selected at run time (feature `std`). The engine uses this module, too.
//!
//! **Invariant:** the instruction set does not change results: multiplications and additions stay
//! separate, each rounded individually, in the order in which they are written.

pub use pulp::Simd;

/// A loop compiled for several instruction sets.
pub trait Job {
    /// Runs the loop with the vectors of `simd`, either explicitly or by the compiler's
    /// vectorisation. Mark it `#[inline(always)]`, and everything called in its inner loops too:
    /// code that is not inlined is compiled for the baseline processor.
    fn run<S: Simd>(self, simd: S);
}

/// Runs a job with AVX-512, AVX2, NEON or WebAssembly SIMD where available; without `std`, as the
/// target is compiled.
pub fn run(job: impl Job) {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    let Some(job) = limit::run(job) else { return };
    #[cfg(feature = "std")]
    pulp::Arch::new().dispatch(Dispatched(job));
    #[cfg(not(feature = "std"))]
    job.run(pulp::Scalar);
}

/// Runs a job that counts bits ([`count_ones`]), with AVX-512's population count where available.
pub fn run_counting(job: impl Job) {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let (Some(counting), Some(simd)) = (x86::Counting::try_new(), pulp::x86::V4::try_new())
        && !limit::is_set()
    {
        return counting.vectorize(x86::Compiled(Dispatched(job), simd));
    }
    run(job);
}

/// Whether the processor has AVX-512's population count.
pub(crate) fn has_counting() -> bool {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    return x86::Counting::try_new().is_some() && !limit::is_set();
    #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
    false
}

/// Counts the 1 bits of each 32-bit lane.
#[inline(always)]
pub fn count_ones<S: Simd>(mut lanes: S::u32s) -> S::u32s {
    // Compilers emit the instruction if there is one, and otherwise the shortest equivalent.
    let each: &mut [u32] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut lanes));
    each.iter_mut().for_each(|lane| *lane = lane.count_ones());
    lanes
}

/// Counts the 1 bits of each 64-bit lane, which takes fewer instructions for as many bits with AVX2.
#[inline(always)]
pub fn count_ones_u64<S: Simd>(mut lanes: S::u64s) -> S::u64s {
    let each: &mut [u64] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut lanes));
    each.iter_mut().for_each(|lane| *lane = u64::from(lane.count_ones()));
    lanes
}

/// Returns a word in which bit `first + i` is lane i of a mask.
#[inline(always)]
pub fn mask_bits<S: Simd>(simd: S, mask: S::m32s, first: usize) -> u32 {
    // With AVX-512 a mask is a word of bits; elsewhere each lane is all ones or all zeros.
    if S::F32_LANES == 16
        && let &[low, high] = bytemuck::bytes_of(&mask)
    {
        return u32::from(u16::from_le_bytes([low, high])) << first;
    }
    let bits = simd.select_u32s(mask, S::as_simd_u32s(&BITS[first..]).0[0], simd.splat_u32s(0));
    bytemuck::cast_slice(core::slice::from_ref(&bits)).iter().fold(0, |word, lane: &u32| word | lane)
}

/// Returns a mask of the bits of a word from bit `first` on: true where the bit is 1.
#[inline(always)]
pub fn bit_mask<S: Simd>(simd: S, word: u32, first: usize) -> S::m32s {
    let bits = S::as_simd_u32s(&BITS[first..]).0[0];
    simd.equal_u32s(simd.and_u32s(simd.splat_u32s(word), bits), bits)
}

/// Words with only bit i set.
const BITS: [u32; 32] = {
    let mut bits = [1; 32];
    let mut i = 0;
    while i < 32 {
        bits[i] = 1 << i;
        i += 1;
    }
    bits
};

/// A job that looks up bytes.
#[cfg_attr(not(all(feature = "std", target_arch = "x86_64")), allow(dead_code))]
pub(crate) trait TableJob {
    fn run<S: Tables>(self, simd: S);
}

/// Vectors whose bytes select from tables of 16 bytes.
#[cfg_attr(not(all(feature = "std", target_arch = "x86_64")), allow(dead_code))]
pub(crate) trait Tables: Simd {
    /// Returns `table[i]` for each byte i below 16.
    fn look_up(self, table: &[u8; 16], bytes: Self::u32s) -> Self::u32s;
    /// Returns every second byte, the first one included, as 16-bit lanes.
    #[inline(always)]
    fn even_bytes(self, bytes: Self::u32s) -> Self::u32s {
        self.and_u32s(bytes, self.splat_u32s(0x00ff_00ff))
    }
    /// Returns the other bytes as 16-bit lanes.
    fn odd_bytes(self, bytes: Self::u32s) -> Self::u32s;
}

/// Whether the processor looks up bytes.
pub(crate) fn has_tables() -> bool {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    return limit::get() < limit::BASELINE && pulp::x86::V3::try_new().is_some();
    #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
    false
}

/// Runs a job with AVX-512 or AVX2; the processor [has tables](has_tables).
#[allow(unused_variables, clippy::needless_pass_by_value)] // without instructions there is nothing to run
pub(crate) fn run_tables(job: impl TableJob) {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    match (pulp::x86::V4::try_new(), pulp::x86::V3::try_new()) {
        (Some(avx512), _) if limit::get() < limit::AVX2 => avx512.vectorize(x86::Compiled(x86::Tabled(job), avx512)),
        (_, Some(avx2)) => avx2.vectorize(x86::Compiled(x86::Tabled(job), avx2)),
        _ => {}
    }
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
    use super::{Dispatched, Job, Simd, TableJob, Tables};
    use pulp::x86::{V3, V4};

    pulp::simd_type!({
        /// [`V4`] with the population count of each lane.
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

    /// A job with the vectors that it is compiled for.
    pub(super) struct Compiled<J, S>(pub(super) J, pub(super) S);

    pub(super) struct Tabled<J>(pub(super) J);

    impl<J: Job, S: Simd> pulp::NullaryFnOnce for Compiled<Dispatched<J>, S> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            self.0.0.run(self.1);
        }
    }

    impl<J: TableJob, S: Tables> pulp::NullaryFnOnce for Compiled<Tabled<J>, S> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            self.0.0.run(self.1);
        }
    }

    impl Tables for V3 {
        #[inline(always)]
        fn look_up(self, table: &[u8; 16], bytes: Self::u32s) -> Self::u32s {
            let table = self.avx2._mm256_broadcastsi128_si256(pulp::cast(*table));
            pulp::cast(self.avx2._mm256_shuffle_epi8(table, pulp::cast(bytes)))
        }

        #[inline(always)]
        fn odd_bytes(self, bytes: Self::u32s) -> Self::u32s {
            pulp::cast(self.avx2._mm256_srli_epi16::<8>(pulp::cast(bytes)))
        }
    }

    impl Tables for V4 {
        #[inline(always)]
        fn look_up(self, table: &[u8; 16], bytes: Self::u32s) -> Self::u32s {
            let table = self.avx512f._mm512_broadcast_i32x4(pulp::cast(*table));
            pulp::cast(self.avx512bw._mm512_shuffle_epi8(table, pulp::cast(bytes)))
        }

        #[inline(always)]
        fn odd_bytes(self, bytes: Self::u32s) -> Self::u32s {
            pulp::cast(self.avx512bw._mm512_srli_epi16::<8>(pulp::cast(bytes)))
        }
    }
}

/// Limits the instruction set for tests.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub mod limit {
    use super::{Dispatched, Job, Simd};
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use pulp::x86::V3;
    use std::sync::Mutex;

    /// 0: no limit; 1: no population count; then AVX2, and baseline vectors only.
    static LIMIT: AtomicUsize = AtomicUsize::new(0);
    pub(super) const AVX2: usize = 2;
    pub(super) const BASELINE: usize = 3;

    #[inline]
    pub(super) fn get() -> usize {
        LIMIT.load(Relaxed)
    }

    #[inline]
    pub(super) fn is_set() -> bool {
        get() > 0
    }

    /// Runs a job under the current limit; returns the job if no limit is set.
    #[inline(always)]
    pub(super) fn run<J: Job>(job: J) -> Option<J> {
        match (get(), V3::try_new()) {
            (..AVX2, _) => return Some(job),
            (AVX2, Some(avx2)) => Simd::vectorize(avx2, Dispatched(job)),
            _ => Simd::vectorize(pulp::Scalar, Dispatched(job)),
        }
        None
    }

    /// Runs a test under each limit.
    pub fn each(test: impl Fn()) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock();
        for limit in (0..=BASELINE).rev() {
            LIMIT.store(limit, Relaxed);
            test();
        }
    }
}

/// Runs a test once, because there is only one instruction set.
#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
pub mod limit {
    /// Runs a test under the only limit.
    pub fn each(test: impl Fn()) {
        test();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Evaluates a polynomial at each value with Horner's method. A fused multiply-add would round
    /// differently.
    struct Horner<'a>(&'a mut [f32]);

    const COEFFICIENTS: [f32; 4] = [0.7, -1.3, 0.37, 2.9];

    impl Job for Horner<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for x in self.0 {
                *x = COEFFICIENTS.into_iter().fold(0.1, |sum, coefficient| sum * *x + coefficient);
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = (0..1003).map(|i| i as f32 * 0.0137 - 7.0).collect();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let mut plain = values.clone();
        Horner(&mut plain).run(pulp::Scalar);
        limit::each(|| {
            let mut found = values.clone();
            run_counting(Horner(&mut found));
            assert_eq!(bits(&found), bits(&plain));
        });
        let fused = |x: f32| COEFFICIENTS.into_iter().fold(0.1f32, |sum, coefficient| sum.mul_add(x, coefficient));
        let fused: Vec<f32> = values.into_iter().map(fused).collect();
        assert_ne!(bits(&fused), bits(&plain), "the values do not distinguish fused multiply-adds");
    }
}
