//! `conv_dx`, `conv_dw`: the gradients of [`super::conv`].
//!
//! `dx[n, y, x, c] = Σ_{r, s, k} dy[n, (y + pad − r·dilation)/stride, (x + pad − s·dilation)/stride, k] · w[r, s, c, k]` over positions that exist;
//! `dw[r, s, c, k] = Σ_{n, y, x} x[n, y·stride + r·dilation − pad, x·stride + s·dilation − pad, c] · dy[n, y, x, k]`.
//!
//! **Order of the sums** ([`super::sum`]): for dx as in [`super::conv`], over filters; for dw
//! chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 rows, up to 128 chunks added sequentially,
//! then pairs.

use super::coop::{self, FLOAT_DEPTH, Halves, Operands, Ranged};
use super::gemm::{self, Panels, Quads, Taps};
use super::outer::Outer;
use super::product::{Phases, Product};
use super::window::{Window, WindowParams};
use super::{Activity, Operation, Sample, conv, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{Encoding::F32, LANES, TensorType, View, ViewMut};
use crate::variant::Offer;

/// Gradient of the input: inputs dy, w.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ConvDx {
    /// The convolution's window.
    pub window: Window,
    /// The type of x, and of dx.
    pub input: TensorType,
}

/// Gradient of the weight: inputs dy, x.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ConvDw {
    /// The convolution's window.
    pub window: Window,
    /// The type of w, and of dw.
    pub weight: TensorType,
}

pub(super) const SCATTER: &str = include_str!("../../shaders/window_scatter.wgsl");
const CONV_DX: &str = include_str!("../../shaders/conv_dx.wgsl");
const CONV_DW: &str = include_str!("../../shaders/conv_dw.wgsl");

impl ConvDx {
    fn product(&self, [dy, w]: [&TensorType; 2], dx: &TensorType) -> Product {
        let inputs = [("dy", dy.words() / LANES), ("w", w.words() / LANES)];
        let halves = Some(conv::halves(vec![SCATTER, CONV_DX], true, inputs));
        let ((window, dx), texts) = (self.window.merged(dx), [SCATTER, CONV_DX]);
        let (rows, columns, length) = (dx.rows(), dx.lanes(), dy.lanes());
        let phases = Phases::of(&window, &dx);
        Product { stem: "conv_dx", texts, rows, columns, taps: window.taps(), length, phases, halves }
    }
}

impl ConvDw {
    fn outer(&self, inputs: &[&TensorType]) -> Outer {
        let ((window, x), dy) = (self.window.merged(inputs[1]), inputs[0].clone());
        let channels = self.window.taps() * inputs[1].channels();
        let ranged = [(1, "x", &x), (0, "dy", &dy)].map(|(input, name, ty)| Ranged {
            a: input == 1,
            input,
            name,
            quads: ty.words() / LANES,
            factor: None,
        });
        let by_depth = coop::Operand { along_depth: false, ..coop::BY_ROW };
        let halves = Halves {
            texts: vec![conv::GATHER, CONV_DW, coop::DY, include_str!("../../shaders/conv_dw_coop.wgsl")],
            operands: Operands { depth: FLOAT_DEPTH, of_subgroup: [4, 4], a: by_depth, b: by_depth, shuffled: false },
            ranged: ranged.into(),
            stored: [None; 2],
            two_bits: false,
        };
        Outer { stem: "conv_dw", operand: vec![CONV_DW], taps: window.taps(), channels, x, dy, halves: Some(halves) }
    }
}

