//! The weight gradients of convolutions, `dw[tap, c, k] = Σ_row x[source(row, tap), c] · dy[row, k]`: the problem, and its kernels.
//!
//! The sum runs over all rows of dy, and the result is small: kernels cut the rows into parts until the device is full, and the parts are added up afterwards in a fixed order.

mod coop;
mod registers;
mod tile;

use super::coop::Halves;
use super::sum;
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType};
use crate::variant::{self, Candidate, Offer, Split};

/// A weight gradient, as its kernels see it.
pub(super) struct Outer {
    /// The operation.
    pub stem: &'static str,
    /// WGSL: how x is read, and what the result is multiplied by.
    pub operand: Vec<&'static str>,
    /// Positions of the window.
    pub taps: usize,
    /// Channels of all positions, without padding.
    pub channels: usize,
    /// The activations.
    pub x: TensorType,
    /// The gradient.
    pub dy: TensorType,
    /// How it runs on cooperative matrices, where it can.
    pub halves: Option<Halves>,
}

/// Every kernel, the plainest last. A new one is a file and a line here.
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
    /// Of the rows. No constant: problems of different sizes share a kernel.
    struct Parts { parts: u32 }
}

impl Outer {
    /// Products of a row.
    fn of_row(&self) -> usize {
        self.taps * self.x.lanes() * self.dy.lanes()
    }

    /// The same with what a plan stores in half precision.
    fn stored(mut self, caps: &Caps) -> Self {
        self.halves = self.halves.map(|halves| halves.stored(caps.half_inputs));
        self
    }

    /// Kernels that a device can run, the preferred one first.
    pub(super) fn candidates(self, caps: &Caps) -> Vec<Offer> {
        let outer = self.stored(caps);
        variant::offers(outer.stem, CANDIDATES, &outer, caps)
    }

    /// The program on a device: `bind` binds x and what it needs.
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
