//! `activation`: y = f(x), or f(z) with z the batch-norm of x, for one of the functions below.
//! `activation_backward`: dx = dy · f′, computed from y only.
//!
//! | function | f(x) | f′ in terms of y |
//! |---|---|---|
//! | clipped ReLU (Cai et al., 2017) | min(max(x, 0), top) | 1 on (0, top), else 0 |
//! | log-tailed ReLU (the same) | max(x, 0) up to top, then top + ln(x − top + 1) | 0 at 0; 1 up to top; then e^(top − y) = 1/(x − top + 1) |
//! | tanh | tanh x | 1 − y² |
//! | hard tanh (Courbariaux et al., 2016) | min(max(x, −1), 1) | 1 on (−1, 1), else 0 |
//! | sigmoid | 1/(1 + e^−x) | y·(1 − y) |
//! | leaky ReLU (Maas et al., 2013) | x for x > 0, else slope·x | 1 for y > 0, else slope |
//!
//! Every function is monotonic, so y determines the side on which x lay: the backward pass keeps
//! only y, which the next layer keeps anyway. At a discontinuity of the derivative, the value is
//! that of the flat side (PyTorch's convention, except at 0 of the clipped ReLU).
//!
//! Exponentials are taken only of numbers ≤ 0, so none overflows. WGSL permits an error of 3 + 2|x|
//! ULP for e^x, at most 4e-7 for such x, 2^-21 or 3 ULP for ln, and 2.5 ULP for a quotient:
//! together below 2e-6 of the largest value, and the tolerance is twice that. Software drivers are
//! within 2e-7.

use super::{Backward, Fold, Op, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// Default top of a clipped or log-tailed ReLU: the largest level of the 2-bit half-wave Gaussian
/// quantiser, 3 · 0.538, for which these two functions are surrogates.
pub const TOP: f32 = 1.614;
/// Default slope of a leaky ReLU.
pub const LEAK: f32 = 0.01;

/// Derived in the module documentation.
const TOLERANCE: f32 = 4e-6;

/// A scalar activation function.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Curve {
    /// min(max(x, 0), top).
    ClippedRelu {
        /// Upper bound, above 0.
        top: f32,
    },
    /// max(x, 0) up to top, then top + ln(x − top + 1).
    LogTailedRelu {
        /// End of the linear part, above 0.
        top: f32,
    },
    /// The hyperbolic tangent.
    Tanh,
    /// min(max(x, −1), 1).
    HardTanh,
    /// 1/(1 + e^−x).
    Sigmoid,
    /// x for x > 0, else slope·x.
    LeakyRelu {
        /// Slope for x ≤ 0, at least 0: the derivative of a decreasing function cannot be recovered
        /// from y.
        slope: f32,
    },
}

/// Activation: inputs x, or x and the coefficients of a preceding batch-norm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Activation {
    /// The function f.
    pub curve: Curve,
}

/// Gradient of [`Activation`]: inputs dy, y. With folded coefficients, the gradient of the
/// normalised value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ActivationBackward {
    /// The function f.
    pub curve: Curve,
}

/// Names of the functions, in labels and as shader constants.
const NAMES: [(&str, &str); 6] = [
    ("clipped_relu", "CLIPPED_RELU"),
    ("log_tailed_relu", "LOG_TAILED_RELU"),
    ("tanh", "TANH"),
    ("hard_tanh", "HARD_TANH"),
    ("sigmoid", "SIGMOID"),
    ("leaky_relu", "LEAKY_RELU"),
];

impl Curve {
    /// Index into [`NAMES`], the parameter (0 if there is none), and the float operations of f and
    /// of f′.
    fn facts(self) -> (usize, f32, [usize; 2]) {
        match self {
            Self::ClippedRelu { top } => (0, top, [2, 2]),
            Self::LogTailedRelu { top } => (1, top, [6, 5]),
            Self::Tanh => (2, 0.0, [7, 3]),
            Self::HardTanh => (3, 0.0, [2, 2]),
            Self::Sigmoid => (4, 0.0, [5, 3]),
            Self::LeakyRelu { slope } => (5, slope, [2, 2]),
        }
    }

    /// Name of the function in recipes.
    pub fn name(self) -> &'static str {
        NAMES[self.facts().0].0
    }

    /// f(x).
    pub fn at(self, x: f32) -> f32 {
        match self {
            Self::ClippedRelu { top } => x.clamp(0.0, top),
            Self::LogTailedRelu { top } if x > top => top + libm::logf(x - top + 1.0),
            Self::LogTailedRelu { .. } => x.max(0.0),
            Self::Tanh => {
                let e = libm::expf(-2.0 * x.abs());
                let y = (1.0 - e) / (1.0 + e);
                if x < 0.0 { -y } else { y }
            }
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::Sigmoid => {
                let e = libm::expf(-x.abs());
                (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
            }
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
        }
    }

    /// f′ at the x for which f(x) = y.
    pub fn slope(self, y: f32) -> f32 {
        match self {
            Self::ClippedRelu { top } => f32::from(y > 0.0 && y < top),
            Self::LogTailedRelu { top } if y > top => libm::expf(top - y),
            Self::LogTailedRelu { .. } => f32::from(y > 0.0),
            Self::Tanh => 1.0 - y * y,
            Self::HardTanh => f32::from(y.abs() < 1.0),
            Self::Sigmoid => y * (1.0 - y),
            Self::LeakyRelu { slope } => {
                if y > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
        }
    }

    fn check(self) -> Result<(), String> {
        let fits = match self {
            Self::ClippedRelu { top } | Self::LogTailedRelu { top } => top > 0.0 && top.is_finite(),
            Self::LeakyRelu { slope } => slope >= 0.0 && slope.is_finite(),
            _ => true,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("{self:?}: `top` must be above 0 and `slope` at least 0; both must be finite"))
        }
    }

    /// Adds the constants that select this function in the shader.
    fn constants(self, mut launch: Launch) -> Launch {
        for (index, (_, constant)) in NAMES.into_iter().enumerate() {
            launch = launch.constant(constant, usize::from(index == self.facts().0));
        }
        launch
    }
}

