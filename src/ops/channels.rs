//! Copying a range of channels from one tensor to another, for `slice` and `concat`.
//!
//! A kernel writes whole *units* of the output: quads of 4 numbers, or words of 32 bits. The
//! channels of a unit come from one unit of the source, or from two neighbouring ones if source and
//! target are not aligned; an aligned range is copied unit by unit.

use crate::kernel::{Launch, Operand};
use crate::tensor::{
    Encoding::{F16, F32, I16, I32, Planes, U32},
    LANES, TensorType, View, ViewMut, WORD_BITS,
};

/// Channels `from .. from + count` of one tensor become channels `to .. to + count` of another.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) count: usize,
}

/// Treatment of the other channels of the output.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rest {
    /// They become zero.
    Zero,
    /// Those below the range are kept. Of those above, the ones that share its last unit become
    /// zero.
    Kept,
}

crate::params! {
    struct ChannelsParams {
        rows: u32, in_units: u32, out_units: u32, first_unit: u32, units: u32, base: i32, shift: u32, low: u32, high: u32,
    }
}

const NUMBERS: &str = include_str!("../../shaders/channels_numbers.wgsl");
const BITS: &str = include_str!("../../shaders/channels_bits.wgsl");

/// Channels per unit, units per row of channels, and number of such rows in the tensor.
fn units(ty: &TensorType) -> (usize, usize, usize) {
    match ty.encoding {
        Planes(bits) => (WORD_BITS, ty.plane_words(), ty.rows() * bits as usize),
        _ => (LANES, ty.quads(), ty.rows()),
    }
}

/// The launch that copies a range from `x`, bound to `operand`, to the output `y`.
pub(super) fn launch(stem: &str, x: &TensorType, operand: Operand, y: &TensorType, run: Run, rest: Rest) -> Launch {
    let ((unit, in_units, rows), (_, out_units, _)) = (units(x), units(y));
    let end = run.to + run.count;
    let (first_unit, end_unit) = match rest {
        Rest::Zero => (0, out_units),
        Rest::Kept => (run.to / unit, end.div_ceil(unit)),
    };
    // Channel c of y is channel c − offset of x: unit u begins `shift` channels into unit u − base
    // of x.
    let offset = run.to as i64 - run.from as i64;
    let base = -(-offset).div_euclid(unit as i64);
    let params = ChannelsParams {
        rows: rows as u32,
        in_units: in_units as u32,
        out_units: out_units as u32,
        first_unit: first_unit as u32,
        units: (end_unit - first_unit) as u32,
        base: base as i32,
        shift: (base * unit as i64 - offset) as u32,
        low: run.to as u32,
        high: end as u32,
    };
    let kept = usize::from(rest == Rest::Kept && !run.to.is_multiple_of(unit));
    let launch = if let Planes(_) = x.encoding {
        Launch::new(format!("{stem}_codes"), &[BITS])
    } else {
        let exact = x.is_exact() && x.encoding != U32;
        let launch = Launch::new(stem, &[NUMBERS]).constant("EXACT", usize::from(exact));
        launch.constant("WORDS", usize::from(x.encoding == U32))
    };
    let items = rows * (end_unit - first_unit);
    let words_of_unit = y.words() / (rows * out_units);
    let read_units = rows * ((run.from + run.count).div_ceil(unit) - run.from / unit);
    launch
        .constant("KEPT", kept)
        .read("x", x.encoding, operand)
        .write("y", y.encoding, Operand::Output)
        .params(&params)
        .threads(items)
        .moves((read_units + items) * words_of_unit)
}

/// Reference implementation with plain loops; channels outside the range are kept.
pub(super) fn copy(x: View<'_>, y: &mut ViewMut<'_>, run: Run) {
    let (in_lanes, out_lanes) = (x.ty.lanes(), y.ty.lanes());
    match x.ty.encoding {
        F32 | I32 | U32 => copy_rows(x.words, in_lanes, y.words, out_lanes, run),
        I16 | F16 => {
            let out: &mut [u16] = bytemuck::cast_slice_mut(y.words);
            copy_rows(bytemuck::cast_slice(x.words), in_lanes, out, out_lanes, run);
        }
        Planes(_) => {
            let planes = x.words.chunks_exact(x.ty.plane_words()).zip(y.words.chunks_exact_mut(y.ty.plane_words()));
            for (from, to) in planes {
                for c in 0..run.count {
                    let (source, target) = (run.from + c, run.to + c);
                    let bit = from[source / WORD_BITS] >> (source % WORD_BITS) & 1;
                    to[target / WORD_BITS] |= bit << (target % WORD_BITS);
                }
            }
        }
    }
}

fn copy_rows<T: Copy>(x: &[T], in_lanes: usize, y: &mut [T], out_lanes: usize, run: Run) {
    for (x, y) in x.chunks_exact(in_lanes).zip(y.chunks_exact_mut(out_lanes)) {
        y[run.to..][..run.count].copy_from_slice(&x[run.from..][..run.count]);
    }
}
