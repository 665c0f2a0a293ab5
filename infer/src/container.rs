//! Reading of safetensors files: the header's metadata and the tensors' bytes.

use crate::json::{Json, Read};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Types of elements in packed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    U32,
    I8,
    I16,
    I32,
}

impl Element {
    fn named(name: &str) -> Option<Self> {
        let all = [("F32", Self::F32), ("U32", Self::U32), ("I8", Self::I8), ("I16", Self::I16), ("I32", Self::I32)];
        all.into_iter().find(|(known, _)| *known == name).map(|(_, element)| element)
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
        }
    }
}

/// A tensor of a file.
pub(crate) struct Tensor<'a> {
    pub(crate) name: String,
    pub(crate) element: Option<Element>,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: &'a [u8],
}

/// A safetensors file.
///
/// **Invariant:** every tensor has as many bytes as its shape needs, and together they have as many
/// as the file, so reading all of them takes memory in proportion to the file.
pub(crate) struct Container<'a> {
    pub(crate) metadata: BTreeMap<String, String>,
    /// In the order of their names, which differ.
    pub(crate) tensors: Vec<Tensor<'a>>,
}

impl<'a> Container<'a> {
    /// Reads the bytes of a file. Types of elements that packed files do not have are tolerated until
    /// they are used: other kinds of files are told by their metadata.
    pub(crate) fn read(bytes: &'a [u8]) -> Read<Self> {
        let truncated = || "it is cut off, or not a safetensors file".to_owned();
        let (len, rest) = bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| truncated())?;
        let (header, data) = rest.split_at_checked(len).ok_or_else(truncated)?;
        let header = core::str::from_utf8(header).map_err(|_| "its header is not text")?;
        let mut metadata = BTreeMap::new();
        let mut tensors: Vec<Tensor<'_>> = Vec::new();
        let mut json = Json::new(header);
        json.object(&mut |json, name| match name.as_str() {
            "__metadata__" => json.object(&mut |json, name| {
                metadata.insert(name, json.string()?);
                Ok(())
            }),
            _ => {
                tensors.push(tensor(json, name, data)?);
                Ok(())
            }
        })?;
        json.end()?;
        tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if tensors.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err("it has two tensors of one name".into());
        }
        let stored = tensors.iter().try_fold(0usize, |sum, tensor| sum.checked_add(tensor.data.len()));
        if stored != Some(data.len()) {
            return Err("its tensors do not fill it exactly".into());
        }
        Ok(Self { metadata, tensors })
    }

    /// Returns the tensor of this name.
    pub(crate) fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        let at = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()?;
        Some(&self.tensors[at])
    }
}

/// Reads a tensor's place in the data.
fn tensor<'a>(json: &mut Json<'_>, name: String, data: &'a [u8]) -> Read<Tensor<'a>> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    json.object(&mut |json, field| {
        match field.as_str() {
            "dtype" => dtype = Some(json.string()?),
            "shape" => shape = Some(json.wholes()?),
            "data_offsets" => offsets = Some(json.pair()?),
            _ => return Err("a tensor has a field of another format".into()),
        }
        Ok(())
    })?;
    let (Some(dtype), Some(shape), Some([begin, end])) = (dtype, shape, offsets) else {
        return Err("a tensor has no type, shape or place".into());
    };
    let data = data.get(begin..end).ok_or("a tensor lies outside of it, so it is cut off")?;
    let element = Element::named(&dtype);
    let count = shape.iter().try_fold(1usize, |product, &len| product.checked_mul(len));
    let bytes = element.map(|element| count.and_then(|count| count.checked_mul(element.bytes())));
    match bytes {
        Some(bytes) if bytes != Some(data.len()) => Err("a tensor's place does not fit its shape".into()),
        _ => Ok(Tensor { name, element, shape, data }),
    }
}
