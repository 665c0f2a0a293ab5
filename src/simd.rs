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
    pulp::Arch::new().dispatch(Dispatched(job));
    #[cfg(target_arch = "wasm32")]
    job.run();
}

#[cfg(not(target_arch = "wasm32"))]
struct Dispatched<J>(J);

#[cfg(not(target_arch = "wasm32"))]
impl<J: Job> pulp::WithSimd for Dispatched<J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.0.run();
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use pulp::Simd;
    use pulp::x86::{V3, V4};

    /// A polynomial of each value in Horner's form: a fused multiply-add would round differently.
    struct Horner<'a>(&'a mut [f32]);

    impl Job for Horner<'_> {
        #[inline(always)]
        fn run(self) {
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
        assert_eq!(bits(&|job| job.0.run()), plain);
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
            "the values tell nothing"
        );
    }
}
