//! Layers without weights or codes: normalisation, dropout, rectifiers, pooling, joins.

use super::definition::{Definition, Learned, Shape};
use super::products::{KERNEL, NONE_OR_SOME, PADDING, SOME, STRIDE};
use super::shapes::{elements, text, windows};
use crate::ops::activation::Activation;
use crate::ops::avg_pool::AvgPool;
use crate::ops::curve::{self, Curve};
use crate::ops::window::Window;
use crate::ops::{Op, concat, flatten, prelu, relu, slice};
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

impl Definition for BatchNorm {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(self.momentum.is_finite() && (0.0..=1.0).contains(&self.momentum)) {
            return Err(format!("momentum = {}: give a number from 0 to 1", self.momentum));
        }
        if !(self.eps.is_finite() && self.eps > 0.0) {
            return Err(format!("eps = {}: give a small positive number, such as 1e-5", self.eps));
        }
        Ok(inputs[0])
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

    /// Returns its window.
    pub fn window(&self) -> Window {
        Window::new(self.kernel, self.stride, self.padding)
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::square(2)
    }
}

impl Definition for Pool {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = inputs[0];
        let [h, w] = windows(input, self.window(), "use a smaller kernel, or pool less often before it")?;
        if (0..2).any(|axis| self.padding[axis] >= self.kernel[axis]) {
            let [[ph, pw], [kh, kw]] = [self.padding, self.kernel];
            return Err(format!(
                "padding {ph}×{pw} must be smaller than the kernel {kh}×{kw}, or some windows would be empty"
            ));
        }
        Ok([input[0], h, w])
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(AvgPool { window: self.window() }.into())
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

impl Definition for Curve {
    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(Activation { curve: *self }.into())
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

impl Definition for Dropout {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match self.rate {
            rate if (0.0..1.0).contains(&rate) => Ok(inputs[0]),
            rate => Err(format!("rate = {rate}: give the fraction of values to drop, from 0 to below 1")),
        }
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

impl Definition for Relu {
    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(relu::Relu.into())
    }
}

impl Definition for Prelu {
    fn learned(&self, channels: usize) -> Vec<Learned> {
        vec![Learned { name: "weight", len: channels, start: prelu::START }]
    }
}

impl Definition for GlobalAvgPool {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok([inputs[0][0], 1, 1])
    }

    fn operation(&self, inputs: &[Shape]) -> Option<Op> {
        let [_, h, w] = inputs[0];
        Some(AvgPool { window: Window::new([h, w], [h, w], [0, 0]) }.into())
    }
}

impl Definition for Add {
    fn joins(&self) -> bool {
        true
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let shapes: Vec<String> = inputs.iter().copied().map(text).collect();
        match inputs {
            [] | [_] => Err("add takes two or more inputs; write from = [\"a\", \"b\"]".into()),
            [first, rest @ ..] if rest.iter().all(|shape| shape == first) => Ok(*first),
            _ => Err(format!("its inputs must have the same shape, but are {}; make them agree", shapes.join(" and "))),
        }
    }
}

impl Definition for Concat {
    fn joins(&self) -> bool {
        true
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let shapes: Vec<String> = inputs.iter().copied().map(text).collect();
        let [[_, h, w], _, ..] = *inputs else {
            return Err("concat takes two or more inputs; write from = [\"a\", \"b\"]".into());
        };
        if inputs.iter().any(|input| input[1..] != [h, w]) {
            return Err(format!("its inputs must agree in height and width, but are {}", shapes.join(" and ")));
        }
        // Each has fewer than 2^31 elements: the sum can overflow only on 32-bit platforms, unless the
        // list of names exceeds memory.
        let channels = inputs.iter().try_fold(0usize, |sum, input| sum.checked_add(input[0]));
        let channels = channels.filter(|&c| elements(&[c, h, w]).is_some());
        Ok([channels.ok_or_else(|| format!("its output of {} together is too large", shapes.join(" and ")))?, h, w])
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(concat::Concat.into())
    }
}

impl Definition for Flatten {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok([inputs[0].iter().product(), 1, 1])
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(flatten::Flatten.into())
    }
}

/// A range of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The first channel, counted from 0; 0 by default.
    pub first: usize,
    /// Number of channels.
    pub count: usize,
}

impl Default for Slice {
    fn default() -> Self {
        Self { first: 0, count: 1 }
    }
}

impl Keys for Slice {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("first", "first channel, counted from 0"), Setting::Integer(&mut self.first, NONE_OR_SOME));
        visitor.visit(key("count", "number of channels").required("16"), Setting::Integer(&mut self.count, SOME));
    }
}

impl Definition for Slice {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let ([channels, h, w], Self { first, count }) = (inputs[0], self);
        match first.checked_add(*count) {
            Some(end) if end <= channels && *count > 0 => Ok([*count, h, w]),
            _ => Err(format!(
                "first = {first} and count = {count} exceed the {channels} channels of its input; give at most {} for count",
                channels.saturating_sub(*first)
            )),
        }
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(slice::Slice { first: self.first, count: self.count }.into())
    }
}
