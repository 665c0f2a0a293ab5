//! `bop`: the binary optimiser (Helwegen et al., 2019, arXiv 1906.02107, algorithm 1): a binary
//! weight without a latent weight, which flips when the gradient has consistently opposed it.
//!
//! m ← (1 − γ)·m + γ·g is [`super::adam::Moment`]; then w ← −w where |m| > τ and m has w's sign. w
//! is ±1. Several ranks can vote on flips instead ([`super::vote`]).

use super::adam::{Moment, Moments, moment};
use super::rule::{Target, UpdateRule};
use super::update::{Port, Update, port};
use crate::error::Result;
use crate::graph::Value;
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

impl UpdateRule for Bop {
    fn name(&self) -> &'static str {
        "bop"
    }

    fn formula(&self) -> &'static str {
        "binary weights: m ← (1 − gamma)·m + gamma·g; w ← −w where |m| > threshold and m has the sign of w; others as `adam` (Helwegen et al., 2019, arXiv 1906.02107)"
    }

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
        let momentum = to.add(self.momentum(1), &[states[0], weight, gradient])?;
        to.add(BopStep { threshold: self.threshold }, &[weight, momentum])
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn vote(&self, to: &mut Target<'_>, ranks: usize) -> Result<Value> {
        let Target { weight, gradient, states, .. } = *to;
        let momentum = to.add(self.momentum(ranks), &[states[0], weight, gradient])?;
        to.add(super::vote::Vote { threshold: self.threshold }, &[gradient, weight, momentum])
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn follow(&self, to: &mut Target<'_>) -> Result<Value> {
        to.add(super::vote::Flip, &[to.weight, to.gradient])
    }

    fn examples() -> Vec<Self> {
        vec![Self { gamma: 0.25, threshold: 0.125, ..Self::default() }]
    }
}

impl Bop {
    /// The mean of gradients that are those of one of so many ranks: `ranks` times them, so that the mean over all
    /// ranks is that of the whole batch's gradients.
    fn momentum(&self, ranks: usize) -> Moment {
        let whole = moment(false, 1.0 - self.gamma, 0.0);
        Moment { take: whole.take * ranks as f32, ..whole }
    }
}

/// Whether a weight flips, given m and τ.
#[inline(always)]
pub(super) fn flips(w: f32, m: f32, threshold: f32) -> bool {
    m.abs() > threshold && (m > 0.0) == (w > 0.0)
}

/// New weight: inputs w (in place), m.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BopStep {
    /// τ, at least 0.
    pub threshold: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct BopParams { quads: u32, threshold: f32 }
}

impl Update for BopStep {
    type Params = BopParams;
    const STEM: &'static str = "bop";
    const TENSORS: &'static [Port] = &[port("w", "the weight"), port("momentum", "the momentum").finite()];
    const RATES: bool = false;
    const WGSL: &'static str =
        concat!(include_str!("../../shaders/bop_flips.wgsl"), include_str!("../../shaders/bop.wgsl"));
    /// A weight either flips or does not.
    const TOLERANCE: f32 = 0.0;

    fn params(&self, quads: u32) -> BopParams {
        BopParams { quads, threshold: self.threshold }
    }

    #[inline(always)]
    fn element(&self, [w, m, _]: [f32; 3], _rates: [f32; 4]) -> f32 {
        if flips(w, m, self.threshold) { -w } else { w }
    }

    /// Comparison of the magnitude with the threshold, two signs.
    fn float_ops(&self) -> usize {
        3
    }

    fn examples() -> Vec<Self> {
        vec![Self { threshold: 0.5 }]
    }
}
