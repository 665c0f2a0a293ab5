//! Weights and codes as images: sheets of tiles, with each pixel enlarged to a visible square.

use crate::plots::series::extent;
use crate::train::checkpoint::HostTensor;
use crate::train::inspect::Activation;
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use std::io::Cursor;

/// Minimum side of a tile in pixels, reached by enlarging with an integer factor.
const SMALLEST: u32 = 32;
/// Maximum side of a tile in pixels; larger tiles are reduced.
const LARGEST: u32 = 64;
/// Transparent pixels between two tiles.
const GAP: u32 = 4;
/// Additional pixels between an image and its channels.
const APART: u32 = 10;
/// Maximum number of filters shown of a layer, and of filters in a row.
const MOST_FILTERS: usize = 256;
const MOST_IN_A_ROW: usize = 14;
/// Maximum number of channels shown of an image.
const MOST_CHANNELS: usize = 12;

/// An image in the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sheet {
    pub(super) image: RgbaImage,
    /// Its caption.
    pub(super) text: String,
}

/// Draws the filters of a convolution over the input, `[filters, channels, height, width]`: in
/// colour for three channels, else as the mean over the channels in grey.
///
/// Each filter is scaled separately so that its weight of the largest magnitude is fully black or
/// white; 0 is mid-grey.
pub(super) fn filters(weight: &HostTensor) -> Option<Sheet> {
    let [filters, channels, height, width] = weight.shape[..] else { return None };
    let per_filter = channels * height * width;
    if per_filter == 0 || weight.values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let tile = |filter: &[f32]| {
        let most = filter.iter().fold(0.0_f32, |most, value| most.max(value.abs())).max(f32::MIN_POSITIVE);
        let level = |value: f32| (127.5 + 127.5 * value / most).round() as u8;
        let at = |channel: usize, x: u32, y: u32| filter[(channel * height + y as usize) * width + x as usize];
        RgbImage::from_fn(width as u32, height as u32, |x, y| match channels {
            3 => Rgb([0, 1, 2].map(|channel| level(at(channel, x, y)))),
            _ => {
                let sum: f64 = (0..channels).map(|channel| f64::from(at(channel, x, y))).sum();
                Rgb([level((sum / channels as f64) as f32); 3])
            }
        })
    };
    let tiles: Vec<_> = weight.values.chunks_exact(per_filter).take(MOST_FILTERS).map(tile).collect();
    let shown = if tiles.len() < filters { format!(", of which {} are shown", tiles.len()) } else { String::new() };
    let colours = if channels == 3 { "in red, green and blue" } else { "in grey" };
    let over = if channels == 1 { "1 channel".to_string() } else { format!("{channels} channels") };
    let text = format!("{filters} filters of {height} × {width} over {over}{shown}, {colours}");
    // Rows of equal length, as far as possible.
    let columns = tiles.len().div_ceil(tiles.len().div_ceil(MOST_IN_A_ROW).max(1));
    Some(Sheet { image: sheet(&tiles, columns, 0), text })
}

/// Draws the codes of a quantiser for some images: one row per image, the image followed by its
/// channels. Black is the lowest code, white the highest.
pub(super) fn feature_maps(activation: &Activation, inputs: &[RgbImage]) -> Option<Sheet> {
    let [images, height, width, channels] = match activation.ty.shape[..] {
        [images, height, width, channels] => [images, height, width, channels],
        [images, channels] => [images, 1, 1, channels],
        _ => return None,
    };
    let levels = activation.shares()?.len();
    if activation.stem != "quantise" || images != inputs.len() || height * width * channels == 0 {
        return None;
    }
    let codes = activation.values();
    let grey = |code: i32| Rgb([(255 * code / (levels as i32 - 1).max(1)) as u8; 3]);
    let mut tiles = Vec::new();
    let flat = height * width == 1;
    let shown = if flat { channels } else { channels.min(MOST_CHANNELS) };
    for (input, codes) in inputs.iter().zip(codes.chunks_exact(height * width * channels)) {
        tiles.push(input.clone());
        if flat {
            // One code per channel: all channels form one tile.
            let side = (channels as f64).sqrt().ceil() as u32;
            tiles.push(RgbImage::from_fn(side, (channels as u32).div_ceil(side), |x, y| {
                codes.get((y * side + x) as usize).map_or(Rgb([127; 3]), |&code| grey(code))
            }));
            continue;
        }
        tiles.extend((0..shown).map(|channel| {
            RgbImage::from_fn(width as u32, height as u32, |x, y| {
                grey(codes[(y as usize * width + x as usize) * channels + channel])
            })
        }));
    }
    let columns = tiles.len() / images;
    let part = if shown < channels { format!("the first {shown} of {channels}") } else { channels.to_string() };
    let text = format!("{part} channels of {height} × {width}, {levels} levels");
    Some(Sheet { image: sheet(&tiles, columns, APART), text })
}

