//! Reads images and labels from a NumPy archive: a ZIP archive with one file per array, which has a
//! header and the elements.
//!
//! **Invariant:** no memory is allocated on the basis of a claimed size. Elements are read only if
//! the arrays of a split agree with each other and with the model.
use super::Npz;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::MOST_CLASSES;
use crate::data::{FileKind, Part, Split};
use crate::{Error, Result};
use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};
use std::io::Read;

/// Most names of arrays in a message.
const MOST_NAMES: usize = 12;

/// Maximum bytes of elements in an array.
const MOST_BYTES: usize = 1 << 30;

/// Maximum bytes of a header.
const MOST_HEADER: u64 = 1 << 16;

/// Advice for a damaged file.
const ANEW: &str = "fetch or save it again";

/// Names of a split in the names of its arrays.
fn names(part: Part) -> &'static [&'static str] {
    match part {
        Part::Train => &["train"],
        Part::Validation => &["val", "valid", "validation"],
        Part::Test => &["test"],
    }
}

/// An archive that is being read.
pub(super) struct Archive<R> {
    /// Name for messages.
    name: String,
    zip: ZipArchive<R>,
    files: Vec<ZippedFile>,
}

/// A file in the archive.
struct ZippedFile {
    name: String,
    compression: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

/// What the header of an array states.
struct Header {
    /// Byte order, kind and size of an element: `<i8`.
    dtype: String,
    shape: Vec<usize>,
    /// Whether the first index varies fastest.
    fortran_order: bool,
}

/// An array whose header is known, and whose elements have not been read.
struct Array<'a> {
    /// Name of the archive.
    archive: &'a str,
    name: &'a str,
    header: Header,
    elements: Box<dyn Read + 'a>,
}

/// Order of an image's axes.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    ChannelsLast,
    ChannelsFirst,
}

