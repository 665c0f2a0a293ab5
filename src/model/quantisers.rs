//! Layers that quantise floats to codes of a few bits.

use super::definition::{Codes, Definition, Learned, Shape};
use crate::lloyd;
use crate::ops::Op;
use crate::ops::code::Code;
use crate::ops::quantise::{Quantise, Scale};
use crate::schema::{Key, Keys, List, Numbers, Purpose, Setting, Visitor, Words, above, key, word, words};

pub use crate::ops::quantise::Surrogate;

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
        HALF_WAVE.visit(visitor, surrogate, &mut self.surrogate);
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

impl Definition for Hwgq {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(1..=4).contains(&self.bits) {
            return Err(format!("bits = {}: a hwgq layer has 1, 2, 3 or 4 bits", self.bits));
        }
        HALF_WAVE.check(self.surrogate).map(|()| inputs[0])
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        let half = self.zero_bin == ZeroBin::Half;
        Some(Quantise::half_wave(&self.positive_levels(), half, self.surrogate).into())
    }

    fn codes(&self) -> Option<Codes> {
        Some(match self.levels {
            Levels::Uniform => Code::Uniform(self.step).into(),
            _ => Code::Levels(self.positive_levels()).into(),
        })
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

/// The surrogates of half-wave quantisers, and their names in recipes.
const HALF_WAVE: Words<Surrogate> = Words {
    values: &[Surrogate::Identity, Surrogate::Vanilla, Surrogate::Clipped, Surrogate::LogTailed],
    words: &["identity", "vanilla", "clipped", "log_tailed"],
};

/// The surrogates of signs, and their names in recipes.
const OF_SIGNS: Words<Surrogate> =
    Words { values: &[Surrogate::HardTanh, Surrogate::Polynomial], words: &["hard_tanh", "polynomial"] };

/// sign(x) in one bit, with sign(0) = +1.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// The surrogate, whose derivative replaces that of the sign.
    pub surrogate: Surrogate,
    /// The padding value of a convolution that reads the signs.
    pub padding: SignPadding,
}

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
        Self { surrogate: Surrogate::HardTanh, padding: SignPadding::Zero }
    }
}

impl Keys for Sign {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let surrogate =
            key("surrogate", "function whose derivative replaces that of the sign: BinaryNet's or Bi-Real Net's");
        OF_SIGNS.visit(visitor, surrogate, &mut self.surrogate);
        let padding =
            key("padding", "padding value of a following convolution: 0 (positions outside do not contribute) or +1");
        word(visitor, padding, &mut self.padding);
    }
}

/// Which nodes it needs besides its operation is in `src/pass/build.rs`.
impl Definition for Sign {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        OF_SIGNS.check(self.surrogate).map(|()| inputs[0])
    }

    fn codes(&self) -> Option<Codes> {
        Some(Code::Sign.into())
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

/// Codes 0 to n that represent numbers from 0 to 1.
fn unit_code(bits: usize) -> Code {
    Code::Uniform(1.0 / ((1 << bits) - 1) as f32)
}

impl Definition for Dorefa {
    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(Quantise::nearest(self.bits as u8, 1.0, None).into())
    }

    fn codes(&self) -> Option<Codes> {
        Some(unit_code(self.bits).into())
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

/// Uniform quantisation with a fixed clip c: the nearest of 0, c/n, …, c, n = 2^bits − 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Uniform {
    /// Bits of a code, 1 to 4; 2 by default.
    pub bits: usize,
    /// c; 6 by default (ReLU6).
    pub clip: f32,
}

impl Default for Uniform {
    fn default() -> Self {
        Self { bits: 2, clip: 6.0 }
    }
}

impl Definition for Uniform {
    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(Quantise::nearest(self.bits as u8, self.clip, None).into())
    }

    fn codes(&self) -> Option<Codes> {
        Some(Code::Uniform(self.clip / ((1 << self.bits) - 1) as f32).into())
    }
}

impl Keys for Uniform {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(BITS, Setting::Integer(&mut self.bits, 1..=4));
        visitor.visit(key("clip", "the largest level"), Setting::Number(&mut self.clip, start()));
    }
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

impl Definition for Pact {
    fn learned(&self, _channels: usize) -> Vec<Learned> {
        vec![Learned { name: "clip", len: 1, start: self.clip }]
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(Quantise::nearest(self.bits as u8, 1.0, Some(Scale::Pact)).into())
    }

    fn codes(&self) -> Option<Codes> {
        Some(Codes { code: unit_code(self.bits), scaled: true })
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

impl Definition for Lsq {
    fn learned(&self, _channels: usize) -> Vec<Learned> {
        vec![Learned { name: "step", len: 1, start: self.step }]
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        let top = ((1 << self.bits) - 1) as f32;
        Some(Quantise::nearest(self.bits as u8, top, Some(Scale::Lsq)).into())
    }

    fn codes(&self) -> Option<Codes> {
        Some(Codes { code: Code::Uniform(1.0), scaled: true })
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

/// APoT: the nearest of levels that are sums of powers of two, times a learned clip s.
#[derive(Clone, Debug, PartialEq)]
pub struct Apot {
    /// Bits of a code, 2 to 4; 2 by default.
    pub bits: usize,
    /// Initial value of s; 8 by default.
    pub clip: f32,
}

impl Default for Apot {
    fn default() -> Self {
        Self { bits: 2, clip: 8.0 }
    }
}

impl Apot {
    /// Returns the 2^bits − 1 positive levels in units of the clip, ascending: the sums of one term
    /// of each set, divided by the largest sum. The sets are those of the paper, in multiples of
    /// their smallest power of two.
    pub fn positive_levels(&self) -> Vec<f32> {
        let sets: [&[u32]; 2] = match self.bits {
            ..=2 => [&[0, 1, 2, 4], &[0]],
            3 => [&[0, 1, 4, 8], &[0, 2]],
            _ => [&[0, 2, 8, 32], &[0, 1, 4, 16]],
        };
        let mut sums: Vec<_> = sets[0].iter().flat_map(|a| sets[1].iter().map(move |b| a + b)).collect();
        sums.sort_unstable();
        let largest = sums[sums.len() - 1] as f32;
        sums[1..].iter().map(|&sum| sum as f32 / largest).collect()
    }
}

impl Definition for Apot {
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(2..=4).contains(&self.bits) {
            return Err(format!("bits = {}: an apot layer has 2, 3 or 4 bits", self.bits));
        }
        Ok(inputs[0])
    }

    fn learned(&self, _channels: usize) -> Vec<Learned> {
        vec![Learned { name: "clip", len: 1, start: self.clip }]
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some(Quantise::nearest_level(&self.positive_levels(), Some(Scale::Rcf)).into())
    }

    fn codes(&self) -> Option<Codes> {
        Some(Codes { code: Code::Levels(self.positive_levels()), scaled: true })
    }
}

impl Keys for Apot {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(BITS, Setting::Integer(&mut self.bits, 2..=4));
        visitor.visit(key("clip", "initial value of the clip"), Setting::Number(&mut self.clip, start()));
    }
}
