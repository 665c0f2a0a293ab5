//! Each invocation loads its own operands: for software drivers, where a barrier costs more than a load saves.

use super::Outer;
use crate::caps::Caps;
use crate::kernel::Launch;
use crate::ops::sum;
use crate::variant::{Candidate, Split, Work};

/// Pixels of a line that are added without looking up.
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

/// Quads of channels and filters of an invocation: 16 products for each pair of loads, narrower where the tensor is.
fn blocks(outer: &Outer) -> [usize; 2] {
    [outer.x.quads().min(2), outer.dy.quads().min(2)]
}

/// Invocations of a part, and parts: as many as are wanted, or else as the device runs at once; as memory affords, and as the bound on the error asks for.
fn split(outer: &Outer, caps: &Caps, wanted: Option<usize>) -> (usize, usize) {
    let [c_block, k_block] = blocks(outer);
    let items = outer.taps * outer.x.quads().div_ceil(c_block) * outer.dy.quads().div_ceil(k_block);
    let [images, out_h, _, _] = outer.dy.nhwc();
    // A chunk has more than CHUNK - SEGMENT rows, a part CHUNK chunks at most.
    let needed = outer.dy.rows().div_ceil(sum::CHUNK * (sum::CHUNK - SEGMENT));
    // Partial sums cost memory: at most a mebibyte, or four copies of a large dw.
    let affordable = ((1 << 20) / (4 * outer.of_row())).max(4);
    let fill = wanted.unwrap_or_else(|| caps.class.traits().width.div_ceil(items));
    let parts = fill.min((images * out_h).div_ceil(4)).min(affordable).max(needed).max(1);
    (items, parts)
}
