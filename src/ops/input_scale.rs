//! `input_scale`: the factor K of XNOR-Net (Rastegari et al., 2016, arXiv 1603.05279): the mean of
//! |x| over channels, then over the window, with padding counted as 0. `scale_rows`: multiplies
//! every channel by K.
//!
//! x `[n, h, w, c]` → K `[n, oh, ow, 1]`; no gradient flows through it. `scale_rows`: y
//! `[n, oh, ow, k]`, K → y·K; its gradient is dy·K.
//!
//! **Order of the sums** ([`super::sum`]): chunks of [`CHUNK`](super::sum::CHUNK) = 128 channels of
//! a lane, then of positions, then pairs.

use super::window::{Window, WindowParams};
use super::{Backward, Operation, Sample, conv, sample::Noise, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, LANES, TensorType, View, ViewMut};

/// K: input x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InputScale {
    /// The convolution's window.
    pub window: Window,
}

/// Multiplies each row by one number: inputs y, K.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ScaleRows;

crate::params! {
    struct RowParams { rows: u32, quads: u32 }
}

const GATHER: &str = include_str!("../../shaders/window_gather.wgsl");

impl Operation for InputScale {
    fn stem(&self) -> &'static str {
        "input_scale"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 1)?;
        super::float("the input", inputs[0])?;
        let [n, h, w, _] = super::nhwc("the input", inputs[0])?;
        let [oh, ow] = self.window.output([h, w])?;
        Ok(TensorType::f32(&[n, oh, ow, 1]))
    }

    fn backward(&self, _cx: &mut Backward<'_>) -> Result<()> {
        Ok(()) // none by definition: K is a constant of the step
    }

    /// Launches: the sum of |x| over channels, one number per position; then the mean over the
    /// window.
    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let x = inputs[0];
        let text = include_str!("../../shaders/input_scale_channels.wgsl");
        let channels = sum::running(Launch::new("input_scale_channels", &[text, sum::QUADS_SUM]), x.quads())
            .read("x", F32, Input(0))
            .write("sums", F32, Scratch(0))
            .params(&RowParams { rows: x.rows() as u32, quads: x.quads() as u32 })
            .threads(x.rows())
            .float_ops(x.len());
        let count = (x.channels() * self.window.taps()) as f32;
        let pixels = Launch::new("input_scale", &[GATHER, include_str!("../../shaders/input_scale.wgsl")]);
        let pixels = sum::running(pixels, self.window.taps())
            .constant("COUNT_BITS", count.to_bits() as usize)
            .read("sums", F32, Scratch(0))
            .write("k", F32, Output)
            .params(&WindowParams::new(&self.window, x, output))
            .threads(output.rows())
            .float_ops(output.rows() * self.window.taps());
        Program { scratch_words: vec![x.rows() * LANES], launches: vec![channels, pixels] }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, lanes) = (inputs[0].numbers(), inputs[0].ty.lanes());
        let ([_, h, w, c], [_, oh, ow, _]) = (inputs[0].ty.nhwc(), output.ty.nhwc());
        let window = self.window;
        let count = (c * window.taps()) as f32;
        let mut of_place = vec![0.0; inputs[0].ty.rows()];
        parallel::rows(&mut of_place, 1, |row, out| {
            let magnitudes: Vec<_> = x[row * lanes..][..lanes].iter().map(|v| v.abs()).collect();
            out[0] = sum::of_quads(&magnitudes);
        });
        parallel::rows(output.floats(), LANES, |row, out| {
            let (n, oy, ox) = (row / (oh * ow), row / ow % oh, row % ow);
            let taps = (0..window.kernel[0]).flat_map(|r| (0..window.kernel[1]).map(move |s| [r, s]));
            let sources = taps.filter_map(|tap| window.source([h, w], [oy, ox], tap));
            let sum = sum::of(sources.map(|[y, x_at]| of_place[(n * h + y) * w + x_at]));
            out.copy_from_slice(&[sum / count, 0.0, 0.0, 0.0]);
        });
    }
}

impl InputScale {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(40);
        let cases = conv::cases().into_iter();
        cases.map(|(window, input, _)| Sample::new(InputScale { window }, vec![noise.floats(&input)])).collect()
    }
}

impl Operation for ScaleRows {
    fn stem(&self) -> &'static str {
        "scale_rows"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::float("the input", inputs[0])?;
        let [n, h, w, _] = super::nhwc("the input", inputs[0])?;
        super::same("the scales", inputs[1], &TensorType::f32(&[n, h, w, 1]))?;
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (k, dy) = (cx.input(1), cx.dy());
        if !cx.needs_gradient(0) {
            return Ok(());
        }
        let dx = cx.add(ScaleRows, &[dy, k])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / LANES;
        Launch::new("scale_rows", &[super::add::ELEMENTWISE, include_str!("../../shaders/scale_rows.wgsl")])
            .constant("ROW_QUADS", output.quads())
            .read("x", F32, Input(0))
            .read("k", F32, Input(1))
            .write("y", F32, Output)
            .params(&super::add::ElementwiseParams { quads: quads as u32 })
            .threads(quads)
            .float_ops(output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, k, lanes) = (inputs[0].numbers(), inputs[1].numbers(), output.ty.lanes());
        parallel::rows(output.floats(), lanes, |row, out| {
            out.iter_mut().zip(&x[row * lanes..]).for_each(|(out, x)| *out = x * k[row * LANES]);
        });
    }
}

impl ScaleRows {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(41);
        let shapes = [[2, 3, 5, 41], [1, 1, 1, 10]].into_iter();
        shapes
            .map(|[n, h, w, c]| Sample::new(ScaleRows, vec![noise.floats(&[n, h, w, c]), noise.floats(&[n, h, w, 1])]))
            .collect()
    }
}
