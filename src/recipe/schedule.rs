//! `[train.schedule]`: the learning-rate schedule of a run.
//!
//! With lr the optimiser's learning rate, s the step counted from 0, T the steps of the run, W
//! those of the warm-up, u = s div (steps per epoch) the epoch counted from 0 (or s itself with
//! `unit = "steps"`), and x = (s − W)/(T − W), 0 before W, the completed share of the run after the
//! warm-up:
//!
//! | kind | keys | learning rate of step s | in PyTorch |
//! |---|---|---|---|
//! | `constant` | | lr | `ConstantLR(factor=1)` |
//! | `linear` | | lr·(1 − x) | `LinearLR(1, 0)` |
//! | `polynomial` | `power`, `end` | end + (lr − end)·(1 − x)^power | `PolynomialLR`, for end = 0 |
//! | `cosine` | `end` | end + (lr − end)·(1 + cos πx)/2 | `CosineAnnealingLR`, `eta_min` |
//! | `step` | `every`, `factor`, `unit` | lr·factor^(u div every) | `StepLR`, `step_size`, `gamma` |
//! | `multi_step` | `milestones`, `factor`, `unit` | lr·factor^(milestones ≤ u) | `MultiStepLR`, `gamma` |
//! | `exponential` | `factor`, `unit` | lr·factor^u | `ExponentialLR`, `gamma` |
//!
//! During the warm-up the rate is multiplied by (s + 1)/W: a linear ramp from 0 that reaches lr in
//! the warm-up's last step. `step`, `multi_step` and `exponential` count from the start of the run,
//! as in PyTorch, in epochs unless `unit` says otherwise; `linear`, `polynomial` and `cosine`
//! change in every step and end with the run. If a run is made longer, they change more slowly from
//! there on.

use super::Length;
use super::table::Table;
use super::write::Toml;
use crate::Result;

/// The learning-rate schedule of a run. Constant, without a warm-up, by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Shape of the schedule.
    pub curve: Curve,
    /// Length of the linear warm-up from 0, if any.
    pub warmup: Option<Length>,
}

/// Shape of the learning rate over time; formulas in [`schedule`](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Curve {
    /// Constant.
    #[default]
    Constant,
    /// Decreases linearly to 0.
    Linear,
    /// Decreases to `end` along a power of the remaining share of the run.
    Polynomial {
        /// Exponent, above 0; 1 is linear.
        power: f32,
        /// Final learning rate, at least 0; 0 by default.
        end: f32,
    },
    /// Decreases to `end` along half a cosine.
    Cosine {
        /// Final learning rate, at least 0; 0 by default.
        end: f32,
    },
    /// Multiplied by `factor` at regular intervals.
    Step {
        /// Interval in units; at least 1.
        every: u64,
        /// Above 0; 0.1 by default.
        factor: f32,
        /// Unit of `every`.
        unit: Unit,
    },
    /// Multiplied by `factor` at each milestone.
    MultiStep {
        /// Times in units from the start of the run; increasing, at least 1.
        milestones: Vec<u64>,
        /// Above 0; 0.1 by default.
        factor: f32,
        /// Unit of `milestones`.
        unit: Unit,
    },
    /// Multiplied by `factor` after every unit.
    Exponential {
        /// Above 0.
        factor: f32,
        /// The unit.
        unit: Unit,
    },
}

/// Unit of time of a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Passes through the training images.
    #[default]
    Epochs,
    /// Optimiser steps.
    Steps,
}

impl Unit {
    const WORDS: [(&str, Self); 2] = [("epochs", Self::Epochs), ("steps", Self::Steps)];

    fn name(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

impl Curve {
    /// The name used in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Polynomial { .. } => "polynomial",
            Self::Cosine { .. } => "cosine",
            Self::Step { .. } => "step",
            Self::MultiStep { .. } => "multi_step",
            Self::Exponential { .. } => "exponential",
        }
    }
}

impl Schedule {
    /// A schedule without a warm-up.
    pub fn new(curve: Curve) -> Self {
        Self { curve, warmup: None }
    }

