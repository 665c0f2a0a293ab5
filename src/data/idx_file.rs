//! IDX files, the format of MNIST (Y. LeCun, C. Cortes, C. Burges): two zero bytes, the element
//! type (8: bytes), the number of dimensions, the dimensions as big-endian u32, the elements.
//! Gzipped or not, under any name.
//!
//! **Invariant:** no memory is allocated on the basis of a file's claimed size. Elements are read
//! only if both files of a split agree with each other and with the model, and no further than
//! their dimensions state.
use super::FileKind;
use super::Split;
use crate::{Error, Result};
use std::io::{BufRead, ErrorKind, Read};

/// Maximum bytes of elements in a file.
const MOST_BYTES: usize = 1 << 30;

/// Advice for a damaged file.
const ANEW: &str = "fetch or unpack it again";

/// A file whose dimensions are known, and whose elements have not been read.
struct Idx<'a> {
    name: &'a str,
    dims: Vec<usize>,
    rest: Box<dyn Read + 'a>,
}

/// Dimensions that a file of images may have: count, height, width; and channels.
const IMAGE_RANKS: &[u8] = &[3, 4];
const IMAGE_RANKS_WANTED: &str = "3 (count, height, width) or 4 (and channels)";

/// A file of labels has only a count.
const LABEL_RANKS: &[u8] = &[1];
const LABEL_RANKS_WANTED: &str = "1 (count)";

/// Reads images of the shape `image` (channels, height, width) and their labels below `classes`;
/// each file comes with its name for error messages.
///
/// # Errors
///
/// Returns an error if a file is not an IDX file of bytes, is too short or too long, or is damaged
/// gzip; if images have another shape; if the numbers of images and labels differ or are 0; if
/// there are more than [`MOST_BYTES`]; or if a label is out of range.
pub(super) fn split<'a>(
    (images, image_bytes): (&'a str, impl BufRead + 'a),
    (labels, label_bytes): (&'a str, impl BufRead + 'a),
    image: [usize; 3],
    classes: usize,
) -> Result<Split> {
    let split = unchecked((images, image_bytes), (labels, label_bytes), image)?;
    let (lowest, highest) = (split.labels.iter().min(), split.labels.iter().max());
    check_labels(labels, &split, classes, [lowest, highest].map(|label| label.map_or(0, |&label| label.into())))?;
    Ok(split)
}

/// Channels, height and width of the images in a file.
///
/// # Errors
///
/// Returns an error if it is not an IDX file of images.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn image(name: &str, bytes: impl BufRead) -> Result<[usize; 3]> {
    Ok(Idx::open(name, bytes, IMAGE_RANKS_WANTED, IMAGE_RANKS)?.image())
}

/// The labels in a file.
///
/// # Errors
///
/// Returns an error if it is not an IDX file of labels, or damaged.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn labels(name: &str, bytes: impl BufRead) -> Result<Vec<u8>> {
    Idx::open(name, bytes, LABEL_RANKS_WANTED, LABEL_RANKS)?.elements()
}

/// Like [`split`], without checking the labels.
pub(super) fn unchecked<'a>(
    (images, image_bytes): (&'a str, impl BufRead + 'a),
    (labels, label_bytes): (&'a str, impl BufRead + 'a),
    image: [usize; 3],
) -> Result<Split> {
    let images = Idx::open(images, image_bytes, IMAGE_RANKS_WANTED, IMAGE_RANKS)?;
    let labels = Idx::open(labels, label_bytes, LABEL_RANKS_WANTED, LABEL_RANKS)?;
    let (count, found) = (images.dims[0], images.image());
    if found != image {
        return Err(wrong(
            images.name,
            &format!(
                "images of {found:?} (channels, height, width), but model.input = {image:?}; write input = {found:?}"
            ),
        ));
    }
    if labels.dims != [count] {
        let message = format!("{} labels for {count} images; take both files from the same set", labels.dims[0]);
        return Err(wrong(labels.name, &message));
    }
    if count == 0 {
        return Err(wrong(images.name, "there are no images in it; use a file with images"));
    }
    let (labels, images) = (labels.elements()?, images.elements()?);
    Ok(Split::new(image, images, labels.into_iter().map(u16::from).collect()))
}

