//! Layers without weights or codes: normalisation, dropout, rectifiers, pooling, joins.

use super::keys::{Key, Keys, Numbers, Purpose, Slot, Visitor, key};
use super::products::{KERNEL, NONE_OR_SOME, PADDING, SOME, STRIDE};

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
        visitor.visit(key("affine", "a learned scale and shift follow"), Slot::Flag(&mut self.affine));
        let share = Numbers { fits: |v| (0.0..=1.0).contains(&v), wanted: "give a number from 0 to 1" };
        let momentum = key("momentum", "weight of each new batch in the running statistics");
        visitor.visit(momentum, Slot::Number(&mut self.momentum, share));
        let small = Numbers { fits: |v| v > 0.0, wanted: "give a small number above 0, such as 1e-5" };
        visitor.visit(key("eps", "added to the variance"), Slot::Number(&mut self.eps, small));
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
        visitor.visit(KERNEL.required("2"), Slot::Pair(&mut self.kernel, SOME));
        if visitor.purpose() == Purpose::Read {
            self.stride = self.kernel;
        }
        visitor.visit(STRIDE, Slot::Pair(&mut self.stride, SOME));
        visitor.visit(PADDING, Slot::Pair(&mut self.padding, NONE_OR_SOME));
    }
}

const TOP: Numbers = Numbers { fits: |v| v > 0.0, wanted: "give a number above 0, such as 1.614" };
const TOP_KEY: Key = key("top", "where the slope changes; by default the highest level of the 2-bit `hwgq`");

/// Defines a rectifier whose slope changes at `top`.
macro_rules! bending {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            /// Above 0; 1.614 by default.
            pub top: f32,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { top: 1.614 }
            }
        }

        impl Keys for $name {
            fn keys(&mut self, visitor: &mut dyn Visitor) {
                visitor.visit(TOP_KEY, Slot::Number(&mut self.top, TOP));
            }
        })*
    };
}

bending! {
    /// min(max(x, 0), top).
    ClippedRelu,
    /// max(x, 0) up to top, then top + ln(x − top + 1).
    LogTailedRelu,
}

/// x for x > 0, else slope·x.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyRelu {
    /// At least 0; 0.01 by default.
    pub slope: f32,
}

impl Default for LeakyRelu {
    fn default() -> Self {
        Self { slope: 0.01 }
    }
}

impl Keys for LeakyRelu {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let slope = Numbers { fits: |v| v >= 0.0, wanted: "give a number of at least 0, such as 0.01" };
        visitor.visit(key("slope", "slope for negative inputs"), Slot::Number(&mut self.slope, slope));
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
        let share = Numbers { fits: |v| (0.0..1.0).contains(&v), wanted: "give a number from 0 to below 1" };
        visitor.visit(key("rate", "fraction of values set to zero"), Slot::Number(&mut self.rate, share));
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
    /// The hyperbolic tangent.
    Tanh,
    /// min(max(x, −1), 1).
    HardTanh,
    /// 1/(1 + e^−x).
    Sigmoid,
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
