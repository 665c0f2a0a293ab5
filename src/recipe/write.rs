//! From a [`Recipe`] to TOML with every default explicit.
use super::{Length, Optimizer, Recipe, Schedule, Set};
use crate::model::{Layer, keys};
use std::fmt::{Display, Write};

/// Lines `key = value` under headings.
struct Toml(String);

impl Toml {
    fn heading(&mut self, heading: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0 += &format!("{gap}{heading}\n");
    }

    fn line(&mut self, key: &str, value: impl Display) {
        writeln!(self.0, "{key} = {value}").expect("writing to a string succeeds");
    }

    /// The shortest text that gives the same f32 back, and a float to any TOML reader.
    fn float(&mut self, key: &str, value: f32) {
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
        for (key, value) in keys::write(layer.kind.clone().keys()) {
            self.line(key.name, value);
        }
    }
}

/// See [`Recipe::to_toml`].
pub(super) fn recipe(recipe: &Recipe) -> String {
    let Recipe { model, data, train } = recipe;
    let mut toml = Toml(String::new());
    toml.heading("[model]");
    toml.line("input", format!("{:?}", model.input));
    toml.line("classes", model.classes);
    model.layers.iter().for_each(|layer| toml.layer(layer));

    toml.heading("[data]");
    toml.line("set", quoted(data.set.name()));
    if let Set::Cifar10 { dir } | Set::Folder { dir, .. } = &data.set {
        toml.line("dir", quoted(&dir.to_string_lossy()));
    }
    toml.line("scale", format!("[{:?}, {:?}]", data.scale[0], data.scale[1]));
    toml.line("shuffle", data.shuffle);

    toml.heading("[train]");
    toml.line("batch", train.batch);
    match train.length {
        Length::Epochs(epochs) => toml.line("epochs", epochs),
        Length::Steps(steps) => toml.line("steps", steps),
    }
    toml.line("seed", train.seed);
    toml.line("drop_last", train.drop_last);
    toml.line("evaluate_every", train.evaluate_every);

    toml.heading("[train.optimizer]");
    let Optimizer::Sgd { lr, momentum, weight_decay } = train.optimizer;
    toml.line("kind", quoted("sgd"));
    toml.float("lr", lr);
    toml.float("momentum", momentum);
    toml.float("weight_decay", weight_decay);

    toml.heading("[train.schedule]");
    let schedule = match train.schedule {
        Schedule::Constant => "constant",
        Schedule::Linear => "linear",
    };
    toml.line("kind", quoted(schedule));
    toml.0
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
