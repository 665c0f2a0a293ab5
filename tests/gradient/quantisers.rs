//! Gradient cases of quantisers, of bit-packed weights, and of the packed convolution with all of
//! them.

use crate::{clear_of, doubled, products, reference, twice};
use halfwave::ops::bconv::Bconv;
use halfwave::ops::bias::Bias;
use halfwave::ops::code::{Code, SignPlanes};
use halfwave::ops::conv::Conv;
use halfwave::ops::decode::Decode;
use halfwave::ops::dorefa_weight::{DorefaThresholds, DorefaWeight};
use halfwave::ops::input_scale::{InputScale, ScaleRows};
use halfwave::ops::max_abs::MaxAbs;
use halfwave::ops::pad::Pad;
use halfwave::ops::quantise::{Quantise, Scale, Surrogate};
use halfwave::ops::sample::Noise;
use halfwave::ops::sign::{Alpha, Scope, Sign};
use halfwave::ops::unpack::Unpack;
use halfwave::ops::{scale, window::Window};
use halfwave::tensor::{Encoding, Tensor, WORD_BITS};
use halfwave::testing::{GradientCase as Case, Net};

const SHAPE: [usize; 4] = [2, 3, 5, 9];

fn reals(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f32().into_iter().map(f64::from).collect()
}

/// Signs with both surrogates, after a + a.
fn signs() -> impl Iterator<Item = Case> {
    [Surrogate::HardTanh, Surrogate::Polynomial].into_iter().map(|kind| {
        let mut net = Net::new();
        let (a, x) = doubled(&mut net, clear_of(&[-1.0, 0.0, 1.0], &SHAPE));
        let codes = net.add(Quantise::sign(kind), &[x]);
        let y = net.add(Decode { code: Code::Sign }, &[codes]);
        let b = net.trained("b", Noise::new(90).floats(&[9]));
        let root = net.add(Bias, &[y, b]);
        Case::new(format!("sign, {kind:?}"), net, root, &[a, b], move |v| {
            let smooth = v[0].iter().map(|a| reference::surrogate(kind, 1.0, 2.0 * a));
            reference::bias(&smooth.collect::<Vec<_>>(), &v[1])
        })
    })
}

/// PACT, where the gradient of the clip s is that of min(max(x, 0), s); LSQ and RCF, where the scale
/// has the gradient of s·(x/s + r) with constant rounding r. The top level is 1.5 in all cases.
fn learned_scales() -> impl Iterator<Item = Case> {
    [Scale::Pact, Scale::Lsq, Scale::Rcf].into_iter().map(|kind| {
        let (op, code) = match kind {
            Scale::Pact => (Quantise::nearest(2, 1.0, Some(kind)), Code::Uniform(1.0 / 3.0)),
            Scale::Lsq => (Quantise::nearest(2, 3.0, Some(kind)), Code::Uniform(1.0)),
            Scale::Rcf => {
                let levels = vec![0.125, 0.25, 0.375, 0.75, 1.0];
                (Quantise::nearest_level(&levels, Some(kind)), Code::Levels(levels))
            }
        };
        let top = f64::from(op.top);
        let s = 1.5 / op.top;
        let mut net = Net::new();
        let (a, x) = doubled(&mut net, clear_of(&[0.0, 1.5], &SHAPE));
        let scale = net.trained("scale", Tensor::from_f32(&[1], &[s]));
        let codes = net.add(op, &[x, scale]);
        let level = |level: i32| f64::from(code.unit_value(level as u32));
        let rounded: Vec<_> = net.values()[codes.0].to_ints().into_iter().map(level).collect();
        let at = twice(&reals(&net.leaves["a"]));
        let gain = if kind == Scale::Lsq { 1.0 / (at.len() as f64 * top).sqrt() } else { 1.0 };
        let y = net.add(Decode { code }, &[codes, scale]);
        let b = net.trained("b", Noise::new(91).floats(&[9]));
        let root = net.add(Bias, &[y, b]);
        Case::new(format!("{kind:?}"), net, root, &[a, scale, b], move |v| {
            let (s, start) = (v[1][0], f64::from(s));
            let residual = |i: usize, x: f64| {
                let s = start + (s - start) * gain;
                match at[i] {
                    here if here <= 0.0 => 0.0,
                    here if here >= top * start => top * s,
                    here => x + s * (rounded[i] - here / start),
                }
            };
            let smooth = v[0].iter().enumerate().map(|(i, a)| match kind {
                Scale::Pact => (2.0 * a).clamp(0.0, s),
                Scale::Lsq | Scale::Rcf => residual(i, 2.0 * a),
            });
            reference::bias(&smooth.collect::<Vec<_>>(), &v[2])
        })
    })
}

