//! Kernel variants: selection among several kernels for an expensive operation.
//!
//! An operation whose running time matters lists its *candidates*: kernels that compute the same
//! result in different ways. A candidate states its requirements on the device, the problems that
//! it supports, its exactness, its estimated cost, and its launch. [`launch`] selects the cheapest
//! one deterministically: the same problem and the same capabilities give the same kernel.
//! [`Caps::choices`] overrides the estimate, with measurements of `halfwave tune`, the choices that
//! a run started with, or those of a test.
//!
//! A new variant takes one file and one line in its operation's list. Conformance tests, self-test,
//! `plan`, profiles, `bench` and `tune` then include it.

use crate::caps::Caps;
use crate::kernel::{Kernel, Launch};
use serde::{Deserialize, Serialize};

/// Requirements of a candidate beyond WebGPU's default limits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Needs {
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Invocations per workgroup.
    pub threads: usize,
    /// Size of cooperative matrices; 0 for none.
    pub coop: usize,
}

impl Needs {
    /// Whether a device meets all requirements.
    pub fn met(&self, caps: &Caps) -> bool {
        let coop = self.coop == 0 || caps.coop.is_some_and(|coop| coop.size == self.coop);
        coop && self.workgroup_bytes <= caps.workgroup_bytes && self.threads <= caps.workgroup_threads
    }
}

/// Exactness of a kernel's result, in decreasing order. Measurements never choose a kernel of a
/// less exact class than the one that the estimate chooses, so that tuning does not reduce
/// accuracy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exactness {
    /// Integers: the same bits from every kernel on every device.
    Exact,
    /// f32 sums within the bound of [`crate::ops::sum`]; the last bits depend on the order.
    F32,
    /// f32 sums of numbers that are split into two halves. A number errs by at most 2^-22 of its
    /// magnitude where the driver rounds to nearest, and 2^-21 where it truncates, if it is at
    /// least 2^-17 times the largest of its tensor; smaller numbers err by at most 2^-38 of the
    /// largest.
    Halves,
}

/// A launch that may write its result as several partial sums, which a further launch adds up.
#[derive(Clone, Debug)]
pub struct Split {
    /// The launch, before its operands are bound.
    pub launch: Launch,
    /// Number of partial sums that it writes.
    pub parts: usize,
}

/// A kernel for one kind of problem.
pub trait Candidate<P>: Sync {
    /// Its name in labels, plans and profiles; unique within a list.
    fn name(&self) -> &'static str;

    /// Exactness of its result.
    fn exactness(&self) -> Exactness {
        Exactness::F32
    }

    /// Its requirements on the device.
    fn needs(&self, _problem: &P) -> Needs {
        Needs::default()
    }

    /// Whether it supports this problem.
    fn fits(&self, _problem: &P) -> bool {
        true
    }

    /// Its launch. A kernel that splits its sum writes `parts` partial sums, as far as memory and
    /// the error bound allow, or by default as many as it estimates to be fast. Other kernels
    /// ignore `parts`.
    fn launch(&self, problem: &P, caps: &Caps, parts: Option<usize>) -> Split;

    /// Its estimated time on a fully occupied device, in multiply-adds of the best kernel:
    /// [`Work::cost`] plus the cost of adding up the partial sums.
    fn cost(&self, problem: &P, caps: &Caps) -> f64;
}

/// The properties of a launch that determine its estimated time.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Multiply-adds executed, padding included.
    pub executed: usize,
    /// Multiply-adds needed.
    pub needed: usize,
    /// Whether operands are staged through workgroup memory.
    pub staged: bool,
    /// Speed relative to the best kernel of the same kind (staged or unstaged).
    pub speed: f64,
    /// Invocations of the launch.
    pub invocations: usize,
    /// Accumulators per invocation.
    pub sums: usize,
}

impl Work {
    /// The estimated time, in multiply-adds of the best kernel.
    pub fn cost(&self, caps: &Caps) -> f64 {
        let traits = caps.class.traits();
        let speed = self.speed * if self.staged { traits.staged } else { traits.unstaged };
        let rounds = capacity(self.sums, caps) as f64 / self.invocations.max(1) as f64;
        let waste = self.executed as f64 / self.needed as f64;
        self.executed as f64 / speed * (1.0 + traits.idle * rounds) * waste.powf(traits.waste)
    }
}

/// Number of invocations with this many accumulators that a device runs at once; registers are the
/// limit.
pub fn capacity(sums: usize, caps: &Caps) -> usize {
    caps.class.traits().width * 256 / (sums + 128)
}

/// A kernel that a device can run for a problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The candidate's name.
    pub kernel: &'static str,
    /// Exactness of its result.
    pub exactness: Exactness,
    /// Number of partial sums that it writes.
    pub parts: usize,
    /// Whether its result depends on driver behaviour, so that it is compared with the reference
    /// implementation before its first use on a device: see [`crate::first_use`].
    pub unproven: bool,
}

