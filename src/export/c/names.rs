//! Identifiers for networks and layers.

use super::library;
use crate::error::{Error, Result};
use halfwave_infer::Network;
use std::collections::BTreeSet;

/// Derives a network's name in C from a file's or run's name: lower-case letters, digits and
/// underscores, beginning with a letter.
pub fn c_name(file: &str) -> String {
    let name = identifier(&file.to_lowercase());
    if name.is_empty() { "network".into() } else { name }
}

/// Checks a network's name.
pub(super) fn check(name: &str) -> Result<()> {
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if valid && name.len() <= 40 {
        return Ok(());
    }
    let advice = "use at most 40 lower-case letters, digits and underscores, beginning with a letter";
    Err(Error::Model(format!("{name:?} is no name for a network in C: {advice}")))
}

/// Letters, digits and single underscores of a text, beginning with a letter; empty if there are
/// none.
fn identifier(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("n{joined}") } else { joined }
}

/// An identifier for each layer, which differs from the others and from the beginnings of all names
/// of the library.
pub(super) fn of_layers(network: &Network) -> Vec<String> {
    let first = |name: &'static str| name.split('_').next().unwrap_or(name);
    let mut used: BTreeSet<String> = library::names().map(first).chain(["input", "run"]).map(String::from).collect();
    let mut name = |layer: &str| {
        let stem = match identifier(layer) {
            stem if stem.is_empty() => String::from("layer"),
            stem => stem.chars().take(60).collect(),
        };
        let mut name = stem.clone();
        let mut count = 1;
        while !used.insert(name.clone()) {
            count += 1;
            name = format!("{stem}_{count}");
        }
        name
    };
    network.layers.iter().map(|layer| name(&layer.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files() {
        for (file, name) in
            [("digits-1", "digits_1"), ("3 Stück*/", "n3_st_ck"), ("--", "network"), ("_vgg_Small.", "vgg_small")]
        {
            assert_eq!(c_name(file), name);
            check(name).unwrap();
        }
        for wrong in ["", "Digits", "3d", "_a", "a-b", "é"] {
            check(wrong).unwrap_err();
        }
    }
}
