//! Tensors in safetensors files written by halfwave and by other tools.

use super::foreign;
use crate::error::{Error, Result};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The metadata key of halfwave's header.
const KEY: &str = "halfwave";

/// A float tensor on the host, in row order.
#[derive(Clone, PartialEq, Debug)]
pub struct HostTensor {
    /// Axis lengths; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// Checks that all values are finite; `name` is used in the message.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is not finite; the message gives the first one.
    pub fn check_finite(&self, name: &str) -> Result<()> {
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::Model(format!(
                "the tensor {name} holds {} (value {at} of {}), but weights must be finite 32-bit floats; use a file from before the training diverged",
                self.values[at],
                self.values.len()
            ))),
        }
    }
}

/// An opened safetensors file. Tensors are decoded on request, so that unused ones may have any
/// type.
pub struct Stored<'a> {
    path: &'a Path,
    file: SafeTensors<'a>,
}

impl<'a> Stored<'a> {
    /// Opens the bytes of a file; `path` is used in messages.
    ///
    /// # Errors
    ///
    /// Returns an error if they are truncated or of another kind of file; the message says which
    /// kind and what to do.
    pub fn open(bytes: &'a [u8], path: &'a Path) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| Error::Checkpoint { path: path.into(), message: foreign::explain(bytes, path, &error) })?;
        Ok(Self { path, file })
    }

    /// The names of all tensors, ordered.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.file.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// The tensor of that name, as 32-bit floats; `None` if there is no such tensor.
    ///
    /// # Errors
    ///
    /// Returns an error if its type is not F32, F16, BF16 or F64.
    pub fn tensor(&self, name: &str) -> Result<Option<HostTensor>> {
        let Ok(view) = self.file.tensor(name) else { return Ok(None) };
        let values = floats(&view).ok_or_else(|| Error::Checkpoint {
            path: self.path.into(),
            message: format!(
                "the tensor {name} is {:?}, but weights must be F32, F16, BF16 or F64; convert it to float32 and save it again",
                view.dtype()
            ),
        })?;
        Ok(Some(HostTensor { shape: view.shape().to_vec(), values }))
    }
}

/// The values of a float tensor; F64 is rounded to nearest, beyond the range of f32 to infinity.
fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
    }
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => each(bytes, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)),
        _ => return None,
    })
}

/// Serialises tensors into the bytes of a safetensors file.
pub fn to_bytes(tensors: &BTreeMap<String, HostTensor>, header: Option<String>) -> Vec<u8> {
    let views: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = bytemuck::cast_slice(&tensor.values);
            (name, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).expect("shape and values agree"))
        })
        .collect();
    let metadata = header.map(|header| HashMap::from([(KEY.to_string(), header)]));
    safetensors::serialize(views, metadata).expect("float tensors can be written")
}

/// Reads all float tensors of a safetensors file, and halfwave's header if there is one; tensors of
/// other types are omitted.
///
/// # Errors
///
/// Returns an error if it is truncated or not a safetensors file.
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<(BTreeMap<String, HostTensor>, Option<String>)> {
    let stored = Stored::open(bytes, path)?;
    let tensors = stored.file.iter().filter_map(|(name, view)| {
        let values = floats(&view)?;
        Some((name.to_string(), HostTensor { shape: view.shape().to_vec(), values }))
    });
    let tensors = tensors.collect();
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, metadata)| metadata.metadata().clone());
    Ok((tensors, metadata.and_then(|mut metadata| metadata.remove(KEY))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_exact() {
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let magnitude = match exponent {
                0 => fraction / 1024.0 * 2f64.powi(-14),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
            };
            let expected = if bits >> 15 == 1 { -magnitude } else { magnitude } as f32;
            let found = f16::from_bits(bits).to_f32();
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{bits:#06x} is {found}, not {expected}"
            );
        }
    }

    #[test]
    fn floats_of_every_type_are_read_and_others_named() {
        let data: [(&str, Dtype, &[u8]); 7] = [
            ("f32", Dtype::F32, &1.5f32.to_le_bytes()),
            ("f64", Dtype::F64, &0.1f64.to_le_bytes()),
            ("f16", Dtype::F16, &[0x00, 0x3e]),
            ("bf16", Dtype::BF16, &[0xc0, 0xbf]),
            ("i64", Dtype::I64, &46i64.to_le_bytes()),
            ("f8", Dtype::F8_E4M3, &[0x38]),
            ("flag", Dtype::BOOL, &[1]),
        ];
        let view = |&(name, dtype, bytes)| (name, TensorView::new(dtype, vec![1], bytes).unwrap());
        let bytes = safetensors::serialize(data.iter().map(view), None).unwrap();
        let stored = Stored::open(&bytes, Path::new("w.safetensors")).unwrap();
        for (name, expected) in [("f32", 1.5), ("f64", 0.1), ("f16", 1.5), ("bf16", -1.5)] {
            let tensor = stored.tensor(name).unwrap().unwrap();
            assert_eq!((&tensor.shape[..], &tensor.values[..]), (&[1][..], &[expected][..]), "{name}");
        }
        for (name, dtype) in [("i64", "I64"), ("f8", "F8_E4M3"), ("flag", "BOOL")] {
            let message = stored.tensor(name).unwrap_err().to_string();
            assert!(message.contains(&format!("w.safetensors: the tensor {name} is {dtype}, but")), "{message}");
        }
        assert_eq!(stored.tensor("other").unwrap(), None);
        let all = from_bytes(&bytes, Path::new("w")).unwrap();
        assert_eq!(all.0.keys().collect::<Vec<_>>(), ["bf16", "f16", "f32", "f64"]);
        assert_eq!(all.1, None);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let tensor = |values: &[f32]| HostTensor { shape: vec![values.len()], values: values.to_vec() };
        tensor(&[0.0, f32::MAX, -1e-45]).check_finite("a").unwrap();
        for (bad, name) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf"), (1e300f64 as f32, "inf")] {
            let message = tensor(&[1.0, bad]).check_finite("fc.bias").unwrap_err().to_string();
            assert!(message.contains(&format!("fc.bias holds {name} (value 1 of 2)")), "{message}");
        }
    }
}
