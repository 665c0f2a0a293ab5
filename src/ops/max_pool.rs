//! `max_pool`: the largest value in each window; padding is never selected. `max_pool_backward`: dy
//! goes to the *first* largest value in row-major order.
//!
//! `max_pool_argmax` records its position with two bits per value, for non-overlapping windows of
//! up to four taps; the gradient is then [`super::max_unpool`], and x need not be kept. It is
//! computed together with the pool.
//!
//! x is float, the exact sums of a binary convolution, or codes; all are pooled in their stored
//! form. Pooling the sums is equivalent to pooling the α·Δ·s that they represent (α ≥ 0), but
//! preserves ties, which are common between integers and which rounding would break.
//!
//! If the coefficients of a batch-norm are a second input, max(z, 0) is pooled, with z the
//! batch-norm of x, so the rectified floats are never written. This is done for non-overlapping
//! windows, which read each number once.

use super::batch_norm::{NORMALISE_OPS, Prologue, prologue_case};
use super::gemm::Taps;
use super::window::{Window, WindowParams};
use super::{Backward, Operation, Sample, conv_backward, decode, fusion::Case, max_unpool, sample::Noise};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{
    Launch,
    Operand::{self, *},
    Program,
};
use crate::tensor::{
    Encoding::{F32, I16, I32, Planes, U32},
    Tensor, TensorType, View, ViewMut,
};
use crate::{parallel, simd};

/// Max-pool: inputs x, or x and the coefficients of a batch-norm that is followed by a rectifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxPool {
    /// The window; its padding is smaller than its kernel, and its dilation is 1.
    pub window: Window,
}

/// Index of the tap, in row-major order, with the first largest value of each window, `Planes(2)`:
/// inputs as for the pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxPoolArgmax {
    /// The window; it must satisfy [`has_argmax`].
    pub window: Window,
}

/// Whether two bits can number the taps and the windows neither overlap nor are padded.
pub fn has_argmax(window: &Window) -> bool {
    let apart = (0..2).all(|axis| window.kernel[axis] <= window.stride[axis]);
    window.taps() <= 4 && apart && window.padding == [0, 0]
}

/// The gradient of a max-pool with any window: inputs dy, x.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxPoolBackward {
    /// The window.
    pub window: Window,
}

pub(super) const GATHER: &str = include_str!("../../shaders/window_gather.wgsl");

/// Type of the output: the pooled shape in the input's encoding.
pub(super) fn infer(window: &Window, x: &TensorType) -> Result<TensorType, String> {
    let [n, h, w, c] = super::nhwc("the input", x)?;
    if window.padding[0] >= window.kernel[0] || window.padding[1] >= window.kernel[1] {
        return Err("a pool's padding must be smaller than its kernel".to_string());
    }
    if window.dilation != [1, 1] {
        return Err("a pool has no dilation".to_string());
    }
    let [oh, ow] = window.output([h, w])?;
    Ok(TensorType::new(&[n, oh, ow, c], x.encoding))
}

