//! The implicit matrix products of convolutions, `out[row, n] = Σ_taps Σ_l a[source(row, tap), l] · b[tap, l, n]`: the problem, and its kernels.
//!
//! What a, b and `source` are, a few lines of WGSL of the operation say; the kernels do not differ in them.

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

/// A product, as its kernels see it.
pub(super) struct Product {
    /// The operation.
    pub stem: &'static str,
    /// WGSL: which rows belong together, and what the operands are.
    pub texts: [&'static str; 2],
    /// Rows of the result.
    pub rows: usize,
    /// Lanes of a row of the result.
    pub columns: usize,
    /// Positions of the window.
    pub taps: usize,
    /// Lanes that are added up under each tap.
    pub length: usize,
    /// Rows whose taps differ, where a stride makes them differ.
    pub phases: Phases,
    /// How it runs on cooperative matrices, where it can.
    pub halves: Option<Halves>,
}

/// The rows of a strided convolution's input, by the taps that they see: rows whose places are the same modulo the stride see the same ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Phases {
    /// Rows of each phase, those included that only fill up where the stride does not divide the input; 0 where there is one phase.
    pub rows: usize,
    /// Taps that each phase sees.
    pub taps: Vec<usize>,
}

impl Phases {
    /// Of the input of a window; one where the stride is 1, or where taps do not touch.
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

/// Every kernel, the plainest last. A new one is a file and a line here.
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
    /// Multiply-adds of the whole product.
    fn work(&self) -> usize {
        self.rows * self.columns * self.taps * self.length
    }

    /// The same with what a plan stores in half precision.
    fn stored(mut self, caps: &Caps) -> Self {
        self.halves = self.halves.map(|halves| halves.stored(caps.half_inputs));
        self
    }

    /// Kernels that a device can run, the preferred one first.
    pub(super) fn candidates(self, caps: &Caps) -> Vec<Offer> {
        let product = self.stored(caps);
        variant::offers(product.stem, CANDIDATES, &product, caps)
    }

    /// The program on a device, which writes `output` under `name`: `bind` binds what is read, and adds to the uniform.
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
