//! `lion`: Lion (Chen et al., 2023, arXiv 2302.06675, algorithm 2), which uses only the sign of an
//! interpolation of the momentum and the gradient.
//!
//! w ← w·(1 − lr·decay) − lr·sign(β1·m + (1 − β1)·g), sign(0) = 0; then m ← β2·m + (1 − β2)·g
//! ([`super::adam::Moment`]). lr is lane 0 of the rates, times the scale of the parameter's group.

use super::adam::moment;
use super::rule::{Target, UpdateRule};
use super::update::{Port, Update, port};
use crate::error::Result;
use crate::graph::Value;
use crate::schema::{Keys, Numbers, Setting, Visitor, key};

/// Lion: w ← w·(1 − lr·weight_decay) − lr·sign(beta1·m + (1 − beta1)·g); m ← beta2·m + (1 −
/// beta2)·g.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lion {
    /// In [0, 1). In double precision, because 1 − beta is what matters.
    pub beta1: f64,
    /// In [0, 1).
    pub beta2: f64,
}

impl Default for Lion {
    /// The paper's values.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99 }
    }
}

impl Keys for Lion {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let share = Numbers::new(0.0..1.0, "give a number from 0 to below 1, such as 0.9");
        let beta1 = key("beta1", "weight of the momentum in the sign's argument");
        visitor.visit(beta1, Setting::Real(&mut self.beta1, share));
        visitor.visit(key("beta2", "decay rate of the momentum"), Setting::Real(&mut self.beta2, share));
    }
}

impl UpdateRule for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn formula(&self) -> &'static str {
        "w ← w·(1 − lr·weight_decay) − lr·sign(beta1·m + (1 − beta1)·g); m ← beta2·m + (1 − beta2)·g (Chen et al., 2023, arXiv 2302.06675)"
    }

    fn states(&self, _binary: bool) -> &'static [&'static str] {
        &["momentum"]
    }

    fn append(&self, to: &mut Target<'_>) -> Result<Value> {
        let Target { weight, gradient, rates, states, lr_scale, decay, .. } = *to;
        let [keep, take] = [self.beta1, 1.0 - self.beta1].map(|share| share as f32);
        let updated = to.add(LionStep { keep, take, lr_scale, decay }, &[weight, states[0], gradient, rates])?;
        to.add(moment(false, self.beta2, 0.0), &[states[0], updated, gradient])?;
        Ok(updated)
    }
}

/// New weight: inputs w (in place), m, dw, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LionStep {
    /// β1.
    pub keep: f32,
    /// 1 − β1, computed in higher precision than β1 is stored in.
    pub take: f32,
    /// Factor of the learning rate.
    pub lr_scale: f32,
    /// Decoupled weight decay of this tensor.
    pub decay: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct LionParams { quads: u32, keep: f32, take: f32, lr_scale: f32, decay: f32 }
}

impl Update for LionStep {
    type Params = LionParams;
    const STEM: &'static str = "lion";
    // A sign hides what is not finite.
    const TENSORS: &'static [Port] = &[
        port("w", "the weight").finite(),
        port("momentum", "the momentum").finite(),
        port("dw", "the gradient").finite(),
    ];
    const RATES: bool = true;
    const WGSL: &'static str = "
fn at(i: u32) {
    let lr = rates_at(0u).x * p.lr_scale;
    let toward = sign(momentum_at(i) * p.keep + dw_at(i) * p.take);
    w_put(i, w_at(i) * (1.0 - lr * p.decay) - toward * lr);
}
";

    fn params(&self, quads: u32) -> LionParams {
        let Self { keep, take, lr_scale, decay } = *self;
        LionParams { quads, keep, take, lr_scale, decay }
    }

    #[inline(always)]
    fn element(&self, [w, m, dw]: [f32; 3], [lr, ..]: [f32; 4]) -> f32 {
        let lr = lr * self.lr_scale;
        let toward = m * self.keep + dw * self.take;
        let sign = if toward > 0.0 {
            1.0
        } else if toward < 0.0 {
            -1.0
        } else {
            0.0
        };
        w * (1.0 - lr * self.decay) - sign * lr
    }

    /// Interpolation, sign; decay, step.
    fn float_ops(&self) -> usize {
        8
    }

    fn examples() -> Vec<Self> {
        vec![Self { keep: 0.9, take: 0.1, lr_scale: 0.5, decay: 0.25 }]
    }
}
