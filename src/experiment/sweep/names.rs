//! Names of a sweep's arms, which are names of folders on every system.

use super::Value;
use crate::bits::{FNV_START, fnv_1a};
use std::collections::BTreeMap;

/// Longest name; file systems allow 255 bytes, and some programs 260 for a whole path.
const LONGEST: usize = 100;

/// Returns the name of each combination, such as `lr=0.1,q.bits=2`.
///
/// Names end in a hash if a string is not in them as it is, so that no other string has the same
/// name, also in a later sweep with the same folder; and long ones, and names that are equal on a
/// file system which ignores case.
pub(super) fn of_arms(recipe: &str, keys: &[String], combinations: &[Vec<Value>]) -> Vec<String> {
    let labels = labels(keys);
    let name = |values: &Vec<Value>| match labels.is_empty() {
        true => portable(recipe),
        false => labels
            .iter()
            .zip(values)
            .map(|(label, value)| format!("{label}={}", of_value(&value.shown)))
            .collect::<Vec<_>>()
            .join(","),
    };
    let names: Vec<_> = combinations.iter().map(name).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let is_whole = |values: &Vec<Value>| values.iter().all(is_plain);
    // A name with a hash is different anyway.
    for (name, _) in names.iter().zip(combinations).filter(|(_, values)| is_whole(values)) {
        *counts.entry(name.to_lowercase()).or_default() += 1;
    }
    let unique = |(name, values): (String, &Vec<Value>)| {
        if is_whole(values) && name.len() <= LONGEST && counts[&name.to_lowercase()] == 1 {
            return name;
        }
        let whole = super::assignments(keys, values);
        let hash = fnv_1a(FNV_START, whole.as_bytes());
        // A name consists of ASCII characters only.
        let start = &name[..name.len().min(LONGEST - 20)];
        format!("{start}-{:08x}", (hash ^ hash >> 32) as u32)
    };
    names.into_iter().zip(combinations).map(unique).collect()
}

/// Returns for each key the shortest part at its end that no other key has.
fn labels(keys: &[String]) -> Vec<String> {
    let parts: Vec<_> = keys.iter().map(|key| parts(key)).collect();
    let label = |at: usize, length: usize| {
        let all = &parts[at];
        portable(&all[all.len().saturating_sub(length)..].join("."))
    };
    let short = |at: usize| {
        // The key of a layer is unclear without the layer's name.
        let first = if parts[at].first().is_some_and(|part| part == "layers") { 2 } else { 1 };
        let is_unique =
            |length: &usize| (0..keys.len()).all(|other| other == at || label(other, *length) != label(at, *length));
        label(at, (first..parts[at].len()).find(is_unique).unwrap_or(parts[at].len()))
    };
    (0..keys.len()).map(short).collect()
}

/// Returns the parts of a key. The name of a layer is one, even if it contains dots.
fn parts(key: &str) -> Vec<String> {
    let inside = key.strip_prefix("model.").unwrap_or(key);
    match inside.strip_prefix("layers.").and_then(|rest| rest.rsplit_once('.')) {
        Some((name, key)) => ["layers", name, key].map(String::from).into(),
        None => key.split('.').map(String::from).collect(),
    }
}

/// Whether a value is in a name as it is. Only strings need not be.
fn is_plain(value: &Value) -> bool {
    !value.toml.starts_with(['"', '\'']) || of_value(&value.shown) == value.shown
}

/// Returns a value without brackets, quotes and spaces.
fn of_value(value: &str) -> String {
    let inner: String = value.chars().filter(|c| !"[]{}\"' ".contains(*c)).collect();
    portable(&inner.replace(',', "_"))
}

/// Replaces all characters that cannot be in a file's name on every system, or that separate the
/// parts of a name; the wildcards of layers' names are left out.
fn portable(text: &str) -> String {
    let kept = text.chars().filter(|c| !"*\"'".contains(*c));
    let replaced = kept.map(|c| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '-' });
    replaced.collect::<String>().trim_start_matches('.').to_string()
}