impl Operation for MaxPool {
    fn stem(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if let [x, _] = inputs {
            super::batch_norm::infer_prologue(inputs)?;
            if !has_argmax(&self.window) {
                return Err(format!(
                    "{}: a folded batch-norm needs windows of up to 4 taps that neither overlap nor are padded",
                    self.window
                ));
            }
            return infer(&self.window, &x.with(F32));
        }
        super::arity(inputs, 1)?;
        if inputs[0].encoding == U32 {
            return Err(format!("{} is not an activation", inputs[0]));
        }
        infer(&self.window, inputs[0])
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (x, dy, window) = (cx.input(0), cx.dy(), self.window);
        let dx = if has_argmax(&window) {
            let [_, h, w, _] = cx.input_type(0).nhwc();
            let argmax = cx.add_forward(MaxPoolArgmax { window }, &[x])?;
            cx.add(max_unpool::MaxUnpool { window, size: [h, w] }, &[dy, argmax])?
        } else {
            cx.add(MaxPoolBackward { window }, &[dy, x])?
        };
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        launch("max_pool", &self.window, inputs, Some(output), None).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (x, y, row_words) = (&Pooled::new(inputs), output.ty, output.ty.row_words());
        match y.encoding {
            F32 => pool(&self.window, x, y, (output.floats(), y.lanes()), |row, best, _| row.copy_from_slice(best)),
            I16 => {
                let out: &mut [i16] = bytemuck::cast_slice_mut(output.words);
                pool(&self.window, x, y, (out, y.lanes()), |row, best, _| {
                    row.iter_mut().zip(best).for_each(|(out, &best)| *out = best as i16);
                });
            }
            Planes(bits) => pool(&self.window, x, y, (output.words, row_words), |row, best, _| {
                row.fill(0);
                for (c, &code) in best[..y.channels()].iter().enumerate() {
                    crate::bits::set_code(row, y.plane_words(), bits, c, code as u32);
                }
            }),
            _ => pool(&self.window, x, y, (output.words, row_words), |row, best, _| {
                row.iter_mut().zip(best).for_each(|(out, &best)| *out = best as i32 as u32);
            }),
        }
    }
}

crate::params! {
    struct MapParams { quads: u32 }
}

/// The launch that pools x into y, the argmax, or both; each is given by its operand.
fn launch(
    label: &str,
    window: &Window,
    inputs: &[&TensorType],
    y: Option<&TensorType>,
    argmax: Option<Operand>,
) -> Launch {
    let (x, rectified) = (inputs[0], inputs.len() > 1);
    let pooled = infer(window, x).expect("a valid window");
    let (bits, kind, text) = match x.encoding {
        Planes(bits) => (bits, "_codes", include_str!("../../shaders/max_pool_codes.wgsl")),
        _ if argmax.is_some() => (0, "", include_str!("../../shaders/max_pool_argmax.wgsl")),
        _ => (0, "", include_str!("../../shaders/max_pool.wgsl")),
    };
    let items = if bits > 0 || argmax.is_some() { pooled.plane_words() } else { pooled.quads() };
    let kind = if rectified { "_rectified" } else { kind };
    let launch = Launch::new(format!("{label}{kind}"), &[GATHER, text])
        .constant("BITS", bits as usize)
        .constant("EXACT", usize::from(x.is_exact() && !rectified))
        .constant("RECTIFIED", usize::from(rectified))
        .constant("VALUES", usize::from(y.is_some()))
        .constant("ARGMAX", usize::from(argmax.is_some()))
        .constant("TAPS", window.taps())
        .constant("CHANNELS", x.channels());
    let mut launch = match rectified {
        true => launch.read_mapped("x", x.encoding, Input(0), Some(Input(1))),
        false => launch.read("x", x.encoding, Input(0)),
    };
    launch = launch.must_be_finite();
    if let Some(y) = y {
        launch = launch.write("y", y.encoding, Output);
    }
    if let Some(operand) = argmax {
        launch = launch.write("argmax", Planes(2), operand);
    }
    // Codes and sums are compared as integers.
    let comparisons = if x.encoding == F32 || rectified { pooled.len() * window.taps() } else { 0 };
    let map_ops = if rectified { (NORMALISE_OPS + 1) * pooled.len() * window.taps() } else { 0 };
    let launch = launch.params(&WindowParams::new(window, x, &pooled));
    let launch = if rectified { launch.add_params(&MapParams { quads: x.quads() as u32 }) } else { launch };
    launch.threads(pooled.rows() * items).float_ops(comparisons + map_ops)
}

/// The launch that computes a pool together with its argmax.
pub(super) fn with_argmax(pool: &MaxPool, inputs: &[&TensorType], y: &TensorType) -> Launch {
    launch("max_pool_argmax", &pool.window, inputs, Some(y), Some(OutputOf(1)))
}

/// Input of the pool in the reference implementation (`reference`).
struct Pooled<'a> {
    x: Prologue<'a>,
    ty: &'a TensorType,
    rectified: bool,
}

