//! The instruction mix: what an invocation executes, counted in the reader's tree of the text.
//!
//! An expression counts once, where it is evaluated, with calls followed. Vectors count their lanes. Not counted are
//! constants, constructing and taking apart vectors, the address arithmetic behind an index, the checks that a backend adds, and calls themselves. Of a
//! branch, both sides count; of a short-circuit `&&`, the right side and the branch it hides.
//!
//! How often a loop goes round is as a rule in a uniform. So counts are kept **by depth of loops**, as if each of these loops went round once: the
//! counts at depth 2 are of what stands in two of them. Loops whose count the text tells (`trips.rs`) are no depth of their own: their body counts
//! that many times where the loop stands.
//!
//! **Invariant:** the test at the head of a loop belongs to its body. (It is executed once more than the rest of the body; that one is not counted.)

use super::trips;
use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    AddressSpace, BinaryOperator as B, Block, Expression as E, Function, Handle, MathFunction as M, Module, ScalarKind,
    Statement as S, TypeInner, UnaryOperator,
};

/// What an operation does; see [`Counts::of`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Float additions, products, minima and the like. `a * b + c` is two: whether a driver fuses it, the text does not tell.
    Float,
    /// Float multiply-adds that are written as `fma`.
    Fma,
    /// Roots, exponentials, logarithms, trigonometry: the slow unit of a GPU.
    Special,
    /// Integer arithmetic, shifts, masks.
    Integer,
    /// `countOneBits`.
    Popcount,
    /// `dot4I8Packed` and `dot4U8Packed`: four multiply-adds each.
    PackedDot,
    /// Products of cooperative matrices, added to a third: a subgroup makes each together.
    MatrixProduct,
    /// Loads and stores of cooperative matrices, by a subgroup together; they are no loads or stores of an invocation.
    MatrixMove,
    /// Conversions and bitcasts, packing and unpacking.
    Convert,
    /// Comparisons, `select`, logic on truth values.
    Compare,
    /// Barriers.
    Barrier,
    /// Conditions: `if`, `switch`, the tests of loops.
    Branch,
    /// Loops that are entered.
    Loop,
}

impl Kind {
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

    /// What it is called in tables.
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

/// Where memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Buffers.
    Storage,
    /// Memory that a workgroup shares.
    Workgroup,
    /// Uniforms.
    Uniform,
    /// Variables of an invocation: registers, unless there are too many or they are indexed at run time.
    Local,
}

impl Space {
    /// All spaces, in the order they are printed.
    pub const ALL: [Self; 4] = [Self::Storage, Self::Workgroup, Self::Uniform, Self::Local];

    /// What it is called in tables.
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
    /// How many; a vector is one.
    pub count: u64,
    /// Bytes of them all.
    pub bytes: u64,
}

/// What a stretch of the text executes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    operations: [u64; Kind::ALL.len()],
    loads: [Traffic; Space::ALL.len()],
    stores: [Traffic; Space::ALL.len()],
}

impl Counts {
    /// Operations of a kind, a vector's lanes each.
    pub fn of(&self, kind: Kind) -> u64 {
        self.operations[kind as usize]
    }

    /// Loads from a space.
    pub fn loads(&self, space: Space) -> Traffic {
        self.loads[space as usize]
    }

    /// Stores to a space.
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

/// What an invocation executes, by depth of loops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mix {
    by_depth: Vec<Counts>,
}

impl Mix {
    pub(super) fn of(module: &Module, info: &ModuleInfo) -> Self {
        let mut called = Vec::new();
        for (handle, function) in module.functions.iter() {
            let mix = Walk::over(module, &info[handle], function, &called); // callees have smaller handles
            called.push(mix);
        }
        Walk::over(module, info.get_entry_point(0), &module.entry_points[0].function, &called)
    }

    /// Counts by depth: first what stands outside all loops of unknown length, then what stands in one, in two, …, each going round once.
    pub fn by_depth(&self) -> &[Counts] {
        &self.by_depth
    }

    /// What stands outside all loops of unknown length: an invocation executes it once at most.
    pub fn outside(&self) -> &Counts {
        &self.by_depth[0]
    }

    /// What stands in the most loops, each going round once; the same as [`Mix::outside`] where there is no loop of unknown length.
    pub fn innermost(&self) -> &Counts {
        self.by_depth.last().unwrap_or_else(|| self.outside())
    }

    /// Everything, as if each loop of unknown length went round once.
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

/// Where in the loops a statement stands.
#[derive(Clone, Copy)]
struct Place {
    /// Loops of unknown length around it.
    depth: usize,
    /// How often it is executed when each of these goes round once.
    times: u64,
    /// Whether any loop is around it.
    looped: bool,
}

struct Walk<'a> {
    module: &'a Module,
    info: &'a FunctionInfo,
    function: &'a Function,
    called: &'a [Mix],
    mix: Mix,
}

impl<'a> Walk<'a> {
    fn over(module: &'a Module, info: &'a FunctionInfo, function: &'a Function, called: &'a [Mix]) -> Mix {
        let mut walk = Self { module, info, function, called, mix: Mix { by_depth: vec![Counts::default()] } };
        walk.block(&function.body, Place { depth: 0, times: 1, looped: false });
        walk.mix
    }

