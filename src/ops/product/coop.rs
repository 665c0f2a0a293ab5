//! Kernel variants on cooperative matrices, with floats split into two half floats.

use super::Product;
use crate::caps::Caps;
use crate::ops::coop::{Halves, Tile};
use crate::ops::sum;
use crate::variant::{Candidate, Exactness, Needs, Split, Work};

/// A tile of cooperative matrices and its cost parameter.
pub(super) struct Coop {
    tile: Tile,
    /// Speed relative to the fastest float variant when the tile is full and each number is a
    /// single half float.
    speed: f64,
}

/// Not measured in the engine. Its products in isolation ran at 258 TFLOP/s on an NVIDIA H200 with
/// one half float per number, where the float tiles run at 31 TFLOP/s.
pub(super) const COOP_16: Coop = Coop { tile: Tile::TILE_16, speed: 8.0 };
/// Not measured: its speed is set so low that no estimate selects it, nor does `tune`, which never
/// replaces floats by half floats; `bench` times it.
pub(super) const COOP_8: Coop = Coop { tile: Tile::TILE_8, speed: 0.2 };

/// Configuration of the operation for half precision.
fn halves(product: &Product) -> &Halves {
    product.halves.as_ref().expect("a product that can run in half precision")
}

impl Coop {
    fn tiles(&self, product: &Product) -> usize {
        self.tile.tiles(&halves(product).operands, [product.rows, product.columns])
    }

    fn parts(&self, product: &Product, caps: &Caps, wanted: Option<usize>) -> (usize, usize) {
        let operands = &halves(product).operands;
        let steps = product.taps * product.length.div_ceil(operands.depth);
        self.tile.parts(operands, [product.rows, product.columns], steps, caps, wanted)
    }

    /// Number of multiply-adds, including those of padding; both half floats of a number count as
    /// one.
    fn executed(&self, product: &Product) -> usize {
        let operands = &halves(product).operands;
        let [rows, columns] = self.tile.sides(operands);
        let lines = product.rows.next_multiple_of(rows) * product.columns.next_multiple_of(columns);
        lines * product.taps * product.length.next_multiple_of(operands.depth)
    }
}

impl Candidate<Product> for Coop {
    fn name(&self) -> &'static str {
        self.tile.name
    }

    fn exactness(&self) -> Exactness {
        Exactness::Halves
    }

    fn needs(&self, product: &Product) -> Needs {
        product.halves.as_ref().map_or_else(Needs::default, |halves| self.tile.needs(&halves.operands))
    }

    fn fits(&self, product: &Product) -> bool {
        product.halves.is_some() && product.phases.taps.is_empty()
    }

    fn launch(&self, product: &Product, caps: &Caps, parts: Option<usize>) -> Split {
        let (parts, of_part) = self.parts(product, caps, parts);
        let launch = halves(product).launch(&self.tile, product.stem, of_part, caps);
        Split { launch: launch.groups(parts * self.tiles(product)).executes(self.executed(product)), parts }
    }

    fn cost(&self, product: &Product, caps: &Caps) -> f64 {
        let (parts, _) = self.parts(product, caps, None);
        let work = Work {
            executed: self.executed(product),
            needed: product.work(),
            staged: true,
            speed: self.speed / halves(product).operands.products() as f64,
            invocations: parts * self.tiles(product) * self.tile.threads(caps),
            sums: self.tile.sums(&halves(product).operands, caps),
        };
        work.cost(caps) + sum::cost(parts, product.rows * product.columns)
    }
}