    /// The learning rate of `step`, counted from 0, in a run of `total` steps with `epoch_steps`
    /// steps per epoch; `lr` is the optimiser's.
    pub fn lr(&self, lr: f32, step: u64, epoch_steps: u64, total: u64) -> f32 {
        let lr = f64::from(lr);
        let warmup = self.warmup.map_or(0, |length| length.steps(epoch_steps));
        let rest = total.saturating_sub(warmup).max(1) as f64;
        let left = 1.0 - (step.saturating_sub(warmup) as f64 / rest).min(1.0);
        let count = |unit| match unit {
            Unit::Epochs => step / epoch_steps.max(1),
            Unit::Steps => step,
        };
        let power = |factor: f32, times: u64| libm::pow(f64::from(factor), times as f64);
        let curve = match &self.curve {
            Curve::Constant => lr,
            Curve::Linear => lr * left,
            Curve::Polynomial { power, end } => toward(*end, lr, libm::pow(left, f64::from(*power))),
            Curve::Cosine { end } => toward(*end, lr, 0.5 * (1.0 + libm::cos(std::f64::consts::PI * (1.0 - left)))),
            Curve::Step { every, factor, unit } => lr * power(*factor, count(*unit) / every),
            Curve::MultiStep { milestones, factor, unit } => {
                let passed = milestones.iter().filter(|&&milestone| milestone <= count(*unit)).count();
                lr * power(*factor, passed as u64)
            }
            Curve::Exponential { factor, unit } => lr * power(*factor, count(*unit)),
        };
        let risen = if step < warmup { (step + 1) as f64 / warmup as f64 } else { 1.0 };
        (curve * risen) as f32
    }
}

fn toward(end: f32, lr: f64, share: f64) -> f64 {
    f64::from(end) + (lr - f64::from(end)) * share
}

/// Keys of every kind.
const COMMON: [&str; 2] = ["warmup_epochs", "warmup_steps"];

/// Every kind with its keys.
const KINDS: [(&str, &[&str]); 7] = [
    ("constant", &[]),
    ("linear", &[]),
    ("polynomial", &["power", "end"]),
    ("cosine", &["end"]),
    ("step", &["every", "factor", "unit"]),
    ("multi_step", &["milestones", "factor", "unit"]),
    ("exponential", &["factor", "unit"]),
];

/// Reads `[train.schedule]`, if there is one.
pub(super) fn read(train: &Table<'_>, length: Length) -> Result<Schedule> {
    let Some((table, kind)) = train.kinds("schedule", "[train.schedule]", &COMMON, &KINDS)? else {
        return Ok(Schedule::default());
    };
    let above = |key| table.number(key, |v| v > 0.0, "give a finite number above 0");
    let end = || {
        let end = table.number("end", |v| v >= 0.0, "give the last learning rate, a finite number of at least 0");
        Ok::<_, crate::Error>(end?.unwrap_or(0.0))
    };
    let unit = || Ok::<_, crate::Error>(table.word("unit", &Unit::WORDS)?.unwrap_or_default());
    let curve = match kind {
        "constant" => Curve::Constant,
        "linear" => Curve::Linear,
        "polynomial" => Curve::Polynomial { power: table.required("power", above("power")?, "2.0")?, end: end()? },
        "cosine" => Curve::Cosine { end: end()? },
        "step" => {
            let every = table.required("every", table.integer("every", 1..=u64::MAX)?, "30")?;
            Curve::Step { every, factor: above("factor")?.unwrap_or(0.1), unit: unit()? }
        }
        "multi_step" => {
            let milestones = table.required("milestones", table.rising("milestones")?, "[80, 120]")?;
            Curve::MultiStep { milestones, factor: above("factor")?.unwrap_or(0.1), unit: unit()? }
        }
        "exponential" => {
            Curve::Exponential { factor: table.required("factor", above("factor")?, "0.95")?, unit: unit()? }
        }
        _ => unreachable!("every kind of the list is read"),
    };
    let warmup = match COMMON.map(|key| table.integer(key, 0..=u64::MAX)) {
        [Ok(Some(_)), Ok(Some(_))] => {
            return Err(table.bad("warmup_steps", "give warmup_epochs or warmup_steps, not both"));
        }
        [epochs, steps] => epochs?.map(Length::Epochs).or(steps?.map(Length::Steps)),
    };
    let (key, longer) = match (warmup, length) {
        (Some(Length::Epochs(warmup)), Length::Epochs(epochs)) => ("warmup_epochs", warmup > epochs),
        (Some(Length::Steps(warmup)), Length::Steps(steps)) => ("warmup_steps", warmup > steps),
        _ => ("", false),
    };
    if longer {
        return Err(table.bad(key, "the warm-up is longer than the run; shorten it"));
    }
    Ok(Schedule { curve, warmup: warmup.filter(|length| !matches!(length, Length::Epochs(0) | Length::Steps(0))) })
}

