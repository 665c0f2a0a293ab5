//! The instruction mix: the instructions that an invocation executes, counted in naga's
//! representation of the source.
//!
//! An expression counts once, where it is evaluated; calls are followed. Vectors count each of
//! their lanes. Not counted are constants, composition and decomposition of vectors, address
//! arithmetic of an index, checks that a backend adds, and calls themselves. Both sides of a branch
//! count; for a short-circuit `&&`, the right side and the implied branch.
//!
//! The number of iterations of a loop usually depends on a uniform. So counts are kept **by loop
//! depth**, as if each such loop had one iteration: the counts at depth 2 are of instructions
//! inside two of them. Loops with a constant number of iterations (`trips.rs`) do not add a depth:
//! their body counts that many times at the depth of the loop.
//!
//! **Invariant:** the condition of a loop belongs to its body. (It is executed once more than the
//! rest of the body; that execution is not counted.)

use super::trips;
use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    AddressSpace, BinaryOperator as B, Block, Expression as E, Function, Handle, MathFunction as M, Module, ScalarKind,
    Statement as S, TypeInner, UnaryOperator,
};

/// The kind of an operation; see [`Counts::of`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstructionKind {
    /// Float additions, products, minima and the like. `a * b + c` counts as two: whether a driver
    /// fuses it is not visible in the source.
    Float,
    /// Float multiply-adds written as `fma`.
    Fma,
    /// Roots, exponentials, logarithms, trigonometry: executed by the slow unit of a GPU.
    Special,
    /// Integer arithmetic, shifts, masks.
    Integer,
    /// `countOneBits`.
    Popcount,
    /// `dot4I8Packed` and `dot4U8Packed`: four multiply-adds each.
    PackedDot,
    /// Multiply-adds of cooperative matrices, each computed by a whole subgroup.
    MatrixProduct,
    /// Loads and stores of cooperative matrices by a whole subgroup; they do not count as loads or
    /// stores of an invocation.
    MatrixMove,
    /// Conversions and bitcasts, packing and unpacking.
    Convert,
    /// Comparisons, `select`, logical operations.
    Compare,
    /// Barriers.
    Barrier,
    /// Conditions: `if`, `switch`, loop conditions.
    Branch,
    /// Entries into loops.
    Loop,
}

impl InstructionKind {
    /// All kinds, in the order they are printed.
    pub const ALL: [Self; 13] = [
        Self::Float,
        Self::Fma,
        Self::Special,
        Self::Integer,
        Self::Popcount,
        Self::PackedDot,
        Self::MatrixProduct,
        Self::MatrixMove,
        Self::Convert,
        Self::Compare,
        Self::Barrier,
        Self::Branch,
        Self::Loop,
    ];

    /// Returns the name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Fma => "fma",
            Self::Special => "special float",
            Self::Integer => "integer",
            Self::Popcount => "popcount",
            Self::PackedDot => "packed dot",
            Self::MatrixProduct => "matrix product",
            Self::MatrixMove => "matrix load, store",
            Self::Convert => "convert",
            Self::Compare => "compare, select",
            Self::Barrier => "barrier",
            Self::Branch => "branch",
            Self::Loop => "loop",
        }
    }
}

/// The address space of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Buffers.
    Storage,
    /// Memory shared by a workgroup.
    Workgroup,
    /// Uniforms.
    Uniform,
    /// Variables of an invocation: registers, unless there are too many or they are indexed
    /// dynamically.
    Local,
}

impl Space {
    /// All spaces, in the order they are printed.
    pub const ALL: [Self; 4] = [Self::Storage, Self::Workgroup, Self::Uniform, Self::Local];

    /// Returns the name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Workgroup => "workgroup",
            Self::Uniform => "uniform",
            Self::Local => "local",
        }
    }

    fn of(space: AddressSpace) -> Option<Self> {
        match space {
            AddressSpace::Storage { .. } => Some(Self::Storage),
            AddressSpace::WorkGroup => Some(Self::Workgroup),
            AddressSpace::Uniform => Some(Self::Uniform),
            AddressSpace::Function | AddressSpace::Private => Some(Self::Local),
            _ => None,
        }
    }
}

