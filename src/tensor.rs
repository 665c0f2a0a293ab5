//! Tensor types and their memory layout.
//!
//! **Layout.** The last axis is the *channel* axis; the axes before it form the *rows*. Rows are
//! contiguous. Within a row the channels are padded, to 4 lanes for numbers and to 32 for bits, so
//! that kernels always load and store whole `vec4`s or whole words.
//!
//! | encoding | contents of a row | words per row |
//! |---|---|---|
//! | `F32`, `I32`, `U32` | one number per word | 4·⌈C/4⌉ |
//! | `I16`, `F16` | two numbers per word, the first in the low half | 2·⌈C/4⌉ |
//! | `Planes(b)` | plane 0, plane 1, …: bit c mod 32 of word c / 32 is channel c | b·⌈C/32⌉ |
//!
//! **Invariant:** padding lanes and tail bits are zero in every tensor written by a kernel or a
//! reference implementation (`reference`).
//!
//! Activations have shape `[n, h, w, c]`, float weights `[r, s, c, k]` (c a multiple of 4). The
//! signs of binary weights have shape `[r, s, ⌈c/32⌉, k]` and encoding `U32`: each word holds 32
//! input channels of one filter, with bit 1 for +1.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Numbers in a 16-byte load.
pub const LANES: usize = 4;
pub use crate::bits::WORD_BITS;

/// Element encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// IEEE single precision.
    F32,
    /// IEEE half precision: the *storage* format of a float value with a scale
    /// ([`crate::graph::Node::scale`]). Operations and reference implementations always see floats.
    F16,
    /// 16-bit integers, exact: the sums of a binary convolution.
    I16,
    /// 32-bit integers, exact, for sums that do not fit 16 bits.
    I32,
    /// Unsigned 32-bit words: labels, counters, signs of binary weights.
    U32,
    /// Bit planes of a code: code = Σ 2^p · plane p.
    Planes(u8),
}

/// Shape and encoding of a tensor.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorType {
    /// Logical axis lengths, channels last, without padding.
    pub shape: Vec<usize>,
    /// Element encoding.
    pub encoding: Encoding,
}

impl TensorType {
    /// Creates a type from a shape, which must not be empty, and an encoding.
    pub fn new(shape: &[usize], encoding: Encoding) -> Self {
        assert!(!shape.is_empty(), "a tensor has at least the channel axis");
        Self { shape: shape.to_vec(), encoding }
    }

    /// Creates a float type.
    pub fn f32(shape: &[usize]) -> Self {
        Self::new(shape, Encoding::F32)
    }

    /// Length of the last axis.
    pub fn channels(&self) -> usize {
        self.shape[self.shape.len() - 1]
    }

    /// Product of all axes except the last.
    pub fn rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    /// Channels, padded to whole `vec4`s.
    pub fn lanes(&self) -> usize {
        self.channels().next_multiple_of(LANES)
    }

    /// Number of `vec4`s in a row.
    pub fn quads(&self) -> usize {
        self.lanes() / LANES
    }

    /// Words of one bit plane in a row.
    pub fn plane_words(&self) -> usize {
        self.channels().div_ceil(WORD_BITS)
    }

    /// Number of u32 words in a row.
    pub fn row_words(&self) -> usize {
        match self.encoding {
            Encoding::F32 | Encoding::I32 | Encoding::U32 => self.lanes(),
            Encoding::I16 | Encoding::F16 => self.lanes() / 2,
            Encoding::Planes(bits) => bits as usize * self.plane_words(),
        }
    }

    /// Size in u32 words, padding included.
    pub fn words(&self) -> usize {
        self.rows() * self.row_words()
    }

    /// Size in bytes, padding included.
    pub fn bytes(&self) -> usize {
        self.words() * 4
    }

    /// Number of elements without padding.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns `[n, h, w, c]` of an activation; panics unless there are four axes, which the graph
    /// builder ensures.
    pub fn nhwc(&self) -> [usize; 4] {
        self.shape.as_slice().try_into().unwrap_or_else(|_| panic!("{self} is not an [n, h, w, c] tensor"))
    }

    /// Returns the same shape with another encoding.
    pub fn with(&self, encoding: Encoding) -> Self {
        Self { shape: self.shape.clone(), encoding }
    }

    /// Whether the elements are integers, which are compared exactly with the reference.
    pub fn is_exact(&self) -> bool {
        !matches!(self.encoding, Encoding::F32 | Encoding::F16)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.encoding {
            Encoding::F32 => write!(f, "f32")?,
            Encoding::F16 => write!(f, "f16")?,
            Encoding::I16 => write!(f, "i16")?,
            Encoding::I32 => write!(f, "i32")?,
            Encoding::U32 => write!(f, "u32")?,
            Encoding::Planes(bits) => write!(f, "u{bits}")?,
        }
        let axes: Vec<_> = self.shape.iter().map(|axis| axis.to_string()).collect();
        write!(f, "[{}]", axes.join("×"))
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Read-only view of a tensor's memory.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Shape and encoding of the words.
    pub ty: &'a TensorType,
    /// The memory, exactly `ty.words()` words.
    pub words: &'a [u32],
}

impl<'a> View<'a> {
    /// Pairs a type with its memory; the lengths must agree.
    pub fn new(ty: &'a TensorType, words: &'a [u32]) -> Self {
        assert_eq!(ty.words(), words.len(), "memory of {ty}");
        Self { ty, words }
    }

