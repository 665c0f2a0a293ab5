//! Cases with more than two million terms for every operation that reduces, with the float64
//! results for the same numbers.

use halfwave::ops::Op;
use halfwave::ops::abc_weight::{AbcAlpha, AbcThresholds};
use halfwave::ops::avg_pool::{AvgPool, AvgPoolBackward};
use halfwave::ops::batch_norm_backward::BatchNormSums;
use halfwave::ops::batch_norm_stats::BatchNormStats;
use halfwave::ops::bconv_backward::{BconvDw, BconvDx};
use halfwave::ops::bias::ChannelSum;
use halfwave::ops::class_loss::{ClassLoss, Term};
use halfwave::ops::clip::SquareSum;
use halfwave::ops::code::{Code, SignPlanes};
use halfwave::ops::conv::Conv;
use halfwave::ops::conv_backward::{ConvDw, ConvDx};
use halfwave::ops::dorefa_weight::DorefaWeightBackward;
use halfwave::ops::input_scale::InputScale;
use halfwave::ops::mean::Mean;
use halfwave::ops::prelu::PreluSlope;
use halfwave::ops::sample::Noise;
use halfwave::ops::scale::Total;
use halfwave::ops::sign::{Alpha, Scope, XnorGradient};
use halfwave::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyBackward};
use halfwave::ops::window::Window;
use halfwave::tensor::{Encoding, Tensor, TensorType};

/// Rows of an activation, and their number: odd sizes, more than 2 · 10⁶.
const ROWS: [usize; 3] = [7, 501, 599];
const N: usize = 7 * 501 * 599;
/// Side of a window with more than 2 · 10⁶ positions, whose weight fits in a binding of 128 MiB.
const SIDE: usize = 1415;

/// One element of the output.
pub(crate) struct Sum {
    pub(crate) at: usize,
    pub(crate) terms: usize,
    /// Its value.
    pub(crate) value: f64,
    /// Σ|xᵢ| as the element sums it; for a mean, the mean of |xᵢ|.
    pub(crate) magnitude: f64,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) sums: Vec<Sum>,
}

/// Numbers that cancel: two fifths of them about 1000, the rest about −700.
fn cancelling(n: usize, seed: u64) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    let value = |i| if i * 17 < n * 7 { 1000.3 } else { -700.2 };
    (0..n).map(|i| value(i) + 0.01 * noise.float()).collect()
}

/// Positive numbers of about this magnitude, all rounded in the same direction by a running sum.
fn positive(n: usize, about: f32, seed: u64) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    (0..n).map(|_| about * (1.0 + 0.001 * noise.float())).collect()
}

/// Columns side by side: rows with one channel per column.
fn rows_of(columns: &[Vec<f32>]) -> Vec<f32> {
    (0..columns[0].len()).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}

fn rows(columns: &[Vec<f32>]) -> Tensor {
    Tensor::from_f32(&[ROWS[0], ROWS[1], ROWS[2], columns.len()], &rows_of(columns))
}

/// The sum over the terms, times a factor.
pub(crate) fn sum(at: usize, factor: f64, terms: impl Iterator<Item = f64>) -> Sum {
    let mut sum = Sum { at, terms: 0, value: 0.0, magnitude: 0.0 };
    for term in terms {
        sum.terms += 1;
        sum.value += factor * term;
        sum.magnitude += factor.abs() * term.abs();
    }
    sum
}

fn f(values: &[f32]) -> impl Iterator<Item = f64> + '_ {
    values.iter().copied().map(f64::from)
}

fn products<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
    f(a).zip(f(b)).map(|(a, b)| a * b)
}

fn case(name: &str, op: impl Into<Op>, inputs: Vec<Tensor>, sums: Vec<Sum>) -> Case {
    Case { name: name.to_string(), op: op.into(), inputs, sums }
}

const POINT: Window = Window { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1] };

