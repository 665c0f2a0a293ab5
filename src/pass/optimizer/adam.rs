//! Adam and AdamW.

use super::{Kind, Target};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::adam::{self, Moment};
use crate::schema::{Keys, Numbers, Setting, Visitor, key};

/// m ← beta1·m + (1 − beta1)·g; v ← beta2·v + (1 − beta2)·g²; w ← w − lr·m̂/(√v̂ + eps), with m̂ =
/// m/(1 − beta1^t), v̂ = v/(1 − beta2^t).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moments {
    /// In [0, 1). In double precision, because 1 − beta is what matters.
    pub beta1: f64,
    /// In [0, 1).
    pub beta2: f64,
    /// Above 0.
    pub eps: f32,
}

/// PyTorch's `Adam`: g ← g + weight_decay·w, then [`Moments`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Adam(pub Moments);

/// PyTorch's `AdamW`: w ← w·(1 − lr·weight_decay), then [`Moments`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct AdamW(pub Moments);

/// The smallest ε: GPUs may flush smaller numbers to 0.
const LEAST_EPS: f32 = 1e-30;

/// Default weight decay of PyTorch's AdamW.
const ADAMW_DECAY: f32 = 0.01;

/// An exponential moving average of gradients, or of their squares, with decay rate `beta`.
pub(super) fn moment(second: bool, beta: f64, decay: f32) -> Moment {
    Moment { second, keep: beta as f32, take: (1.0 - beta) as f32, decay }
}

impl Default for Moments {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl Keys for Moments {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let share = Numbers::new(0.0..1.0, "give a number from 0 to below 1, such as 0.9");
        let small = Numbers::new(LEAST_EPS.., "give a small number of at least 1e-30, such as 1e-8");
        visitor.visit(key("beta1", "decay rate of the mean gradient"), Setting::Real(&mut self.beta1, share));
        visitor.visit(key("beta2", "decay rate of the mean squared gradient"), Setting::Real(&mut self.beta2, share));
        visitor
            .visit(key("eps", "added to the root of the mean squared gradient"), Setting::Number(&mut self.eps, small));
    }
}

impl Moments {
    pub(super) const STATES: &'static [&'static str] = &["moment1", "moment2"];

    pub(super) fn corrections(&self, step: u64) -> [f32; 2] {
        [self.beta1, self.beta2].map(|beta| (1.0 - libm::pow(beta, step as f64)) as f32)
    }

    /// Appends the update with coupled weight decay (part of the gradient) and decoupled weight
    /// decay.
    pub(super) fn append(&self, to: &mut Target<'_>, coupled: f32, decoupled: f32) -> Result<Value> {
        let Target { weight, gradient, rates, lr_scale, states, .. } = *to;
        let first = to.add(moment(false, self.beta1, coupled), &[states[0], weight, gradient])?;
        let second = to.add(moment(true, self.beta2, coupled), &[states[1], weight, gradient])?;
        to.add(adam::Adam { eps: self.eps, lr_scale, decay: decoupled }, &[weight, first, second, rates])
    }
}

macro_rules! of_moments {
    ($($name:ident($decay:expr, |$to:ident| $coupled:expr, $decoupled:expr)),*) => { $(
        impl Keys for $name {
            fn keys(&mut self, visitor: &mut dyn Visitor) {
                self.0.keys(visitor);
            }
        }

        impl Kind for $name {
            fn states(&self, _binary: bool) -> &'static [&'static str] {
                Moments::STATES
            }

            fn corrections(&self, step: u64) -> [f32; 2] {
                self.0.corrections(step)
            }

            fn decay(&self) -> f32 {
                $decay
            }

            fn append(&self, $to: &mut Target<'_>) -> Result<Value> {
                let (coupled, decoupled) = ($coupled, $decoupled);
                self.0.append($to, coupled, decoupled)
            }
        }
    )* };
}

of_moments! { Adam(0.0, |to| to.decay, 0.0), AdamW(ADAMW_DECAY, |to| 0.0, to.decay) }
