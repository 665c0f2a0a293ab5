//! `sgd_velocity`, `sgd`, `sgd_nesterov`: stochastic gradient descent with momentum by PyTorch's
//! rules (`torch.optim.SGD` without dampening).
//!
//! g = dw + decay·w; v ← μ·v + g; then w ← w − lr·v, or with Nesterov momentum w ← w − lr·(g +
//! μ·v), v the new velocity. lr is lane 0 of the rates, times the scale of the parameter's group.

use super::rule::{Target, UpdateRule};
use super::update::{Port, Update, port};
use crate::error::Result;
use crate::graph::Value;
use crate::schema::{Keys, Numbers, Setting, Visitor, key};

/// PyTorch's `SGD`: g ← g + weight_decay·w; v ← momentum·v + g; w ← w − lr·v, or with `nesterov` w
/// ← w − lr·(g + momentum·v).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sgd {
    /// In [0, 1).
    pub momentum: f32,
    /// Whether Nesterov momentum is used.
    pub nesterov: bool,
}

impl Keys for Sgd {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let share = Numbers::new(0.0..1.0, "give a number from 0 to below 1, such as 0.9");
        let momentum = key("momentum", "fraction of the velocity that is kept");
        visitor.visit(momentum, Setting::Number(&mut self.momentum, share));
        visitor.visit(key("nesterov", "whether Nesterov momentum is used"), Setting::Flag(&mut self.nesterov));
    }
}

impl UpdateRule for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn formula(&self) -> &'static str {
        "g ← g + weight_decay·w; v ← momentum·v + g; w ← w − lr·v, or with `nesterov` w − lr·(g + momentum·v)"
    }

    fn states(&self, _binary: bool) -> &'static [&'static str] {
        &["velocity"]
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self.nesterov && self.momentum == 0.0 {
            true => Err(("nesterov", "it is a kind of momentum; give one, such as momentum = 0.9")),
            false => Ok(()),
        }
    }

    fn append(&self, to: &mut Target<'_>) -> Result<Value> {
        let Sgd { momentum, nesterov } = *self;
        let Target { weight, gradient, rates, lr_scale, decay, .. } = *to;
        let velocity = to.add(SgdVelocity { momentum, decay }, &[to.states[0], weight, gradient])?;
        match nesterov {
            true => to.add(SgdNesterov { momentum, decay, lr_scale }, &[weight, velocity, gradient, rates]),
            false => to.add(SgdStep { lr_scale }, &[weight, velocity, rates]),
        }
    }

    fn examples() -> Vec<Self> {
        [false, true].map(|nesterov| Self { momentum: 0.875, nesterov }).into()
    }
}

/// New velocity: inputs v (in place), w, dw.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SgdVelocity {
    /// Momentum μ.
    pub momentum: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct VelocityParams { quads: u32, momentum: f32, decay: f32 }
}

impl Update for SgdVelocity {
    type Params = VelocityParams;
    const STEM: &'static str = "sgd_velocity";
    const TENSORS: &'static [Port] =
        &[port("velocity", "the velocity"), port("w", "the weight"), port("dw", "the gradient")];
    const RATES: bool = false;
    const WGSL: &'static str = include_str!("../../shaders/sgd_velocity.wgsl");

    fn params(&self, quads: u32) -> VelocityParams {
        VelocityParams { quads, momentum: self.momentum, decay: self.decay }
    }

    #[inline(always)]
    fn element(&self, [v, w, dw]: [f32; 3], _rates: [f32; 4]) -> f32 {
        v * self.momentum + dw + w * self.decay
    }

    fn float_ops(&self) -> usize {
        4
    }

    fn examples() -> Vec<Self> {
        vec![Self { momentum: 0.9, decay: 5e-4 }]
    }
}

/// New weight: inputs w (in place), v, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SgdStep {
    /// Factor of the learning rate.
    pub lr_scale: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct SgdParams { quads: u32, lr_scale: f32 }
}

impl Update for SgdStep {
    type Params = SgdParams;
    const STEM: &'static str = "sgd";
    const TENSORS: &'static [Port] = &[port("w", "the weight").finite(), port("velocity", "the velocity")];
    const RATES: bool = true;
    const WGSL: &'static str = include_str!("../../shaders/sgd.wgsl");

    fn params(&self, quads: u32) -> SgdParams {
        SgdParams { quads, lr_scale: self.lr_scale }
    }

    #[inline(always)]
    fn element(&self, [w, v, _]: [f32; 3], [lr, ..]: [f32; 4]) -> f32 {
        w - v * (lr * self.lr_scale)
    }

    fn float_ops(&self) -> usize {
        2
    }

    fn examples() -> Vec<Self> {
        vec![Self { lr_scale: 0.5 }]
    }
}

/// New weight: inputs w (in place), v, dw, rates `[4]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SgdNesterov {
    /// Momentum μ.
    pub momentum: f32,
    /// Weight decay of this tensor.
    pub decay: f32,
    /// Factor of the learning rate.
    pub lr_scale: f32,
}

crate::params! {
    #[doc(hidden)]
    pub struct NesterovParams {
        quads: u32, momentum: f32, decay: f32, lr_scale: f32,
    }
}

impl Update for SgdNesterov {
    type Params = NesterovParams;
    const STEM: &'static str = "sgd_nesterov";
    const TENSORS: &'static [Port] =
        &[port("w", "the weight").finite(), port("velocity", "the velocity"), port("dw", "the gradient")];
    const RATES: bool = true;
    const WGSL: &'static str = include_str!("../../shaders/sgd_nesterov.wgsl");

    fn params(&self, quads: u32) -> NesterovParams {
        let Self { momentum, decay, lr_scale } = *self;
        NesterovParams { quads, momentum, decay, lr_scale }
    }

    #[inline(always)]
    fn element(&self, [w, v, dw]: [f32; 3], [lr, ..]: [f32; 4]) -> f32 {
        let g = dw + w * self.decay;
        w - (g + v * self.momentum) * (lr * self.lr_scale)
    }

    fn float_ops(&self) -> usize {
        6
    }

    fn examples() -> Vec<Self> {
        vec![Self { momentum: 0.9, decay: 5e-4, lr_scale: 0.5 }]
    }
}
