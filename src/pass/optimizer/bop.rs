//! Bop, an optimiser for binary weights.

use super::adam::moment;
use super::{Kind, Moments, Target};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::bop;
use crate::schema::{Keys, Numbers, Setting, Visitor, key};
use std::ops::Bound;

/// Bop (Helwegen et al., 2019) for binary weights, which are ±1 without latent weights: m ← (1 −
/// gamma)·m + gamma·g, and w flips where |m| > threshold and m has the sign of w. All other
/// parameters follow `Adam`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bop {
    /// Hyperparameters for the other parameters.
    pub moments: Moments,
    /// Adaptivity rate: the weight of each new gradient in m, in (0, 1].
    pub gamma: f64,
    /// τ, at least 0.
    pub threshold: f32,
}

impl Default for Bop {
    /// The paper's values (section 5.1).
    fn default() -> Self {
        Self { moments: Moments::default(), gamma: 1e-4, threshold: 1e-8 }
    }
}

impl Keys for Bop {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let share = (Bound::Excluded(0.0), Bound::Included(1.0));
        let share = Numbers::new(share, "give a number above 0, up to 1, such as 1e-4");
        let least = Numbers::new(0.0.., "give a finite number of at least 0, such as 1e-8");
        visitor.visit(key("gamma", "weight of each new gradient in the mean"), Setting::Real(&mut self.gamma, share));
        let threshold = key("threshold", "magnitude of the mean gradient above which a weight flips");
        visitor.visit(threshold, Setting::Number(&mut self.threshold, least));
        self.moments.keys(visitor);
    }
}

impl Kind for Bop {
    fn states(&self, binary: bool) -> &'static [&'static str] {
        if binary { &["momentum"] } else { Moments::STATES }
    }

    fn corrections(&self, step: u64) -> [f32; 2] {
        self.moments.corrections(step)
    }

    fn flips(&self) -> bool {
        true
    }

    fn append(&self, to: &mut Target<'_>) -> Result<Value> {
        let Target { weight, gradient, states, decay, binary, .. } = *to;
        if !binary {
            return self.moments.append(to, decay, 0.0);
        }
        let momentum = to.add(moment(false, 1.0 - self.gamma, 0.0), &[states[0], weight, gradient])?;
        to.add(bop::Bop { threshold: self.threshold }, &[weight, momentum])
    }
}
