//! The sliding window of convolutions and pools.

use crate::tensor::TensorType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Kernel size, stride, padding and dilation of a sliding window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Height r and width s of the kernel.
    pub kernel: [usize; 2],
    /// Stride, down and right.
    pub stride: [usize; 2],
    /// Padding: rows above and below, columns left and right.
    pub padding: [usize; 2],
    /// Dilation, down and right: the distance between neighbouring taps.
    pub dilation: [usize; 2],
}

/// Why a window does not fit its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misfit {
    /// The kernel or the stride is 0.
    #[error("kernel and stride must be at least 1")]
    Empty,
    /// The dilation is 0.
    #[error("dilation must be at least 1")]
    NoDilation,
    /// The window's reach overflows.
    #[error("the dilation is too large")]
    Dilation,
    /// The padded input overflows.
    #[error("the padding is too large")]
    Padding,
    /// The window is larger than the padded input.
    #[error("the window is larger than its padded input")]
    Larger,
}

impl From<Misfit> for String {
    fn from(error: Misfit) -> Self {
        error.to_string()
    }
}

impl Window {
    /// A window with dilation 1.
    pub fn new(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Self {
        Self { kernel, stride, padding, dilation: [1, 1] }
    }

    /// A square window with dilation 1.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self::new([kernel; 2], [stride; 2], [padding; 2])
    }

    /// Returns the window with this dilation.
    #[must_use]
    pub fn dilated(self, dilation: [usize; 2]) -> Self {
        Self { dilation, ..self }
    }

    /// Number of taps.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Height and width under the window, gaps included.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel or the dilation is 0, or too large.
    pub fn reach(&self) -> Result<[usize; 2], Misfit> {
        let mut reach = self.kernel;
        for (k, d) in reach.iter_mut().zip(self.dilation) {
            let gaps = k.checked_sub(1).ok_or(Misfit::Empty)?;
            if d == 0 {
                return Err(Misfit::NoDilation);
            }
            *k = gaps.checked_mul(d).and_then(|gaps| gaps.checked_add(1)).ok_or(Misfit::Dilation)?;
        }
        Ok(reach)
    }

    /// Height and width of the output:
    /// ⌊(length + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
    ///
    /// # Errors
    ///
    /// Returns an error if the window is larger than the padded input, or empty.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2], Misfit> {
        let (mut out, reach) = ([0; 2], self.reach()?);
        for axis in 0..2 {
            let padded = self.padding[axis].checked_mul(2).and_then(|padding| padding.checked_add(input[axis]));
            let free = padded.ok_or(Misfit::Padding)?.checked_sub(reach[axis]).ok_or(Misfit::Larger)?;
            out[axis] = free.checked_div(self.stride[axis]).ok_or(Misfit::Empty)? + 1;
        }
        Ok(out)
    }

    /// The equivalent product with a window of one tap if the window covers the whole input, as in
    /// linear layers: taps become channels, and memory is unchanged.
    pub(super) fn merged(&self, input: &TensorType) -> (Self, TensorType) {
        let [n, h, w, _] = input.nhwc();
        let whole = self.kernel == [h, w] && self.padding == [0, 0] && self.dilation == [1, 1];
        match whole {
            true => (Self::square(1, 1, 0), TensorType::f32(&[n, 1, 1, h * w * input.lanes()])),
            false => (*self, input.clone()),
        }
    }

    /// Input position at tap (r, s) of output (y, x), or `None` in the padding.
    pub fn source(&self, input: [usize; 2], out: [usize; 2], tap: [usize; 2]) -> Option<[usize; 2]> {
        let mut at = [0; 2];
        for axis in 0..2 {
            let position =
                (out[axis] * self.stride[axis] + tap[axis] * self.dilation[axis]).checked_sub(self.padding[axis])?;
            if position >= input[axis] {
                return None;
            }
            at[axis] = position;
        }
        Some(at)
    }

    /// Output position whose tap (r, s) is input (y, x), or `None` if there is none.
    pub fn target(&self, output: [usize; 2], at: [usize; 2], tap: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let offset = (at[axis] + self.padding[axis]).checked_sub(tap[axis] * self.dilation[axis])?;
            if offset % self.stride[axis] != 0 || offset / self.stride[axis] >= output[axis] {
                return None;
            }
            out[axis] = offset / self.stride[axis];
        }
        Some(out)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kernel, stride, padding] = [self.kernel, self.stride, self.padding].map(|[h, w]| format!("{h}×{w}"));
        write!(f, "a {kernel} window (stride {stride}, padding {padding}")?;
        match self.dilation {
            [1, 1] => write!(f, ")"),
            [h, w] => write!(f, ", dilation {h}×{w})"),
        }
    }
}

crate::params! {
    /// Shapes for a kernel that slides a window. `in_*` is the input of the window and `out_*` its
    /// output, in both directions of data flow.
    pub(super) struct WindowParams {
        images: u32, in_h: i32, in_w: i32, in_quads: u32, out_h: i32, out_w: i32, out_quads: u32,
        kernel_h: i32, kernel_w: i32, stride_h: i32, stride_w: i32, pad_h: i32, pad_w: i32,
        dilation_h: i32, dilation_w: i32,
    }
}

impl WindowParams {
    /// Parameters of a window with the types on both of its sides.
    pub(super) fn new(window: &Window, input: &TensorType, output: &TensorType) -> Self {
        let ([images, in_h, in_w, _], [_, out_h, out_w, _]) = (input.nhwc(), output.nhwc());
        let pair = |axes: [usize; 2]| axes.map(|axis| axis as i32);
        let ([kernel_h, kernel_w], [stride_h, stride_w]) = (pair(window.kernel), pair(window.stride));
        let ([pad_h, pad_w], [dilation_h, dilation_w]) = (pair(window.padding), pair(window.dilation));
        Self {
            images: images as u32,
            in_h: in_h as i32,
            in_w: in_w as i32,
            in_quads: input.quads() as u32,
            out_h: out_h as i32,
            out_w: out_w as i32,
            out_quads: output.quads() as u32,
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            pad_h,
            pad_w,
            dilation_h,
            dilation_w,
        }
    }
}
