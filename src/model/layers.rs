//! Layers without weights or codes: normalisation, dropout, rectifiers, pooling, joins.

use super::products::{KERNEL, NONE_OR_SOME, PADDING, SOME, STRIDE};
use crate::ops::curve::{self, Curve};
use crate::schema::{Keys, Numbers, Purpose, Setting, Visitor, above, key};

/// Batch normalisation as in PyTorch: biased variance of the batch, unbiased variance in the
/// running average.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Whether a learned scale and shift follow; yes by default.
    pub affine: bool,
    /// The weight of each new batch in the running statistics; 0.1 by default.
    pub momentum: f32,
    /// Added to the variance; 1e-5 by default.
    pub eps: f32,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { affine: true, momentum: 0.1, eps: 1e-5 }
    }
}

impl Keys for BatchNorm {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("affine", "a learned scale and shift follow"), Setting::Flag(&mut self.affine));
        let share = Numbers::new(0.0..=1.0, "give a number from 0 to 1");
        let momentum = key("momentum", "weight of each new batch in the running statistics");
        visitor.visit(momentum, Setting::Number(&mut self.momentum, share));
        let small = Numbers::new(above(0.0), "give a small number above 0, such as 1e-5");
        visitor.visit(key("eps", "added to the variance"), Setting::Number(&mut self.eps, small));
    }
}

/// Pooling windows. Pairs are (vertical, horizontal).
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows; the kernel by default.
    pub stride: [usize; 2],
    /// Padding around the input, smaller than the kernel; none by default.
    pub padding: [usize; 2],
}

impl Pool {
    /// Non-overlapping windows of `kernel` × `kernel` without gaps.
    pub fn square(kernel: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [kernel; 2], padding: [0; 2] }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::square(2)
    }
}

impl Keys for Pool {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(KERNEL.required("2"), Setting::Pair(&mut self.kernel, SOME));
        if visitor.purpose() == Purpose::Read {
            self.stride = self.kernel;
        }
        visitor.visit(STRIDE.by_default("the kernel"), Setting::Pair(&mut self.stride, SOME));
        visitor.visit(PADDING, Setting::Pair(&mut self.padding, NONE_OR_SOME));
    }
}

/// The key of an activation function is its number, if it has one.
impl Keys for Curve {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        if let Some(curve::Number { name, meaning, interval, advice, .. }) = self.row().number {
            visitor.visit(key(name, meaning), Setting::Number(&mut self.number, Numbers { interval, advice }));
        }
    }
}

/// Dropout; the remaining values are scaled in training, and inference is the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// The fraction of values set to zero, in [0, 1); 0.5 by default.
    pub rate: f32,
}

impl Default for Dropout {
    fn default() -> Self {
        Self { rate: 0.5 }
    }
}

impl Keys for Dropout {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let share = Numbers::new(0.0..1.0, "give a number from 0 to below 1");
        visitor.visit(key("rate", "fraction of values set to zero"), Setting::Number(&mut self.rate, share));
    }
}

/// Defines layers without keys.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* #[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Keys for $name {
            fn keys(&mut self, _visitor: &mut dyn Visitor) {}
        })*
    };
}

plain! {
    /// max(x, 0).
    Relu,
    /// x for x > 0, else x times a learned slope of the channel.
    Prelu,
    /// The mean of each channel.
    GlobalAvgPool,
    /// The sum of inputs of one shape.
    Add,
    /// The channels of inputs of the same height and width, concatenated.
    Concat,
    /// All values as channels of one pixel, in C, H, W order.
    Flatten,
}
