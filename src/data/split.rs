//! The images of one split, with their labels.

#[cfg(not(target_arch = "wasm32"))]
use super::Listing;
use super::Normalise;
#[cfg(not(target_arch = "wasm32"))]
use crate::Error;
use crate::Result;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::atomic::AtomicBool;

/// Images with their labels.
///
/// An image may be larger than the network's input, so that training can crop it at random;
/// otherwise its centre is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// Source of the pixels.
    pub pixels: Pixels,
    /// One label per image.
    pub labels: Vec<u16>,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Channels, height and width of the part used as the network's input, at most [`Self::shape`].
    pub input: [usize; 3],
}

/// Source of the pixels of a split.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// In memory: N, H, W, C.
    Memory(Vec<u8>),
    /// Decoded from files on every request.
    #[cfg(not(target_arch = "wasm32"))]
    Files(Listing),
}

impl Default for Pixels {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Split {
    /// Images of the `shape` (channels, height, width) in memory, pixels N, H, W, C; the whole
    /// image is the network's input.
    pub fn new(shape: [usize; 3], pixels: Vec<u8>, labels: Vec<u16>) -> Self {
        Self { pixels: Pixels::Memory(pixels), labels, shape, input: shape }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether an image has this label.
    pub(super) fn has(&self, class: usize) -> bool {
        self.labels.iter().any(|&label| usize::from(label) == class)
    }

    /// Bytes of one image: H·W·C.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// All pixels, N, H, W, C, if they are in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.pixels {
            Pixels::Memory(pixels) => Some(pixels),
            #[cfg(not(target_arch = "wasm32"))]
            Pixels::Files(_) => None,
        }
    }

    /// The pixels of the images at `index`, N, H, W, C. `index` must be within the split.
    ///
    /// A damaged file is skipped if the recipe says so: it is replaced by the next image of its
    /// class that can be decoded, in the split's order and cyclically. So batches keep their size,
    /// and the images used for training depend only on the files, not on interruptions.
    ///
    /// # Errors
    ///
    /// Returns an error if a damaged file must not be skipped, if a file can no longer be read, or
    /// if no image of a class can be decoded. In memory, none of this occurs.
    pub fn read(&self, index: &[u32]) -> Result<Vec<u8>> {
        match &self.pixels {
            Pixels::Memory(pixels) => Ok(gathered(pixels, self.image_len(), index)),
            #[cfg(not(target_arch = "wasm32"))]
            Pixels::Files(_) => self.read_until(index, &AtomicBool::new(false)),
        }
    }

