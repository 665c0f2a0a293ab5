//! `--set key=value`: a change from outside of a recipe's file, as a text in front of it.

use crate::{Error, Result};
use toml::de::{DeTable, DeValue};

/// What an assignment looks like, for errors.
const FORM: &str = "write KEY=VALUE, such as train.optimizer.lr=0.1, or layers.NAME.KEY=VALUE for a layer";

/// Converts an assignment to a recipe's text; `option` is its name in errors.
pub(super) fn text(option: &str, assignment: &str) -> Result<String> {
    let wrong = |why: &str| Error::Usage(format!("{option}: {why}"));
    let (key, value) = assignment.split_once('=').ok_or_else(|| wrong(&format!("there is no \"=\"; {FORM}")))?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() {
        return Err(wrong(&format!("the key is missing; {FORM}")));
    }
    if value.is_empty() {
        return Err(wrong(&format!("the value is missing; {FORM}")));
    }
    let value = self::value(value).map_err(|why| wrong(&why))?;
    let of_layers = "layers.NAME.KEY=VALUE changes a key of the layers with that name; * stands for any text";
    if ["layers", "model.layers"].contains(&key) {
        return Err(wrong(of_layers));
    }
    let inside = key.strip_prefix("model.").unwrap_or(key).strip_prefix("layers.");
    let Some(inside) = inside else {
        if key == "extends" {
            return Err(wrong("name the recipe itself instead, in the place of the one given"));
        }
        if !key.split('.').all(is_name) {
            return Err(wrong(&format!("\"{key}\" is not a key; {FORM}")));
        }
        return Ok(format!("{key} = {value}\n"));
    };
    // The name of a layer may contain dots.
    let (name, key) = inside.rsplit_once('.').unwrap_or((inside, ""));
    let name = name.trim_matches(['"', '\'']);
    if name.is_empty() || key.is_empty() {
        return Err(wrong(of_layers));
    }
    if !is_name(key) || key == "match" {
        return Err(wrong(&format!("\"{key}\" is not a key of a layer; {FORM}")));
    }
    let name = toml::Value::String(name.into());
    Ok(format!("[[model.change]]\nmatch = {name}\n{key} = {value}\n"))
}

/// Whether it is a name as TOML has them without quotes.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A value as TOML: as it is written, or as a string.
fn value(text: &str) -> std::result::Result<String, String> {
    let line = format!("x = {text}");
    let string = || toml::Value::String(text.into()).to_string();
    match DeTable::parse(&line) {
        // No comment or further key follows it. No key of a recipe is a time.
        Ok(document) => match document.get_ref().get("x") {
            Some(value) if value.span().end == line.len() && !matches!(value.get_ref(), DeValue::Datetime(_)) => {
                Ok(text.to_string())
            }
            _ => Ok(string()),
        },
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            // What the parser says about strings follows anyway.
            let message = error.message().lines().collect::<Vec<_>>().join(", ") + "; ";
            let message = if message.starts_with("string values") { "" } else { &message };
            Err(format!(
                "the value is not valid TOML: {message}strings inside of a list or table need quotes \
                 that the shell keeps: 'KEY=[\"a\", \"b\"]'"
            ))
        }
        Err(_) => Ok(string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_a_text_of_a_recipe() {
        for (assignment, expected) in [
            ("train.optimizer.lr=0.1", "train.optimizer.lr = 0.1\n"),
            (" train.batch = 32 ", "train.batch = 32\n"),
            ("train.optimizer.kind=adam", "train.optimizer.kind = \"adam\"\n"),
            ("data.dir=a=b", "data.dir = \"a=b\"\n"),
            ("data.dir=images #2", "data.dir = \"images #2\"\n"),
            ("data.dir=5 # five", "data.dir = \"5 # five\"\n"),
            ("data.dir=\"5\"", "data.dir = \"5\"\n"),
            ("data.dir=2026-01-31", "data.dir = \"2026-01-31\"\n"),
            ("data.dir=C:\\images", "data.dir = 'C:\\images'\n"),
            ("data.shuffle=false", "data.shuffle = false\n"),
            ("model.input=[1, 8, 8]", "model.input = [1, 8, 8]\n"),
            ("layers.q*.bits=3", "[[model.change]]\nmatch = \"q*\"\nbits = 3\n"),
            ("model.layers.q.2.kind=sign", "[[model.change]]\nmatch = \"q.2\"\nkind = \"sign\"\n"),
            ("layers.\"q.*\".remove=true", "[[model.change]]\nmatch = \"q.*\"\nremove = true\n"),
        ] {
            assert_eq!(text("--set", assignment).unwrap(), expected, "{assignment}");
        }
    }

    /// A value never adds keys of its own.
    #[test]
    fn a_value_is_one_value() {
        for value in ["1\ntrain.seed = 7", "1 # x\n[train]\nseed = 7", "a\n[train]\nseed = 7"] {
            let text = text("--set", &format!("train.batch={value}")).unwrap();
            let table: toml::Table = text.parse().unwrap();
            let train = table["train"].as_table().unwrap();
            assert_eq!((table.len(), train.len(), train["batch"].as_str()), (1, 1, Some(value)), "{text}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for (assignment, part) in [
            ("train.lr", "there is no \"=\"; write KEY=VALUE, such as"),
            ("=3", "the key is missing"),
            ("train.batch=", "the value is missing"),
            ("train..batch=3", "\"train..batch\" is not a key"),
            ("train.[x]=3", "is not a key"),
            ("a b=3", "\"a b\" is not a key"),
            ("extends=digits", "name the recipe itself"),
            ("layers=3", "layers.NAME.KEY=VALUE changes"),
            ("model.layers=[]", "layers.NAME.KEY=VALUE changes"),
            ("layers.q1=3", "layers.NAME.KEY=VALUE changes"),
            ("layers..bits=3", "layers.NAME.KEY=VALUE changes"),
            ("layers.q1.match=q2", "\"match\" is not a key of a layer"),
            ("model.input=[1, 8", "not valid TOML"),
            ("data.mean=[a]", "need quotes"),
        ] {
            let error = text("--set a", assignment).unwrap_err().to_string();
            assert!(error.starts_with("--set a: ") && error.contains(part), "{assignment}: {error}");
        }
    }
}
