//! `compress`: a tensor in few bits per number, as ranks of a data-parallel training exchange
//! gradients. [`decompress`](mod@super::decompress) adds up such messages; `feedback` computes what
//! a message omits.
//!
//! The n words of a tensor, padding included, are divided into *blocks* of [`BLOCK`] = 256
//! consecutive words; the last one may be shorter. A block of a message is one word, its scale s
//! (the bits of a float), followed by its payload; votes have no scale. Its length does not depend on the numbers; those
//! that a short block lacks are 0 in the payload. The blocks of a tensor follow each other without
//! padding, so a message can be divided between blocks.
//!
//! | format | payload, words | bits per number | s | decoded |
//! |---|---|---|---|---|
//! | [`Half`](Format::Half) | 128 | 16.125 | 2^e, max\|x\|·2^−e in [2¹⁴, 2¹⁵) | h·s, h the IEEE half nearest to x/s, ties to even |
//! | [`Byte`](Format::Byte) | 64 | 8.125 | 2^e, the smallest with max\|x\| ≤ 127·2^e | q·s, q = ⌊x/s⌋ + [u < x/s − ⌊x/s⌋], u uniform in [0, 1) |
//! | [`Sign`](Format::Sign) | 8 | 1.125 | mean \|x\| | s, or −s for x < 0 |
//! | [`Vote`](Format::Vote) | 8 | 1 | none | 1 for x > 0, else −1 |
//!
//! **Layout**: number i of a block is in word i/2, i/4 or i/32 of the payload, at bits 16·(i mod 2),
//! 8·(i mod 4) or i mod 32; bytes are two's complement, a sign is 1 for x < 0, a vote 1 for x > 0.
//!
//! **Errors**, relative to the decoded number, for 2^−100 ≤ |x| ≤ 127·2^121:
//! - `Half`: at most 2⁻¹¹·|x| for |x| ≥ 2^−14·s, |x| below that, where the half would be subnormal
//!   and is 0. The largest number of a block is more than 2²⁸ times as large.
//! - `Byte`: less than s. With x/s truncated to a multiple of 2⁻²⁴, the expected value is exact, so
//!   it differs from x by less than 2⁻²⁴·s. u has 24 bits.
//! - `Sign`: s is at most the mean, and less than 2⁻²²·max|x| below it. The mean is one of all
//!   words of the block, zeros and padding included. Zeros become s.
//!
//! |x| < 2^−100 counts as 0, |x| > 127·2^121 as 127·2^121. Then neither scales nor products are
//! subnormal or infinite. A block of zeros has the scale 0 and the payload 0. x must be finite.
//!
//! **Exact on every device**: all arithmetic is on integers. The mean of `Sign` is ⌊S/n⌋·2^(m−23),
//! with 2^m ≤ max|x| < 2^(m+1), n the number of words of the block and S = Σ⌊|x|·2^(23−m)⌋ < 2³².
//!
//! **Random numbers** (`Byte`): a quad of words draws one block of Philox, as for `dropout`. The
//! fifth word of `random`, if there is one, is the number of the rank: its counters begin at
//! [`RANK_QUADS`] = 2²² times that number. 1024 ranks therefore draw different numbers for tensors
//! of up to 2²⁴ words; for larger ones, numbers recur at other places of a tensor.
//!
//! Sources: signs with the mean magnitude of a block, Karimireddy, Rebjock, Stich, Jaggi, "Error
//! feedback fixes SignSGD and other gradient compression schemes", ICML 2019, and Zheng, Huang,
//! Kwok, "Communication-efficient distributed blockwise momentum SGD with error-feedback", NeurIPS
//! 2019; signs alone, Bernstein, Zhao, Azizzadenesheli, Anandkumar, "signSGD with majority vote is
//! communication efficient and fault tolerant", ICLR 2019, whose majority of votes is the compressed
//! sum of votes; stochastic rounding, Alistarh, Grubic,
//! Li, Tomioka, Vojnovic, "QSGD", NIPS 2017, here with powers of two as scales.

use super::dropout::{PHILOX, check_random, drawing};
use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::random;
use crate::tensor::{
    Encoding::{F32, U32},
    LANES, Tensor, TensorType, View, ViewMut,
};

#[cfg(test)]
mod tests;

/// Words of a tensor that share a scale.
pub const BLOCK: usize = 256;

/// Quads of random numbers between those of consecutive ranks.
pub const RANK_QUADS: usize = 1 << 22;

/// Bits of 2^−100; smaller magnitudes count as 0.
const SMALLEST: u32 = 27 << 23;

/// Bits of 127·2^121, the largest magnitude.
const LARGEST: u32 = 0x7f7e_0000;

