//! What bounds a launch: the roofline, with as many roofs as there are ceilings.
//!
//! A launch must move its bytes, do its operations of each kind, and be launched. Each alone would take `amount / ceiling`; the longest of these times is a
//! lower bound on its duration, if no cache helps, and names what bounds it. (Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009.)

use super::{Bound, Ceilings, Launch};

/// The time that one resource alone would take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limit {
    /// Which.
    pub bound: Bound,
    /// How long.
    pub ns: f64,
}

/// Bytes per second for a working set: the ceiling of the smallest measured one that holds it.
pub fn memory_rate(ceilings: &Ceilings, bytes: u64) -> f64 {
    let fits = ceilings.copy.iter().find(|copy| copy.working_set_bytes >= bytes);
    fits.or(ceilings.copy.last()).map_or(f64::INFINITY, |copy| copy.ceiling.value)
}

/// The tightest bound on a launch.
pub fn limit(launch: &Launch, ceilings: &Ceilings) -> Limit {
    let dot = ceilings.dot.map_or(f64::INFINITY, |dot| dot.value);
    let all = [
        (Bound::Memory, launch.bytes, memory_rate(ceilings, launch.bytes)),
        (Bound::Arithmetic, launch.float_ops, ceilings.float.value),
        (Bound::BitArithmetic, launch.bit_ops, ceilings.bit.value),
        (Bound::PackedDot, launch.dot_ops, dot),
    ];
    let overhead = Limit { bound: Bound::LaunchOverhead, ns: ceilings.launch.value };
    all.into_iter()
        .map(|(bound, amount, rate)| Limit { bound, ns: amount as f64 / rate * 1e9 })
        .fold(overhead, |tightest, limit| if limit.ns > tightest.ns { limit } else { tightest })
}

/// Four digits behind the point: more would be noise in a file that is compared.
pub(super) fn rounded(fraction: f64) -> f64 {
    (fraction * 1e4).round() / 1e4
}
