//! A kernel launch as data: WGSL body, operands, uniform, groups. Bindings are stated once, here.
//!
//! An op describes a launch with the builder below. The WGSL header (bindings, uniform struct, constants, accessors) is *generated* from that description,
//! so that binding order, encodings and uniform fields cannot disagree between Rust and WGSL. A body sees, for an operand `x`,
//!
//! | encoding | declared | accessors, `i` counts quads of 4 lanes |
//! |---|---|---|
//! | `F32` | `array<vec4<f32>>` | `x_at(i) -> vec4<f32>`, `x_put(i, vec4<f32>)` |
//! | `F16` | `array<vec2<u32>>` | the same as `F32` |
//! | `I32` | `array<vec4<i32>>` | `x_at(i) -> vec4<f32>`, `x_int(i) -> vec4<i32>`, `x_put_int(i, vec4<i32>)` |
//! | `I16` | `array<vec2<u32>>` | the same as `I32` |
//! | `U32` | `array<vec4<u32>>` | `x_at(i) -> vec4<u32>`, `x_put(i, vec4<u32>)` |
//! | `Planes` | `array<u32>` | none: words are indexed directly |
//!
//! An operand bound by [`Launch::read_mapped`] may have a batch-norm in front of it: the accessor applies it, and the body is the same with and without.
//!
//! A float operand marked by [`Launch::must_be_finite`] is checked by these accessors: a NaN or an infinity raises the rank of the launch in the word `fault` of the
//! plan, so that it is known afterwards where the first NaN or infinity appeared. The check reads bits, because compilers may assume that `x == x`.
//!
//! No op states `F16`: a plan puts it in place of `F32` where a value is stored in half precision ([`Launch::store_half`]); the accessors multiply by the scale or its inverse.
//!
//! A body also sees `p`, the uniform; `group_index(id, count)`, the linear number of a workgroup in the folded 2-D grid; `THREADS`, the workgroup's length.
//! The entry point is written `@main { … }` and knows `group`, `groups` (the workgroup's place in the grid and the grid) and `thread` (the place in the workgroup). `//:` directives are explained in `kernel/expand.rs`.
//!
//! **Invariant:** bodies guard every index themselves: a check that clamps would hide a mistake, not mend it.

mod accessors;
mod beside;
mod expand;
mod halves;
mod merge;
mod names;
mod params;

pub(crate) use beside::workgroup_bytes;
pub use beside::{beside, goes_beside};
pub use merge::{Held, MOST_BUFFERS, Piece, fits, merge};
pub use params::{Params, Scalar};

use crate::tensor::Encoding;
use accessors::{accessors, element};
use halves::SEEN;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What a binding is bound to, seen from the op.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// The node's nth input.
    Input(usize),
    /// The node's output.
    Output,
    /// The op's nth scratch buffer, alive for this node only.
    Scratch(usize),
    /// The nth input (second number) of a node that is computed together with this one; 1 is the node behind it.
    InputOf(usize, usize),
    /// The output of such a node.
    OutputOf(usize),
    /// The plan's [`FAULT`] word.
    Fault,
    /// The table of scales, [`halves::SCALES`](crate::halves::SCALES).
    Scales,
    /// The table that the next scales are made of, [`halves::SEEN`](crate::halves::SEEN).
    Seen,
}

/// Name of the state `[1]`, a `U32`: the rank of the first node since it was last set to 0 that met a number which is not finite, 0 if none did. The earlier a node
/// stands in its plan, the higher its rank: [`crate::plan::Plan::faulty`].
pub const FAULT: &str = "fault";

/// The uniform field in which a kernel finds the rank of its node.
const RANK: (&str, &str) = ("fault_rank", "u32");