    /// Returns the elements as floats, `rows × lanes`, padding included. Integers below 2^24 are
    /// exact.
    pub fn numbers(&self) -> Cow<'a, [f32]> {
        if self.ty.encoding == Encoding::F32 {
            return Cow::Borrowed(bytemuck::cast_slice(self.words));
        }
        let mut numbers = vec![0.0; self.ty.rows() * self.ty.lanes()];
        crate::parallel::rows(&mut numbers, self.ty.lanes(), |row, out| self.put_row(row, out));
        Cow::Owned(numbers)
    }

    /// Writes the elements of one row to `out` as floats.
    #[inline(always)]
    pub fn put_row(&self, row: usize, out: &mut [f32]) {
        self.put_rows(row..row + 1, out);
    }

    /// Writes the elements of several rows to `out` as floats.
    #[inline(always)]
    pub fn put_rows(&self, rows: Range<usize>, out: &mut [f32]) {
        let (row_words, lanes) = (self.ty.row_words(), out.len() / rows.len().max(1));
        let words = &self.words[rows.start * row_words..rows.end * row_words];
        match self.ty.encoding {
            Encoding::F32 => out.copy_from_slice(bytemuck::cast_slice(words)),
            Encoding::Planes(_) => {
                for (row, out) in words.chunks_exact(row_words).zip(out.chunks_exact_mut(lanes)) {
                    crate::bits::spread_codes(row, self.ty.plane_words(), out);
                }
            }
            Encoding::I16 => {
                let ints: &[i16] = bytemuck::cast_slice(words);
                out.iter_mut().zip(ints).for_each(|(out, &v)| *out = f32::from(v));
            }
            Encoding::I32 | Encoding::U32 => out.iter_mut().zip(words).for_each(|(out, &v)| *out = v as i32 as f32),
            Encoding::F16 => panic!("{} has no values without its scale", self.ty),
        }
    }

    /// Returns the elements of some rows as floats: a slice of the memory itself, or `buffer`,
    /// which is resized and filled.
    #[inline(always)]
    pub fn rows<'b>(&self, rows: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let lanes = self.ty.lanes();
        if self.ty.encoding == Encoding::F32 {
            return bytemuck::cast_slice(&self.words[rows.start * lanes..rows.end * lanes]);
        }
        buffer.resize(rows.len() * lanes, 0.0);
        self.put_rows(rows, buffer);
        buffer
    }

    /// Returns the elements of an integer tensor, `rows × lanes`, padding included; the codes, for
    /// planes.
    pub fn ints(&self) -> Vec<i32> {
        match self.ty.encoding {
            Encoding::F32 | Encoding::F16 => panic!("{} holds no integers", self.ty),
            Encoding::I16 => bytemuck::cast_slice::<u32, i16>(self.words).iter().map(|&v| i32::from(v)).collect(),
            Encoding::I32 | Encoding::U32 => self.words.iter().map(|&w| w as i32).collect(),
            Encoding::Planes(_) => {
                let (lanes, mut codes) = (self.ty.lanes(), Vec::with_capacity(self.ty.rows() * self.ty.lanes()));
                for row in self.words.chunks_exact(self.ty.row_words()) {
                    codes.extend((0..lanes).map(|c| crate::bits::code(row, self.ty.plane_words(), c) as i32));
                }
                codes
            }
        }
    }
}

/// Mutable view of a tensor's memory.
pub struct ViewMut<'a> {
    /// Shape and encoding of the words.
    pub ty: &'a TensorType,
    /// The memory, exactly `ty.words()` words.
    pub words: &'a mut [u32],
}

impl<'a> ViewMut<'a> {
    /// Pairs a type with its memory; the lengths must agree.
    pub fn new(ty: &'a TensorType, words: &'a mut [u32]) -> Self {
        assert_eq!(ty.words(), words.len(), "memory of {ty}");
        Self { ty, words }
    }

    /// Returns the floats, `rows × lanes`, padding included.
    pub fn floats(&mut self) -> &mut [f32] {
        assert_eq!(self.ty.encoding, Encoding::F32, "{} holds no floats", self.ty);
        bytemuck::cast_slice_mut(self.words)
    }

