//! How the weights of a layer are used.

use super::fixed::{Rounding, check_format, format_or_float, format_setting};
use crate::schema::{Keys, Purpose, Setting, Visitor, Word, key, word, words};

/// How a layer uses its weights. The optimiser updates the floats, which are kept as latent
/// weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// Unchanged.
    #[default]
    Float,
    /// As sums of scaled signs, which are packed into bits.
    Packed(Packed),
    /// Unchanged, but kept in fixed point, bias included (Gupta et al.).
    Fixed(FixedWeights),
}

/// Weights that are packed into bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Their values.
    pub form: Form,
    /// Whether latent weights are clipped to [−1, 1]; not by default.
    pub clip: bool,
    /// Bits of the gradient of the layer's output: 1 to 8, or 32, the default, for floats.
    pub gradient_bits: usize,
}

/// The values of packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// α·sign(w).
    Binary {
        /// The scale; by default that of each filter.
        alpha: Alpha,
        /// The gradient of the latent weights; by default that of the binary ones.
        gradient: WeightGradient,
    },
    /// 2·round((2^k − 1)·(tanh w / (2 max |tanh w|) + ½))/(2^k − 1) − 1 (DoReFa-Net).
    Dorefa {
        /// k, 1 to 4; 2 by default. With one bit, sign(w)·mean |w| over the layer.
        bits: usize,
    },
    /// Σ α_j·sign(w − mean + u_j·std), u_j from −1 to 1, α_j by least squares (ABC-Net).
    Abc {
        /// Number of signs, 1 to 5; 3 by default.
        bases: usize,
    },
}

/// Weights in fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWeights {
    /// ⟨IL, FL⟩; ⟨2, 14⟩ by default.
    pub format: [usize; 2],
    /// Rounding after each update, and of gradients; to nearest by default.
    pub rounding: Rounding,
    /// ⟨IL, FL⟩ of the gradients, if they are rounded.
    pub gradient_format: Option<[usize; 2]>,
}

impl Default for FixedWeights {
    fn default() -> Self {
        Self { format: [2, 14], rounding: Rounding::Nearest, gradient_format: None }
    }
}

/// The scale α of binary weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpha {
    /// mean |w| over each filter (XNOR-Net, HWGQ).
    Filter,
    /// mean |w| over the layer (DoReFa-Net).
    Layer,
    /// 1 (BinaryNet).
    None,
}

words!(Alpha { Filter = "filter", Layer = "layer", None = "none" });

/// The gradient of a latent weight, where g is the gradient of α·sign(w).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightGradient {
    /// g (HWGQ, BinaryNet).
    Identity,
    /// sign(w)/n·Σ g·sign(w) + α·g·[|w| ≤ 1] (XNOR-Net, corrected).
    Xnor,
}

words!(WeightGradient { Identity = "identity", Xnor = "xnor" });

impl Form {
    /// Number of sign planes.
    pub fn planes(&self) -> usize {
        match *self {
            Self::Binary { .. } => 1,
            Self::Dorefa { bits } => bits,
            Self::Abc { bases } => bases,
        }
    }
}

impl Weights {
    /// Float weights, used unchanged.
    pub const FLOAT: Self = Self::Float;
    /// α·sign(w), α = mean |w| over each filter, with the gradient passed on unchanged.
    pub const BINARY: Self = Self::of(Form::Binary { alpha: Alpha::Filter, gradient: WeightGradient::Identity });

    /// Packed weights of this form, with defaults.
    pub const fn of(form: Form) -> Self {
        Self::Packed(Packed { form, clip: false, gradient_bits: 32 })
    }

    /// Whether an optimiser that flips weights (Bop) trains only their signs: `weights = "binary"`.
    /// DoReFa-Net's 1-bit weights are computed from latent ones, like those with more bits.
    pub fn binary(&self) -> bool {
        matches!(self, Self::Packed(Packed { form: Form::Binary { .. }, .. }))
    }

    /// Returns how they are packed into bits, if they are.
    pub fn packed(&self) -> Option<Packed> {
        if let Self::Packed(packed) = self { Some(*packed) } else { None }
    }

    /// Returns how they are kept in fixed point, if they are.
    pub fn fixed(&self) -> Option<FixedWeights> {
        if let Self::Fixed(fixed) = self { Some(*fixed) } else { None }
    }
}

impl Weights {
    /// Checks values that a recipe's keys would reject.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Float => Ok(()),
            Self::Packed(Packed { gradient_bits: 1..=8 | 32, .. }) => Ok(()),
            Self::Packed(Packed { gradient_bits, .. }) => {
                Err(format!("gradient_bits = {gradient_bits}: gradients have 1 to 8 bits, or 32 to stay floats"))
            }
            Self::Fixed(fixed) => {
                check_format(fixed.format)?;
                fixed.gradient_format.map_or(Ok(()), check_format)
            }
        }
    }
}