/// Returns the key of a kernel in [`Caps::verdicts`]. With operands in half precision
/// ([`crate::halves`]) and with wgpu's checks a kernel is a different program, which has its own
/// verdict.
pub fn verdict_key(stem: &str, kernel: &str, half: bool, checks: bool) -> String {
    let [half, checks] =
        [(half, " on halves"), (checks, " with checks")].map(|(is, suffix)| if is { suffix } else { "" });
    format!("{stem}/{kernel}{half}{checks}")
}

/// Whether a kernel was found wrong on the device in any form (operands in floats or halves, with
/// or without wgpu's checks).
fn found_wrong(stem: &str, kernel: &str, caps: &Caps) -> bool {
    let programs = [(false, false), (false, true), (true, false), (true, true)];
    programs.iter().any(|&(half, checks)| caps.verdicts.get(&verdict_key(stem, kernel, half, checks)) == Some(&false))
}

/// Whether a kernel's result depends on driver behaviour: it runs without wgpu's checks, or it
/// computes in half floats, for which WGSL guarantees neither that subnormals are kept nor, in
/// cooperative matrices, how products are accumulated.
fn depends_on_driver(kernel: &Kernel, checks: bool) -> bool {
    kernel.f16 || (kernel.trusted && !checks)
}

/// Returns the candidates of a list that a device can run: first the one requested by
/// [`Caps::choices`], then the others by estimated cost. Kernels found wrong on the device are
/// omitted. Only kernels that depend on driver behaviour can be, so that the plain ones of each
/// list always remain.
fn ranked<'c, P>(
    stem: &str,
    candidates: &[&'c dyn Candidate<P>],
    problem: &P,
    caps: &Caps,
) -> Vec<(&'c dyn Candidate<P>, Option<usize>)> {
    let wrong = |candidate: &&dyn Candidate<P>| {
        found_wrong(stem, candidate.name(), caps)
            && depends_on_driver(&candidate.launch(problem, caps, None).launch.kernel, false)
    };
    let able = |candidate: &&dyn Candidate<P>| {
        candidate.needs(problem).met(caps) && candidate.fits(problem) && !wrong(candidate)
    };
    let mut able: Vec<_> = candidates.iter().copied().filter(able).map(|candidate| (candidate, None)).collect();
    // A stable sort: among equal costs the first in the list wins.
    able.sort_by(|(a, _), (b, _)| a.cost(problem, caps).total_cmp(&b.cost(problem, caps)));
    if let Some(choice) = caps.choices.get(stem)
        && let Some(at) = able.iter().position(|(candidate, _)| candidate.name() == choice.kernel)
    {
        able[..=at].rotate_right(1);
        able[0].1 = choice.parts;
    }
    able
}

/// Returns the kernels that a device can run for a problem of the operation `stem`; a plan uses the
/// first.
pub fn offers<P>(stem: &str, candidates: &[&dyn Candidate<P>], problem: &P, caps: &Caps) -> Vec<Offer> {
    let offer = |(candidate, parts): (&dyn Candidate<P>, Option<usize>)| {
        let split = candidate.launch(problem, caps, parts);
        Offer {
            kernel: candidate.name(),
            exactness: candidate.exactness(),
            parts: split.parts,
            unproven: depends_on_driver(&split.launch.kernel, caps.checks),
        }
    };
    ranked(stem, candidates, problem, caps).into_iter().map(offer).collect()
}