/// Loads or stores.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Their number; a vector counts as one.
    pub count: u64,
    /// Their total bytes.
    pub bytes: u64,
}

/// Operations, loads and stores of a part of the source.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    operations: [u64; InstructionKind::ALL.len()],
    loads: [Traffic; Space::ALL.len()],
    stores: [Traffic; Space::ALL.len()],
}

impl Counts {
    /// Returns the number of operations of a kind; each lane of a vector counts.
    pub fn of(&self, kind: InstructionKind) -> u64 {
        self.operations[kind as usize]
    }

    /// Returns the loads from a space.
    pub fn loads(&self, space: Space) -> Traffic {
        self.loads[space as usize]
    }

    /// Returns the stores to a space.
    pub fn stores(&self, space: Space) -> Traffic {
        self.stores[space as usize]
    }

    fn add(&mut self, other: &Self, times: u64) {
        let sum = |a: &mut u64, b: u64| *a = a.saturating_add(b.saturating_mul(times));
        self.operations.iter_mut().zip(other.operations).for_each(|(a, b)| sum(a, b));
        let mine = self.loads.iter_mut().chain(&mut self.stores);
        for (a, b) in mine.zip(other.loads.iter().chain(&other.stores)) {
            sum(&mut a.count, b.count);
            sum(&mut a.bytes, b.bytes);
        }
    }
}

/// The instructions that an invocation executes, by loop depth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstructionMix {
    by_depth: Vec<Counts>,
}

impl InstructionMix {
    pub(super) fn of(module: &Module, info: &ModuleInfo) -> Self {
        let mut called = Vec::new();
        for (handle, function) in module.functions.iter() {
            let mix = Walk::over(module, &info[handle], function, &called); // callees have smaller handles
            called.push(mix);
        }
        Walk::over(module, info.get_entry_point(0), &module.entry_points[0].function, &called)
    }

    /// Returns the counts by depth: first outside all loops of unknown length, then inside one,
    /// inside two, …, for one iteration of each.
    pub fn by_depth(&self) -> &[Counts] {
        &self.by_depth
    }

    /// Returns the counts outside all loops of unknown length, which an invocation executes at most
    /// once.
    pub fn outside(&self) -> &Counts {
        &self.by_depth[0]
    }

    /// Returns the counts at the greatest depth, for one iteration of each loop; the same as
    /// [`InstructionMix::outside`] if there is no loop of unknown length.
    pub fn innermost(&self) -> &Counts {
        self.by_depth.last().unwrap_or_else(|| self.outside())
    }

    /// Returns the sum of all counts, for one iteration of each loop of unknown length.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.by_depth.iter().for_each(|counts| total.add(counts, 1));
        total
    }

    fn at(&mut self, depth: usize) -> &mut Counts {
        if self.by_depth.len() <= depth {
            self.by_depth.resize(depth + 1, Counts::default());
        }
        &mut self.by_depth[depth]
    }
}

/// The position of a statement with respect to loops.
#[derive(Clone, Copy)]
struct Place {
    /// Number of enclosing loops of unknown length.
    depth: usize,
    /// Number of executions for one iteration of each of these.
    times: u64,
    /// Whether it is inside any loop.
    looped: bool,
}

struct Walk<'a> {
    module: &'a Module,
    info: &'a FunctionInfo,
    function: &'a Function,
    called: &'a [InstructionMix],
    mix: InstructionMix,
}

impl<'a> Walk<'a> {
    fn over(
        module: &'a Module,
        info: &'a FunctionInfo,
        function: &'a Function,
        called: &'a [InstructionMix],
    ) -> InstructionMix {
        let mut walk =
            Self { module, info, function, called, mix: InstructionMix { by_depth: vec![Counts::default()] } };
        walk.block(&function.body, Place { depth: 0, times: 1, looped: false });
        walk.mix
    }

