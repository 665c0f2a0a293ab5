//! `activation`: y = f(x), or f(z) with z the batch-norm of x, for one of the curves below. `activation_backward`: dx = dy · f′, from y alone.
//!
//! | curve | f(x) | f′ by y |
//! |---|---|---|
//! | clipped ReLU (Cai et al., 2017) | min(max(x, 0), top) | 1 on (0, top), else 0 |
//! | log-tailed ReLU (the same) | max(x, 0) up to top, then top + ln(x − top + 1) | 0 at 0; 1 up to top; then e^(top − y) = 1/(x − top + 1) |
//! | tanh | tanh x | 1 − y² |
//! | hard tanh (Courbariaux et al., 2016) | min(max(x, −1), 1) | 1 on (−1, 1), else 0 |
//! | sigmoid | 1/(1 + e^−x) | y·(1 − y) |
//! | leaky ReLU (Maas et al., 2013) | x for x > 0, else slope·x | 1 for y > 0, else slope |
//!
//! Every curve is monotonic, so that y tells where x lay: the backward pass keeps nothing but y, which the next layer keeps anyway. Where a derivative jumps, the curve's
//! flat side has the point itself (PyTorch's rule, but for the clipped ReLU's 0).
//!
//! Exponentials are of numbers ≤ 0 alone: none overflows. WGSL grants e^x an error of 3 + 2|x| units in the last place, at most 4e-7 for such x, ln one of 2^-21 or 3 units, a quotient
//! 2.5 units: below 2e-6 of the largest value together, twice of which is the tolerance. Software drivers are within 2e-7.

use super::{Backward, Fold, Op, Operation, Sample, add, batch_norm, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// The top that a clipped or log-tailed ReLU has by default: the largest level of the 2-bit half-wave Gaussian quantiser, 3 · 0.538, which these two curves stand in for.
pub const TOP: f32 = 1.614;
/// The slope that a leaky ReLU has by default.
pub const LEAK: f32 = 0.01;

/// See above.
const TOLERANCE: f32 = 4e-6;

/// A function of one number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Curve {
    /// min(max(x, 0), top).
    ClippedRelu {
        /// Above 0.
        top: f32,
    },
    /// max(x, 0) up to top, then top + ln(x − top + 1).
    LogTailedRelu {
        /// Above 0.
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
        /// At least 0: a curve that falls has no derivative by y.
        slope: f32,
    },
}

/// Curve: inputs x, or x and a batch-norm's coefficients that are applied first.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Activation {
    /// f.
    pub curve: Curve,
}

/// Its gradient: inputs dy, y. With coefficients folded in, the gradient of the normalised value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ActivationBackward {
    /// f.
    pub curve: Curve,
}

/// Names of the curves, in labels and as constants of the shaders.
const NAMES: [(&str, &str); 6] = [
    ("clipped_relu", "CLIPPED_RELU"),
    ("log_tailed_relu", "LOG_TAILED_RELU"),
    ("tanh", "TANH"),
    ("hard_tanh", "HARD_TANH"),
    ("sigmoid", "SIGMOID"),
    ("leaky_relu", "LEAKY_RELU"),
];

impl Curve {
    /// Its place among the names, its one number (0 where it has none), float operations of f and of f′.
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

    /// Its word, as recipes write it.
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

    /// f′ where f is y.
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
        if fits { Ok(()) } else { Err(format!("{self:?}: a top lies above 0, a slope is at least 0; both are finite")) }
    }

    /// Tells the shader which curve it is.
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
                // A sigmoid of padding would not be padding.
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

/// Values on and beside the kinks, and so large ones that e^x overflows or vanishes.
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
