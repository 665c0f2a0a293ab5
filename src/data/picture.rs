//! Converts picture files to network input.
//!
//! Prediction must prepare pictures as training does. Pictures of a `folder` are rotated by their
//! EXIF orientation and scaled according to the recipe's `fit` and `resize`, in training and in
//! predictions; other networks only take pictures of their input's size. Colour is converted to
//! grey and vice versa, as the network has one channel or three; transparency is ignored. A
//! picture's 0..=255 becomes 0..=`max_pixel`, rounded: for digits 0..=16, where, as in that set,
//! ink is bright and paper black.
//!
//! **Invariant:** whatever a file contains, reading it gives a picture or an error: a panic in a
//! decoder is caught. No memory is allocated on the basis of a file's claimed size: a file or
//! picture of more than 512 MiB, decoded or not, is refused.
use super::file_kind::{self, FileKind};
use super::panics::catch_panic;
use super::{Fit, Set, Split};
use crate::error::io_words;
use crate::files::open;
use crate::{Error, Result};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits};
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

/// Maximum bytes read from a file, equal to the limit for a decoded picture.
const MOST_BYTES: u64 = 512 << 20;

/// Why a file does not give a picture.
#[derive(Debug)]
pub(super) struct Fault {
    /// Short form, for a list of files: "a zip archive".
    pub(super) brief: String,
    /// Full form, with what to do.
    full: String,
    /// Whether the file could not be read, in which case a later attempt may succeed.
    pub(super) unread: bool,
}

impl Fault {
    fn new(brief: impl Into<String>, full: impl Into<String>) -> Self {
        Self { brief: brief.into(), full: full.into(), unread: false }
    }

    fn unread(error: std::io::Error) -> Self {
        Self { unread: true, ..Self::new(format!("cannot be read: {error}"), io_words(&error)) }
    }

    /// The error for a file that starts with `bytes`: its kind if it is not a picture, else the
    /// decoder's error.
    fn no_picture(bytes: &[u8], error: &ImageError) -> Self {
        // Some decoders end their messages with a newline.
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let full = format!("not a picture that can be read ({reason}); PNG and JPEG can");
        let format = image::guess_format(bytes).ok().filter(ImageFormat::reading_enabled);
        let name = format.map(|format| format.extensions_str()[0].to_uppercase());
        match (name, error) {
            (_, ImageError::Limits(_)) => {
                Self::new("larger than 512 MiB when decoded", "larger than 512 MiB when decoded; scale it down first")
            }
            (Some(name), ImageError::Unsupported(_)) => {
                Self::new(format!("a {name} file of a kind that cannot be read"), full)
            }
            (Some(name), _) => Self::new(format!("a damaged {name} file"), full),
            (None, _) => match FileKind::of(bytes) {
                Some(kind) => {
                    let (what, advice) = (kind.what, kind.advice_or("PNG and JPEG can be read"));
                    Self::new(what, format!("not a picture but {what}; {advice}"))
                }
                None => Self::new("not a picture that can be read", full),
            },
        }
    }

    /// The error for a file that was found to be damaged before.
    pub(super) fn known() -> Self {
        Self::new("damaged", "not a picture that can be read")
    }

    /// The error for a decoder that has panicked.
    fn panicked() -> Self {
        Self::new(
            "its decoder failed",
            "not a picture that can be read (its decoder failed); open it in an image editor and save it as PNG",
        )
    }

    /// The error for the file `path`.
    pub(super) fn of(self, path: &Path) -> Error {
        Error::Data(format!("{}: {}", path.display(), self.full))
    }
}

/// A picture as the input of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputImage {
    /// Bytes H, W, C from 0 to the set's largest pixel ([`super::Format::max_pixel`]), to be
    /// normalised as the training images were.
    pub pixels: Vec<u8>,
    /// Width and height of the picture, if it was scaled.
    pub scaled_from: Option<[u32; 2]>,
}

/// Reads the picture `path`, of any size, for networks on `set`, as the set's own images are read:
/// those of a folder are scaled as the recipe says, then cropped to the centre. Other sets have
/// images of one size; for them the largest centred part with the proportions of the input is scaled
/// to it.
///
/// # Errors
///
/// Returns an error if the file cannot be read or is not a picture, or if the network has neither
/// one channel nor three.
pub fn image_to_input(path: impl AsRef<Path>, set: &Set) -> Result<InputImage> {
    let path = path.as_ref();
    let (source, fit) = (set.source(), set.fit().unwrap_or(Fit::Crop));
    let mut size = [0; 2];
    let pixels =
        fitted_of(path, source, fit, |width, height| size = [width, height]).map_err(|fault| fault.of(path))?;
    let most = u32::from(set.max_pixel());
    let rounded = |byte: u8| ((u32::from(byte) * most + 127) / 255) as u8;
    let image = Split::new(source, pixels.into_iter().map(rounded).collect(), vec![0]);
    let pixels = Split { input: set.image(), ..image }.centre_crops(&[0])?;
    let scaled_from = (size.map(|side| side as usize) != [source[2], source[1]]).then_some(size);
    Ok(InputImage { pixels, scaled_from })
}

