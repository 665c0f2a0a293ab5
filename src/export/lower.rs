//! Each operation of an inference graph as an operation of `halfwave-infer`.

use crate::graph::Node;
use crate::ops::code::{Code, SignPlanes};
use crate::ops::{Op, window};
use crate::tensor::{Encoding, Tensor};
use halfwave_infer::{Coding, Curve, Op as Folded, Window};

impl From<window::Window> for Window {
    fn from(window: window::Window) -> Self {
        let window::Window { kernel, stride, padding, dilation } = window;
        Self { kernel, stride, padding, dilation }
    }
}

/// Converts a node. `constant(i)` is its input i if that is known, `input` the encoding of the value
/// that it reads. A convolution's weight keeps the padding of its channels ([`trim`]). Returns the
/// operation and which inputs it reads.
///
/// # Errors
///
/// Returns the name of an operation that folded networks do not have.
pub(super) fn lower<'a>(
    node: &Node<Op>,
    constant: impl Fn(usize) -> Option<&'a Tensor>,
    input: Encoding,
) -> Result<(Folded, Vec<usize>), String> {
    let floats = |at: usize| constant(at).map(Tensor::to_f32).unwrap_or_default();
    let affine = |gain: Vec<f32>, shift: Vec<f32>| {
        let (scaled, shifted) = (!gain.is_empty(), !shift.is_empty());
        Folded::Affine { scaled, shifted, gain, shift }
    };
    let bits = if let Encoding::Planes(bits) = input { bits } else { 0 };
    let first = |op| Ok((op, vec![0]));
    match &node.op {
        Op::Conv(op) => first(Folded::Conv {
            window: op.window.into(),
            filters: node.ty.channels(),
            weight: constant(1).ok_or("a convolution of two inputs")?.to_f32(),
        }),
        Op::Bconv(op) => {
            let signs = constant(1).ok_or("a packed convolution of two inputs")?;
            let scale = constant(3).map_or(1.0, |scale| scale.to_f32()[0]) * op.code.step();
            let steps = op.code.level_steps();
            let coding = match op.code {
                Code::Uniform(_) => Coding::Uniform,
                Code::Sign => Coding::Sign,
                Code::Levels(_) => Coding::Levels(steps.len()),
            };
            let (bases, planes) = (op.planes.bases(), op.planes.planes_of_base());
            let (alpha, filters) = (floats(2), node.ty.channels());
            let combines = bases > 1 || matches!(coding, Coding::Levels(_)) || node.ty.encoding == Encoding::F32;
            if combines && bases == 1 && steps.is_empty() {
                return Err("a packed convolution with one free base".into());
            }
            let terms = (0..steps.len().max(1) * bases).flat_map(|term| {
                let step = steps.get(term / bases).copied().unwrap_or(1.0);
                alpha[term % bases * filters..][..filters].iter().map(move |alpha| alpha * step)
            });
            first(Folded::PackedConv {
                window: op.window.into(),
                filters,
                coding,
                bases,
                planes,
                signs: by_filter(signs, op.planes, filters),
                coefficients: if combines { terms.collect() } else { Vec::new() },
                scale: if combines { vec![scale] } else { Vec::new() },
            })
        }
        Op::Bias(_) => first(affine(Vec::new(), floats(1))),
        Op::BatchNorm(_) => {
            let (coef, channels) = (floats(1), node.ty.channels());
            // Running statistics: the map is x·gain + shift.
            assert!(coef[..channels].iter().all(|&mean| mean == 0.0), "inference subtracts no mean");
            first(affine(coef[channels..2 * channels].to_vec(), coef[2 * channels..3 * channels].to_vec()))
        }
        Op::Quantise(op) => {
            let scale = op.scale.map_or(1.0, |_| floats(node.inputs.len() - 1)[0]);
            let thresholds: Vec<f32> = op.thresholds.iter().map(|t| t * scale).collect();
            first(Folded::Quantise { count: thresholds.len(), at_least: op.at_least, thresholds })
        }
        Op::Decode(op) if bits > 0 => {
            let scale = constant(1).map_or(op.code.step(), |scale| op.code.step() * scale.to_f32()[0]);
            first(Folded::Decode {
                bits,
                values: (0..1 << bits).map(|code| op.code.unit_value(code) * scale).collect(),
            })
        }
        Op::Decode(op) => {
            first(affine(floats(1).into_iter().map(|alpha| alpha * op.code.step()).collect(), Vec::new()))
        }
        Op::Relu(_) => first(Folded::Relu),
        Op::Prelu(_) => Ok((Folded::Prelu { slope: floats(0) }, vec![1])),
        Op::Activation(op) => {
            let name = op.curve.row().name;
            let curve = Curve::named(name).ok_or(name)?;
            first(Folded::Activation { curve, number: vec![op.curve.number] })
        }
        Op::Fixed(op) => {
            let format = op.value.format;
            let (integer, fraction) = (format.integer_bits, format.fraction_bits);
            first(Folded::Round { integer, fraction })
        }
        Op::MaxPool(op) => first(Folded::MaxPool { window: op.window.into() }),
        Op::AvgPool(op) => first(Folded::AvgPool { window: op.window.into() }),
        Op::Add(_) => Ok((Folded::Add, vec![0, 1])),
        Op::Concat(_) => Ok((Folded::Concat, (0..node.inputs.len()).collect())),
        Op::Slice(op) => first(Folded::Slice { first: op.first, count: op.count }),
        Op::Flatten(_) => first(Folded::Flatten),
        Op::Pad(op) => first(Folded::Pad { border: op.rim }),
        Op::InputScale(op) => first(Folded::InputScale { window: op.window.into() }),
        Op::ScaleRows(_) => Ok((Folded::ScalePixels, vec![0, 1])),
        other => Err(other.stem().to_string()),
    }
}

/// Removes the padding of a weight `[r, s, lanes, k]` beyond `channels`.
pub(super) fn trim(weight: &[f32], channels: usize, filters: usize) -> Vec<f32> {
    let lanes = channels.next_multiple_of(crate::tensor::LANES);
    weight.chunks_exact(lanes * filters).flat_map(|tap| tap[..channels * filters].iter().copied()).collect()
}

/// Signs `[r, s, ⌈c/32⌉·J, k]` as `[J, k, r, s, ⌈c/32⌉]`.
fn by_filter(signs: &Tensor, planes: SignPlanes, filters: usize) -> Vec<u32> {
    let (count, ints) = (planes.count(), signs.to_ints());
    let rows = ints.len() / filters / count;
    let word = |plane: usize, k: usize, row: usize| ints[(row * count + plane) * filters + k] as u32;
    let order = (0..count).flat_map(|j| (0..filters).flat_map(move |k| (0..rows).map(move |row| (j, k, row))));
    order.map(|(j, k, row)| word(j, k, row)).collect()
}
