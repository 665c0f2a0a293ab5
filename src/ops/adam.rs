//! `moment`, `adam`: Adam (Kingma and Ba, 2015, arXiv 1412.6980) and AdamW (Loshchilov and Hutter,
//! 2019, arXiv 1711.05101) by PyTorch's rules.
//!
//! g = dw + decay·w (Adam; AdamW has no decay here); m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²;
//! w ← w·(1 − lr·decay) (AdamW only) − lr·(m/(1 − β1^t)) / (√v/√(1 − β2^t) + ε).
//!
//! Rates `[4]`: lr, 1 − β1^t, 1 − β2^t for step t, counted from 1, and 0; the host computes them in
//! f64. lr is scaled by the factor of the parameter's group.

use super::rule::{Target, UpdateRule};
use super::update::{Port, Update, port};
use crate::error::Result;
use crate::graph::Value;
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
        to.add(AdamStep { eps: self.eps, lr_scale, decay: decoupled }, &[weight, first, second, rates])
    }
}

macro_rules! of_moments {
    ($($name:ident = $word:literal: $formula:literal, $decay:expr, |$to:ident| $coupled:expr, $decoupled:expr;)*) => { $(
        impl Keys for $name {
            fn keys(&mut self, visitor: &mut dyn Visitor) {
                self.0.keys(visitor);
            }
        }

        impl UpdateRule for $name {
            fn name(&self) -> &'static str {
                $word
            }

            fn formula(&self) -> &'static str {
                $formula
            }

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

of_moments! {
    Adam = "adam": "g ← g + weight_decay·w; m ← beta1·m + (1 − beta1)·g; v ← beta2·v + (1 − beta2)·g²; w ← w − lr·m̂/(√v̂ + eps), m̂ = m/(1 − beta1^t), v̂ = v/(1 − beta2^t)",
        0.0, |to| to.decay, 0.0;
    AdamW = "adamw": "w ← w·(1 − lr·weight_decay), then as `adam` without weight decay", ADAMW_DECAY, |to| 0.0, to.decay;
}

/// New moving average of the gradient, or of its square: inputs m (in place), w, dw.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moment {
    /// Whether the gradient is squared.
    pub second: bool,
    /// β: decay factor of the old average.
    pub keep: f32,
    /// 1 − β, computed in higher precision than β is stored in.
    pub take: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct MomentParams { quads: u32, keep: f32, take: f32, decay: f32 }
}

impl Update for Moment {
    type Params = MomentParams;
    const STEM: &'static str = "moment";
    const TENSORS: &'static [Port] =
        &[port("moment", "the moment"), port("w", "the weight"), port("dw", "the gradient")];
    const RATES: bool = false;
    const WGSL: &'static str = include_str!("../../shaders/moment.wgsl");

    fn params(&self, quads: u32) -> MomentParams {
        let Self { keep, take, decay, .. } = *self;
        MomentParams { quads, keep, take, decay }
    }

    #[inline(always)]
    fn element(&self, [m, w, dw]: [f32; 3], _rates: [f32; 4]) -> f32 {
        let g = dw + w * self.decay;
        m * self.keep + if self.second { g * g } else { g } * self.take
    }

    fn float_ops(&self) -> usize {
        5 + usize::from(self.second)
    }

    fn kernel(&self) -> (&'static str, Option<(&'static str, usize)>) {
        let label = if self.second { "moment_second" } else { "moment_first" };
        (label, Some(("SECOND", usize::from(self.second))))
    }

    fn examples() -> Vec<Self> {
        [false, true].map(|second| Self { second, keep: 0.9, take: 0.1, decay: 5e-4 }).into()
    }
}

/// New weight: inputs w (in place), m, v, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamStep {
    /// ε, above 0; otherwise padding would be 0/0.
    pub eps: f32,
    /// Factor of the learning rate.
    pub lr_scale: f32,
    /// Decoupled weight decay of this tensor, as in AdamW; 0 for Adam.
    pub decay: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct AdamParams {
        quads: u32, eps: f32, lr_scale: f32, decay: f32,
    }
}

impl Update for AdamStep {
    type Params = AdamParams;
    const STEM: &'static str = "adam";
    const TENSORS: &'static [Port] = &[
        port("w", "the weight").finite(),
        port("first", "the first moment").finite(),
        port("second", "the second moment").finite().positive(),
    ];
    const RATES: bool = true;
    const WGSL: &'static str = include_str!("../../shaders/adam.wgsl");

    fn params(&self, quads: u32) -> AdamParams {
        let Self { eps, lr_scale, decay } = *self;
        AdamParams { quads, eps, lr_scale, decay }
    }

    #[inline(always)]
    fn element(&self, [w, m, v]: [f32; 3], [lr, first, second, _]: [f32; 4]) -> f32 {
        let lr = lr * self.lr_scale;
        let kept = w * (1.0 - lr * self.decay);
        kept - m / (v.sqrt() / second.sqrt() + self.eps) * (lr / first)
    }

    /// A square root, two quotients, a sum; decay, step.
    fn float_ops(&self) -> usize {
        8
    }

    fn examples() -> Vec<Self> {
        [1e-8, 0.5].map(|eps| Self { eps, lr_scale: 0.5, decay: 0.25 }).into()
    }
}
