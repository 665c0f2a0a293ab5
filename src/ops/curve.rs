//! Element-wise activation functions: everything that halfwave knows about one is its row in
//! [`CURVES`], except f itself, which exported networks need too: [`Function`] defines it. The layer kind with its key, the kernels, the reference implementation and the
//! documentation follow from it.
//!
//! The derivative of a monotonic function is computed from its output y, which the next layer keeps
//! anyway; a function that is not monotonic computes it from its input x ([`Reads::Input`]). Where
//! a derivative jumps, the point itself belongs to the flat side, as in PyTorch (except the clipped
//! ReLU's 0).
//!
//! Exponentials are of numbers ≤ 0 only: none overflows. WGSL grants e^x an error of 3 + 2|x| units
//! in the last place, at most 4e-7 for such x, ln an error of 2^-21 or 3 units, a quotient 2.5
//! units: together below 2e-6 of the largest value. The tolerance is twice that. Software drivers
//! are within 2e-7.

use crate::kernel::Launch;
use halfwave_infer::Curve as Function;
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// The default top of a clipped or log-tailed ReLU: the largest level of the 2-bit half-wave
/// Gaussian quantiser, 3 · 0.538, for which these two functions are surrogates.
pub const TOP: f32 = 1.614;

/// Error of a kernel relative to the largest value; derived above.
pub(super) const TOLERANCE: f32 = 4e-6;

/// What a derivative is computed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// The function's value y.
    Output,
    /// Its argument x, or the batch-norm of x where one is folded in.
    Input,
}

/// The one number that some functions have, a key of the layer.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// The key's name.
    pub name: &'static str,
    /// Its meaning, in a line.
    pub meaning: &'static str,
    /// Its default.
    pub default: f32,
    /// The interval of valid values.
    pub interval: (Bound<f32>, Bound<f32>),
    /// Advice for a value outside of it.
    pub advice: &'static str,
}

/// One activation function f.
#[derive(Debug)]
pub struct Row {
    /// The layer's kind in a recipe.
    pub name: &'static str,
    /// f(x).
    pub formula: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Its number, if it has one.
    pub number: Option<Number>,
    /// What f′ is computed from.
    pub reads: Reads,
    /// Float operations of f and of f′.
    pub float_ops: [usize; 2],
    /// Replaces each x by f(x); the second argument is the number, 0 where there is none. Whole
    /// slices, so that a call through the table is made once a row of a tensor.
    pub value: fn(&mut [f32], f32),
    /// Replaces each y, or x, by f′.
    pub slope: fn(&mut [f32], f32),
    /// The same two as WGSL: statements that return a `vec4<f32>`, in which `x` (or `y`, where the
    /// derivative reads the output), `number`, `zero` and `one` are vectors.
    pub wgsl: [&'static str; 2],
}

/// Every activation function, in the order in which they are listed.
pub static CURVES: &[Row] = &[
    Row {
        name: "clipped_relu",
        formula: "min(max(x, 0), top)",
        source: "Cai, He, Sun, Vasconcelos, 2017, arXiv 1702.00953",
        number: Some(top()),
        reads: Reads::Output,
        float_ops: [2, 2],
        value: |values, number| Function::ClippedRelu.map(values, number),
        slope: |values, top| map(values, |y| f32::from(y > 0.0 && y < top)),
        wgsl: ["return min(max(x, zero), number);", "return select(zero, one, (y > zero) & (y < number));"],
    },
    Row {
        name: "log_tailed_relu",
        formula: "max(x, 0) up to top, then top + ln(x − top + 1)",
        source: "Cai, He, Sun, Vasconcelos, 2017, arXiv 1702.00953",
        number: Some(top()),
        reads: Reads::Output,
        float_ops: [6, 5],
        value: |values, number| Function::LogTailedRelu.map(values, number),
        slope: |values, top| map(values, |y| if y > top { libm::expf(top - y) } else { f32::from(y > 0.0) }),
        wgsl: [
            "return select(max(x, zero), number + log(max(x - number, zero) + one), x > number);",
            "return select(zero, exp(min(number - y, zero)), y > zero);",
        ],
    },
    Row {
        name: "tanh",
        formula: "tanh x",
        source: "",
        number: None,
        reads: Reads::Output,
        float_ops: [7, 3],
        value: |values, number| Function::Tanh.map(values, number),
        slope: |values, _| map(values, |y| 1.0 - y * y),
        wgsl: [
            "let e = exp(-2.0 * abs(x)); let t = (one - e) / (one + e); return select(t, -t, x < zero);",
            "return one - y * y;",
        ],
    },
    Row {
        name: "hard_tanh",
        formula: "min(max(x, −1), 1)",
        source: "Courbariaux et al., 2016, arXiv 1602.02830",
        number: None,
        reads: Reads::Output,
        float_ops: [2, 2],
        value: |values, number| Function::HardTanh.map(values, number),
        slope: |values, _| map(values, |y| f32::from(y.abs() < 1.0)),
        wgsl: ["return min(max(x, -one), one);", "return select(zero, one, abs(y) < one);"],
    },
    Row {
        name: "sigmoid",
        formula: "1/(1 + e^−x)",
        source: "",
        number: None,
        reads: Reads::Output,
        float_ops: [5, 3],
        value: |values, number| Function::Sigmoid.map(values, number),
        slope: |values, _| map(values, |y| y * (1.0 - y)),
        wgsl: ["let e = exp(-abs(x)); return select(one, e, x < zero) / (one + e);", "return y * (one - y);"],
    },
    Row {
        name: "silu",
        formula: "x/(1 + e^−x)",
        source: "Elfwing, Uchibe, Doya, 2017, arXiv 1702.03118",
        number: None,
        reads: Reads::Input,
        float_ops: [6, 9],
        value: |values, number| Function::Silu.map(values, number),
        slope: |values, _| {
            map(values, |x| {
                let s = sigmoid(x);
                s * (1.0 + x * (1.0 - s))
            })
        },
        wgsl: [
            "let e = exp(-abs(x)); return x * (select(one, e, x < zero) / (one + e));",
            "let e = exp(-abs(x)); let s = select(one, e, x < zero) / (one + e); return s * (one + x * (one - s));",
        ],
    },
    Row {
        name: "leaky_relu",
        formula: "x for x > 0, else slope·x",
        source: "Maas, Hannun, Ng, 2013",
        number: Some(Number {
            name: "slope",
            meaning: "slope for negative inputs",
            default: 0.01,
            // A falling function has no derivative by y.
            interval: (Bound::Included(0.0), Bound::Unbounded),
            advice: "give a number of at least 0, such as 0.01",
        }),
        reads: Reads::Output,
        float_ops: [2, 2],
        value: |values, number| Function::LeakyRelu.map(values, number),
        slope: |values, slope| map(values, |y| if y > 0.0 { 1.0 } else { slope }),
        wgsl: ["return select(number * x, x, x > zero);", "return select(number, one, y > zero);"],
    },
];

const fn top() -> Number {
    Number {
        name: "top",
        meaning: "where the slope changes; by default the highest level of the 2-bit `hwgq`",
        default: TOP,
        interval: (Bound::Excluded(0.0), Bound::Unbounded),
        advice: "give a number above 0, such as 1.614",
    }
}

#[inline(always)]
fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|value| *value = f(*value));
}

