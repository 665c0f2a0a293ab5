//! Normalisation of bytes for the network: a table of 256 values per channel, minus a per-pixel
//! mean.
//!
//! x = (p·a + b − mean_c) / std_c − mean\[y, x, c\], each operation rounded; the kernel `gather`
//! and the host read the same table, so that both give the same bits.

use super::{Data, Pixels, Split};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalise {
    /// `[256, c]`: the value of each byte in each channel.
    pub table: Vec<f32>,
    /// `[h, w, c]`: the mean to subtract, for images in their stored size.
    pub mean: Option<Vec<f32>>,
}

impl Normalise {
    /// The normalisation that a recipe's `[data]` asks for, except the per-pixel mean.
    pub fn new(data: &Data) -> Self {
        let [channels, ..] = data.set.image();
        let table = (0..=u8::MAX).flat_map(|byte| (0..channels).map(move |channel| data.value(byte, channel)));
        Self { table: table.collect(), mean: None }
    }

    /// Channels of an image.
    pub fn channels(&self) -> usize {
        self.table.len() / 256
    }

    /// The mean over all images for each pixel and channel; bytes N, H, W, C, `image_len` per
    /// image.
    pub fn mean_of(&self, pixels: &[u8], image_len: usize) -> Vec<f32> {
        let channels = self.channels();
        let mut sums = vec![0.0f64; image_len];
        for image in pixels.chunks_exact(image_len) {
            let values =
                image.iter().enumerate().map(|(at, &byte)| self.table[byte as usize * channels + at % channels]);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        }
        let images = (pixels.len() / image_len.max(1)).max(1) as f64;
        sums.into_iter().map(|sum| (sum / images) as f32).collect()
    }

    /// The normalisation for images cropped to their centre, from `shape` to `input` (channels,
    /// height, width).
    pub fn centred(mut self, shape: [usize; 3], input: [usize; 3]) -> Self {
        let whole = |mean| Split { pixels: Pixels::default(), labels: vec![0], shape, input }.cropped(mean);
        self.mean = self.mean.map(whole);
        self
    }

    /// Normalises bytes N, H, W, C, in the same order.
    pub fn images(&self, pixels: &[u8]) -> Vec<f32> {
        let channels = self.channels();
        let value = |(at, &byte): (usize, &u8)| {
            let value = self.table[byte as usize * channels + at % channels];
            self.mean.as_ref().map_or(value, |mean| value - mean[at % mean.len()])
        };
        pixels.iter().enumerate().map(value).collect()
    }
}

/// The mean of the pixels at the border of a grey image, which shows its background.
pub fn border(image: &[u8], height: usize, width: usize) -> f32 {
    let at_border = |at: usize| {
        let [y, x] = [at / width, at % width];
        y == 0 || x == 0 || y == height - 1 || x == width - 1
    };
    let pixels = image.iter().enumerate().filter(|(at, _)| at_border(*at)).map(|(_, pixel)| f32::from(*pixel));
    let (sum, count) = pixels.fold((0.0, 0.0f32), |(sum, count), pixel| (sum + pixel, count + 1.0));
    sum / count.max(1.0)
}
