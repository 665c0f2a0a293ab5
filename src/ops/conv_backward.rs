//! `conv_dx`, `conv_dw`: the gradients of [`super::conv`].
//!
//! `dx[n, y, x, c] = Σ_{r, s, k} dy[n, (y + pad − r·dilation)/stride, (x + pad − s·dilation)/stride, k] · w[r, s, c, k]` over positions that exist;
//! `dw[r, s, c, k] = Σ_{n, y, x} x[n, y·stride + r·dilation − pad, x·stride + s·dilation − pad, c] · dy[n, y, x, k]`.
//!
//! **Order of the sums** ([`super::sum`]): of dx as in [`super::conv`], over filters; of dw chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 rows, up to 128 chunks one after the other, above them pairs.

use super::gemm::{self, Panels, Quads, Taps};
use super::window::{Window, WindowParams};
use super::{Activity, Operation, Sample, conv, sample::Noise, sum};
use crate::caps::{Caps, LaunchShape};
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{Encoding::F32, TensorType, View, ViewMut};

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
const GATHER: &str = include_str!("../../shaders/window_gather.wgsl");
const CONV_DX: &str = include_str!("../../shaders/conv_dx.wgsl");
const CONV_DW: &str = include_str!("../../shaders/conv_dw.wgsl");
const REGISTERS: &str = include_str!("../../shaders/gemm_dw_registers.wgsl");
const TILED: &str = include_str!("../../shaders/gemm_dw_tiled.wgsl");

/// Pixels of a line that are added without looking up.
const SEGMENT: usize = sum::CHUNK / 2;

/// The program of a weight gradient: `operand` is the WGSL that says how x is read, `bind` binds x and what it needs.
///
/// The sum runs over all rows of dy, the result is small: rows are cut into parts until there is work for the whole device and none is longer than [`sum::DEPTH`] allows.
pub(super) fn weight_gradient(
    stem: &str,
    operand: &[&'static str],
    window: &Window,
    (x, dy, dw): (&TensorType, &TensorType, &TensorType),
    caps: &Caps,
    bind: impl Fn(Launch) -> Launch,
) -> Program {
    let (in_quads, out_quads, taps) = (x.quads(), dy.quads(), window.taps());
    let [images, out_h, _, _] = dy.nhwc();
    // CQ × KQ quads of 16 products for each pair of loads; narrower where the tensor is.
    let (c_block, k_block) = (in_quads.min(2), out_quads.min(2));
    let items = match caps.shape {
        LaunchShape::Registers => taps * in_quads.div_ceil(c_block) * out_quads.div_ceil(k_block),
        LaunchShape::Tiled => taps * in_quads.div_ceil(16) * out_quads.div_ceil(16),
    };
    let lines = images * out_h;
    // Partial sums cost memory: at most a mebibyte, or four copies of a large dw.
    let affordable = ((1 << 20) / (dw.words() * 4)).max(4);
    // A part has at most CHUNK chunks; the registers' have more than CHUNK - SEGMENT rows.
    let of_chunk = if caps.shape == LaunchShape::Tiled { sum::CHUNK } else { sum::CHUNK - SEGMENT };
    let needed = dy.rows().div_ceil(sum::CHUNK * of_chunk);
    let parts = 512usize.div_ceil(items).min(lines.div_ceil(4)).min(affordable).max(needed).max(1);
    let launch = match caps.shape {
        LaunchShape::Registers => Launch::new(format!("{stem}_registers"), &[operand, &[REGISTERS]].concat())
            .constant("CQ", c_block)
            .constant("KQ", k_block)
            .constant("SEGMENT", SEGMENT)
            .threads(items * parts),
        LaunchShape::Tiled => {
            Launch::new(format!("{stem}_tiled"), &[&[GATHER], operand, &[TILED]].concat()).groups(items * parts)
        }
    };
    let launch = bind(launch)
        .constant("CHUNK", sum::CHUNK)
        .constant("PARTS", parts)
        .read("dy", F32, Input(0))
        .float_ops(2 * dy.len() * taps * x.channels());
    sum::of_parts(stem, launch, "part", parts, dw)
}

/// dw: `scale` times the sum over rows of x, with its type, and dy.
pub(super) fn weight_gradient_twin(
    window: &Window,
    (x, quads): (&TensorType, &Quads),
    (dy, values): (&TensorType, &[f32]),
    scale: f32,
    dw: &mut [f32],
) {
    let ([_, h, w, _], [_, oh, ow, _]) = (x.nhwc(), dy.nhwc());
    let taps = Taps::inputs(window, [h, w], [oh, ow]);
    gemm::outer_product(&taps, (quads, x.lanes()), (values, dy.lanes()), scale, dw);
}

/// dx: `weights(tap)` writes the block `[k][c]` of a tap.
pub(super) fn input_gradient_twin(
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
        let terms = (self.window.taps(), inputs[0].lanes());
        conv::product("conv_dx", [SCATTER, CONV_DX], terms, ("dx", output), caps, |launch| {
            launch
                .constant("UNIT_STRIDE", usize::from(self.window.stride == [1, 1]))
                .read("dy", F32, Input(0))
                .read("w", F32, Input(1))
                .params(&WindowParams::new(&self.window, output, inputs[0]))
                .float_ops(2 * inputs[0].len() * self.window.taps() * output.channels())
        })
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let w = inputs[1].numbers();
        let (cl, kl) = (output.ty.lanes(), inputs[0].ty.lanes());
        input_gradient_twin(&self.window, (inputs[0].ty, &inputs[0].numbers()), output, |tap, block| {
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
                let [oh, ow] = window.output([input[1], input[2]]).expect("a case that fits");
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
        let (dy, x) = (inputs[0], inputs[1]);
        weight_gradient("conv_dw", &[CONV_DW], &self.window, (x, dy, output), caps, |launch| {
            launch.params(&WindowParams::new(&self.window, x, dy)).read("x", F32, Input(1))
        })
    }

    fn twin(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let quads = Quads::of_floats(&inputs[1].numbers(), inputs[1].ty.lanes());
        let dy = (inputs[0].ty, &*inputs[0].numbers());
        weight_gradient_twin(&self.window, (inputs[1].ty, &quads), dy, 1.0, output.floats());
    }
}

impl ConvDw {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(3);
        let cases = conv::cases().into_iter();
        cases
            .map(|(window, input, filters)| {
                let [oh, ow] = window.output([input[1], input[2]]).expect("a case that fits");
                let weight = noise.weights(window.kernel, input[3], filters).ty;
                let dy = noise.floats(&[input[0], oh, ow, filters]);
                Sample::new(ConvDw { window, weight }, vec![dy, noise.floats(&input)])
            })
            .collect()
    }
}