    fn block(&mut self, block: &Block, place: Place) {
        for (at, statement) in block.iter().enumerate() {
            match statement {
                S::Emit(range) => range.clone().for_each(|handle| self.expression(handle, place)),
                S::Block(block) => self.block(block, place),
                S::If { accept, reject, .. } => {
                    self.operation(InstructionKind::Branch, 1, place);
                    self.block(accept, place);
                    self.block(reject, place);
                }
                S::Switch { cases, .. } => {
                    self.operation(InstructionKind::Branch, 1, place);
                    cases.iter().for_each(|case| self.block(&case.body, place));
                }
                S::Loop { body, continuing, break_if } => {
                    self.operation(InstructionKind::Loop, 1, place);
                    let inside = match trips::of(self.module, self.function, block, at, place.looped) {
                        Some(trips) => Place { times: place.times.saturating_mul(trips), looped: true, ..place },
                        None => Place { depth: place.depth + 1, looped: true, ..place },
                    };
                    self.operation(InstructionKind::Branch, u64::from(break_if.is_some()), inside);
                    self.block(body, inside);
                    self.block(continuing, inside);
                }
                S::ControlBarrier(_) | S::MemoryBarrier(_) => self.operation(InstructionKind::Barrier, 1, place),
                S::Store { pointer, value } => self.store(*pointer, self.bytes(*value), place),
                S::Atomic { pointer, value, .. } => {
                    self.operation(InstructionKind::Integer, 1, place);
                    self.load(*pointer, self.bytes(*value), place);
                    self.store(*pointer, self.bytes(*value), place);
                }
                S::WorkGroupUniformLoad { pointer, result } => {
                    self.operation(InstructionKind::Barrier, 1, place);
                    self.load(*pointer, self.bytes(*result), place);
                }
                S::CooperativeStore { .. } => self.operation(InstructionKind::MatrixMove, 1, place),
                S::Call { function, .. } => {
                    for (inner, counts) in self.called[function.index()].by_depth.iter().enumerate() {
                        self.mix.at(place.depth + inner).add(counts, place.times);
                    }
                }
                _ => {} // exits are free; the rest (textures, rays, subgroups) no kernel may use
            }
        }
    }

    fn expression(&mut self, handle: Handle<E>, place: Place) {
        let (scalar, lanes) = self.shape(handle);
        let arithmetic = if scalar == ScalarKind::Float { InstructionKind::Float } else { InstructionKind::Integer };
        match self.function.expressions[handle] {
            E::Load { pointer } => self.load(pointer, self.bytes(handle), place),
            E::Unary { op: UnaryOperator::LogicalNot, .. } | E::Select { .. } => {
                self.operation(InstructionKind::Compare, lanes, place);
            }
            E::Unary { .. } => self.operation(arithmetic, lanes, place),
            E::Binary { op, .. } => {
                use B::{
                    Add, And, Divide, ExclusiveOr, InclusiveOr, Modulo, Multiply, ShiftLeft, ShiftRight, Subtract,
                };
                let kind = match op {
                    And | InclusiveOr if scalar == ScalarKind::Bool => InstructionKind::Compare,
                    Add | Subtract | Multiply | Divide | Modulo => arithmetic,
                    And | InclusiveOr | ExclusiveOr | ShiftLeft | ShiftRight => InstructionKind::Integer,
                    _ => InstructionKind::Compare,
                };
                self.operation(kind, lanes, place);
            }
            E::CooperativeLoad { .. } => self.operation(InstructionKind::MatrixMove, 1, place),
            E::CooperativeMultiplyAdd { .. } => self.operation(InstructionKind::MatrixProduct, 1, place),
            E::Relational { argument, .. } => self.operation(InstructionKind::Compare, self.shape(argument).1, place),
            E::As { .. } => self.operation(InstructionKind::Convert, lanes, place),
            E::Math { fun, arg, .. } => {
                let kind = function(fun).unwrap_or(arithmetic);
                let lanes = match fun {
                    M::Dot => 2 * self.shape(arg).1 - 1, // products and the sum
                    _ => lanes,
                };
                self.operation(kind, lanes, place);
            }
            _ => {}
        }
    }