/// One storage binding.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Binding {
    /// Its name in WGSL.
    pub name: &'static str,
    /// How its elements are written down.
    pub encoding: Encoding,
    /// Whether the kernel writes it.
    pub write: bool,
    /// Whether it is only read, but lies in a buffer that the dispatch writes elsewhere: it is declared as something that is written, then.
    pub shared: bool,
    /// Whether its accessors check that floats are finite.
    pub finite: bool,
    /// Where it is bound as a uniform, of floats that the kernel reads: how many quads ([`Launch::read_quad`]).
    pub uniform: Option<u32>,
    /// What its accessor does to each number that is read; `None` where no map can stand there.
    pub map: Option<Map>,
}

/// What stands between memory and the numbers that a kernel reads, for each channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Map {
    /// Nothing.
    Identity,
    /// A batch-norm: (x − mean)·slope + shift, from the first three rows of its coefficients.
    BatchNorm,
}

/// Name of a batch-norm's coefficients in a kernel that applies it to what it reads.
const COEF: &str = "coef";

impl Binding {
    /// Whether it is bound to be read alone.
    pub fn is_read_only(&self) -> bool {
        !self.write && !self.shared
    }

    /// Whether it is the word that a failed check raises.
    pub fn is_fault(&self) -> bool {
        self.name == FAULT && self.write
    }

    /// Whether it is the table that writers of values in half precision raise.
    pub fn is_seen(&self) -> bool {
        self.name == SEEN && self.write
    }

    /// Whether launches raise its words atomically, in whatever order.
    pub fn is_raised(&self) -> bool {
        self.is_fault() || self.is_seen()
    }
}

/// Everything that decides a kernel's WGSL text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// The op's stem, `_` and what makes this kernel differ from its siblings.
    pub label: String,
    /// Storage bindings in order; the uniform follows them.
    pub bindings: Vec<Binding>,
    /// Names and WGSL types of the uniform's fields, as the op states them.
    pub fields: Vec<(Cow<'static, str>, &'static str)>,
    /// Compile-time constants, all `u32`.
    pub constants: Vec<(&'static str, u32)>,
    /// WGSL texts that together are the body, with `fn main` taking no attribute of its own.
    pub body: Vec<Cow<'static, str>>,
    /// Invocations of a workgroup.
    pub threads: u32,
    /// Whether it computes in half floats, which a device has to offer: see [`Caps::f16`](crate::caps::Caps::f16).
    pub f16: bool,
    /// Whether it multiplies cooperative matrices: see [`Caps::coop`](crate::caps::Caps::coop). It computes in half floats, too.
    pub coop: bool,
    /// Whether it needs none of wgpu's checks at run time: audited kernels of this crate alone.
    pub trusted: bool,
}

impl Kernel {
    /// Storage buffers that it binds.
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

    /// All fields of the uniform: the op's, then the rank of the node where accessors check numbers.
    pub fn uniform(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let fields = self.fields.iter().map(|(name, ty)| (&**name, *ty));
        fields.chain(self.ranked().then_some(RANK))
    }

    /// The complete WGSL module.
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
            let element = if binding.is_raised() { "atomic<u32>" } else { element(binding.encoding) };
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

/// What `@main` stands for.
const ENTRY: &str = "fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
)";

/// Work of a launch. Bytes are counted once for each binding, whatever a cache may save, but where the launch states them; operations are those that the formula needs,
/// on real elements alone (not on padding).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes read and written; those of an operand that is updated in place twice.
    pub bytes: u64,
    /// Float operations: additions, multiplications, comparisons, functions; a multiply-add counts two.
    pub float_ops: u64,
    /// One-bit multiply-adds (and + popcount), two each.
    pub bit_ops: u64,
    /// 8-bit multiply-adds of packed dot products, two each.
    pub dot_ops: u64,
    /// Multiply-adds of half floats on cooperative matrices, two each: as many for each of the others as a number's halves make products. They are those above, not others.
    #[serde(default)]
    pub matrix_ops: u64,
    /// Multiply-adds of floats or bits that are executed, those of padding included; 0 where they are not counted.
    #[serde(default)]
    pub executed: u64,
}

