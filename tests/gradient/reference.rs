//! Definitions of the operations, in f64 and with plain loops over logical elements (channels last,
//! no padding). Nothing here calls the code under test except `Window`'s fields and Philox, which
//! is tested with known answers.

use halfwave::ops::quantise::Surrogate;
use halfwave::ops::window::Window;
use halfwave::random::philox4x32;

/// Axis lengths of an activation.
pub(crate) type Nhwc = [usize; 4];

/// Height and width of a window's output.
pub(crate) fn output(window: &Window, input: Nhwc) -> [usize; 2] {
    [0, 1].map(|axis| {
        let span = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
        (input[axis + 1] + 2 * window.padding[axis] - span) / window.stride[axis] + 1
    })
}

/// Calls `visit(output row, tap, input row)` for every position under every window that is not
/// padding, outputs in order, taps in row order.
pub(crate) fn slide(window: &Window, input: Nhwc, mut visit: impl FnMut(usize, usize, usize)) {
    let [n, h, w, _] = input;
    let [oh, ow] = output(window, input);
    for image in 0..n {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for (r, s) in (0..window.kernel[0]).flat_map(|r| (0..window.kernel[1]).map(move |s| (r, s))) {
                let y = (oy * window.stride[0] + r * window.dilation[0]) as isize - window.padding[0] as isize;
                let x = (ox * window.stride[1] + s * window.dilation[1]) as isize - window.padding[1] as isize;
                if (0..h as isize).contains(&y) && (0..w as isize).contains(&x) {
                    let row = (image * h + y as usize) * w + x as usize;
                    visit((image * oh + oy) * ow + ox, r * window.kernel[1] + s, row);
                }
            }
        }
    }
}

/// Rows of a window's output.
pub(crate) fn output_rows(window: &Window, input: Nhwc) -> usize {
    input[0] * output(window, input).iter().product::<usize>()
}

/// Convolution with weights `[r, s, 4⌈c/4⌉, k]`, in which rows from c on are ignored.
pub(crate) fn conv(window: &Window, input: Nhwc, filters: usize, x: &[f64], w: &[f64]) -> Vec<f64> {
    let c = input[3];
    let mut y = vec![0.0; output_rows(window, input) * filters];
    slide(window, input, |out, tap, row| {
        for channel in 0..c {
            for k in 0..filters {
                let weight = w[(tap * c.next_multiple_of(4) + channel) * filters + k];
                y[out * filters + k] += x[row * c + channel] * weight;
            }
        }
    });
    y
}

/// The largest value under each window, and the element where it first occurs.
pub(crate) fn max_pool(window: &Window, input: Nhwc, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let c = input[3];
    let mut best = vec![f64::NEG_INFINITY; output_rows(window, input) * c];
    let mut at = vec![usize::MAX; best.len()];
    slide(window, input, |out, _, row| {
        for channel in 0..c {
            let (from, to) = (row * c + channel, out * c + channel);
            if x[from] > best[to] {
                (best[to], at[to]) = (x[from], from);
            }
        }
    });
    (best, at)
}

/// The mean over each window; padding counts as zero.
pub(crate) fn avg_pool(window: &Window, input: Nhwc, x: &[f64]) -> Vec<f64> {
    let c = input[3];
    let mut y = vec![0.0; output_rows(window, input) * c];
    slide(window, input, |out, _, row| {
        (0..c).for_each(|channel| y[out * c + channel] += x[row * c + channel] / window.taps() as f64);
    });
    y
}

/// Batch-norm of rows of `c` channels; `affine` is γ and β.
pub(crate) fn batch_norm(c: usize, eps: f64, x: &[f64], affine: Option<[&[f64]; 2]>) -> Vec<f64> {
    let rows = (x.len() / c) as f64;
    let mut z = vec![0.0; x.len()];
    for channel in 0..c {
        let column = || x.iter().skip(channel).step_by(c);
        let mean = column().sum::<f64>() / rows;
        let variance = column().map(|v| (v - mean).powi(2)).sum::<f64>() / rows;
        let (gamma, beta) = affine.map_or((1.0, 0.0), |[gamma, beta]| (gamma[channel], beta[channel]));
        for (z, v) in z.iter_mut().skip(channel).step_by(c).zip(column()) {
            *z = gamma * (v - mean) / (variance + eps).sqrt() + beta;
        }
    }
    z
}

/// x plus a bias for each of its channels.
pub(crate) fn bias(x: &[f64], b: &[f64]) -> Vec<f64> {
    x.iter().enumerate().map(|(i, v)| v + b[i % b.len()]).collect()
}

/// The mean over images of `of(z, label)`, a function of an image's logits.
pub(crate) fn mean_loss(classes: usize, logits: &[f64], labels: &[u32], of: impl Fn(&[f64], usize) -> f64) -> f64 {
    let rows = logits.chunks_exact(classes).zip(labels);
    rows.map(|(z, &label)| of(z, label as usize)).sum::<f64>() / labels.len() as f64
}

