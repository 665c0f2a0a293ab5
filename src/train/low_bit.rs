//! Statistics of low-bit networks at the end of an epoch: codes compared with the Gaussian ideal,
//! share of gradients that surrogates pass, weights whose sign changed, scales, saturations.

use super::checkpoint::HostTensor;
use super::metrics::{LayerRow, Spread};
use super::session::Session;
use crate::error::Result;
use crate::model::{Alpha, Form, Model};
use std::collections::BTreeMap;

/// Maximum number of images whose codes are counted.
pub(super) const SAMPLE: usize = 64;

/// Prefix of the names of signs in a checkpoint.
const PREFIX: &str = "signs/";
/// Signs per number in a checkpoint: floats hold these integers exactly.
const SIGNS: usize = 24;

/// Packed signs of all binary weights, keyed by the names of the weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Signs(BTreeMap<String, Vec<u32>>);

impl Signs {
    fn new(weights: &BTreeMap<String, HostTensor>) -> Self {
        let word = |values: &[f32]| values.iter().rev().fold(0, |word, v| word << 1 | u32::from(*v >= 0.0));
        let pack = |tensor: &HostTensor| tensor.values.chunks(SIGNS).map(word).collect();
        Self(weights.iter().map(|(name, tensor)| (name.clone(), pack(tensor))).collect())
    }

    /// Converts them to tensors of a checkpoint.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (String, HostTensor)> + '_ {
        self.0.iter().map(|(name, words)| {
            let values: Vec<_> = words.iter().map(|&word| word as f32).collect();
            (format!("{PREFIX}{name}"), HostTensor { shape: vec![values.len()], values })
        })
    }

    /// Reads them from a checkpoint taken within an epoch; `None` for one from an epoch's end.
    pub(super) fn find(tensors: &BTreeMap<String, HostTensor>) -> Option<Self> {
        let found = tensors.iter().filter_map(|(name, tensor)| {
            let words = tensor.values.iter().map(|&v| v as u32).collect();
            Some((name.strip_prefix(PREFIX)?.to_string(), words))
        });
        Some(Self(found.collect())).filter(|signs| !signs.0.is_empty())
    }
}

/// The layers for which the device uses the signs of the weights.
fn binary(model: &Model) -> impl Iterator<Item = (&str, Alpha)> {
    model.layers.iter().filter_map(|layer| match layer.kind.packed_weights()?.form {
        Form::Binary { alpha, .. } => Some((layer.name.as_str(), alpha)),
        Form::Dorefa { .. } | Form::Abc { .. } => None,
    })
}

/// The current latent weights of those layers.
async fn weights(session: &mut Session, model: &Model) -> Result<BTreeMap<String, HostTensor>> {
    if binary(model).next().is_none() {
        return Ok(BTreeMap::new());
    }
    session.latent_weights().await
}

/// The current signs.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub(super) async fn signs(session: &mut Session, model: &Model) -> Result<Signs> {
    Ok(Signs::new(&weights(session, model).await?))
}

/// α of each filter as the layer defines it: mean |w| over the filter, or over the layer.
fn spread(tensor: &HostTensor, alpha: Alpha) -> Option<Spread> {
    let filter_len = match alpha {
        Alpha::Filter => tensor.shape[1..].iter().product(),
        Alpha::Layer => tensor.values.len(),
        Alpha::None => return None,
    };
    let mean = |filter: &[f32]| filter.iter().map(|v| f64::from(v.abs())).sum::<f64>() / filter.len() as f64;
    let alphas: Vec<f64> = tensor.values.chunks(filter_len).map(mean).collect();
    let fold = |pick: fn(f64, f64) -> f64| alphas.iter().copied().reduce(pick).unwrap_or(f64::NAN) as f32;
    let mean = (alphas.iter().sum::<f64>() / alphas.len() as f64) as f32;
    Some(Spread { min: fold(f64::min), mean, max: fold(f64::max) })
}

/// Statistics of the layers on some normalised images, with sign changes since `before`, and the
/// current signs.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub(super) async fn layers(
    session: &mut Session,
    model: &Model,
    images: &[f32],
    before: Option<&Signs>,
) -> Result<(BTreeMap<String, LayerRow>, Signs)> {
    let mut rows = BTreeMap::<String, LayerRow>::new();
    for (layer, code_statistics) in session.quantisers(images).await? {
        let row = rows.entry(layer).or_default();
        (row.codes, row.ideal, row.passed) =
            (code_statistics.codes, code_statistics.ideal, Some(code_statistics.passed));
    }
    let latent = weights(session, model).await?;
    let now = Signs::new(&latent);
    for (layer, alpha) in binary(model) {
        let name = format!("{layer}.weight");
        let row = rows.entry(layer.to_string()).or_default();
        row.alpha = spread(&latent[&name], alpha);
        if let Some(before) = before.and_then(|signs| signs.0.get(&name)) {
            let differ = before.iter().zip(&now.0[&name]).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
            row.flipped = Some(differ as f32 / latent[&name].values.len() as f32);
        }
    }
    for (layer, saturated) in session.saturations().await? {
        rows.entry(layer).or_default().saturated = Some(saturated);
    }
    Ok((rows, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_go_through_a_checkpoint() {
        let values: Vec<f32> = (0..67).map(|i| if i % 3 == 0 { -1.5 } else { 0.0 }).collect();
        let weights = BTreeMap::from([("a.weight".to_string(), HostTensor { shape: vec![67], values })]);
        let signs = Signs::new(&weights);
        let tensors: BTreeMap<_, _> = signs.tensors().collect();
        assert_eq!(tensors["signs/a.weight"].values.len(), 3);
        assert_eq!(Signs::find(&tensors), Some(signs));
        assert_eq!(Signs::find(&weights), None);
    }

    #[test]
    fn a_spread_is_of_filters_or_of_the_layer() {
        let tensor = HostTensor { shape: vec![2, 1, 1, 2], values: vec![1.0, -3.0, 0.5, 0.5] };
        assert_eq!(spread(&tensor, Alpha::Filter), Some(Spread { min: 0.5, mean: 1.25, max: 2.0 }));
        assert_eq!(spread(&tensor, Alpha::Layer), Some(Spread { min: 1.25, mean: 1.25, max: 1.25 }));
        assert_eq!(spread(&tensor, Alpha::None), None);
    }
}
