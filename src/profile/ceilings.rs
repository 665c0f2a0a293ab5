//! Measured peaks ("ceilings") of a device, as determined by [`DevicePeaks::measure`] with small
//! kernels.
//!
//! **Invariant:** a peak that is not [plausible](Ceiling::plausible) is kept, but marked wherever
//! it is displayed.

use serde::{Deserialize, Serialize};

/// Version of the format and of the measurement; it increases when earlier values are no longer
/// comparable.
pub const VERSION: u32 = 2;

/// Maximum spread of repetitions. On an idle device they differ by a few per cent; a quarter
/// indicates other load on the machine.
const MOST_SPREAD: f64 = 0.25;
/// Accepted ratios of the durations of twice the work and of the work. The overhead of a launch is
/// 1 to 2% of it, and a coarse clock may be off by one quantum in 50 at either end: 2 ± 6%, and as
/// much again for a machine under load.
const DOUBLING: std::ops::RangeInclusive<f64> = 1.8..=2.2;

/// One measured peak.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct Ceiling {
    /// Bytes or operations per second, counted as those of a launch; nanoseconds for the launch
    /// overhead.
    pub value: f64,
    /// (p90 − p10) / median of its repetitions.
    pub spread: f64,
    /// Duration of twice the work divided by the duration of the work, both at their 10th
    /// percentile: 2 for a sound measurement.
    pub doubling: f64,
}

impl Ceiling {
    /// Returns whether repetitions agree, and twice the work takes twice as long.
    pub fn plausible(&self) -> bool {
        self.doubt().is_none()
    }

    /// Returns why the value is not reliable, in a few words.
    pub fn doubt(&self) -> Option<String> {
        let Self { value, spread, doubling } = *self;
        if !(value.is_finite() && value > 0.0) {
            return Some("nothing was measured".to_string());
        }
        // A range does not contain NaN, so NaN is doubtful too.
        let spread =
            (!(0.0..=MOST_SPREAD).contains(&spread)).then(|| format!("repetitions scatter by {:.0}%", spread * 100.0));
        let doubling =
            (!DOUBLING.contains(&doubling)).then(|| format!("twice the work took {doubling:.2} times as long"));
        let doubts: Vec<_> = spread.into_iter().chain(doubling).collect();
        (!doubts.is_empty()).then(|| doubts.join(", "))
    }

    /// Returns the deviation from a perfect measurement; above 1 the value is not plausible.
    pub(super) fn error(&self) -> f64 {
        let doubling = if self.doubling < 2.0 { 2.0 - DOUBLING.start() } else { DOUBLING.end() - 2.0 };
        (self.spread / MOST_SPREAD).max((self.doubling - 2.0).abs() / doubling)
    }

    /// Returns the value itself if it is plausible, else the better one of it and a later one.
    fn or(self, later: Self) -> Self {
        if self.plausible() || self.error() <= later.error() { self } else { later }
    }
}

/// Bytes read and written per second for one working set.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct Copy {
    /// Bytes that are read and written repeatedly.
    pub working_set_bytes: u64,
    /// The measured peak.
    #[serde(flatten)]
    pub ceiling: Ceiling,
}

/// The measured peaks of a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct DevicePeaks {
    /// Streaming copies, in ascending order of working set; the last one is larger than the caches.
    pub copy: Vec<Copy>,
    /// Float operations per second: fused multiply-adds in registers, counted as two.
    pub float: Ceiling,
    /// Half-float operations per second, if the device supports them.
    pub half: Option<Ceiling>,
    /// Bit operations per second: and + popcount + add over a word, counted as 64.
    pub bit: Ceiling,
    /// 8-bit operations per second: `dot4I8Packed` + add, counted as 8; if the device compiles it.
    pub dot: Option<Ceiling>,
    /// Operations of cooperative matrices per second: products of half floats accumulated in f32,
    /// counted as two; if kernels can use them. Absent from older profiles.
    pub matrix: Option<Ceiling>,
    /// Bytes of workgroup memory read per second.
    pub workgroup: Ceiling,
    /// Overhead of a dispatch in nanoseconds.
    pub launch: Ceiling,
}

