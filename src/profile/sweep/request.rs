//! The operation of a sweep, and its sizes.

use crate::error::{Error, Result};
use crate::ops::bconv::Bconv;
use crate::ops::bconv_backward::{BconvDw, BconvDx};
use crate::ops::code::{Code, SignPlanes};
use crate::ops::conv::Conv;
use crate::ops::conv_backward::{ConvDw, ConvDx};
use crate::ops::{Op, window::Window};
use crate::tensor::{Encoding, LANES, TensorType, WORD_BITS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A size of an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// Images.
    Batch,
    /// Height of an image.
    Height,
    /// Width of an image.
    Width,
    /// Input channels.
    Channels,
    /// Output channels.
    Filters,
    /// Height and width of the window; its padding is half of them, rounded down.
    Window,
    /// Stride of the window.
    Stride,
    /// Bits of an activation's code.
    Bits,
}

const SIZES: [Size; 8] =
    [Size::Batch, Size::Height, Size::Width, Size::Channels, Size::Filters, Size::Window, Size::Stride, Size::Bits];

impl Size {
    fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Height => "height",
            Self::Width => "width",
            Self::Channels => "channels",
            Self::Filters => "filters",
            Self::Window => "window",
            Self::Stride => "stride",
            Self::Bits => "bits",
        }
    }

    /// The value unless another one is given.
    fn standard(self) -> usize {
        match self {
            Self::Batch => 32,
            Self::Height | Self::Width => 16,
            Self::Channels | Self::Filters => 128,
            Self::Window => 3,
            Self::Stride => 1,
            Self::Bits => 2,
        }
    }

    /// The largest value. Larger codes are not packed; other limits are those of memory.
    fn most(self) -> usize {
        match self {
            Self::Window | Self::Stride => 64,
            Self::Bits => 8,
            _ => 8192,
        }
    }

    fn read(self, text: &str) -> Result<usize> {
        let most = self.most();
        let value = text.trim().parse().ok().filter(|value| (1..=most).contains(value));
        value.ok_or_else(|| Error::Usage(format!("{self}={text}: it takes whole numbers from 1 to {most}")))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An operation with several kernels.
struct Heavy {
    stem: &'static str,
    /// Whether codes are among its operands, so that it has [`Size::Bits`].
    codes: bool,
    /// Creates it for these operands.
    build: fn(Operands) -> (Op, Vec<TensorType>),
}

/// The tensors of a convolution.
struct Operands {
    window: Window,
    x: TensorType,
    y: TensorType,
    weight: TensorType,
    codes: TensorType,
    signs: TensorType,
    alpha: TensorType,
}

/// The step of uniform codes, on which no time depends.
const STEP: f32 = 1.0;

static HEAVY: [Heavy; 6] = [
    Heavy { stem: "conv", codes: false, build: |o| (Conv { window: o.window }.into(), vec![o.x, o.weight]) },
    Heavy {
        stem: "conv_dx",
        codes: false,
        build: |o| (ConvDx { window: o.window, input: o.x }.into(), vec![o.y, o.weight]),
    },
    Heavy {
        stem: "conv_dw",
        codes: false,
        build: |o| (ConvDw { window: o.window, weight: o.weight }.into(), vec![o.y, o.x]),
    },
    Heavy {
        stem: "bconv",
        codes: true,
        build: |o| (Bconv::uniform(o.window, STEP).into(), vec![o.codes, o.signs, o.alpha]),
    },
    Heavy {
        stem: "bconv_dx",
        codes: false,
        build: |o| {
            let op = BconvDx { window: o.window, planes: SignPlanes::ONE, input: o.x };
            (op.into(), vec![o.y, o.signs, o.alpha])
        },
    },
    Heavy {
        stem: "bconv_dw",
        codes: true,
        build: |o| (BconvDw { window: o.window, code: Code::Uniform(STEP) }.into(), vec![o.y, o.codes]),
    },
];

impl Heavy {
    fn sizes(&self) -> impl Iterator<Item = Size> {
        let codes = self.codes;
        SIZES.into_iter().filter(move |&size| codes || size != Size::Bits)
    }

    fn size(&self, name: &str) -> Result<Size> {
        self.sizes().find(|size| size.name() == name).ok_or_else(|| {
            let all: Vec<_> = self.sizes().map(Size::name).collect();
            Error::Usage(format!("{} has no size \"{name}\"; its sizes are {}", self.stem, all.join(", ")))
        })
    }
}

/// An operation, one of its kernels or all of them, and its sizes, of which one varies.
pub struct Request {
    pub(super) stem: &'static str,
    heavy: &'static Heavy,
    pub(super) variant: Option<String>,
    pub(super) size: Size,
    pub(super) values: Vec<usize>,
    sizes: BTreeMap<Size, usize>,
}

impl Request {
    /// Reads a request: `kernel` is an operation ("bconv") or one of its kernels ("bconv_tile64"),
    /// `sweep` a size with its values ("channels=64,128"), and each of `fixed` a size with one value
    /// ("batch=8").
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such operation with several kernels, if it does not have such
    /// a size, or if a value is not possible.
    pub fn new(kernel: &str, sweep: &str, fixed: &[String]) -> Result<Self> {
        let (heavy, variant) = named(kernel)?;
        let (name, list) = pair(sweep, "--sweep", "channels=64,128,256")?;
        let size = heavy.size(name)?;
        let values = list.split(',').map(|text| size.read(text)).collect::<Result<Vec<_>>>()?;
        if let Some(twice) = (1..values.len()).find(|&at| values[..at].contains(&values[at])) {
            return Err(Error::Usage(format!("--sweep {sweep}: {} is given twice", values[twice])));
        }
        let mut sizes: BTreeMap<_, _> = heavy.sizes().map(|size| (size, size.standard())).collect();
        let mut known = Vec::new();
        for text in fixed {
            let (name, value) = pair(text, "--size", "batch=8")?;
            let fixed = heavy.size(name)?;
            if known.contains(&fixed) {
                return Err(Error::Usage(format!("--size {text}: {fixed} is given twice; give it once")));
            }
            known.push(fixed);
            if fixed == size {
                return Err(Error::Usage(format!("--size {text}: --sweep gives the values of {size} already")));
            }
            sizes.insert(fixed, fixed.read(value)?);
        }
        let request = Self { stem: heavy.stem, heavy, variant, size, values, sizes };
        request.values.iter().try_for_each(|&value| request.operation(value).map(drop))?;
        Ok(request)
    }

    /// Returns the sizes that do not vary.
    pub(super) fn others(&self) -> BTreeMap<Size, usize> {
        self.sizes.iter().filter(|(size, _)| **size != self.size).map(|(&size, &value)| (size, value)).collect()
    }

    /// Returns the operation for a value, and the types of its inputs.
    pub(super) fn operation(&self, value: usize) -> Result<(Op, Vec<TensorType>)> {
        let of =
            |size| if size == self.size { value } else { self.sizes.get(&size).copied().unwrap_or(size.standard()) };
        let [n, h, w, c, k] = [Size::Batch, Size::Height, Size::Width, Size::Channels, Size::Filters].map(of);
        let side = of(Size::Window);
        let window = Window::square(side, of(Size::Stride), side / 2);
        let invalid = |why: String| Error::Usage(format!("{} with {}={value}: {why}", self.stem, self.size));
        let [oh, ow] = window.output([h, w]).map_err(|misfit| invalid(misfit.to_string()))?;
        let x = TensorType::f32(&[n, h, w, c]);
        let operands = Operands {
            window,
            y: TensorType::f32(&[n, oh, ow, k]),
            weight: TensorType::f32(&[side, side, c.next_multiple_of(LANES), k]),
            codes: x.with(Encoding::Planes(of(Size::Bits) as u8)),
            signs: TensorType::new(&[side, side, c.div_ceil(WORD_BITS), k], Encoding::U32),
            alpha: TensorType::f32(&[k]),
            x,
        };
        let (op, inputs) = (self.heavy.build)(operands);
        op.infer(&inputs.iter().collect::<Vec<_>>()).map_err(invalid)?;
        Ok((op, inputs))
    }
}

/// Finds an operation, or one of its kernels, by name.
fn named(kernel: &str) -> Result<(&'static Heavy, Option<String>)> {
    let of = |heavy: &'static Heavy| {
        let variant = kernel.strip_prefix(heavy.stem)?;
        if variant.is_empty() {
            Some((heavy, None))
        } else {
            Some((heavy, Some(variant.strip_prefix('_')?.to_string())))
        }
    };
    // "bconv_dx_registers" is a kernel of bconv_dx, not of bconv.
    let longest = HEAVY.iter().filter_map(of).max_by_key(|(heavy, _)| heavy.stem.len());
    longest.ok_or_else(|| {
        let stems: Vec<_> = HEAVY.iter().map(|heavy| heavy.stem).collect();
        Error::Usage(format!(
            "--kernel {kernel}: a sweep measures an operation with several kernels, which are {}; `halfwave profile` without --kernel measures the others in a step",
            stems.join(", ")
        ))
    })
}