/// y = s·(a + a), with a constant s.
fn scaled() -> Case {
    let mut net = Net::new();
    let (a, x) = doubled(&mut net, Noise::new(92).floats(&SHAPE));
    let s = net.constant("s", Tensor::from_f32(&[1], &[0.7]));
    let root = net.add(scale::Scale, &[x, s]);
    Case::new("scale", net, root, &[a], |v| v[0].iter().map(|a| f64::from(0.7f32) * 2.0 * a).collect())
}

/// Signs padded with ones.
fn padded() -> Case {
    let (mut noise, mut net, rim) = (Noise::new(93), Net::new(), [1, 2]);
    let codes = net.trained("codes", noise.ints(&SHAPE, Encoding::Planes(1), 0));
    let wide = net.add(Pad { rim }, &[codes]);
    let y = net.add(Decode { code: Code::Sign }, &[wide]);
    let b = net.trained("b", noise.floats(&[9]));
    let root = net.add(Bias, &[y, b]);
    let real = net.leaves["codes"].to_ints().into_iter().map(|bit| f64::from(2 * bit - 1)).collect();
    let [n, h, w, c] = SHAPE;
    let case = Case::new("pad", net, root, &[codes, b], move |v| {
        let mut y = vec![1.0; n * (h + 2 * rim[0]) * (w + 2 * rim[1]) * c];
        for (i, value) in v[0].iter().enumerate() {
            let (image, row, column, channel) = (i / (h * w * c), i / (w * c) % h, i / c % w, i % c);
            let to = (image * (h + 2 * rim[0]) + row + rim[0]) * (w + 2 * rim[1]) + column + rim[1];
            y[to * c + channel] = *value;
        }
        reference::bias(&y, &v[1])
    });
    case.real(0, real)
}

/// A float convolution with binary weights, whose signs are unpacked; also with XNOR-Net's
/// gradient.
fn unpacked() -> impl Iterator<Item = Case> {
    let (window, input, filters) = (Window::square(3, 1, 1), [2, 5, 4, 6], 5);
    [false, true].into_iter().map(move |xnor| {
        let (mut noise, mut net) = (Noise::new(94), Net::new());
        let (a, x) = doubled(&mut net, noise.floats(&input));
        let w = net.trained("w", noise.weights(window.kernel, input[3], filters));
        let alpha = net.add(Alpha { channels: input[3], scope: Scope::Filter }, &[w]);
        let operands = if xnor { vec![w, alpha] } else { vec![w] };
        let scope = xnor.then_some(Scope::Filter);
        let signs = net.add(Sign { channels: input[3], scope }, &operands);
        let op = Unpack { channels: input[3], planes: SignPlanes::ONE };
        let weight = net.add(op, &[signs, alpha]);
        let root = net.add(Conv { window }, &[x, weight]);
        let latent = reals(&net.leaves["w"]);
        let binary = reference::binary_weight(window.taps(), input[3], filters, &latent);
        let lanes = input[3].next_multiple_of(4);
        let exists = move |i: usize| i / filters % lanes < input[3];
        let frozen = binary.clone();
        let name = if xnor { "unpack, XNOR-Net's gradient" } else { "unpack" };
        let case = Case::new(name, net, root, &[a, w], move |v| {
            let weight: Vec<f64> = if xnor {
                // α of the current weights times the original sign, plus the original α times the
                // change of the hard tanh.
                let now = reference::binary_weight(window.taps(), input[3], filters, &v[1]);
                let clip = |w: f64| w.clamp(-1.0, 1.0);
                let each = now.iter().enumerate();
                each.map(|(i, now)| {
                    if exists(i) {
                        now.abs() * frozen[i].signum() + frozen[i].abs() * (clip(v[1][i]) - clip(latent[i]))
                    } else {
                        0.0
                    }
                })
                .collect()
            } else {
                v[1].iter().enumerate().map(|(i, w)| if exists(i) { *w } else { 0.0 }).collect()
            };
            reference::conv(&window, input, filters, &twice(&v[0]), &weight)
        });
        if xnor { case } else { case.real(1, binary) }
    })
}

