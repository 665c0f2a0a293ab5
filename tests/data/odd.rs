//! Unusual files among pictures: read, or left out and reported; never a panic, never much memory.
use super::{picture, tiff::planar};
use halfwave::data::{Dataset, image_to_input};
use halfwave::recipe::{Data, Fit, Folder, Pictures, Set, Undecodable};
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, RgbaImage};
use std::fs;
use std::path::Path;

fn set(dir: &Path, image: [usize; 3], undecodable: Undecodable, stream_above: u64) -> Set {
    let pictures = Pictures { undecodable, stream_above, fit: Fit::Stretch, ..Pictures::default() };
    Folder { dir: dir.into(), image, classes: 1, pictures }.into()
}

#[test]
fn a_decoder_that_panics_is_a_file_that_is_skipped() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    (0..5).for_each(|at| picture(&dir.join(format!("a/{at}.png")), 10 + at));
    let path = dir.join("a/0.tiff");
    fs::write(&path, planar()).unwrap();
    for stream_above in [1024, 0] {
        let data = Dataset::load(&set(dir, [1, 2, 2], Undecodable::Skip, stream_above).into()).unwrap();
        let all: Vec<u32> = (0..data.train.len() as u32).collect();
        let (pixels, _) = data.train.intact_centre_crops(&all).unwrap();
        // The fifth file by name is used for testing, counting the TIFF.
        assert_eq!(pixels.iter().step_by(4).copied().collect::<Vec<_>>(), [10, 11, 12, 14]);
        assert!(data.train.read(&all).is_ok());
        let refused = Dataset::load(&set(dir, [1, 2, 2], Undecodable::Refuse, stream_above).into())
            .and_then(|data| data.train.read(&all));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("a/0.tiff") && message.contains("its decoder failed"), "{message}");
    }
    let message = image_to_input(&path, &set(dir, [1, 2, 2], Undecodable::Skip, 0)).unwrap_err().to_string();
    assert!(message.contains("0.tiff: not a picture that can be read (its decoder failed)"), "{message}");
}

