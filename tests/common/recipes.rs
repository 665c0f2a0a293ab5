//! A valid recipe, in which tests change one line at a time, and the messages for wrong ones.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use crate::messages;
use halfwave::Error;
use halfwave::recipe::{Data, Recipe, Set};

/// A valid recipe; the tests change one line of it at a time.
pub const RIGHT: &str = r#"[model]
input = [1, 8, 8]
classes = 10

[[model.layers]]
name = "conv1"
kind = "conv"
filters = 16
kernel = 3
padding = 1

[[model.layers]]
name = "q1"
kind = "hwgq"
bits = 2

[[model.layers]]
name = "pool1"
kind = "max_pool"
kernel = 2

[[model.layers]]
name = "bn1"
kind = "batch_norm"

[[model.layers]]
name = "fc"
kind = "linear"
units = 10

[data]
set = "digits"

[train]
batch = 64
epochs = 20

[train.optimizer]
kind = "sgd"
lr = 0.05
"#;

/// Line and message of the error for `text`.
pub fn wrong(text: &str) -> (usize, String) {
    match Recipe::parse(text, "test.toml") {
        Err(Error::Recipe { file, line, message, .. }) => {
            assert_eq!(file, "test.toml");
            messages::collect(&message);
            (line, message)
        }
        other => panic!("expected a recipe error, not {other:?}, from\n{text}"),
    }
}

/// [`RIGHT`] with another set: its `[data]`, and the model's input and number of classes.
pub fn with_data(data: &str, input: [usize; 3], classes: usize) -> String {
    RIGHT
        .replace("set = \"digits\"", data)
        .replace("input = [1, 8, 8]", &format!("input = {input:?}"))
        .replace("classes = 10", &format!("classes = {classes}"))
        .replace("units = 10", &format!("units = {classes}"))
}

/// Reads such a recipe, writes it and reads it again; the two must be equal. Returns `[data]`, and
/// the recipe as it was written.
pub fn read_data(data: &str, input: [usize; 3], classes: usize) -> (Data, String) {
    let recipe = Recipe::parse(&with_data(data, input, classes), "given.toml").unwrap();
    let resolved = recipe.to_toml();
    assert_eq!(Recipe::parse(&resolved, "resolved.toml").unwrap(), recipe, "{resolved}");
    (recipe.data, resolved)
}

/// The set of such a recipe, whose pixels have the default scale.
pub fn set_of(data: &str, input: [usize; 3], classes: usize) -> Set {
    let data = read_data(data, input, classes).0;
    assert_eq!(data.scale, [1.0 / 255.0, 0.0]);
    data.set
}

/// `[data]`, the model's input and classes, the line of the error, and parts of its message.
pub type Wrong<'a> = (&'a str, [usize; 3], usize, usize, &'a [&'a str]);

/// Each of these must be refused.
pub fn all_wrong(cases: &[Wrong<'_>]) {
    for &(data, input, classes, line, parts) in cases {
        let (at, message) = wrong(&with_data(data, input, classes));
        assert_eq!(at, line, "{data}: {message}");
        for part in parts {
            assert!(message.contains(part), "{data}: {message}\nshould say {part}");
        }
    }
}