/// The packed convolution with every kind of codes and sign planes: the gradient reaches the
/// numbers that they represent.
fn family() -> impl Iterator<Item = Case> {
    let levels = |levels: &[f32]| Code::Levels(levels.to_vec());
    let codes = [
        (Code::Sign, 1),
        (Code::Uniform(0.25), 3),
        (levels(&[0.32, 1.0, 1.9]), 2),
        (levels(&[0.453, 1.51]), 2),
        (levels(&[0.1, 0.2, 0.4, 0.7, 1.1, 1.6, 2.2]), 3),
    ];
    let planes = [SignPlanes::ONE, SignPlanes::Binary(2), SignPlanes::Bases(3)];
    let pairs = codes.into_iter().flat_map(move |code| planes.map(|planes| (code.clone(), planes)));
    pairs.zip(products().into_iter().cycle()).map(|(((code, bits), planes), (window, input, filters))| {
        let (mut noise, mut net) = (Noise::new(95), Net::new());
        let tops = code.level_steps().len();
        let codes = noise.ints(&input, Encoding::Planes(bits), 0);
        let values: Vec<_> =
            codes.to_ints().into_iter().map(|code| if tops > 0 { code % (tops as i32 + 1) } else { code }).collect();
        let x = net.trained("x", Tensor::from_ints(codes.ty, &values));
        let words = input[3].div_ceil(WORD_BITS);
        let rows = window.taps() * words * planes.count();
        let mask =
            |row: usize| u32::MAX >> (WORD_BITS - (input[3] - row / planes.count() % words * WORD_BITS).min(WORD_BITS));
        let bits: Vec<_> = (0..rows).flat_map(|row| vec![mask(row); filters]).map(|mask| noise.bits() & mask).collect();
        let [r, s] = window.kernel;
        let shape = [r, s, words * planes.count(), filters];
        let signs = net.constant("signs", Tensor::from_u32(&shape, &bits));
        let alpha = match planes {
            SignPlanes::Binary(_) => noise.positive(&[filters]),
            SignPlanes::Bases(count) => noise.positive(&[count, filters]),
        };
        let coefficients = reals(&alpha);
        let alpha = net.constant("alpha", alpha);
        let y = net.add(Bconv { window, code: code.clone(), planes }, &[x, signs, alpha]);
        let y = match net.graph.ty(y).encoding {
            Encoding::F32 => y,
            _ => net.add(Decode::uniform(code.step()), &[y, alpha]),
        };
        let b = net.trained("b", noise.floats(&[filters]));
        let root = net.add(Bias, &[y, b]);
        let real = values.iter().map(|&v| f64::from(code.unit_value(v as u32)) * f64::from(code.step())).collect();
        // The weight that the planes represent, in rows of padded channels.
        let lanes = input[3].next_multiple_of(4);
        let mut weight = vec![0.0; window.taps() * lanes * filters];
        for tap in 0..window.taps() {
            for c in 0..input[3] {
                for k in 0..filters {
                    let sign = |j: usize| {
                        let word = bits[((tap * words + c / WORD_BITS) * planes.count() + j) * filters + k];
                        if word >> (c % WORD_BITS) & 1 == 1 { 1.0 } else { -1.0 }
                    };
                    weight[(tap * lanes + c) * filters + k] = match planes {
                        SignPlanes::Binary(n) => {
                            (0..n).map(|j| sign(j) * f64::from(1 << j)).sum::<f64>() * coefficients[k]
                        }
                        SignPlanes::Bases(n) => (0..n).map(|j| sign(j) * coefficients[j * filters + k]).sum(),
                    };
                }
            }
        }
        let name = format!("bconv of {code:?}, {planes:?}, {window:?}");
        Case::new(name, net, root, &[x, b], move |v| {
            reference::bias(&reference::conv(&window, input, filters, &v[0], &weight), &v[1])
        })
        .real(0, real)
    })
}

/// The weights' gradient with every kind of codes: signs as a trained leaf.
fn family_weights() -> impl Iterator<Item = Case> {
    let codes = [(Code::Sign, 1), (Code::Levels(vec![0.32, 1.0, 1.9]), 2), (Code::Uniform(0.5), 2)];
    codes.into_iter().zip(products()).map(|((code, bits), (window, input, filters))| {
        let (mut noise, mut net) = (Noise::new(96), Net::new());
        let x = net.constant("x", noise.ints(&input, Encoding::Planes(bits), 0));
        let w = net.trained("w", noise.weights(window.kernel, input[3], filters));
        let signs = net.add(Sign::identity(input[3]), &[w]);
        let alpha = net.add(Alpha { channels: input[3], scope: Scope::Filter }, &[w]);
        let mut inputs = vec![x, signs, alpha];
        let mut factor = 1.0;
        if matches!(code, Code::Uniform(_)) {
            factor = 0.75;
            inputs.push(net.constant("scale", Tensor::from_f32(&[1], &[0.75])));
        }
        let y = net.add(Bconv { window, code: code.clone(), planes: SignPlanes::ONE }, &inputs);
        let y = match net.graph.ty(y).encoding {
            Encoding::F32 => y,
            _ => {
                let alpha = if inputs.len() == 4 { net.add(scale::Scale, &[alpha, inputs[3]]) } else { alpha };
                net.add(Decode::uniform(code.step()), &[y, alpha])
            }
        };
        let values: Vec<_> = net.leaves["x"].to_ints();
        let real: Vec<_> =
            values.iter().map(|&v| f64::from(code.unit_value(v as u32)) * f64::from(code.step()) * factor).collect();
        let binary = reference::binary_weight(window.taps(), input[3], filters, &reals(&net.leaves["w"]));
        Case::new(format!("weights of bconv over {code:?}"), net, y, &[w], move |v| {
            reference::conv(&window, input, filters, &real, &v[0])
        })
        .real(0, binary)
    })
}

