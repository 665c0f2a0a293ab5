//! Finds the fastest kernel for each heavy operation of a plan on a device, and the best number of
//! parts to split its sum into.
//!
//! Only kernels that are at least as exact as the default one are considered, so that a tuned run
//! is as exact as any other: those of the same class, whose sums may differ in their order, and, if
//! the default is of the class of two halves, those of floats as well. A kernel of halves never
//! replaces one of floats.

use super::candidates::{self, Heavy, Timed};
use crate::backend::Backend;
use crate::caps::Choice;
use crate::error::Result;
use crate::plan::Plan;
use crate::variant::Offer;

/// Minimum relative gain over the default kernel. The gain must also exceed the spread of the
/// rounds of either kernel; anything less is noise.
const GAIN: f64 = 0.03;

/// The result for an operation.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuned {
    /// The operation with the times of its kernels, the default one first.
    pub heavy: Heavy,
    /// Index of the best kernel among those.
    pub best: usize,
}

impl Tuned {
    /// Returns the kernel to choose, or `None` if the default is the best.
    pub fn choice(&self) -> Option<Choice> {
        let Timed { kernel, parts, .. } = &self.heavy.kernels[self.best];
        // The number is given even if it is one: without it, a kernel would use its own estimate of
        // the number of parts.
        (self.best > 0).then(|| candidates::choice(kernel, Some(*parts)))
    }

    /// Returns the time of the default kernel divided by that of the best one.
    pub fn gain(&self) -> f64 {
        let of = |index: usize| self.heavy.kernels[index].median_ns.max(1) as f64;
        of(0) / of(self.best)
    }
}

/// Measures the kernels of the heavy operations of `plan`, which must have been created without
/// choices, in `rounds` rounds each.
///
/// `progress` receives the label of each kernel before it starts.
///
/// # Errors
///
/// Returns an error if the device is lost or rejects a kernel, or if a stop is requested.
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
        // Measured together with the kernels it is compared with, because clocks and load differ
        // between measurements.
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

/// Returns the kernels that are at least as exact as the default one, which is the first.
fn comparable(offers: &[Offer]) -> impl Iterator<Item = &Offer> {
    offers.iter().filter(|offer| offer.exactness <= offers[0].exactness)
}

/// Returns other numbers of parts to try.
fn cuts(parts: usize) -> impl Iterator<Item = usize> {
    [parts / 4, parts / 2, parts * 2, parts * 4].into_iter().filter(|&parts| parts > 0)
}

/// Returns the index of the fastest kernel that beats the first by more than noise, or 0 if there
/// is none.
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
            bytes: 0,
        }
    }

    /// Without a number of parts, a kernel would use its own estimate.
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
        // Kernels of floats may replace one of halves, which is the default.
        assert_eq!(names(&[offer("a", halves), offer("b", float), offer("c", halves)]), ["a", "b", "c"]);
    }

    /// With the offers of a device with cooperative matrices for a gradient; a kernel of floats can
    /// then be chosen by name.
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
        // Rounds that scatter by more than the gain are not conclusive, whichever kernel they
        // belong to.
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
