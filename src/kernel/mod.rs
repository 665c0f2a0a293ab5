//! A kernel launch as data: WGSL body, operands, uniform, workgroups. Bindings are stated only once, here.
//!
//! An op describes a launch with the builder below. The WGSL header (bindings, uniform struct, constants, accessors) is
//! *generated* from it, so that Rust and WGSL agree on binding order, encodings and uniform fields. An operand `x` has:
//!
//! | encoding | declared as | accessors; `i` counts quads of 4 lanes |
//! |---|---|---|
//! | `F32` | `array<vec4<f32>>` | `x_at(i) -> vec4<f32>`, `x_put(i, vec4<f32>)` |
//! | `F16` | `array<vec2<u32>>` | as for `F32` |
//! | `I32` | `array<vec4<i32>>` | `x_at(i) -> vec4<f32>`, `x_int(i) -> vec4<i32>`, `x_put_int(i, vec4<i32>)` |
//! | `I16` | `array<vec2<u32>>` | as for `I32` |
//! | `U32` | `array<vec4<u32>>` | `x_at(i) -> vec4<u32>`, `x_put(i, vec4<u32>)` |
//! | `Planes` | `array<u32>` | none: words are indexed directly |
//!
//! The accessor of an operand bound by [`Launch::read_mapped`] can apply a batch-norm without changes to the body.
//!
//! The accessors of a float operand marked by [`Launch::must_be_finite`] check it: a NaN or an infinity raises the
//! plan's word `fault` to the rank of the launch, which identifies the first occurrence. The check reads bits, because
//! compilers may assume that `x == x`.
//!
//! No op uses `F16`: a plan replaces `F32` by it for values stored in half precision ([`Launch::store_half`]); their
//! accessors multiply by the scale or its inverse.
//!
//! A body also has the uniform `p`; `group_index(id, count)`, the linear index of a workgroup in the folded 2-D grid;
//! and `THREADS`, the workgroup size. The entry point is written `@main { … }`; in it, `group` and `groups` are the place
//! in the grid and its size, and `thread` is the index in the workgroup. `//:` directives: see `kernel/expand.rs`.
//!
//! **Invariant:** bodies guard every index themselves: clamping checks would hide a mistake instead of fixing it.

mod accessors;
mod beside;
mod expand;
mod halves;
mod merge;
mod names;
mod params;

pub(crate) use beside::workgroup_bytes;
pub use beside::{beside, goes_side_by_side};
pub use merge::{Held, MOST_BUFFERS, Piece, fits, merge};
pub use params::{Params, Scalar};

use crate::tensor::Encoding;
use accessors::{accessors, element};
use halves::SEEN;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The buffer that a binding refers to, from the op's point of view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// The node's nth input.
    Input(usize),
    /// The node's output.
    Output,
    /// The op's nth scratch buffer, alive for this node only.
    Scratch(usize),
    /// The nth input (second number) of a node that is computed together with this one; 1 is the next node.
    InputOf(usize, usize),
    /// The output of such a node.
    OutputOf(usize),
    /// The plan's [`FAULT`] word.
    Fault,
    /// The table of scales, [`halves::SCALES`](crate::halves::SCALES).
    Scales,
    /// The table of statistics for the next scales, [`halves::SEEN`](crate::halves::SEEN).
    Seen,
}

/// Name of a `U32` state `[1]`: 0, or the rank of the first node that met a non-finite number since it was set to 0.
/// Earlier nodes of a plan have higher ranks: [`crate::plan::Plan::faulty`].
pub const FAULT: &str = "fault";

/// The uniform field that holds the rank of a kernel's node.
const RANK: (&str, &str) = ("fault_rank", "u32");

/// One storage binding.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Binding {
    /// Its name in WGSL.
    pub name: &'static str,
    /// Element encoding.
    pub encoding: Encoding,
    /// Whether the kernel writes it.
    pub write: bool,
    /// Whether it is declared read-write, although only read, because the dispatch writes elsewhere in its buffer.
    pub shared: bool,
    /// Whether its accessors check that floats are finite.
    pub finite: bool,
    /// Number of quads of floats, if it is bound as a uniform ([`Launch::read_quad`]).
    pub uniform: Option<u32>,
    /// The map that its accessor applies to each number; `None` if it does not support one.
    pub map: Option<Map>,
}

/// A map from memory to the numbers that a kernel reads, for each channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Map {
    /// No change.
    Identity,
    /// A batch-norm: (x − mean)·slope + shift, from the first three rows of its coefficients.
    BatchNorm,
}