/// Converts pixels to an image: channels last, values from 0 to `most`.
pub(super) fn input(pixels: &[u8], [channels, height, width]: [usize; 3], most: u8) -> RgbImage {
    let level = |pixel: u8| (u32::from(pixel) * 255 / u32::from(most.max(1))).min(255) as u8;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let pixel = &pixels[(y as usize * width + x as usize) * channels..][..channels];
        match channels {
            3 => Rgb([0, 1, 2].map(|channel| level(pixel[channel]))),
            _ => Rgb([level(pixel[0]); 3]),
        }
    })
}

/// Arranges tiles in rows of `columns`, in cells of the size of the largest tile, with `apart` more
/// pixels after the first column.
fn sheet(tiles: &[RgbImage], columns: usize, apart: u32) -> RgbaImage {
    let tiles: Vec<_> = tiles.iter().map(enlarged).collect();
    let columns = columns.min(tiles.len()).max(1) as u32;
    let side = |of: fn(&RgbImage) -> u32| {
        extent(tiles.iter().map(|tile| f64::from(of(tile)))).map_or(1, |(_, most)| most as u32)
    };
    let (width, height) = (side(RgbImage::width) + GAP, side(RgbImage::height) + GAP);
    let rows = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbaImage::new(columns * width - GAP + apart, (rows * height).max(GAP + 1) - GAP);
    for (at, tile) in (0..).zip(&tiles) {
        let (column, row) = (at % columns, at / columns);
        let (left, top) = (column * width + if column > 0 { apart } else { 0 }, row * height);
        tile.enumerate_pixels()
            .for_each(|(x, y, &Rgb([r, g, b]))| sheet.put_pixel(left + x, top + y, Rgba([r, g, b, 255])));
    }
    sheet
}

fn enlarged(tile: &RgbImage) -> RgbImage {
    let longest = tile.width().max(tile.height()).max(1);
    if longest > LARGEST {
        let reduced = |side: u32| (side * LARGEST / longest).max(1);
        return imageops::thumbnail(tile, reduced(tile.width()), reduced(tile.height()));
    }
    let factor = SMALLEST.div_ceil(longest);
    imageops::resize(tile, tile.width() * factor, tile.height() * factor, FilterType::Nearest)
}

/// Encodes an image as PNG.
pub(super) fn png(image: &RgbaImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).expect("a picture in memory can be written as PNG");
    file.into_inner()
}

/// Encodes a PNG file as a data URL.
pub(super) fn address(png: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "data:image/png;base64,".to_string();
    for chunk in png.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char;
            text.push(if at > chunk.len() { '=' } else { digit });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_base64() {
        let coded = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, expected) in coded {
            assert_eq!(address(text.as_bytes()), format!("data:image/png;base64,{expected}"));
        }
    }

    #[test]
    fn filters_are_grey_or_coloured() {
        let weight = |shape: [usize; 4], values: &[f32]| HostTensor { shape: shape.to_vec(), values: values.to_vec() };
        let grey = filters(&weight([2, 1, 1, 2], &[1.0, -1.0, 0.5, 0.0])).unwrap();
        // Two tiles of 2 × 1, enlarged sixteen times, with a gap between them.
        assert_eq!(grey.image.dimensions(), (2 * 32 + GAP, 16));
        let at = |x: u32| grey.image.get_pixel(x, 0).0;
        assert_eq!([at(0), at(16)], [[255; 4], [0, 0, 0, 255]]);
        assert_eq!([at(32), at(36), at(52)], [[0; 4], [255; 4], [128, 128, 128, 255]]);
        let red = filters(&weight([1, 3, 1, 1], &[2.0, 0.0, -2.0])).unwrap();
        assert_eq!(red.image.get_pixel(5, 5).0, [255, 128, 0, 255]);
        assert!(red.text.contains("red") && grey.text.contains("grey"));
        assert!(filters(&weight([1, 1, 1, 1], &[f32::NAN])).is_none());
        assert!(filters(&HostTensor { shape: vec![2], values: vec![1.0, 2.0] }).is_none());
    }

    #[test]
    fn large_pictures_are_reduced() {
        let pixels = vec![8; 300 * 200];
        let large = sheet(&[input(&pixels, [1, 300, 200], 16)], 4, 0);
        assert_eq!(large.dimensions(), (42, 64));
        assert_eq!(large.get_pixel(3, 3).0, [127, 127, 127, 255]);
    }
}
