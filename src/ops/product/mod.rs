//! The implicit matrix products of convolutions,
//! `out[row, n] = Σ_taps Σ_l a[source(row, tap), l] · b[tap, l, n]`: the problem and its kernel
//! variants.
//!
//! a, b and `source` are defined by a few lines of WGSL of the operation; the kernels are otherwise
//! the same.

mod coop;
mod registers;
mod tile;

use super::coop::Halves;
use super::sum;
use super::window::Window;
use crate::caps::Caps;
use crate::kernel::{Launch, Program};
use crate::tensor::TensorType;
use crate::variant::{self, Candidate, Offer, Split};

/// Parameters of a product.
pub(super) struct Product {
    /// Stem of the operation.
    pub stem: &'static str,
    /// WGSL that maps output rows to source rows and loads the operands.
    pub texts: [&'static str; 2],
    /// Number of rows of the result.
    pub rows: usize,
    /// Number of lanes of a row of the result.
    pub columns: usize,
    /// Number of taps of the window.
    pub taps: usize,
    /// Number of lanes that are summed at each tap.
    pub length: usize,
    /// Phases of the rows if their taps differ because of a stride.
    pub phases: Phases,
    /// Configuration for cooperative matrices, if the product can run on them.
    pub halves: Option<Halves>,
}

/// Grouping of the input rows of a strided convolution by their taps: rows whose positions are
/// equal modulo the stride have the same taps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Phases {
    /// Number of rows of each phase, including padding if the stride does not divide the input; 0
    /// if there is a single phase.
    pub rows: usize,
    /// Number of taps of each phase.
    pub taps: Vec<usize>,
}

impl Phases {
    /// Phases of the input of a window; a single one if the stride is 1 or the dilation is not.
    pub(super) fn of(window: &Window, input: &TensorType) -> Self {
        let ([n, h, w, _], [down, right]) = (input.nhwc(), window.stride);
        if window.stride == [1, 1] || window.dilation != [1, 1] {
            return Self::default();
        }
        let seen = |axis: usize, at: usize| {
            let (stride, first) = (window.stride[axis], (at + window.padding[axis]) % window.stride[axis]);
            window.kernel[axis].saturating_sub(first).div_ceil(stride)
        };
        let taps = (0..down * right).map(|phase| seen(0, phase / right) * seen(1, phase % right));
        Self { rows: n * h.div_ceil(down) * w.div_ceil(right), taps: taps.collect() }
    }
}

/// All kernel variants, the simplest last. A new variant is a file and a line here.
const CANDIDATES: &[&dyn Candidate<Product>] = &[
    &coop::COOP_16,
    &coop::COOP_8,
    &tile::LARGE,
    &tile::MEDIUM,
    &tile::TALL,
    &tile::FOLDED,
    &tile::NARROW,
    &tile::FOLDED_NARROW,
    &tile::SMALL,
    &registers::Registers,
];

impl Product {
    /// Number of multiply-adds of the whole product.
    fn work(&self) -> usize {
        self.rows * self.columns * self.taps * self.length
    }

    /// The same product with the inputs that a plan stores in half precision.
    fn stored(mut self, caps: &Caps) -> Self {
        self.halves = self.halves.map(|halves| halves.stored(caps.half_inputs));
        self
    }

    /// Kernel variants that the device supports, the default one first.
    pub(super) fn candidates(self, caps: &Caps) -> Vec<Offer> {
        let product = self.stored(caps);
        variant::offers(product.stem, CANDIDATES, &product, caps)
    }

    /// The program on a device, which writes `output` under `name`: `bind` binds the inputs and
    /// extends the uniform.
    pub(super) fn program(
        self,
        (name, output): (&'static str, &TensorType),
        caps: &Caps,
        bind: impl Fn(Launch) -> Launch,
    ) -> Program {
        let product = self.stored(caps);
        let Split { launch, parts } = variant::launch(product.stem, CANDIDATES, &product, caps);
        let in_halves = launch.kernel.f16;
        let program = sum::of_parts(product.stem, bind(launch), name, parts, output);
        match &product.halves {
            Some(halves) if in_halves => halves.program(product.stem, program),
            _ => program,
        }
    }
}