/// DoReFa-Net's 2-bit weights with float activations: constant rounding, derivatives elsewhere,
/// including the contribution of the largest weight.
fn dorefa_weight() -> Case {
    let (window, input, filters) = (Window::square(3, 1, 1), [2, 5, 4, 6], 5);
    let (mut noise, mut net, bits) = (Noise::new(97), Net::new(), 2);
    let (a, x) = doubled(&mut net, noise.floats(&input));
    let w = net.trained("w", noise.weights(window.kernel, input[3], filters));
    let largest = net.add(MaxAbs, &[w]);
    let thresholds = net.add(DorefaThresholds { bits }, &[largest]);
    let signs = net.add(DorefaWeight { bits, channels: input[3] }, &[w, thresholds, largest]);
    let alpha = net.add(Alpha { channels: input[3], scope: Scope::Constant(1.0 / 3.0) }, &[w]);
    let weight = net.add(Unpack { channels: input[3], planes: SignPlanes::Binary(bits) }, &[signs, alpha]);
    let values = net.values();
    let root = net.add(Conv { window }, &[x, weight]);
    let unit = |w: &[f64]| -> Vec<f64> {
        let top = w.iter().fold(0.0f64, |top, w| top.max(w.tanh().abs()));
        w.iter().map(|w| w.tanh() / top).collect()
    };
    let (quantised, before) = (reals(&values[weight.0]), unit(&reals(&net.leaves["w"])));
    // Padding rows are zero before and after rounding.
    let lanes = input[3].next_multiple_of(4);
    let exists = move |i: usize| i / filters % lanes < input[3];
    for (i, (quantised, before)) in quantised.iter().zip(&before).enumerate().filter(|(i, _)| exists(*i)) {
        assert!((quantised - before).abs() <= 1.0 / 3.0 + 1e-6, "weight {i}: {before} became {quantised}");
    }
    Case::new("dorefa_weight", net, root, &[a, w], move |v| {
        let now = unit(&v[1]);
        let weight: Vec<_> =
            (0..now.len()).map(|i| if exists(i) { quantised[i] + now[i] - before[i] } else { 0.0 }).collect();
        reference::conv(&window, input, filters, &twice(&v[0]), &weight)
    })
}

/// Rows times K, which is constant.
fn input_scale() -> Case {
    let (window, input) = (Window::new([3, 2], [2, 1], [1, 0]), [2, 5, 4, 6]);
    let (mut noise, mut net) = (Noise::new(98), Net::new());
    let x = net.constant("x", noise.floats(&input));
    let k = net.add(InputScale { window }, &[x]);
    let scales = reals(&net.values()[k.0]);
    let [n, h, w, _] = net.graph.ty(k).nhwc();
    let (a, y) = doubled(&mut net, noise.floats(&[n, h, w, 9]));
    let root = net.add(ScaleRows, &[y, k]);
    // K by its definition.
    let x = reals(&net.leaves["x"]);
    let mut expected = vec![0.0; scales.len()];
    reference::slide(&window, input, |row, _, from| {
        expected[row] += x[from * input[3]..][..input[3]].iter().map(|v| v.abs()).sum::<f64>() / (6.0 * 6.0);
    });
    scales
        .iter()
        .zip(&expected)
        .for_each(|(got, expected)| assert!((got - expected).abs() < 1e-6, "{got}, {expected}"));
    Case::new("input_scale, scale_rows", net, root, &[a], move |v| {
        v[0].iter().enumerate().map(|(i, a)| 2.0 * a * scales[i / 9]).collect()
    })
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> =
        signs().chain(learned_scales()).chain(unpacked()).chain(family()).chain(family_weights()).collect();
    cases.extend([scaled(), padded(), dorefa_weight(), input_scale()]);
    cases
}
