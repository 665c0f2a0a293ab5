//! Packed files: safetensors, whose metadata holds the network's structure.
//!
//! Metadata: `format` = [`FORMAT`], `version` = [`VERSION`], `network` = JSON {input, classes, card,
//! layers}, `checksum` = CRC-32 (ISO-HDLC) of the network's JSON and the tensors' bytes, in
//! hexadecimal. Tensors are named `<layer>.<array>`; integers are stored in the smallest of I8, I16
//! and I32. All data begin at multiples of their element's size, so a file can be memory-mapped.
//!
//! Reading allocates at most 64 times the file's size: a layer without arrays takes far more memory
//! than its text.

use crate::container::{Container, Element, Tensor};
use crate::error::{Error, Result};
use crate::json::{Json, Read};
use crate::network::{Input, Layer, Network};
use crate::ops::{Array, Fields, Op};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use crc::{CRC_32_ISO_HDLC, Crc};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;

/// The value of the metadata `format`.
pub const FORMAT: &str = "halfwave-packed";

/// The version of the format that this crate reads and writes.
pub const VERSION: &str = "1";

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The structure of a network without its arrays, as it is written.
#[derive(Serialize)]
struct Structure {
    input: [usize; 3],
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    mean: bool,
    classes: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    card: BTreeMap<String, String>,
    layers: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    from: Vec<usize>,
    #[serde(flatten)]
    op: Op,
}

/// Reads the structure: a network without its arrays. The mean is not empty if there is one.
fn structure(text: &str) -> Read<Network> {
    let (mut shape, mut mean, mut classes, mut card) = (None, false, Vec::new(), BTreeMap::new());
    let mut layers = Vec::new();
    let mut json = Json::new(text);
    json.object(&mut |json, field| {
        match field.as_str() {
            "input" => shape = <[usize; 3]>::try_from(json.wholes()?).ok(),
            "mean" => mean = json.flag()?,
            "classes" => classes = json.strings()?,
            "card" => json.object(&mut |json, name| {
                card.insert(name, json.string()?);
                Ok(())
            })?,
            "layers" => json.list(&mut |json| {
                let mut fields = Fields::read(json)?;
                let op = fields.take_op()?;
                layers.push(Layer { name: fields.name, from: fields.from, op });
                Ok(())
            })?,
            other => return Err(format!("a network has no {other:?}")),
        }
        Ok(())
    })?;
    json.end()?;
    let shape = shape.ok_or("it does not say the input's height, width and channels")?;
    let mean = if mean { Vec::from([0.0]) } else { Vec::new() };
    Ok(Network { input: Input { shape, table: Vec::new(), mean }, layers, classes, card })
}

/// Whether these bytes begin as a packed file of any version does.
pub fn is_packed(bytes: &[u8]) -> bool {
    Container::read(bytes).is_ok_and(|file| file.metadata.get("format").is_some_and(|format| format == FORMAT))
}

/// An array of a file: its name, its shape, and its number of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `<layer>.<array>`.
    pub name: String,
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// Number of bytes in a packed file.
    pub bytes: usize,
}

impl Network {
    /// Lists the arrays of its packed file.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is invalid.
    pub fn stored(&self) -> Result<Vec<Stored>> {
        let mut all = Vec::new();
        self.clone().fill(&mut |name, shape, array| {
            all.push(Stored { name: name.to_owned(), shape: shape.to_vec(), bytes: array_bytes(&array).1.len() });
            Ok(())
        })?;
        Ok(all)
    }