    /// Like [`Self::read`]; once `stop` is set, images that are not decoded yet stay blank.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn read_until(&self, index: &[u32], stop: &AtomicBool) -> Result<Vec<u8>> {
        let Pixels::Files(listing) = &self.pixels else { return self.read(index) };
        let (mut images, faults) = listing.decode(index, stop);
        for (at, fault) in faults {
            listing.skip(index[at] as usize, fault)?;
            let image = self.replacement(listing, index[at], stop)?;
            images[at * self.image_len()..][..self.image_len()].copy_from_slice(&image);
        }
        Ok(images)
    }

    /// The image that replaces a damaged one.
    #[cfg(not(target_arch = "wasm32"))]
    fn replacement(&self, listing: &Listing, damaged: u32, stop: &AtomicBool) -> Result<Vec<u8>> {
        let label = self.labels[damaged as usize];
        let others = (damaged + 1..self.len() as u32).chain(0..damaged);
        for other in others.filter(|&other| self.labels[other as usize] == label) {
            let (image, fault) = listing.decode(&[other], stop);
            match fault.into_iter().next() {
                None => return Ok(image),
                Some((_, fault)) => listing.skip(other as usize, fault)?,
            }
        }
        let name = listing.name(damaged as usize);
        Err(Error::Data(format!("{name}: no picture of this class can be decoded; provide intact ones")))
    }

    /// Like [`Self::centre_crops`], with the labels, but without images whose files are damaged: they
    /// are not replaced.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::read`] does.
    pub fn intact_centre_crops(&self, index: &[u32]) -> Result<(Vec<u8>, Vec<u32>)> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Pixels::Files(listing) = &self.pixels {
            let (images, faults) = listing.decode(index, &AtomicBool::new(false));
            let mut whole = vec![true; index.len()];
            for (at, fault) in faults {
                listing.skip(index[at] as usize, fault)?;
                whole[at] = false;
            }
            let kept: Vec<u32> = (0..index.len() as u32).filter(|&at| whole[at as usize]).collect();
            let images = gathered(&images, self.image_len(), &kept);
            let index: Vec<u32> = kept.iter().map(|&at| index[at as usize]).collect();
            return Ok((self.cropped(images), self.labels_at(&index)));
        }
        Ok((self.centre_crops(index)?, self.labels_at(index)))
    }

    /// The labels of the images at `index`, as a session takes them.
    pub fn labels_at(&self, index: &[u32]) -> Vec<u32> {
        index.iter().map(|&at| u32::from(self.labels[at as usize])).collect()
    }

    /// The images at `positions` only, in that order.
    pub fn select(&self, positions: &[u32]) -> Self {
        let pixels = match &self.pixels {
            Pixels::Memory(pixels) => Pixels::Memory(gathered(pixels, self.image_len(), positions)),
            #[cfg(not(target_arch = "wasm32"))]
            Pixels::Files(listing) => Pixels::Files(listing.select(positions)),
        };
        let labels = positions.iter().map(|&at| self.labels[at as usize]).collect();
        Self { pixels, labels, shape: self.shape, input: self.input }
    }

    /// Row and column at which the centre crop for the network starts.
    pub fn centre(&self) -> [usize; 2] {
        let ([_, height, width], [_, rows, columns]) = (self.shape, self.input);
        [(height - rows) / 2, (width - columns) / 2]
    }

    /// The network's input part of the images at `index`: their centres, N, H, W, C. `index` must
    /// be within the split.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::read`] does.
    pub fn centre_crops(&self, index: &[u32]) -> Result<Vec<u8>> {
        Ok(self.cropped(self.read(index)?))
    }

    /// The centres of whole images.
    pub(super) fn cropped<T: Copy>(&self, pixels: Vec<T>) -> Vec<T> {
        if self.input == self.shape {
            return pixels;
        }
        let images = pixels.len() / self.image_len();
        let ([channels, height, width], [_, rows, columns], [top, left]) = (self.shape, self.input, self.centre());
        let mut seen = Vec::with_capacity(images * channels * rows * columns);
        for row in (0..images).flat_map(|at| (top..top + rows).map(move |row| at * height + row)) {
            seen.extend(&pixels[(row * width + left) * channels..][..columns * channels]);
        }
        seen
    }

    /// Like [`Self::centre_crops`], normalised as the network's input, N, H, W, C without any padding;
    /// and the labels.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Self::read`] does.
    pub fn normalised(&self, index: &[u32], normalise: &Normalise) -> Result<(Vec<f32>, Vec<u32>)> {
        Ok((self.cropped(normalise.images(&self.read(index)?)), self.labels_at(index)))
    }
}

fn gathered(pixels: &[u8], image_len: usize, index: &[u32]) -> Vec<u8> {
    let mut images = Vec::with_capacity(index.len() * image_len);
    index.iter().for_each(|&at| images.extend(&pixels[at as usize * image_len..][..image_len]));
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Digits;

    #[test]
    fn batches_are_scaled() {
        let split = Split::new([1, 1, 2], vec![0, 16, 8, 4, 1, 2], vec![7, 8, 9]);
        let normalise = Normalise::new(&Digits.into());
        let (values, labels) = split.normalised(&[2, 0], &normalise).unwrap();
        assert_eq!(values, [-0.4375, -0.375, -0.5, 0.5]);
        assert_eq!(labels, [9, 7]);
        assert_eq!(split.read(&[2, 0]).unwrap(), [1, 2, 0, 16]);
        assert_eq!(split.select(&[2, 0]), Split::new([1, 1, 2], vec![1, 2, 0, 16], vec![9, 7]));
        assert_eq!(Split::default().normalised(&[], &normalise).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn a_network_sees_the_centre() {
        // Pixel (row, column, channel) of image n is 100 n + 20 row + 2 column + channel.
        let pixels = (0..2).flat_map(|n| (0..4).flat_map(move |r| (0..10).map(move |c| 100 * n + 20 * r + c)));
        let mut split = Split::new([2, 4, 5], pixels.collect(), vec![0, 1]);
        split.input = [2, 1, 2];
        assert_eq!(split.centre(), [1, 1]);
        // Unscaled, minus a mean image of the pixel's row.
        let table = (0..512).map(|i| (i / 2) as f32).collect();
        let mean = (0..40).map(|i| (i / 10) as f32).collect();
        let mut normalise = Normalise { table, mean: None };
        let values = |normalise: &_| split.normalised(&[1, 0], normalise).unwrap().0;
        assert_eq!(values(&normalise), [122.0, 123.0, 124.0, 125.0, 22.0, 23.0, 24.0, 25.0]);
        normalise.mean = Some(mean);
        assert_eq!(values(&normalise), [121.0, 122.0, 123.0, 124.0, 21.0, 22.0, 23.0, 24.0]);
        split.input = [2, 4, 5];
        assert_eq!(split.normalised(&[0], &normalise).unwrap().0.len(), 40);
    }
}
