//! Layers with weights: convolutions and linear layers.

use super::Weights;
use super::definition::{Definition, Shape};
use super::shapes::{elements, windows};
use crate::ops::window::Window;
use crate::schema::{Key, Keys, Purpose, Setting, Visitor, key};

/// Range of counts and window sides; far above anything sensible, far below overflow.
pub(super) const SOME: std::ops::RangeInclusive<usize> = 1..=1_048_576;

/// A convolution. Pairs are (vertical, horizontal).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Height and width of a filter; 3 × 3 by default.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows; 1 by default.
    pub stride: [usize; 2],
    /// Zeros around the input, on each side; none by default.
    pub padding: [usize; 2],
    /// Distance between neighbouring elements of a filter; 1 by default.
    pub dilation: [usize; 2],
    /// Number of groups into which channels and filters are divided; each filter reads the channels
    /// of its own group. 1 by default.
    pub groups: usize,
    /// Whether one value per filter is added; not by default, and never with packed weights.
    pub bias: bool,
    /// How weights are used; float by default.
    pub weights: Weights,
    /// Whether the output of packed weights over signs is scaled by XNOR-Net's K, the local mean of
    /// |input|; not by default.
    pub input_scale: bool,
}

impl Default for Conv {
    fn default() -> Self {
        Self {
            filters: 1,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            bias: false,
            weights: Weights::FLOAT,
            input_scale: false,
        }
    }
}

/// The keys of windows, for convolutions and pools.
pub(super) const KERNEL: Key = key("kernel", "height and width of a window");
pub(super) const STRIDE: Key = key("stride", "distance between neighbouring windows");
pub(super) const PADDING: Key = key("padding", "padding around the input, on each side");
pub(super) const NONE_OR_SOME: std::ops::RangeInclusive<usize> = 0..=*SOME.end();

impl Conv {
    /// Returns the window of its filters.
    pub fn window(&self) -> Window {
        Window::new(self.kernel, self.stride, self.padding).dilated(self.dilation)
    }
}

impl Definition for Conv {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = inputs[0];
        if self.filters == 0 {
            return Err("filters = 0: give at least 1".into());
        }
        self.weights.check()?;
        if self.weights.packed().is_some() && self.bias {
            return Err(
                "a convolution with packed weights has no bias; remove `bias`; a following batch_norm provides the shift"
                    .into(),
            );
        }
        for (count, what) in [(input[0], "channels of its input"), (self.filters, "filters")] {
            if self.groups == 0 || !count.is_multiple_of(self.groups) {
                return Err(format!("groups = {} does not divide the {count} {what}; choose a divisor", self.groups));
            }
        }
        let advice = match self.dilation {
            [1, 1] => "use a smaller kernel or more padding",
            _ => "use a smaller kernel, less dilation or more padding",
        };
        let [h, w] = windows(input, self.window(), advice)?;
        elements(&[self.filters, input[0] / self.groups, self.kernel[0], self.kernel[1]])
            .ok_or("too many weights; use fewer filters or a smaller kernel")?;
        Ok([self.filters, h, w])
    }
}

impl Keys for Conv {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("filters", "output channels").required("64"), Setting::Integer(&mut self.filters, SOME));
        visitor.visit(KERNEL.required("3"), Setting::Pair(&mut self.kernel, SOME));
        visitor.visit(STRIDE, Setting::Pair(&mut self.stride, SOME));
        visitor.visit(PADDING, Setting::Pair(&mut self.padding, NONE_OR_SOME));
        let dilation = key("dilation", "distance between neighbouring elements of a filter");
        visitor.visit(dilation, Setting::Pair(&mut self.dilation, SOME));
        let groups = key("groups", "groups of channels and filters; a filter reads the channels of its own group");
        visitor.visit(groups, Setting::Integer(&mut self.groups, SOME));
        visitor.visit(key("bias", "add one learned value per filter"), Setting::Flag(&mut self.bias));
        self.weights.keys(visitor);
        if visitor.purpose() == Purpose::List || self.weights.packed().is_some() {
            let input_scale = key(
                "input_scale",
                "multiply by K, the mean of |x| under the window, where x is the input of the preceding `sign` layer",
            );
            visitor.visit(input_scale, Setting::Flag(&mut self.input_scale));
        }
    }
}

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Number of outputs.
    pub units: usize,
    /// Whether one value per unit is added; yes by default with float weights, never with packed
    /// ones.
    pub bias: bool,
    /// How weights are used; float by default.
    pub weights: Weights,
}

impl Default for Linear {
    fn default() -> Self {
        Self { units: 1, bias: true, weights: Weights::FLOAT }
    }
}

impl Definition for Linear {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = inputs[0];
        if self.units == 0 {
            return Err("units = 0: give at least 1".into());
        }
        self.weights.check()?;
        if self.weights.packed().is_some() && self.bias {
            return Err("a linear layer with packed weights has no bias; remove `bias`".into());
        }
        elements(&[self.units, input[0], input[1], input[2]])
            .ok_or("too many weights; use fewer units or a smaller input")?;
        Ok([self.units, 1, 1])
    }
}

impl Keys for Linear {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("units", "outputs").required("10"), Setting::Integer(&mut self.units, SOME));
        self.weights.keys(visitor);
        if visitor.purpose() == Purpose::Read {
            self.bias = self.weights.packed().is_none();
        }
        visitor.visit(key("bias", "add one learned value per unit"), Setting::Flag(&mut self.bias));
    }
}
