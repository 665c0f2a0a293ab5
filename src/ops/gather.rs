//! `gather`: fetches a batch of images from a byte store by index, augments and normalises them.
//!
//! An image of the store is h·w·c bytes, row by row, channels last. An output pixel is
//! `table[byte, channel]`, less the per-pixel `mean` if there is one: every normalisation is a
//! table of 256 numbers per channel, so the result is bit-identical on every device. Augmentation,
//! in this order: a border of `pad` pixels around the image; a crop of the output's size at a
//! random position; a horizontal flip with probability ½; a square of zeros at a random position
//! (cutout: DeVries and Taylor, 2017, arXiv 1708.04552; its centre is anywhere in the image, the
//! square is clipped at the edge, and it is zero after normalisation). Random numbers are drawn by
//! counter for each position in the batch: word 0 of quad n gives the crop's row, word 1 its
//! column, the top bit of word 2 the flip; words 0 and 1 of quad n + 2^31 give the centre of the
//! square. A word r chooses one of k as ⌊r·k / 2^32⌋.
//!
//! The store is split into parts of whole images, none larger than the largest binding of the
//! device; one launch per part writes the images that it contains. Bytes before normalisation are
//! exact, and so are the floats.

use super::dropout::{PHILOX, check_random, drawing};
use super::{Activity, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand::*, Program};
use crate::parallel;
use crate::random;
use crate::tensor::{
    Encoding::{F32, U32},
    Tensor, TensorType, View, ViewMut,
};

/// Value of a border pixel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Padding {
    /// Byte 0; with a per-pixel mean, which is undefined there, that mean: 0 after normalisation.
    #[default]
    Zero,
    /// The nearest pixel of the image.
    Replicate,
    /// The image mirrored at its outermost pixels, which are not repeated; the border must be
    /// narrower than the image.
    Reflect,
}

/// Data augmentation. None by default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Augment {
    /// Width of the border into which the crop may extend, in pixels on each side.
    pub pad: usize,
    /// Value of the border pixels.
    pub padding: Padding,
    /// Whether images are flipped horizontally with probability ½.
    pub mirror: bool,
    /// Side of the square that is cut out, in pixels; 0 for none.
    pub cutout: usize,
}

/// Fetches a batch from a store: inputs index `[n]`, table `[256, c]`, then random `[4]` if random
/// numbers are drawn, then the mean `[h, w, c]` of the store's images if it is subtracted, then the
/// parts of the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gather {
    /// Rows, columns and channels of an image in the store.
    pub source: [usize; 3],
    /// Rows and columns of an output image; at most those of the source.
    pub size: [usize; 2],
    /// Number of images in the store.
    pub images: usize,
    /// Number of images in each part except the last.
    pub part_images: usize,
    /// Augmentation of the images.
    pub augment: Augment,
    /// Whether a per-pixel mean is subtracted.
    pub mean: bool,
    /// Stream of random numbers: the low half of [`random::stream`] of a name.
    pub stream: u32,
}

crate::params! {
    struct GatherParams {
        quads: u32, row: u32, h: u32, w: u32, source_h: u32, source_w: u32, shifts_h: u32, shifts_w: u32, pad: u32,
        cutout: u32, stream: u32, first: u32, images: u32,
    }
}

/// Bit set in the index of the quad that gives the centre of the cut-out square.
const SQUARE: u32 = 1 << 31;

/// Maps a random word to one of `count` choices.
fn choice(word: u32, count: usize) -> usize {
    ((u64::from(word) * count as u64) >> 32) as usize
}

impl Gather {
    /// Number of bytes of an image in the store.
    pub fn image_bytes(&self) -> usize {
        self.source.iter().product()
    }

    /// Whether random numbers are drawn: there is more than one crop position, or images are
    /// flipped or cut out.
    pub fn uses_random(&self) -> bool {
        self.augment.mirror || self.augment.cutout > 0 || self.shifts() != [1, 1]
    }

