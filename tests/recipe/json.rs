//! The JSON Schema of recipes: it accepts what is valid, and refuses unknown keys, other types and
//! values out of range.

use super::RIGHT;
use halfwave::recipe::{BUILTIN, Recipe, json_schema};
use serde_json::Value;
use std::path::Path;

/// Returns the mistakes that the schema finds in a recipe.
fn mistakes(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap();
    let document = serde_json::to_value(&table).unwrap();
    let validator = jsonschema::draft202012::new(&json_schema()).unwrap();
    validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_is_a_json_schema() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    // A mistake in a schema is found.
    assert!(!jsonschema::draft202012::meta::is_valid(&serde_json::json!({ "type": "text" })));
    let layers = &schema["properties"]["model"]["properties"]["layers"]["items"]["allOf"][0];
    assert_eq!(layers["properties"]["name"]["type"], "string");
    let every = |value: &Value| value["description"].as_str().is_some_and(|text| !text.is_empty());
    assert!(schema["properties"]["train"]["properties"].as_object().unwrap().values().all(every));
    let seed = &schema["properties"]["train"]["properties"]["seed"];
    assert_eq!((&seed["type"], &seed["minimum"], &seed["default"]), (&"integer".into(), &0.into(), &0.into()));
}

#[test]
fn every_recipe_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/recipes");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> =
        files.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect();
    assert!(files.len() > 10, "{} recipes", files.len());
    let builtin = BUILTIN.map(|(name, text)| (name.to_string(), text.to_string()));
    for (name, text) in builtin.into_iter().chain(files) {
        assert_eq!(mistakes(&text), [""; 0], "{name}");
        let resolved = Recipe::parse(&text, &name).unwrap().to_toml();
        assert_eq!(mistakes(&resolved), [""; 0], "{name}, resolved");
    }
    assert_eq!(mistakes(&RIGHT.replace("\"digits\"", "\"npz\"\nfile = \"a.npz\"")), [""; 0]);
    for path in ["./base.toml", "../lib/base", "base.TOML", "lib\\\\base"] {
        assert_eq!(mistakes(&format!("extends = \"{path}\"\n")), [""; 0], "{path}");
    }
    let change = "[[model.change]]\nmatch = [\"q*\", { kind = \"conv\", weights = \"binary\" }]\n";
    for more in ["bits = 3\n", "kind = \"sign\"\npadding = \"one\"\n", "remove = true\n"] {
        assert_eq!(mistakes(&format!("extends = \"digits\"\n{change}{more}[train]\nsteps = 3\n")), [""; 0], "{more}");
    }
}

/// Text in [`RIGHT`], its replacement, and where the schema sees the mistake.
const WRONG: &[(&str, &str, &str)] = &[
    // Unknown keys.
    ("filters = 16", "filters = 16\nfiltres = 16", "/model/layers/0"),
    ("bits = 2", "units = 2", "/model/layers/1"),
    ("set = \"digits\"", "set = \"digits\"\nfit = \"crop\"", "/data"),
    ("set = \"digits\"", "set = \"npz\"\ndir = \"images\"", "/data"),
    ("lr = 0.05", "lr = 0.05\nbeta1 = 0.9", "/train/optimizer"),
    ("[data]", "[date]\n[data]", ""),
    // Wrong types.
    ("filters = 16", "filters = \"16\"", "/model/layers/0/filters"),
    ("kernel = 2", "kernel = [2, 2, 2]", "/model/layers/2/kernel"),
    ("input = [1, 8, 8]", "input = [1, 8]", "/model/input"),
    ("set = \"digits\"", "set = \"digits\"\nshuffle = 1", "/data/shuffle"),
    ("epochs = 20", "epochs = 20\nloss = 3", "/train/loss"),
    // Values out of range.
    ("bits = 2", "bits = 5", "/model/layers/1/bits"),
    ("bits = 2", "levels = [0.5, -1]", "/model/layers/1/levels"),
    ("batch = 64", "batch = 0", "/train/batch"),
    ("lr = 0.05", "lr = 0", "/train/optimizer/lr"),
    ("lr = 0.05", "lr = 0.05\nmomentum = 1.0", "/train/optimizer/momentum"),
    ("kind = \"hwgq\"", "kind = \"swish\"", "/model/layers/1/kind"),
    ("set = \"digits\"", "set = \"digits\"\n[data.augment]\npadding = \"mirror\"", "/data/augment/padding"),
    // Missing keys, and keys that exclude each other.
    ("kind = \"hwgq\"", "", "/model/layers/1"),
    ("filters = 16", "", "/model/layers/0"),
    ("lr = 0.05", "", "/train/optimizer"),
    ("[data]\nset = \"digits\"\n", "", ""),
    ("epochs = 20", "", "/train"),
    ("epochs = 20", "epochs = 20\nsteps = 3", "/train"),
    ("[data]", "[[model.change]]\nmatch = \"q1\"\nbits = 3\n[data]", "/model/change"),
    ("[model]", "extends = \"none\"\n[model]", "/extends"),
];

#[test]
fn mistakes_are_found_at_their_place() {
    assert_eq!(mistakes(RIGHT), [""; 0]);
    for (right, mistake, place) in WRONG {
        assert_eq!(RIGHT.matches(right).count(), 1, "{right} must stand in the recipe once");
        let text = RIGHT.replace(right, mistake);
        assert!(Recipe::parse(&text, "test.toml").is_err(), "{mistake} is a mistake");
        let found = mistakes(&text);
        assert!(found.iter().any(|found| found.starts_with(&format!("{place}: "))), "{mistake}: {found:?}");
    }
    // In a recipe that extends another one.
    for (mistake, place) in [
        ("[train]\nbatchs = 3", "/train"),
        ("[train.optimizer]\nlr = -1", "/train/optimizer/lr"),
        ("[[model.change]]\nmatch = \"q1\"\nkind = \"sign\"\nbits = 3", "/model/change/0"),
        ("[[model.change]]\nbits = 3", "/model/change/0"),
        ("[[model.change]]\nmatch = 7", "/model/change/0/match"),
    ] {
        let found = mistakes(&format!("extends = \"digits\"\n{mistake}\n"));
        assert!(found.iter().any(|found| found.starts_with(&format!("{place}: "))), "{mistake}: {found:?}");
    }
}
