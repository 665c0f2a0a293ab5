//! Each invocation loads its own operands: for software drivers, on which a barrier costs more than
//! shared loads save.

use super::Product;
use crate::caps::Caps;
use crate::kernel::Launch;
use crate::ops::sum;
use crate::variant::{Candidate, Split, Work};

/// Number of rows per invocation.
const ROWS: usize = 4;

crate::params! {
    /// Number of parts of the sum, and chunks per part. Uniform values rather than constants, so
    /// that problems of different sizes share a kernel.
    struct Chunks { parts: u32, of_part: u32 }
}

pub(super) struct Registers;

impl Candidate<Product> for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn launch(&self, product: &Product, _caps: &Caps, _parts: Option<usize>) -> Split {
        let (quads, rows) = (product.columns / 4, product.rows);
        let (parts, of_part) = sum::parts(product.taps * product.length.div_ceil(sum::CHUNK));
        // Two quads of columns if their number is even: rows are loaded once for both, and
        // neighbours share the decoding of weights.
        let block = if quads.is_multiple_of(2) { 2 } else { 1 };
        let [rows_of, operands] = product.texts;
        let launch = Launch::new(
            format!("{}_registers", product.stem),
            &[rows_of, operands, include_str!("../../../shaders/gemm_registers.wgsl")],
        )
        .constant("ROWS", ROWS)
        .constant("CQ", block)
        .constant("CHUNK_QUADS", sum::CHUNK / 4)
        .params(&Chunks { parts: parts as u32, of_part: of_part as u32 })
        .threads(parts * rows.div_ceil(ROWS) * quads / block)
        .executes(product.rows.next_multiple_of(ROWS) * product.columns * product.taps * product.length);
        Split { launch, parts }
    }

    fn cost(&self, product: &Product, caps: &Caps) -> f64 {
        let (executed, needed) = (product.work(), product.work());
        let invocations = product.rows * product.columns / 4 / ROWS;
        Work { executed, needed, staged: false, speed: 1.0, invocations, sums: 128 }.cost(caps)
    }
}
