//! The kernels of the packed convolution. All give the same integers.

use super::{BCONV, GATHER};
use crate::caps::{Caps, LaunchShape};
use crate::kernel::Launch;
use crate::tensor::WORD_BITS;
use crate::variant::{self, Candidate, Needs, Split};

/// A packed product, as its kernels see it.
pub(super) struct Packed {
    /// Rows of the result.
    pub rows: usize,
    /// Lanes of a row of the result.
    pub filters: usize,
    /// Positions of the window.
    pub taps: usize,
    /// Words of a plane of the codes of a row.
    pub words: usize,
    /// Planes of codes and of signs that are staged at once.
    pub planes: [usize; 2],
    /// Products of a plane of codes and a plane of signs, in all.
    pub pairs: usize,
}

/// Every kernel, the plainest last. A new one is a line here, and a file if it is of another kind.
pub(super) const CANDIDATES: &[&dyn Candidate<Packed>] = &[&TILE_64, &NARROW, &Registers];

/// Each invocation loads its own operands: for software drivers, where a barrier costs more than a load saves.
struct Registers;

/// Rows of an invocation of [`Registers`].
const ROWS: usize = 4;

impl Candidate<Packed> for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn launch(&self, packed: &Packed, _caps: &Caps) -> Split {
        let quads = packed.filters / 4;
        let block = if quads.is_multiple_of(2) { 2 } else { 1 };
        let texts = [GATHER, BCONV, include_str!("../../../shaders/bconv_registers.wgsl")];
        let launch = Launch::new("bconv_registers", &texts)
            .constant("ROWS", ROWS)
            .constant("CQ", block)
            .threads(packed.rows.div_ceil(ROWS) * quads / block)
            .executes(packed.executed(packed.rows.next_multiple_of(ROWS), packed.filters));
        Split { launch, parts: 1 }
    }

    fn cost(&self, packed: &Packed, caps: &Caps) -> f64 {
        let work = packed.executed(packed.rows, packed.filters);
        if caps.shape == LaunchShape::Registers {
            return work as f64;
        }
        variant::cost(work, work, 0.15, packed.rows * packed.filters / 4 / ROWS, caps.width())
    }
}

/// Operands are staged through workgroup memory and shared by the invocations of a tile: for GPUs.
struct Tile {
    name: &'static str,
    /// Rows of a workgroup, and its invocations.
    rows: usize,
    /// Quads of filters of a workgroup.
    quads: usize,
    /// Rows and quads of filters of an invocation.
    of_one: [usize; 2],
    /// Speed relative to the best, where the tile is full.
    speed: f64,
}

/// 64 rows × 64 filters, 8 × 8 an invocation.
const TILE_64: Tile = Tile { name: "tile64", rows: 64, quads: 16, of_one: [8, 2], speed: 1.0 };
/// 64 rows × 16 filters, 4 × 4 an invocation: for few filters.
const NARROW: Tile = Tile { name: "narrow", quads: 4, of_one: [4, 1], speed: 0.85, ..TILE_64 };

impl Packed {
    /// One-bit multiply-adds of so many rows and filters, those of channels that only fill words included.
    fn executed(&self, rows: usize, filters: usize) -> usize {
        rows * filters * self.taps * self.words * WORD_BITS * self.pairs
    }
}

impl Tile {
    fn tiles(&self, packed: &Packed) -> usize {
        packed.rows.div_ceil(self.rows) * packed.filters.div_ceil(4 * self.quads)
    }

    fn executed(&self, packed: &Packed) -> usize {
        self.tiles(packed) * packed.executed(self.rows, 4 * self.quads)
    }
}

impl Candidate<Packed> for Tile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self, packed: &Packed) -> Needs {
        let [codes, signs] = packed.planes;
        Needs { workgroup_bytes: 16 * (self.rows * codes + 4 * self.quads * signs) + 4 * self.rows, threads: self.rows }
    }

    fn launch(&self, packed: &Packed, _caps: &Caps) -> Split {
        let texts = [GATHER, BCONV, include_str!("../../../shaders/bconv_tile.wgsl")];
        let launch = Launch::new(format!("bconv_{}", self.name), &texts)
            .workgroup(self.rows)
            .constant("COLUMN_QUADS", self.quads)
            .constant("ROWS", self.of_one[0])
            .constant("CQ", self.of_one[1])
            .constant("SPARE", usize::from(4 * self.quads < self.rows))
            .groups(self.tiles(packed))
            .executes(self.executed(packed));
        Split { launch: launch.trusted(), parts: 1 }
    }

    fn cost(&self, packed: &Packed, caps: &Caps) -> f64 {
        let executed = self.executed(packed);
        if caps.shape == LaunchShape::Registers {
            return executed as f64 / (0.3 * self.speed);
        }
        variant::cost(
            executed,
            packed.executed(packed.rows, packed.filters),
            self.speed,
            self.tiles(packed) * self.rows,
            variant::capacity(4 * self.of_one[0] * self.of_one[1], caps),
        )
    }
}
