//! The operations of folded networks: their types, their arrays, and how they are computed.

mod conv;
mod curve;
mod fields;
#[cfg_attr(not(all(feature = "std", target_arch = "x86_64")), allow(dead_code))] // only with tables
mod lookup;
mod packed;
mod pixels;
mod pointwise;
mod rules;

pub use curve::Curve;
pub(crate) use fields::Fields;

use crate::network::Type;
use crate::runner::Data;
use crate::window::Window;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// What the codes read by a packed convolution represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// The code itself.
    Uniform,
    /// +1 for code 1, −1 for code 0, in one bit.
    Sign,
    /// This many positive levels; the plane of level i is [code ≥ i].
    Levels(usize),
}

/// An operation; [h, w, c] are height, width, channels. `fields.rs` reads its form in files. Arrays
/// are not part of that; they are tensors of the file, named `<layer>.<array>`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Convolution of floats; a linear layer's window is its whole input.
    Conv {
        /// The window.
        window: Window,
        /// Number of filters k.
        filters: usize,
        /// `[r, s, c, k]`.
        #[serde(skip)]
        weight: Vec<f32>,
    },
    /// Packed convolution of codes with sign planes. Σ over planes p of the input and j of the
    /// weight of `2^(p + j)·(2·popcount(w_j & a_p) − popcount(a_p))`.
    ///
    /// With one base and codes that are not [`Coding::Levels`] the output is these integers.
    /// Otherwise it is floats: for every pair of a level and a base in that order, its integer times
    /// its coefficient, added up; then times `scale`.
    PackedConv {
        /// The window. Positions outside the image do not contribute.
        window: Window,
        /// Number of filters k.
        filters: usize,
        /// What the codes represent.
        coding: Coding,
        /// Number of bases, each with coefficients of its own: 1 to 5.
        bases: usize,
        /// Number of sign planes of a base, weighted by powers of two: 1 to 4.
        planes: usize,
        /// `[bases·planes, k, r, s, ⌈c/32⌉]`: bit c of a filter's tap is 1 for a positive weight;
        /// bits beyond the last channel are 0.
        #[serde(skip)]
        signs: Vec<u32>,
        /// `[levels·bases, k]`: coefficients; empty if the output is integers.
        #[serde(skip)]
        coefficients: Vec<f32>,
        /// `[1]`: factor of the sum; empty if the output is integers.
        #[serde(skip)]
        scale: Vec<f32>,
    },
    /// x·gain + shift, each `[c]`, rounded after each step; sums become floats.
    Affine {
        /// Whether there is a gain.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        scaled: bool,
        /// Whether there is a shift.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        shifted: bool,
        /// The gain.
        #[serde(skip)]
        gain: Vec<f32>,
        /// The shift.
        #[serde(skip)]
        shift: Vec<f32>,
    },
    /// Sums to codes: the number of thresholds t_i with x ≥ t_i, or with −x ≥ t_i in falling
    /// channels.
    Threshold {
        /// Number of thresholds, 1 to 15.
        count: usize,
        /// Whether some channels are falling.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        mixed: bool,
        /// `[count, c]`, ascending in each channel.
        #[serde(skip)]
        thresholds: Vec<i32>,
        /// `[c]`: 1 for falling channels, else 0.
        #[serde(skip)]
        falling: Vec<i32>,
    },
    /// Floats to codes: the number of thresholds t_i with x > t_i, or x ≥ t_i.
    Quantise {
        /// Number of thresholds, 1 to 15.
        count: usize,
        /// Whether a value equal to a threshold counts as above it.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        at_least: bool,
        /// `[count]`, ascending.
        #[serde(skip)]
        thresholds: Vec<f32>,
    },
    /// Codes to the floats that they represent.
    Decode {
        /// Bits of the codes.
        bits: u8,
        /// `[2^bits]`.
        #[serde(skip)]
        values: Vec<f32>,
    },
    /// The nearest multiple of 2^−fraction in [−2^(integer − 1), 2^(integer − 1) − 2^−fraction];
    /// ties to even.
    Round {
        /// Bits before the point, with sign.
        integer: u8,
        /// Bits after the point.
        fraction: u8,
    },
    /// max(x, 0).
    Relu,
    /// x for x > 0, else slope·x.
    Prelu {
        /// `[c]`.
        #[serde(skip)]
        slope: Vec<f32>,
    },
    /// An element-wise function.
    Activation {
        /// The function.
        curve: Curve,
        /// `[1]`: its number; 0 where it has none.
        #[serde(skip)]
        number: Vec<f32>,
    },
    /// The largest value of each window, of any kind.
    MaxPool {
        /// The window.
        window: Window,
    },
    /// The mean of each window of floats; padding counts as zeros.
    AvgPool {
        /// The window.
        window: Window,
    },
    /// The sum of two tensors of floats.
    Add,
    /// The channels of all inputs, concatenated.
    Concat,
    /// The channels from `first` on.
    Slice {
        /// The first channel.
        first: usize,
        /// Number of channels.
        count: usize,
    },
    /// Floats as channels of one pixel, in the order C, H, W.
    Flatten,
    /// A border of 1 bits around 1-bit codes.
    Pad {
        /// Rows above and below, columns left and right.
        border: [usize; 2],
    },
    /// Mean magnitude of the floats under a window: `[h, w, 1]`.
    InputScale {
        /// The window.
        window: Window,
    },
    /// Floats times a number per pixel, the second input `[h, w, 1]`.
    ScalePixels,
}