/// The picture `path` as an image of the `shape` (channels, height, width): bytes H, W, C.
pub(super) fn fitted(path: &Path, shape: [usize; 3], fit: Fit) -> Result<Vec<u8>, Fault> {
    fitted_of(path, shape, fit, |_, _| ())
}

/// Like [`fitted`]; reports the picture's width and height.
fn fitted_of(path: &Path, shape: [usize; 3], fit: Fit, size: impl FnOnce(u32, u32)) -> Result<Vec<u8>, Fault> {
    let [channels, height, width] = shape;
    if !matches!(channels, 1 | 3) {
        return Err(no_channels(channels));
    }
    let scale = |mut picture: DynamicImage| {
        size(picture.width(), picture.height());
        if fit == Fit::Crop {
            let [left, top, columns, rows] =
                largest([picture.width(), picture.height()], [width as u64, height as u64]);
            picture = picture.crop_imm(left, top, columns, rows);
        }
        // The sides of a recipe's images are at most 2²⁰.
        let (width, height) = (width as u32, height as u32);
        if (picture.width(), picture.height()) == (width, height) {
            return Ok(if channels == 1 { picture.into_luma8().into_raw() } else { picture.into_rgb8().into_raw() });
        }
        Ok(match channels {
            1 => imageops::resize(&picture.into_luma8(), width, height, FilterType::Triangle).into_raw(),
            _ => imageops::resize(&picture.into_rgb8(), width, height, FilterType::Triangle).into_raw(),
        })
    };
    decoded(path, scale)
}

/// The largest centred part of a picture of this width and height with the proportions of `wanted`,
/// rounded: left, top, width, height.
fn largest([width, height]: [u32; 2], wanted: [u64; 2]) -> [u32; 4] {
    let part = |side: u32, own: u64, other: u64| ((u64::from(side) * own + other / 2) / other.max(1)) as u32;
    let columns = part(height, wanted[0], wanted[1]).clamp(1, width.max(1));
    let rows = part(width, wanted[1], wanted[0]).clamp(1, height.max(1));
    [(width - columns) / 2, (height - rows) / 2, columns, rows]
}

/// What a picture looks like.
pub(super) struct Look {
    /// Width and height.
    pub(super) size: [u32; 2],
    /// Whether it has no colours.
    pub(super) grey: bool,
}

/// Decodes the picture `path` to see what it looks like.
pub(super) fn look(path: &Path) -> Result<Look, Fault> {
    decoded(path, |picture| {
        let size = [picture.width(), picture.height()];
        let grey = !picture.color().has_color()
            || picture.into_rgb8().pixels().all(|pixel| {
                // JPEG's colours of a grey picture are rounded.
                let [r, g, b] = pixel.0;
                r.abs_diff(g).max(g.abs_diff(b)) <= 2
            });
        Ok(Look { size, grey })
    })
}

/// Checks whether a file may be a picture, without decoding it: its first bytes must be those of a
/// readable format, and its size must fit into memory. For JPEG, whose size may be anywhere in the
/// file, only the first bytes are checked.
pub(super) fn check(path: &Path) -> Result<(), Fault> {
    let mut file = open(path).map(BufReader::new).map_err(Fault::unread)?;
    let mut start = Vec::with_capacity(file_kind::START);
    file.by_ref().take(file_kind::START as u64).read_to_end(&mut start).map_err(Fault::unread)?;
    file.rewind().map_err(Fault::unread)?;
    let checked = catch_panic(|| {
        let reader = ImageReader::new(file).with_guessed_format().map_err(Fault::unread)?;
        match reader.format() {
            Some(ImageFormat::Jpeg) => Ok(()),
            _ => decoder(reader).map(|_| ()).map_err(|error| Fault::no_picture(&start, &error)),
        }
    });
    checked.unwrap_or_else(|| Err(Fault::panicked()))
}

/// Decodes the picture `path`, applies its EXIF orientation, and converts it.
fn decoded<T>(path: &Path, convert: impl FnOnce(DynamicImage) -> Result<T, Fault>) -> Result<T, Fault> {
    let mut bytes = Vec::new();
    let file = open(path).map_err(Fault::unread)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Fault::unread)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Fault::new(
            "more than 512 MiB",
            "more than 512 MiB, the maximum for a picture; scale it down first",
        ));
    }
    let no_picture = |error: ImageError| Fault::no_picture(&bytes, &error);
    let decode = || {
        let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(Fault::unread)?;
        let jpeg = reader.format() == Some(ImageFormat::Jpeg);
        let mut decoder = decoder(reader).map_err(no_picture)?;
        if jpeg && !jpeg_ends(&bytes) {
            return Err(Fault::new("a damaged JPG file", "the JPEG ends too early; fetch or write it again"));
        }
        let orientation = decoder.orientation().map_err(no_picture)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(no_picture)?;
        picture.apply_orientation(orientation);
        convert(picture)
    };
    catch_panic(decode).unwrap_or_else(|| Err(Fault::panicked()))
}