impl Cost {
    /// Multiply-adds that are needed, of floats or of bits: of a launch that does both, the more.
    pub fn needed(&self) -> u64 {
        self.float_ops.max(self.bit_ops) / 2
    }
}

/// One dispatch of a kernel, with operands still seen from the op.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: Kernel,
    /// What each of its bindings is bound to, in order.
    pub operands: Vec<Operand>,
    /// The uniform's words.
    pub params: Vec<u32>,
    /// Workgroups, before folding into a 2-D grid.
    pub groups: usize,
    /// Float operations, as [`Cost::float_ops`] counts them.
    pub float_ops: usize,
    /// Bit operations, as [`Cost::bit_ops`] counts them.
    pub bit_ops: usize,
    /// Operations of cooperative matrices, as [`Cost::matrix_ops`] counts them.
    pub matrix_ops: usize,
    /// Words read and written, where that is less than all that is bound.
    pub moved_words: Option<usize>,
    /// How many quads it goes through, each for itself: see [`Launch::each_quad`].
    pub each_quad: Option<usize>,
    /// Multiply-adds that invocations execute, those of padding included; 0 where nobody counts them.
    pub executed: usize,
}

impl Launch {
    /// A launch of the kernel `label` with these WGSL texts.
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

    /// Binds one quad of floats to read, as a uniform: it is none of the storage buffers, of which a device has few. For what lies in a port of its own, as the rates of a step do.
    #[must_use]
    pub fn read_quad(mut self, name: &'static str, operand: Operand) -> Self {
        self = self.read(name, Encoding::F32, operand);
        if let Some(binding) = self.kernel.bindings.last_mut() {
            binding.uniform = Some(1);
        }
        self
    }

    /// Binds an operand to read, through a batch-norm where these are its coefficients: `x_at(i)` is then the normalised number. Before it reads a quad of channels the body says
    /// `x_prepare(quad)`, and the uniform holds `quads`.
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

    /// Checks that all numbers of the operand bound last are finite when they are read, or written where the kernel writes it. Integers always are.
    ///
    /// A kernel whose result can hide a NaN (behind a maximum, a comparison, a quantiser) checks its input; one that updates a parameter checks what it writes.
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

    /// As many workgroups of 64 as give each item an invocation.
    #[must_use]
    pub fn threads(self, items: usize) -> Self {
        let threads = self.kernel.threads as usize;
        self.groups(items.div_ceil(threads))
    }

    /// An invocation for each quad, by the function `at(i)` of the body behind its first part. It writes the quad i of floats and reads, of all that is written, that quad
    /// alone: so several such launches can become one ([`merge()`]).
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

    /// States the words read and written, for a launch that touches only a part of what it binds.
    #[must_use]
    pub fn moves(mut self, words: usize) -> Self {
        self.moved_words = Some(words);
        self
    }

    /// States the multiply-adds that its invocations execute, those of padding included.
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

    /// Lets the kernel multiply cooperative matrices.
    #[must_use]
    pub fn coop(mut self) -> Self {
        self.kernel.coop = true;
        self.f16()
    }

    /// Lets the kernel run without wgpu's checks of indices, loops and divisions, where the device can.
    ///
    /// What has to hold, whatever the operands hold: indices into workgroup memory lie within it, and those into storage within what is bound, since they are made of the uniform, of
    /// constants and of the invocation's place alone, and clamped where a tile reaches beyond the problem; loops run to a bound that does not change; no divisor is zero.
    #[must_use]
    pub(crate) fn trusted(mut self) -> Self {
        self.kernel.trusted = true;
        self
    }

    /// Sets the workgroup's length; call before [`Launch::threads`].
    #[must_use]
    pub fn workgroup(mut self, threads: usize) -> Self {
        self.kernel.threads = threads as u32;
        self
    }
}

/// What an op asks of a device: its launches in order and the scratch they share.
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

/// How many workgroups to make of `groups` in x and y: a near-square grid where one row would be too long.
/// Groups beyond the asked ones exist then; bodies guard against them.
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
