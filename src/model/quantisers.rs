//! Layers that quantise floats to codes of a few bits.

use crate::lloyd;
use crate::schema::{Key, Keys, List, Numbers, Purpose, Setting, Visitor, above, key, word, words};

/// The half-wave Gaussian quantiser (Cai, He, Sun, Vasconcelos, 2017): 0 for x ≤ 0, else one of
/// 2^bits − 1 positive levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Hwgq {
    /// Bits of a code, 1 to 4; 2 by default.
    pub bits: usize,
    /// The positive levels; uniform by default.
    pub levels: Levels,
    /// Upper bound of the inputs that become 0; 0 by default.
    pub zero_bin: ZeroBin,
    /// Δ of uniform levels; by default the best step for the half-wave Gaussian: [`uniform_step`].
    pub step: f32,
    /// The surrogate, whose derivative replaces the quantiser's; clipped by default.
    pub surrogate: Surrogate,
}

impl Default for Hwgq {
    fn default() -> Self {
        Self {
            bits: 2,
            levels: Levels::Uniform,
            zero_bin: ZeroBin::Zero,
            step: uniform_step(2, ZeroBin::Zero),
            surrogate: Surrogate::Clipped,
        }
    }
}

impl Keys for Hwgq {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let all = visitor.purpose() == Purpose::List;
        let levels = key(
            "levels",
            "the positive levels: Δ, 2Δ, … (\"uniform\"), the best for a half-wave Gaussian (\"lloyd\"), or a rising list",
        );
        self.levels.visit(visitor, levels);
        if let Levels::List(list) = &self.levels {
            self.bits = (list.len() + 1).next_power_of_two().trailing_zeros() as usize;
        }
        if all || !matches!(self.levels, Levels::List(_)) {
            visitor.visit(
                key("bits", "bits of a code, for 2^bits − 1 positive levels"),
                Setting::Integer(&mut self.bits, 1..=4),
            );
        }
        let zero_bin =
            key("zero_bin", "upper bound of the inputs that become 0: 0 as published, or half the first level");
        word(visitor, zero_bin, &mut self.zero_bin);
        if visitor.purpose() == Purpose::Read {
            self.step = uniform_step(self.bits, self.zero_bin);
        }
        if all || self.levels == Levels::Uniform {
            let step = Numbers::new(above(0.0), "give a number above 0, such as 0.538");
            let meaning = "Δ of uniform levels; by default the best for the half-wave Gaussian and the bits";
            visitor.visit(key("step", meaning), Setting::Number(&mut self.step, step));
        }
        let surrogate = key("surrogate", "function whose derivative replaces the quantiser's; q is the highest level");
        word(visitor, surrogate, &mut self.surrogate);
    }
}

impl Hwgq {
    /// Returns the positive levels, ascending.
    pub fn positive_levels(&self) -> Vec<f32> {
        match &self.levels {
            Levels::Uniform => (1..1 << self.bits).map(|i| i as f32 * self.step).collect(),
            Levels::Lloyd => {
                lloyd::levels((1 << self.bits) - 1, self.zero_bin == ZeroBin::Half).iter().map(|&q| q as f32).collect()
            }
            Levels::List(list) => list.clone(),
        }
    }
}

/// Returns the default Δ of uniform levels: Lloyd-optimal for the half-wave Gaussian, with the
/// authors' rounding at 2 and 3 bits.
pub fn uniform_step(bits: usize, zero_bin: ZeroBin) -> f32 {
    match (zero_bin, bits) {
        (ZeroBin::Zero, 2) => 0.538,
        (ZeroBin::Zero, 3) => 0.3217,
        _ => lloyd::uniform_step((1 << bits) - 1, zero_bin == ZeroBin::Half) as f32,
    }
}

/// The positive levels of a half-wave quantiser.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// Δ, 2Δ, 3Δ, …
    Uniform,
    /// The levels of least squared error for the half-wave Gaussian, by Lloyd's algorithm.
    Lloyd,
    /// These levels, ascending, at most 15.
    List(Vec<f32>),
}

/// Most levels in a list: a code has 4 bits, and 0 is a level too.
const MOST_LEVELS: usize = 15;

impl Levels {
    fn visit(&mut self, visitor: &mut dyn Visitor, key: Key) {
        const WORDS: [Levels; 2] = [Levels::Uniform, Levels::Lloyd];
        let mut word = WORDS.iter().position(|word| word == self);
        let mut list = if let Self::List(list) = self { std::mem::take(list) } else { Vec::new() };
        let allowed = List {
            lengths: 1..=MOST_LEVELS,
            each: above(0.0),
            rising: true,
            advice: "give \"uniform\", \"lloyd\", or an increasing list of 1 to 15 numbers above 0".into(),
        };
        let list_of = Box::new(Setting::Numbers(&mut list, allowed));
        visitor.visit(key, Setting::WordOr(&mut word, &["uniform", "lloyd"], list_of));
        *self = word.map_or(Self::List(list), |at| WORDS[at].clone());
    }
}