/// How the numbers of a block are represented.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Halves with a common power of two.
    Half,
    /// Bytes with a common power of two, rounded stochastically.
    Byte,
    /// Signs with the mean magnitude.
    Sign,
    /// Votes, for or against: a bit for each number.
    Vote,
}

/// Returns the number of blocks of a tensor.
pub fn blocks(ty: &TensorType) -> usize {
    ty.words().div_ceil(BLOCK)
}

/// Bits of |x| as a message can represent it.
fn magnitude(x: f32) -> u32 {
    let size = (x.to_bits() & 0x7fff_ffff).min(LARGEST);
    if size < SMALLEST { 0 } else { size }
}

/// A number as `feedback` counts it: 0 if messages cannot represent its magnitude.
pub(super) fn counted(x: f32) -> f32 {
    if magnitude(x) == 0 { 0.0 } else { x }
}

/// The 24 bits of a magnitude's significand.
fn significand(size: u32) -> u32 {
    if size == 0 { 0 } else { size & 0x7f_ffff | 0x80_0000 }
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Half, Self::Byte, Self::Sign, Self::Vote];

    /// Name of the format in labels of kernels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Byte => "byte",
            Self::Sign => "sign",
            Self::Vote => "vote",
        }
    }

    /// Whether rounding needs random numbers.
    pub fn uses_random(self) -> bool {
        self == Self::Byte
    }

    /// Whether blocks have a scale.
    fn is_scaled(self) -> bool {
        self != Self::Vote
    }

    /// Words of a block of a message: the scale, if there is one, and the payload.
    pub fn block_words(self) -> usize {
        let numbers_per_word = match self {
            Self::Half => 2,
            Self::Byte => 4,
            Self::Sign | Self::Vote => 32,
        };
        usize::from(self.is_scaled()) + BLOCK / numbers_per_word
    }

    /// Words of the message of a tensor, without padding.
    pub fn message_words(self, ty: &TensorType) -> usize {
        blocks(ty) * self.block_words()
    }

    /// Type of the message of a tensor: `U32` `[message_words]`.
    pub fn message(self, ty: &TensorType) -> TensorType {
        TensorType::new(&[self.message_words(ty)], U32)
    }

    /// Lets the texts of a launch distinguish formats.
    pub(super) fn constants(self, launch: Launch) -> Launch {
        launch
            .constant("BLOCK_WORDS", self.block_words())
            .constant("HALF", usize::from(self == Self::Half))
            .constant("BYTE", usize::from(self == Self::Byte))
            .constant("SIGN", usize::from(self == Self::Sign))
            .constant("VOTE", usize::from(self == Self::Vote))
    }

    /// Bits of a block's scale; votes have none.
    fn scale(self, values: &[f32]) -> u32 {
        let largest = values.iter().map(|&x| magnitude(x)).max().unwrap_or(0);
        let exponent = largest >> 23;
        match self {
            _ if largest == 0 => 0,
            Self::Half => (exponent - 14) << 23,
            // One more above 127·2^e.
            Self::Byte => (((largest + 0x1_ffff) >> 23) - 6) << 23,
            Self::Sign => {
                let unit = |size: u32| significand(size) >> (exponent - (size >> 23)).min(31);
                let sum: u32 = values.iter().map(|&x| unit(magnitude(x))).sum();
                let mean = sum / values.len() as u32;
                (mean as f32 * f32::from_bits((exponent - 23) << 23)).to_bits()
            }
            Self::Vote => 0,
        }
    }

    /// Writes a block's scale and payload; `draw` gives the random words of a quad of the block.
    fn encode(self, values: &[f32], draw: impl Fn(usize) -> [u32; LANES], out: &mut [u32]) {
        out.fill(0);
        let scale = self.scale(values);
        let payload = match self.is_scaled() {
            true => {
                out[0] = scale;
                if scale == 0 {
                    return;
                }
                &mut out[1..]
            }
            false => out,
        };
        match self {
            Self::Half => {
                for (word, pair) in payload.iter_mut().zip(values.as_chunks::<2>().0) {
                    let [low, high] = pair.map(|x| half(x, scale));
                    *word = low | high << 16;
                }
            }
            Self::Byte => {
                for (quad, (word, values)) in payload.iter_mut().zip(values.as_chunks::<LANES>().0).enumerate() {
                    let drawn = draw(quad);
                    *word = u32::from_le_bytes(std::array::from_fn(|lane| byte(values[lane], scale, drawn[lane])));
                }
            }
            Self::Sign | Self::Vote => {
                let is_set = |x: f32| if self == Self::Sign { x < 0.0 } else { x > 0.0 };
                for (word, values) in payload.iter_mut().zip(values.chunks(32)) {
                    let bit = |(i, &x): (usize, &f32)| u32::from(is_set(counted(x))) << i;
                    *word = values.iter().enumerate().map(bit).sum();
                }
            }
        }
    }

    /// The numbers of a quad of a block.
    pub(super) fn decode(self, block: &[u32], quad: usize) -> [f32; LANES] {
        let (scale, payload) = (f32::from_bits(block[0]), &block[usize::from(self.is_scaled())..]);
        std::array::from_fn(|lane| {
            let i = quad * LANES + lane;
            match self {
                Self::Half => unhalf(payload[i / 2] >> (16 * (i % 2))) * scale,
                Self::Byte => f32::from((payload[i / 4] >> (8 * (i % 4))) as i8) * scale,
                Self::Sign => f32::from_bits(block[0] ^ (payload[i / 32] >> (i % 32) & 1) << 31),
                Self::Vote => (payload[i / 32] >> (i % 32) & 1) as f32 * 2.0 - 1.0,
            }
        })
    }
}