/// The values of `weights` in recipes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Float,
    Binary,
    Dorefa,
    Abc,
    Fixed,
}

impl Word for Mode {
    const VALUES: &'static [Self] = &[Self::Float, Self::Binary, Self::Dorefa, Self::Abc, Self::Fixed];
    const WORDS: &'static [&'static str] = &["float", "binary", "dorefa", "abc", "fixed"];
}

/// All keys side by side, as a recipe has them.
struct Settings {
    mode: Mode,
    alpha: Alpha,
    gradient: WeightGradient,
    clip: bool,
    bits: usize,
    bases: usize,
    gradient_bits: usize,
    fixed: FixedWeights,
}

impl From<Weights> for Settings {
    fn from(weights: Weights) -> Self {
        let mut settings = Self {
            mode: Mode::Float,
            alpha: Alpha::Filter,
            gradient: WeightGradient::Identity,
            clip: false,
            bits: 2,
            bases: 3,
            gradient_bits: 32,
            fixed: FixedWeights::default(),
        };
        match weights {
            Weights::Float => {}
            Weights::Fixed(fixed) => (settings.mode, settings.fixed) = (Mode::Fixed, fixed),
            Weights::Packed(Packed { form, clip, gradient_bits }) => {
                (settings.clip, settings.gradient_bits) = (clip, gradient_bits);
                match form {
                    Form::Binary { alpha, gradient } => {
                        (settings.mode, settings.alpha, settings.gradient) = (Mode::Binary, alpha, gradient);
                    }
                    Form::Dorefa { bits } => (settings.mode, settings.bits) = (Mode::Dorefa, bits),
                    Form::Abc { bases } => (settings.mode, settings.bases) = (Mode::Abc, bases),
                }
            }
        }
        settings
    }
}

impl From<Settings> for Weights {
    fn from(settings: Settings) -> Self {
        let Settings { mode, alpha, gradient, clip, bits, bases, gradient_bits, fixed } = settings;
        let packed = |form| Self::Packed(Packed { form, clip, gradient_bits });
        match mode {
            Mode::Float => Self::Float,
            Mode::Binary => packed(Form::Binary { alpha, gradient }),
            Mode::Dorefa => packed(Form::Dorefa { bits }),
            Mode::Abc => packed(Form::Abc { bases }),
            Mode::Fixed => Self::Fixed(fixed),
        }
    }
}

impl Keys for Weights {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let all = visitor.purpose() == Purpose::List;
        let mut settings = Settings::from(*self);
        let mode = key(
            "weights",
            "form in which weights are used: unchanged, α·sign(w), weight_bits bits (DoReFa-Net), Σ α_j·(±1) over bases (ABC-Net), or kept in fixed point",
        );
        word(visitor, mode, &mut settings.mode);
        let packed = !matches!(settings.mode, Mode::Float | Mode::Fixed);
        if all || settings.mode == Mode::Binary {
            word(
                visitor,
                key("alpha", "the scale of binary weights: mean |w| over a filter or the layer, or 1"),
                &mut settings.alpha,
            );
            let gradient = key("weight_gradient", "gradient of the latent weights: that of α·sign(w), or XNOR-Net's");
            word(visitor, gradient, &mut settings.gradient);
        }
        if all || packed {
            visitor.visit(key("clip_weights", "keep latent weights in [−1, 1]"), Setting::Flag(&mut settings.clip));
        }
        if all || settings.mode == Mode::Dorefa {
            visitor.visit(
                key("weight_bits", "bits of a `dorefa` weight; 1 is sign(w)·mean |w| over the layer"),
                Setting::Integer(&mut settings.bits, 1..=4),
            );
        }
        if all || settings.mode == Mode::Abc {
            let bases = key("bases", "sign planes of an `abc` weight; α_j by least squares");
            visitor.visit(bases, Setting::Integer(&mut settings.bases, 1..=5));
        }
        if all || packed {
            let meaning = "bits of the gradient of the output, 1 to 8, rounded stochastically (DoReFa-Net); 32 leaves it unchanged";
            visitor.visit(key("gradient_bits", meaning), Setting::Integer(&mut settings.gradient_bits, 1..=32));
        }
        if all || settings.mode == Mode::Fixed {
            let format = key("weight_format", "[IL, FL]: integer bits, including the sign, and fractional bits");
            visitor.visit(format, format_setting(&mut settings.fixed.format));
            let rounding = key("weight_rounding", "rounding of weights after each update, and of their gradients");
            word(visitor, rounding, &mut settings.fixed.rounding);
            let gradient = key("gradient_format", "[IL, FL] of the weights' gradients, or \"float\"");
            format_or_float(visitor, gradient, &mut settings.fixed.gradient_format);
        }
        *self = settings.into();
    }
}
