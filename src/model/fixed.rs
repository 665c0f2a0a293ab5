//! Fixed-point format ⟨IL, FL⟩ (Gupta, Agrawal, Gopalakrishnan, Narayanan, 2015): IL integer bits,
//! including the sign, and FL fractional bits, written as `[IL, FL]`.

use super::definition::{Definition, Shape};
use crate::ops::fixed::MOST_BITS;
use crate::schema::{Integers, Key, Keys, Setting, Visitor, key, word, words};

pub use crate::ops::fixed::{Rounding, format_fits};

/// Advice for a format that is not supported.
pub const FORMAT_ADVICE: &str =
    "give [IL, FL] with at least 1 integer bit and at most 24 bits in total, such as [2, 14]";

/// The setting of a format.
pub(super) fn format_setting(format: &mut [usize; 2]) -> Setting<'_> {
    let fit = |format: &[usize]| matches!(*format, [integer, fraction] if format_fits([integer, fraction]));
    Setting::Integers(format, Integers { each: 0..=MOST_BITS, fit, advice: FORMAT_ADVICE.into() })
}

/// Visits a key whose value is a format, or "float" for none.
pub(super) fn format_or_float(visitor: &mut dyn Visitor, key: Key, format: &mut Option<[usize; 2]>) {
    let (mut word, mut inner) = (format.is_none().then_some(0), format.unwrap_or_default());
    visitor.visit(key, Setting::WordOr(&mut word, &["float"], Box::new(format_setting(&mut inner))));
    *format = word.is_none().then_some(inner);
}

/// Returns an error with advice unless a tensor can have this format.
pub(super) fn check_format(format: [usize; 2]) -> Result<(), String> {
    let [integer, fraction] = format;
    if format_fits(format) { Ok(()) } else { Err(format!("format [{integer}, {fraction}]: {FORMAT_ADVICE}")) }
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
        visitor.visit(format, format_setting(&mut self.format));
        word(
            visitor,
            key("rounding", "rounding of values and gradients; always to nearest in inference"),
            &mut self.rounding,
        );
        let gradient = key("gradient_format", "[IL, FL] of the gradient, or \"float\"");
        format_or_float(visitor, gradient, &mut self.gradient_format);
    }
}