/// Writes `[train.schedule]`.
pub(super) fn write(toml: &mut Toml, schedule: &Schedule) {
    toml.heading("[train.schedule]");
    toml.word("kind", schedule.curve.name());
    match &schedule.curve {
        Curve::Constant | Curve::Linear => {}
        Curve::Polynomial { power, end } => {
            toml.float("power", *power);
            toml.float("end", *end);
        }
        Curve::Cosine { end } => toml.float("end", *end),
        Curve::Step { every, factor, unit } => {
            toml.line("every", every);
            toml.float("factor", *factor);
            toml.word("unit", unit.name());
        }
        Curve::MultiStep { milestones, factor, unit } => {
            toml.line("milestones", format!("{milestones:?}"));
            toml.float("factor", *factor);
            toml.word("unit", unit.name());
        }
        Curve::Exponential { factor, unit } => {
            toml.float("factor", *factor);
            toml.word("unit", unit.name());
        }
    }
    match schedule.warmup {
        Some(Length::Epochs(epochs)) => toml.line("warmup_epochs", epochs),
        Some(Length::Steps(steps)) => toml.line("warmup_steps", steps),
        None => toml.line("warmup_steps", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learning rates at these steps in a run of 8 epochs of 5 steps, lr = 2.
    fn rates(schedule: &Schedule, steps: &[u64]) -> Vec<f32> {
        steps.iter().map(|&step| schedule.lr(2.0, step, 5, 40)).collect()
    }

    /// Learning rates of every step, computed by hand from PyTorch's formulas.
    #[test]
    fn curves_have_these_values() {
        let run = |curve, steps: &[u64]| rates(&Schedule::new(curve), steps);
        assert_eq!(run(Curve::Constant, &[0, 39]), [2.0, 2.0]);
        assert_eq!(run(Curve::Linear, &[0, 10, 39, 40, 99]), [2.0, 1.5, 0.05, 0.0, 0.0]);
        // 2·(1 − ¼)², ·(½)², ·(1/40)²; then between 2 and 1.
        let power = |end| Curve::Polynomial { power: 2.0, end };
        assert_eq!(run(power(0.0), &[0, 10, 20, 39]), [2.0, 1.125, 0.5, 0.00125]);
        assert_eq!(run(power(1.0), &[0, 10, 20, 40]), [2.0, 1.5625, 1.25, 1.0]);
        // (1 + cos 45°)/2, cos 90°, cos 135°.
        let cosine = [2.0, 1.707_106_8, 1.0, 0.292_893_23, 0.0];
        let got = run(Curve::Cosine { end: 0.0 }, &[0, 10, 20, 30, 40]);
        got.iter().zip(cosine).for_each(|(got, expected)| assert!((got - expected).abs() < 1e-7, "{got}"));
        assert_eq!(run(Curve::Cosine { end: 0.5 }, &[0, 20, 40]), [2.0, 1.25, 0.5]);
        let (factor, epochs, steps) = (0.5, Unit::Epochs, Unit::Steps);
        let step = |unit| Curve::Step { every: 3, factor, unit };
        assert_eq!(run(step(epochs), &[0, 14, 15, 29, 30]), [2.0, 2.0, 1.0, 1.0, 0.5]);
        assert_eq!(run(step(steps), &[2, 3, 5, 6, 9]), [2.0, 1.0, 1.0, 0.5, 0.25]);
        let multi = |unit| Curve::MultiStep { milestones: vec![2, 3, 7], factor, unit };
        assert_eq!(run(multi(epochs), &[9, 10, 14, 15, 34, 35, 39]), [2.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(run(multi(steps), &[1, 2, 3, 6, 7, 39]), [2.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(run(Curve::Exponential { factor, unit: epochs }, &[4, 5, 9, 10]), [2.0, 1.0, 1.0, 0.5]);
        assert_eq!(run(Curve::Exponential { factor, unit: steps }, &[0, 1, 4]), [2.0, 1.0, 0.125]);
    }

    #[test]
    fn a_warm_up_rises_from_zero_to_the_rate() {
        let with = |curve, warmup| Schedule { curve, warmup: Some(warmup) };
        let four = Length::Steps(4);
        assert_eq!(rates(&with(Curve::Constant, four), &[0, 1, 2, 3, 4]), [0.5, 1.0, 1.5, 2.0, 2.0]);
        // Two epochs are ten steps; then 30 steps from 2 to 0.
        let linear = with(Curve::Linear, Length::Epochs(2));
        assert_eq!(rates(&linear, &[0, 4, 9, 10, 25, 40]), [0.2, 1.0, 2.0, 2.0, 1.0, 0.0]);
        let cosine = with(Curve::Cosine { end: 0.0 }, Length::Epochs(2));
        assert_eq!(rates(&cosine, &[4, 9, 10, 25]), [1.0, 2.0, 2.0, 1.0]);
        // Milestones count from the start of the run, even during the warm-up.
        let multi = Curve::MultiStep { milestones: vec![2, 5], factor: 0.5, unit: Unit::Steps };
        assert_eq!(rates(&with(multi, four), &[0, 1, 2, 3, 4, 5]), [0.5, 1.0, 0.75, 1.0, 1.0, 0.5]);
        // As long as the run, or longer.
        assert_eq!(rates(&with(Curve::Linear, Length::Steps(80)), &[0, 39]), [0.025, 1.0]);
        assert_eq!(rates(&with(Curve::Linear, Length::Epochs(8)), &[39, 40]), [2.0, 2.0]);
    }
}