/// Computes dw: `scale` times the sum of products over the rows of x, of this type, and of dy.
pub(super) fn weight_gradient_reference(
    window: &Window,
    (x, quads): (&TensorType, &Quads<'_>),
    (dy, values): (&TensorType, &[f32]),
    scale: f32,
    dw: &mut [f32],
) {
    let ([_, h, w, _], [_, oh, ow, _]) = (x.nhwc(), dy.nhwc());
    let taps = Taps::inputs(window, [h, w], [oh, ow]);
    gemm::outer_product(&taps, (quads, x.lanes()), (values, dy.lanes()), scale, dw);
}

/// Computes dx: `weights(tap)` writes the block `[k][c]` of a tap.
pub(super) fn input_gradient_reference(
    window: &Window,
    dy: (&TensorType, &[f32]),
    dx: &mut ViewMut<'_>,
    weights: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    let ([_, h, w, _], [_, oh, ow, _]) = (dx.ty.nhwc(), dy.0.nhwc());
    let panels = Panels::new(window.taps(), dy.0.lanes(), dx.ty.lanes(), weights);
    gemm::product(&Taps::outputs(window, [h, w], [oh, ow]), dy.1, &panels, dx.floats());
}

impl Operation for ConvDx {
    fn stem(&self) -> &'static str {
        "conv_dx"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        let y = conv::infer(&self.window, &self.input, inputs[1], self.input.lanes())?;
        super::same("the gradient", inputs[0], &y)?;
        Ok(self.input.clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (window, dx) = self.window.merged(output);
        self.product([inputs[0], inputs[1]], output).program(("dx", output), caps, |launch| {
            launch
                .constant("UNIT_STRIDE", usize::from(window.stride == [1, 1]))
                .read("dy", F32, Input(0))
                .read("w", F32, Input(1))
                .add_params(&WindowParams::new(&window, &dx, inputs[0]))
                .float_ops(2 * inputs[0].len() * self.window.taps() * output.channels())
        })
    }

    fn candidates(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Vec<Offer> {
        self.product([inputs[0], inputs[1]], output).candidates(caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let w = inputs[1].numbers();
        let (cl, kl) = (output.ty.lanes(), inputs[0].ty.lanes());
        input_gradient_reference(&self.window, (inputs[0].ty, &inputs[0].numbers()), output, |tap, block| {
            for (k, row) in block.chunks_exact_mut(cl).enumerate() {
                for (c, weight) in row.iter_mut().enumerate() {
                    *weight = w[(tap * cl + c) * kl + k];
                }
            }
        });
    }
}

impl ConvDx {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(2);
        let cases = conv::cases().into_iter();
        cases
            .map(|(window, input, filters)| {
                let [oh, ow] = window.output([input[1], input[2]]).expect("a valid case");
                let w = noise.weights(window.kernel, input[3], filters);
                let dy = noise.floats(&[input[0], oh, ow, filters]);
                Sample::new(ConvDx { window, input: TensorType::f32(&input) }, vec![dy, w])
            })
            .collect()
    }
}

impl Operation for ConvDw {
    fn stem(&self) -> &'static str {
        "conv_dw"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the input", inputs[1])?;
        let y = conv::infer(&self.window, inputs[1], &self.weight, inputs[1].lanes())?;
        super::same("the gradient", inputs[0], &y)?;
        Ok(self.weight.clone())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (window, x) = self.window.merged(inputs[1]);
        self.outer(inputs).program(output, caps, |launch| {
            launch.add_params(&WindowParams::new(&window, &x, inputs[0])).read("x", F32, Input(1))
        })
    }

    fn candidates(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Vec<Offer> {
        self.outer(inputs).candidates(caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let quads = Quads::of_floats(inputs[1].numbers(), inputs[1].ty.lanes());
        let dy = (inputs[0].ty, &*inputs[0].numbers());
        weight_gradient_reference(&self.window, (inputs[1].ty, &quads), dy, 1.0, output.floats());
    }
}

impl ConvDw {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(3);
        let cases = conv::cases().into_iter();
        cases
            .map(|(window, input, filters)| {
                let [oh, ow] = window.output([input[1], input[2]]).expect("a valid case");
                let weight = noise.weights(window.kernel, input[3], filters).ty;
                let dy = noise.floats(&[input[0], oh, ow, filters]);
                Sample::new(ConvDw { window, weight }, vec![dy, noise.floats(&input)])
            })
            .collect()
    }
}
