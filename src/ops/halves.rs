//! A number for each half of a tensor: what an update takes from its parameter groups.
//!
//! γ and β of a batch-norm are the two rows of one tensor, but two parameters in PyTorch's eyes: a group may hold the one without the other. Every other
//! parameter is a tensor of its own, and has the same number twice.

/// WGSL: `of_half(first, second, i)`, for a kernel whose uniform has the `quads` of the whole tensor.
pub(super) const HALVES: &str = include_str!("../../shaders/halves.wgsl");

/// A number for the first half of a tensor's memory, and one for the second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Halves(pub f32, pub f32);

impl Halves {
    /// The same for both.
    pub const fn both(value: f32) -> Self {
        Self(value, value)
    }

    /// The number of the element `i` of `len`, padding included.
    pub(super) fn at(self, i: usize, len: usize) -> f32 {
        if 2 * (i / 4) >= len / 4 { self.1 } else { self.0 }
    }
}
