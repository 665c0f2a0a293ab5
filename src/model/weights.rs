//! How the weights of a layer are used.

use super::fixed::{Rounding, format_or_float, format_setting};
use crate::schema::{Keys, Purpose, Setting, Visitor, key, word, words};

/// How a layer uses its weights. The optimiser updates the floats, which are kept as latent
/// weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The form in which weights are used.
    pub mode: WeightMode,
    /// The scale of binary weights.
    pub alpha: Alpha,
    /// The gradient of the latent weights, given that of binary weights.
    pub gradient: WeightGradient,
    /// Whether latent weights are clipped to [−1, 1].
    pub clip: bool,
    /// Bits of `dorefa` weights.
    pub bits: usize,
    /// Number of bases of `abc` weights.
    pub bases: usize,
    /// Bits of the gradient of the layer's output, where weights are packed: 1 to 8, or 32 for
    /// floats.
    pub gradient_bits: usize,
    /// ⟨IL, FL⟩ of `fixed` weights.
    pub format: [usize; 2],
    /// Rounding of `fixed` weights after each update, and of their gradients.
    pub rounding: Rounding,
    /// ⟨IL, FL⟩ of the gradients of `fixed` weights, if they are rounded.
    pub gradient_format: Option<[usize; 2]>,
}

/// The form in which weights are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightMode {
    /// Unchanged.
    Float,
    /// α·sign(w).
    Binary,
    /// 2·round((2^k − 1)·(tanh w / (2 max |tanh w|) + ½))/(2^k − 1) − 1 (DoReFa-Net).
    Dorefa,
    /// Σ α_j·sign(w − mean + u_j·std), u_j from −1 to 1 (ABC-Net).
    Abc,
    /// Unchanged, but kept in fixed point ⟨IL, FL⟩, bias included (Gupta et al.).
    Fixed,
}

words!(WeightMode { Float = "float", Binary = "binary", Dorefa = "dorefa", Abc = "abc", Fixed = "fixed" });

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

impl Weights {
    /// Float weights, used unchanged.
    pub const FLOAT: Self = Self {
        mode: WeightMode::Float,
        alpha: Alpha::Filter,
        gradient: WeightGradient::Identity,
        clip: false,
        bits: 2,
        bases: 3,
        gradient_bits: 32,
        format: [2, 14],
        rounding: Rounding::Nearest,
        gradient_format: None,
    };
    /// α·sign(w), α = mean |w| over each filter, with the gradient passed on unchanged.
    pub const BINARY: Self = Self { mode: WeightMode::Binary, ..Self::FLOAT };

    /// Whether an optimiser that flips weights (Bop) trains only their signs: `weights = "binary"`.
    /// DoReFa-Net's 1-bit weights are computed from latent ones, like those with more bits.
    pub fn binary(&self) -> bool {
        self.mode == WeightMode::Binary
    }

    /// Whether they can be packed into bits.
    pub fn packed(&self) -> bool {
        self.planes() > 0
    }

    /// Number of sign planes of a packed weight.
    pub fn planes(&self) -> usize {
        match self.mode {
            WeightMode::Float | WeightMode::Fixed => 0,
            WeightMode::Binary => 1,
            WeightMode::Dorefa => self.bits,
            WeightMode::Abc => self.bases,
        }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::FLOAT
    }
}

impl Keys for Weights {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let all = visitor.purpose() == Purpose::List;
        let mode = key(
            "weights",
            "form in which weights are used: unchanged, α·sign(w), weight_bits bits (DoReFa-Net), Σ α_j·(±1) over bases (ABC-Net), or kept in fixed point",
        );
        word(visitor, mode, &mut self.mode);
        if all || self.mode == WeightMode::Binary {
            word(
                visitor,
                key("alpha", "the scale of binary weights: mean |w| over a filter or the layer, or 1"),
                &mut self.alpha,
            );
            let gradient = key("weight_gradient", "gradient of the latent weights: that of α·sign(w), or XNOR-Net's");
            word(visitor, gradient, &mut self.gradient);
        }
        if all || self.packed() {
            visitor.visit(key("clip_weights", "keep latent weights in [−1, 1]"), Setting::Flag(&mut self.clip));
        }
        if all || self.mode == WeightMode::Dorefa {
            visitor.visit(
                key("weight_bits", "bits of a `dorefa` weight; 1 is sign(w)·mean |w| over the layer"),
                Setting::Integer(&mut self.bits, 1..=4),
            );
        }
        if all || self.mode == WeightMode::Abc {
            let bases = key("bases", "sign planes of an `abc` weight; α_j by least squares");
            visitor.visit(bases, Setting::Integer(&mut self.bases, 1..=5));
        }
        if all || self.packed() {
            let meaning = "bits of the gradient of the output, 1 to 8, rounded stochastically (DoReFa-Net); 32 leaves it unchanged";
            visitor.visit(key("gradient_bits", meaning), Setting::Integer(&mut self.gradient_bits, 1..=32));
        }
        if all || self.mode == WeightMode::Fixed {
            let format = key("weight_format", "[IL, FL]: integer bits, including the sign, and fractional bits");
            visitor.visit(format, format_setting(&mut self.format));
            let rounding = key("weight_rounding", "rounding of weights after each update, and of their gradients");
            word(visitor, rounding, &mut self.rounding);
            let gradient = key("gradient_format", "[IL, FL] of the weights' gradients, or \"float\"");
            format_or_float(visitor, gradient, &mut self.gradient_format);
        }
    }
}