fn pair<'t>(text: &'t str, option: &str, example: &str) -> Result<(&'t str, &'t str)> {
    text.split_once('=').map(|(name, value)| (name.trim(), value)).ok_or_else(|| {
        Error::Usage(format!(
            "{option} {text}: it takes the name of a size, = and its value, such as {option} {example}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::{Caps, DeviceClass};
    use crate::ops;

    fn refused(kernel: &str, sweep: &str, fixed: &[&str]) -> String {
        let fixed: Vec<_> = fixed.iter().map(ToString::to_string).collect();
        Request::new(kernel, sweep, &fixed).map(|_| "accepted".to_string()).unwrap_or_else(|error| error.to_string())
    }

    /// Every operation of which a device can choose a kernel has sizes, and no other.
    #[test]
    fn all_operations_with_several_kernels_have_sizes() {
        let caps = Caps::baseline(DeviceClass::Gpu);
        let several = |sample: &ops::Sample| {
            let types: Vec<_> = sample.inputs.iter().map(|input| &input.ty).collect();
            let output = sample.op.infer(&types).unwrap();
            !sample.op.candidates(&types, &output, &caps).is_empty()
        };
        let mut stems: Vec<_> =
            ops::samples().iter().filter(|sample| several(sample)).map(|sample| sample.op.stem()).collect();
        stems.sort_unstable();
        stems.dedup();
        let mut known: Vec<_> = HEAVY.iter().map(|heavy| heavy.stem).collect();
        known.sort_unstable();
        assert_eq!(stems, known);
        for stem in known {
            let request = Request::new(stem, "channels=5,64", &["batch=2".to_string()]).unwrap();
            for value in [5, 64] {
                let (op, inputs) = request.operation(value).unwrap();
                assert_eq!(op.stem(), stem);
                assert!(inputs.iter().any(|ty| ty.shape[0] == 2), "{stem}: {inputs:?}");
            }
        }
    }

    #[test]
    fn names_of_kernels_belong_to_the_longest_operation() {
        let variant = |kernel| named(kernel).map(|(heavy, variant)| (heavy.stem, variant.unwrap_or_default())).unwrap();
        assert_eq!(variant("bconv"), ("bconv", String::new()));
        assert_eq!(variant("bconv_dx_registers"), ("bconv_dx", "registers".to_string()));
        assert_eq!(variant("bconv_tile64"), ("bconv", "tile64".to_string()));
    }

    #[test]
    fn mistakes_say_what_is_possible() {
        let contains = |text: String, part: &str| assert!(text.contains(part), "{text}");
        contains(refused("quantise", "channels=4", &[]), "which are conv, conv_dx, conv_dw, bconv, bconv_dx, bconv_dw");
        contains(refused("convolution", "channels=4", &[]), "--kernel convolution: ");
        contains(
            refused("conv", "bits=2", &[]),
            "conv has no size \"bits\"; its sizes are batch, height, width, channels, filters, window, stride",
        );
        contains(refused("bconv", "depth=2", &[]), "window, stride, bits");
        contains(refused("bconv", "channels", &[]), "such as --sweep channels=64,128,256");
        contains(refused("bconv", "bits=2,9", &[]), "bits=9: it takes whole numbers from 1 to 8");
        contains(refused("bconv", "channels=64,,128", &[]), "channels=: it takes whole numbers from 1 to 8192");
        contains(refused("bconv", "channels=64,64", &[]), "64 is given twice");
        contains(refused("bconv", "channels=64", &["channels=32"]), "--sweep gives the values of channels already");
        contains(refused("bconv", "channels=64", &["batch"]), "such as --size batch=8");
        // A sum of 8-bit codes that f32 cannot represent.
        contains(refused("bconv", "bits=8", &["channels=8192", "window=9"]), "exceed 2^24");
        assert_eq!(refused("bconv", "channels=64, 128", &["bits=1"]), "accepted");
    }
}