/// An array of an operation.
#[derive(Debug)]
pub enum Array<'a> {
    /// 32-bit floats.
    Float(&'a mut Vec<f32>),
    /// Integers.
    Int(&'a mut Vec<i32>),
    /// Words of bits.
    Word(&'a mut Vec<u32>),
}

impl Array<'_> {
    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Word(values) => values.len(),
        }
    }

    pub(crate) fn check_finite(&self, name: &str) -> Result<(), String> {
        match self {
            Self::Float(values) if values.iter().any(|value| !value.is_finite()) => {
                Err(format!("the array {name} has a value that is not finite"))
            }
            _ => Ok(()),
        }
    }
}

/// An array with its name and its shape.
pub(crate) type Named<'a> = (&'static str, Vec<usize>, Array<'a>);

impl Op {
    /// Number of inputs; `None` for any number above 0.
    pub(crate) fn inputs(&self) -> Option<usize> {
        match self {
            Self::Add | Self::ScalePixels => Some(2),
            Self::Concat => None,
            _ => Some(1),
        }
    }

    /// Whether a packed convolution combines integers in floats.
    pub fn combines(&self) -> bool {
        match self {
            Self::PackedConv { coding, bases, .. } => *bases > 1 || matches!(coding, Coding::Levels(_)),
            _ => false,
        }
    }

    /// Returns f(x) of an operation that applies one function to all elements: [`Relu`](Self::Relu),
    /// [`Round`](Self::Round) and [`Activation`](Self::Activation); x of the others.
    pub fn pointwise(&self, x: f32) -> f32 {
        pointwise::one(self, x)
    }

