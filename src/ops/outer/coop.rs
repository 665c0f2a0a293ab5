//! Kernel variants on cooperative matrices: codes are exact in half precision, floats are split
//! into two half floats.

use super::Outer;
use crate::caps::Caps;
use crate::ops::coop::{Halves, Tile};
use crate::ops::sum;
use crate::tensor::{Encoding, WORD_BITS};
use crate::variant::{Candidate, Exactness, Needs, Split, Work};

/// A tile of cooperative matrices and its cost parameter.
pub(super) struct Coop {
    tile: Tile,
    /// Speed relative to the fastest float variant when the tile is full and each number is a
    /// single half float.
    speed: f64,
}

/// Not measured in the engine. Its products in isolation ran at 257 TFLOP/s on an NVIDIA H200 with
/// one half float per number, where the float tiles run at 31 TFLOP/s.
pub(super) const COOP_16: Coop = Coop { tile: Tile::TILE_16, speed: 8.0 };
/// Not measured: its speed is set so low that no estimate selects it, nor does `tune`, which never
/// replaces floats by half floats; `bench` times it.
pub(super) const COOP_8: Coop = Coop { tile: Tile::TILE_8, speed: 0.2 };

/// Configuration of the operation for half precision.
fn halves(outer: &Outer) -> &Halves {
    outer.halves.as_ref().expect("a weight gradient that can run in half precision")
}

/// Rows and columns of the result for the tile: channels of all taps, with codes in whole words,
/// and filters.
fn sides(outer: &Outer) -> [usize; 2] {
    let channels = match outer.x.encoding {
        Encoding::Planes(_) => outer.x.plane_words() * WORD_BITS,
        _ => outer.x.lanes(),
    };
    [outer.taps * channels, outer.dy.lanes()]
}

impl Coop {
    fn tiles(&self, outer: &Outer) -> usize {
        self.tile.tiles(&halves(outer).operands, sides(outer))
    }

    fn parts(&self, outer: &Outer, caps: &Caps, wanted: Option<usize>) -> (usize, usize) {
        let operands = &halves(outer).operands;
        self.tile.parts(operands, sides(outer), outer.dy.rows().div_ceil(operands.depth), caps, wanted)
    }

    /// Number of multiply-adds, including those of padding; both half floats of a number count as
    /// one.
    fn executed(&self, outer: &Outer, (parts, of_part): (usize, usize)) -> usize {
        let operands = &halves(outer).operands;
        let ([rows, columns], [of_rows, of_columns]) = (sides(outer), self.tile.sides(operands));
        rows.next_multiple_of(of_rows) * columns.next_multiple_of(of_columns) * parts * of_part * operands.depth
    }
}

impl Candidate<Outer> for Coop {
    fn name(&self) -> &'static str {
        self.tile.name
    }

    fn exactness(&self) -> Exactness {
        Exactness::Halves
    }

    fn needs(&self, outer: &Outer) -> Needs {
        outer.halves.as_ref().map_or_else(Needs::default, |halves| self.tile.needs(&halves.operands))
    }

    fn fits(&self, outer: &Outer) -> bool {
        outer.halves.is_some()
    }

    fn launch(&self, outer: &Outer, caps: &Caps, parts: Option<usize>) -> Split {
        let (parts, of_part) = self.parts(outer, caps, parts);
        let launch = halves(outer).launch(&self.tile, outer.stem, of_part, caps);
        let executed = self.executed(outer, (parts, of_part));
        Split { launch: launch.groups(parts * self.tiles(outer)).executes(executed), parts }
    }

    fn cost(&self, outer: &Outer, caps: &Caps) -> f64 {
        let (parts, of_part) = self.parts(outer, caps, None);
        let work = Work {
            executed: self.executed(outer, (parts, of_part)),
            needed: outer.of_row() * outer.dy.rows(),
            staged: true,
            speed: self.speed / halves(outer).operands.products() as f64,
            invocations: parts * self.tiles(outer) * self.tile.threads(caps),
            sums: self.tile.sums(&halves(outer).operands, caps),
        };
        work.cost(caps) + sum::cost(parts, outer.of_row())
    }
}
