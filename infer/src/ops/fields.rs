//! A layer as it is in a file: the fields of all operations in one structure.

use super::{Coding, Curve, Op};
use crate::json::{Json, Read};
use crate::window::Window;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;

/// A layer of a file.
#[derive(Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) name: String,
    pub(crate) from: Vec<usize>,
    op: String,
    window: Option<Window>,
    filters: Option<usize>,
    coding: Option<Coding>,
    bases: Option<usize>,
    planes: Option<usize>,
    scaled: Option<bool>,
    shifted: Option<bool>,
    count: Option<usize>,
    mixed: Option<bool>,
    at_least: Option<bool>,
    bits: Option<u8>,
    integer: Option<u8>,
    fraction: Option<u8>,
    curve: Option<Curve>,
    first: Option<usize>,
    border: Option<[usize; 2]>,
}

/// Reads a number of bits.
fn bits(json: &mut Json<'_>) -> Read<Option<u8>> {
    u8::try_from(json.whole()?).map(Some).map_err(|_| "a number of bits is above 255".into())
}

fn coding(json: &mut Json<'_>) -> Read<Coding> {
    if json.peek() == b'"' {
        return match json.string()?.as_str() {
            "uniform" => Ok(Coding::Uniform),
            "sign" => Ok(Coding::Sign),
            other => Err(format!("the coding {other:?} is unknown")),
        };
    }
    let mut coding = None;
    json.object(&mut |json, field| {
        let levels = json.whole()?;
        coding = (field == "levels").then_some(Coding::Levels(levels));
        Ok(())
    })?;
    coding.ok_or_else(|| "a coding is unknown".into())
}

fn window(json: &mut Json<'_>) -> Read<Window> {
    let mut window = Window { kernel: [0; 2], stride: [1; 2], padding: [0; 2], dilation: [1; 2] };
    json.object(&mut |json, field| {
        let pair = json.pair()?;
        match field.as_str() {
            "kernel" => window.kernel = pair,
            "stride" => window.stride = pair,
            "padding" => window.padding = pair,
            "dilation" => window.dilation = pair,
            other => return Err(format!("a window has no {other:?}")),
        }
        Ok(())
    })?;
    Ok(window)
}

/// Takes a field that the operation must have.
fn need<T>(field: &mut Option<T>, name: &str) -> Result<T, String> {
    field.take().ok_or_else(|| format!("its {name} is missing"))
}

impl Fields {
    /// Reads an object.
    pub(crate) fn read(json: &mut Json<'_>) -> Read<Self> {
        let mut all = Self::default();
        json.object(&mut |json, field| {
            match field.as_str() {
                "name" => all.name = json.string()?,
                "from" => all.from = json.wholes()?,
                "op" => all.op = json.string()?,
                "window" => all.window = Some(window(json)?),
                "filters" => all.filters = Some(json.whole()?),
                "coding" => all.coding = Some(coding(json)?),
                "bases" => all.bases = Some(json.whole()?),
                "planes" => all.planes = Some(json.whole()?),
                "scaled" => all.scaled = Some(json.flag()?),
                "shifted" => all.shifted = Some(json.flag()?),
                "count" => all.count = Some(json.whole()?),
                "mixed" => all.mixed = Some(json.flag()?),
                "at_least" => all.at_least = Some(json.flag()?),
                "bits" => all.bits = bits(json)?,
                "integer" => all.integer = bits(json)?,
                "fraction" => all.fraction = bits(json)?,
                "curve" => {
                    let name = json.string()?;
                    all.curve = Some(Curve::named(&name).ok_or_else(|| format!("the curve {name:?} is unknown"))?);
                }
                "first" => all.first = Some(json.whole()?),
                "border" => all.border = Some(json.pair()?),
                other => return Err(format!("a layer has an unknown field, {other:?}")),
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Takes the operation, without its arrays.
    ///
    /// # Errors
    ///
    /// Returns an error if the operation is unknown, or has too few or too many fields.
    pub(crate) fn take_op(&mut self) -> Result<Op, String> {
        let op = take(&mut self.op);
        let made =
            self.made(&op).map_err(|message| format!("the operation {op:?} of layer {:?}: {message}", self.name))?;
        let (name, from) = (take(&mut self.name), take(&mut self.from));
        let exact = *self == Self::default();
        (self.name, self.from) = (name, from);
        match exact {
            true => Ok(made),
            false => Err(format!("layer {:?} has a field that {op:?} does not have", self.name)),
        }
    }

    fn made(&mut self, op: &str) -> Result<Op, String> {
        let flag = |field: &mut Option<bool>| field.take().unwrap_or_default();
        Ok(match op {
            "conv" => {
                let window = need(&mut self.window, "window")?;
                Op::Conv { window, filters: need(&mut self.filters, "filters")?, weight: Vec::new() }
            }
            "packed_conv" => Op::PackedConv {
                window: need(&mut self.window, "window")?,
                filters: need(&mut self.filters, "filters")?,
                coding: need(&mut self.coding, "coding")?,
                bases: need(&mut self.bases, "bases")?,
                planes: need(&mut self.planes, "planes")?,
                signs: Vec::new(),
                coefficients: Vec::new(),
                scale: Vec::new(),
            },
            "affine" => Op::Affine {
                scaled: flag(&mut self.scaled),
                shifted: flag(&mut self.shifted),
                gain: Vec::new(),
                shift: Vec::new(),
            },
            "threshold" => Op::Threshold {
                count: need(&mut self.count, "count")?,
                mixed: flag(&mut self.mixed),
                thresholds: Vec::new(),
                falling: Vec::new(),
            },
            "quantise" => Op::Quantise {
                count: need(&mut self.count, "count")?,
                at_least: flag(&mut self.at_least),
                thresholds: Vec::new(),
            },
            "decode" => Op::Decode { bits: need(&mut self.bits, "bits")?, values: Vec::new() },
            "round" => Op::Round {
                integer: need(&mut self.integer, "integer")?,
                fraction: need(&mut self.fraction, "fraction")?,
            },
            "relu" => Op::Relu,
            "prelu" => Op::Prelu { slope: Vec::new() },
            "activation" => Op::Activation { curve: need(&mut self.curve, "curve")?, number: Vec::new() },
            "max_pool" => Op::MaxPool { window: need(&mut self.window, "window")? },
            "avg_pool" => Op::AvgPool { window: need(&mut self.window, "window")? },
            "add" => Op::Add,
            "concat" => Op::Concat,
            "slice" => Op::Slice { first: need(&mut self.first, "first")?, count: need(&mut self.count, "count")? },
            "flatten" => Op::Flatten,
            "pad" => Op::Pad { border: need(&mut self.border, "border")? },
            "input_scale" => Op::InputScale { window: need(&mut self.window, "window")? },
            "scale_pixels" => Op::ScalePixels,
            _ => return Err("unknown; a later version of halfwave may have it".into()),
        })
    }
}
