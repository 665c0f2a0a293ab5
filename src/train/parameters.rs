//! Conversion of parameters between PyTorch's names and layouts on the host and channels-last
//! tensors on the device.
//!
//! | host | device |
//! |---|---|
//! | `conv.weight` `[k, c, r, s]`, c the channels of one group | `conv.weight` `[r, s, 4⌈c/4⌉, k]` |
//! | `fc.weight` `[k, c·h·w]` | `fc.weight` `[h, w, 4⌈c/4⌉, k]` |
//! | `bn.weight`, `bn.bias` `[c]` | `bn.weight`, `bn.bias` `[c]` |
//! | `bn.running_mean`, `bn.running_var` `[c]` | `bn.running` `[2, c]` |
//! | `conv.bias` `[k]` | `conv.bias` `[k]` |
//! | `layer.saturated` `[3]`, digits of base 2^24, least significant first: floats hold them exactly | `layer.saturated` `[2]`, two words |

use super::HostTensor;
use crate::error::{Error, Result};
use crate::model::{DIGITS, Layout, Parameter};
use crate::ops::fixed::{Format, Quantiser, Rounding};
use crate::random;
use crate::tensor::Tensor;

/// Bits of a count in each number on the host.
const DIGIT_BITS: usize = 24;

/// The count held in two words.
pub(super) fn count_of(words: &[u32]) -> u64 {
    u64::from(words[0]) | u64::from(words[1]) << 32
}

impl Parameter {
    /// Initial values: He's normal distribution for weights, √(2 / fan-in), from the seed and the
    /// name; constants for the rest.
    pub fn start(&self, seed: u64) -> Tensor {
        match &self.layout {
            Layout::Filters { channels, window: [r, s], .. } => {
                let (name, shape) = self.host().swap_remove(0);
                let deviation = (2.0 / (channels * r * s) as f64).sqrt() as f32;
                let mut values = random::normal(seed, &name, shape.iter().product());
                values.iter_mut().for_each(|value| *value *= deviation);
                self.to_device(&[HostTensor { shape, values }])
            }
            Layout::Rows { length, parts } => {
                let values: Vec<_> = parts.iter().flat_map(|(_, start)| vec![*start; *length]).collect();
                Tensor::from_f32(&self.ty().shape, &values)
            }
            Layout::Count => Tensor::zeros(self.ty()),
        }
    }

    /// Rounds a fixed-point parameter to the nearest values of its format.
    pub fn settled(&self, mut tensor: Tensor) -> Tensor {
        if let Some((format, _)) = self.fixed {
            let quantiser = Quantiser { format: Format::new(format), rounding: Rounding::Nearest, stream: 0 };
            tensor.words.iter_mut().for_each(|word| *word = quantiser.round(f32::from_bits(*word), 0.0).to_bits());
        }
        tensor
    }

    /// The signs of its values, ±1, with 0 counted as positive; padding stays 0.
    pub fn signs(&self, tensor: Tensor) -> Tensor {
        let parts = self.to_host(tensor.words).into_iter().map(|(_, part)| part);
        let sign = |value: f32| if value >= 0.0 { 1.0 } else { -1.0 };
        let signs = |part: HostTensor| HostTensor { values: part.values.into_iter().map(sign).collect(), ..part };
        self.to_device(&parts.map(signs).collect::<Vec<_>>())
    }

    /// Device tensor from host parts whose shapes were checked.
    fn to_device(&self, parts: &[HostTensor]) -> Tensor {
        match &self.layout {
            Layout::Filters { filters, channels, window: [r, s], .. } => {
                let (ty, from) = (self.ty(), &parts[0].values);
                let rows = ty.shape[2];
                let mut values = vec![0.0; ty.len()];
                for k in 0..*filters {
                    for c in 0..*channels {
                        for tap in 0..r * s {
                            values[(tap * rows + c) * filters + k] = from[(k * channels + c) * r * s + tap];
                        }
                    }
                }
                Tensor::from_f32(&ty.shape, &values)
            }
            Layout::Rows { .. } => {
                let values: Vec<_> = parts.iter().flat_map(|part| part.values.iter().copied()).collect();
                Tensor::from_f32(&self.ty().shape, &values)
            }
            Layout::Count => {
                let digits = parts[0].values.iter().rev();
                let count = digits.fold(0u64, |count, &digit| count << DIGIT_BITS | digit as u64);
                Tensor::from_u32(&[2], &[count as u32, (count >> 32) as u32])
            }
        }
    }