/// −Σ y·ln softmax(z) with y = (1 − ε)·one-hot + ε/k.
pub(crate) fn softmax_cross_entropy(smoothing: f64, z: &[f64], label: usize) -> f64 {
    let sum: f64 = z.iter().map(|v| v.exp()).sum();
    let target = |c| if c == label { 1.0 - smoothing } else { 0.0 } + smoothing / z.len() as f64;
    z.iter().enumerate().map(|(c, v)| -target(c) * (v.exp() / sum).ln()).sum()
}

/// −Σ (y·ln σ(z) + (1 − y)·ln(1 − σ(z))).
pub(crate) fn sigmoid_cross_entropy(z: &[f64], label: usize) -> f64 {
    let p = |v: f64| 1.0 / (1.0 + (-v).exp());
    z.iter().enumerate().map(|(c, &v)| if c == label { -p(v).ln() } else { -(1.0 - p(v)).ln() }).sum()
}

/// ½·Σ (z − y)².
pub(crate) fn squared_error(z: &[f64], label: usize) -> f64 {
    z.iter().enumerate().map(|(c, v)| 0.5 * (v - f64::from(u8::from(c == label))).powi(2)).sum()
}

/// The mean over classes of max(0, 1 − t·z)².
pub(crate) fn squared_hinge(z: &[f64], label: usize) -> f64 {
    let terms = z.iter().enumerate().map(|(c, v)| (1.0 - if c == label { *v } else { -v }).max(0.0).powi(2));
    terms.sum::<f64>() / z.len() as f64
}

/// The surrogate, whose derivative replaces a quantiser's (Cai et al., 2017, section 3.3); q_m is
/// the highest level.
pub(crate) fn surrogate(kind: Surrogate, q_m: f64, x: f64) -> f64 {
    let tau = q_m - 1.0;
    match kind {
        Surrogate::Identity => x,
        Surrogate::HardTanh => x.clamp(-1.0, 1.0),
        // Bi-Real Net (Liu et al., 2018), equation 5.
        Surrogate::Polynomial if x < -1.0 => -1.0,
        Surrogate::Polynomial if x < 0.0 => 2.0 * x + x * x,
        Surrogate::Polynomial if x < 1.0 => 2.0 * x - x * x,
        Surrogate::Polynomial => 1.0,
        _ if x <= 0.0 => 0.0,
        Surrogate::Vanilla => x,
        _ if x <= q_m => x,
        Surrogate::Clipped => q_m,
        Surrogate::LogTailed => q_m + (x - tau).ln(),
    }
}

/// α·sign(W) of latent weights `[r, s, 4⌈c/4⌉, k]`: α the mean |W| of a filter, sign(0) = +1.
pub(crate) fn binary_weight(taps: usize, channels: usize, filters: usize, w: &[f64]) -> Vec<f64> {
    let mut alpha = vec![0.0; filters];
    w.iter().enumerate().for_each(|(i, v)| alpha[i % filters] += v.abs() / (taps * channels) as f64);
    w.iter().enumerate().map(|(i, v)| if *v >= 0.0 { alpha[i % filters] } else { -alpha[i % filters] }).collect()
}

/// Elements whose random number is at least `rate`, scaled by 1/(1 − rate); `random` is seed and
/// step.
pub(crate) fn dropout(rate: f64, stream: u32, random: [u32; 4], c: usize, x: &[f64]) -> Vec<f64> {
    let [seed_low, seed_high, step_low, step_high] = random;
    let number = |element: usize| {
        let (row, channel) = (element / c, element % c);
        let quad = (row * c.div_ceil(4) + channel / 4) as u32;
        let block = philox4x32([quad, stream, step_low, step_high], [seed_low, seed_high]);
        f64::from(block[channel % 4] >> 8) / f64::from(1 << 24)
    };
    x.iter().enumerate().map(|(i, x)| if number(i) < rate { 0.0 } else { x / (1.0 - rate) }).collect()
}

/// Channels `first..first + count` of rows of `c`.
pub(crate) fn slice(c: usize, first: usize, count: usize, x: &[f64]) -> Vec<f64> {
    x.iter().enumerate().filter(|(i, _)| (first..first + count).contains(&(i % c))).map(|(_, x)| *x).collect()
}

/// Rows of several inputs, with the given numbers of channels, concatenated row by row.
pub(crate) fn concat(inputs: &[(usize, &Vec<f64>)]) -> Vec<f64> {
    let (c, first) = inputs[0];
    (0..first.len() / c).flat_map(|row| inputs.iter().flat_map(move |(c, x)| x[row * c..][..*c].to_vec())).collect()
}

/// The elements of each image, channel by channel.
pub(crate) fn flatten([n, h, w, c]: Nhwc, x: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    for image in 0..n {
        for channel in 0..c {
            y.extend((0..h * w).map(|pixel| x[(image * h * w + pixel) * c + channel]));
        }
    }
    y
}
