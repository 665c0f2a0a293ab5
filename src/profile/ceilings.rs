//! What a device can do at most, as [`Ceilings::measure`] found it with small kernels.
//!
//! **Invariant:** a ceiling that is not [plausible](Ceiling::plausible) is kept, but marked wherever it is shown.

use serde::{Deserialize, Serialize};

/// The form of the ceilings and the way they are measured; it grows when numbers of before are no longer comparable.
pub const VERSION: u32 = 2;

/// Repetitions may scatter so far. On an idle device they differ by a few per cent; a quarter is a machine that does something else.
const MOST_SPREAD: f64 = 0.25;
/// Twice the work may take so many times as long. What every launch takes beside its work is 1 to 2 % of it, and a coarse clock may be wrong by one step in 50
/// at either end: 2 ± 6 %, and as much again for a machine that is not quiet.
const DOUBLING: std::ops::RangeInclusive<f64> = 1.8..=2.2;

/// One measured limit.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ceiling {
    /// Per second: bytes or operations, as [`Launch`](super::Launch) counts them. For the launch overhead: nanoseconds.
    pub value: f64,
    /// (p90 − p10) / median of its repetitions.
    pub spread: f64,
    /// Time of twice the work over time of the work, both at their tenth percentile: 2 where the measurement is sound.
    pub doubling: f64,
}

impl Ceiling {
    /// Whether repetitions agree, and twice the work takes twice as long.
    pub fn plausible(&self) -> bool {
        self.doubt().is_none()
    }

    /// Why it should not be relied upon, in a few words.
    pub fn doubt(&self) -> Option<String> {
        let Self { value, spread, doubling } = *self;
        if !(value.is_finite() && value > 0.0) {
            return Some("nothing was measured".to_string());
        }
        // A range holds no NaN: that is a doubt too.
        let spread =
            (!(0.0..=MOST_SPREAD).contains(&spread)).then(|| format!("repetitions scatter by {:.0} %", spread * 100.0));
        let doubling =
            (!DOUBLING.contains(&doubling)).then(|| format!("twice the work took {doubling:.2} times as long"));
        let doubts: Vec<_> = spread.into_iter().chain(doubling).collect();
        (!doubts.is_empty()).then(|| doubts.join(", "))
    }

    /// How far it is from a perfect measurement: above 1 it is not plausible.
    pub(super) fn error(&self) -> f64 {
        let doubling = if self.doubling < 2.0 { 2.0 - DOUBLING.start() } else { DOUBLING.end() - 2.0 };
        (self.spread / MOST_SPREAD).max((self.doubling - 2.0).abs() / doubling)
    }
}

/// Bytes read and written per second, as far as a working set of some length allows.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// Bytes that are read and written, over and over.
    pub working_set_bytes: u64,
    /// How fast.
    #[serde(flatten)]
    pub ceiling: Ceiling,
}

/// The limits of a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ceilings {
    /// Streaming copies, the smallest working set first, the last larger than caches.
    pub copy: Vec<Copy>,
    /// Float operations per second: fused multiply-adds in registers, two each.
    pub float: Ceiling,
    /// Half-float operations per second, where the device offers them.
    pub half: Option<Ceiling>,
    /// Bit operations per second: and + popcount + add over a word, 64 each.
    pub bit: Ceiling,
    /// 8-bit operations per second: `dot4I8Packed` + add, 8 each; where the device compiles it.
    pub dot: Option<Ceiling>,
    /// Operations of cooperative matrices per second: products of half floats, added up in f32, two each; where kernels can use such. Profiles of before have none.
    #[serde(default)]
    pub matrix: Option<Ceiling>,
    /// Bytes of workgroup memory read per second.
    pub workgroup: Ceiling,
    /// Nanoseconds that a dispatch takes whatever it does.
    pub launch: Ceiling,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What profiles of before hold.
    #[test]
    fn ceilings_without_matrices_are_read() {
        let ceiling = serde_json::json!({ "value": 1e9, "spread": 0.0, "doubling": 2.0 });
        let text = serde_json::json!({
            "copy": [], "float": ceiling, "half": null, "bit": ceiling, "dot": null, "workgroup": ceiling, "launch": ceiling
        });
        assert_eq!(serde_json::from_value::<Ceilings>(text).unwrap().matrix, None);
    }

    #[test]
    fn a_ceiling_is_plausible_within_the_limits() {
        let sound = Ceiling { value: 1e9, spread: 0.03, doubling: 1.98 };
        assert!(sound.plausible() && sound.error() < 0.2);
        let doubts = [
            (Ceiling { spread: 0.4, ..sound }, "repetitions scatter by 40 %"),
            (Ceiling { doubling: 1.5, ..sound }, "twice the work took 1.50 times as long"),
            (
                Ceiling { doubling: 2.5, spread: 0.3, ..sound },
                "scatter by 30 %, twice the work took 2.50 times as long",
            ),
            (Ceiling { doubling: f64::NAN, ..sound }, "twice the work took NaN"),
            (Ceiling { value: f64::INFINITY, ..sound }, "nothing was measured"),
            (Ceiling { value: 0.0, ..sound }, "nothing was measured"),
        ];
        for (ceiling, said) in doubts {
            let doubt = ceiling.doubt().unwrap();
            assert!(!ceiling.plausible() && doubt.contains(said), "{doubt}");
            assert!(ceiling.value != 1e9 || ceiling.doubling.is_nan() || ceiling.error() > 1.0, "{ceiling:?}");
        }
    }
}