/// The upper bound of the inputs that a half-wave quantiser maps to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroBin {
    /// 0, as published.
    Zero,
    /// Half of the first level, which minimises the squared error.
    Half,
}

words!(ZeroBin { Zero = "zero", Half = "half" });

/// The surrogate of a half-wave quantiser: the function whose derivative replaces the quantiser's
/// in the backward pass; q_m is the highest level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Surrogate {
    /// x: 1 everywhere.
    Identity,
    /// max(x, 0): 1 for x > 0.
    Vanilla,
    /// min(max(x, 0), q_m): 1 on (0, q_m].
    #[default]
    Clipped,
    /// Like clipped, but 1/(x − q_m + 1) above q_m.
    LogTailed,
}

words!(Surrogate { Identity = "identity", Vanilla = "vanilla", Clipped = "clipped", LogTailed = "log_tailed" });

/// sign(x) in one bit, with sign(0) = +1.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// The surrogate, whose derivative replaces that of the sign.
    pub surrogate: SignSurrogate,
    /// The padding value of a convolution that reads the signs.
    pub padding: SignPadding,
}

/// The surrogate of a sign: the function whose derivative replaces the sign's in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignSurrogate {
    /// min(max(x, −1), 1): 1 on [−1, 1] (BinaryNet).
    HardTanh,
    /// 2 + 2x on [−1, 0), 2 − 2x on [0, 1) (Bi-Real Net).
    Polynomial,
}

words!(SignSurrogate { HardTanh = "hard_tanh", Polynomial = "polynomial" });

/// The padding value of a convolution that reads signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignPadding {
    /// 0: positions outside the input do not contribute.
    Zero,
    /// +1.
    One,
}

words!(SignPadding { Zero = "zero", One = "one" });

impl Default for Sign {
    fn default() -> Self {
        Self { surrogate: SignSurrogate::HardTanh, padding: SignPadding::Zero }
    }
}

impl Keys for Sign {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let surrogate =
            key("surrogate", "function whose derivative replaces that of the sign: BinaryNet's or Bi-Real Net's");
        word(visitor, surrogate, &mut self.surrogate);
        let padding =
            key("padding", "padding value of a following convolution: 0 (positions outside do not contribute) or +1");
        word(visitor, padding, &mut self.padding);
    }
}

const BITS: Key = key("bits", "bits of a code, for 2^bits levels with 0");

/// DoReFa-Net's activations: the nearest of 0, 1/n, …, 1, n = 2^bits − 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Dorefa {
    /// Bits of a code, 1 to 4; 2 by default.
    pub bits: usize,
}

impl Default for Dorefa {
    fn default() -> Self {
        Self { bits: 2 }
    }
}

impl Keys for Dorefa {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(BITS, Setting::Integer(&mut self.bits, 1..=4));
    }
}

fn start() -> Numbers {
    Numbers::new(above(0.0), "give a number above 0")
}

/// PACT: the nearest of 0, s/n, …, s with a learned clip s.
#[derive(Clone, Debug, PartialEq)]
pub struct Pact {
    /// Bits of a code, 1 to 4; 2 by default.
    pub bits: usize,
    /// Initial value of s; 10 by default.
    pub clip: f32,
}

impl Default for Pact {
    fn default() -> Self {
        Self { bits: 2, clip: 10.0 }
    }
}

impl Keys for Pact {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(BITS, Setting::Integer(&mut self.bits, 1..=4));
        visitor.visit(key("clip", "initial value of the clip"), Setting::Number(&mut self.clip, start()));
    }
}

/// LSQ: the nearest of 0, s, 2s, …, n·s with a learned step s.
#[derive(Clone, Debug, PartialEq)]
pub struct Lsq {
    /// Bits of a code, 1 to 4; 2 by default.
    pub bits: usize,
    /// Initial value of s; by default the step of `hwgq`.
    pub step: f32,
}

impl Default for Lsq {
    fn default() -> Self {
        Self { bits: 2, step: uniform_step(2, ZeroBin::Zero) }
    }
}

impl Keys for Lsq {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(BITS, Setting::Integer(&mut self.bits, 1..=4));
        if visitor.purpose() == Purpose::Read {
            self.step = uniform_step(self.bits, ZeroBin::Zero);
        }
        let step = key("step", "initial step; by default that of `hwgq`");
        visitor.visit(step, Setting::Number(&mut self.step, start()));
    }
}
