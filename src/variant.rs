//! Kernel variants: which of several kernels computes a heavy operation.
//!
//! An operation whose time matters lists its *candidates*: kernels that compute the same thing in different ways. A candidate states what it needs of a device, which problems it
//! fits, how exact it is, what it is estimated to cost, and its launch. [`launch`] takes the cheapest, deterministically: the same problem on the same capabilities gives the same kernel.
//! [`Caps::choices`] overrides the estimate: what `halfwave tune` measured, what a run began with, what a test asks for.
//!
//! A new variant is one file and one line in its operation's list; conformance, self-test, `plan`, profiles, `bench` and `tune` take it from there.

use crate::caps::Caps;
use crate::kernel::{Kernel, Launch};
use serde::{Deserialize, Serialize};

/// What a candidate needs of a device beyond WebGPU's default limits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Needs {
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Invocations of a workgroup.
    pub threads: usize,
    /// Cooperative matrices of this size; 0 for none.
    pub coop: usize,
}

impl Needs {
    /// Whether a device has all of it.
    pub fn met(&self, caps: &Caps) -> bool {
        let coop = self.coop == 0 || caps.coop.is_some_and(|coop| coop.size == self.coop);
        coop && self.workgroup_bytes <= caps.workgroup_bytes && self.threads <= caps.workgroup_threads
    }
}

/// How exact a kernel's result is, the more exact first. Measurements choose no kernel of a class behind the one that the estimate takes, so that speed never costs accuracy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exactness {
    /// The same bits from every kernel on every device: integers.
    Exact,
    /// Sums of f32 within the bound of [`crate::ops::sum`]; the last bits depend on the order.
    F32,
    /// The same of numbers that are cut into two halves: they err by at most 2^-22 of themselves where the driver rounds to nearest, 2^-21 where it truncates, as long as they are not smaller than
    /// 2^-17 times the largest of their tensor; those below by at most 2^-38 of it.
    Halves,
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

    /// How exact it is.
    fn exactness(&self) -> Exactness {
        Exactness::F32
    }

    /// What the device must have.
    fn needs(&self, _problem: &P) -> Needs {
        Needs::default()
    }

    /// Whether it can solve this problem.
    fn fits(&self, _problem: &P) -> bool {
        true
    }

    /// Its launch. One that cuts its sum cuts it into so many `parts` as far as memory and the bound on the error allow, or into as many as it estimates to be fast; the others ignore them.
    fn launch(&self, problem: &P, caps: &Caps, parts: Option<usize>) -> Split;

    /// Its estimated time on a device that is full, in multiply-adds of the best kernel: [`Work::cost`], and what it takes to add up parts.
    fn cost(&self, problem: &P, caps: &Caps) -> f64;
}

/// What a launch does, as far as its time depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Multiply-adds, padding included.
    pub executed: usize,
    /// Those that are needed.
    pub needed: usize,
    /// Whether operands are staged through workgroup memory.
    pub staged: bool,
    /// Speed relative to the best kernel that stages, or does not stage, as this one.
    pub speed: f64,
    /// Invocations of the launch.
    pub invocations: usize,
    /// Sums that an invocation keeps.
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

/// Invocations that a device runs at once, of kernels that keep so many sums: registers are what limits them.
pub fn capacity(sums: usize, caps: &Caps) -> usize {
    caps.class.traits().width * 256 / (sums + 128)
}

/// What a device can run for a problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The candidate's name.
    pub kernel: &'static str,
    /// How exact it is.
    pub exactness: Exactness,
    /// Parts that it cuts the sum into.
    pub parts: usize,
    /// Whether it rests on what a driver may do wrong, and is compared with its reference before it is first used on a device: see [`crate::first_use`].
    pub unproven: bool,
}

