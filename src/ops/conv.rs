//! `conv`: `y[n, y, x, k] = Σ_{r, s, c} x[n, y·stride + r·dilation − pad, x·stride + s·dilation − pad, c] · w[r, s, c, k]`, zero padding.
//!
//! x `[n, h, w, c]`, w `[r, s, 4⌈c/4⌉, k]` with zero rows in its padding. A linear layer is the
//! case in which the window covers the whole input. Kernels are implicit matrix products: no patch
//! matrix is written.
//!
//! **Order of the sum** ([`super::sum`]): chunks of up to [`CHUNK`](super::sum::CHUNK) = 128
//! channels of one tap; up to 128 chunks added sequentially; then pairs.

use super::coop::{self, Halves, Ranged};
use super::gemm::{self, Panels, Taps};
use super::product::{Phases, Product};
use super::window::{Window, WindowParams};
use super::{Backward, Operation, Sample, conv_backward, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{Encoding::F32, LANES, TensorType, View, ViewMut};
use crate::variant::Offer;

/// Float convolution: inputs x, w.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conv {
    /// The window.
    pub window: Window,
}

pub(super) const GATHER: &str = include_str!("../../shaders/window_gather.wgsl");
const CONV: &str = include_str!("../../shaders/conv.wgsl");

impl Conv {
    fn product(&self, [x, w]: [&TensorType; 2], y: &TensorType) -> Product {
        let inputs = [x.words() / LANES, w.words() / LANES];
        let ((window, x), rows, columns) = (self.window.merged(x), y.rows(), y.lanes());
        Product {
            stem: "conv",
            texts: [GATHER, CONV],
            rows,
            columns,
            taps: window.taps(),
            length: x.lanes(),
            phases: Phases::default(),
            halves: Some(halves(vec![GATHER, CONV], false, [("x", inputs[0]), ("w", inputs[1])])),
        }
    }
}

/// Configuration of a float product on cooperative matrices: the operation's shader texts, the
/// names and numbers of quads of its inputs, and whether its weights are contiguous along the depth
/// of the product.
pub(super) fn halves(
    mut texts: Vec<&'static str>,
    weights_along_depth: bool,
    inputs: [(&'static str, usize); 2],
) -> Halves {
    texts.push(include_str!("../../shaders/product_coop.wgsl"));
    let operands = coop::of_floats(weights_along_depth);
    let ranged = [0, 1].map(|input| {
        let (name, quads) = inputs[input];
        Ranged { a: input == 0, input, name, quads, factor: None }
    });
    Halves { texts, operands, ranged: ranged.into(), stored: [None; 2], two_bits: false }
}

/// Output type of a convolution, or an error that says which shapes do not match.
pub(super) fn infer(window: &Window, x: &TensorType, w: &TensorType, rows: usize) -> Result<TensorType, String> {
    let [n, h, width, c] = super::nhwc("the input", x)?;
    let [r, s, c_rows, k] = super::nhwc("the weight", w)?;
    if [r, s] != window.kernel || c_rows != rows {
        return Err(format!("weight {w} does not match a {:?} window over {c} channels", window.kernel));
    }
    let [oh, ow] = window.output([h, width])?;
    Ok(TensorType::f32(&[n, oh, ow, k]))
}

impl Operation for Conv {
    fn stem(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the input", inputs[0])?;
        super::float("the weight", inputs[1])?;
        infer(&self.window, inputs[0], inputs[1], inputs[0].lanes())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (x, w, dy) = (cx.input(0), cx.input(1), cx.dy());
        let (input, weight) = (cx.input_type(0), cx.input_type(1));
        if cx.needs_gradient(0) {
            let dx = cx.add(conv_backward::ConvDx { window: self.window, input }, &[dy, w])?;
            cx.accumulate(0, dx)?;
        }
        if cx.needs_gradient(1) {
            let dw = cx.add(conv_backward::ConvDw { window: self.window, weight }, &[dy, x])?;
            cx.accumulate(1, dw)?;
        }
        Ok(())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (window, x) = self.window.merged(inputs[0]);
        self.product([inputs[0], inputs[1]], output).program(("y", output), caps, |launch| {
            launch
                .read("x", F32, Input(0))
                .read("w", F32, Input(1))
                .add_params(&WindowParams::new(&window, &x, output))
                .float_ops(2 * output.len() * self.window.taps() * inputs[0].channels())
        })
    }

    fn candidates(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Vec<Offer> {
        self.product([inputs[0], inputs[1]], output).candidates(caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, w) = (inputs[0].numbers(), inputs[1].numbers());
        let ([_, h, width, _], [_, oh, ow, _]) = (inputs[0].ty.nhwc(), output.ty.nhwc());
        let (cl, kl) = (inputs[0].ty.lanes(), output.ty.lanes());
        let panels = Panels::new(self.window.taps(), cl, kl, |tap, block| {
            block.copy_from_slice(&w[tap * cl * kl..][..cl * kl]);
        });
        gemm::product(&Taps::inputs(&self.window, [h, width], [oh, ow]), &x, &panels, output.floats());
    }
}

/// Windows, input shapes `[n, h, w, c]` and numbers of filters with odd sizes, for every kind of
/// convolution.
pub(super) fn cases() -> Vec<(Window, [usize; 4], usize)> {
    let tall = Window::new([3, 2], [2, 1], [1, 0]);
    vec![
        (Window::square(3, 1, 1), [2, 5, 7, 6], 10),
        (Window::square(3, 2, 1), [1, 9, 8, 41], 33),
        (Window::square(1, 1, 0), [3, 4, 4, 64], 68),
        (Window::square(5, 3, 2), [1, 11, 13, 3], 5),
        (Window::new([4, 3], [1, 1], [0, 0]), [5, 4, 3, 40], 10),
        (tall, [2, 6, 5, 33], 7),
        (Window::square(3, 1, 1), [4, 8, 8, 64], 64),
        (Window::square(3, 1, 2).dilated([2, 2]), [2, 7, 6, 9], 6),
        (Window::new([3, 2], [2, 3], [3, 1]).dilated([3, 2]), [2, 9, 8, 34], 12),
    ]
}

impl Conv {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(1);
        let cases = cases().into_iter();
        cases
            .map(|(window, input, filters)| {
                let w = noise.weights(window.kernel, input[3], filters);
                Sample::new(Conv { window }, vec![noise.floats(&input), w])
            })
            .collect()
    }
}