/// Returns the launch that computes `stem` on a device: that of the candidate requested by
/// [`Caps::choices`] if the device can run it, else that of the candidate with the lowest estimated
/// cost.
///
/// # Panics
///
/// Panics if the device can run no candidate. Each list has one without requirements.
pub fn launch<P>(stem: &str, candidates: &[&dyn Candidate<P>], problem: &P, caps: &Caps) -> Split {
    let ranked = ranked(stem, candidates, problem, caps);
    let (candidate, parts) = ranked.first().expect("a candidate that every device can run");
    candidate.launch(problem, caps, *parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::{Choice, DeviceClass};

    struct Fixed(&'static str, usize, f64);

    impl Candidate<usize> for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }

        fn needs(&self, _: &usize) -> Needs {
            Needs { workgroup_bytes: self.1, threads: 64, coop: 0 }
        }

        fn fits(&self, problem: &usize) -> bool {
            *problem > 1
        }

        fn launch(&self, _: &usize, _: &Caps, parts: Option<usize>) -> Split {
            Split { launch: Launch::new(self.0, &[]).trusted(), parts: parts.unwrap_or(4) }
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

        fn launch(&self, _: &usize, _: &Caps, _: Option<usize>) -> Split {
            Split { launch: Launch::new("plain", &[]), parts: 1 }
        }

        fn cost(&self, _: &usize, _: &Caps) -> f64 {
            100.0
        }
    }

    const ALL: &[&dyn Candidate<usize>] =
        &[&Fixed("a", 1024, 2.0), &Fixed("b", 65_536, 1.0), &Fixed("c", 0, 2.0), &Plain];

    fn names(problem: usize, caps: &Caps) -> Vec<&'static str> {
        offers("op", ALL, &problem, caps).iter().map(|offer| offer.kernel).collect()
    }

    #[test]
    fn the_cheapest_that_the_device_can_run_is_taken() {
        let small = Caps::baseline(DeviceClass::Gpu);
        let large = Caps { workgroup_bytes: 65_536, ..small.clone() };
        // Among equal costs the first in the list wins; costs depend on the problem.
        assert_eq!(names(3, &small), ["a", "c", "plain"]);
        assert_eq!(names(3, &large), ["b", "a", "c", "plain"]);
        assert_eq!(names(1000, &large), ["plain", "b", "a", "c"]);
        assert_eq!(names(1, &large), ["plain"], "the others do not fit");
        let narrow = Caps { workgroup_threads: 32, ..large };
        assert_eq!(launch("op", ALL, &3, &narrow).launch.kernel.label, "plain");
    }

    #[test]
    fn a_choice_is_taken_where_the_device_can_run_it() {
        let caps = Caps::baseline(DeviceClass::Gpu);
        let first = |caps: Caps| names(3, &caps)[0];
        assert_eq!(first(caps.clone().choosing("op", "plain")), "plain");
        assert_eq!(first(caps.clone().choosing("op", "b")), "a", "more workgroup memory than there is");
        assert_eq!(first(caps.clone().choosing("op", "unknown")), "a");
        assert_eq!(first(caps.clone().choosing("other", "plain")), "a");
        // The others keep their order, and only the chosen one gets the number of parts.
        let choice = Choice { kernel: "c".to_string(), parts: Some(7) };
        let caps = Caps { choices: [("op".to_string(), choice)].into(), ..caps };
        let offers = offers("op", ALL, &3, &caps);
        let got: Vec<_> = offers.iter().map(|offer| (offer.kernel, offer.parts)).collect();
        assert_eq!(got, [("c", 7), ("a", 4), ("plain", 1)]);
        assert_eq!(launch("op", ALL, &3, &caps).parts, 7);
    }

    #[test]
    fn a_kernel_that_was_found_wrong_is_never_taken() {
        let caps = Caps::baseline(DeviceClass::Gpu).choosing("op", "a");
        let verdicts = |right| [(verdict_key("op", "a", false, false), right)].into();
        assert_eq!(names(3, &Caps { verdicts: verdicts(true), ..caps.clone() })[0], "a");
        assert_eq!(names(3, &Caps { verdicts: verdicts(false), ..caps.clone() }), ["c", "plain"]);
        // A kernel found wrong with checks is wrong without them, and vice versa.
        for checks in [false, true] {
            let verdicts = [(verdict_key("op", "a", true, !checks), false)].into();
            assert_eq!(names(3, &Caps { checks, verdicts, ..caps.clone() }), ["c", "plain"]);
        }
        // A kernel that does not depend on the driver stays, whatever a damaged file says.
        let all = ["a", "b", "c", "plain"].map(|name| (verdict_key("op", name, false, false), false)).into();
        assert_eq!(names(3, &Caps { verdicts: all, ..caps }), ["plain"]);
    }

    #[test]
    fn a_choice_for_a_site_comes_before_that_for_the_operation() {
        let site = "op of these shapes";
        let caps = Caps::baseline(DeviceClass::Gpu).choosing("op", "c").choosing(site, "plain");
        assert_eq!(names(3, &caps)[0], "c");
        assert_eq!(names(3, &caps.at("op", site))[0], "plain");
        assert_eq!(names(3, &caps.at("op", "op of other shapes"))[0], "c");
    }

    fn work(executed: usize, invocations: usize) -> Work {
        Work { executed, needed: executed, staged: true, speed: 1.0, invocations, sums: 128 }
    }

    #[test]
    fn few_invocations_cost_more_on_a_gpu() {
        let (gpu, software) = (Caps::baseline(DeviceClass::Gpu), Caps::baseline(DeviceClass::Software));
        let width = gpu.class.traits().width;
        let of = |invocations| work(1000, invocations).cost(&gpu);
        assert_eq!([of(width / 4), of(width)], [2000.0, 1250.0]);
        assert_eq!(work(300, 1).cost(&software), 1000.0);
        assert_eq!(Work { speed: 0.5, ..work(1000, width) }.cost(&gpu), 2500.0);
        // A kernel that is fast on one class is slow on the other.
        let unstaged = Work { staged: false, ..work(1000, width) };
        assert!(unstaged.cost(&gpu) > work(1000, width).cost(&gpu));
        assert!(unstaged.cost(&software) < work(1000, width).cost(&software));
    }

    #[test]
    fn waste_costs_more_on_a_gpu() {
        let gpu = Caps::baseline(DeviceClass::Gpu);
        assert_eq!(Work { needed: 100, ..work(1600, 25) }.cost(&gpu), 2.0 * work(1600, 25).cost(&gpu));
    }
}
