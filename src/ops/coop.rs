//! Matrix products on cooperative matrices: the tile that all of them share
//! (`shaders/coop_tile.wgsl`).
//!
//! A subgroup multiplies small matrices of half floats and accumulates in f32
//! ([`crate::caps::Coop`]). The size of the matrices, the number of invocations and the layout of
//! the operands are parameters of one shader text; each operation adds a text that loads the
//! operands of a step into workgroup memory and stores the sums.
//!
//! Each of four subgroups computes 4 × 4 matrices of sums, or 4 × 2 if both operands are floats.
//! Workgroup memory stays below 24 KiB: above it an NVIDIA H200 runs one workgroup at a time
//! instead of two, which is a third slower.

use super::sum;
use crate::caps::{Caps, Coop};
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, LANES};
use crate::variant::{self, Needs};

/// Rows and columns of a workgroup, in subgroups.
const SUBGROUPS: [usize; 2] = [2, 2];

/// Half floats that pad a line in workgroup memory, so that neighbouring lines begin in different
/// banks.
const LINE_PADDING: usize = 8;

/// Layout of an operand in workgroup memory, and the conversion of its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    /// Whether the depth is contiguous in memory; otherwise the rows of a, or the columns of b,
    /// are.
    pub along_depth: bool,
    /// Numbers that are staged together: 32 of a word of codes or signs, 4 of a quad of floats.
    pub item: usize,
    /// Kind of the numbers.
    pub numbers: Numbers,
}

/// Kind of the numbers of an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numbers {
    /// Codes or signs, exact in a single half float.
    Exact,
    /// Floats: each is scaled and split into a sum of two half floats.
    Floats,
    /// Floats stored in half precision: each is a single half float. A product with a factor is
    /// rounded to one.
    Stored,
}

impl Numbers {
    fn are_floats(self) -> bool {
        self != Self::Exact
    }

    /// Half floats per number.
    fn halves(self) -> usize {
        if self == Self::Floats { 2 } else { 1 }
    }
}

/// Both operands of a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operands {
    /// Depth of a step.
    pub depth: usize,
    /// Rows and columns of a subgroup, in matrices.
    pub of_subgroup: [usize; 2],
    /// Operand of the rows of the result.
    pub a: Operand,
    /// Operand of the columns of the result.
    pub b: Operand,
    /// Whether each group of 32 columns is stored in the order 0, 16, 1, 17, ….
    pub shuffled: bool,
}

impl Operands {
    /// Products of half floats per product of numbers: the product of both lower halves is omitted.
    pub(super) fn products(&self) -> usize {
        self.a.numbers.halves() + self.b.numbers.halves() - 1
    }
}

/// Both operands are floats: activations or gradients by rows, weights in their stored layout. Two
/// half floats of each fit into 24 KiB with a narrower tile.
pub(super) fn of_floats(weights_along_depth: bool) -> Operands {
    let b = Operand { along_depth: weights_along_depth, ..BY_ROW };
    Operands { depth: FLOAT_DEPTH, of_subgroup: [4, 2], a: BY_ROW, b, shuffled: false }
}

/// Floats whose depth is contiguous in memory.
pub(super) const BY_ROW: Operand = Operand { along_depth: true, item: LANES, numbers: Numbers::Floats };

/// Depth of a step if an operand is split into two half floats: a larger one would exceed 24 KiB.
pub(super) const FLOAT_DEPTH: usize = 16;

/// Depth of a step if each operand is a single half float.
pub(super) const HALF_DEPTH: usize = 32;

/// WGSL: the gradient as operand b of a weight gradient.
pub(super) const DY: &str = include_str!("../../shaders/dy_coop.wgsl");

/// An input that is scaled by its largest magnitude before it is converted to half floats.
pub(super) struct Ranged {
    /// Whether it is operand a; otherwise b.
    pub a: bool,
    /// Index of the input.
    pub input: usize,
    /// Its name in the kernel.
    pub name: &'static str,
    /// Number of its quads.
    pub quads: usize,
    /// The input by which each of its rows is multiplied, and the number of quads of that input.
    pub factor: Option<(usize, usize)>,
}