/// Name of a batch-norm's coefficients in a kernel that applies it to its input.
const COEF: &str = "coef";

impl Binding {
    /// Whether it is bound read-only.
    pub fn is_read_only(&self) -> bool {
        !self.write && !self.shared
    }

    /// Whether it is the word that a failed check raises.
    pub fn is_fault(&self) -> bool {
        self.name == FAULT && self.write
    }

    /// Whether it is the table that writers of values in half precision update.
    pub fn is_seen(&self) -> bool {
        self.name == SEEN && self.write
    }

    /// Whether launches raise its words atomically, in any order.
    pub fn is_atomic(&self) -> bool {
        self.is_fault() || self.is_seen()
    }
}

/// Everything that determines a kernel's WGSL text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// The op's stem, `_` and a suffix that distinguishes this kernel from others of the op.
    pub label: String,
    /// Storage bindings in order; the uniform follows them.
    pub bindings: Vec<Binding>,
    /// Names and WGSL types of the uniform's fields, as stated by the op.
    pub fields: Vec<(Cow<'static, str>, &'static str)>,
    /// Compile-time constants, all `u32`.
    pub constants: Vec<(&'static str, u32)>,
    /// WGSL texts that form the body.
    pub body: Vec<Cow<'static, str>>,
    /// Workgroup size.
    pub threads: u32,
    /// Whether it computes in half floats, which the device must support: see [`Caps::f16`](crate::caps::Caps::f16).
    pub f16: bool,
    /// Whether it uses cooperative matrices, and so half floats: see [`Caps::coop`](crate::caps::Caps::coop).
    pub coop: bool,
    /// Whether it runs without wgpu's runtime checks: only audited kernels of this crate.
    pub trusted: bool,
}

impl Kernel {
    /// Returns the number of storage buffers that it binds.
    pub fn storage_buffers(&self) -> usize {
        self.bindings.iter().filter(|binding| binding.uniform.is_none()).count()
    }

    /// Whether it checks that numbers are finite.
    pub fn checks(&self) -> bool {
        self.bindings.iter().any(Binding::is_fault)
    }

    /// Whether its accessors check, so that the uniform holds the rank of its node.
    pub fn ranked(&self) -> bool {
        self.bindings.iter().any(|binding| binding.finite)
    }

    /// Returns all fields of the uniform: the op's, then the rank of the node if accessors check numbers.
    pub fn uniform(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let fields = self.fields.iter().map(|(name, ty)| (&**name, *ty));
        fields.chain(self.ranked().then_some(RANK))
    }

    /// Returns the complete WGSL module.
    pub fn wgsl(&self) -> String {
        let mut text = String::from(if self.f16 { "enable f16;\n" } else { "" });
        text += if self.coop { "enable wgpu_cooperative_matrix;\n" } else { "" };
        let _ = writeln!(text, "// {}", self.label);
        for (name, value) in &self.constants {
            let _ = writeln!(text, "const {name}: u32 = {value}u;");
        }
        let _ = writeln!(text, "const THREADS: u32 = {}u;", self.threads);
        for (index, binding) in self.bindings.iter().enumerate() {
            let access = if binding.is_read_only() { "read" } else { "read_write" };
            let element = if binding.is_atomic() { "atomic<u32>" } else { element(binding.encoding) };
            let name = binding.name;
            let (space, ty) = match binding.uniform {
                Some(quads) => ("uniform".to_string(), format!("array<{element}, {quads}>")),
                None => (format!("storage, {access}"), format!("array<{element}>")),
            };
            let _ = writeln!(text, "@group(0) @binding({index}) var<{space}> {name}: {ty};");
            text += &accessors(binding);
        }
        if self.uniform().next().is_some() {
            text += "struct Params {\n";
            for (name, ty) in self.uniform() {
                let _ = writeln!(text, "    {name}: {ty},");
            }
            let _ = writeln!(text, "}}\n@group(0) @binding({}) var<uniform> p: Params;", self.bindings.len());
        }
        text += "fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }\n";
        for part in &self.body {
            text.push('\n');
            text += &expand::expand(part, &self.constants);
        }
        text.replace("@main", &format!("@compute @workgroup_size({})\n{ENTRY}", self.threads))
    }
}

/// Replacement of `@main`.
const ENTRY: &str = "fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
)";

