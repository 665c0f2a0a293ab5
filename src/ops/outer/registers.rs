//! Each invocation loads its own operands: for software drivers, where a barrier costs more than a load saves.

use super::Outer;
use crate::caps::{Caps, LaunchShape};
use crate::kernel::Launch;
use crate::ops::sum;
use crate::variant::{self, Candidate, Split};

/// Pixels of a line that are added without looking up.
const SEGMENT: usize = sum::CHUNK / 2;

pub(super) struct Registers;

impl Candidate<Outer> for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn launch(&self, outer: &Outer, caps: &Caps) -> Split {
        let [c_block, k_block] = blocks(outer);
        let (items, parts) = split(outer, caps);
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
        let work = outer.of_row() * outer.dy.rows();
        if caps.shape == LaunchShape::Registers {
            return work as f64;
        }
        let (items, parts) = split(outer, caps);
        variant::cost(work, work, 0.1, items * parts, caps.width())
    }
}

/// Quads of channels and filters of an invocation: 16 products for each pair of loads, narrower where the tensor is.
fn blocks(outer: &Outer) -> [usize; 2] {
    [outer.x.quads().min(2), outer.dy.quads().min(2)]
}

/// Invocations of a part, and parts.
fn split(outer: &Outer, caps: &Caps) -> (usize, usize) {
    let [c_block, k_block] = blocks(outer);
    let items = outer.taps * outer.x.quads().div_ceil(c_block) * outer.dy.quads().div_ceil(k_block);
    let [images, out_h, _, _] = outer.dy.nhwc();
    // A chunk has more than CHUNK - SEGMENT rows, a part CHUNK chunks at most.
    let needed = outer.dy.rows().div_ceil(sum::CHUNK * (sum::CHUNK - SEGMENT));
    // Partial sums cost memory: at most a mebibyte, or four copies of a large dw.
    let affordable = ((1 << 20) / (4 * outer.of_row())).max(4);
    let parts = caps.width().div_ceil(items).min((images * out_h).div_ceil(4)).min(affordable).max(needed).max(1);
    (items, parts)
}