/// Description of a product that can run on cooperative matrices.
pub(super) struct Halves {
    /// WGSL: loads the operands of a step into workgroup memory and stores the sums.
    pub texts: Vec<&'static str>,
    /// Layout of the operands in workgroup memory.
    pub operands: Operands,
    /// Inputs that are scaled.
    pub ranged: Vec<Ranged>,
    /// Names of the inputs a and b if they are stored in half precision: their scale is then known
    /// without a search.
    pub stored: [Option<&'static str>; 2],
    /// Whether codes have a second plane.
    pub two_bits: bool,
}

crate::params! {
    /// Number of steps of a part of the sum.
    struct Part { of_part: u32 }
}

crate::params! {
    struct LargestParams { quads: u32, factor_quads: u32 }
}

/// Number of workgroups that search for the largest magnitude; each writes a quad.
const LARGEST: usize = 128;

impl Ranged {
    /// Prepends the search for the largest magnitude, which the product reads, to a program.
    fn before(&self, stem: &str, mut program: Program) -> Program {
        let place = Scratch(program.scratch_words.len());
        program.scratch_words.push(LANES * LARGEST);
        let mut largest = Launch::new(format!("{stem}_largest"), &[include_str!("../../shaders/largest.wgsl")])
            .constant("LARGEST", LARGEST)
            .constant("WEIGHTED", usize::from(self.factor.is_some()))
            .read("x", F32, Input(self.input))
            .must_be_finite();
        if let Some((factor, _)) = self.factor {
            largest = largest.read("factor", F32, Input(factor));
        }
        let factor_quads = self.factor.map_or(1, |(_, quads)| quads) as u32;
        let largest = largest
            .write("largest", F32, place)
            .params(&LargestParams { quads: self.quads as u32, factor_quads })
            .groups(LARGEST)
            .float_ops(LANES * self.quads);
        let name = if self.a { "largest_a" } else { "largest_b" };
        let product =
            program.launches.iter().position(|launch| launch.kernel.f16).expect("a product in half precision");
        program.launches[product] = program.launches[product].clone().read(name, F32, place);
        program.launches.insert(0, largest);
        program
    }
}

/// A tile for one matrix size.
pub(super) struct Tile {
    /// Name of the kernels that use it.
    pub name: &'static str,
    size: usize,
    matrix: &'static str,
}

impl Tile {
    /// Matrices of 16 × 16: NVIDIA, AMD.
    pub(super) const TILE_16: Self = Self { name: "coop16", size: 16, matrix: "coop_mat16x16" };
    /// Matrices of 8 × 8: Apple, lavapipe.
    pub(super) const TILE_8: Self = Self { name: "coop8", size: 8, matrix: "coop_mat8x8" };

    /// Rows and columns of a workgroup's tile.
    pub(super) fn sides(&self, operands: &Operands) -> [usize; 2] {
        [0, 1].map(|axis| SUBGROUPS[axis] * operands.of_subgroup[axis] * self.size)
    }

    /// Number of tiles of a result.
    pub(super) fn tiles(&self, operands: &Operands, [rows, columns]: [usize; 2]) -> usize {
        let [of_rows, of_columns] = self.sides(operands);
        rows.div_ceil(of_rows) * columns.div_ceil(of_columns)
    }

    /// Number of invocations of a workgroup.
    pub(super) fn threads(&self, caps: &Caps) -> usize {
        SUBGROUPS[0] * SUBGROUPS[1] * coop(caps).subgroup
    }

    /// Number of sums per invocation.
    pub(super) fn sums(&self, operands: &Operands, caps: &Caps) -> usize {
        operands.of_subgroup[0] * operands.of_subgroup[1] * self.size * self.size / coop(caps).subgroup
    }

    /// Device requirements of the tile. The number of invocations depends on the subgroup size;
    /// four subgroups of 64, the largest size there is, make 256.
    pub(super) fn needs(&self, operands: &Operands) -> Needs {
        let lines = |operand: Operand, side: usize| {
            let halves = match operand.along_depth {
                true => side * (operands.depth + LINE_PADDING),
                false => operands.depth * (side + LINE_PADDING),
            };
            operand.numbers.halves() * halves
        };
        let [rows, columns] = self.sides(operands);
        let halves = lines(operands.a, rows) + lines(operands.b, columns);
        let sums = SUBGROUPS[0] * SUBGROUPS[1] * self.size * self.size;
        Needs { workgroup_bytes: 2 * halves + 4 * sums, threads: 0, coop: self.size }
    }

    /// Number of parts into which a sum of `steps` steps is split, and the number of steps of each.
    /// The count is `wanted`, or enough to occupy the device; it is limited by the memory for
    /// partial sums and by the error bound.
    pub(super) fn parts(
        &self,
        operands: &Operands,
        [rows, columns]: [usize; 2],
        steps: usize,
        caps: &Caps,
        wanted: Option<usize>,
    ) -> (usize, usize) {
        let invocations = self.tiles(operands, [rows, columns]) * self.threads(caps);
        let at_once = || variant::capacity(self.sums(operands, caps), caps) / invocations;
        let affordable = sum::PARTS_BYTES / (4 * rows * columns);
        let parts = wanted.unwrap_or_else(at_once).min(affordable).clamp(1, steps);
        let of_part = steps.div_ceil(parts).min(sum::TILE_CHUNK / operands.depth);
        (steps.div_ceil(of_part), of_part)
    }

