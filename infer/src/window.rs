//! The sliding window of convolutions and pools.

use alloc::format;
use alloc::string::String;
use serde::Serialize;

/// Kernel size, stride, padding and dilation of a sliding window: each down and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows.
    #[serde(skip_serializing_if = "is_one")]
    pub stride: [usize; 2],
    /// Rows above and below the image, and columns left and right of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub padding: [usize; 2],
    /// Distance between neighbouring taps.
    #[serde(skip_serializing_if = "is_one")]
    pub dilation: [usize; 2],
}

fn is_one(pair: &[usize; 2]) -> bool {
    *pair == [1, 1]
}

fn is_zero(pair: &[usize; 2]) -> bool {
    *pair == [0, 0]
}

/// Largest number in a window.
const MOST: usize = 1 << 16;
/// Most taps of a window.
const MOST_TAPS: u64 = 1 << 20;

impl Window {
    /// Number of taps.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Returns height and width of the output for an input of this height and width.
    ///
    /// # Errors
    ///
    /// Returns an error if the window does not fit the input.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2], String> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let [kernel, stride, dilation] = [self.kernel, self.stride, self.dilation].map(|pair| pair[axis]);
            let padding = self.padding[axis];
            if !([kernel, stride, dilation].iter().all(|n| (1..=MOST).contains(n)) && padding <= MOST) {
                return Err(format!("the window {self:?} is invalid"));
            }
            let (reach, padded) = ((kernel - 1) as u64 * dilation as u64 + 1, (input[axis] + 2 * padding) as u64);
            if reach > padded {
                return Err(format!("the window {self:?} is larger than its padded input of {input:?}"));
            }
            output[axis] = ((padded - reach) / stride as u64 + 1) as usize;
        }
        if self.kernel[0] as u64 * self.kernel[1] as u64 > MOST_TAPS {
            return Err(format!("the window {self:?} has more than {MOST_TAPS} taps"));
        }
        Ok(output)
    }

    /// Returns the pixel under tap `[r, s]` of the window at output pixel `[y, x]`; `None` outside
    /// the image.
    #[inline(always)]
    pub fn source(&self, [h, w]: [usize; 2], [y, x]: [usize; 2], [r, s]: [usize; 2]) -> Option<[usize; 2]> {
        let y = (y * self.stride[0] + r * self.dilation[0]).checked_sub(self.padding[0])?;
        let x = (x * self.stride[1] + s * self.dilation[1]).checked_sub(self.padding[1])?;
        (y < h && x < w).then_some([y, x])
    }

    /// Copies what the window at output pixel `place` reads of an image of h·w pixels of `len` elements, tap
    /// by tap; `outside` where it leaves the image.
    #[inline(always)]
    pub(crate) fn gather<T: Copy>(
        &self,
        x: &[T],
        [h, w, len]: [usize; 3],
        place: [usize; 2],
        outside: T,
        to: &mut [T],
    ) {
        let across = self.kernel[1] * len;
        for (r, line) in to.chunks_mut(across).take(self.kernel[0]).enumerate() {
            // A whole line of the window lies side by side.
            let ends = (self.source([h, w], place, [r, 0]), self.source([h, w], place, [r, self.kernel[1] - 1]));
            if let (1, (Some([y, left]), Some(_))) = (self.dilation[1], ends) {
                line.copy_from_slice(&x[(y * w + left) * len..][..across]);
                continue;
            }
            for (s, to) in line.chunks_exact_mut(len).enumerate() {
                match self.source([h, w], place, [r, s]) {
                    Some([y, at]) => to.copy_from_slice(&x[(y * w + at) * len..][..len]),
                    None => to.fill(outside),
                }
            }
        }
    }
}