    /// Reads a packed file.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are truncated, changed, of another kind or version, or the
    /// network is invalid; the message says what to do.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let broken = |why: &str| {
            Error::File(format!("not a complete packed network ({why}); write it with halfwave export --format packed"))
        };
        let container = Container::read(bytes).map_err(|error| broken(&error))?;
        let fact = |name: &str| container.metadata.get(name).map(String::as_str);
        if fact("format") != Some(FORMAT) {
            let why = "a safetensors file of another kind";
            return Err(broken(if fact("halfwave").is_some() { "a checkpoint of halfwave" } else { why }));
        }
        let version = fact("version").unwrap_or("none");
        if version != VERSION {
            let message = format!(
                "packed format {version}; this program reads version {VERSION}: use a program of that version, or export again"
            );
            return Err(Error::File(message));
        }
        let text = fact("network").ok_or_else(|| broken("it has no network"))?;
        let tensors = container.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.data));
        if fact("checksum") != Some(&checksum(text, tensors)) {
            return Err(broken("its checksum differs, so it was damaged or edited"));
        }
        let mut network = structure(text).map_err(|error| broken(&error))?;
        network.fill(&mut |name, shape, array| {
            let tensor = container.tensor(name).ok_or_else(|| format!("the file has no array {name}"))?;
            if tensor.shape != shape {
                return Err(format!("the array {name} is {:?} instead of {shape:?}", tensor.shape));
            }
            read_array(name, tensor, array)
        })?;
        Ok(network)
    }

    /// Writes a packed file; the same network gives the same bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is invalid.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut copy = self.clone();
        copy.check_arrays()?;
        let mut arrays: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        copy.fill(&mut |name, shape, array| {
            let (dtype, bytes) = array_bytes(&array);
            arrays.push((name.to_owned(), dtype, shape.to_vec(), bytes));
            Ok(())
        })?;
        let node = |Layer { name, from, op }: Layer| Node { name, from, op };
        let structure = Structure {
            input: self.input.shape,
            mean: !self.input.mean.is_empty(),
            classes: copy.classes,
            card: copy.card,
            layers: copy.layers.into_iter().map(node).collect(),
        };
        let failed = |error: &dyn core::fmt::Display| Error::Network(error.to_string());
        let text = serde_json::to_string(&structure).map_err(|error| failed(&error))?;
        let mut views = Vec::with_capacity(arrays.len());
        for (name, dtype, shape, bytes) in &arrays {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| failed(&error))?;
            views.push((name.as_str(), view));
        }
        views.sort_by_key(|(name, _)| *name);
        let sum = checksum(&text, views.iter().map(|(name, view)| (*name, view.data())));
        let facts = [("format", FORMAT), ("version", VERSION), ("network", &text), ("checksum", &sum)];
        let facts = facts.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let written = safetensors::serialize(views, Some(facts)).map_err(|error| failed(&error))?;
        sorted_header(&written).ok_or_else(|| failed(&"the header is not JSON"))
    }
}

/// Returns a packed file with another structure, which `edit` makes of its JSON, and the checksum that
/// belongs to it: for tests of readers.
///
/// # Errors
///
/// Returns an error if the bytes are not a packed file.
#[doc(hidden)]
pub fn with_structure(file: &[u8], edit: impl FnOnce(&str) -> String) -> Result<Vec<u8>> {
    let failed = |error: &dyn core::fmt::Display| Error::File(error.to_string());
    let (_, header) = SafeTensors::read_metadata(file).map_err(|error| failed(&error))?;
    let mut facts = header.metadata().clone().unwrap_or_default();
    let text = edit(facts.get("network").map_or("", |text| text));
    let tensors = SafeTensors::deserialize(file).map_err(|error| failed(&error))?;
    let views: BTreeMap<&str, TensorView<'_>> = tensors.iter().collect();
    facts.insert("checksum".to_string(), checksum(&text, views.iter().map(|(name, view)| (*name, view.data()))));
    facts.insert("network".to_string(), text);
    safetensors::serialize(tensors.iter(), Some(facts)).map_err(|error| failed(&error))
}

/// Sorts the metadata of a safetensors file, which is written in random order.
fn sorted_header(file: &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = file.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*len) as usize)?;
    let header: BTreeMap<&str, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let mut header = serde_json::to_vec(&header).ok()?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Some([&(header.len() as u64).to_le_bytes(), &header[..], data].concat())
}

/// The checksum of a network's JSON and of all tensors, which come in the order of their names.
fn checksum<'a>(text: &str, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut digest = CRC.digest();
    digest.update(text.as_bytes());
    for (name, data) in tensors {
        digest.update(name.as_bytes());
        digest.update(data);
    }
    format!("{:08x}", digest.finalize())
}

fn read_array(name: &str, tensor: &Tensor<'_>, array: Array<'_>) -> Read<()> {
    let bytes = tensor.data;
    match (array, tensor.element) {
        (Array::Float(values), Some(Element::F32)) => {
            *values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            Array::Float(values).check_finite(name)?;
        }
        (Array::Word(values), Some(Element::U32)) => {
            *values = bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        }
        (Array::Int(values), Some(Element::I8)) => {
            *values = bytes.iter().map(|&byte| i32::from(byte as i8)).collect();
        }
        (Array::Int(values), Some(Element::I16)) => {
            *values = bytes.as_chunks().0.iter().map(|&bytes| i32::from(i16::from_le_bytes(bytes))).collect();
        }
        (Array::Int(values), Some(Element::I32)) => {
            *values = bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect();
        }
        _ => return Err(format!("the array {name} is stored with elements of another type")),
    }
    Ok(())
}

fn array_bytes(array: &Array<'_>) -> (Dtype, Vec<u8>) {
    match array {
        Array::Float(values) => (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Array::Word(values) => (Dtype::U32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Array::Int(values) => {
            let fits = |low: i32, high: i32| values.iter().all(|value| (low..=high).contains(value));
            if fits(i8::MIN.into(), i8::MAX.into()) {
                (Dtype::I8, values.iter().map(|&value| value as i8 as u8).collect())
            } else if fits(i16::MIN.into(), i16::MAX.into()) {
                (Dtype::I16, values.iter().flat_map(|&value| (value as i16).to_le_bytes()).collect())
            } else {
                (Dtype::I32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
        }
    }
}