impl<'a> Pooled<'a> {
    fn new(inputs: &[View<'a>]) -> Self {
        Self { x: Prologue::new(inputs), ty: inputs[0].ty, rectified: inputs.len() > 1 }
    }

    #[inline(always)]
    fn put_row<S: simd::Simd>(&self, simd: S, row: usize, out: &mut [f32]) {
        self.x.put(simd, row..row + 1, out);
        if self.rectified {
            out.iter_mut().for_each(|value| *value = value.max(0.0));
        }
    }
}

/// Calls `write(row, values, places)` for each row of `row_len` elements of `out`, with the largest
/// values in the window of that output row and the input rows where they occur first.
fn pool<T: Send>(
    window: &Window,
    x: &Pooled<'_>,
    y: &TensorType,
    (out, row_len): (&mut [T], usize),
    write: impl Fn(&mut [T], &[f32], &[u32]) + Sync + Send,
) {
    let ([_, h, w, _], [_, oh, ow, _]) = (x.ty.nhwc(), y.nhwc());
    let taps = Taps::inputs(window, [h, w], [oh, ow]);
    parallel::bands(out, row_len, 64, |first, band| {
        simd::run(Pool { x, taps: &taps, count: window.taps(), first, band, row_len, write: &write });
    });
}

struct Pool<'a, T, W> {
    x: &'a Pooled<'a>,
    taps: &'a Taps,
    /// Number of taps.
    count: usize,
    first: usize,
    band: &'a mut [T],
    row_len: usize,
    write: &'a W,
}

impl<T, W: Fn(&mut [T], &[f32], &[u32])> simd::Job for Pool<'_, T, W> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, simd: S) {
        let lanes = self.x.ty.lanes();
        let (mut values, mut best, mut at) = (vec![0.0; lanes], vec![0.0; lanes], vec![0; lanes]);
        for (row, out) in self.band.chunks_exact_mut(self.row_len).enumerate() {
            best.fill(f32::NEG_INFINITY);
            let place = self.taps.place(self.first + row);
            let sources = (0..self.count).filter_map(|tap| self.taps.source(place, tap));
            for (nth, from) in sources.map(|from| from as u32).enumerate() {
                if nth == 0 {
                    // Position reported if nothing is larger than −∞, which happens in a diverged
                    // run.
                    at.fill(from);
                }
                self.x.put_row(simd, from as usize, &mut values);
                for ((&value, best), at) in values.iter().zip(&mut best).zip(&mut at) {
                    let larger = value > *best;
                    *best = if larger { value } else { *best };
                    *at = if larger { from } else { *at };
                }
            }
            (self.write)(out, &best, &at);
        }
    }
}

/// Windows and input shapes for pools, with overlap and padding.
pub(super) fn cases() -> Vec<(Window, [usize; 4])> {
    vec![
        (Window::square(2, 2, 0), [2, 6, 8, 41]),
        (Window::square(3, 2, 1), [1, 7, 6, 5]),
        (Window::square(3, 1, 1), [2, 5, 4, 33]),
        (Window::new([2, 3], [3, 2], [0, 1]), [1, 8, 7, 10]),
        (Window::square(4, 4, 0), [3, 4, 4, 48]),
    ]
}

/// Windows, each with one input of every encoding.
fn inputs(seed: u64, cases: Vec<(Window, [usize; 4])>) -> impl Iterator<Item = (Window, Tensor)> {
    let mut noise = Noise::new(seed);
    cases.into_iter().enumerate().flat_map(move |(i, (window, shape))| {
        let codes = Planes((i % 4 + 1) as u8);
        // Few distinct integers, so that ties are frequent.
        [
            noise.floats(&shape),
            noise.ints(&shape, I16, 3),
            noise.ints(&shape, I32, 40_000),
            noise.ints(&shape, codes, 0),
        ]
        .map(|x| (window, x))
    })
}

