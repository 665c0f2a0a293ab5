//! Finds the fastest kernel for each heavy operation of a plan on a device, and the number of parts that its sum is best cut into.
//!
//! It chooses among kernels that are at least as exact as the one that the plan has without it, so that a tuned run is as exact as any other: among those of its class, whose sums may differ in their
//! order, and where that is the class of two halves among those of floats, too. Those of halves never take the place of floats.

use super::candidates::{self, Heavy, Timed};
use crate::backend::Backend;
use crate::caps::Choice;
use crate::error::Result;
use crate::plan::Plan;
use crate::variant::Offer;

/// A kernel must be faster by so much than the one that is taken by estimate, and by more than the rounds of either scatter: less is noise.
const GAIN: f64 = 0.03;

/// What was found for an operation.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuned {
    /// The operation, and the times of its kernels: the one that is taken by estimate first.
    pub heavy: Heavy,
    /// Index of the kernel that should be taken, among those.
    pub best: usize,
}

impl Tuned {
    /// What should be chosen; nothing where the estimate is right.
    pub fn choice(&self) -> Option<Choice> {
        let Timed { kernel, parts, .. } = &self.heavy.kernels[self.best];
        // One part too: without a number, a kernel that cuts its sum would follow its own estimate.
        (self.best > 0).then(|| candidates::choice(kernel, Some(*parts)))
    }

    /// Time of the kernel that is taken by estimate over that of the best.
    pub fn gain(&self) -> f64 {
        let of = |index: usize| self.heavy.kernels[index].median_ns.max(1) as f64;
        of(0) / of(self.best)
    }
}

