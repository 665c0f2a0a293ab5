//! Writes tables as TOML.

use super::{Key, Keys, Purpose, Setting, Visitor};

/// Returns the keys of a table that have an effect as TOML, each with its value, followed by the
/// tables in it.
pub(crate) fn toml(object: &mut dyn Keys) -> String {
    let mut writer = Writer { text: String::new(), path: String::new() };
    object.keys(&mut writer);
    writer.text
}

struct Writer {
    text: String,
    /// The name of the current table, empty for the document.
    path: String,
}

impl Writer {
    fn table(&mut self, heading: &str, path: String, object: &mut dyn Keys) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.text += &format!("{gap}{heading}\n");
        let outer = std::mem::replace(&mut self.path, path);
        object.keys(self);
        self.path = outer;
    }
}

impl Visitor for Writer {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn visit(&mut self, key: Key, setting: Setting<'_>) {
        let path = if self.path.is_empty() { key.name.to_string() } else { format!("{}.{}", self.path, key.name) };
        match setting {
            Setting::Table(object) => self.table(&format!("[{path}]"), path.clone(), object),
            Setting::Tables(list) => {
                for at in 0..list.count() {
                    self.table(&format!("[[{path}]]"), path.clone(), list.item(at));
                }
            }
            value => {
                if let Some(value) = text(&value) {
                    self.text += &format!("{} = {value}\n", key.name);
                }
            }
        }
    }
}

/// Returns a value as it is written; `None` if there is none, or for tables.
pub(super) fn text(setting: &Setting<'_>) -> Option<String> {
    Some(match setting {
        Setting::Integer(value, _) => value.to_string(),
        Setting::Count(value, _) => value.to_string(),
        Setting::Pair(values, _) => format!("{values:?}"),
        Setting::Integers(values, _) => format!("{values:?}"),
        Setting::Rising(values) => format!("{values:?}"),
        // The shortest text that parses to the same number, and that TOML readers take for a float.
        Setting::Number(value, _) => format!("{value:?}"),
        Setting::Real(value, _) => format!("{value:?}"),
        Setting::Numbers(values, _) => format!("{values:?}"),
        Setting::Flag(value) => value.to_string(),
        Setting::Text(value) => quoted(value),
        Setting::Texts(values) => match &values[..] {
            [one] => quoted(one),
            several => format!("[{}]", several.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")),
        },
        Setting::Path(value, _) => quoted(&value.to_string_lossy()),
        Setting::Word(at, words) => quoted(words[**at]),
        Setting::WordOr(Some(at), words, _) => quoted(words[*at]),
        Setting::WordOr(None, _, other) => return text(other),
        Setting::Optional(true, value) => return text(value),
        Setting::Kind(kinds) => quoted(kinds.name()),
        Setting::Optional(false, _) | Setting::Table(_) | Setting::Tables(_) => return None,
    })
}

/// Returns a text in quotes.
fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