/// Non-overlapping windows, each with an input in one of the encodings that a batch-norm reads, and
/// coefficients.
fn rectified(seed: u64) -> impl Iterator<Item = (Window, Vec<Tensor>)> {
    let mut noise = Noise::new(seed);
    let cases = argmax_cases().into_iter().zip([F32, I16, I32].into_iter().cycle());
    cases.map(move |((window, shape), encoding)| (window, prologue_case(&mut noise, &shape, encoding)))
}

impl MaxPool {
    pub(super) fn samples() -> Vec<Sample> {
        let plain = inputs(40, cases()).map(|(window, x)| Sample::new(MaxPool { window }, vec![x]));
        plain.chain(rectified(44).map(|(window, inputs)| Sample::new(MaxPool { window }, inputs))).collect()
    }
}

impl Operation for MaxPoolBackward {
    fn stem(&self) -> &'static str {
        "max_pool_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 2)?;
        super::same("the gradient", inputs[0], &infer(&self.window, inputs[1])?.with(F32))?;
        Ok(inputs[1].with(F32))
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let (dy, x) = (inputs[0], inputs[1]);
        let bits = if let Planes(bits) = x.encoding { bits as usize } else { 0 };
        let mut body = vec![conv_backward::SCATTER, include_str!("../../shaders/max_pool_backward.wgsl")];
        if bits > 0 {
            body.push(decode::CODES);
        }
        Launch::new("max_pool_backward", &body)
            .constant("UNIT_STRIDE", usize::from(self.window.stride == [1, 1]))
            .constant("BITS", bits)
            .read("dy", F32, Input(0))
            .must_be_finite()
            .read("x", x.encoding, Input(1))
            .write("dx", F32, Output)
            .params(&WindowParams::new(&self.window, x, dy))
            .threads(output.rows() * output.quads())
            // The maxima are found again, and each receives its gradient.
            .float_ops(if x.encoding == F32 { self.window.taps() + 1 } else { 1 } * dy.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, lanes) = (inputs[0].numbers(), output.ty.lanes());
        let (y, window) = (inputs[0].ty, &self.window);
        let mut winners = vec![0; y.rows() * lanes];
        pool(window, &Pooled::new(&inputs[1..]), y, (&mut winners, lanes), |row, _, at| row.copy_from_slice(at));
        let ([_, h, w, _], [_, oh, ow, _]) = (output.ty.nhwc(), y.nhwc());
        let taps = Taps::inputs(window, [h, w], [oh, ow]);
        // Windows do not cross images, so images are independent.
        let (x_rows, y_rows) = (h * w, oh * ow);
        parallel::rows(output.floats(), x_rows * lanes, |image, dx| {
            dx.fill(0.0);
            for row in image * y_rows..(image + 1) * y_rows {
                let (winners, dy) = (&winners[row * lanes..][..lanes], &dy[row * lanes..][..lanes]);
                let place = taps.place(row);
                for source in (0..window.taps()).filter_map(|tap| taps.source(place, tap)) {
                    let dx = &mut dx[(source - image * x_rows) * lanes..][..lanes];
                    for c in 0..lanes {
                        // A sum that began at 0 is never −0, so adding 0 leaves it unchanged.
                        dx[c] += if winners[c] == source as u32 { dy[c] } else { 0.0 };
                    }
                }
            }
        });
    }
}

impl MaxPoolBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(41);
        // Before optimisation passes fold a batch-norm and a rectifier into a pool.
        let samples = MaxPool::samples().into_iter().filter(|sample| sample.inputs.len() == 1);
        samples
            .map(|mut sample| {
                let super::Op::MaxPool(MaxPool { window }) = sample.op else { unreachable!("samples of max_pool") };
                let y = infer(&window, &sample.inputs[0].ty).expect("a case that fits");
                sample.inputs.insert(0, noise.floats(&y.shape));
                Sample::new(MaxPoolBackward { window }, sample.inputs)
            })
            .collect()
    }
}