impl<R: ReaderAt> Archive<R> {
    /// Opens an archive of `len` bytes; `kind` is what its first bytes look like.
    pub(super) fn open(name: String, kind: Option<FileKind>, bytes: R, len: u64) -> Result<Self> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let read = || -> Result<_, rawzip::Error> {
            let located = ZipLocator::new().locate_in_reader(bytes, &mut buffer, len);
            let zip = located.map_err(|(_, error)| error)?;
            let (mut files, mut entries) = (Vec::new(), zip.entries(&mut buffer));
            while let Some(entry) = entries.next_entry()? {
                let file = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
                let name = file.strip_suffix(".npy").unwrap_or(&file).to_string();
                files.push(ZippedFile { name, compression: entry.compression_method(), place: entry.wayfinder() });
            }
            Ok((zip, files))
        };
        match read() {
            Ok((zip, files)) => Ok(Self { name, zip, files }),
            Err(error) => {
                let known = kind.filter(|kind| kind.what != "a zip archive");
                let found = known.map_or("not a complete .npz archive".into(), |kind| format!("this is {}", kind.what));
                Err(Error::Data(format!("npz, {name}: {found} ({error}); {ANEW}")))
            }
        }
    }

    /// Reads a split; only that for validation may be missing.
    pub(super) fn split(&self, part: Part, set: &Npz) -> Result<Option<Split>> {
        let (images, labels) = match (self.find(part, "x", "images")?, self.find(part, "y", "labels")?) {
            (Some(images), Some(labels)) => (images, labels),
            (None, None) if part == Part::Validation => return Ok(None),
            (None, _) => return Err(self.missing(part, "x", "images")),
            (Some(_), None) => return Err(self.missing(part, "y", "labels")),
        };
        let order = images.check_images(set.image)?;
        labels.check_labels()?;
        let (count, label_count) = (images.header.shape[0], labels.header.shape[0]);
        if count != label_count {
            let message = format!("{label_count} labels for {count} images in {}; save one for each", images.name);
            return Err(labels.wrong(&message));
        }
        if count == 0 {
            return Err(images.wrong("there are no images in it; save some"));
        }
        // Images first: so many labels are only read if there really are as many images.
        let pixels = images.elements()?;
        let labels = labels.labels(set.classes)?;
        let pixels = if order == Order::ChannelsFirst { channels_last(&pixels, set.image) } else { pixels };
        Ok(Some(Split::new(set.image, pixels, labels)))
    }

    /// Image shape and number of classes.
    ///
    /// # Errors
    ///
    /// Returns an error if the arrays of the training images are missing or of other types.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn inspect(&self) -> Result<([usize; 3], usize)> {
        let images = self.find(Part::Train, "x", "images")?.ok_or_else(|| self.missing(Part::Train, "x", "images"))?;
        let image = images.image()?;
        let mut classes = 1;
        for part in [Part::Train, Part::Validation, Part::Test] {
            if let Some(labels) = self.find(part, "y", "labels")? {
                labels.check_labels()?;
                classes = labels
                    .labels(MOST_CLASSES)?
                    .into_iter()
                    .map(|label| usize::from(label) + 1)
                    .fold(classes, usize::max);
            }
        }
        Ok((image, classes))
    }

    /// The array of a split's images or labels, named as by Keras or MedMNIST, in any case.
    fn find(&self, part: Part, letter: &str, word: &str) -> Result<Option<Array<'_>>> {
        let mut names = names(part).iter().flat_map(|split| [format!("{letter}_{split}"), format!("{split}_{word}")]);
        let file = names.find_map(|name| self.files.iter().find(|file| file.name.eq_ignore_ascii_case(&name)));
        file.map(|file| self.array(file)).transpose()
    }

    fn missing(&self, part: Part, letter: &str, word: &str) -> Error {
        let (split, mut found) = (names(part)[0], self.files.iter().map(|file| &file.name[..]).collect::<Vec<_>>());
        found.sort_unstable();
        // Names may be of any length, and hold control characters.
        let shown = |name: &&str| name.chars().take(40).collect::<String>().escape_debug().to_string();
        let others = found.len().saturating_sub(MOST_NAMES);
        let mut shown: Vec<_> = found.iter().take(MOST_NAMES).map(shown).collect();
        if others > 0 {
            shown.push(format!("{others} more"));
        }
        let found = if shown.is_empty() { "nothing".into() } else { shown.join(", ") };
        Error::Data(format!(
            "npz, {}: there is no array {letter}_{split} or {split}_{word} with the {} {word}; the archive holds {found}. \
             Save it with numpy.savez_compressed(FILE, x_train=…, y_train=…, x_test=…, y_test=…)",
            self.name,
            part.name()
        ))
    }

    /// Opens an array and reads its header.
    fn array<'a>(&'a self, file: &'a ZippedFile) -> Result<Array<'a>> {
        let wrong = |message: String| fault(&self.name, &file.name, &message);
        let damaged = |error: &dyn std::fmt::Display| wrong(format!("damaged ({error}); {ANEW}"));
        let entry = self.zip.get_entry(file.place).map_err(|error| damaged(&error))?;
        let mut elements: Box<dyn Read + 'a> = match file.compression {
            CompressionMethod::STORE => Box::new(entry.verifying_reader(entry.reader())),
            CompressionMethod::DEFLATE => Box::new(entry.verifying_reader(DeflateDecoder::new(entry.reader()))),
            _ => return Err(wrong("compressed in a way that NumPy does not use; save it with numpy.savez".into())),
        };
        let header = Header::read(&mut elements).map_err(|error| damaged(&error))?;
        let header =
            header.ok_or_else(|| wrong("not a NumPy array of plain numbers; save it with numpy.savez".into()))?;
        Ok(Array { archive: &self.name, name: &file.name, header, elements })
    }
}