/// Bytes of a picture encoded by the image library.
fn encoded<P, C>(image: &ImageBuffer<P, C>, format: ImageFormat) -> Vec<u8>
where
    P: image::PixelWithColorType,
    [P::Subpixel]: image::EncodableLayout,
    C: std::ops::Deref<Target = [P::Subpixel]>,
{
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn no_change_of_a_byte_is_more_than_a_fault_of_that_file() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("changed");
    let set = set(base.path(), [1, 2, 2], Undecodable::Skip, 0);
    let colour = RgbImage::from_fn(9, 7, |x, y| Rgb([(20 * x) as u8, (30 * y) as u8, 7]));
    let formats = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
        ImageFormat::Pnm,
    ];
    let (mut read, mut refused) = (0, 0);
    for whole in formats.map(|format| encoded(&colour, format)).into_iter().chain([planar()]) {
        for at in (0..whole.len()).step_by(1 + whole.len() / 60) {
            for changed in [[&whole[..at], &[!whole[at]], &whole[at + 1..]].concat(), whole[..at].to_vec()] {
                fs::write(&path, changed).unwrap();
                match image_to_input(&path, &set) {
                    Ok(_) => read += 1,
                    Err(error) => {
                        let message = error.to_string();
                        assert!(message.contains("changed: ") && !message.contains('\n'), "{message:?}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(read > 50 && refused > 200, "{read} read, {refused} refused");
}

/// The same JPEG, with a tag for the camera's orientation.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff = [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0], &[0; 4]].concat();
    let exif = [b"Exif\0\0", &tiff[..]].concat();
    let len = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &len, &exif, &jpeg[2..]].concat()
}

#[test]
fn odd_pictures_are_read_as_they_look() {
    let base = tempfile::tempdir().unwrap();
    let left_dark = |x: u32| if x < 4 { 20u8 } else { 220 };
    let grey = GrayImage::from_fn(8, 8, |x, _| Luma([left_dark(x)]));
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(8, 8, |x, _| Luma([u16::from(left_dark(x)) * 257]));
    let clear = RgbaImage::from_fn(8, 8, |x, _| image::Rgba([left_dark(x), left_dark(x), left_dark(x), 0]));
    let mut animated = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut animated);
        for shade in [0u8, 255] {
            let frame = RgbaImage::from_fn(8, 8, |x, _| {
                let v = if shade == 0 { left_dark(x) } else { 255 };
                image::Rgba([v, v, v, 255])
            });
            encoder.encode_frame(Frame::from_parts(frame, 0, 0, Delay::from_numer_denom_ms(100, 1))).unwrap();
        }
    }
    // Lines of one bit per pixel, padded to four bytes; the palette is black and white.
    let bitmap = {
        let lines: Vec<u8> = (0..8).flat_map(|_| [0x0f, 0, 0, 0]).collect();
        let head = [
            &b"BM"[..],
            &94u32.to_le_bytes(),
            &[0; 4],
            &62u32.to_le_bytes(),
            &40u32.to_le_bytes(),
            &8u32.to_le_bytes(),
            &8u32.to_le_bytes(),
        ];
        let rest = [
            &1u16.to_le_bytes()[..],
            &1u16.to_le_bytes(),
            &[0; 4],
            &32u32.to_le_bytes(),
            &[0; 8],
            &2u32.to_le_bytes(),
            &[0; 4],
        ];
        [head.concat(), rest.concat(), vec![0, 0, 0, 0, 255, 255, 255, 0], lines].concat()
    };
    let plain = format!("P2\n# a comment\n8 8\n# another\n255\n{}", "20 20 20 20 220 220 220 220\n".repeat(8));
    let colour = RgbImage::from_fn(8, 8, |x, _| Rgb([left_dark(x); 3]));
    let mut tall = GrayImage::new(8, 16);
    tall.enumerate_pixels_mut().for_each(|(_, y, pixel)| *pixel = Luma([left_dark(y / 2)]));
    let files = [
        ("deep.png", encoded(&deep, ImageFormat::Png)),
        ("clear.png", encoded(&clear, ImageFormat::Png)),
        ("animated.gif", animated),
        ("one-bit.bmp", bitmap),
        ("comments.pgm", plain.into_bytes()),
        ("a.tiff", encoded(&grey, ImageFormat::Tiff)),
        ("lossless.webp", encoded(&colour, ImageFormat::WebP)),
        ("photo.jpg", encoded(&colour, ImageFormat::Jpeg)),
        // The file's extension does not matter.
        ("photo.png", encoded(&colour, ImageFormat::Jpeg)),
        ("no-ending", encoded(&grey, ImageFormat::Png)),
        ("UPPER.PNG", encoded(&grey, ImageFormat::Png)),
        // Stored with a dark top, and rotated by a quarter turn: dark on the left.
        ("turned.jpg", turned(&encoded(&tall, ImageFormat::Jpeg), 8)),
    ];
    for (name, bytes) in files {
        let path = base.path().join(name);
        fs::write(&path, bytes).unwrap();
        let values = image_to_input(&path, &set(base.path(), [1, 2, 2], Undecodable::Skip, 0)).unwrap().pixels;
        assert!(values[0] < 60 && values[2] < 60 && values[1] > 190 && values[3] > 190, "{name}: {values:?}");
    }
}

#[test]
fn files_of_other_kinds_are_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    (0..5).for_each(|at| picture(&dir.join(format!("a/{at}.png")), 10 + at));
    let small = |name: &str| format!("a/{name}");
    for (name, bytes, what) in [
        ("x.zip", &b"PK\x03\x04\x14\0\0\0"[..], "a zip archive"),
        ("x.npz", b"PK\x03\x04\x14\0\0\0", "a zip archive"),
        ("x.npy", b"\x93NUMPY\x01\0v\0", "a NumPy array"),
        ("x.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
        ("x.avif", b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF picture"),
        ("x.png", b"<!DOCTYPE html>\n<html><body>404", "an HTML page"),
        ("x.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG drawing"),
        ("x.pdf", b"%PDF-1.5\n%\xe2\xe3", "a PDF document"),
        ("x.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        ("x.png", b"", "an empty file"),
        ("x.mp4", b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        ("labels.csv", b"name,label\n1.png,3\n", "a text"),
        ("x.bin", b"\x01\x02\x03\x04\xfe\xff", "not a picture that can be read"),
    ] {
        let path = dir.join(small(name));
        fs::write(&path, bytes).unwrap();
        let message = Dataset::load(&set(dir, [1, 2, 2], Undecodable::Refuse, 0).into()).unwrap_err().to_string();
        let wanted = format!("1 file cannot be used: {} ({what}", small(name));
        assert!(message.contains(&wanted), "{message}\nshould say {wanted}");
        let message = image_to_input(&path, &set(dir, [1, 2, 2], Undecodable::Skip, 0)).unwrap_err().to_string();
        assert!(message.contains(what) && message.contains("not a picture"), "{message}");
        fs::remove_file(path).unwrap();
    }
    // Names of all lengths that the system supports.
    let long = format!("a/{}.png", "é".repeat(120));
    picture(&dir.join(&long), 15);
    let data: Data = set(dir, [1, 2, 2], Undecodable::Refuse, 1024).into();
    assert_eq!(Dataset::load(&data).unwrap().train.len(), 5);
}