/// Work of a launch. Bytes are counted once per binding, regardless of caches, unless the launch states them;
/// operations are those that the formula needs, on real elements only (not on padding).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes read and written; an operand updated in place counts twice.
    pub bytes: u64,
    /// Float operations: additions, multiplications, comparisons, functions; a multiply-add counts as two.
    pub float_ops: u64,
    /// One-bit multiply-adds (and + popcount), two operations each.
    pub bit_ops: u64,
    /// 8-bit multiply-adds of packed dot products, two operations each.
    pub dot_ops: u64,
    /// Multiply-adds of half floats on cooperative matrices, two operations each. They compute multiply-adds counted
    /// above (one per product of a number's halves) and are not additional work.
    #[serde(default)]
    pub matrix_ops: u64,
    /// Multiply-adds of floats or bits executed, including those of padding; 0 if not counted.
    #[serde(default)]
    pub executed: u64,
}

impl Cost {
    /// Returns the needed multiply-adds, of floats or of bits; the larger number for a launch that does both.
    pub fn needed(&self) -> u64 {
        self.float_ops.max(self.bit_ops) / 2
    }
}

/// A dispatch of a kernel, with operands from the op's point of view.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: Kernel,
    /// Operand of each of its bindings, in order.
    pub operands: Vec<Operand>,
    /// The uniform's words.
    pub params: Vec<u32>,
    /// Workgroups, before folding into a 2-D grid.
    pub groups: usize,
    /// Float operations: see [`Cost::float_ops`].
    pub float_ops: usize,
    /// Bit operations: see [`Cost::bit_ops`].
    pub bit_ops: usize,
    /// Operations on cooperative matrices: see [`Cost::matrix_ops`].
    pub matrix_ops: usize,
    /// Words read and written, if fewer than are bound.
    pub moved_words: Option<usize>,
    /// Number of quads that it processes independently: see [`Launch::each_quad`].
    pub each_quad: Option<usize>,
    /// Multiply-adds executed, including those of padding; 0 if not counted.
    pub executed: usize,
}

impl Launch {
    /// Creates a launch of the kernel `label` with these WGSL texts.
    pub fn new(label: impl Into<String>, body: &[&'static str]) -> Self {
        let kernel = Kernel {
            label: label.into(),
            bindings: Vec::new(),
            fields: Vec::new(),
            constants: Vec::new(),
            body: body.iter().map(|&part| part.into()).collect(),
            threads: 64,
            f16: false,
            coop: false,
            trusted: false,
        };
        Self {
            kernel,
            operands: Vec::new(),
            params: Vec::new(),
            groups: 0,
            float_ops: 0,
            bit_ops: 0,
            matrix_ops: 0,
            moved_words: None,
            each_quad: None,
            executed: 0,
        }
    }

    /// Binds an operand to read.
    #[must_use]
    pub fn read(self, name: &'static str, encoding: Encoding, operand: Operand) -> Self {
        self.bind(name, encoding, operand, false)
    }

    /// Binds one quad of floats to read as a uniform, to save a storage buffer. For separate ports such as rates.
    #[must_use]
    pub fn read_quad(mut self, name: &'static str, operand: Operand) -> Self {
        self = self.read(name, Encoding::F32, operand);
        if let Some(binding) = self.kernel.bindings.last_mut() {
            binding.uniform = Some(1);
        }
        self
    }

    /// Binds an operand to read, through a batch-norm if coefficients are given: `x_at(i)` is then the normalised number.
    /// The body calls `x_prepare(quad)` before it reads a quad of channels, and the uniform has a field `quads`.
    #[must_use]
    pub fn read_mapped(self, name: &'static str, encoding: Encoding, operand: Operand, coef: Option<Operand>) -> Self {
        let launch = match coef {
            Some(coef) => self.read(COEF, Encoding::F32, coef),
            None => self,
        };
        let mut launch = launch.read(name, encoding, operand);
        if let Some(binding) = launch.kernel.bindings.last_mut() {
            binding.map = Some(coef.map_or(Map::Identity, |_| Map::BatchNorm));
        }
        launch
    }

    /// Binds an operand to write (or to read and write).
    #[must_use]
    pub fn write(self, name: &'static str, encoding: Encoding, operand: Operand) -> Self {
        self.bind(name, encoding, operand, true)
    }

    fn bind(mut self, name: &'static str, encoding: Encoding, operand: Operand, write: bool) -> Self {
        let (shared, finite, uniform, map) = (false, false, None, None);
        self.kernel.bindings.push(Binding { name, encoding, write, shared, finite, uniform, map });
        self.operands.push(operand);
        self
    }

    /// Checks that all numbers of the last bound operand are finite, on write if the kernel writes it, else on read.
    ///
    /// A kernel that can hide a NaN (by a maximum, comparison or quantiser) checks its input; updates check their output.
    #[must_use]
    pub fn must_be_finite(mut self) -> Self {
        let Some(binding) = self.kernel.bindings.last_mut().filter(|binding| binding.encoding == Encoding::F32) else {
            return self;
        };
        binding.finite = true;
        if self.kernel.checks() { self } else { self.bind(FAULT, Encoding::U32, Operand::Fault, true) }
    }

    /// Adds a compile-time constant.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: usize) -> Self {
        self.kernel.constants.push((name, value as u32));
        self
    }

