//! `decompress`: y = Σₖ vₖ, the sum of the numbers that k messages of [`compress`](mod@super::compress)
//! represent, as a rank adds up the gradients of all ranks.
//!
//! `feedback`: r = x − v, what a message omits of x (error feedback): added to the next gradient,
//! it is sent later. r overwrites the residual of the previous step, which x contains: x = g + r.
//! Source: Karimireddy, Rebjock, Stich, Jaggi, "Error feedback fixes SignSGD and other gradient
//! compression schemes", ICML 2019.
//!
//! **Exact on every device**: v is an exact product, or ±s, or ±1. The sum begins with the first message
//! and adds the others in their order, so its error is at most (k − 1)·2⁻²⁴·Σₖ|vₖ|; x − v is one
//! rounded subtraction. |x| < 2^−100 counts as 0, as in messages; no result is subnormal then.
//!
//! **Padding is zero** whatever messages hold: signs and votes cannot represent zeros. The shape identifies
//! padding lanes; `channels` identifies the rows of padding of a weight `[r, s, c, k]`.

use super::compress::{self, BLOCK, Compress, Format, MAGNITUDE, counted};
use super::{Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{F32, U32},
    LANES, Tensor, TensorType, View, ViewMut,
};

/// Most messages that are added up.
pub const MOST_MESSAGES: usize = 1024;

/// Sum of messages: input `U32` `[messages·message_words]`, one message after the other, without
/// padding between them; the output is `F32` of `shape`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Decompress {
    /// Format of the messages.
    pub format: Format,
    /// Number of messages, from 1 to [`MOST_MESSAGES`].
    pub messages: usize,
    /// Shape of the tensor that was compressed.
    pub shape: Vec<usize>,
    /// Channels of a weight `[r, s, c, k]`; those after them are padding. `None` for other tensors.
    pub channels: Option<usize>,
}

/// Error feedback: inputs residual (in place; its old contents are not read), x, the message of x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Feedback {
    /// Format of the message.
    pub format: Format,
    /// Channels of a weight `[r, s, c, k]`; those after them are padding. `None` for other tensors.
    pub channels: Option<usize>,
}

crate::params! {
    struct PaddingParams { quads: u32, row_quads: u32, channels: u32, period: u32, rows: u32 }
}

crate::params! {
    struct MessageParams { messages: u32, message_words: u32 }
}

/// WGSL of `decoded(block, place)` and `kept(i)`.
const DECODE: &str = include_str!("../../shaders/decompress_block.wgsl");

impl PaddingParams {
    /// Of every `period` rows, the first `rows` are no padding.
    fn new(ty: &TensorType, channels: Option<usize>) -> Self {
        let (period, rows) = channels.map_or((1, 1), |channels| (ty.shape[2], channels));
        let [quads, row_quads, channels, period, rows] =
            [ty.words() / LANES, ty.quads(), ty.channels(), period, rows].map(|n| n as u32);
        Self { quads, row_quads, channels, period, rows }
    }

    /// Whether a word of the tensor is no padding.
    fn keeps(&self, word: usize) -> bool {
        let [row, lane] = [word / (4 * self.row_quads as usize), word % (4 * self.row_quads as usize)];
        lane < self.channels as usize && row % (self.period as usize) < self.rows as usize
    }
}

/// Returns an error unless the number of channels fits the shape.
fn check_channels(channels: Option<usize>, ty: &TensorType) -> Result<(), String> {
    match (channels, &ty.shape[..]) {
        (None, _) => Ok(()),
        (Some(channels), &[_, _, padded, _]) if (1..=padded).contains(&channels) => Ok(()),
        (Some(channels), _) => {
            Err(format!("{channels} channels need a weight [r, s, c, k] with at least as many, not {ty}"))
        }
    }
}

