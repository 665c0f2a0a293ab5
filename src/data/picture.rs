//! A picture file as a network's input, for predictions.
//!
//! Pictures are never resized or cropped: what a network sees must be what it was trained on. Colours become grey, and grey
//! becomes colour, as the network has one channel or three; transparency is ignored. A picture's 0..=255 becomes
//! 0..=`max_pixel`, rounded: for digits 0..=16, so that, as in that set, ink is bright and paper black.
use crate::{Error, Result};
use image::ImageReader;
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
    let open = || ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io(path));
    let no_picture = |error| wrong(format!("not a picture that can be read ({error}); PNG and JPEG can"));
    // The size is looked at before anything is decoded.
    let (w, h) = open()?.into_dimensions().map_err(no_picture)?;
    if (w as usize, h as usize) != (width, height) {
        return Err(wrong(format!(
            "{w}×{h} pixels, but the network takes {width}×{height} (width × height); scale it to that size first"
        )));
    }
    let picture = open()?.decode().map_err(no_picture)?;
    let bytes = match channels {
        1 => picture.into_luma8().into_raw(),
        3 => picture.into_rgb8().into_raw(),
        _ => {
            return Err(wrong(format!(
                "the network takes {channels} channels; only 1 (grey) and 3 (colour) are pictures"
            )));
        }
    };
    let rounded = |byte: u8| ((u32::from(byte) * u32::from(max_pixel) + 127) / 255) as u8;
    Ok(bytes.into_iter().map(rounded).collect())
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