/// How a kernel of an operation is called in [`Caps::verdicts`]. On operands in half precision ([`crate::halves`]) it is another program, with a verdict of its own, and with wgpu's checks as well.
pub fn verdict_key(stem: &str, kernel: &str, half: bool, checks: bool) -> String {
    let [half, checks] = [(half, " on halves"), (checks, " with checks")].map(|(is, said)| if is { said } else { "" });
    format!("{stem}/{kernel}{half}{checks}")
}

/// Whether a kernel was found wrong on the device, on whatever operands, with wgpu's checks or without.
fn found_wrong(stem: &str, kernel: &str, caps: &Caps) -> bool {
    let programs = [(false, false), (false, true), (true, false), (true, true)];
    programs.iter().any(|&(half, checks)| caps.verdicts.get(&verdict_key(stem, kernel, half, checks)) == Some(&false))
}

/// Whether a kernel rests on what a driver may do wrong: it runs without wgpu's checks, or it computes in half floats, of which WGSL promises neither that subnormal ones are kept nor,
/// on cooperative matrices, how they are added up.
fn rests_on_driver(kernel: &Kernel, checks: bool) -> bool {
    kernel.f16 || (kernel.trusted && !checks)
}

/// The candidates of a list that a device can run, the one that [`Caps::choices`] asks for first, then by their estimated cost. Those that were found wrong on the device
/// are left out: only such as can rest on its driver, so that the plain ones of each list remain whatever the verdicts say.
fn ranked<'c, P>(
    stem: &str,
    candidates: &[&'c dyn Candidate<P>],
    problem: &P,
    caps: &Caps,
) -> Vec<(&'c dyn Candidate<P>, Option<usize>)> {
    let wrong = |candidate: &&dyn Candidate<P>| {
        found_wrong(stem, candidate.name(), caps)
            && rests_on_driver(&candidate.launch(problem, caps, None).launch.kernel, false)
    };
    let able = |candidate: &&dyn Candidate<P>| {
        candidate.needs(problem).met(caps) && candidate.fits(problem) && !wrong(candidate)
    };
    let mut able: Vec<_> = candidates.iter().copied().filter(able).map(|candidate| (candidate, None)).collect();
    // Stable: of equal ones the first in the list.
    able.sort_by(|(a, _), (b, _)| a.cost(problem, caps).total_cmp(&b.cost(problem, caps)));
    if let Some(choice) = caps.choices.get(stem)
        && let Some(at) = able.iter().position(|(candidate, _)| candidate.name() == choice.kernel)
    {
        able[..=at].rotate_right(1);
        able[0].1 = choice.parts;
    }
    able
}

/// What a device can run for a problem of the operation `stem`, what a plan takes first.
pub fn offers<P>(stem: &str, candidates: &[&dyn Candidate<P>], problem: &P, caps: &Caps) -> Vec<Offer> {
    let offer = |(candidate, parts): (&dyn Candidate<P>, Option<usize>)| {
        let split = candidate.launch(problem, caps, parts);
        Offer {
            kernel: candidate.name(),
            exactness: candidate.exactness(),
            parts: split.parts,
            unproven: rests_on_driver(&split.launch.kernel, caps.checks),
        }
    };
    ranked(stem, candidates, problem, caps).into_iter().map(offer).collect()
}

/// The launch that computes `stem` on a device: of the candidate that [`Caps::choices`] asks for, if the device can run it, else of the one of the lowest cost.
///
/// # Panics
/// When a device can run none: each list has one that needs nothing.
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
        // Of equal cost the first in the list; costs depend on the problem.
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
        // The others keep their order, and only what is chosen takes on its parts.
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
        // What is wrong with checks is wrong without, and the other way round.
        for checks in [false, true] {
            let verdicts = [(verdict_key("op", "a", true, !checks), false)].into();
            assert_eq!(names(3, &Caps { checks, verdicts, ..caps.clone() }), ["c", "plain"]);
        }
        // A kernel that does not rest on the driver stays, whatever a damaged file says.
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
        // What is fast on one class is slow on the other.
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
