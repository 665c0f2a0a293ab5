//! `halfwave layers`: lists the kinds of layers and their keys, from the definitions used to parse
//! recipes.

use super::terminal::print;
use halfwave::model::keys::{self, Entry};
use halfwave::model::{KINDS, Kind};
use halfwave::recipe::nearest;
use halfwave::{Error, Result};

/// List the kinds of layers with their formulas, sources, and keys with defaults.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  halfwave layers\n  halfwave layers hwgq")]
pub(super) struct LayersArgs {
    /// One kind to describe, instead of all
    kind: Option<String>,
}

pub(super) fn layers(args: &LayersArgs) -> Result<()> {
    let Some(wanted) = &args.kind else {
        let all: Vec<_> = KINDS.iter().map(described).collect();
        return print(&format!(
            "Every layer has a name, a kind, and `from`: the names of its input layers, by default the preceding one.\n\n{}",
            all.join("\n")
        ));
    };
    if let Some(kind) = KINDS.iter().find(|kind| kind.name == wanted) {
        return print(&described(kind));
    }
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let advice = match nearest(wanted, &names) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("there are {}", names.join(", ")),
    };
    Err(Error::Usage(format!("there is no kind of layer \"{wanted}\"; {advice}")))
}

/// Describes a kind: its formula, its source, and a line for each key, followed by the allowed
/// words.
fn described(kind: &Kind) -> String {
    let mut text = format!("{}\n    {}\n", kind.name, kind.formula);
    if !kind.source.is_empty() {
        text += &format!("    {}\n", kind.source);
    }
    for Entry { key, value: default, words } in keys::list(kind.start.clone().keys()) {
        let value = match key.example {
            Some(example) => format!("required, such as {example}"),
            None => default,
        };
        text += &format!("      {:<16} {value:<22} {}\n", key.name, key.meaning);
        if !words.is_empty() {
            text += &format!("{:46}\"{}\"\n", "", words.join("\", \""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_described() {
        for kind in KINDS.iter() {
            let text = described(kind);
            for Entry { key, value, words } in keys::list(kind.start.clone().keys()) {
                assert!(text.contains(key.name) && !key.meaning.is_empty(), "{text}");
                assert!(key.example.is_some() || text.contains(&value), "{text}");
                assert!(words.iter().all(|word| text.contains(&format!("\"{word}\""))), "{text}");
            }
            assert!(!kind.formula.is_empty(), "{}", kind.name);
        }
        assert!(described(&KINDS[0]).contains("required, such as 64"));
    }
}