    /// Writes integers, `rows × lanes`, padding included; of codes, those of the channels only.
    ///
    /// # Panics
    ///
    /// Panics if a value does not fit the encoding, which the plan has ruled out.
    pub fn put_ints(&mut self, values: &[i32]) {
        match self.ty.encoding {
            Encoding::I16 => {
                let out: &mut [i16] = bytemuck::cast_slice_mut(self.words);
                for (out, &value) in out.iter_mut().zip(values) {
                    *out = i16::try_from(value).expect("the plan checked that sums fit i16");
                }
            }
            Encoding::I32 | Encoding::U32 => {
                for (out, &value) in self.words.iter_mut().zip(values) {
                    *out = value as u32;
                }
            }
            Encoding::Planes(bits) => {
                let (lanes, channels, plane_words) = (self.ty.lanes(), self.ty.channels(), self.ty.plane_words());
                crate::parallel::rows(self.words, self.ty.row_words(), |row, words| {
                    words.fill(0);
                    for (c, &code) in values[row * lanes..][..channels].iter().enumerate() {
                        crate::bits::set_code(words, plane_words, bits, c, code as u32);
                    }
                });
            }
            Encoding::F32 | Encoding::F16 => panic!("floats are not integers"),
        }
    }
}

/// Tensor in host memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Shape and encoding.
    pub ty: TensorType,
    /// Its memory, in the layout described in [this module](crate::tensor).
    pub words: Vec<u32>,
}

impl Tensor {
    /// Creates a tensor of zeros.
    pub fn zeros(ty: TensorType) -> Self {
        let words = vec![0; ty.words()];
        Self { ty, words }
    }

    /// Creates a float tensor from values in logical order (channels last, no padding).
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Self {
        Self::pack(TensorType::f32(shape), values, f32::to_bits)
    }

    /// Creates a `U32` tensor from words in logical order (channels last, no padding).
    pub fn from_u32(shape: &[usize], values: &[u32]) -> Self {
        Self::pack(TensorType::new(shape, Encoding::U32), values, |v| v)
    }

    /// Creates an `I16`, `I32` or `Planes` tensor from integers in logical order.
    pub fn from_ints(ty: TensorType, values: &[i32]) -> Self {
        assert_eq!(ty.len(), values.len(), "values of {ty}");
        let mut tensor = Self::zeros(ty);
        let (channels, lanes) = (tensor.ty.channels(), tensor.ty.lanes());
        let mut padded = vec![0; tensor.ty.rows() * lanes];
        for (row, values) in padded.chunks_exact_mut(lanes).zip(values.chunks_exact(channels)) {
            row[..channels].copy_from_slice(values);
        }
        ViewMut::new(&tensor.ty, &mut tensor.words).put_ints(&padded);
        tensor
    }

    fn pack<T: Copy>(ty: TensorType, values: &[T], word: impl Fn(T) -> u32) -> Self {
        assert_eq!(ty.len(), values.len(), "values of {ty}");
        let mut tensor = Self::zeros(ty);
        let (channels, lanes) = (tensor.ty.channels(), tensor.ty.lanes());
        for (row, values) in tensor.words.chunks_exact_mut(lanes).zip(values.chunks_exact(channels)) {
            for (out, &value) in row.iter_mut().zip(values) {
                *out = word(value);
            }
        }
        tensor
    }

    /// Returns a read-only view.
    pub fn view(&self) -> View<'_> {
        View::new(&self.ty, &self.words)
    }

    /// Returns a mutable view.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut::new(&self.ty, &mut self.words)
    }

    /// Returns the elements as floats in logical order, without padding.
    pub fn to_f32(&self) -> Vec<f32> {
        self.logical(&self.view().numbers())
    }

    /// Returns the elements of an integer tensor in logical order, without padding; the codes, for
    /// planes.
    pub fn to_ints(&self) -> Vec<i32> {
        self.logical(&self.view().ints())
    }

    fn logical<T: Copy>(&self, padded: &[T]) -> Vec<T> {
        let channels = self.ty.channels();
        padded.chunks_exact(self.ty.lanes()).flat_map(|row| row[..channels].iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_and_come_back() {
        let values: Vec<f32> = (0..10).map(|v| v as f32).collect();
        let tensor = Tensor::from_f32(&[2, 5], &values);
        assert_eq!((tensor.ty.lanes(), tensor.ty.words()), (8, 16));
        assert_eq!(&tensor.view().numbers()[5..8], &[0.0; 3]);
        assert_eq!(tensor.to_f32(), values);
    }

    #[test]
    fn integers_and_codes_come_back() {
        let values: Vec<i32> = (0..82).map(|v| v % 4).collect();
        for encoding in [Encoding::I16, Encoding::I32, Encoding::Planes(2)] {
            let tensor = Tensor::from_ints(TensorType::new(&[2, 41], encoding), &values);
            assert_eq!(tensor.to_ints(), values, "{encoding:?}");
        }
        let negative = Tensor::from_ints(TensorType::new(&[3], Encoding::I16), &[-1, 2, -32768]);
        assert_eq!(negative.words, [0x0002_ffff, 0x0000_8000]);
        assert_eq!(negative.to_ints(), [-1, 2, -32768]);
    }

    #[test]
    fn planes_have_this_layout() {
        let mut codes = vec![0; 33];
        (codes[0], codes[1], codes[32]) = (3, 2, 1);
        let tensor = Tensor::from_ints(TensorType::new(&[1, 33], Encoding::Planes(2)), &codes);
        assert_eq!(tensor.words, [0b01, 0b1, 0b11, 0b0]);
    }
}
