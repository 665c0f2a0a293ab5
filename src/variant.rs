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

/// The cost of a kernel that executes so many multiply-adds in so many invocations, of which a device runs `capacity` at once: time goes by whole rounds of them.
pub fn cost(executed: usize, speed: f64, invocations: usize, capacity: usize) -> f64 {
    let rounds = invocations as f64 / capacity as f64;
    executed as f64 / speed * (rounds.ceil() / rounds)
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
