//! Fixed-point format ⟨IL, FL⟩ (Gupta, Agrawal, Gopalakrishnan, Narayanan, 2015): IL integer bits,
//! including the sign, and FL fractional bits, written as `[IL, FL]`.

use super::definition::{Definition, Shape};
use super::keys::{Keys, Slot, Visitor, key, word, words};

pub use crate::ops::fixed::{Rounding, format_fits};

/// Advice for a format that is not supported.
pub const FORMAT_WANTED: &str =
    "give [IL, FL] with at least 1 integer bit and at most 24 bits in total, such as [2, 14]";

/// Returns an error with advice unless a tensor can have this format.
pub(super) fn check_format(format: [usize; 2]) -> Result<(), String> {
    let [integer, fraction] = format;
    if format_fits(format) { Ok(()) } else { Err(format!("format [{integer}, {fraction}]: {FORMAT_WANTED}")) }
}

words!(Rounding { Nearest = "nearest", Stochastic = "stochastic" });

/// Activations in fixed point; the gradient of saturated values is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixed {
    /// `[IL, FL]`.
    pub format: [usize; 2],
    /// To nearest by default, and always in inference.
    pub rounding: Rounding,
    /// Format of the gradient; by default the gradient is not rounded.
    pub gradient_format: Option<[usize; 2]>,
}

impl Default for Fixed {
    fn default() -> Self {
        Self { format: [2, 14], rounding: Rounding::Nearest, gradient_format: None }
    }
}

impl Definition for Fixed {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        check_format(self.format)?;
        self.gradient_format.map_or(Ok(()), check_format)?;
        Ok(inputs[0])
    }
}

impl Keys for Fixed {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let format = key("format", "[IL, FL]: integer bits, including the sign, and fractional bits");
        visitor.visit(format, Slot::Format(&mut self.format));
        word(
            visitor,
            key("rounding", "rounding of values and gradients; always to nearest in inference"),
            &mut self.rounding,
        );
        let gradient = key("gradient_format", "[IL, FL] of the gradient, or \"float\"");
        visitor.visit(gradient, Slot::FormatOrFloat(&mut self.gradient_format));
    }
}