/// Measures the kernels of the heavy operations of `plan`, which was made without choices, in `rounds` rounds each. `progress` is told of each kernel before it begins.
///
/// # Errors
/// When the device is lost or refuses a kernel, or somebody asks to stop.
pub async fn tune(
    backend: &mut dyn Backend,
    plan: &Plan,
    rounds: usize,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Tuned>> {
    let mut all = Vec::new();
    let heavy = candidates::find(backend, plan);
    for (at, found) in heavy.iter().enumerate() {
        let name = found.name([at, heavy.len()]);
        let mut say = |kernel: &str| progress(&format!("{name}: {kernel}"));
        let choices: Vec<_> = comparable(&found.offers).map(|offer| candidates::choice(offer.kernel, None)).collect();
        let mut kernels = found.time(backend, &choices, rounds, &mut say).await?;
        let first = &kernels[best(&kernels)];
        // In one measurement with what they are compared to: clocks and load differ between two.
        let mut choices = vec![candidates::choice(&kernels[0].kernel, None)];
        choices.push(candidates::choice(&first.kernel, None));
        choices.extend(cuts(first.parts).map(|parts| candidates::choice(&first.kernel, Some(parts))));
        let again = found.time(backend, &choices, rounds, &mut say).await?;
        let known = |timed: &&Timed| !again.iter().any(|new| (&new.kernel, new.parts) == (&timed.kernel, timed.parts));
        kernels = again.iter().cloned().chain(kernels.iter().filter(known).cloned()).collect();
        let best = best(&kernels[..again.len()]);
        all.push(Tuned { heavy: found.timed(plan, kernels), best });
    }
    Ok(all)
}

/// The kernels that are at least as exact as the one that a plan takes by estimate, which is the first.
fn comparable(offers: &[Offer]) -> impl Iterator<Item = &Offer> {
    offers.iter().filter(|offer| offer.exactness <= offers[0].exactness)
}

/// Other numbers of parts to try.
fn cuts(parts: usize) -> impl Iterator<Item = usize> {
    [parts / 4, parts / 2, parts * 2, parts * 4].into_iter().filter(|&parts| parts > 0)
}

/// The fastest of those that beat the first by more than noise; the first where there are none.
fn best(kernels: &[Timed]) -> usize {
    let gains = |&index: &usize| {
        let (first, other) = (&kernels[0], &kernels[index]);
        let gain = first.median_ns.saturating_sub(other.median_ns);
        gain as f64 > GAIN * first.median_ns as f64 && gain > first.spread_ns.max(other.spread_ns)
    };
    (0..kernels.len()).filter(gains).min_by_key(|&index| kernels[index].median_ns).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::{Caps, Coop, DeviceClass};
    use crate::ops::{Op, conv_backward::ConvDw, window::Window};
    use crate::tensor::TensorType;
    use crate::variant::Exactness;

    fn timed(parts: usize, median_ns: u64, spread_ns: u64) -> Timed {
        Timed {
            kernel: "k".to_string(),
            exactness: Exactness::F32,
            parts,
            median_ns,
            min_ns: 0,
            spread_ns,
            matrix_ops: 0,
            invocations: 0,
            lane_use: 1.0,
            scratch_bytes: 0,
        }
    }

    /// Without its number of parts, a kernel would cut its sum as it estimates.
    #[test]
    fn one_part_is_a_choice_too() {
        let heavy = Heavy {
            stem: "conv_dw".to_string(),
            site: String::new(),
            layers: Vec::new(),
            reads: Vec::new(),
            writes: String::new(),
            float_ops: 1,
            bit_ops: 0,
            kernels: vec![timed(8, 1000, 0), timed(1, 500, 0)],
        };
        let tuned = |best| Tuned { heavy: heavy.clone(), best };
        assert_eq!(tuned(1).choice().unwrap().parts, Some(1));
        assert_eq!(tuned(0).choice(), None);
    }

    #[test]
    fn no_kernel_is_compared_that_is_less_exact() {
        let offer = |kernel, exactness| Offer { kernel, exactness, parts: 1, unproven: false };
        let names = |offers: &[Offer]| comparable(offers).map(|offer| offer.kernel).collect::<Vec<_>>();
        let (exact, float, halves) = (Exactness::Exact, Exactness::F32, Exactness::Halves);
        assert_eq!(names(&[offer("a", exact), offer("fast", float), offer("b", exact)]), ["a", "b"]);
        assert_eq!(names(&[offer("a", float), offer("fast", halves), offer("b", float)]), ["a", "b"]);
        // Floats may take the place of halves, which the estimate prefers.
        assert_eq!(names(&[offer("a", halves), offer("b", float), offer("c", halves)]), ["a", "b", "c"]);
    }

    /// On matrices, of what a device offers for a gradient; what is chosen then is a kernel of floats, by its name.
    #[test]
    fn floats_may_take_the_place_of_halves() {
        let coop = Some(Coop { size: 16, subgroup: 32, emulated: false });
        let caps = Caps { f16: true, coop, workgroup_bytes: 32 << 10, ..Caps::baseline(DeviceClass::Gpu) };
        let window = Window::square(3, 1, 1);
        let (dy, x) = (TensorType::f32(&[128, 16, 16, 256]), TensorType::f32(&[128, 16, 16, 256]));
        let op = Op::from(ConvDw { window, weight: TensorType::f32(&[3, 3, 256, 256]) });
        let types = [&dy, &x];
        let offers = op.candidates(&types, &op.infer(&types).unwrap(), &caps);
        assert_eq!((offers[0].kernel, offers[0].exactness), ("coop16", Exactness::Halves));
        let all: Vec<_> = comparable(&offers).map(|offer| offer.kernel).collect();
        assert!(all.contains(&"tile128") && all.len() == offers.len(), "{all:?}");
        let caps = caps.choosing("conv_dw", "tile128");
        assert_eq!(op.candidates(&types, &op.infer(&types).unwrap(), &caps)[0].kernel, "tile128");
    }

    #[test]
    fn the_estimate_stands_where_nothing_is_faster_by_more_than_noise() {
        let all =
            |times: &[(u64, u64)]| best(&times.iter().map(|&(ns, spread)| timed(1, ns, spread)).collect::<Vec<_>>());
        // Rounds that scatter by more than the gain show nothing, whichever kernel they are of.
        assert_eq!(all(&[(1000, 150), (900, 0)]), 0);
        assert_eq!(all(&[(1000, 0), (900, 150), (920, 50)]), 2);
        assert_eq!(all(&[(1000, 50), (900, 60)]), 1);
        let best = |times: &[u64]| all(&times.iter().map(|&ns| (ns, 0)).collect::<Vec<_>>());
        assert_eq!(best(&[1000]), 0);
        assert_eq!(best(&[1000, 980, 975]), 0);
        assert_eq!(best(&[1000, 900, 960]), 1);
    }

    #[test]
    fn other_cuts_are_around_the_estimated_one() {
        assert_eq!(cuts(1).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(cuts(8).collect::<Vec<_>>(), [2, 4, 16, 32]);
    }
}
