//! `max_unpool`: the gradient of a [max-pool](super::max_pool) whose argmax was recorded: dy at the
//! position of the largest value of its window, 0 everywhere else.
//!
//! Windows do not overlap, so every number of the output is a copy: exact, in one pass that reads
//! dy once.

use super::max_pool::{self, MaxPoolArgmax};
use super::window::{Window, WindowParams};
use super::{Operation, Sample, decode, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{
    Encoding::{F32, Planes},
    TensorType, View, ViewMut,
};

/// Gradient of a pool's input: inputs dy, argmax.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxUnpool {
    /// The pool's window; it must satisfy [`max_pool::has_argmax`].
    pub window: Window,
    /// Height and width of the pool's input.
    pub size: [usize; 2],
}

impl Operation for MaxUnpool {
    fn stem(&self) -> &'static str {
        "max_unpool"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        let [n, _, _, c] = super::nhwc("the gradient", inputs[0])?;
        let dx = TensorType::f32(&[n, self.size[0], self.size[1], c]);
        let argmax = MaxPoolArgmax { window: self.window }.infer(&[&dx])?;
        super::same("the argmax", inputs[1], &argmax)?;
        super::same("the gradient", inputs[0], &argmax.with(F32))?;
        Ok(dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let dy = inputs[0];
        // A cell is a window together with the gap before the next window.
        let [cells_h, cells_w] = [0, 1].map(|axis| self.size[axis].div_ceil(self.window.stride[axis]));
        let cells = dy.nhwc()[0] * cells_h * cells_w;
        Launch::new("max_unpool", &[include_str!("../../shaders/max_unpool.wgsl"), decode::CODES])
            .constant("BITS", 2)
            .constant("CELLS_H", cells_h)
            .constant("CELLS_W", cells_w)
            .read("dy", F32, Input(0))
            .must_be_finite()
            .read("x", Planes(2), Input(1))
            .write("dx", F32, Output)
            .params(&WindowParams::new(&self.window, output, dy))
            .threads(cells * output.quads())
            .float_ops(dy.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, argmax, lanes) = (inputs[0].numbers(), inputs[1].numbers(), output.ty.lanes());
        let ([_, oh, ow, _], [h, w], window) = (inputs[0].ty.nhwc(), self.size, self.window);
        parallel::rows(output.floats(), h * w * lanes, |image, dx| {
            dx.fill(0.0);
            for (row, at) in (0..oh).flat_map(|y| (0..ow).map(move |x| [y, x])).enumerate() {
                for lane in 0..lanes {
                    let from = (image * oh * ow + row) * lanes + lane;
                    let tap = argmax[from] as usize;
                    let tap = [tap / window.kernel[1], tap % window.kernel[1]];
                    if let Some([y, x]) = window.source(self.size, at, tap) {
                        dx[(y * w + x) * lanes + lane] = dy[from];
                    }
                }
            }
        });
    }
}

impl MaxUnpool {
    /// Whether windows and the gaps between them cover the whole input.
    pub fn leaves_nothing(&self) -> bool {
        let output = self.window.output(self.size);
        output.is_ok_and(|output| (0..2).all(|axis| output[axis] * self.window.stride[axis] >= self.size[axis]))
    }

    /// Adds the text and constants with which a launch of a batch-norm's gradient reads or writes
    /// through this operation (`shaders/batch_norm_unpool.wgsl`); the body calls `dz_of` or `put`.
    pub(super) fn constants(&self, mut launch: Launch) -> Launch {
        launch.kernel.body.push(include_str!("../../shaders/batch_norm_unpool.wgsl").into());
        let output = self.window.output(self.size).expect("a valid window");
        let names = [
            (["IN_H", "IN_W"], self.size),
            (["OUT_H", "OUT_W"], output),
            (["KERNEL_H", "KERNEL_W"], self.window.kernel),
            (["STRIDE_H", "STRIDE_W"], self.window.stride),
        ];
        let constants = names.into_iter().flat_map(|(names, sizes)| names.into_iter().zip(sizes));
        constants.fold(launch, |launch, (name, size)| launch.constant(name, size))
    }

    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(43);
        let cases = max_pool::argmax_cases().into_iter();
        cases
            .map(|(window, [n, h, w, c])| {
                let x = noise.floats(&[n, h, w, c]);
                let argmax = super::Op::from(MaxPoolArgmax { window }).evaluate(&[&x]);
                let dy = noise.floats(&argmax.ty.shape);
                Sample::new(MaxUnpool { window, size: [h, w] }, vec![dy, argmax])
            })
            .collect()
    }
}
