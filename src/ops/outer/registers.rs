//! Each invocation loads its own operands: for software drivers, on which a barrier costs more than
//! shared loads save.

use super::Outer;
use crate::caps::Caps;
use crate::kernel::Launch;
use crate::ops::sum;
use crate::variant::{Candidate, Split, Work};

/// Number of pixels of a line that are added without a lookup.
const SEGMENT: usize = sum::CHUNK / 2;

pub(super) struct Registers;

impl Candidate<Outer> for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn launch(&self, outer: &Outer, caps: &Caps, parts: Option<usize>) -> Split {
        let [c_block, k_block] = blocks(outer);
        let (items, parts) = split(outer, caps, parts);
        let launch = Launch::new(
            format!("{}_registers", outer.stem),
            &[&outer.operand[..], &[include_str!("../../../shaders/gemm_dw_registers.wgsl")]].concat(),
        )
        .constant("CQ", c_block)
        .constant("KQ", k_block)
        .constant("SEGMENT", SEGMENT)
        .threads(items * parts)
        .executes(items * c_block * k_block * 16 * outer.dy.rows());
        Split { launch, parts }
    }

    fn cost(&self, outer: &Outer, caps: &Caps) -> f64 {
        let (items, parts) = split(outer, caps, None);
        let needed = outer.of_row() * outer.dy.rows();
        Work { executed: needed, needed, staged: false, speed: 2.0 / 3.0, invocations: items * parts, sums: 128 }
            .cost(caps)
    }
}

/// Quads of channels and filters per invocation: 16 products per pair of loads, fewer if the tensor
/// is narrower.
fn blocks(outer: &Outer) -> [usize; 2] {
    [outer.x.quads().min(2), outer.dy.quads().min(2)]
}

/// Number of invocations per part and number of parts: `wanted` parts, or as many as the device
/// runs concurrently; limited by memory, and at least as many as the error bound requires.
fn split(outer: &Outer, caps: &Caps, wanted: Option<usize>) -> (usize, usize) {
    let [c_block, k_block] = blocks(outer);
    let items = outer.taps * outer.x.quads().div_ceil(c_block) * outer.dy.quads().div_ceil(k_block);
    let [images, out_h, _, _] = outer.dy.nhwc();
    // A chunk has more than CHUNK - SEGMENT rows, a part at most CHUNK chunks.
    let needed = outer.dy.rows().div_ceil(sum::CHUNK * (sum::CHUNK - SEGMENT));
    // Memory of partial sums: at most one mebibyte, or four copies of a large dw.
    let affordable = ((1 << 20) / (4 * outer.of_row())).max(4);
    let fill = wanted.unwrap_or_else(|| caps.class.traits().width.div_ceil(items));
    let parts = fill.min((images * out_h).div_ceil(4)).min(affordable).max(needed).max(1);
    (items, parts)
}
