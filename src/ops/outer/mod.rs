//! The weight gradients of convolutions,
//! `dw[tap, c, k] = Σ_row x[source(row, tap), c] · dy[row, k]`: the problem and its kernel
//! variants.
//!
//! The sum runs over all rows of dy, and the result is small: kernels split the rows into parts
//! until the device is fully occupied, and the parts are then added in a fixed order.

mod coop;
mod registers;
mod tile;

use super::coop::Halves;
use super::sum;
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType};
use crate::variant::{self, Candidate, Offer, Split};

/// Parameters of a weight gradient.
pub(super) struct Outer {
    /// Stem of the operation.
    pub stem: &'static str,
    /// WGSL that reads x and defines the scale of the result.
    pub operand: Vec<&'static str>,
    /// Number of taps of the window.
    pub taps: usize,
    /// Number of channels of all taps, without padding.
    pub channels: usize,
    /// Type of the activations.
    pub x: TensorType,
    /// Type of the gradient.
    pub dy: TensorType,
    /// Configuration for cooperative matrices, if the gradient can run on them.
    pub halves: Option<Halves>,
}

/// All kernel variants, the simplest last. A new variant is a file and a line here.
const CANDIDATES: &[&dyn Candidate<Outer>] = &[
    &coop::COOP_16,
    &coop::COOP_8,
    &tile::LARGE,
    &tile::MEDIUM,
    &tile::FOLDED,
    &tile::FOLDED_NARROW,
    &tile::FOLDED_16,
    &tile::FOLDED_8,
    &registers::Registers,
];

crate::params! {
    /// Number of parts of the rows. A uniform value rather than a constant, so that problems of
    /// different sizes share a kernel.
    struct Parts { parts: u32 }
}

impl Outer {
    /// Number of products per row.
    fn of_row(&self) -> usize {
        self.taps * self.x.lanes() * self.dy.lanes()
    }

    /// The same gradient with the inputs that a plan stores in half precision.
    fn stored(mut self, caps: &Caps) -> Self {
        self.halves = self.halves.map(|halves| halves.stored(caps.half_inputs));
        self
    }

    /// Kernel variants that the device supports, the default one first.
    pub(super) fn candidates(self, caps: &Caps) -> Vec<Offer> {
        let outer = self.stored(caps);
        variant::offers(outer.stem, CANDIDATES, &outer, caps)
    }

    /// The program on a device: `bind` binds x and the other inputs.
    pub(super) fn program(self, dw: &TensorType, caps: &Caps, bind: impl Fn(Launch) -> Launch) -> Program {
        let outer = self.stored(caps);
        let Split { launch, parts } = variant::launch(outer.stem, CANDIDATES, &outer, caps);
        let in_halves = launch.kernel.f16;
        let launch = bind(launch)
            .constant("CHUNK", sum::CHUNK)
            .add_params(&Parts { parts: parts as u32 })
            .read("dy", F32, Input(0))
            .float_ops(2 * outer.dy.len() * outer.channels);
        let program = sum::of_parts(outer.stem, launch, "part", parts, dw);
        match &outer.halves {
            Some(halves) if in_halves => halves.program(outer.stem, program),
            _ => program,
        }
    }
}