impl Array<'_> {
    /// Checks the header of images; returns the order of their axes. Where both orders fit, channels
    /// are last.
    fn check_images(&self, image: [usize; 3]) -> Result<Order> {
        let Header { dtype, shape, .. } = &self.header;
        self.check_storage()?;
        if !matches!(dtype.as_str(), "|u1" | "<u1" | ">u1" | "=u1") {
            let first = if dtype.contains('f') { "scale them to 0..255 and " } else { "" };
            let message = format!(
                "elements are {}, but pixels must be bytes; {first}save them with .astype(\"uint8\")",
                described(dtype)
            );
            return Err(self.wrong(&message));
        }
        match shape[..] {
            [_, h, w] if image == [1, h, w] => return Ok(Order::ChannelsLast),
            [_, h, w, c] if image == [c, h, w] => return Ok(Order::ChannelsLast),
            [_, c, h, w] if image == [c, h, w] => return Ok(Order::ChannelsFirst),
            _ => {}
        }
        let found = self.image()?;
        let message = format!(
            "images of {found:?} (channels, height, width), but model.input = {image:?}; write input = {found:?}"
        );
        Err(self.wrong(&message))
    }

    /// Channels, height and width of images.
    fn image(&self) -> Result<[usize; 3]> {
        match self.header.shape[..] {
            [_, h, w] => Ok([1, h, w]),
            [_, h, w, c] if c <= 4 => Ok([c, h, w]),
            [_, c, h, w] => Ok([c, h, w]),
            _ => Err(self.wrong(&format!(
                "its shape is {}, but images have (n, height, width), (n, height, width, channels) or (n, channels, height, width); reshape them",
                tuple(&self.header.shape)
            ))),
        }
    }

    fn check_labels(&self) -> Result<()> {
        let Header { dtype, shape, .. } = &self.header;
        self.check_storage()?;
        if !matches!(&dtype[1..], "u1" | "u2" | "u4" | "u8" | "i1" | "i2" | "i4" | "i8") {
            let message = format!(
                "elements are {}, but labels must be whole numbers; save them with .astype(\"int64\")",
                described(dtype)
            );
            return Err(self.wrong(&message));
        }
        if !matches!(shape[..], [_] | [_, 1]) {
            let advice = if shape.len() == 2 { "; if these are one-hot rows, save .argmax(1)" } else { "" };
            let shape = tuple(shape);
            let message = format!("its shape is {shape}, but labels have (n,) or (n, 1): one class per image{advice}");
            return Err(self.wrong(&message));
        }
        Ok(())
    }

    /// Checks that the elements are stored in the order of the last index.
    fn check_storage(&self) -> Result<()> {
        if self.header.dtype.ends_with('O') {
            let message = "it holds pickled Python objects, which are not read; save one array of numbers, \
                           with images of the same shape";
            return Err(self.wrong(message));
        }
        if self.header.fortran_order {
            let message = "it is stored in Fortran order; save numpy.ascontiguousarray of it";
            return Err(self.wrong(message));
        }
        Ok(())
    }

    /// Reads labels below `classes`.
    fn labels(self, classes: usize) -> Result<Vec<u16>> {
        let (archive, name, size) = (self.archive, self.name, self.header.size());
        let (big, signed) = (self.header.dtype.starts_with('>'), self.header.dtype[1..].starts_with('i'));
        let bytes = self.elements()?;
        let labels = || bytes.chunks_exact(size).map(|bytes| integer(bytes, big, signed));
        let wrong = labels().enumerate().find(|(_, label)| !(0..classes as i128).contains(label));
        let Some((at, label)) = wrong else { return Ok(labels().map(|label| label as u16).collect()) };
        let [lowest, highest] = [labels().min(), labels().max()].map(|label| label.unwrap_or(0));
        let advice = match lowest {
            0 => format!("which would be classes = {}", highest + 1),
            _ => "but must count from 0".to_string(),
        };
        let message = format!(
            "label {label} of image {at} is not in 0 to {}, for the model's {classes} classes; the labels are {lowest} to {highest}, {advice}",
            classes - 1
        );
        Err(fault(archive, name, &message))
    }

    /// Reads exactly the elements that the header states.
    fn elements(self) -> Result<Vec<u8>> {
        let Header { shape, .. } = &self.header;
        let bytes = shape.iter().try_fold(self.header.size(), |product, &dim| product.checked_mul(dim));
        let Some(len) = bytes.filter(|&len| len <= MOST_BYTES) else {
            return Err(self.wrong(&format!("its shape {} is more than 1 GiB; use fewer images", tuple(shape))));
        };
        let mut elements = Vec::new();
        // Reading one more byte detects excess data.
        let read = self.elements.take(len as u64 + 1).read_to_end(&mut elements);
        let found = match (read, elements.len()) {
            (Err(error), _) => format!("damaged ({error}); {ANEW}"),
            (Ok(_), found) if found == len => return Ok(elements),
            (Ok(_), found) => {
                let found = if found < len { format!("{found}") } else { format!("more than {len}") };
                format!("{found} bytes of elements, but its shape {} asks for {len}; {ANEW}", tuple(shape))
            }
        };
        Err(fault(self.archive, self.name, &found))
    }

    fn wrong(&self, message: &str) -> Error {
        fault(self.archive, self.name, message)
    }
}