impl DevicePeaks {
    /// Returns whether every value is plausible.
    pub fn plausible(&self) -> bool {
        let Self { copy, float, half, bit, dot, matrix, workgroup, launch } = self;
        let copies = copy.iter().map(|copy| &copy.ceiling);
        copies.chain([float, bit, workgroup, launch]).chain(half).chain(dot).chain(matrix).all(Ceiling::plausible)
    }

    /// Replaces values that are not plausible by those of a later measurement.
    #[must_use]
    pub fn renewed(self, later: Self) -> Self {
        let optional = |old: Option<Ceiling>, new: Option<Ceiling>| match (old, new) {
            (Some(old), Some(new)) => Some(old.or(new)),
            (_, new) => new,
        };
        let sizes = |copies: &[Copy]| copies.iter().map(|copy| copy.working_set_bytes).collect::<Vec<_>>();
        let same_sizes = sizes(&self.copy) == sizes(&later.copy);
        let renewed = |(old, new): (&Copy, &Copy)| Copy { ceiling: old.ceiling.or(new.ceiling), ..*new };
        Self {
            copy: if same_sizes { self.copy.iter().zip(&later.copy).map(renewed).collect() } else { later.copy },
            float: self.float.or(later.float),
            half: optional(self.half, later.half),
            bit: self.bit.or(later.bit),
            dot: optional(self.dot, later.dot),
            matrix: optional(self.matrix, later.matrix),
            workgroup: self.workgroup.or(later.workgroup),
            launch: self.launch.or(later.launch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_values_are_renewed_and_others_kept() {
        let sound = Ceiling { value: 1.0, spread: 0.1, doubling: 2.0 };
        let peaks = |ceiling: Ceiling| DevicePeaks {
            copy: vec![Copy { working_set_bytes: 1, ceiling }],
            float: ceiling,
            half: Some(ceiling),
            bit: sound,
            dot: None,
            matrix: None,
            workgroup: ceiling,
            launch: ceiling,
        };
        let doubtful = peaks(Ceiling { spread: 0.5, ..sound });
        let later = peaks(Ceiling { value: 2.0, ..sound });
        assert!(!doubtful.plausible() && later.plausible());
        let renewed = doubtful.clone().renewed(DevicePeaks { bit: later.float, ..later.clone() });
        assert_eq!(renewed, later, "the sound value of the first measurement is kept");
        // Of two doubtful values the better one is kept.
        assert_eq!(doubtful.clone().renewed(peaks(Ceiling { spread: 0.7, ..sound })), doubtful);
    }

    /// As in profiles of earlier versions.
    #[test]
    fn ceilings_without_matrices_are_read() {
        let ceiling = serde_json::json!({ "value": 1e9, "spread": 0.0, "doubling": 2.0 });
        let text = serde_json::json!({
            "copy": [], "float": ceiling, "half": null, "bit": ceiling, "dot": null, "workgroup": ceiling, "launch": ceiling
        });
        assert_eq!(serde_json::from_value::<DevicePeaks>(text).unwrap().matrix, None);
    }

    #[test]
    fn a_ceiling_is_plausible_within_the_limits() {
        let sound = Ceiling { value: 1e9, spread: 0.03, doubling: 1.98 };
        assert!(sound.plausible() && sound.error() < 0.2);
        let doubts = [
            (Ceiling { spread: 0.4, ..sound }, "repetitions scatter by 40%"),
            (Ceiling { doubling: 1.5, ..sound }, "twice the work took 1.50 times as long"),
            (Ceiling { doubling: 2.5, spread: 0.3, ..sound }, "scatter by 30%, twice the work took 2.50 times as long"),
            (Ceiling { doubling: f64::NAN, ..sound }, "twice the work took NaN"),
            (Ceiling { value: f64::INFINITY, ..sound }, "nothing was measured"),
            (Ceiling { value: 0.0, ..sound }, "nothing was measured"),
        ];
        for (ceiling, expected) in doubts {
            let doubt = ceiling.doubt().unwrap();
            assert!(!ceiling.plausible() && doubt.contains(expected), "{doubt}");
            assert!(ceiling.value != 1e9 || ceiling.doubling.is_nan() || ceiling.error() > 1.0, "{ceiling:?}");
        }
    }
}