/// Bits of the half nearest to x/scale, ties to even; 0 if it would be subnormal.
fn half(x: f32, scale: u32) -> u32 {
    let size = magnitude(x);
    // The largest number's power of two gets a half's exponent field 29.
    let (zero, shifted) = (scale + (14 << 23), size + (29 << 23));
    if size == 0 || shifted < zero + (1 << 23) {
        return 0;
    }
    let bits = shifted - zero;
    (bits + 0xfff + (bits >> 13 & 1)) >> 13 | (x.to_bits() >> 16 & 0x8000)
}

/// The value of the half in the lower 16 bits, which is not subnormal.
fn unhalf(bits: u32) -> f32 {
    let size = bits & 0x7fff;
    if size == 0 { 0.0 } else { f32::from_bits(((size << 13) + (112 << 23)) | ((bits & 0x8000) << 16)) }
}

/// x/scale, rounded stochastically, as a two's complement byte.
fn byte(x: f32, scale: u32, random: u32) -> u8 {
    let size = magnitude(x);
    let shift = (size >> 23) as i32 - ((scale >> 23) as i32 - 1);
    // x/scale in units of 2⁻²⁴, truncated.
    let units = (significand(size) << shift.max(0) >> (-shift).clamp(0, 31)) as i32;
    let t = if x < 0.0 { -units } else { units };
    ((t >> 24) + i32::from(random >> 8 < t as u32 & 0xff_ffff)) as u8
}

/// Compression: inputs x, and for [`Format::Byte`] random `[4]` or `[5]` = seed low, seed high, step
/// low, step high, rank. The message is `U32` `[blocks·block_words]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Compress {
    /// Format of the message.
    pub format: Format,
    /// Stream of random numbers, if the format uses any: the low half of [`random::stream`] of a name.
    pub stream: u32,
}

crate::params! {
    struct ScaleParams { quads: u32, x_quads: u32 }
}

crate::params! {
    struct CompressParams { quads: u32, blocks: u32, x_quads: u32, stream: u32 }
}

/// WGSL of magnitudes.
pub(super) const MAGNITUDE: &str = include_str!("../../shaders/compress_magnitude.wgsl");

impl Operation for Compress {
    fn stem(&self) -> &'static str {
        "compress"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1 + usize::from(self.format.uses_random()))?;
        super::float("the tensor", inputs[0])?;
        if self.format.uses_random() {
            check_random(inputs[1])?;
        }
        Ok(self.format.message(inputs[0]))
    }

    /// Launches: the scale of each block, if there is one, then the message.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (x, name) = (inputs[0], self.format.name());
        let (blocks, x_quads) = (blocks(x), (x.words() / LANES) as u32);
        let scale = include_str!("../../shaders/compress_scale.wgsl");
        let scale = Launch::new(format!("compress_{name}_scale"), &[add::ELEMENTWISE, MAGNITUDE, scale]);
        let scale = self
            .format
            .constants(scale)
            .read("x", F32, Input(0))
            .must_be_finite()
            .write("scale", U32, Scratch(0))
            .params(&ScaleParams { quads: blocks as u32, x_quads })
            .float_ops(x.len())
            .threads(blocks);
        let payload = match self.format {
            Format::Half => include_str!("../../shaders/compress_half.wgsl"),
            Format::Byte => include_str!("../../shaders/compress_byte.wgsl"),
            Format::Sign | Format::Vote => include_str!("../../shaders/compress_sign.wgsl"),
        };
        let mut texts = vec![add::ELEMENTWISE, MAGNITUDE, include_str!("../../shaders/compress.wgsl"), payload];
        texts.extend(self.format.uses_random().then_some(PHILOX));
        let quads = output.words() / LANES;
        let params = CompressParams { quads: quads as u32, blocks: blocks as u32, x_quads, stream: self.stream };
        let launch = self.format.constants(Launch::new(format!("compress_{name}"), &texts));
        let launch = launch.read("x", F32, Input(0));
        let launch = match self.format.is_scaled() {
            true => launch.read("scale", U32, Scratch(0)),
            false => launch.must_be_finite(),
        };
        let launch = match self.format.uses_random() {
            true => drawing(launch, inputs[1], Input(1), RANK_QUADS),
            false => launch,
        };
        let message = launch.write("message", U32, Output).params(&params).float_ops(x.len()).threads(quads);
        match self.format.is_scaled() {
            true => Program { scratch_words: vec![LANES * blocks], launches: vec![scale, message] },
            false => message.into(),
        }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, random) = (inputs[0].numbers(), inputs.get(1).map(|random| random.words));
        let first = random.map_or(0, |words| random::first_quad(words, RANK_QUADS));
        let (message, padding) = output.words.split_at_mut(self.format.message_words(inputs[0].ty));
        padding.fill(0);
        parallel::rows(message, self.format.block_words(), |block, out| {
            let values = &x[block * BLOCK..x.len().min((block + 1) * BLOCK)];
            let draw = |quad: usize| {
                let quad = first.wrapping_add((block * BLOCK / LANES + quad) as u32);
                random.map_or([0; LANES], |words| random::quad(words, quad, self.stream))
            };
            self.format.encode(values, draw, out);
        });
    }

    /// All arithmetic is on integers.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

