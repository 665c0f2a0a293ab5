//! Layers with weights: convolutions and linear layers.

use super::Weights;
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
        if visitor.purpose() == Purpose::List || self.weights.packed() {
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

impl Keys for Linear {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("units", "outputs").required("10"), Setting::Integer(&mut self.units, SOME));
        self.weights.keys(visitor);
        if visitor.purpose() == Purpose::Read {
            self.bias = !self.weights.packed();
        }
        visitor.visit(key("bias", "add one learned value per unit"), Setting::Flag(&mut self.bias));
    }
}
