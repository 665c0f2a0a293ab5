//! Kernel variants: which of several kernels computes a heavy operation.
//!
//! An operation whose time matters lists its *candidates*: kernels that compute the same thing in different ways. A candidate states what it needs of a device, which problems it
//! fits, what it is estimated to cost, and its launch. [`choose`] takes the cheapest, deterministically: the same problem on the same capabilities gives the same kernel.
//! [`Caps::choices`] overrides the estimate, for measurements and tests.
//!
//! A new variant is one file and one line in its operation's list; conformance, self-test, `plan`, profiles and benchmarks take it from there.

use crate::caps::Caps;
use crate::kernel::Launch;

/// What a candidate needs of a device beyond WebGPU's default limits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Needs {
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Invocations of a workgroup.
    pub threads: usize,
}

impl Needs {
    /// Whether a device has all of it.
    pub fn met(&self, caps: &Caps) -> bool {
        self.workgroup_bytes <= caps.workgroup_bytes && self.threads <= caps.workgroup_threads
    }
}

/// A launch that leaves its result in parts, to be added up where there are several.
#[derive(Clone, Debug)]
pub struct Split {
    /// The launch, before its operands are bound.
    pub launch: Launch,
    /// How many parts it writes.
    pub parts: usize,
}

/// A kernel that solves a kind of problem.
pub trait Candidate<P>: Sync {
    /// What it is called in labels, plans and profiles; unique within a list.
    fn name(&self) -> &'static str;

    /// What the device must have.
    fn needs(&self, _problem: &P) -> Needs {
        Needs::default()
    }

    /// Whether it can solve this problem.
    fn fits(&self, _problem: &P) -> bool {
        true
    }

    /// Its launch.
    fn launch(&self, problem: &P, caps: &Caps) -> Split;

    /// Its estimated time on a device that is full, in multiply-adds of the best kernel: those that it executes, padding included, over its relative speed.
    fn cost(&self, problem: &P, caps: &Caps) -> f64;
}

/// The cost of a kernel that executes so many multiply-adds, of which `needed` are needed, in so many invocations, of which a device runs `capacity` at once.
///
/// Some of them stand idle at the beginning and the end: on an NVIDIA H200, about a quarter of the time that one round of invocations takes (`docs/measurements`). Where a problem is too
/// small for a device, what is wasted takes no time, but power: the last factor decides then.
pub fn cost(executed: usize, needed: usize, speed: f64, invocations: usize, capacity: usize) -> f64 {
    let idle = 0.25 * capacity as f64 / invocations.max(1) as f64;
    executed as f64 / speed * (1.0 + idle) * (executed as f64 / needed as f64).powf(0.25)
}

/// Invocations that a device runs at once, of kernels that keep so many sums: registers are what limits them.
pub fn capacity(sums: usize, caps: &Caps) -> usize {
    caps.width() * 256 / (sums + 128)
}

/// The candidates of a list that a device can run, the preferred one first.
fn ranked<'c, P>(candidates: &[&'c dyn Candidate<P>], problem: &P, caps: &Caps) -> Vec<&'c dyn Candidate<P>> {
    let mut able: Vec<_> = candidates
        .iter()
        .copied()
        .filter(|candidate| candidate.needs(problem).met(caps) && candidate.fits(problem))
        .collect();
    // Stable: of equal ones the first in the list.
    able.sort_by(|a, b| a.cost(problem, caps).total_cmp(&b.cost(problem, caps)));
    able
}

/// The names of those candidates that a device can run, the preferred one first.
pub fn names<P>(candidates: &[&dyn Candidate<P>], problem: &P, caps: &Caps) -> Vec<&'static str> {
    ranked(candidates, problem, caps).iter().map(|candidate| candidate.name()).collect()
}

/// The candidate that computes `stem` on a device: the one that [`Caps::choices`] names, if the device can run it, else the one of the lowest cost.
///
/// # Panics
/// When a device can run none: each list has one that needs nothing.
pub fn choose<'c, P>(
    stem: &str,
    candidates: &[&'c dyn Candidate<P>],
    problem: &P,
    caps: &Caps,
) -> &'c dyn Candidate<P> {
    let ranked = ranked(candidates, problem, caps);
    let wanted = caps.choices.get(stem).and_then(|name| ranked.iter().find(|candidate| candidate.name() == name));
    *wanted.or(ranked.first()).expect("a candidate that every device can run")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::LaunchShape;

    struct Fixed(&'static str, usize, f64);

    impl Candidate<usize> for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }

        fn needs(&self, _: &usize) -> Needs {
            Needs { workgroup_bytes: self.1, threads: 64 }
        }

        fn fits(&self, problem: &usize) -> bool {
            *problem > 1
        }

        fn launch(&self, _: &usize, _: &Caps) -> Split {
            Split { launch: Launch::new(self.0, &[]), parts: 1 }
        }

        fn cost(&self, problem: &usize, _: &Caps) -> f64 {
            self.2 * *problem as f64
        }
    }

    struct Plain;

    impl Candidate<usize> for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        fn launch(&self, _: &usize, _: &Caps) -> Split {
            Split { launch: Launch::new("plain", &[]), parts: 1 }
        }

        fn cost(&self, _: &usize, _: &Caps) -> f64 {
            100.0
        }
    }

    const ALL: &[&dyn Candidate<usize>] =
        &[&Fixed("a", 1024, 2.0), &Fixed("b", 65_536, 1.0), &Fixed("c", 0, 2.0), &Plain];

    #[test]
    fn the_cheapest_that_the_device_can_run_is_taken() {
        let small = Caps::baseline(LaunchShape::Tiled);
        let large = Caps { workgroup_bytes: 65_536, ..small.clone() };
        // Of equal cost the first in the list; costs depend on the problem.
        assert_eq!(names(ALL, &3, &small), ["a", "c", "plain"]);
        assert_eq!(names(ALL, &3, &large), ["b", "a", "c", "plain"]);
        assert_eq!(names(ALL, &1000, &large), ["plain", "b", "a", "c"]);
        assert_eq!(names(ALL, &1, &large), ["plain"], "the others do not fit");
        let narrow = Caps { workgroup_threads: 32, ..large };
        assert_eq!(choose("op", ALL, &3, &narrow).name(), "plain");
    }

    #[test]
    fn a_choice_is_taken_where_the_device_can_run_it() {
        let caps = Caps::baseline(LaunchShape::Tiled);
        let name = |caps: Caps| choose("op", ALL, &3, &caps).name();
        assert_eq!(name(caps.clone().choosing("op", "plain")), "plain");
        assert_eq!(name(caps.clone().choosing("op", "b")), "a", "more workgroup memory than there is");
        assert_eq!(name(caps.clone().choosing("op", "unknown")), "a");
        assert_eq!(name(caps.choosing("other", "plain")), "a");
    }

    #[test]
    fn few_invocations_cost_more() {
        let of = |invocations| cost(1000, 1000, 1.0, invocations, 100);
        assert_eq!([of(25), of(100), of(250)], [2000.0, 1250.0, 1100.0]);
        assert_eq!(cost(1000, 1000, 0.5, 100, 100), 2500.0);
    }

    #[test]
    fn waste_costs_more() {
        assert_eq!(cost(1600, 100, 1.0, 25, 100), 2.0 * cost(1600, 1600, 1.0, 25, 100));
    }
}
