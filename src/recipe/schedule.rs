//! `[train.schedule]`: the learning-rate schedule of a run.
//!
//! With lr the optimiser's learning rate, s the step counted from 0, T the steps of the run, W
//! those of the warm-up, u = s div (steps per epoch) the epoch counted from 0 (or s itself with
//! `unit = "steps"`), and x = (s − W)/(T − W), 0 before W, the completed share of the run after the
//! warm-up, each kind has the formula that its `Kinds` lists, PyTorch's:
//!
//! | kind | in PyTorch |
//! |---|---|
//! | `constant` | `ConstantLR(factor=1)` |
//! | `linear` | `LinearLR(1, 0)` |
//! | `polynomial` | `PolynomialLR`, for end = 0 |
//! | `cosine` | `CosineAnnealingLR`, `eta_min` |
//! | `step` | `StepLR`, `step_size`, `gamma` |
//! | `multi_step` | `MultiStepLR`, `gamma` |
//! | `exponential` | `ExponentialLR`, `gamma` |
//!
//! During the warm-up the rate is multiplied by (s + 1)/W: a linear ramp from 0 that reaches lr in
//! the warm-up's last step. `step`, `multi_step` and `exponential` count from the start of the run,
//! as in PyTorch, in epochs unless `unit` says otherwise; `linear`, `polynomial` and `cosine`
//! change in every step and end with the run. If a run is made longer, they change more slowly from
//! there on.

use super::Length;
use crate::schema::{Keys, Kinds, Numbers, Purpose, Setting, Visitor, above, key, word, words};

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

words!(Unit { Epochs = "epochs", Steps = "steps" });

/// Every shape with its defaults, its name and its formula.
const CURVES: [(Curve, &str, &str); 7] = [
    (Curve::Constant, "constant", "lr"),
    (Curve::Linear, "linear", "lr·(1 − x)"),
    (Curve::Polynomial { power: 2.0, end: 0.0 }, "polynomial", "end + (lr − end)·(1 − x)^power"),
    (Curve::Cosine { end: 0.0 }, "cosine", "end + (lr − end)·(1 + cos πx)/2"),
    (Curve::Step { every: 30, factor: FACTOR, unit: Unit::Epochs }, "step", "lr·factor^(u div every)"),
    (
        Curve::MultiStep { milestones: Vec::new(), factor: FACTOR, unit: Unit::Epochs },
        "multi_step",
        "lr·factor^(number of milestones up to u)",
    ),
    (Curve::Exponential { factor: 0.95, unit: Unit::Epochs }, "exponential", "lr·factor^u"),
];

/// Default factor of steps.
const FACTOR: f32 = 0.1;

impl Kinds for Curve {
    fn all(&self) -> Vec<(&'static str, &'static str)> {
        CURVES.map(|(_, name, formula)| (name, formula)).into()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn choose(&mut self, at: usize) {
        *self = CURVES[at].0.clone();
    }
}

impl Keys for Curve {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let last = Numbers::new(0.0.., "give the last learning rate, a finite number of at least 0");
        let positive = Numbers::new(above(0.0), "give a finite number above 0");
        let end = key("end", "last learning rate");
        let factor = key("factor", "factor of the learning rate");
        match self {
            Self::Constant | Self::Linear => {}
            Self::Polynomial { power, end: last_lr } => {
                let exponent = key("power", "exponent of the remaining share of the run; 1 is linear");
                visitor.visit(exponent.required("2.0"), Setting::Number(power, positive));
                visitor.visit(end, Setting::Number(last_lr, last));
            }
            Self::Cosine { end: last_lr } => visitor.visit(end, Setting::Number(last_lr, last)),
            Self::Step { every, factor: of_step, unit } => {
                let interval = key("every", "interval in units").required("30");
                visitor.visit(interval, Setting::Count(every, 1..=u64::MAX));
                visitor.visit(factor, Setting::Number(of_step, positive));
                word(visitor, key("unit", "unit of `every`"), unit);
            }
            Self::MultiStep { milestones, factor: of_step, unit } => {
                let times = key("milestones", "times in units from the start of the run").required("[80, 120]");
                visitor.visit(times, Setting::Rising(milestones));
                visitor.visit(factor, Setting::Number(of_step, positive));
                word(visitor, key("unit", "unit of `milestones`"), unit);
            }
            Self::Exponential { factor: of_unit, unit } => {
                visitor.visit(factor.required("0.95"), Setting::Number(of_unit, positive));
                word(visitor, key("unit", "interval after which the factor applies"), unit);
            }
        }
    }
}

impl Keys for Schedule {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let kind = key(
            "kind",
            "the learning rate; x is the completed share of the run after the warm-up, u the epoch or, by `unit`, the step",
        );
        visitor.visit(kind, Setting::Kind(&mut self.curve));
        self.curve.keys(visitor);
        let epochs = key("warmup_epochs", "length of the linear warm-up from 0 to lr, in epochs");
        let steps = key("warmup_steps", "length of the warm-up in steps").or(epochs.name, None);
        let mut warmup = match visitor.purpose() {
            Purpose::Write => self.warmup.or(Some(Length::Steps(0))),
            _ => self.warmup,
        };
        Length::keys(visitor, [epochs, steps], &mut warmup, 0);
        self.warmup = warmup.filter(|length| !matches!(length, Length::Epochs(0) | Length::Steps(0)));
    }
}

impl Curve {
    /// The name used in recipes.
    pub fn name(&self) -> &'static str {
        let same = |(curve, ..): &&(Self, _, _)| std::mem::discriminant(curve) == std::mem::discriminant(self);
        CURVES.iter().find(same).map_or("", |(_, name, _)| name)
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

impl Schedule {
    /// Why a run of this length cannot have the schedule, if it cannot: the key at fault, and what
    /// to do.
    pub(super) fn fault(&self, run: Length) -> Option<(&'static str, String)> {
        let (key, longer) = match (self.warmup?, run) {
            (Length::Epochs(warmup), Length::Epochs(epochs)) => ("warmup_epochs", warmup > epochs),
            (Length::Steps(warmup), Length::Steps(steps)) => ("warmup_steps", warmup > steps),
            _ => return None,
        };
        longer.then(|| (key, "the warm-up is longer than the run; shorten it".to_string()))
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
