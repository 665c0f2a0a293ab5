//! The bound of a launch: a roofline model with one roof for each measured peak.
//!
//! A launch must move its bytes, execute its operations of each kind, and be launched. Each of
//! these would take `amount / ceiling`; the longest of these times is a lower bound on the launch's
//! duration, unless caches help, and determines what bounds it. (Williams, Waterman, Patterson:
//! Roofline, CACM 52(4), 2009.)

use super::{Bound, Ceiling, DevicePeaks};
use crate::kernel::Cost;

/// The time that one resource would take if it were the only limit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limit {
    /// The resource.
    pub bound: Bound,
    /// The time in nanoseconds.
    pub ns: f64,
}

/// Returns the bytes per second for a working set: the measured peak of the smallest working set
/// that contains it.
pub fn memory_rate(ceilings: &DevicePeaks, bytes: u64) -> f64 {
    let fits = ceilings.copy.iter().find(|copy| copy.working_set_bytes >= bytes);
    fits.or(ceilings.copy.last()).map_or(f64::INFINITY, |copy| copy.ceiling.value)
}

/// Returns the tightest bound on a launch with this work.
pub fn limit(work: &Cost, ceilings: &DevicePeaks) -> Limit {
    let rate = |ceiling: Option<Ceiling>| ceiling.map_or(f64::INFINITY, |ceiling| ceiling.value);
    // Operations on matrix units do not use the units of the other peaks.
    let aside = |ops| if work.matrix_ops > 0 { 0 } else { ops };
    let all = [
        (Bound::Memory, work.bytes, memory_rate(ceilings, work.bytes)),
        (Bound::Arithmetic, aside(work.float_ops), ceilings.float.value),
        (Bound::BitArithmetic, aside(work.bit_ops), ceilings.bit.value),
        (Bound::PackedDot, work.dot_ops, rate(ceilings.dot)),
        (Bound::MatrixArithmetic, work.matrix_ops, rate(ceilings.matrix)),
    ];
    let overhead = Limit { bound: Bound::LaunchOverhead, ns: ceilings.launch.value };
    all.into_iter()
        .map(|(bound, amount, rate)| Limit { bound, ns: amount as f64 / rate * 1e9 })
        .fold(overhead, |tightest, limit| if limit.ns > tightest.ns { limit } else { tightest })
}

/// Rounds to four decimals; more would be noise in a file that is compared.
pub(super) fn rounded(fraction: f64) -> f64 {
    (fraction * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a launch with the given numbers of operations on floats, bits and matrices.
    fn launch([float_ops, bit_ops, matrix_ops]: [u64; 3]) -> Cost {
        Cost { bytes: 1000, float_ops, bit_ops, matrix_ops, ..Cost::default() }
    }

    fn ceilings(matrix: Option<f64>) -> DevicePeaks {
        let ceiling = |value| Ceiling { value, spread: 0.0, doubling: 2.0 };
        let copy = crate::profile::ceilings::Copy { working_set_bytes: 1 << 20, ceiling: ceiling(1e12) };
        DevicePeaks {
            copy: vec![copy],
            float: ceiling(1e12),
            half: None,
            bit: ceiling(2e12),
            dot: None,
            matrix: matrix.map(ceiling),
            workgroup: ceiling(1e12),
            launch: ceiling(10.0),
        }
    }

    #[test]
    fn work_on_matrices_is_held_against_matrices_alone() {
        let of = |ops, matrix| {
            let Limit { bound, ns } = limit(&launch(ops), &ceilings(matrix));
            (bound, ns.round())
        };
        // A million operations take 1 µs in floats, half of that in bits, and a tenth of that on
        // matrices for each product.
        assert_eq!(of([1_000_000, 0, 0], Some(1e13)), (Bound::Arithmetic, 1000.0));
        assert_eq!(of([0, 1_000_000, 0], Some(1e13)), (Bound::BitArithmetic, 500.0));
        assert_eq!(of([1_000_000, 0, 3_000_000], Some(1e13)), (Bound::MatrixArithmetic, 300.0));
        assert_eq!(of([0, 2_000_000, 1_000_000], Some(1e13)), (Bound::MatrixArithmetic, 100.0));
        // Without a measured peak for matrices, arithmetic imposes no bound.
        assert_eq!(of([1_000_000, 0, 3_000_000], None), (Bound::LaunchOverhead, 10.0));
    }
}