/// Numbers for each rule of a format, scaled by 2^exponent: zeros, powers of two, ties of halves,
/// bounds of 127·2^e, and the neighbours of all of these.
pub(super) fn edges(exponent: i32) -> Tensor {
    let at = |value: f32| value * 2f32.powi(exponent);
    let mut values = vec![0.0, -0.0, 1e-40, -1e-40, f32::MIN_POSITIVE, -1e-31, 2f32.powi(-100), -(2f32.powi(-100))];
    for value in [1.0, 63.5, 127.0 / 128.0, 1.0 + 2f32.powi(-11), 1.0 + 3.0 * 2f32.powi(-11), 2f32.powi(-21), 3e-4] {
        let bits = at(value).to_bits();
        values.extend([bits, bits - 1, bits + 1].map(f32::from_bits));
        values.extend([bits, bits - 1, bits + 1].map(|bits| -f32::from_bits(bits)));
    }
    Tensor::from_f32(&[values.len()], &values)
}

/// Tensors with one word, a short block, several blocks; with zeros, and with extreme numbers.
pub(super) fn tensors(noise: &mut Noise) -> Vec<Tensor> {
    let mut all: Vec<_> =
        [vec![1], vec![256], vec![7, 37], vec![3, 3, 8, 41]].iter().map(|s| noise.floats(s)).collect();
    // A block of zeros, and one with a single number in its last row.
    let mut sparse = vec![0.0; 3 * 256 + 5];
    (sparse[2], sparse[511], sparse[772]) = (-3.0, 127.5, -1e-3);
    all.push(Tensor::from_f32(&[sparse.len()], &sparse));
    // Powers of two over the whole range, each block with its own.
    let wide = |i: usize| noise.float() * 2f32.powi((i / 256 * 37) as i32 - 105) * 2f32.powi(-((i % 48) as i32));
    let wide: Vec<_> = (0..7 * 256).map(wide).collect();
    all.push(Tensor::from_f32(&[7, 256], &wide));
    all.push(Tensor::from_f32(&[2, 2], &[f32::MAX, -f32::MAX, 127.0 * 2f32.powi(121), 1e30]));
    // Zeros next to the smallest numbers.
    all.push(Tensor::from_f32(&[5], &[9e-31, 0.0, -1e-30, 1e-40, -0.0]));
    all.extend([0, -94, 115].map(edges));
    all
}

/// Random words: of a whole batch, or of the rank with this number.
pub(super) fn words(noise: &mut Noise, rank: Option<u32>) -> Tensor {
    let words: Vec<_> = (0..4).map(|_| noise.bits()).chain(rank).collect();
    Tensor::from_u32(&[words.len()], &words)
}

impl Compress {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(110);
        let mut samples = Vec::new();
        for format in Format::ALL {
            for (i, x) in tensors(&mut noise).into_iter().enumerate() {
                let rank = [None, Some(0), Some(1023)][i % 3];
                let random = format.uses_random().then(|| words(&mut noise, rank));
                let op = Self { format, stream: noise.bits() };
                // A message of one vote against would be all zero.
                let x = if x.ty.len() == 1 { Tensor::from_f32(&[1], &[1.5]) } else { x };
                samples.push(Sample::new(op, [x].into_iter().chain(random).collect()));
            }
        }
        samples
    }
}
