//! The implicit matrix products of convolutions, `out[row, n] = Σ_taps Σ_l a[source(row, tap), l] · b[tap, l, n]`: the problem, and its kernels.
//!
//! What a, b and `source` are, a few lines of WGSL of the operation say; the kernels do not differ in them.

mod registers;
mod tile;

use super::sum;
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
}

/// Every kernel, the plainest last. A new one is a file and a line here.
const CANDIDATES: &[&dyn Candidate<Product>] =
    &[&tile::LARGE, &tile::MEDIUM, &tile::FOLDED, &tile::NARROW, &tile::FOLDED_NARROW, &registers::Registers];

impl Product {
    /// Multiply-adds of the whole product.
    fn work(&self) -> usize {
        self.rows * self.columns * self.taps * self.length
    }

    /// Kernels that a device can run, the preferred one first.
    pub(super) fn candidates(&self, caps: &Caps) -> Vec<&'static str> {
        variant::names(CANDIDATES, self, caps)
    }

    /// The program on a device, which writes `output` under `name`: `bind` binds what is read.
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