/// The terms used in most cases.
pub(crate) fn terms() -> [(&'static str, Vec<f32>); 4] {
    let squares = positive(N, 2.9, 33).into_iter().map(|v| v * v);
    [
        ("cancelling", cancelling(N, 1)),
        ("positive", positive(N, 0.1, 31)),
        ("other", positive(N, -1.3, 37)),
        ("squares", squares.collect()),
    ]
}

pub(crate) fn all() -> Vec<Case> {
    let mut all = products_of_matrices();
    all.extend(weights());
    all.extend(over_rows());
    all.extend(over_pixels());
    all.extend(losses());
    all
}

fn products_of_matrices() -> Vec<Case> {
    let padded = N.next_multiple_of(4);
    let (x, ones) = (cancelling(N, 1), [positive(N, 1.0, 2), positive(N, 0.7, 3), positive(N, 1.3, 4)]);
    let wide = Tensor::from_f32(&[1, 1, 1, N], &x);
    // w [1, 1, c, k]: padding rows are zero.
    let mut w = rows_of(&ones);
    w.resize(padded * 3, 0.0);
    let forward = case(
        "conv over channels",
        Conv { window: POINT },
        vec![wide.clone(), Tensor::from_f32(&[1, 1, padded, 3], &w)],
        (0..3).map(|k| sum(k, 1.0, products(&x, &ones[k]))).collect(),
    );
    // The same over positions: one channel, a window as large as the image.
    let pixels = SIDE * SIDE;
    let (picture, filter) = (cancelling(pixels, 5), positive(pixels, 1.0, 6));
    let mut over_pixels = vec![0.0; pixels * 4];
    over_pixels.iter_mut().step_by(4).zip(&filter).for_each(|(to, from)| *to = *from);
    let linear = case(
        "conv over pixels",
        Conv { window: Window::square(SIDE, 1, 0) },
        vec![Tensor::from_f32(&[1, SIDE, SIDE, 1], &picture), Tensor::from_f32(&[SIDE, SIDE, 4, 1], &over_pixels)],
        vec![sum(0, 1.0, products(&picture, &filter))],
    );
    let input = TensorType::f32(&[1, 1, 1, 3]);
    let w: Vec<_> = ones.iter().flatten().copied().chain(std::iter::repeat_n(0.0, N)).collect();
    let dx = case(
        "conv_dx",
        ConvDx { window: POINT, input: input.clone() },
        vec![wide.clone(), Tensor::from_f32(&[1, 1, 4, N], &w)],
        (0..3).map(|c| sum(c, 1.0, products(&x, &ones[c]))).collect(),
    );
    let mut noise = Noise::new(7);
    let signs: Vec<_> = (0..N).map(|k| u32::from(k % 5 > 0) << 1 | 1 | noise.bits() & 4).collect();
    let signed = |c: usize, k: usize| f64::from(ones[0][k]) * if signs[k] >> c & 1 == 1 { 1.0 } else { -1.0 };
    let binary_dx = case(
        "bconv_dx",
        BconvDx { window: POINT, planes: SignPlanes::ONE, input },
        vec![wide, Tensor::from_u32(&[1, 1, 1, N], &signs), Tensor::from_f32(&[N], &ones[0])],
        (0..3).map(|c| sum(c, 1.0, (0..N).map(|k| f64::from(x[k]) * signed(c, k)))).collect(),
    );
    let dy = [cancelling(N, 8), positive(N, 0.1, 9)];
    let weight = TensorType::f32(&[1, 1, 4, 2]);
    let pairs = || (0..3).flat_map(|c| (0..2).map(move |k| (c, k)));
    let dw = case(
        "conv_dw",
        ConvDw { window: POINT, weight },
        vec![rows(&dy), rows(&ones)],
        pairs().map(|(c, k)| sum(c * 2 + k, 1.0, products(&ones[c], &dy[k]))).collect(),
    );
    let codes: Vec<_> = (0..3 * N).map(|_| (noise.bits() % 3) as i32 + 1).collect();
    let of = |c: usize| codes.iter().skip(c).step_by(3).map(|&code| f64::from(code));
    let ty = TensorType::new(&[ROWS[0], ROWS[1], ROWS[2], 3], Encoding::Planes(2));
    let binary_dw = case(
        "bconv_dw",
        BconvDw { window: POINT, code: Code::Uniform(0.5) },
        vec![rows(&dy), Tensor::from_ints(ty, &codes)],
        pairs().map(|(c, k)| sum(c * 2 + k, 0.5, of(c).zip(f(&dy[k])).map(|(x, dy)| x * dy))).collect(),
    );
    vec![forward, linear, dx, binary_dx, dw, binary_dw]
}

/// Latent weights `[1, 1, c, k]` with these numbers of channels and filters, side by side.
fn latent(channels: usize, filters: usize, values: &[f32]) -> Tensor {
    let mut values = values.to_vec();
    values.resize(channels.next_multiple_of(4) * filters, 0.0);
    Tensor::from_f32(&[1, 1, channels.next_multiple_of(4), filters], &values)
}

fn weights() -> Vec<Case> {
    let columns = [positive(N, 0.1, 20), positive(N, -0.3, 21), positive(N, 0.02, 22)];
    let (tall, flat) = (latent(N, 3, &rows_of(&columns)), columns.concat());
    let (n, all) = (N as f64, (3 * N) as f64);
    let alpha = |scope, channels| Alpha { channels, scope };
    let magnitudes = |values: &[f32]| values.iter().map(|v| f64::from(v.abs())).collect::<Vec<_>>();
    let mut cases = vec![
        case(
            "alpha of a filter",
            alpha(Scope::Filter, N),
            vec![tall.clone()],
            (0..3).map(|k| sum(k, 1.0 / n, magnitudes(&columns[k]).into_iter())).collect(),
        ),
        case(
            "alpha of a layer",
            alpha(Scope::Layer, N),
            vec![tall.clone()],
            vec![sum(1, 1.0 / all, magnitudes(&flat).into_iter())],
        ),
    ];
    // XNOR-Net's gradient: the shared part, where no gradient passes through the weight itself (|w|
    // above 1).
    let dy = [cancelling(N, 23), cancelling(N, 24), cancelling(N, 25)];
    let dy_values = rows_of(&dy);
    let dy_tall = latent(N, 3, &dy_values);
    let above = |tensor: &Tensor| {
        let values = tensor.to_f32().into_iter().map(|v| if v == 0.0 { 0.0 } else { v.signum() * (1.5 + v.abs()) });
        Tensor::from_f32(&tensor.ty.shape, &values.collect::<Vec<_>>())
    };
    let sign = |k: usize| if k == 1 { -1.0 } else { 1.0 };
    let gradient = |scope, channels| XnorGradient { channels, scope };
    cases.push(case(
        "xnor_gradient of a filter",
        gradient(Scope::Filter, N),
        vec![dy_tall.clone(), above(&tall), Tensor::from_f32(&[3], &[1.0; 3])],
        // sign(w)·Σ dy·sign(w)/n: all signs of a filter are equal.
        (0..3).map(|k| sum(300 + k, 1.0 / n, f(&dy[k]))).collect(),
    ));
    cases.push(case(
        "xnor_gradient of a layer",
        gradient(Scope::Layer, N),
        vec![dy_tall.clone(), above(&tall), Tensor::from_f32(&[3], &[1.0; 3])],
        vec![sum(300, 1.0 / all, (0..3 * N).map(|i| f64::from(dy_values[i]) * sign(i % 3)))],
    ));
    // DoReFa-Net's: the gradient of the largest weight contains the sum over all.
    let mut latent_values = rows_of(&columns);
    latent_values[7] = 0.5;
    let (top, t) = (f64::from(0.5f32).tanh(), |w: f32| f64::from(w).tanh());
    let mut of_all =
        sum(7, -(1.0 - top * top) / (top * top), (0..3 * N).map(|i| f64::from(dy_values[i]) * t(latent_values[i])));
    of_all.value += f64::from(dy_values[7]) * (1.0 - top * top) / top;
    cases.push(case(
        "dorefa_weight_backward",
        DorefaWeightBackward,
        vec![dy_tall, latent(N, 3, &latent_values), Tensor::from_f32(&[1, 1], &[0.5])],
        vec![of_all],
    ));
    // ABC-Net's: mean, mean ± std, and half the difference of the weights above and below a
    // threshold.
    let mean = sum(0, 1.0 / all, f(&flat));
    let squares = sum(0, 1.0 / all, f(&flat).map(|w| w * w));
    let deviation = (squares.value - mean.value * mean.value).sqrt();
    let error = (squares.magnitude + 2.0 * mean.value.abs() * mean.magnitude) / (2.0 * deviation);
    let at = |at, sign: f64| Sum {
        at,
        terms: 3 * N,
        value: mean.value + sign * deviation,
        magnitude: mean.magnitude + error,
    };
    cases.push(case(
        "abc_thresholds",
        AbcThresholds { bases: 2, channels: N },
        vec![tall.clone()],
        vec![at(0, -1.0), at(1, 1.0)],
    ));
    let threshold = 0.05;
    let part = |w: f64| if w >= f64::from(threshold) { w } else { -w };
    cases.push(case(
        "abc_alpha",
        AbcAlpha { bases: 1, channels: N },
        vec![tall, Tensor::from_f32(&[1], &[threshold])],
        vec![sum(0, 1.0 / all, f(&flat).map(part))],
    ));
    cases
}

fn over_rows() -> Vec<Case> {
    let columns = [cancelling(N, 30), positive(N, 0.1, 31), cancelling(N, 32)];
    let (x, n) = (rows(&columns), N as f64);
    let each = |factor: f64| (0..3).map(|c| sum(c, factor, f(&columns[c]))).collect::<Vec<_>>();
    let whole = |tensor: Tensor, columns: &[Vec<f32>]| {
        case("total", Total, vec![tensor], vec![sum(0, 1.0, columns.iter().flat_map(|column| f(column)))])
    };
    let mut cases = vec![
        case("mean", Mean { of: None }, vec![x.clone()], each(1.0 / n)),
        case("channel_sum", ChannelSum, vec![x.clone()], each(1.0)),
        whole(x.clone(), &columns),
        whole(Tensor::from_f32(&[1, N], &columns[0]), &columns[..1]),
    ];
    // Statistics: numbers that cancel, numbers of one sign, and one in a hundred that dwarfs the
    // others.
    let outlier = |(i, v): (usize, &f32)| if i % 128 == 0 { 1e6 } else { *v };
    let columns = [columns[0].clone(), positive(N, 2.9, 33), columns[1].iter().enumerate().map(outlier).collect()];
    let statistics = |c: usize| {
        let mean = sum(c, 1.0 / n, f(&columns[c]));
        let (centre, at) = (mean.value, 3 + c);
        let variance = sum(at, 1.0 / n, f(&columns[c]).map(|x| (x - centre) * (x - centre)));
        [mean, variance]
    };
    // The variance of numbers of one sign loses the rounding error of their mean, which is not an
    // error of the sum.
    let sums = (0..3).flat_map(statistics).filter(|sum| sum.at != 4).collect();
    cases.push(case("batch_norm_stats", BatchNormStats { largest: 0 }, vec![rows(&columns)], sums));
    let (dz, x) = ([cancelling(N, 34), positive(N, 0.1, 35), cancelling(N, 36)], &columns[1]);
    let coefficients = [[0.0; 3], [1.0; 3], [0.0; 3], [1.0; 3], [1.0; 3]].concat();
    let sums = (0..3).flat_map(|c| [sum(c, 1.0, products(&dz[c], x)), sum(3 + c, 1.0, f(&dz[c]))]);
    let x = rows(&[x.clone(), x.clone(), x.clone()]);
    let inputs = vec![x, Tensor::from_f32(&[5, 3], &coefficients), rows(&dz)];
    cases.push(case("batch_norm_sums", BatchNormSums { through: None, unpool: None }, inputs, sums.collect()));
    let below = positive(N, -1.3, 37);
    let slopes = (0..3).map(|c| sum(c, 1.0, products(&dz[c], &below))).collect();
    let inputs = vec![rows(&dz), rows(&[below.clone(), below.clone(), below.clone()])];
    cases.push(case("prelu_slope", PreluSlope, inputs, slopes));
    let squares = |x: &[f32]| f(x).map(|v| v * v).collect::<Vec<_>>();
    let (first, before) = (squares(&columns[1]), 1e6);
    let tensor = Tensor::from_f32(&[N], &columns[1]);
    cases.push(case("square_sum", SquareSum, vec![tensor.clone()], vec![sum(0, 1.0, first.iter().copied())]));
    let joined = sum(0, 1.0, first.into_iter().chain([before]));
    cases.push(case("square_sum, joined", SquareSum, vec![tensor, Tensor::from_f32(&[1], &[1e6])], vec![joined]));
    cases
}

fn over_pixels() -> Vec<Case> {
    let (window, pixels) = (Window::square(SIDE, 1, 0), SIDE * SIDE);
    let columns = [cancelling(pixels, 40), positive(pixels, 0.1, 41), cancelling(pixels, 42)];
    let picture = Tensor::from_f32(&[1, SIDE, SIDE, 3], &rows_of(&columns));
    let mean = |c: usize| sum(c, 1.0 / pixels as f64, f(&columns[c]));
    let magnitude = |columns: &[Vec<f32>], count: usize| {
        vec![sum(0, 1.0 / count as f64, columns.iter().flat_map(|column| f(column)).map(f64::abs))]
    };
    let seen = Window::new([SIDE, SIDE], [1, 1], [SIDE - 1, SIDE - 1]);
    let wide = cancelling(N, 43);
    vec![
        case("avg_pool", AvgPool { window }, vec![picture.clone()], (0..3).map(mean).collect()),
        case(
            "avg_pool_backward",
            AvgPoolBackward { window: seen, input: TensorType::f32(&[1, 1, 1, 3]) },
            vec![picture.clone()],
            (0..3).map(mean).collect(),
        ),
        case("input_scale over pixels", InputScale { window }, vec![picture], magnitude(&columns, 3 * pixels)),
        case(
            "input_scale over channels",
            InputScale { window: POINT },
            vec![Tensor::from_f32(&[1, 1, 1, N], &wide)],
            magnitude(&[wide], N),
        ),
    ]
}

fn losses() -> Vec<Case> {
    // Classes whose logits are 1, and a few that are 1.3: all other powers are equal.
    let (largest, label) = (1.3f32, 5usize);
    let logits: Vec<_> = (0..N).map(|c| if c % 1000 == 0 { largest } else { 1.0 }).collect();
    let labels = Tensor::from_u32(&[1], &[label as u32]);
    let inputs = vec![Tensor::from_f32(&[1, 1, 1, N], &logits), labels];
    let (smoothing, top) = (0.5f32, f64::from(largest));
    let powers = || f(&logits).map(|z| (z - top).exp());
    let total: f64 = powers().sum();
    let miss = f64::from(smoothing) / N as f64;
    let below: f64 = f(&logits).map(|z| z - top).sum();
    let loss = Sum {
        at: 0,
        terms: N,
        value: total.ln() - f64::from(1.0 - smoothing) * (1.0 - top) - miss * below,
        // d ln Σ = dΣ/Σ, and all terms of Σ have the same sign.
        magnitude: 1.0 + miss * below.abs(),
    };
    let share = Sum { at: 1, terms: N, value: (1.0 - top).exp() / total, magnitude: (1.0 - top).exp() / total };
    let mut cases = vec![
        case("softmax_cross_entropy", SoftmaxCrossEntropy { smoothing }, inputs.clone(), vec![loss]),
        case(
            "softmax_cross_entropy_backward",
            SoftmaxCrossEntropyBackward { smoothing: 0.0, of: None },
            inputs.clone(),
            vec![share],
        ),
    ];
    for term in Term::ALL {
        let of = |(c, z): (usize, f64)| match (term, c == label) {
            (Term::SigmoidCrossEntropy, hit) => (if hit { -z } else { z }).exp().ln_1p(),
            (Term::SquaredError, hit) => 0.5 * (z - f64::from(u8::from(hit))).powi(2),
            (Term::SquaredHinge, hit) => (1.0 - if hit { z } else { -z }).max(0.0).powi(2),
        };
        let factor = if term == Term::SquaredHinge { 1.0 / N as f64 } else { 1.0 };
        let loss = sum(0, factor, f(&logits).enumerate().map(of));
        cases.push(case(&format!("class_loss, {term:?}"), ClassLoss { term }, inputs.clone(), vec![loss]));
    }
    cases
}
