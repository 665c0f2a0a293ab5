//! Stochastic gradient descent with momentum.

use super::{Kind, Target};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::sgd::{self, SgdNesterov, SgdVelocity};
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

impl Kind for Sgd {
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
            false => to.add(sgd::Sgd { lr_scale }, &[weight, velocity, rates]),
        }
    }
}
