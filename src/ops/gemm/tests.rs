//! Blocked products compared bit for bit with plain loops.

use super::*;
use crate::ops::bconv::{self, Bconv};
use crate::ops::code::{Code, SignPlanes};
use crate::ops::window::Window;
use crate::ops::{Op, conv, sample::Noise};
use crate::simd::limit;
use crate::tensor::{Encoding, WORD_BITS};

fn values(noise: &mut Noise, len: usize) -> Vec<f32> {
    // Signed zeros and values of very different magnitude, so that another order or a fused
    // multiply-add would show.
    let value = |(i, v): (usize, f32)| match i % 7 {
        0 => 0.0,
        1 => -0.0,
        2 => v * 1e6,
        _ => v,
    };
    noise.floats(&[len]).to_f32().into_iter().enumerate().map(value).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All cases of a convolution, with lanes on both sides, rows that do not fill a block, and sums of
/// several parts.
fn cases() -> impl Iterator<Item = (Window, [usize; 4], [usize; 2], usize)> {
    let long = [
        (Window::square(2, 1, 1), [1, 3, 2, 300], 20),
        (Window::square(1, 1, 0), [1, 1, 2, CHUNK * CHUNK + 200], 4),
        (Window::square(12, 1, 6), [1, 6, 6, 4], 4),
        (Window::new([1, 2], [1, 1], [0, 1]), [2, 130, 77, 4], 4),
    ];
    conv::cases().into_iter().chain(long).map(|(window, [n, h, w, c], filters)| {
        let output = window.output([h, w]).unwrap();
        (window, [n, h, w, c.next_multiple_of(4)], output, filters.next_multiple_of(4))
    })
}

/// Sum of all chunks: sequentially within a part, then neighbouring parts in pairs.
fn of_chunks(chunks: Vec<Vec<f32>>) -> Vec<f32> {
    let (_, of_part) = sum::parts(chunks.len());
    let plain = |chunks: &[Vec<f32>]| chunks.iter().cloned().fold(vec![0.0; chunks[0].len()], sum::add_all);
    let mut parts: Vec<_> = chunks.chunks(of_part).map(plain).collect();
    while parts.len() > 1 {
        parts = parts.chunks(2).map(plain_pair).collect();
    }
    parts.remove(0)
}

fn plain_pair(pair: &[Vec<f32>]) -> Vec<f32> {
    pair.iter().cloned().reduce(sum::add_all).unwrap()
}

#[test]
fn a_product_is_the_plain_loop_to_the_bit() {
    let mut noise = Noise::new(90);
    for (window, [n, h, w, c], [oh, ow], k) in cases() {
        let (x, weights) = (values(&mut noise, n * h * w * c), values(&mut noise, window.taps() * c * k));
        let panels = Panels::new(window.taps(), c, k, |tap, block| {
            block.copy_from_slice(&weights[tap * c * k..][..c * k]);
        });
        let mut plain = vec![0.0; n * oh * ow * k];
        for (row, sums) in plain.chunks_exact_mut(k).enumerate() {
            let mut chunks = Vec::new();
            for tap in 0..window.taps() {
                let (at, rs) = ([row / ow % oh, row % ow], [tap / window.kernel[1], tap % window.kernel[1]]);
                let source = window.source([h, w], at, rs);
                for first in (0..c).step_by(CHUNK) {
                    let mut chunk = vec![0.0; k];
                    let Some([y, x_at]) = source else {
                        chunks.push(chunk);
                        continue;
                    };
                    for i in first..(first + CHUNK).min(c) {
                        for (lane, sum) in chunk.iter_mut().enumerate() {
                            *sum +=
                                x[((row / (oh * ow) * h + y) * w + x_at) * c + i] * weights[(tap * c + i) * k + lane];
                        }
                    }
                    chunks.push(chunk);
                }
            }
            sums.copy_from_slice(&of_chunks(chunks));
        }
        limit::each(|| {
            let mut out = vec![f32::NAN; plain.len()];
            product(&Taps::inputs(&window, [h, w], [oh, ow]), &x, &panels, &mut out);
            assert_eq!(bits(&out), bits(&plain), "{window}, {n}×{h}×{w}×{c} to {k}");
        });
    }
}

#[test]
fn an_outer_product_is_the_plain_loop_to_the_bit() {
    let mut noise = Noise::new(91);
    for (window, [n, h, w, c], [oh, ow], k) in cases() {
        let (x, dy) = (values(&mut noise, n * h * w * c), values(&mut noise, n * oh * ow * k));
        let mut plain = vec![0.0; window.taps() * c * k];
        for (row, sums) in plain.chunks_exact_mut(k).enumerate() {
            let (tap, i) = (row / c, row % c);
            let rows: Vec<_> = (0..n * oh * ow).collect();
            let chunks = rows.chunks(CHUNK).map(|rows| {
                let mut chunk = vec![0.0; k];
                for &at in rows {
                    let (place, rs) = ([at / ow % oh, at % ow], [tap / window.kernel[1], tap % window.kernel[1]]);
                    let Some([y, x_at]) = window.source([h, w], place, rs) else { continue };
                    for (lane, sum) in chunk.iter_mut().enumerate() {
                        *sum += x[((at / (oh * ow) * h + y) * w + x_at) * c + i] * dy[at * k + lane];
                    }
                }
                chunk
            });
            sums.copy_from_slice(&of_chunks(chunks.collect()));
            sums.iter_mut().for_each(|sum| *sum *= 0.25);
        }
        limit::each(|| {
            let mut out = vec![f32::NAN; plain.len()];
            let quads = Quads::of_floats((&x[..]).into(), c);
            outer_product(&Taps::inputs(&window, [h, w], [oh, ow]), (&quads, c), (&dy, k), 0.25, &mut out);
            assert_eq!(bits(&out), bits(&plain), "{window}, {n}×{h}×{w}×{c} to {k}");
        });
    }
}

#[test]
fn outputs_are_seen_from_inputs() {
    for (window, [_, h, w, _], [oh, ow], _) in cases() {
        let (inputs, outputs) = (Taps::inputs(&window, [h, w], [oh, ow]), Taps::outputs(&window, [h, w], [oh, ow]));
        // Rows of the third image.
        for y in 2 * oh * ow..3 * oh * ow {
            for tap in 0..window.taps() {
                let Some(x) = inputs.source(inputs.place(y), tap) else { continue };
                assert!((2 * h * w..3 * h * w).contains(&x), "{window}");
                assert_eq!(outputs.source(outputs.place(x), tap), Some(y), "{window}");
            }
        }
    }
}

#[test]
fn quads_hold_what_codes_stand_for() {
    for (Bconv { code, .. }, inputs) in bconv::family(&mut Noise::new(92)) {
        let (x, lanes) = (inputs[0].view(), inputs[0].ty.lanes());
        let mut rows = vec![0.0; x.ty.rows() * lanes];
        code.put_values(x, 1.0, &mut rows);
        let quads = match code.quads(x) {
            Quads::Floats(quads) => quads,
            Quads::Rows(_) => unreachable!("decoded codes are owned"),
            Quads::Codes(codes, table) => codes.into_iter().map(|code| table[usize::from(code)]).collect(),
        };
        for (at, quad) in quads.iter().enumerate() {
            let (quad_at, row) = (at / x.ty.rows(), at % x.ty.rows());
            assert_eq!(quad[..], rows[row * lanes + quad_at * TALL..][..TALL], "{code:?}, row {row}");
        }
    }
}

#[test]
fn counts_are_the_plain_loop() {
    let mut noise = Noise::new(93);
    let uniform = bconv::operands(&mut noise).into_iter();
    let uniform = uniform.map(|(window, inputs)| (Bconv::uniform(window, 0.5), inputs.to_vec()));
    let family = bconv::family(&mut noise).into_iter();
    let exact = |(op, _): &(Bconv, Vec<_>)| !matches!(op.code, Code::Levels(_));
    for (op, inputs) in uniform.chain(family).filter(exact) {
        let SignPlanes::Binary(planes) = op.planes else { continue };
        let ([n, h, w, c], [_, _, _, k]) = (inputs[0].ty.nhwc(), inputs[1].ty.nhwc());
        let [oh, ow] = op.window.output([h, w]).unwrap();
        let (codes, lanes, words) = (inputs[0].to_ints(), inputs[0].ty.channels(), c.div_ceil(WORD_BITS));
        let value = |at: usize| op.code.unit_value(codes[at] as u32) as i32;
        let signs = inputs[1].view().words;
        let mut plain = Vec::new();
        for row in 0..n * oh * ow {
            for filter in 0..k {
                let mut sum = 0;
                for tap in 0..op.window.taps() {
                    let (at, rs) = ([row / ow % oh, row % ow], [tap / op.window.kernel[1], tap % op.window.kernel[1]]);
                    let Some([y, x]) = op.window.source([h, w], at, rs) else { continue };
                    for channel in 0..c {
                        let word = |j| {
                            signs[((tap * words + channel / WORD_BITS) * planes + j) * inputs[1].ty.lanes() + filter]
                        };
                        let sign =
                            |j: usize| if word(j) >> (channel % WORD_BITS) & 1 == 1 { 1 << j } else { -(1 << j) };
                        let weight: i32 = (0..planes).map(sign).sum();
                        sum += weight * value(((row / (oh * ow) * h + y) * w + x) * lanes + channel);
                    }
                }
                plain.push(sum);
            }
        }
        let op = Op::from(op);
        limit::each(|| {
            let sums = op.evaluate(&inputs.iter().collect::<Vec<_>>());
            assert!(matches!(sums.ty.encoding, Encoding::I16 | Encoding::I32));
            assert_eq!(sums.to_ints(), plain, "{op:?}");
        });
    }
}
