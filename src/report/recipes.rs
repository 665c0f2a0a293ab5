//! Differences between recipes: keys of the resolved recipes, with layers identified by name.

use crate::recipe::Recipe;
use crate::recipe::flat::{Entry, LAYERS, PARTS, flat};
use serde::Serialize;
use std::collections::BTreeMap;

/// A key whose values differ between recipes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// The key, such as `train.optimizer.lr` or `model.layers.conv1.filters`.
    pub(super) key: String,
    /// The layer that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<String>,
    /// The value in each recipe as TOML; `None` if the recipe does not have the key.
    pub(super) values: Vec<Option<String>>,
}

/// Returns all differences: those of training and data first, those of layers last, because there may
/// be many. Those of a layer follow each other.
pub(super) fn differences(recipes: &[&Recipe]) -> Vec<Difference> {
    let flat: Vec<_> = recipes.iter().map(|recipe| flat(recipe)).collect();
    let maps: Vec<BTreeMap<_, _>> =
        flat.iter().map(|entries| entries.iter().map(|entry| (&entry.key, &entry.value)).collect()).collect();
    let mut found: Vec<Difference> = Vec::new();
    for Entry { key, layer, .. } in flat.iter().flatten() {
        let values: Vec<_> = maps.iter().map(|map| map.get(key).map(|value| value.to_string())).collect();
        let differs = values.windows(2).any(|pair| pair[0] != pair[1]);
        if differs && !found.iter().any(|known| known.key == *key) {
            found.push(Difference { key: key.clone(), layer: layer.clone(), values });
        }
    }
    let lacking = |difference: &Difference| difference.values.iter().position(Option::is_none);
    // For a layer that a recipe lacks, only its kind is kept.
    found.retain(|difference| {
        lacking(difference).is_none_or(|at| {
            let kind = difference.layer.as_ref().map(|layer| format!("{LAYERS}.{layer}.kind"));
            kind.is_none_or(|kind| difference.key == kind || maps[at].contains_key(&kind))
        })
    });
    // A layer that only a later recipe has, or a key of a layer, would otherwise follow everything else.
    let order: Vec<_> = found.iter().map(|difference| group(difference).to_string()).collect();
    found.sort_by_cached_key(|difference| {
        let part = PARTS.iter().position(|part| *part == group(difference)).unwrap_or(PARTS.len());
        (part, order.iter().position(|name| name == group(difference)))
    });
    found
}

/// Returns what a difference belongs to: its layer, or else a part of the recipe.
fn group(difference: &Difference) -> &str {
    difference.layer.as_deref().unwrap_or_else(|| difference.key.split('.').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Length, builtin};

    #[test]
    fn only_what_differs_is_told() {
        let digits = Recipe::digits();
        assert_eq!(differences(&[&digits, &digits]), []);
        assert_eq!(differences(&[&digits]), []);
        let mut other = digits.clone();
        other.train.seed = 7;
        other.train.length = Length::Steps(3);
        let found = differences(&[&digits, &other, &digits]);
        let values = |key: &str| found.iter().find(|one| one.key == key).map(|one| one.values.clone());
        assert_eq!(values("train.seed"), Some(["0", "7", "0"].map(|seed| Some(seed.to_string())).to_vec()));
        assert_eq!(values("train.steps"), Some(vec![None, Some("3".into()), None]));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn layers_are_compared_by_name() {
        let [wide, float] = ["digits", "digits-float"].map(|name| Recipe::parse(builtin(name).unwrap(), name).unwrap());
        let found = differences(&[&wide, &float]);
        let keys: Vec<_> = found.iter().map(|one| one.key.as_str()).collect();
        assert!(keys.contains(&"model.layers.conv2.weights"), "{keys:?}");
        // A quantiser that the other recipe lacks is one line.
        let quantiser: Vec<_> = keys.iter().filter(|key| key.starts_with("model.layers.q1.")).collect();
        assert!(quantiser.len() <= 1, "{keys:?}");
        // The differences of each layer follow each other, those of keys that only the later recipe has, too.
        let found = differences(&[&float, &wide]);
        let mut layers: Vec<_> = found.iter().map(|one| one.layer.as_deref()).collect();
        layers.dedup();
        let distinct: std::collections::BTreeSet<_> = layers.iter().collect();
        assert_eq!(layers.len(), distinct.len(), "{layers:?}");
        assert!(layers.len() > 2, "{layers:?}");
    }
}