fn decoder<'a, R: BufRead + Seek + 'a>(reader: ImageReader<R>) -> ImageResult<impl ImageDecoder + 'a> {
    let decoder = reader.into_decoder()?;
    Limits::default().reserve(decoder.total_bytes())?;
    Ok(decoder)
}

/// Whether a JPEG is complete. The decoder accepts truncated files and fills the rest with grey.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 0;
    loop {
        // Markers are 0xff and a byte with their type. The types excluded here have no payload or
        // are not markers: a byte 0xff among pixels is followed by 0.
        let marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 1 | 0xd0..=0xd8 | 0xff);
        let rest = bytes.get(at..).unwrap_or_default();
        let Some([_, which, len @ ..]) = rest.windows(2).position(marker).map(|skip| &rest[skip..]) else {
            return false;
        };
        if *which == 0xd9 {
            return true;
        }
        let &[high, low, ..] = len else { return false };
        at = bytes.len() - len.len() + usize::from(u16::from_be_bytes([high, low]));
    }
}

fn no_channels(channels: usize) -> Fault {
    Fault::new(
        "another number of channels",
        format!("the network takes {channels} channels; pictures have 1 (grey) or 3 (colour)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Digits, Folder};
    use image::{GrayImage, Luma, Rgb, RgbImage};

    fn scaled_to(path: &Path, image: [usize; 3]) -> Result<Vec<u8>> {
        let (dir, classes, pictures) = (Default::default(), 2, Default::default());
        image_to_input(path, &Folder { dir, image, classes, pictures }.into()).map(|image| image.pixels)
    }

    fn message(path: &Path, input: [usize; 3]) -> String {
        scaled_to(path, input).expect_err("must fail").to_string()
    }

    #[test]
    fn grey_and_colour_become_what_the_network_takes() {
        let dir = tempfile::tempdir().unwrap();
        let grey = dir.path().join("grey.png");
        GrayImage::from_fn(3, 2, |x, y| Luma([[[0, 8, 9], [128, 246, 255]][y as usize][x as usize]]))
            .save(&grey)
            .unwrap();
        assert_eq!(scaled_to(&grey, [1, 2, 3]).unwrap(), [0, 8, 9, 128, 246, 255]);
        assert_eq!(scaled_to(&grey, [3, 2, 3]).unwrap()[..6], [0, 0, 0, 8, 8, 8]);
        let colour = dir.path().join("colour.png");
        RgbImage::from_pixel(2, 1, Rgb([10, 20, 30])).save(&colour).unwrap();
        assert_eq!(scaled_to(&colour, [3, 1, 2]).unwrap(), [10, 20, 30, 10, 20, 30]);
        assert_eq!(scaled_to(&colour, [1, 1, 2]).unwrap().len(), 2);
    }

    #[test]
    fn sets_of_one_size_take_pictures_of_any() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("digit.png");
        GrayImage::from_fn(8, 8, |x, y| Luma([[0, 8, 9, 128, 246, 255, 0, 0][(x + 8 * y) as usize % 8]]))
            .save(&path)
            .unwrap();
        let exact = image_to_input(&path, &Digits.into()).unwrap();
        assert_eq!((&exact.pixels[..6], exact.scaled_from), (&[0, 1, 1, 8, 15, 16][..], None));
        // A bar in the centre of a wide picture, whose sides are cut off.
        GrayImage::from_fn(32, 16, |x, _| Luma([if (14..18).contains(&x) { 255 } else { 0 }])).save(&path).unwrap();
        let scaled = image_to_input(&path, &Digits.into()).unwrap();
        assert_eq!(scaled.scaled_from, Some([32, 16]));
        let row = &scaled.pixels[..8];
        assert!(row[3] > 8 && row[4] > 8 && row[0] == 0 && row[7] == 0, "{row:?}");
    }

    #[test]
    fn any_size_is_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        GrayImage::from_fn(4, 4, |x, _| Luma([if x < 2 { 40 } else { 200 }])).save(&path).unwrap();
        assert_eq!(scaled_to(&path, [1, 4, 4]).unwrap()[..4], [40, 40, 200, 200]);
        let small = scaled_to(&path, [3, 1, 2]).unwrap();
        assert!(small.len() == 6 && small[..3].iter().all(|&v| v == small[0]), "{small:?}");
        assert!((40..80).contains(&small[0]) && (160..=200).contains(&small[3]), "{small:?}");
        assert_eq!(scaled_to(&path, [3, 8, 6]).unwrap().len(), 144);
        assert!(scaled_to(&path, [2, 4, 4]).unwrap_err().to_string().contains("2 channels"));
    }

    #[test]
    fn what_is_no_input_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        RgbImage::new(4, 2).save(&path).unwrap();
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
