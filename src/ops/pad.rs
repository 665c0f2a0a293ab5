//! `pad`: pads signs with +1, for convolutions whose padding is +1 instead of zero. `pad_backward`:
//! the gradient without the padding.
//!
//! Codes of one plane `[n, h, w, c]` → `[n, h + 2·rim, w + 2·rim, c]`.

use super::{Activity, Backward, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, Planes},
    TensorType, View, ViewMut, WORD_BITS,
};

/// Pads codes of one plane with code 1: input codes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pad {
    /// Rows above and below, columns left and right.
    pub rim: [usize; 2],
}

/// The interior of a padded tensor: input dy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PadBackward {
    /// Rows above and below, columns left and right.
    pub rim: [usize; 2],
}

crate::params! {
    struct PadParams { quads: u32, row: u32, h: u32, w: u32, padded_h: u32, padded_w: u32, rim_h: u32, rim_w: u32 }
}

impl PadParams {
    /// Parameters of a launch over `items` items, `row` of them per row.
    fn new(inner: &TensorType, padded: &TensorType, rim: [usize; 2], items: usize, row: usize) -> Self {
        let ([_, h, w, _], [_, padded_h, padded_w, _]) = (inner.nhwc(), padded.nhwc());
        let [quads, row, h, w, padded_h, padded_w, rim_h, rim_w] =
            [items, row, h, w, padded_h, padded_w, rim[0], rim[1]].map(|v| v as u32);
        Self { quads, row, h, w, padded_h, padded_w, rim_h, rim_w }
    }
}

impl Operation for Pad {
    fn stem(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        let [n, h, w, c] = super::nhwc("the input", inputs[0])?;
        if inputs[0].encoding != Planes(1) {
            return Err(format!("only signs can be padded with +1, not {}", inputs[0]));
        }
        Ok(TensorType::new(&[n, h + 2 * self.rim[0], w + 2 * self.rim[1], c], Planes(1)))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let dy = cx.dy();
        let dx = cx.add(PadBackward { rim: self.rim }, &[dy])?;
        cx.accumulate(0, dx)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Pack)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let words = output.words();
        Launch::new("pad", &[add::ELEMENTWISE, include_str!("../../shaders/pad.wgsl")])
            .constant("TAIL", (u32::MAX >> (output.plane_words() * WORD_BITS - output.channels())) as usize)
            .read("x", Planes(1), Input(0))
            .write("y", Planes(1), Output)
            .params(&PadParams::new(inputs[0], output, self.rim, words, output.plane_words()))
            .threads(words)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let ([_, h, w, _], [_, ph, pw, c]) = (inputs[0].ty.nhwc(), output.ty.nhwc());
        let words = output.ty.plane_words();
        for (row, out) in output.words.chunks_exact_mut(words).enumerate() {
            let (n, y, x) = (row / (ph * pw), row / pw % ph, row % pw);
            let inside = (self.rim[0]..self.rim[0] + h).contains(&y) && (self.rim[1]..self.rim[1] + w).contains(&x);
            if inside {
                let from = (n * h + y - self.rim[0]) * w + x - self.rim[1];
                out.copy_from_slice(&inputs[0].words[from * words..][..words]);
            } else {
                out.fill(u32::MAX);
                out[words - 1] = u32::MAX >> (words * WORD_BITS - c);
            }
        }
    }
}

/// Padding widths, and shapes of the interior.
const CASES: [([usize; 2], [usize; 4]); 3] = [([1, 1], [2, 3, 5, 41]), ([0, 2], [1, 4, 3, 64]), ([2, 1], [3, 2, 2, 7])];

impl Pad {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(37);
        CASES.map(|(rim, shape)| Sample::new(Pad { rim }, vec![noise.ints(&shape, Planes(1), 0)])).into()
    }
}

impl Operation for PadBackward {
    fn stem(&self) -> &'static str {
        "pad_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the gradient", inputs[0])?;
        let [n, h, w, c] = super::nhwc("the gradient", inputs[0])?;
        match (h.checked_sub(2 * self.rim[0]), w.checked_sub(2 * self.rim[1])) {
            (Some(h), Some(w)) if h > 0 && w > 0 => Ok(TensorType::f32(&[n, h, w, c])),
            _ => Err(format!("{} is too small for padding of {:?}", inputs[0], self.rim)),
        }
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        Launch::new("pad_backward", &[add::ELEMENTWISE, include_str!("../../shaders/pad_backward.wgsl")])
            .read("dy", F32, Input(0))
            .write("dx", F32, Output)
            .params(&PadParams::new(output, inputs[0], self.rim, quads, output.quads()))
            .threads(quads)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let ([_, h, w, _], [_, ph, pw, _]) = (output.ty.nhwc(), inputs[0].ty.nhwc());
        let (dy, lanes) = (inputs[0].numbers(), output.ty.lanes());
        for (row, out) in output.floats().chunks_exact_mut(lanes).enumerate() {
            let (n, y, x) = (row / (h * w), row / w % h, row % w);
            let from = (n * ph + y + self.rim[0]) * pw + x + self.rim[1];
            out.copy_from_slice(&dy[from * lanes..][..lanes]);
        }
    }
}

impl PadBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(38);
        let cases = CASES.map(|(rim, [n, h, w, c])| {
            let dy = noise.floats(&[n, h + 2 * rim[0], w + 2 * rim[1], c]);
            Sample::new(PadBackward { rim }, vec![dy])
        });
        cases.into()
    }
}
