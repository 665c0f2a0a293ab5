//! `avg_pool`: the mean over each window, with padding counted as zero. `avg_pool_backward`: every
//! input of a window receives dy / taps.
//!
//! **Order of the sums** ([`super::sum`]): chunks of [`CHUNK`](super::sum::CHUNK) = 128 taps inside
//! the input, then pairs.

use super::window::{Window, WindowParams};
use super::{Backward, Operation, Sample, conv_backward, max_pool, sample::Noise, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

/// Average pool: input x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AvgPool {
    /// The window.
    pub window: Window,
}

/// Gradient of [`AvgPool`]: input dy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AvgPoolBackward {
    /// The window.
    pub window: Window,
    /// The type of x, and of dx.
    pub input: TensorType,
}

const AVG_POOL: &str = include_str!("../../shaders/avg_pool.wgsl");

/// Mean over the taps of a window, missing ones counted as 0, summed in the kernel's order.
fn mean<'a>(window: Window, from: impl Fn([usize; 2]) -> Option<&'a [f32]>, out: &mut [f32]) {
    let taps = (0..window.taps()).filter_map(|tap| from([tap / window.kernel[1], tap % window.kernel[1]]));
    sum::of_rows(taps, out);
    out.iter_mut().for_each(|out| *out /= window.taps() as f32);
}

impl Operation for AvgPool {
    fn stem(&self) -> &'static str {
        "avg_pool"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        max_pool::infer(&self.window, inputs[0])
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (dy, input) = (cx.dy(), cx.input_type(0));
        let dx = cx.add(AvgPoolBackward { window: self.window, input }, &[dy])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        sum::running(Launch::new("avg_pool", &[max_pool::GATHER, AVG_POOL]), self.window.taps())
            .read("a", F32, Input(0))
            .write("out", F32, Output)
            .params(&WindowParams::new(&self.window, inputs[0], output))
            .threads(output.rows() * output.quads())
            .float_ops(output.len() * self.window.taps())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let ([_, h, w, _], [_, oh, ow, _]) = (inputs[0].ty.nhwc(), output.ty.nhwc());
        let (x, lanes, window) = (inputs[0].numbers(), output.ty.lanes(), self.window);
        parallel::rows(output.floats(), lanes, |row, out| {
            let (n, oy, ox) = (row / (oh * ow), row / ow % oh, row % ow);
            let from = |tap| {
                let [y, x_at] = window.source([h, w], [oy, ox], tap)?;
                Some(&x[((n * h + y) * w + x_at) * lanes..][..lanes])
            };
            mean(window, from, out);
        });
    }
}

impl AvgPool {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(42);
        let cases = max_pool::cases().into_iter();
        cases.map(|(window, shape)| Sample::new(AvgPool { window }, vec![noise.floats(&shape)])).collect()
    }
}

impl Operation for AvgPoolBackward {
    fn stem(&self) -> &'static str {
        "avg_pool_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::same("the gradient", inputs[0], &max_pool::infer(&self.window, &self.input)?)?;
        Ok(self.input.clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        sum::running(Launch::new("avg_pool_backward", &[conv_backward::SCATTER, AVG_POOL]), self.window.taps())
            .constant("UNIT_STRIDE", usize::from(self.window.stride == [1, 1]))
            .read("a", F32, Input(0))
            .write("out", F32, Output)
            .params(&WindowParams::new(&self.window, output, inputs[0]))
            .threads(output.rows() * output.quads())
            .float_ops(inputs[0].len() * self.window.taps())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let ([_, h, w, _], [_, oh, ow, _]) = (output.ty.nhwc(), inputs[0].ty.nhwc());
        let (dy, lanes, window) = (inputs[0].numbers(), output.ty.lanes(), self.window);
        parallel::rows(output.floats(), lanes, |row, out| {
            let (n, y, x) = (row / (h * w), row / w % h, row % w);
            let from = |tap| {
                let [oy, ox] = window.target([oh, ow], [y, x], tap)?;
                Some(&dy[((n * oh + oy) * ow + ox) * lanes..][..lanes])
            };
            mean(window, from, out);
        });
    }
}

impl AvgPoolBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(43);
        let cases = max_pool::cases().into_iter();
        cases
            .map(|(window, shape)| {
                let input = TensorType::f32(&shape);
                let y = max_pool::infer(&window, &input).expect("a valid case");
                Sample::new(AvgPoolBackward { window, input }, vec![noise.floats(&y.shape)])
            })
            .collect()
    }
}