fn sigmoid(x: f32) -> f32 {
    let e = libm::expf(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// An activation function with its number.
#[derive(Clone, Copy)]
pub struct Curve {
    row: &'static Row,
    /// Its number; 0 where it has none.
    pub number: f32,
}

impl Curve {
    /// The function of this name, its number at the default.
    pub fn of(name: &str) -> Option<Self> {
        CURVES.iter().find(|row| row.name == name).map(Self::from)
    }

    /// The same function with another number.
    #[must_use]
    pub fn with(self, number: f32) -> Self {
        Self { number, ..self }
    }

    /// Its row.
    pub fn row(self) -> &'static Row {
        self.row
    }

    /// f(x).
    pub fn at(self, x: f32) -> f32 {
        let mut value = [x];
        self.values(&mut value);
        value[0]
    }

    /// Replaces each x by f(x).
    pub(super) fn values(self, x: &mut [f32]) {
        (self.row.value)(x, self.number);
    }

    /// Replaces each y, or x as the row says, by f′.
    pub(super) fn slopes(self, of: &mut [f32]) {
        (self.row.slope)(of, self.number);
    }

    pub(super) fn check(self) -> Result<(), String> {
        match self.row.number {
            Some(Number { name, interval, advice, .. })
                if !(self.number.is_finite() && interval.contains(&self.number)) =>
            {
                Err(format!("{name} = {}: {advice}", self.number))
            }
            _ => Ok(()),
        }
    }

    /// Whether f(0) is another number: padding must be set to 0 then.
    pub(super) fn moves_zero(self) -> bool {
        self.at(0.0) != 0.0
    }

    /// Adds `value(x)` or `slope(of)` to a launch whose uniform has `number`.
    pub(super) fn declare(self, mut launch: Launch, derivative: bool) -> Launch {
        let (name, of) = match (derivative, self.row.reads) {
            (false, _) => ("value", "x"),
            (true, Reads::Output) => ("slope", "y"),
            (true, Reads::Input) => ("slope", "x"),
        };
        let statements = self.row.wgsl[usize::from(derivative)];
        let text = format!(
            "fn {name}({of}: vec4<f32>) -> vec4<f32> {{\n    let zero = vec4<f32>();\n    let one = vec4<f32>(1.0);\n    \
             let number = vec4<f32>(p.number);\n    {statements}\n}}\n"
        );
        launch.kernel.body.push(text.into());
        launch
    }
}

impl From<&'static Row> for Curve {
    fn from(row: &'static Row) -> Self {
        Self { row, number: row.number.map_or(0.0, |number| number.default) }
    }
}

impl PartialEq for Curve {
    fn eq(&self, other: &Self) -> bool {
        self.row.name == other.row.name && self.number == other.number
    }
}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row.number {
            Some(number) => write!(f, "{}({} = {})", self.row.name, number.name, self.number),
            None => f.write_str(self.row.name),
        }
    }
}