    /// Host parts of a tensor in the device's layout.
    pub fn to_host(&self, words: Vec<u32>) -> Vec<(String, HostTensor)> {
        if self.counts() {
            let count = count_of(&words);
            let digit = |i| (count >> (i * DIGIT_BITS) & ((1 << DIGIT_BITS) - 1)) as f32;
            let values = (0..DIGITS).map(digit).collect();
            return vec![(self.name.clone(), HostTensor { shape: vec![DIGITS], values })];
        }
        let values = Tensor { ty: self.ty(), words }.to_f32();
        let parts = self.host().into_iter();
        match &self.layout {
            Layout::Filters { filters, channels, window: [r, s], .. } => {
                let rows = self.ty().shape[2];
                let mut out = vec![0.0; filters * channels * r * s];
                for k in 0..*filters {
                    for c in 0..*channels {
                        for tap in 0..r * s {
                            out[(k * channels + c) * r * s + tap] = values[(tap * rows + c) * filters + k];
                        }
                    }
                }
                parts.map(|(name, shape)| (name, HostTensor { shape, values: out.clone() })).collect()
            }
            Layout::Rows { length, .. } => parts
                .zip(values.chunks_exact(*length))
                .map(|((name, shape), values)| (name, HostTensor { shape, values: values.to_vec() }))
                .collect(),
            Layout::Count => unreachable!("done above"),
        }
    }

    /// Device tensor from a collection of host tensors under `prefix`; `None` if the collection
    /// holds none of the parts.
    ///
    /// # Errors
    ///
    /// Returns an error if some parts are missing, have other shapes or hold values that are not
    /// finite; the message names the tensor.
    pub fn find(&self, prefix: &str, get: impl Fn(&str) -> Option<HostTensor>) -> Result<Option<Tensor>> {
        let parts: Vec<_> = self.host();
        let found: Vec<_> = parts.iter().map(|(name, _)| get(&format!("{prefix}{name}"))).collect();
        if found.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut values = Vec::new();
        for ((name, shape), tensor) in parts.into_iter().zip(found) {
            let Some(tensor) = tensor else {
                return Err(Error::Model(format!("the tensor {prefix}{name} is missing")));
            };
            if tensor.shape != shape {
                return Err(Error::Model(format!(
                    "the tensor {prefix}{name} has the shape {:?}, but the model's has {shape:?}",
                    tensor.shape
                )));
            }
            tensor.check_finite(&format!("{prefix}{name}"))?;
            if let Some(at) = tensor.values.iter().position(|&value| value < 0.0 && name.ends_with(".running_var")) {
                let value = tensor.values[at];
                return Err(Error::Model(format!(
                    "the tensor {prefix}{name} holds {value} (value {at}), but a variance cannot be negative"
                )));
            }
            values.push(tensor);
        }
        Ok(Some(self.to_device(&values)))
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;

    #[test]
    fn every_layout_comes_back() {
        let recipe = include_str!("../../assets/reference/digits-hwgq.toml");
        let model = Recipe::parse(recipe, "digits-hwgq").unwrap().model;
        let parameters = model.parameters().unwrap();
        let names: Vec<_> = parameters.iter().flat_map(|p| p.host()).map(|(name, _)| name).collect();
        assert_eq!(names.len(), 4 + 1 + 2 + 6, "{names:?}");
        for parameter in parameters {
            let start = parameter.start(7);
            let host = parameter.to_host(start.words.clone());
            let get = |name: &str| host.iter().find(|(known, _)| known == name).map(|(_, t)| t.clone());
            assert_eq!(parameter.find("", get).unwrap().unwrap(), start, "{}", parameter.name);
            assert_eq!(parameter.find("other/", |_| None).unwrap(), None);
            let signs = parameter.to_host(parameter.signs(start).words);
            for ((_, sign), (_, value)) in signs.iter().zip(&host) {
                let mut pairs = sign.values.iter().zip(&value.values);
                assert!(pairs.all(|(sign, value)| sign.abs() == 1.0 && (*sign > 0.0) == (*value >= 0.0)));
            }
        }
    }
}
