//! Fixed point ⟨IL, FL⟩ (Gupta, Agrawal, Gopalakrishnan, Narayanan, 2015): IL bits before the point, with the sign, and FL behind it, as `[IL, FL]`.

use super::keys::{Keys, Slot, Visitor, key, word, words};

/// As many bits as f32 holds exactly.
const MOST_BITS: usize = 24;

/// Whether a tensor can have this format.
pub fn format_fits([integer, fraction]: [usize; 2]) -> bool {
    integer >= 1 && integer.saturating_add(fraction) <= MOST_BITS
}

/// What to write where a format does not fit.
pub const FORMAT_WANTED: &str =
    "give [IL, FL], 1 or more bits before the point, and at most 24 in all, such as [2, 14]";

/// `Err` unless a tensor can have this format.
pub(super) fn check_format(format: [usize; 2]) -> Result<(), String> {
    let [integer, fraction] = format;
    if format_fits(format) { Ok(()) } else { Err(format!("format [{integer}, {fraction}]: {FORMAT_WANTED}")) }
}

/// Where a number between two that a format holds goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Up as likely as it is near, so that the mean is the number itself.
    Stochastic,
}

words!(Rounding { Nearest = "nearest", Stochastic = "stochastic" });

/// Activations in fixed point; the gradient of what saturates is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixed {
    /// `[IL, FL]`.
    pub format: [usize; 2],
    /// To nearest by default, and always in inference.
    pub rounding: Rounding,
    /// Of the gradient; none by default, and it stays as it is.
    pub gradient_format: Option<[usize; 2]>,
}

impl Default for Fixed {
    fn default() -> Self {
        Self { format: [2, 14], rounding: Rounding::Nearest, gradient_format: None }
    }
}

impl Keys for Fixed {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let format = key("format", "[IL, FL]: bits before the point, with the sign, and behind it");
        visitor.visit(format, Slot::Format(&mut self.format));
        word(visitor, key("rounding", "of values and gradients; in inference always to nearest"), &mut self.rounding);
        let gradient = key("gradient_format", "[IL, FL] of the gradient, or \"float\"");
        visitor.visit(gradient, Slot::FormatOrFloat(&mut self.gradient_format));
    }
}