crate::params! {
    struct CurveParams { rows: u32, quads: u32, channels: u32, number: f32 }
}

crate::params! {
    struct SlopeParams { quads: u32, number: f32 }
}

const ACTIVATION: &str = include_str!("../../shaders/activation.wgsl");

impl Operation for Activation {
    fn stem(&self) -> &'static str {
        "activation"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        batch_norm::infer_prologue(inputs)?;
        self.curve.check()?;
        Ok(inputs[0].with(F32))
    }

    fn folds(&self) -> Option<Fold> {
        Some(Fold { at: 0, behind: 0 })
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, y) = (cx.dy(), cx.output());
        let dx = cx.add(ActivationBackward { curve: self.curve }, &[dy, y])?;
        cx.give(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (_, number, [ops, _]) = self.curve.facts();
        let params = CurveParams {
            rows: output.rows() as u32,
            quads: output.quads() as u32,
            channels: output.channels() as u32,
            number,
        };
        let label = format!("activation_{}", self.curve.name());
        let launch = self.curve.constants(add::per_channel(label, &[ACTIVATION], output, 1.0));
        let launch = launch.params(&params).float_ops(ops * output.len());
        batch_norm::read(launch, self, inputs).must_be_finite().write("y", F32, Output).into()
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        TOLERANCE
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (lanes, channels) = (output.ty.lanes(), output.ty.channels());
        batch_norm::Prologue::new(inputs).rows(output.floats(), lanes, |_, x, out| {
            for (c, out) in out.iter_mut().enumerate() {
                // The sigmoid of padding is not 0, so padding is written explicitly.
                *out = if c < channels { self.curve.at(x[c]) } else { 0.0 };
            }
        });
    }
}

const fn curves() -> [Curve; 6] {
    [
        Curve::ClippedRelu { top: TOP },
        Curve::LogTailedRelu { top: TOP },
        Curve::Tanh,
        Curve::HardTanh,
        Curve::Sigmoid,
        Curve::LeakyRelu { slope: LEAK },
    ]
}

/// Values at the kinks and next to them, and values so large that e^x overflows or underflows.
fn edges() -> Tensor {
    let mut values = vec![0.0, -0.0, f32::MIN_POSITIVE, -1e-6, 1e-6, 0.01, -0.01, 20.0, -20.0, 100.0, -100.0, 1e4];
    for at in [TOP, 1.0, -1.0] {
        values.extend([at, f32::from_bits(at.to_bits() + 1), f32::from_bits(at.to_bits() - 1)]);
    }
    Tensor::from_f32(&[1, 1, 1, values.len()], &values)
}

impl Activation {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(17);
        let mut samples = Vec::new();
        for curve in curves() {
            let op = Activation { curve };
            samples.push(Sample::new(op, vec![noise.floats(&[2, 3, 5, 41])]));
            samples.push(Sample::new(op, vec![edges()]));
            let cases = batch_norm::prologue_cases(&mut noise).into_iter();
            samples.extend(cases.map(|inputs| Sample::new(op, inputs)));
        }
        samples
    }
}

impl Operation for ActivationBackward {
    fn stem(&self) -> &'static str {
        "activation_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the gradient", inputs[0])?;
        super::same("the output", inputs[1], inputs[0])?;
        self.curve.check()?;
        Ok(inputs[0].clone())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (_, number, [_, ops]) = self.curve.facts();
        let body = include_str!("../../shaders/activation_backward.wgsl");
        let label = format!("activation_backward_{}", self.curve.name());
        self.curve
            .constants(add::elementwise(&label, body, output))
            .params(&SlopeParams { quads: (output.words() / 4) as u32, number })
            .read("dy", F32, Input(0))
            .read("y", F32, Input(1))
            .write("dx", F32, Output)
            .float_ops(ops * output.len())
            .into()
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        TOLERANCE
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, y) = (inputs[0].numbers(), inputs[1].numbers());
        parallel::rows(output.floats(), 4, |i, out| {
            for (lane, out) in out.iter_mut().enumerate() {
                *out = dy[4 * i + lane] * self.curve.slope(y[4 * i + lane]);
            }
        });
    }
}

impl ActivationBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(18);
        let mut samples = Vec::new();
        for curve in curves() {
            for x in [noise.floats(&[2, 3, 5, 41]), edges()] {
                let y = Op::from(Activation { curve }).evaluate(&[&x]);
                samples.push(Sample::new(ActivationBackward { curve }, vec![noise.floats(&x.ty.shape), y]));
            }
        }
        samples
    }
}