impl Operation for MaxPoolArgmax {
    fn stem(&self) -> &'static str {
        "max_pool_argmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let pooled = MaxPool { window: self.window }.infer(inputs)?;
        if !has_argmax(&self.window) {
            return Err(format!(
                "two bits cannot hold the argmax of {}: use windows of up to 4 taps that neither overlap nor are padded",
                self.window
            ));
        }
        Ok(pooled.with(Planes(2)))
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        launch("max_pool_argmax", &self.window, inputs, None, Some(Output)).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (ty, [_, h, w, _]) = (output.ty, inputs[0].ty.nhwc());
        let (lanes, channels, plane_words) = (ty.lanes(), ty.channels(), ty.plane_words());
        let mut winners = vec![0; ty.rows() * lanes];
        pool(&self.window, &Pooled::new(inputs), ty, (&mut winners, lanes), |row, _, at| row.copy_from_slice(at));
        let taps = Taps::inputs(&self.window, [h, w], [ty.nhwc()[1], ty.nhwc()[2]]);
        parallel::rows(output.words, ty.row_words(), |row, words| {
            words.fill(0);
            let sources: Vec<_> = (0..self.window.taps()).map(|tap| taps.source(taps.place(row), tap)).collect();
            for (c, &winner) in winners[row * lanes..][..channels].iter().enumerate() {
                let tap = sources.iter().position(|&source| source == Some(winner as usize));
                crate::bits::set_code(words, plane_words, 2, c, tap.expect("a tap of the window") as u32);
            }
        });
    }
}

/// Windows whose argmax is recorded, with and without gaps between them, and inputs that they do
/// not fully cover.
pub(super) fn argmax_cases() -> Vec<(Window, [usize; 4])> {
    vec![
        (Window::square(2, 2, 0), [2, 6, 8, 41]),
        (Window::square(2, 2, 0), [1, 7, 5, 130]),
        (Window::new([1, 3], [2, 4], [0, 0]), [2, 5, 8, 33]),
        (Window::new([2, 1], [3, 1], [0, 0]), [1, 8, 3, 7]),
    ]
}

impl MaxPoolArgmax {
    pub(super) fn samples() -> Vec<Sample> {
        let plain = inputs(42, argmax_cases()).map(|(window, x)| (window, vec![x]));
        plain.chain(rectified(45)).map(|(window, inputs)| Sample::new(MaxPoolArgmax { window }, inputs)).collect()
    }
}

/// Pools fused with their argmax.
pub(super) fn fused_cases() -> Vec<Case> {
    let samples = MaxPoolArgmax::samples().into_iter();
    let cases = samples.map(|sample| {
        let super::Op::MaxPoolArgmax(MaxPoolArgmax { window }) = sample.op else { unreachable!("samples of argmax") };
        let of: Vec<_> = (0..sample.inputs.len()).collect();
        let nodes = vec![(MaxPool { window }.into(), of.clone()), (sample.op, of)];
        Case { name: "max_pool with argmax", nodes, inputs: sample.inputs }
    });
    cases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    #[test]
    fn windows_without_a_largest_value_keep_their_gradient_to_themselves() {
        let window = Window::square(2, 2, 0);
        let dy: Vec<_> = (1..=16).map(|i| i as f32).collect();
        let dy = Tensor::from_f32(&[2, 1, 2, 4], &dy);
        for nothing in [f32::NEG_INFINITY, f32::NAN] {
            let x = Tensor::from_f32(&[2, 2, 4, 4], &[nothing; 64]);
            let dx = Op::from(MaxPoolBackward { window }).evaluate(&[&dy, &x]).to_f32();
            for (row, lanes) in dx.chunks_exact(4).enumerate() {
                // The gradient goes to the first row of each window.
                let (image, y, x) = (row / 8, row / 4 % 2, row % 4);
                let first = y == 0 && x % 2 == 0;
                let expected = |lane: usize| if first { (image * 8 + x / 2 * 4 + lane + 1) as f32 } else { 0.0 };
                assert_eq!(lanes, [0, 1, 2, 3].map(expected), "row {row} of {nothing}");
            }
        }
    }
}