    /// Number of crop positions, down and across.
    fn shifts(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.source[axis] + 2 * self.augment.pad + 1 - self.size[axis])
    }

    /// First image and number of images of each part.
    pub fn parts(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (images, part_images) = (self.images, self.part_images.max(1));
        (0..images.div_ceil(part_images)).map(move |part| {
            let first = part * part_images;
            (first, part_images.min(images - first))
        })
    }

    /// Type of a part of `images` images: its bytes in little-endian words.
    pub fn part_type(&self, images: usize) -> TensorType {
        TensorType::new(&[(images * self.image_bytes()).div_ceil(4)], U32)
    }

    /// Index of the first part among the inputs.
    fn first_part(&self) -> usize {
        2 + usize::from(self.uses_random()) + usize::from(self.mean)
    }

    /// Row and column of the source pixel of an output pixel, or `None` in a zero border.
    fn origin(&self, [down, right]: [isize; 2]) -> Option<[usize; 2]> {
        let along = |at: isize, length: usize| {
            let last = length as isize - 1;
            match self.augment.padding {
                Padding::Zero => (0..=last).contains(&at).then_some(at as usize),
                Padding::Replicate => Some(at.clamp(0, last) as usize),
                Padding::Reflect => Some((last - (last - at.abs()).abs()) as usize),
            }
        };
        Some([along(down, self.source[0])?, along(right, self.source[1])?])
    }
}

impl Operation for Gather {
    fn stem(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let parts: Vec<_> = self.parts().collect();
        super::arity(inputs, self.first_part() + parts.len())?;
        let ([h, w, c], Augment { pad, padding, .. }) = (self.source, self.augment);
        if self.size[0] > h || self.size[1] > w {
            return Err(format!(
                "images of {h} × {w} pixels are smaller than the output of {} × {}",
                self.size[0], self.size[1]
            ));
        }
        if padding == Padding::Reflect && pad >= h.min(w) {
            return Err(format!(
                "images of {h} × {w} pixels are too small to reflect a border of {pad}: make it narrower"
            ));
        }
        if inputs[0].shape.len() != 1 || inputs[0].encoding != U32 {
            return Err(format!("the index must be u32[n], not {}", inputs[0]));
        }
        super::same("the table", inputs[1], &TensorType::f32(&[256, c]))?;
        if self.uses_random() {
            check_random(inputs[2])?;
        }
        if self.mean {
            super::same("the mean", inputs[self.first_part() - 1], &TensorType::f32(&[h, w, c]))?;
        }
        for (part, (_, images)) in inputs[self.first_part()..].iter().zip(parts) {
            super::same("a part of the store", part, &self.part_type(images))?;
        }
        Ok(TensorType::f32(&[inputs[0].len(), self.size[0], self.size[1], c]))
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Data)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let ([source_h, source_w, c], [n, h, w, _]) = (self.source, output.nhwc());
        let [shifts_h, shifts_w] = self.shifts();
        let quads = output.words() / 4;
        let draws = self.uses_random();
        let mut texts = vec![add::ELEMENTWISE, include_str!("../../shaders/gather.wgsl")];
        texts.extend(draws.then_some(PHILOX));
        let is = |padding| usize::from(self.augment.padding == padding);
        let parts = self.parts();
        let launches = parts.enumerate().map(|(part, (first, images))| {
            let params = GatherParams {
                quads: quads as u32,
                row: output.quads() as u32,
                h: h as u32,
                w: w as u32,
                source_h: source_h as u32,
                source_w: source_w as u32,
                shifts_h: shifts_h as u32,
                shifts_w: shifts_w as u32,
                pad: self.augment.pad as u32,
                cutout: self.augment.cutout as u32,
                stream: self.stream,
                first: first as u32,
                images: images as u32,
            };
            let mut launch = Launch::new("gather", &texts)
                .params(&params)
                .constant("CHANNELS", c)
                .constant("DRAWS", usize::from(draws))
                .constant("MIRROR", usize::from(self.augment.mirror))
                .constant("CUTOUT", usize::from(self.augment.cutout > 0))
                .constant("ZERO", is(Padding::Zero))
                .constant("REPLICATE", is(Padding::Replicate))
                .constant("REFLECT", is(Padding::Reflect))
                .constant("MEAN", usize::from(self.mean))
                .threads(quads)
                .read("index", U32, Input(0))
                .read("table", F32, Input(1));
            if draws {
                launch = drawing(launch, inputs[2], Input(2), 1);
            }
            if self.mean {
                launch = launch.read("mean", F32, Input(self.first_part() - 1));
            }
            let launch = launch.read("store", U32, Input(self.first_part() + part)).write("y", F32, Output);
            // Only the batch's images are read from the store; with several parts, the expected
            // share of this part if all images are equally likely.
            let share = (output.words() + n * self.image_bytes() / 4) * images / self.images;
            let means = if self.mean { self.source.iter().product() } else { 0 };
            launch.moves(share + means + 256 * output.lanes()).float_ops(if self.mean { output.len() } else { 0 })
        });
        Program { scratch_words: Vec::new(), launches: launches.collect() }
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let ([_, h, w, c], lanes) = (output.ty.nhwc(), output.ty.lanes());
        let ([_, source_w, _], Augment { pad, cutout, .. }) = (self.source, self.augment);
        let (index, table) = (inputs[0].words, inputs[1].numbers());
        let mean = self.mean.then(|| inputs[self.first_part() - 1].numbers());
        let parts: Vec<&[u8]> =
            inputs[self.first_part()..].iter().map(|part| bytemuck::cast_slice(part.words)).collect();
        let [shifts_h, shifts_w] = self.shifts();
        let first = if self.uses_random() { random::first_quad(inputs[2].words, 1) } else { 0 };
        let block =
            |quad: u32| if self.uses_random() { random::quad(inputs[2].words, quad, self.stream) } else { [0; 4] };
        parallel::rows(output.floats(), h * w * lanes, |n, out| {
            let (drawn, cut) = (block(first + n as u32), block(first + (n as u32 | SQUARE)));
            let corner = [choice(drawn[0], shifts_h), choice(drawn[1], shifts_w)].map(|at| at as isize - pad as isize);
            let mirrored = self.augment.mirror && drawn[2] >> 31 == 1;
            let centre = [choice(cut[0], h), choice(cut[1], w)];
            let square = |at: usize, centre: usize| (centre..centre + cutout).contains(&(at + cutout / 2));
            let image = index[n] as usize;
            let bytes = &parts[image / self.part_images][image % self.part_images * self.image_bytes()..];
            for (place, out) in out.chunks_exact_mut(lanes).enumerate() {
                let (y, x) = (place / w, place % w);
                out.fill(0.0);
                if square(y, centre[0]) && square(x, centre[1]) {
                    continue;
                }
                let column = if mirrored { w - 1 - x } else { x };
                let origin = self.origin([y as isize + corner[0], column as isize + corner[1]]);
                for (channel, out) in out[..c].iter_mut().enumerate() {
                    *out = match (origin, &mean) {
                        (None, Some(_)) => 0.0,
                        (None, None) => table[channel],
                        (Some([sy, sx]), mean) => {
                            let pixel = usize::from(bytes[(sy * source_w + sx) * c + channel]);
                            let mean = mean.as_ref().map_or(0.0, |mean| mean[(sy * source_w + sx) * lanes + channel]);
                            table[pixel * lanes + channel] - mean
                        }
                    };
                }
            }
        });
    }
}

