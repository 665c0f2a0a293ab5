//! What the compiler needs to know about a kind of layer, besides its keys. A kind that is a single
//! operation is defined by this alone; the nodes of others are in `src/pass/build.rs`.

use crate::ops::Op;
use crate::ops::code::Code;
use crate::schema::Keys;

/// Channels, height, width.
pub type Shape = [usize; 3];

/// The definition of a kind of layer.
pub trait Definition: Keys {
    /// Whether it takes several inputs; others take exactly one.
    fn joins(&self) -> bool {
        false
    }

    /// Returns the output's shape, by default that of the first input, if the settings are valid.
    ///
    /// # Errors
    ///
    /// Returns an error that says what is wrong and what to do.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    /// Returns the learned parameters of a layer with one operation, for an input of these channels.
    fn learned(&self, _channels: usize) -> Vec<Learned> {
        Vec::new()
    }

    /// Returns the operation of a layer that is a single one: its inputs are the layer's inputs as
    /// floats `[n, h, w, c]`, followed by the learned parameters `[len]`.
    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        None
    }

    /// Returns what the output represents if it consists of codes.
    fn codes(&self) -> Option<Codes> {
        None
    }
}

/// A learned parameter of a layer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Learned {
    /// Its name in checkpoints, after the layer's.
    pub name: &'static str,
    /// Number of values.
    pub len: usize,
    /// Initial value.
    pub start: f32,
}

/// What the codes of a quantiser represent.
#[derive(Clone, PartialEq, Debug)]
pub struct Codes {
    /// The values.
    pub code: Code,
    /// Whether they are multiplied by the last learned parameter.
    pub scaled: bool,
}

impl From<Code> for Codes {
    fn from(code: Code) -> Self {
        Self { code, scaled: false }
    }
}
