//! A picture file as a network's input.
//!
//! What a network sees must be what it was trained on. Pictures of a `folder` are turned as their camera says and scaled, the whole
//! of each, in training and in predictions; other networks take pictures of their input's size alone. Colours become grey, and grey
//! becomes colour, as the network has one channel or three; transparency is ignored. A picture's 0..=255 becomes
//! 0..=`max_pixel`, rounded: for digits 0..=16, so that, as in that set, ink is bright and paper black.
use crate::{Error, Result};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Reads the picture `path` for a network whose input has the shape `input` (channels, height, width): bytes H, W, C from 0
/// to `max_pixel` (16 for digits, else 255; [`crate::recipe::Set::max_pixel`]), to be scaled as the training images were.
///
/// Errors: a file that cannot be read or is no picture, another size than the network's, a network with neither one channel
/// nor three.
pub fn image_to_input(path: impl AsRef<Path>, input: [usize; 3], max_pixel: u8) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let [channels, height, width] = input;
    let wrong = |message: String| Error::Data(format!("{}: {message}", path.display()));
    // The size is looked at before anything is decoded.
    let (w, h) = open(path)?.into_dimensions().map_err(no_picture(path))?;
    if (w as usize, h as usize) != (width, height) {
        return Err(wrong(format!(
            "{w}×{h} pixels, but the network takes {width}×{height} (width × height); scale it to that size first"
        )));
    }
    let picture = open(path)?.decode().map_err(no_picture(path))?;
    let bytes = match channels {
        1 => picture.into_luma8().into_raw(),
        3 => picture.into_rgb8().into_raw(),
        _ => return Err(no_channels(path, channels)),
    };
    let rounded = |byte: u8| ((u32::from(byte) * u32::from(max_pixel) + 127) / 255) as u8;
    Ok(bytes.into_iter().map(rounded).collect())
}

/// Reads the picture `path`, of any size, as recipes on a folder see it: scaled to `input` (channels, height, width), bytes
/// H, W, C from 0 to 255.
///
/// Errors: a file that cannot be read or is no picture, a network with neither one channel nor three.
pub fn any_image_to_input(path: impl AsRef<Path>, input: [usize; 3]) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let [channels, height, width] = input;
    let (width, height) = (width as u32, height as u32); // a recipe's input is at most 2²⁰
    let mut decoder = open(path)?.into_decoder().map_err(no_picture(path))?;
    Limits::default().reserve(decoder.total_bytes()).map_err(no_picture(path))?;
    let orientation = decoder.orientation().map_err(no_picture(path))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(no_picture(path))?;
    picture.apply_orientation(orientation);
    match channels {
        1 => Ok(imageops::resize(&picture.into_luma8(), width, height, FilterType::Triangle).into_raw()),
        3 => Ok(imageops::resize(&picture.into_rgb8(), width, height, FilterType::Triangle).into_raw()),
        _ => Err(no_channels(path, channels)),
    }
}

fn open(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io(path))
}

fn no_picture(path: &Path) -> impl Fn(ImageError) -> Error {
    move |error| Error::Data(format!("{}: not a picture that can be read ({error}); PNG and JPEG can", path.display()))
}

fn no_channels(path: &Path, channels: usize) -> Error {
    Error::Data(format!(
        "{}: the network takes {channels} channels; only 1 (grey) and 3 (colour) are pictures",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    fn message(path: &Path, input: [usize; 3]) -> String {
        image_to_input(path, input, 255).expect_err("must fail").to_string()
    }

    #[test]
    fn grey_and_colour_become_what_the_network_takes() {
        let dir = tempfile::tempdir().unwrap();
        let grey = dir.path().join("grey.png");
        GrayImage::from_fn(3, 2, |x, y| Luma([[[0, 8, 9], [128, 246, 255]][y as usize][x as usize]]))
            .save(&grey)
            .unwrap();
        assert_eq!(image_to_input(&grey, [1, 2, 3], 255).unwrap(), [0, 8, 9, 128, 246, 255]);
        assert_eq!(image_to_input(&grey, [1, 2, 3], 16).unwrap(), [0, 1, 1, 8, 15, 16]);
        assert_eq!(image_to_input(&grey, [3, 2, 3], 255).unwrap()[..6], [0, 0, 0, 8, 8, 8]);
        let colour = dir.path().join("colour.png");
        RgbImage::from_pixel(2, 1, Rgb([10, 20, 30])).save(&colour).unwrap();
        assert_eq!(image_to_input(&colour, [3, 1, 2], 255).unwrap(), [10, 20, 30, 10, 20, 30]);
        assert_eq!(image_to_input(&colour, [1, 1, 2], 255).unwrap().len(), 2);
    }

    #[test]
    fn any_size_is_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        GrayImage::from_fn(4, 4, |x, _| Luma([if x < 2 { 40 } else { 200 }])).save(&path).unwrap();
        assert_eq!(any_image_to_input(&path, [1, 4, 4]).unwrap()[..4], [40, 40, 200, 200]);
        let small = any_image_to_input(&path, [3, 1, 2]).unwrap();
        assert!(small.len() == 6 && small[..3].iter().all(|&v| v == small[0]), "{small:?}");
        assert!((40..80).contains(&small[0]) && (160..=200).contains(&small[3]), "{small:?}");
        assert_eq!(any_image_to_input(&path, [3, 8, 6]).unwrap().len(), 144);
        assert!(any_image_to_input(&path, [2, 4, 4]).unwrap_err().to_string().contains("2 channels"));
    }

    #[test]
    fn what_is_no_input_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        RgbImage::new(4, 2).save(&path).unwrap();
        assert!(message(&path, [3, 4, 2]).contains("4×2 pixels, but the network takes 2×4"));
        assert!(message(&path, [2, 2, 4]).contains("2 channels"));
        assert!(message(&dir.path().join("none.png"), [1, 8, 8]).contains("none.png"));
        assert!(message(dir.path(), [1, 8, 8]).contains(dir.path().to_str().unwrap()));
        std::fs::write(&path, "words").unwrap();
        assert!(message(&path, [1, 8, 8]).contains("not a picture"));
        let whole = {
            RgbImage::new(4, 2).save(&path).unwrap();
            std::fs::read(&path).unwrap()
        };
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(message(&path, [3, 2, 4]).contains("not a picture"));
    }
}