    /// The launch of an operation, with its texts before that of the tile; without the operands.
    pub(super) fn launch(&self, stem: &str, halves: &Halves, caps: &Caps) -> Launch {
        let Coop { subgroup, emulated, .. } = coop(caps);
        let threads = self.threads(caps);
        let operands = &halves.operands;
        let [rows, columns] = self.sides(operands);
        let Operands { depth, of_subgroup, a, b, shuffled } = *operands;
        let searched = |a: bool| halves.ranged.iter().any(|ranged| ranged.a == a);
        let loads = |operand: Operand, side: usize| (side * depth / operand.item).div_ceil(threads);
        let mut launch = Launch::new(format!("{stem}_{}", self.name), &halves.texts)
            .workgroup(threads)
            .constant("SIZE", self.size)
            .constant("SUBGROUP", subgroup)
            .constant("DOWN", SUBGROUPS[0])
            .constant("ACROSS", SUBGROUPS[1])
            .constant("FM", of_subgroup[0])
            .constant("FN", of_subgroup[1])
            .constant("DEPTH", depth)
            .constant("DEPTHS", depth / self.size)
            .constant("ITEMS", (self.size * self.size / 4).div_ceil(subgroup))
            .constant("A_BY_ROW", usize::from(a.along_depth))
            .constant("A_ITEM", a.item)
            .constant("A_LOADS", loads(a, rows))
            .constant("A_FLOATS", usize::from(a.numbers.are_floats()))
            .constant("A_CUT", a.numbers.halves() - 1)
            .constant("B_BY_COLUMN", usize::from(b.along_depth))
            .constant("B_ITEM", b.item)
            .constant("B_LOADS", loads(b, columns))
            .constant("B_FLOATS", usize::from(b.numbers.are_floats()))
            .constant("B_CUT", b.numbers.halves() - 1)
            .constant("A_RANGED", usize::from(searched(true)))
            .constant("B_RANGED", usize::from(searched(false)))
            .constant("RANGED", usize::from(searched(true) || searched(false)))
            .constant("A_STORED", usize::from(halves.stored[0].is_some()))
            .constant("B_STORED", usize::from(halves.stored[1].is_some()))
            .constant("LARGEST", LARGEST)
            .constant("SHUFFLED", usize::from(shuffled))
            .constant("TWO_BITS", usize::from(halves.two_bits))
            .constant("EMULATED", usize::from(emulated));
        launch.kernel.body.push(include_str!("../../shaders/halves.wgsl").into());
        let scale = |name: Option<&str>| format!("scales[p.{}_scale].x", name.unwrap_or_default());
        let [a, b] = halves.stored.map(scale);
        launch.kernel.body.push(include_str!("../../shaders/coop_operands.wgsl").into());
        let tile = include_str!("../../shaders/coop_tile.wgsl").replace("MATRIX", self.matrix);
        launch.kernel.body.push(tile.replace("STORED_A", &a).replace("STORED_B", &b).into());
        if emulated {
            launch.kernel.body.push(include_str!("../../shaders/coop_emulated.wgsl").into());
        }
        let launch = launch.trusted();
        if emulated { launch.f16() } else { launch.coop() }
    }
}

impl Halves {
    /// The same operands when a plan stores some of these inputs in half precision, one bit per
    /// input.
    pub(super) fn stored(mut self, inputs: u32) -> Self {
        let mut searched = Vec::new();
        for ranged in std::mem::take(&mut self.ranged) {
            if inputs >> ranged.input & 1 == 0 {
                searched.push(ranged);
                continue;
            }
            let operand = if ranged.a { &mut self.operands.a } else { &mut self.operands.b };
            operand.numbers = Numbers::Stored;
            self.stored[usize::from(!ranged.a)] = Some(ranged.name);
            // The largest magnitude of the factor must still be searched for.
            if let Some((input, quads)) = ranged.factor {
                searched.push(Ranged { input, quads, factor: None, ..ranged });
            }
        }
        self.ranged = searched;
        if self.operands.products() == 1 {
            self.operands.depth = HALF_DEPTH;
        }
        self
    }

    /// A product's program, with the searches for the largest magnitudes before it.
    pub(super) fn program(&self, stem: &str, mut program: Program) -> Program {
        let product =
            program.launches.iter_mut().find(|launch| launch.kernel.f16).expect("a product in half precision");
        if product.kernel.coop {
            product.matrix_ops = self.operands.products() * product.float_ops;
        }
        self.ranged.iter().fold(program, |program, ranged| ranged.before(stem, program))
    }

    /// The launch on a tile, with `of_part` steps in each part of the sum.
    pub(super) fn launch(&self, tile: &Tile, stem: &str, of_part: usize, caps: &Caps) -> Launch {
        tile.launch(stem, self, caps).params(&Part { of_part: of_part as u32 })
    }
}

/// Cooperative-matrix properties of a device for which a tile was chosen.
fn coop(caps: &Caps) -> Coop {
    caps.coop.expect("a device with cooperative matrices")
}
