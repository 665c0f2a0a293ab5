//! JSON Schema (draft 2020-12) of tables.
//!
//! [`object`] says which keys and values a table may have, [`required`] which it must have: a
//! recipe that extends another one may leave them out. A table with kinds lists the keys of all of
//! them, so that editors can complete them, and restricts them by kind.

use super::{Entry, Form, Key, Section, Variant};
use serde_json::{Map, Value, json};
use std::ops::{Bound, RangeInclusive};

/// Returns the schema of a table, without required keys, except in lists of tables.
pub fn object(section: &Section) -> Value {
    let mut properties = Map::new();
    if let Some(key) = section.kind {
        let names: Vec<_> = section.variants.iter().map(|variant| variant.name).collect();
        let kinds = json!({ "enum": names, "description": key.meaning });
        properties.insert(key.name.into(), kinds);
    }
    for name in section.names().into_iter().filter(|name| !properties.contains_key(*name)).collect::<Vec<_>>() {
        let of_kinds: Vec<_> = named(section, name).collect();
        // What differs between kinds is described for each.
        let schema = if of_kinds.windows(2).all(|pair| pair[0] == pair[1]) { entry(of_kinds[0]) } else { json!({}) };
        properties.insert(name.into(), schema);
    }
    let mut all: Vec<Value> = section.kind.iter().flat_map(|key| by_kind(section, *key, keys_of)).collect();
    let entries = section.variants.iter().flat_map(|variant| &variant.entries);
    for key in entries.map(|entry| entry.key) {
        let both = key.rival.map(|rival| json!({ "not": { "required": [rival.name, key.name] } }));
        all.extend(both.filter(|both| !all.contains(both)));
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !all.is_empty() {
        schema["allOf"] = Value::Array(all);
    }
    schema
}

/// Returns the entries of a key, one for each kind that has it.
fn named<'a>(section: &'a Section, name: &'a str) -> impl Iterator<Item = &'a Entry> {
    section.variants.iter().flat_map(|variant| &variant.entries).filter(move |entry| entry.key.name == name)
}

/// Returns one condition for each kind of which `then` says something.
fn by_kind(section: &Section, key: Key, then: fn(&Section, &Variant) -> Option<Value>) -> Vec<Value> {
    let condition = |variant: &Variant| {
        let then = then(section, variant)?;
        let kind = json!({ "properties": { key.name: { "const": variant.name } }, "required": [key.name] });
        Some(json!({ "if": kind, "then": then }))
    };
    section.variants.iter().filter_map(condition).collect()
}

/// Returns the names of a kind's keys, and the values of those that differ between kinds.
fn keys_of(section: &Section, variant: &Variant) -> Option<Value> {
    let own = variant.entries.iter();
    let names: Vec<_> = section.kind.iter().map(|key| key.name).chain(own.clone().map(|own| own.key.name)).collect();
    let differs = |own: &&Entry| named(section, own.key.name).any(|other| other != *own);
    let properties: Map<_, _> = own.filter(differs).map(|own| (own.key.name.into(), entry(own))).collect();
    Some(json!({ "description": variant.meaning, "propertyNames": { "enum": names }, "properties": properties }))
}

/// Returns the schema of the keys that must be given; `None` if there are none.
pub fn required(section: &Section) -> Option<Value> {
    let common: Vec<_> = section.common().into_iter().cloned().collect();
    let mut schema = required_of(&common, section.kind);
    if let Some(key) = section.kind {
        let conditions = by_kind(section, key, |_, variant| required_of(&variant.entries, None));
        if !conditions.is_empty() {
            schema.get_or_insert_with(|| json!({}))["allOf"] = Value::Array(conditions);
        }
    }
    schema
}

fn required_of(entries: &[Entry], kind: Option<Key>) -> Option<Value> {
    let mut schema = Map::new();
    let given = entries.iter().map(|entry| entry.key).filter(|key| key.example.is_some());
    let names: Vec<_> = kind.into_iter().chain(given).map(|key| key.name).collect();
    if !names.is_empty() {
        schema.insert("required".into(), json!(names));
    }
    for key in entries.iter().map(|entry| entry.key) {
        if let Some(rival) = key.rival.filter(|rival| rival.example.is_some()) {
            schema.insert("anyOf".into(), json!([{ "required": [rival.name] }, { "required": [key.name] }]));
        }
    }
    let tables = entries.iter().filter_map(|entry| match &entry.form {
        Form::Table(section) => Some((entry.key.name.to_string(), required(section)?)),
        _ => None,
    });
    let properties: Map<_, _> = tables.collect();
    if !properties.is_empty() {
        schema.insert("properties".into(), Value::Object(properties));
    }
    (!schema.is_empty()).then_some(Value::Object(schema))
}

/// Returns the schema of a key's value.
fn entry(entry: &Entry) -> Value {
    let Entry { key, value, form } = entry;
    let mut schema = self::form(form);
    schema["description"] = json!(key.meaning);
    let fixed = value.as_ref().filter(|_| key.example.is_none() && key.default.is_none());
    let parsed = fixed.and_then(|value| format!("value = {value}").parse::<toml::Table>().ok());
    if let Some(default) = parsed.and_then(|table| serde_json::to_value(&table["value"]).ok()) {
        schema["default"] = default;
    }
    schema
}

fn form(form: &Form) -> Value {
    let list = |items: Value, lengths: &RangeInclusive<usize>| {
        let mut schema = json!({ "type": "array", "items": items, "minItems": lengths.start() });
        if *lengths.end() != usize::MAX {
            schema["maxItems"] = json!(lengths.end());
        }
        schema
    };
    match form {
        Form::Integer(range) => integer(range),
        Form::Pair(range) => json!({ "anyOf": [integer(range), list(integer(range), &(2..=2))] }),
        Form::Integers(count, range) => list(integer(range), &(*count..=*count)),
        Form::Rising => list(integer(&(1..=u64::MAX)), &(1..=usize::MAX)),
        Form::Number(low, high) => number(*low, *high),
        Form::Numbers(lengths, low, high) => list(number(*low, *high), lengths),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Text => json!({ "type": "string" }),
        Form::Texts => json!({ "anyOf": [{ "type": "string" }, list(json!({ "type": "string" }), &(1..=usize::MAX))] }),
        Form::Path => json!({ "type": "string", "minLength": 1 }),
        Form::Words(words) => json!({ "enum": words }),
        Form::WordOr(words, other) => json!({ "anyOf": [{ "enum": words }, self::form(other)] }),
        Form::Table(section) => object(section),
        Form::Tables(section) => {
            let all = [Some(object(section)), required(section)].into_iter().flatten().collect::<Vec<_>>();
            json!({ "type": "array", "items": { "allOf": all } })
        }
    }
}

fn integer(range: &RangeInclusive<u64>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": range.start() });
    // TOML readers are not required to support more than 63 bits.
    if *range.end() <= i64::MAX as u64 {
        schema["maximum"] = json!(range.end());
    }
    schema
}

fn number(low: Bound<f64>, high: Bound<f64>) -> Value {
    let mut schema = json!({ "type": "number" });
    for (bound, included, excluded) in [(low, "minimum", "exclusiveMinimum"), (high, "maximum", "exclusiveMaximum")] {
        match bound {
            Bound::Included(bound) => schema[included] = json!(bound),
            Bound::Excluded(bound) => schema[excluded] = json!(bound),
            Bound::Unbounded => {}
        }
    }
    schema
}
