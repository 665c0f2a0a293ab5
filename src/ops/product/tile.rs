//! Operands are staged in workgroup memory and shared by the invocations of a tile: for GPUs.

use super::{Phases, Product};
use crate::caps::Caps;
use crate::kernel::Launch;
use crate::ops::sum;
use crate::variant::{self, Candidate, Needs, Split, Work};

/// Number of quads of l that are staged together.
const STEP_QUADS: usize = 4;

crate::params! {
    /// Number of steps of the sum, number of its parts, and steps per part. Uniform values rather
    /// than constants, so that problems of different sizes share a kernel.
    struct Steps { steps: u32, parts: u32, of_part: u32 }
}

/// Tile size and cost parameters.
pub(super) struct Tile {
    name: &'static str,
    /// Quads of rows and of columns of a workgroup.
    quads: [usize; 2],
    /// Quads of rows and of columns of an invocation.
    of_one: [usize; 2],
    /// Whether l runs over all taps: no step is wasted if there are few channels, but taps are
    /// looked up in each step.
    folded: bool,
    /// Speed relative to the fastest variant when the tile is full.
    speed: f64,
}

/// 128 rows × 128 columns, 16 × 8 per invocation: many products per staged word.
pub(super) const LARGE: Tile = Tile { name: "tile128", quads: [32, 32], of_one: [4, 2], folded: false, speed: 1.0 };
/// 64 rows × 64 columns, 8 × 8 per invocation.
pub(super) const MEDIUM: Tile = Tile { name: "tile64", quads: [16, 16], of_one: [2, 2], speed: 0.9, ..LARGE };
/// 128 rows × 64 columns, 16 × 8 per invocation: for results of 64 columns. Not measured on a GPU:
/// its speed is set so low that only `tune` selects it.
pub(super) const TALL: Tile = Tile { name: "tile128x64", quads: [32, 16], speed: 0.5, ..LARGE };
/// [`MEDIUM`] for few channels.
pub(super) const FOLDED: Tile = Tile { name: "folded64", folded: true, speed: 0.75, ..MEDIUM };
/// 64 rows × 16 columns, 4 × 4 per invocation: for few columns.
pub(super) const NARROW: Tile = Tile { name: "narrow", quads: [16, 4], of_one: [1, 1], speed: 0.6, ..LARGE };
/// [`NARROW`] for few channels.
pub(super) const FOLDED_NARROW: Tile = Tile { name: "folded_narrow", folded: true, speed: 0.5, ..NARROW };
/// 16 rows × 16 columns, 4 × 4 per invocation: for small batches.
pub(super) const SMALL: Tile = Tile { name: "tile16", quads: [4, 4], speed: 0.5, ..NARROW };

impl Tile {
    fn threads(&self) -> usize {
        self.quads[0] / self.of_one[0] * (self.quads[1] / self.of_one[1])
    }

    fn tiles(&self, product: &Product) -> usize {
        let rows = |rows: usize| rows.div_ceil(4 * self.quads[0]);
        let Phases { rows: of_phase, taps } = &product.phases;
        let row_tiles = if taps.is_empty() { rows(product.rows) } else { taps.len() * rows(*of_phase) };
        row_tiles * product.columns.div_ceil(4 * self.quads[1])
    }

    /// Number of steps of the whole sum; if phases differ, of the longest one.
    fn steps(&self, product: &Product) -> usize {
        let step = 4 * STEP_QUADS;
        match self.folded {
            true => (product.taps * product.length).div_ceil(step),
            false => product.phases.taps.iter().copied().max().unwrap_or(product.taps) * product.length.div_ceil(step),
        }
    }

    /// Number of multiply-adds, including those of padding.
    fn executed(&self, product: &Product) -> usize {
        let (step, taps) = (4 * STEP_QUADS, &product.phases.taps);
        let steps = match taps.is_empty() {
            true => self.tiles(product) * self.steps(product),
            false => self.tiles(product) / taps.len() * taps.iter().sum::<usize>() * product.length.div_ceil(step),
        };
        steps * 16 * self.quads[0] * self.quads[1] * step
    }

    /// Number of sums per invocation.
    fn sums(&self) -> usize {
        16 * self.of_one[0] * self.of_one[1]
    }

    /// Number of parts of the sum, and steps per part: `wanted` parts, or as many as the device
    /// runs concurrently, and at least as many as the error bound requires.
    fn parts(&self, product: &Product, caps: &Caps, wanted: Option<usize>) -> (usize, usize) {
        let steps = self.steps(product);
        let at_once = || variant::capacity(self.sums(), caps) / (self.tiles(product) * self.threads());
        let fill = wanted.unwrap_or_else(at_once);
        let affordable = sum::PARTS_BYTES / (4 * product.rows * product.columns);
        let of_part = steps.div_ceil(fill.min(affordable).clamp(1, steps)).min(sum::TILE_CHUNK / (4 * STEP_QUADS));
        (steps.div_ceil(of_part), of_part)
    }
}

impl Candidate<Product> for Tile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self, _: &Product) -> Needs {
        Needs {
            workgroup_bytes: 16 * 4 * STEP_QUADS * (self.quads[0] + self.quads[1]),
            threads: self.threads(),
            coop: 0,
        }
    }

    fn fits(&self, product: &Product) -> bool {
        !self.folded || product.phases.taps.is_empty()
    }

    fn launch(&self, product: &Product, caps: &Caps, parts: Option<usize>) -> Split {
        let (parts, of_part) = self.parts(product, caps, parts);
        let [rows_of, operands] = product.texts;
        let phased = !product.phases.taps.is_empty();
        let mut texts = vec![rows_of, operands, include_str!("../../../shaders/product_tile.wgsl")];
        texts.extend(phased.then_some(include_str!("../../../shaders/window_phases.wgsl")));
        let (threads, [row_quads, column_quads], [rq, cq]) = (self.threads(), self.quads, self.of_one);
        let launch = Launch::new(format!("{}_{}", product.stem, self.name), &texts)
            .workgroup(threads)
            .constant("ROW_QUADS", row_quads)
            .constant("COLUMN_QUADS", column_quads)
            .constant("RQ", rq)
            .constant("CQ", cq)
            .constant("A_LOADS", (STEP_QUADS * row_quads).div_ceil(threads))
            .constant("A_SPARE", usize::from(STEP_QUADS * row_quads < threads))
            .constant("B_SPARE", usize::from(STEP_QUADS * column_quads < threads))
            .constant("FOLDED", usize::from(self.folded))
            .constant("PHASED", usize::from(phased))
            .params(&Steps { steps: self.steps(product) as u32, parts: parts as u32, of_part: of_part as u32 })
            .groups(parts * self.tiles(product))
            .executes(self.executed(product));
        Split { launch: launch.trusted(), parts }
    }

    fn cost(&self, product: &Product, caps: &Caps) -> f64 {
        let (parts, _) = self.parts(product, caps, None);
        let work = Work {
            executed: self.executed(product),
            needed: product.work(),
            staged: true,
            speed: self.speed,
            invocations: parts * self.tiles(product) * self.threads(),
            sums: self.sums(),
        };
        work.cost(caps) + sum::cost(parts, product.rows * product.columns)
    }
}
