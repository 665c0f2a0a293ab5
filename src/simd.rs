//! Loops compiled for several vector instruction sets; the best one that the processor supports is
//! selected at run time.
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

/// Runs a job with AVX-512, AVX2, NEON or WebAssembly SIMD where available.
pub fn run(job: impl Job) {
    #[cfg(all(test, target_arch = "x86_64"))]
    let Some(job) = limit::run(job) else { return };
    pulp::Arch::new().dispatch(Dispatched(job));
}

/// Runs a job that counts bits ([`count_ones`]), with AVX-512's population count where available.
pub fn run_counting(job: impl Job) {
    #[cfg(all(test, target_arch = "x86_64"))]
    if limit::is_set() {
        return run(job);
    }
    #[cfg(target_arch = "x86_64")]
    if let (Some(counting), Some(simd)) = (Counting::try_new(), pulp::x86::V4::try_new()) {
        return counting.vectorize(Counted(job, simd));
    }
    run(job);
}

#[cfg(target_arch = "x86_64")]
pulp::simd_type!({
    /// [`pulp::x86::V4`] with the population count of each lane.
    struct Counting {
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

#[cfg(target_arch = "x86_64")]
struct Counted<J>(J, pulp::x86::V4);

#[cfg(target_arch = "x86_64")]
impl<J: Job> pulp::NullaryFnOnce for Counted<J> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.run(self.1);
    }
}

/// Counts the 1 bits of each lane.
#[inline(always)]
pub fn count_ones<S: Simd>(mut lanes: S::u32s) -> S::u32s {
    // Compilers emit the instruction if there is one, and otherwise the shortest equivalent.
    let each: &mut [u32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut lanes));
    each.iter_mut().for_each(|lane| *lane = lane.count_ones());
    lanes
}

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
    bytemuck::cast_slice(std::slice::from_ref(&bits)).iter().fold(0, |word, lane: &u32| word | lane)
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

struct Dispatched<J>(J);

impl<J: Job> pulp::WithSimd for Dispatched<J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.run(simd);
    }
}

/// Limits the instruction set for tests.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) mod limit {
    use super::{Dispatched, Job, Simd};
    use pulp::x86::V3;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// 0: no limit; 1: no population count; 2: AVX2; 3: baseline vectors only.
    static LIMIT: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn is_set() -> bool {
        LIMIT.load(SeqCst) > 0
    }

    /// Runs a job under the current limit; returns the job if no limit is set.
    pub(super) fn run<J: Job>(job: J) -> Option<J> {
        match (LIMIT.load(SeqCst), V3::try_new()) {
            (0 | 1, _) => return Some(job),
            (2, Some(avx2)) => Simd::vectorize(avx2, Dispatched(job)),
            _ => Simd::vectorize(pulp::Scalar, Dispatched(job)),
        }
        None
    }

    /// Runs a test under each limit.
    pub(crate) fn each(test: impl Fn()) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock();
        for limit in (0..4).rev() {
            LIMIT.store(limit, SeqCst);
            test();
        }
    }
}

/// Runs a test once, because there is only one instruction set.
#[cfg(all(test, not(target_arch = "x86_64")))]
pub(crate) mod limit {
    pub(crate) fn each(test: impl Fn()) {
        test();
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use pulp::x86::{V3, V4};

    /// Evaluates a polynomial at each value with Horner's method. A fused multiply-add would round
    /// differently.
    struct Horner<'a>(&'a mut [f32]);

    impl Job for Horner<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for x in self.0 {
                let mut sum = 0.1;
                for coefficient in [0.7, -1.3, 0.37, 2.9] {
                    sum = sum * *x + coefficient;
                }
                *x = sum;
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = (0..1003).map(|i| i as f32 * 0.0137 - 7.0).collect();
        let bits = |make: &dyn Fn(Dispatched<Horner<'_>>)| {
            let mut values = values.clone();
            make(Dispatched(Horner(&mut values)));
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let plain = bits(&|job| Simd::vectorize(pulp::Scalar, job));
        assert_eq!(bits(&|job| job.0.run(pulp::Scalar)), plain);
        assert_eq!(bits(&|job| run(job.0)), plain);
        if let Some(avx2) = V3::try_new() {
            assert_eq!(bits(&|job| Simd::vectorize(avx2, job)), plain);
        }
        if let Some(avx512) = V4::try_new() {
            assert_eq!(bits(&|job| Simd::vectorize(avx512, job)), plain);
        }
        let mut fused = values.clone();
        for x in &mut fused {
            let sum =
                [0.7f32, -1.3, 0.37, 2.9].into_iter().fold(0.1f32, |sum, coefficient| sum.mul_add(*x, coefficient));
            *x = sum;
        }
        assert!(
            fused.into_iter().zip(&plain).any(|(fused, plain)| fused.to_bits() != *plain),
            "the values do not distinguish fused multiply-adds"
        );
    }
}
