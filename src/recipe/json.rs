//! The JSON Schema of recipe files, with what [`super::extend`] adds: `extends` and
//! `[[model.change]]`.

use super::BUILTIN;
use crate::schema::json::{object, required};
use crate::schema::{Entry, Form, Section, key};
use serde_json::{Value, json};

/// Returns the JSON Schema (draft 2020-12) of recipe files, for editors. It accepts every valid
/// recipe; what it cannot express, such as shapes that do not fit, is found only by
/// [`super::Recipe::parse`].
pub fn json_schema() -> Value {
    let section = super::schema();
    let mut schema = object(&section);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("halfwave recipe");
    schema["properties"]["extends"] = json!({
        "anyOf": [
            { "enum": BUILTIN.map(|(name, _)| name) },
            { "type": "string", "pattern": "[/\\\\]|\\.[tT][oO][mM][lL]$" },
        ],
        "description": "recipe whose keys this one replaces: a built-in one, or a file (relative to this one)",
    });
    schema["properties"]["model"]["properties"]["change"] = json!({ "type": "array", "items": change(&section) });
    // Another recipe may give the required keys, and only its layers can be changed.
    schema["if"] = json!({ "required": ["extends"] });
    let whole = json!({ "properties": { "model": { "properties": { "change": false } } } });
    schema["else"] = json!({ "allOf": [required(&section), whole] });
    schema
}

/// Returns the schema of a `[[model.change]]`: a layer's keys, besides its name, and which layers
/// get them.
fn change(recipe: &Section) -> Value {
    let mut section = layer(recipe).expect("a recipe has layers").clone();
    for variant in &mut section.variants {
        variant.entries.retain(|entry| entry.key.name != "name");
        let own = [key("match", ""), key("remove", "")];
        variant.entries.extend(own.map(|key| Entry { key, value: None, form: Form::Text }));
    }
    let mut schema = object(&section);
    let text = json!({ "type": "string" });
    let keys = json!({ "type": "object", "additionalProperties": text });
    schema["properties"]["match"] = json!({
        "anyOf": [text, keys, { "type": "array", "items": { "anyOf": [text, keys] } }],
        "description": "layers to change: a name, texts that their keys have, or several of these; `*` stands for any text",
    });
    schema["properties"]["remove"] = json!({ "const": true, "description": "remove these layers" });
    schema["required"] = json!(["match"]);
    schema
}

/// Returns the description of a layer.
fn layer(recipe: &Section) -> Option<&Section> {
    fn table<'a>(section: &'a Section, name: &str) -> Option<&'a Section> {
        section.variants[0].entries.iter().find(|entry| entry.key.name == name)?.form.table()
    }
    table(table(recipe, "model")?, "layers")
}