    /// Lists the arrays for inputs of these types, with names and shapes.
    pub(crate) fn arrays(&mut self, inputs: &[Type]) -> Vec<Named<'_>> {
        let (c, words) = (inputs[0].channels(), inputs[0].words());
        let combines = self.combines();
        let mut arrays: Vec<Named<'_>> = Vec::new();
        match self {
            Self::Conv { window: Window { kernel: [r, s], .. }, filters, weight } => {
                arrays.push(("weight", [*r, *s, c, *filters].into(), Array::Float(weight)));
            }
            Self::PackedConv { window, filters, coding, bases, planes, signs, coefficients, scale } => {
                let [r, s] = window.kernel;
                arrays.push(("signs", [*bases * *planes, *filters, r, s, words].into(), Array::Word(signs)));
                if combines {
                    let levels = if let Coding::Levels(levels) = *coding { levels } else { 1 };
                    arrays.push(("coefficients", [levels * *bases, *filters].into(), Array::Float(coefficients)));
                    arrays.push(("scale", [1].into(), Array::Float(scale)));
                }
            }
            Self::Affine { scaled, shifted, gain, shift } => {
                if *scaled {
                    arrays.push(("gain", [c].into(), Array::Float(gain)));
                }
                if *shifted {
                    arrays.push(("shift", [c].into(), Array::Float(shift)));
                }
            }
            Self::Threshold { count, mixed, thresholds, falling } => {
                arrays.push(("thresholds", [*count, c].into(), Array::Int(thresholds)));
                if *mixed {
                    arrays.push(("falling", [c].into(), Array::Int(falling)));
                }
            }
            Self::Quantise { count, thresholds, .. } => {
                arrays.push(("thresholds", [*count].into(), Array::Float(thresholds)));
            }
            Self::Decode { bits, values } => arrays.push(("values", [1 << *bits].into(), Array::Float(values))),
            Self::Prelu { slope } => arrays.push(("slope", [c].into(), Array::Float(slope))),
            Self::Activation { number, .. } => arrays.push(("number", [1].into(), Array::Float(number))),
            _ => {}
        }
        arrays
    }

    /// Checks the values of arrays beyond being finite.
    pub(crate) fn check_values(&self) -> Result<(), String> {
        match self {
            Self::Quantise { thresholds, .. } if !thresholds.is_sorted() => Err("thresholds must be ascending".into()),
            _ => Ok(()),
        }
    }

    /// Computes an operation in the memory of its only input; returns the input if it has to be
    /// copied.
    pub(crate) fn run_in_place(&self, ty: &Type, x: Data) -> Result<Data, Data> {
        match (self, x) {
            (Self::Affine { gain, shift, .. }, Data::Float(x)) => {
                Ok(Data::Float(pointwise::affine(gain, shift, x, ty.channels())))
            }
            (Self::Relu, Data::Float(mut x)) => {
                x.iter_mut().for_each(|x| *x = x.max(0.0));
                Ok(Data::Float(x))
            }
            (Self::Round { .. } | Self::Activation { .. }, Data::Float(mut x)) => {
                x.iter_mut().for_each(|x| *x = self.pointwise(*x));
                Ok(Data::Float(x))
            }
            (_, x) => Err(x),
        }
    }

    /// Computes the output of this type. Convolutions are computed by [`Prepared`].
    pub(crate) fn run(&self, inputs: &[(&Type, &Data)], output: &Type) -> Data {
        let (ty, x) = inputs[0];
        match (self, x) {
            (Self::MaxPool { window }, _) => pixels::max_pool(window, ty, x, output),
            (Self::Pad { border }, Data::Codes(x)) => Data::Codes(pixels::pad(*border, ty, x, output)),
            (Self::Slice { first, .. }, _) => pixels::channels(&[(ty, x, *first)], output),
            (Self::Concat, _) => {
                let parts: Vec<_> = inputs.iter().map(|&(ty, x)| (ty, x, 0)).collect();
                pixels::channels(&parts, output)
            }
            (Self::Decode { bits, values }, Data::Codes(x)) => Data::Float(pixels::decode(*bits, values, ty, x)),
            (Self::Threshold { thresholds, falling, .. }, Data::Sums(x)) => {
                Data::Codes(pixels::threshold(thresholds, falling, x, output))
            }
            (Self::Quantise { thresholds, at_least, .. }, Data::Float(x)) => {
                Data::Codes(pixels::quantise(thresholds, *at_least, x, output))
            }
            (Self::Affine { gain, shift, .. }, Data::Sums(x)) => {
                let x: Vec<_> = x.iter().map(|&sum| sum as f32).collect();
                Data::Float(pointwise::affine(gain, shift, x, ty.channels()))
            }
            (Self::Affine { gain, shift, .. }, Data::Float(x)) => {
                Data::Float(pointwise::affine(gain, shift, x.clone(), ty.channels()))
            }
            (_, Data::Float(x)) => {
                let other = if let Some((_, Data::Float(other))) = inputs.get(1) { other } else { &[][..] };
                Data::Float(pointwise::run(self, (ty, x), other, output))
            }
            _ => unreachable!("checked networks have inputs of the right kinds"),
        }
    }
}

/// A convolution's weights in the order in which its kernel reads them.
#[derive(Clone, Debug)]
pub(crate) enum Prepared {
    Conv(conv::Conv),
    Packed(packed::Packed),
}

impl Prepared {
    /// Prepares the weights of an operation; `None` if it has none.
    pub(crate) fn new(op: &Op, input: &Type, output: &Type) -> Option<Self> {
        match op {
            Op::Conv { window, weight, .. } => Some(Self::Conv(conv::Conv::new(window, weight, input, output))),
            Op::PackedConv { .. } => Some(Self::Packed(packed::Packed::new(op, input, output))),
            _ => None,
        }
    }

    /// Bytes of the prepared weights of an operation with this input and output.
    pub(crate) fn bytes(op: &Op, input: &Type, output: &Type) -> u64 {
        match op {
            Op::Conv { window, .. } => conv::bytes(window, input, output),
            Op::PackedConv { window, bases, planes, .. } => packed::bytes(window, bases * planes, input, output),
            _ => 0,
        }
    }

    pub(crate) fn run(&self, x: &Data) -> Data {
        match (self, x) {
            (Self::Conv(conv), Data::Float(x)) => Data::Float(conv.run(x)),
            (Self::Packed(packed), Data::Codes(x)) => packed.run(x),
            _ => unreachable!("checked networks have inputs of the right kinds"),
        }
    }
}
