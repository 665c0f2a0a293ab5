//! Operands are staged in workgroup memory and shared by the invocations of a tile: for GPUs.

use super::Outer;
use crate::caps::Caps;
use crate::kernel::Launch;
use crate::ops::sum;
use crate::variant::{self, Candidate, Needs, Split, Work};

/// Number of rows that are staged together.
const STEP: usize = 16;

/// Minimum number of invocations for a large device, regardless of their register use: with fewer
/// it runs at half its speed.
const LEAST: usize = 32_000;

/// Tile size and cost parameters.
pub(super) struct Tile {
    name: &'static str,
    /// Quads of channels and of filters of a workgroup.
    quads: [usize; 2],
    /// Quads of channels and of filters of an invocation.
    of_one: [usize; 2],
    /// Whether the operands of the next step are fetched during the current one: hides memory
    /// latency, but takes registers.
    prefetch: bool,
    /// Whether the channels of a tile are those of all taps: no channel is wasted if there are few,
    /// but the tap of each is looked up.
    folded: bool,
    /// Speed relative to the fastest variant when the tile is full.
    speed: f64,
}

/// 128 channels × 128 filters, 16 × 8 per invocation: many products per staged word.
pub(super) const LARGE: Tile =
    Tile { name: "tile128", quads: [32, 32], of_one: [4, 2], prefetch: false, folded: false, speed: 1.0 };
/// 64 channels × 64 filters, 8 × 8 per invocation.
pub(super) const MEDIUM: Tile =
    Tile { name: "tile64", quads: [16, 16], of_one: [2, 2], prefetch: true, speed: 0.6, ..LARGE };
/// [`MEDIUM`] for few channels.
pub(super) const FOLDED: Tile = Tile { name: "folded64", folded: true, speed: 0.58, ..MEDIUM };
/// 128 channels × 16 filters, 8 × 4 per invocation: for few filters, and few channels.
pub(super) const FOLDED_NARROW: Tile =
    Tile { name: "folded_narrow", quads: [32, 4], of_one: [2, 1], speed: 0.45, ..FOLDED };

/// 64 channels × 16 filters, 4 × 4 per invocation: for few filters of very few channels.
pub(super) const FOLDED_16: Tile =
    Tile { name: "folded16", quads: [16, 4], of_one: [1, 1], speed: 0.4, ..FOLDED_NARROW };
/// 128 channels × 8 filters, 4 × 4 per invocation: for very few filters.
pub(super) const FOLDED_8: Tile =
    Tile { name: "folded8", quads: [32, 2], of_one: [1, 1], speed: 0.35, ..FOLDED_NARROW };

impl Tile {
    fn threads(&self) -> usize {
        self.quads[0] / self.of_one[0] * (self.quads[1] / self.of_one[1])
    }

    fn tiles(&self, outer: &Outer) -> usize {
        let channels = if self.folded {
            (outer.taps * outer.x.quads()).div_ceil(self.quads[0])
        } else {
            outer.taps * outer.x.quads().div_ceil(self.quads[0])
        };
        channels * outer.dy.quads().div_ceil(self.quads[1])
    }

    /// Number of parts of the rows: `wanted` parts, or as many as the device runs concurrently;
    /// limited by memory, and at least as many as the error bound requires.
    fn parts(&self, outer: &Outer, caps: &Caps, wanted: Option<usize>) -> usize {
        let rows = outer.dy.rows();
        let invocations = self.tiles(outer) * self.threads();
        let at_once = || variant::capacity(self.sums(), caps) / invocations;
        let fill = wanted.unwrap_or_else(|| at_once().max(LEAST.div_ceil(invocations)));
        let affordable = sum::PARTS_BYTES / (4 * outer.of_row());
        let needed = rows.div_ceil(sum::TILE_CHUNK);
        fill.min(rows.div_ceil(STEP)).min(affordable).max(needed).max(1)
    }

    /// Number of sums per invocation.
    fn sums(&self) -> usize {
        16 * self.of_one[0] * self.of_one[1]
    }

    /// Number of multiply-adds, including those of padding.
    fn executed(&self, outer: &Outer, parts: usize) -> usize {
        let rows = parts * outer.dy.rows().div_ceil(parts).next_multiple_of(STEP);
        self.tiles(outer) * 16 * self.quads[0] * self.quads[1] * rows
    }
}

impl Candidate<Outer> for Tile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self, _: &Outer) -> Needs {
        Needs { workgroup_bytes: 16 * STEP * (self.quads[0] + self.quads[1]), threads: self.threads(), coop: 0 }
    }

    fn launch(&self, outer: &Outer, caps: &Caps, parts: Option<usize>) -> Split {
        let parts = self.parts(outer, caps, parts);
        let (threads, [x_quads, dy_quads], [xq, kq]) = (self.threads(), self.quads, self.of_one);
        let of_row = threads / STEP;
        let texts = [
            &[include_str!("../../../shaders/window_gather.wgsl")][..],
            &outer.operand[..],
            &[include_str!("../../../shaders/outer_tile.wgsl")],
        ];
        let launch = Launch::new(format!("{}_{}", outer.stem, self.name), &texts.concat())
            .workgroup(threads)
            .constant("X_QUADS", x_quads)
            .constant("DY_QUADS", dy_quads)
            .constant("XQ", xq)
            .constant("KQ", kq)
            .constant("X_LOADS", x_quads / of_row)
            .constant("DY_LOADS", dy_quads.div_ceil(of_row))
            .constant("DY_SPARE", usize::from(dy_quads < of_row))
            .constant("FOLDED", usize::from(self.folded))
            .constant("STEP", STEP)
            .constant("PREFETCH", usize::from(self.prefetch))
            .groups(parts * self.tiles(outer))
            .executes(self.executed(outer, parts));
        Split { launch: launch.trusted(), parts }
    }

    fn cost(&self, outer: &Outer, caps: &Caps) -> f64 {
        let parts = self.parts(outer, caps, None);
        let work = Work {
            executed: self.executed(outer, parts),
            needed: outer.of_row() * outer.dy.rows(),
            staged: true,
            speed: self.speed,
            invocations: parts * self.tiles(outer) * self.threads(),
            sums: self.sums(),
        };
        work.cost(caps) + sum::cost(parts, outer.of_row())
    }
}
