//! IDX files, the format of MNIST: two zero bytes, the element type (8: bytes), the number of dimensions, the dimensions as
//! big-endian u32, the elements. Gzipped or not.
use super::Split;
use crate::{Error, Result};
use std::io::Read;

/// The most bytes that a file may unpack to.
const MOST_BYTES: u64 = 1 << 30;

struct Idx {
    dims: Vec<usize>,
    values: Vec<u8>,
}

/// Images of N × `height` × `width` bytes with their labels below `classes`; `name` is the set's, for errors.
pub(super) fn split(
    images: &[u8],
    labels: &[u8],
    name: &str,
    [height, width]: [usize; 2],
    classes: usize,
) -> Result<Split> {
    let wrong = |what: &str, message: String| Error::Data(format!("{name}, {what}: {message}"));
    let images = read(images).map_err(|message| wrong("images", message))?;
    let labels = read(labels).map_err(|message| wrong("labels", message))?;
    let &[count, h, w] = &images.dims[..] else {
        return Err(wrong("images", format!("{} dimensions instead of 3 (count, height, width)", images.dims.len())));
    };
    if [h, w] != [height, width] {
        return Err(wrong("images", format!("{h} × {w} pixels instead of {height} × {width}")));
    }
    if labels.dims != [count] {
        return Err(wrong("labels", format!("shape {:?}, but there are {count} images", labels.dims)));
    }
    if let Some(at) = labels.values.iter().position(|&label| usize::from(label) >= classes) {
        let message = format!("label {} of image {at} is not below {classes}", labels.values[at]);
        return Err(wrong("labels", message));
    }
    Ok(Split { images: images.values, labels: labels.values.into_iter().map(u16::from).collect() })
}

fn read(bytes: &[u8]) -> Result<Idx, String> {
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) { unzip(bytes)? } else { bytes.to_vec() };
    let &[0, 0, kind, rank, ref rest @ ..] = &bytes[..] else {
        return Err("not an IDX file: it must begin with two zero bytes, a type and a number of dimensions".into());
    };
    if kind != 8 {
        return Err(format!("elements of IDX type {kind:#04x}; only bytes, 0x08, can be read"));
    }
    let (head, values) = rest.split_at_checked(4 * usize::from(rank)).ok_or("it ends within its dimensions")?;
    let dims: Vec<usize> =
        head.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let len =
        dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)).ok_or("its dimensions are too large")?;
    if values.len() != len {
        return Err(format!("{} bytes of elements, but its dimensions {dims:?} ask for {len}", values.len()));
    }
    Ok(Idx { values: values.to_vec(), dims })
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let read = flate2::read::GzDecoder::new(bytes).take(MOST_BYTES + 1).read_to_end(&mut plain);
    read.map_err(|error| format!("damaged or truncated gzip file: {error}"))?;
    if plain.len() as u64 > MOST_BYTES {
        return Err("it unpacks to more than 1 GiB".into());
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
        let head = [0, 0, 8, dims.len() as u8].into_iter();
        head.chain(dims.iter().flat_map(|dim| dim.to_be_bytes())).chain(values.iter().copied()).collect()
    }

    fn message(images: &[u8], labels: &[u8]) -> String {
        split(images, labels, "set", [1, 2], 3).expect_err("must fail").to_string()
    }

    #[test]
    fn images_and_labels_are_read() {
        let read = split(&idx(&[2, 1, 2], &[1, 2, 3, 4]), &idx(&[2], &[0, 2]), "set", [1, 2], 3).unwrap();
        assert_eq!(read, Split { images: vec![1, 2, 3, 4], labels: vec![0, 2] });
    }

    #[test]
    fn every_fault_is_named() {
        let (images, labels) = (idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[0, 2]));
        assert!(message(&images[..3], &labels).contains("images: not an IDX file"));
        assert!(message(b"PNG and so on", &labels).contains("not an IDX file"));
        assert!(message(&[0, 0, 13, 1], &labels).contains("type 0x0d"));
        assert!(message(&images[..9], &labels).contains("ends within"));
        assert!(message(&images[..images.len() - 1], &labels).contains("3 bytes of elements"));
        assert!(message(&idx(&[2, 2], &[0; 4]), &labels).contains("2 dimensions instead of 3"));
        assert!(message(&idx(&[2, 2, 1], &[0; 4]), &labels).contains("2 × 1 pixels instead of 1 × 2"));
        assert!(message(&idx(&[u32::MAX; 9], &[]), &labels).contains("too large"));
        assert!(message(&images, &idx(&[1], &[0])).contains("there are 2 images"));
        assert!(message(&images, &idx(&[2], &[0, 3])).contains("label 3 of image 1 is not below 3"));
        assert!(message(&[0x1f, 0x8b, 8, 0], &labels).contains("gzip"));
    }
}
