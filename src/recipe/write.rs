//! Writes a [`Recipe`] as TOML with all defaults explicit.
use super::{Recipe, data, train};
use crate::model::{Layer, keys};
use std::fmt::{Display, Write};

/// Lines `key = value` under headings.
pub(super) struct Toml(String);

impl Toml {
    pub(super) fn heading(&mut self, heading: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0 += &format!("{gap}{heading}\n");
    }

    pub(super) fn line(&mut self, key: &str, value: impl Display) {
        writeln!(self.0, "{key} = {value}").expect("writing to a string succeeds");
    }

    /// A text in quotes.
    pub(super) fn word(&mut self, key: &str, value: &str) {
        self.line(key, quoted(value));
    }

    /// The shortest text that parses to the same f32, and that any TOML reader takes as a float.
    pub(super) fn float(&mut self, key: &str, value: f32) {
        self.line(key, format!("{value:?}"));
    }

    fn layer(&mut self, layer: &Layer) {
        self.heading("[[model.layers]]");
        self.line("name", quoted(&layer.name));
        self.line("kind", quoted(layer.kind.name()));
        match &layer.from[..] {
            [one] => self.line("from", quoted(one)),
            several => {
                self.line("from", format!("[{}]", several.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ")))
            }
        }
        for keys::Entry { key, value, .. } in keys::write(layer.kind.clone().keys()) {
            self.line(key.name, value);
        }
    }
}

/// See [`Recipe::to_toml`].
pub(super) fn recipe(recipe: &Recipe) -> String {
    let Recipe { model, data: learnt, train: learning } = recipe;
    let mut toml = Toml(String::new());
    toml.heading("[model]");
    toml.line("input", format!("{:?}", model.input));
    toml.line("classes", model.classes);
    model.layers.iter().for_each(|layer| toml.layer(layer));

    data::write(&mut toml, learnt);
    train::write(&mut toml, learning);
    toml.0
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
