//! Recipes as lists of keys, by which they are compared.

use super::Recipe;
use toml::Value;

/// The parts of a recipe, those with the most telling differences first.
pub(crate) const PARTS: [&str; 3] = ["train", "data", "model"];

/// Key of the list of layers.
pub(crate) const LAYERS: &str = "model.layers";

/// A key of a recipe.
pub(crate) struct Entry {
    /// The key, such as `train.optimizer.lr` or `model.layers.conv1.filters`.
    pub(crate) key: String,
    /// The layer that it belongs to.
    #[cfg_attr(not(feature = "report"), allow(dead_code))] // reports group by it
    pub(crate) layer: Option<String>,
    /// The value as TOML.
    pub(crate) value: String,
}

/// Flattens a recipe to keys and values; tables and named layers become parts of keys.
pub(crate) fn flat(recipe: &Recipe) -> Vec<Entry> {
    let table: toml::Table = recipe.to_toml().parse().expect("a recipe writes TOML");
    let mut entries = Vec::new();
    for part in PARTS {
        table.get(part).into_iter().for_each(|value| flatten(part.to_string(), None, value, &mut entries));
    }
    entries
}

fn flatten(key: String, layer: Option<&str>, value: &Value, entries: &mut Vec<Entry>) {
    match value {
        Value::Table(table) => {
            table.iter().for_each(|(name, value)| flatten(format!("{key}.{name}"), layer, value, entries));
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (at, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str).map_or((at + 1).to_string(), str::to_string);
                let layer = if key == LAYERS { Some(name.as_str()) } else { layer };
                flatten(format!("{key}.{name}"), layer, item, entries);
            }
        }
        _ => entries.push(Entry { key, layer: layer.map(str::to_string), value: value.to_string() }),
    }
}