    /// Sets the uniform.
    #[must_use]
    pub fn params<P: Params>(mut self, params: &P) -> Self {
        self.kernel.fields.clear();
        self.params.clear();
        self.add_params(params)
    }

    /// Adds fields to the uniform.
    #[must_use]
    pub fn add_params<P: Params>(mut self, params: &P) -> Self {
        self.kernel.fields.extend(P::FIELDS.iter().map(|&(name, ty)| (name.into(), ty)));
        self.params.extend(params.words());
        self
    }

    /// Sets as many workgroups of 64 as give each item an invocation.
    #[must_use]
    pub fn threads(self, items: usize) -> Self {
        let threads = self.kernel.threads as usize;
        self.groups(items.div_ceil(threads))
    }

    /// Sets one invocation per quad, for the function `at(i)` after the first part of the body. It writes only quad i
    /// of floats and reads no other quad of written operands, so that such launches can be merged ([`merge()`]).
    #[must_use]
    pub fn each_quad(self, quads: usize) -> Self {
        Self { each_quad: Some(quads), ..self.threads(quads) }
    }

    /// Sets the number of workgroups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// States the float operations: see [`Cost`].
    #[must_use]
    pub fn float_ops(mut self, count: usize) -> Self {
        self.float_ops = count;
        self
    }

    /// States the bit operations: see [`Cost`].
    #[must_use]
    pub fn bit_ops(mut self, count: usize) -> Self {
        self.bit_ops = count;
        self
    }

    /// States the words read and written, for a launch that touches only part of its operands.
    #[must_use]
    pub fn moves(mut self, words: usize) -> Self {
        self.moved_words = Some(words);
        self
    }

    /// States the multiply-adds executed, including those of padding.
    #[must_use]
    pub fn executes(mut self, count: usize) -> Self {
        self.executed = count;
        self
    }

    /// Lets the kernel compute in half floats.
    #[must_use]
    pub fn f16(mut self) -> Self {
        self.kernel.f16 = true;
        self
    }

    /// Lets the kernel use cooperative matrices.
    #[must_use]
    pub fn coop(mut self) -> Self {
        self.kernel.coop = true;
        self.f16()
    }

    /// Lets the kernel run without wgpu's checks of indices, loops and divisions, if the device supports it.
    ///
    /// Required, whatever the operands hold: indices are within workgroup memory and the bound storage, because they
    /// depend only on the uniform, constants and the invocation's place, and are clamped where a tile exceeds the
    /// problem; loop bounds are constant; no divisor is zero.
    #[must_use]
    pub(crate) fn trusted(mut self) -> Self {
        self.kernel.trusted = true;
        self
    }

    /// Sets the workgroup size; call before [`Launch::threads`].
    #[must_use]
    pub fn workgroup(mut self, threads: usize) -> Self {
        self.kernel.threads = threads as u32;
        self
    }
}

/// The launches of an op, in order, and their scratch buffers.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Words of each scratch buffer.
    pub scratch_words: Vec<usize>,
    /// Dispatches, in order.
    pub launches: Vec<Launch>,
}

impl From<Launch> for Program {
    fn from(launch: Launch) -> Self {
        Self { scratch_words: Vec::new(), launches: vec![launch] }
    }
}

/// Folds workgroups into x and y: a near-square grid, with some in excess, if one row would be too long.
pub fn fold(groups: usize, max_groups: usize) -> [u32; 2] {
    if groups <= max_groups {
        return [groups.max(1) as u32, 1];
    }
    let x = (groups as f64).sqrt().ceil() as usize;
    [x as u32, groups.div_ceil(x) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_covers_all_groups() {
        for groups in [0, 1, 65_535, 65_536, 1 << 20, 1_234_567] {
            let [x, y] = fold(groups, 65_535);
            assert!(x as usize * y as usize >= groups && x <= 65_535 && y <= 65_535, "{groups}: {x} × {y}");
        }
        assert_eq!(fold(65_535, 65_535), [65_535, 1]);
    }
}