/// Checks that the labels of `split`, from the file `name`, are below `classes`; the labels of the
/// whole set range from `lowest` to `highest`.
pub(super) fn check_labels(name: &str, split: &Split, classes: usize, [lowest, highest]: [usize; 2]) -> Result<()> {
    let Some(at) = split.labels.iter().position(|&label| usize::from(label) >= classes) else { return Ok(()) };
    // Labels from 1 are counted as classes if their number matches.
    let wanted = if lowest > 0 { highest } else { highest + 1 };
    let message = format!(
        "label {} of image {at} is not below {classes}, the model's classes; the labels are {lowest} to {highest}, which would be classes = {wanted}: is it the right file?",
        split.labels[at]
    );
    Err(wrong(name, &message))
}

impl<'a> Idx<'a> {
    /// Reads the header before the elements; the number of dimensions must be one of `ranks`, which
    /// `wanted` describes.
    fn open(name: &'a str, mut bytes: impl BufRead + 'a, wanted: &str, ranks: &[u8]) -> Result<Self> {
        let start = bytes.fill_buf().map_err(|error| unreadable(name, error))?;
        if start.is_empty() {
            return Err(wrong(name, &format!("it is empty; {ANEW}")));
        }
        let gzipped = start.starts_with(&[0x1f, 0x8b]);
        let kind = FileKind::of(start).filter(|_| !gzipped);
        let mut rest: Box<dyn Read + 'a> =
            if gzipped { Box::new(flate2::bufread::MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
        let mut word = || -> Result<[u8; 4]> {
            let mut word = [0; 4];
            rest.read_exact(&mut word).map_err(|error| unreadable(name, error))?;
            Ok(word)
        };
        let [0, 0, element, rank] = word()? else {
            return Err(wrong(
                name,
                &match kind {
                    Some(FileKind { what, .. }) => format!("not an IDX file but {what}; {ANEW}"),
                    None => format!(
                        "not an IDX file: it must start with two zero bytes, a type and a number of dimensions; {ANEW}"
                    ),
                },
            ));
        };
        if element != 8 {
            let message = format!(
                "elements of IDX type {element:#04x}; only bytes, 0x08, can be read: convert the elements to bytes"
            );
            return Err(wrong(name, &message));
        }
        if !ranks.contains(&rank) {
            return Err(wrong(name, &format!("{rank} dimensions instead of {wanted}; is it the right file?")));
        }
        let dims = (0..rank).map(|_| Ok(u32::from_be_bytes(word()?) as usize)).collect::<Result<_>>()?;
        Ok(Self { name, dims, rest })
    }

    /// Channels, height and width of a file of images.
    fn image(&self) -> [usize; 3] {
        [self.dims.get(3).copied().unwrap_or(1), self.dims[1], self.dims[2]]
    }

    /// Reads exactly the elements that the dimensions state.
    fn elements(self) -> Result<Vec<u8>> {
        let Self { name, dims, rest } = self;
        let len = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let Some(len) = len.filter(|&len| len <= MOST_BYTES) else {
            return Err(wrong(name, &format!("its dimensions {dims:?} ask for more than 1 GiB; use fewer images")));
        };
        let mut elements = Vec::new();
        // Reading one more byte detects excess data, and makes gzip verify its checksum.
        let read = rest.take(len as u64 + 1).read_to_end(&mut elements);
        read.map_err(|error| unreadable(name, error))?;
        let found = match elements.len() {
            found if found == len => return Ok(elements),
            found if found < len => format!("{found}"),
            _ => format!("more than {len}"),
        };
        Err(wrong(name, &format!("{found} bytes of elements, but its dimensions {dims:?} ask for {len}; {ANEW}")))
    }
}

fn wrong(name: &str, message: &str) -> Error {
    Error::Data(format!("{name}: {message}"))
}

fn unreadable(name: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => wrong(name, &format!("it ends too early; {ANEW}")),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            wrong(name, &format!("damaged gzip file ({error}); {ANEW}"))
        }
        _ => wrong(name, &format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
        let head = [0, 0, 8, dims.len() as u8].into_iter();
        head.chain(dims.iter().flat_map(|dim| dim.to_be_bytes())).chain(values.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(images: &[u8], labels: &[u8], image: [usize; 3]) -> Result<Split> {
        split(("images", images), ("labels", labels), image, 3)
    }

    fn message(images: &[u8], labels: &[u8]) -> String {
        read(images, labels, [1, 1, 2]).expect_err("must fail").to_string()
    }

    #[test]
    fn images_and_labels_are_read() {
        let (images, labels) = (idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[0, 2]));
        let wanted = |shape| Split::new(shape, vec![1, 2, 3, 4], vec![0, 2]);
        assert_eq!(read(&images, &labels, [1, 1, 2]).unwrap(), wanted([1, 1, 2]));
        assert_eq!(read(&gzip(&images), &gzip(&labels), [1, 1, 2]).unwrap(), wanted([1, 1, 2]));
        // Gzip with several members, as some programs write it.
        assert_eq!(
            read(&[gzip(&images[..7]), gzip(&images[7..])].concat(), &labels, [1, 1, 2]).unwrap(),
            wanted([1, 1, 2])
        );
        assert_eq!(read(&idx(&[2, 1, 1, 2], &[1, 2, 3, 4]), &labels, [2, 1, 1]).unwrap(), wanted([2, 1, 1]));
    }

    #[test]
    fn every_fault_is_named() {
        let (images, labels) = (idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[0, 2]));
        let mut damaged = gzip(&images);
        let sum = damaged.len() - 8;
        damaged[sum] ^= 1;
        let huge = [u32::MAX, 1, 2];
        for (images, labels, part) in [
            (&[][..], &labels[..], "images: it is empty"),
            (&images[..3], &labels, "images: it ends too early"),
            (b"PNG and so on", &labels, "images: not an IDX file"),
            (&[0, 0, 13, 3], &labels, "images: elements of IDX type 0x0d"),
            (&images[..9], &labels, "images: it ends too early"),
            (
                &images[..images.len() - 1],
                &labels,
                "images: 3 bytes of elements, but its dimensions [2, 1, 2] ask for 4",
            ),
            (&[&images[..], &[0]].concat(), &labels, "images: more than 4 bytes of elements"),
            (&labels, &labels, "images: 1 dimensions instead of 3"),
            (&images, &images, "labels: 3 dimensions instead of 1"),
            (&idx(&[2, 2, 1], &[0; 4]), &labels, "images: images of [1, 2, 1]"),
            (&idx(&[2, u32::MAX, u32::MAX, u32::MAX], &[]), &labels, "but model.input = [1, 1, 2]; write input = "),
            (&idx(&huge, &[0; 4]), &labels, "labels: 2 labels for 4294967295 images"),
            (&idx(&huge, &[0; 4]), &idx(&huge[..1], &[0; 2]), "ask for more than 1 GiB"),
            (&idx(&[1 << 20, 1, 2], &[0; 4]), &idx(&[1 << 20], &[0; 2]), "labels: 2 bytes of elements"),
            (&idx(&[0, 1, 2], &[]), &idx(&[0], &[]), "images: there are no images"),
            (&images, &idx(&[1], &[0]), "labels: 1 labels for 2 images"),
            (&images, &idx(&[2], &[0, 3]), "labels: label 3 of image 1 is not below 3"),
            (&[0x1f, 0x8b, 8, 0], &labels, "images: it ends too early"),
            (&[0x1f, 0x8b, 9, 0, 0, 0, 0, 0, 0, 0, 0], &labels, "images: damaged gzip file"),
            (&gzip(&images)[..sum], &labels, "images: it ends too early"),
            (&[gzip(&images), vec![7; 20]].concat(), &labels, "images: damaged gzip file"),
            (&gzip(&[&images[..], &[0; 1 << 16]].concat()), &labels, "images: more than 4 bytes"),
            (&damaged, &labels, "images: damaged gzip file"),
        ] {
            let message = message(images, labels);
            assert!(message.contains(part), "{message}\nshould say {part}");
        }
    }

    #[test]
    fn no_cut_or_change_panics() {
        let (images, labels) = (idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[0, 2]));
        for whole in [&images, &gzip(&images)] {
            for at in 0..whole.len() {
                assert!(read(&whole[..at], &labels, [1, 1, 2]).is_err(), "cut at {at}");
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = whole.clone();
                    changed[at] = value;
                    let _ = read(&changed, &labels, [1, 1, 2]);
                }
            }
        }
    }
}
