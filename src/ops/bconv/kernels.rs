//! Kernel variants of the packed convolution. All produce the same integers.

use super::{BCONV, GATHER};
use crate::caps::Caps;
use crate::kernel::Launch;
use crate::ops::coop;
use crate::tensor::WORD_BITS;
use crate::variant::{Candidate, Exactness, Needs, Split, Work};

/// Parameters of a packed product.
pub(super) struct Packed {
    /// Number of rows of the result.
    pub rows: usize,
    /// Number of lanes of a row of the result.
    pub filters: usize,
    /// Number of taps of the window.
    pub taps: usize,
    /// Number of words of a code plane of a row.
    pub words: usize,
    /// Planes of codes and of signs that are staged together.
    pub planes: [usize; 2],
    /// Total number of products of a code plane and a sign plane.
    pub pairs: usize,
    /// Whether codes are uniform and signs have one plane, so that integers are summed only once.
    pub plain: bool,
}

/// All kernel variants, the simplest last. A new variant is a line here, and a file if it is of
/// another kind.
pub(super) const CANDIDATES: &[&dyn Candidate<Packed>] = &[&COOP_16, &COOP_8, &TILE_64, &NARROW, &Registers];

/// Each invocation loads its own operands: for software drivers, on which a barrier costs more than
/// shared loads save.
struct Registers;

/// Number of rows per invocation of [`Registers`].
const ROWS: usize = 4;

impl Candidate<Packed> for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn launch(&self, packed: &Packed, _caps: &Caps, _parts: Option<usize>) -> Split {
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
        let needed = packed.executed(packed.rows, packed.filters);
        let invocations = packed.rows * packed.filters / 4 / ROWS;
        Work { executed: needed, needed, staged: false, speed: 1.0, invocations, sums: 128 }.cost(caps)
    }
}

/// Operands are staged in workgroup memory and shared by the invocations of a tile: for GPUs.
struct Tile {
    name: &'static str,
    /// Rows of a workgroup, which is also its number of invocations.
    rows: usize,
    /// Quads of filters of a workgroup.
    quads: usize,
    /// Rows and quads of filters of an invocation.
    of_one: [usize; 2],
    /// Speed relative to the fastest variant when the tile is full.
    speed: f64,
}

/// 64 rows × 64 filters, 8 × 8 per invocation.
const TILE_64: Tile = Tile { name: "tile64", rows: 64, quads: 16, of_one: [8, 2], speed: 1.0 };
/// 64 rows × 16 filters, 4 × 4 per invocation: for few filters.
const NARROW: Tile = Tile { name: "narrow", quads: 4, of_one: [4, 1], speed: 0.85, ..TILE_64 };

/// On cooperative matrices. Not measured with matrices of 8 × 8: its speed is set so low that only
/// `tune` selects it.
const COOP_16: Coop = Coop { tile: coop::Tile::TILE_16, speed: 1.5 };
const COOP_8: Coop = Coop { tile: coop::Tile::TILE_8, speed: 0.3 };

/// Codes and signs as half floats on cooperative matrices: exact, because sums stay below 2^24.
struct Coop {
    tile: coop::Tile,
    /// Speed relative to the fastest variant, in one-bit multiply-adds, when the tile is full.
    speed: f64,
}

impl Coop {
    /// Number of multiply-adds, including those of padding.
    fn executed(&self, packed: &Packed) -> usize {
        let [rows, filters] = self.tile.sides(&OPERANDS);
        packed.rows.next_multiple_of(rows)
            * packed.filters.next_multiple_of(filters)
            * packed.taps
            * packed.words
            * WORD_BITS
    }
}

impl Candidate<Packed> for Coop {
    fn name(&self) -> &'static str {
        self.tile.name
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn needs(&self, _: &Packed) -> Needs {
        self.tile.needs(&OPERANDS)
    }

    fn fits(&self, packed: &Packed) -> bool {
        packed.plain && packed.planes[0] <= 2
    }

    fn launch(&self, packed: &Packed, caps: &Caps, _parts: Option<usize>) -> Split {
        let texts = vec![GATHER, BCONV, include_str!("../../../shaders/bconv_coop.wgsl")];
        let (ranged, stored, two_bits) = (Vec::new(), [None; 2], packed.planes[0] == 2);
        let halves = coop::Halves { texts, operands: OPERANDS, ranged, stored, two_bits };
        let launch = self.tile.launch("bconv", &halves, caps);
        let launch = launch
            .groups(self.tile.tiles(&OPERANDS, [packed.rows, packed.filters]))
            .executes(self.executed(packed) * packed.pairs);
        Split { launch, parts: 1 }
    }

    fn cost(&self, packed: &Packed, caps: &Caps) -> f64 {
        let (tiles, executed) = (self.tile.tiles(&OPERANDS, [packed.rows, packed.filters]), self.executed(packed));
        let needed = packed.rows * packed.filters * packed.taps * packed.words * WORD_BITS;
        let invocations = tiles * self.tile.threads(caps);
        Work { executed, needed, staged: true, speed: self.speed, invocations, sums: self.tile.sums(&OPERANDS, caps) }
            .cost(caps)
    }
}

/// One word of channels per step.
const OPERANDS: coop::Operands =
    coop::Operands { depth: WORD_BITS, of_subgroup: [4, 4], a: WORDS, b: WORDS, shuffled: false };
const WORDS: coop::Operand = coop::Operand { along_depth: true, item: WORD_BITS, numbers: coop::Numbers::Exact };

impl Packed {
    /// Number of one-bit multiply-adds of this many rows and filters, including those of channels
    /// that pad words.
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

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn needs(&self, packed: &Packed) -> Needs {
        let [codes, signs] = packed.planes;
        Needs {
            workgroup_bytes: 16 * (self.rows * codes + 4 * self.quads * signs) + 4 * self.rows,
            threads: self.rows,
            coop: 0,
        }
    }

    fn launch(&self, packed: &Packed, _caps: &Caps, _parts: Option<usize>) -> Split {
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
        let work = Work {
            executed: self.executed(packed),
            needed: packed.executed(packed.rows, packed.filters),
            staged: true,
            speed: self.speed,
            invocations: self.tiles(packed) * self.rows,
            sums: 4 * self.of_one[0] * self.of_one[1],
        };
        work.cost(caps)
    }
}