impl Gather {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(110);
        let plain = Augment::default();
        let all = |pad, padding| Augment { pad, padding, mirror: true, cutout: 3 };
        // Source, size, images in total and per part, batch, augmentation, mean.
        let cases = [
            ([8, 8, 1], [8, 8], 5, 5, 7, plain, false),
            ([5, 7, 3], [5, 7], 9, 4, 6, plain, true),
            ([6, 5, 3], [6, 5], 11, 4, 9, all(2, Padding::Zero), false),
            ([6, 5, 3], [6, 5], 8, 8, 9, all(2, Padding::Zero), true),
            ([7, 6, 4], [5, 4], 7, 3, 8, all(0, Padding::Replicate), false),
            ([5, 6, 1], [5, 6], 7, 2, 8, all(4, Padding::Reflect), true),
            ([4, 9, 5], [3, 7], 6, 6, 5, Augment { pad: 3, padding: Padding::Replicate, ..plain }, true),
            ([6, 6, 6], [6, 6], 4, 4, 5, Augment { mirror: true, ..plain }, false),
        ];
        let sample =
            |(source, size, images, part_images, batch, augment, mean): ([usize; 3], _, usize, _, usize, _, bool)| {
                let op = Gather { source, size, images, part_images, augment, mean, stream: noise.bits() };
                let mut inputs = vec![noise.words(&[batch], images as u32), noise.floats(&[256, source[2]])];
                if op.uses_random() {
                    // Every other case is a micro-batch.
                    let words = noise.words(&[4], u32::MAX).words;
                    let micro = (images % 2 == 1).then_some(1000);
                    let words: Vec<_> = words.into_iter().chain(micro).collect();
                    inputs.push(Tensor::from_u32(&[words.len()], &words));
                }
                if mean {
                    inputs.push(noise.floats(&source));
                }
                inputs.extend(op.parts().map(|(_, images)| {
                    let words = op.part_type(images).len();
                    noise.words(&[words], u32::MAX)
                }));
                Sample::new(op, inputs)
            };
        cases.map(sample).into()
    }
}