    fn operation(&mut self, kind: InstructionKind, lanes: u64, place: Place) {
        let mut counts = Counts::default();
        counts.operations[kind as usize] = lanes;
        self.mix.at(place.depth).add(&counts, place.times);
    }

    fn load(&mut self, pointer: Handle<E>, bytes: u64, place: Place) {
        let Some(space) = self.space(pointer) else { return };
        let mut counts = Counts::default();
        counts.loads[space as usize] = Traffic { count: 1, bytes };
        self.mix.at(place.depth).add(&counts, place.times);
    }

    fn store(&mut self, pointer: Handle<E>, bytes: u64, place: Place) {
        let Some(space) = self.space(pointer) else { return };
        let mut counts = Counts::default();
        counts.stores[space as usize] = Traffic { count: 1, bytes };
        self.mix.at(place.depth).add(&counts, place.times);
    }

    fn ty(&self, handle: Handle<E>) -> &TypeInner {
        self.info[handle].ty.inner_with(&self.module.types)
    }

    /// Returns the kind and number of lanes of a value; no lanes if it is not numeric.
    fn shape(&self, handle: Handle<E>) -> (ScalarKind, u64) {
        match *self.ty(handle) {
            TypeInner::Scalar(scalar) => (scalar.kind, 1),
            TypeInner::Vector { size, scalar } => (scalar.kind, size as u64),
            TypeInner::Matrix { columns, rows, scalar } => (scalar.kind, columns as u64 * rows as u64),
            _ => (ScalarKind::Bool, 0),
        }
    }

    fn bytes(&self, value: Handle<E>) -> u64 {
        u64::from(self.ty(value).size(self.module.to_ctx()))
    }

    fn space(&self, pointer: Handle<E>) -> Option<Space> {
        match *self.ty(pointer) {
            TypeInner::Pointer { space, .. } | TypeInner::ValuePointer { space, .. } => Space::of(space),
            _ => None,
        }
    }
}

/// Returns the kind of a built-in function; `None` for arithmetic of its type with one operation
/// per lane.
fn function(function: M) -> Option<InstructionKind> {
    match function {
        M::Fma => Some(InstructionKind::Fma),
        M::CountOneBits => Some(InstructionKind::Popcount),
        M::Dot4I8Packed | M::Dot4U8Packed => Some(InstructionKind::PackedDot),
        M::Cos | M::Cosh | M::Sin | M::Sinh | M::Tan | M::Tanh | M::Acos | M::Asin | M::Atan | M::Atan2 => {
            Some(InstructionKind::Special)
        }
        M::Asinh | M::Acosh | M::Atanh | M::Exp | M::Exp2 | M::Log | M::Log2 | M::Pow | M::Sqrt | M::InverseSqrt => {
            Some(InstructionKind::Special)
        }
        M::Distance | M::Length | M::Normalize => Some(InstructionKind::Special),
        M::Pack4x8snorm | M::Pack4x8unorm | M::Pack2x16snorm | M::Pack2x16unorm | M::Pack2x16float => {
            Some(InstructionKind::Convert)
        }
        M::Pack4xI8 | M::Pack4xU8 | M::Pack4xI8Clamp | M::Pack4xU8Clamp | M::Unpack4xI8 | M::Unpack4xU8 => {
            Some(InstructionKind::Convert)
        }
        M::Unpack4x8snorm | M::Unpack4x8unorm | M::Unpack2x16snorm | M::Unpack2x16unorm | M::Unpack2x16float => {
            Some(InstructionKind::Convert)
        }
        M::QuantizeToF16 => Some(InstructionKind::Convert),
        _ => None,
    }
}
