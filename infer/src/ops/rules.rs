//! Type rules: what an operation's output is for inputs of given types, and whether it has one.

use super::{Coding, Op};
use crate::network::{Kind, Type};
use crate::window::Window;
use alloc::format;
use alloc::string::String;

/// Most bits of codes, and sign planes of a base.
const MOST_BITS: usize = 4;
/// Most thresholds of a quantiser.
const MOST_THRESHOLDS: usize = (1 << MOST_BITS) - 1;
/// Most bases of a weight.
const MOST_BASES: usize = 8;
/// Most filters and channels.
const MOST_CHANNELS: usize = 1 << 20;
/// f32 is exact for integers below this.
const EXACT: u64 = 1 << 24;

fn expect(ty: &Type, kind: &str, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(format!("it reads {kind}, not {ty}")) }
}

fn floats(ty: &Type) -> Result<(), String> {
    expect(ty, "floats", ty.kind == Kind::Float)
}

/// Bits of a code that counts this many thresholds.
fn bits_of(count: usize) -> Result<u8, String> {
    match count {
        1..=MOST_THRESHOLDS => Ok((count + 1).next_power_of_two().trailing_zeros() as u8),
        _ => Err(format!("{count} thresholds; a quantiser has 1 to {MOST_THRESHOLDS}")),
    }
}

impl Op {
    /// Infers the output's type. Does not read arrays.
    pub(crate) fn infer(&self, inputs: &[Type]) -> Result<Type, String> {
        let x = inputs[0];
        let [h, w, c] = x.shape;
        let under = |window: &Window, channels| -> Result<[usize; 3], String> {
            let [h, w] = window.output([h, w])?;
            Ok([h, w, channels])
        };
        let few = |filters: usize| match filters {
            1..=MOST_CHANNELS => Ok(filters),
            _ => Err(format!("{filters} channels; expected 1 to {MOST_CHANNELS}")),
        };
        let (shape, kind) = match self {
            Self::Conv { window, filters, .. } => {
                floats(&x)?;
                (under(window, few(*filters)?)?, Kind::Float)
            }
            Self::PackedConv { window, filters, coding, bases, planes, .. } => {
                let Kind::Codes(bits) = x.kind else { return Err(format!("it reads codes, not {x}")) };
                let top = match coding {
                    Coding::Uniform => (1 << bits) - 1,
                    Coding::Sign if bits == 1 => 1,
                    Coding::Levels(levels) if (1..1 << bits).contains(levels) => 1,
                    _ => return Err(format!("{coding:?} does not fit codes of {bits} bits")),
                };
                if !(1..=MOST_BASES).contains(bases) || !(1..=MOST_BITS).contains(planes) {
                    return Err(format!("{bases} bases of {planes} planes; at most {MOST_BASES} of {MOST_BITS}"));
                }
                let shape = under(window, few(*filters)?)?;
                let terms = (window.taps() as u64).checked_mul(c as u64).filter(|&terms| terms < EXACT);
                let largest = terms.map_or(EXACT, |terms| terms * top * ((1 << planes) - 1));
                if largest >= EXACT {
                    return Err("sums reach 2^24".into());
                }
                (shape, if self.combines() { Kind::Float } else { Kind::Sums(largest as u32) })
            }
            Self::Affine { .. } => {
                expect(&x, "floats or sums", !matches!(x.kind, Kind::Codes(_)))?;
                (x.shape, Kind::Float)
            }
            Self::Threshold { count, .. } => {
                expect(&x, "sums", matches!(x.kind, Kind::Sums(_)))?;
                (x.shape, Kind::Codes(bits_of(*count)?))
            }
            Self::Quantise { count, .. } => {
                floats(&x)?;
                (x.shape, Kind::Codes(bits_of(*count)?))
            }
            Self::Decode { bits, .. } => {
                expect(&x, "codes of its bits", x.kind == Kind::Codes(*bits))?;
                (x.shape, Kind::Float)
            }
            Self::Round { integer, fraction } => {
                floats(&x)?;
                if !(1..=24).contains(integer) || *fraction > 24 {
                    return Err(format!("a format of {integer} and {fraction} bits"));
                }
                (x.shape, Kind::Float)
            }
            Self::Relu | Self::Prelu { .. } | Self::Activation { .. } => {
                floats(&x)?;
                (x.shape, Kind::Float)
            }
            Self::MaxPool { window } | Self::AvgPool { window } => {
                let largest = matches!(self, Self::MaxPool { .. });
                if !largest {
                    floats(&x)?;
                }
                // The largest of no values is none, which with dilation could happen within the image.
                if (0..2).any(|axis| window.padding[axis] >= window.kernel[axis]) {
                    return Err("a window lies entirely in the padding".into());
                }
                if largest && window.dilation != [1, 1] {
                    return Err("a max-pool is dilated".into());
                }
                (under(window, c)?, x.kind)
            }
            Self::Add => {
                floats(&x)?;
                expect(&inputs[1], "two equal shapes", inputs[1] == x)?;
                (x.shape, Kind::Float)
            }
            Self::Concat => {
                let mut channels = 0usize;
                let mut kind = x.kind;
                for input in inputs {
                    kind = match (kind, input.kind) {
                        (Kind::Sums(a), Kind::Sums(b)) => Kind::Sums(a.max(b)),
                        (a, b) if a == b => a,
                        _ => return Err(format!("it concatenates {x} and {input}")),
                    };
                    expect(input, "inputs of one size", input.shape[..2] == x.shape[..2])?;
                    channels = channels.saturating_add(input.channels());
                }
                ([h, w, few(channels)?], kind)
            }
            Self::Slice { first, count } => match first.checked_add(*count) {
                Some(end) if end <= c && *count > 0 => ([h, w, *count], x.kind),
                _ => return Err(format!("channels {first} and {count} more exceed {c}")),
            },
            Self::Flatten => {
                floats(&x)?;
                ([1, 1, few(x.len())?], Kind::Float)
            }
            Self::Pad { border } => {
                expect(&x, "1-bit codes", x.kind == Kind::Codes(1))?;
                if border.iter().any(|&n| n > 1 << 16) {
                    return Err(format!("a border of {border:?}"));
                }
                ([h + 2 * border[0], w + 2 * border[1], c], x.kind)
            }
            Self::InputScale { window } => {
                floats(&x)?;
                (under(window, 1)?, Kind::Float)
            }
            Self::ScalePixels => {
                floats(&x)?;
                let scales = Type { shape: [h, w, 1], kind: Kind::Float };
                expect(&inputs[1], "a number per pixel", inputs[1] == scales)?;
                (x.shape, Kind::Float)
            }
        };
        Ok(Type { shape, kind })
    }
}