    fn block(&mut self, block: &Block, place: Place) {
        for (at, statement) in block.iter().enumerate() {
            match statement {
                S::Emit(range) => range.clone().for_each(|handle| self.expression(handle, place)),
                S::Block(block) => self.block(block, place),
                S::If { accept, reject, .. } => {
                    self.operation(Kind::Branch, 1, place);
                    self.block(accept, place);
                    self.block(reject, place);
                }
                S::Switch { cases, .. } => {
                    self.operation(Kind::Branch, 1, place);
                    cases.iter().for_each(|case| self.block(&case.body, place));
                }
                S::Loop { body, continuing, break_if } => {
                    self.operation(Kind::Loop, 1, place);
                    let inside = match trips::of(self.module, self.function, block, at, place.looped) {
                        Some(trips) => Place { times: place.times.saturating_mul(trips), looped: true, ..place },
                        None => Place { depth: place.depth + 1, looped: true, ..place },
                    };
                    self.operation(Kind::Branch, u64::from(break_if.is_some()), inside);
                    self.block(body, inside);
                    self.block(continuing, inside);
                }
                S::ControlBarrier(_) | S::MemoryBarrier(_) => self.operation(Kind::Barrier, 1, place),
                S::Store { pointer, value } => self.store(*pointer, self.bytes(*value), place),
                S::Atomic { pointer, value, .. } => {
                    self.operation(Kind::Integer, 1, place);
                    self.load(*pointer, self.bytes(*value), place);
                    self.store(*pointer, self.bytes(*value), place);
                }
                S::WorkGroupUniformLoad { pointer, result } => {
                    self.operation(Kind::Barrier, 1, place);
                    self.load(*pointer, self.bytes(*result), place);
                }
                S::CooperativeStore { .. } => self.operation(Kind::MatrixMove, 1, place),
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
        let arithmetic = if scalar == ScalarKind::Float { Kind::Float } else { Kind::Integer };
        match self.function.expressions[handle] {
            E::Load { pointer } => self.load(pointer, self.bytes(handle), place),
            E::Unary { op: UnaryOperator::LogicalNot, .. } | E::Select { .. } => {
                self.operation(Kind::Compare, lanes, place);
            }
            E::Unary { .. } => self.operation(arithmetic, lanes, place),
            E::Binary { op, .. } => {
                use B::{
                    Add, And, Divide, ExclusiveOr, InclusiveOr, Modulo, Multiply, ShiftLeft, ShiftRight, Subtract,
                };
                let kind = match op {
                    And | InclusiveOr if scalar == ScalarKind::Bool => Kind::Compare,
                    Add | Subtract | Multiply | Divide | Modulo => arithmetic,
                    And | InclusiveOr | ExclusiveOr | ShiftLeft | ShiftRight => Kind::Integer,
                    _ => Kind::Compare,
                };
                self.operation(kind, lanes, place);
            }
            E::CooperativeLoad { .. } => self.operation(Kind::MatrixMove, 1, place),
            E::CooperativeMultiplyAdd { .. } => self.operation(Kind::MatrixProduct, 1, place),
            E::Relational { argument, .. } => self.operation(Kind::Compare, self.shape(argument).1, place),
            E::As { .. } => self.operation(Kind::Convert, lanes, place),
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

    fn operation(&mut self, kind: Kind, lanes: u64, place: Place) {
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

    /// Kind and number of the lanes of a value; no lanes where it is no number.
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

/// What a built-in function is; `None` for the arithmetic of its type, one operation a lane.
fn function(function: M) -> Option<Kind> {
    match function {
        M::Fma => Some(Kind::Fma),
        M::CountOneBits => Some(Kind::Popcount),
        M::Dot4I8Packed | M::Dot4U8Packed => Some(Kind::PackedDot),
        M::Cos | M::Cosh | M::Sin | M::Sinh | M::Tan | M::Tanh | M::Acos | M::Asin | M::Atan | M::Atan2 => {
            Some(Kind::Special)
        }
        M::Asinh | M::Acosh | M::Atanh | M::Exp | M::Exp2 | M::Log | M::Log2 | M::Pow | M::Sqrt | M::InverseSqrt => {
            Some(Kind::Special)
        }
        M::Distance | M::Length | M::Normalize => Some(Kind::Special),
        M::Pack4x8snorm | M::Pack4x8unorm | M::Pack2x16snorm | M::Pack2x16unorm | M::Pack2x16float => {
            Some(Kind::Convert)
        }
        M::Pack4xI8 | M::Pack4xU8 | M::Pack4xI8Clamp | M::Pack4xU8Clamp | M::Unpack4xI8 | M::Unpack4xU8 => {
            Some(Kind::Convert)
        }
        M::Unpack4x8snorm | M::Unpack4x8unorm | M::Unpack2x16snorm | M::Unpack2x16unorm | M::Unpack2x16float => {
            Some(Kind::Convert)
        }
        M::QuantizeToF16 => Some(Kind::Convert),
        _ => None,
    }
}
