//! The implicit matrix products of convolutions, `out[row, n] = Σ_taps Σ_l a[source(row, tap), l] · b[tap, l, n]`: the problem, and its kernels.
//!
//! What a, b and `source` are, a few lines of WGSL of the operation say; the kernels do not differ in them.

mod registers;
mod tile;

use super::sum;
use super::window::Window;
use crate::caps::Caps;
use crate::kernel::{Launch, Program};
use crate::tensor::TensorType;
use crate::variant::{self, Candidate, Split};

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
    &tile::LARGE,
    &tile::MEDIUM,
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

    /// Kernels that a device can run, the preferred one first.
    pub(super) fn candidates(&self, caps: &Caps) -> Vec<&'static str> {
        variant::names(CANDIDATES, self, caps)
    }

    /// The program on a device, which writes `output` under `name`: `bind` binds what is read, and adds to the uniform.
    pub(super) fn program(
        &self,
        (name, output): (&'static str, &TensorType),
        caps: &Caps,
        bind: impl Fn(Launch) -> Launch,
    ) -> Program {
        let Split { launch, parts } = variant::choose(self.stem, CANDIDATES, self, caps).launch(self, caps);
        sum::of_parts(self.stem, bind(launch), name, parts, output)
    }
}