fn fault(archive: &str, array: &str, message: &str) -> Error {
    Error::Data(format!("npz, {archive}, {array}: {message}"))
}

impl Header {
    /// Reads a header; `None` if it is none of a NumPy array of numbers.
    fn read(mut file: impl Read) -> std::io::Result<Option<Self>> {
        let mut read = |len: u64| -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            file.by_ref().take(len).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let start = read(8)?;
        // Version 1 has a length of two bytes, later ones of four.
        let len = read(if start.get(6) == Some(&1) { 2 } else { 4 })?;
        let len = len.iter().rev().fold(0, |len, &byte| len << 8 | u64::from(byte));
        if !start.starts_with(b"\x93NUMPY") || len > MOST_HEADER {
            return Ok(None);
        }
        Ok(std::str::from_utf8(&read(len)?).ok().and_then(Self::parse))
    }

    /// Parses a dictionary such as `{'descr': '|u1', 'fortran_order': False, 'shape': (2, 28, 28), }`.
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| Some(text.split_once(&format!("'{key}':"))?.1.trim_start());
        let (dtype, _) = value("descr")?.strip_prefix('\'')?.split_once('\'')?;
        // Python 2 wrote `2L`.
        let (shape, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
        let dims = shape.split(',').map(|dim| dim.trim().trim_end_matches('L')).filter(|dim| !dim.is_empty());
        let known = dtype.len() >= 2 && dtype.is_ascii() && dtype.starts_with(['<', '>', '|', '=']);
        known.then_some(Self {
            dtype: dtype.into(),
            shape: dims.map(|dim| dim.parse().ok()).collect::<Option<_>>()?,
            fortran_order: value("fortran_order")?.starts_with("True"),
        })
    }

    /// Bytes of an element.
    fn size(&self) -> usize {
        self.dtype[2..].parse().unwrap_or(1)
    }
}

/// Description of a type of elements.
fn described(dtype: &str) -> String {
    let bits = dtype[2..].parse::<usize>().map_or(0, |bytes| bytes.saturating_mul(8));
    match &dtype[1..2] {
        "f" => format!("{bits}-bit floats"),
        "i" => format!("{bits}-bit signed integers"),
        "u" => format!("{bits}-bit integers"),
        "b" => "Booleans".into(),
        "S" | "U" => "texts".into(),
        _ => format!("of type {dtype}"),
    }
}

/// A shape as Python writes it.
fn tuple(shape: &[usize]) -> String {
    match shape {
        [only] => format!("({only},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// An integer of up to 8 bytes.
fn integer(bytes: &[u8], big: bool, signed: bool) -> i128 {
    let fold = |value: i128, &byte: &u8| value << 8 | i128::from(byte);
    let value = if big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) };
    let bits = 8 * bytes.len();
    if signed && value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
}

/// Changes images from N, C, H, W to N, H, W, C.
fn channels_last(pixels: &[u8], [channels, height, width]: [usize; 3]) -> Vec<u8> {
    let plane = height * width;
    let images = pixels.chunks_exact(channels * plane);
    images.flat_map(|image| (0..plane).flat_map(move |at| (0..channels).map(move |c| image[c * plane + at]))).collect()
}
