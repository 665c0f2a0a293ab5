//! A folded network as data: an input and a list of layers, each reading the input or earlier
//! layers.

use crate::error::{Error, Result};
use crate::ops::{Array, Op};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Most elements of one tensor.
pub const MOST_ELEMENTS: usize = 1 << 26;

/// Most layers of a network, and most inputs of a layer.
pub const MOST_LAYERS: usize = 4096;

/// Most bytes that running a network may take for one image, weights included.
pub const MOST_MEMORY: u64 = 1 << 30;

/// A network that classifies images.
///
/// **Invariant of a checked network** ([`check`](Self::check)): every layer reads the input or
/// earlier layers, shapes and arrays fit, floats are finite, and the last layer has one float per
/// class.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The input.
    pub input: Input,
    /// The layers in the order in which they are computed; the last one's output is the logits.
    pub layers: Vec<Layer>,
    /// The class names, in the order of the logits.
    pub classes: Vec<String>,
    /// Facts for people, by name: recipe, data set, accuracy, …
    pub card: BTreeMap<String, String>,
}

/// Images as bytes, and their normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Height, width, channels.
    pub shape: [usize; 3],
    /// `[256, c]`: the float for each byte in each channel.
    pub table: Vec<f32>,
    /// `[h, w, c]`: a mean image that is subtracted; empty if there is none.
    pub mean: Vec<f32>,
}

impl Input {
    /// Number of bytes of an image.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the normalised floats of images: bytes N, H, W, C.
    pub fn values(&self, images: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(images.len());
        for image in images.chunks(self.len()) {
            for pixel in image.chunks(self.shape[2]) {
                values.extend(pixel.iter().enumerate().map(|(c, &byte)| self.table[byte as usize * self.shape[2] + c]));
            }
            let first = values.len() - image.len();
            values[first..].iter_mut().zip(&self.mean).for_each(|(value, mean)| *value -= mean);
        }
        values
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name, unique; its arrays are named after it.
    pub name: String,
    /// What it reads: 0 is the input, i the output of layer i − 1.
    pub from: Vec<usize>,
    /// What it computes.
    pub op: Op,
}

/// What a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    Float,
    /// Integers whose magnitude is at most this number, below 2^24.
    Sums(u32),
    /// Codes of this many bits, 1 to 4.
    Codes(u8),
}

/// The type of one image's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// Height, width, channels.
    pub shape: [usize; 3],
    /// The elements.
    pub kind: Kind,
}

impl Type {
    /// Number of elements.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.shape[2]
    }

    /// Number of 32-bit words of a pixel's bit plane.
    pub fn words(&self) -> usize {
        self.channels().div_ceil(32)
    }

    /// Number of bytes in memory.
    pub fn bytes(&self) -> usize {
        4 * match self.kind {
            Kind::Float | Kind::Sums(_) => self.len(),
            Kind::Codes(bits) => usize::from(bits) * self.pixels() * self.words(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [h, w, c] = self.shape;
        match self.kind {
            Kind::Float => write!(f, "floats {h}×{w}×{c}"),
            Kind::Sums(_) => write!(f, "sums {h}×{w}×{c}"),
            Kind::Codes(bits) => write!(f, "{bits}-bit codes {h}×{w}×{c}"),
        }
    }
}

impl Network {
    /// Returns the types of the input and of every layer's output, without a look at the arrays.
    ///
    /// # Errors
    ///
    /// Returns an error if shapes or kinds do not fit; the message names the layer.
    pub fn types(&self) -> Result<Vec<Type>> {
        self.clone().fill(&mut |_, _, _| Ok(()))
    }

    /// Checks the network and returns the types of the input and of every layer's output.
    ///
    /// # Errors
    ///
    /// Returns an error if an invariant does not hold or a limit is exceeded; the message names the
    /// layer.
    pub fn check(&self) -> Result<Vec<Type>> {
        Ok(self.clone().check_arrays()?.0)
    }

    /// Like [`check`](Self::check), without a copy; also returns the number of elements of all arrays.
    pub(crate) fn check_arrays(&mut self) -> Result<(Vec<Type>, usize)> {
        let mut elements = 0;
        let types = self.fill(&mut |name, shape, array| {
            let expected = shape.iter().try_fold(1usize, |product, &len| product.checked_mul(len));
            elements += array.len();
            match expected == Some(array.len()) {
                true => array.check_finite(name),
                false => Err(format!("the array {name} has {} elements; its shape is {shape:?}", array.len())),
            }
        })?;
        Ok((types, elements))
    }

    /// Infers the types, layer by layer, and calls `array` for each array with its name and its
    /// shape before the next layer's type is inferred.
    pub(crate) fn fill(&mut self, array: &mut ForArray<'_>) -> Result<Vec<Type>> {
        let Self { input, layers, classes, .. } = self;
        let wrong = Error::Network;
        let longest = layers.iter().map(|layer| layer.from.len()).max().unwrap_or(0);
        if layers.len().max(longest) > MOST_LAYERS {
            return Err(wrong(format!("more than {MOST_LAYERS} layers, or inputs of a layer")));
        }
        let ty = Type { shape: input.shape, kind: Kind::Float };
        elements(&input.shape).map_err(|message| wrong(format!("the input: {message}")))?;
        array("input.table", &[256, ty.channels()], Array::Float(&mut input.table)).map_err(wrong)?;
        if !input.mean.is_empty() {
            array("input.mean", &ty.shape, Array::Float(&mut input.mean)).map_err(wrong)?;
        }
        let mut types = Vec::from([ty]);
        let mut names: Vec<&str> = Vec::from(["input"]);
        for layer in layers {
            let Layer { name, from, op } = layer;
            let in_layer = |message: String| Error::Network(format!("layer {name:?}: {message}"));
            // There are few enough layers for this, and a set would be a large part of the browser's file.
            if names.contains(&name.as_str()) {
                return Err(in_layer("there are two layers of this name".into()));
            }
            let inputs = from.iter().map(|&at| types.get(at).copied()).collect::<Option<Vec<_>>>();
            let inputs = inputs.ok_or_else(|| in_layer("it reads itself or a later layer".into()))?;
            if inputs.len() != op.inputs().unwrap_or(inputs.len().max(1)) {
                return Err(in_layer(format!("{} inputs are too few or too many", inputs.len())));
            }
            let ty = op.infer(&inputs).map_err(in_layer)?;
            elements(&ty.shape).map_err(in_layer)?;
            for (what, shape, values) in op.arrays(&inputs) {
                array(&format!("{name}.{what}"), &shape, values).map_err(in_layer)?;
            }
            op.check_values().map_err(in_layer)?;
            types.push(ty);
            names.push(name);
        }
        let last = types[types.len() - 1];
        if last != (Type { shape: [1, 1, classes.len()], kind: Kind::Float }) {
            return Err(wrong(format!("the last layer has {last}, but there are {} classes", classes.len())));
        }
        Ok(types)
    }
}

/// Called with the name and the shape of each array.
type ForArray<'a> = dyn FnMut(&str, &[usize], Array<'_>) -> core::result::Result<(), String> + 'a;

/// Checks that a tensor is neither empty nor too large.
fn elements(shape: &[usize; 3]) -> core::result::Result<(), String> {
    let count = shape.iter().try_fold(1usize, |product, &len| product.checked_mul(len));
    match count {
        Some(count) if (1..=MOST_ELEMENTS).contains(&count) => Ok(()),
        _ => Err(format!("a tensor of {shape:?} has no elements, or more than {MOST_ELEMENTS}")),
    }
}