impl Operation for Decompress {
    fn stem(&self) -> &'static str {
        "decompress"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        if self.shape.is_empty() {
            return Err("the shape has no axis: expected at least one".to_string());
        }
        let ty = TensorType::f32(&self.shape);
        check_channels(self.channels, &ty)?;
        let Self { format, messages, .. } = *self;
        if !(1..=MOST_MESSAGES).contains(&messages) {
            return Err(format!("{messages} messages: expected 1 to {MOST_MESSAGES}"));
        }
        let words = messages * format.message_words(&ty);
        super::same("the messages", inputs[0], &TensorType::new(&[words], U32))?;
        Ok(ty)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (messages, message_words) = (self.messages as u32, self.format.message_words(output) as u32);
        let texts = [add::ELEMENTWISE, DECODE, include_str!("../../shaders/decompress.wgsl")];
        let launch = Launch::new(format!("decompress_{}", self.format.name()), &texts);
        let launch = self.format.constants(launch);
        launch
            .params(&PaddingParams::new(output, self.channels))
            .add_params(&MessageParams { messages, message_words })
            .read("message", U32, Input(0))
            .write("y", F32, Output)
            .float_ops(2 * self.messages * output.len())
            .threads(output.words() / LANES)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let padding = PaddingParams::new(output.ty, self.channels);
        let (len, block_words) = (self.format.message_words(output.ty), self.format.block_words());
        let messages = &inputs[0].words[..self.messages * len];
        parallel::rows(output.floats(), BLOCK, |block, out| {
            out.fill(0.0);
            for message in messages.chunks_exact(len) {
                let message = &message[block * block_words..][..block_words];
                for (quad, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                    out.iter_mut().zip(self.format.decode(message, quad)).for_each(|(sum, v)| *sum += v);
                }
            }
            let padding = out.iter_mut().enumerate().filter(|(i, _)| !padding.keeps(block * BLOCK + i));
            padding.for_each(|(_, out)| *out = 0.0);
        });
    }

    /// Products are exact, and the order of the sum is fixed.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

impl Operation for Feedback {
    fn stem(&self) -> &'static str {
        "feedback"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        super::float("the residual", inputs[0])?;
        super::same("x", inputs[1], inputs[0])?;
        super::same("the message", inputs[2], &self.format.message(inputs[0]))?;
        check_channels(self.channels, inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let texts = [add::ELEMENTWISE, MAGNITUDE, DECODE, include_str!("../../shaders/feedback.wgsl")];
        let launch = Launch::new(format!("feedback_{}", self.format.name()), &texts);
        let launch = self.format.constants(launch);
        launch
            .params(&PaddingParams::new(output, self.channels))
            .read("x", F32, Input(1))
            .read("message", U32, Input(2))
            .write("residual", F32, Output)
            .float_ops(2 * output.len())
            .threads(output.words() / LANES)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (padding, block_words) = (PaddingParams::new(output.ty, self.channels), self.format.block_words());
        let (x, message) = (inputs[1].numbers(), inputs[2].words);
        parallel::rows(output.floats(), BLOCK, |block, out| {
            let message = &message[block * block_words..][..block_words];
            for (i, out) in out.iter_mut().enumerate() {
                let v = self.format.decode(message, i / LANES)[i % LANES];
                let at = block * BLOCK + i;
                *out = if padding.keeps(at) { counted(x[at]) - v } else { 0.0 };
            }
        });
    }

    /// One subtraction, correctly rounded.
    fn tolerance(&self, _output: &TensorType) -> f32 {
        0.0
    }
}

/// The message of a tensor, without the padding behind it.
fn message(noise: &mut Noise, format: Format, x: &Tensor) -> Vec<u32> {
    let random = format.uses_random().then(|| compress::words(noise, None));
    let inputs: Vec<_> = [x].into_iter().chain(&random).collect();
    let mut words = super::Op::from(Compress { format, stream: noise.bits() }).evaluate(&inputs).words;
    words.truncate(format.message_words(&x.ty));
    words
}

/// A weight with padding after its six channels.
fn weight(noise: &mut Noise) -> Tensor {
    noise.weights([3, 3], 6, 10)
}

impl Decompress {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(111);
        let mut samples = Vec::new();
        for format in Format::ALL {
            let plain = compress::tensors(&mut noise).into_iter().map(|x| (x, None));
            for (i, (x, channels)) in plain.chain([(weight(&mut noise), Some(6))]).enumerate() {
                let messages = [1, 3, 4][i % 3];
                let mut words = message(&mut noise, format, &x);
                for _ in 1..messages {
                    let other = if channels.is_some() { weight(&mut noise) } else { noise.floats(&x.ty.shape) };
                    words.extend(message(&mut noise, format, &other));
                }
                let op = Self { format, messages, shape: x.ty.shape.clone(), channels };
                samples.push(Sample::new(op, vec![Tensor::from_u32(&[words.len()], &words)]));
            }
        }
        samples
    }
}

impl Feedback {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(112);
        let mut samples = Vec::new();
        // Signs first: halves omit nothing of numbers that are halves, as the first cases are stored.
        for format in Format::ALL.into_iter().rev() {
            let mut all: Vec<_> = compress::tensors(&mut noise).into_iter().map(|x| (x, None)).collect();
            all.push((weight(&mut noise), Some(6)));
            for (x, channels) in all {
                let words = message(&mut noise, format, &x);
                let message = Tensor::from_u32(&[words.len()], &words);
                let residual = noise.floats(&x.ty.shape);
                samples.push(Sample::new(Self { format, channels }, vec![residual, x, message]));
            }
        }
        samples
    }
}
