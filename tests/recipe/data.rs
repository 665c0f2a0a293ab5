//! `[data]`: sets that are read from a folder, and what each asks of the model.
use super::{RIGHT, wrong};
use halfwave::recipe::{Labels, Recipe, Set};

/// [`RIGHT`] on another set: its `[data]`, and what the model takes and tells apart.
fn text(data: &str, input: [usize; 3], classes: usize) -> String {
    RIGHT
        .replace("set = \"digits\"", data)
        .replace("input = [1, 8, 8]", &format!("input = {input:?}"))
        .replace("classes = 10", &format!("classes = {classes}"))
        .replace("units = 10", &format!("units = {classes}"))
}

/// Reads a recipe, and the one that is written of it; the two must be equal.
fn set(data: &str, input: [usize; 3], classes: usize) -> Set {
    let recipe = Recipe::parse(&text(data, input, classes), "given.toml").unwrap();
    let resolved = recipe.to_toml();
    assert_eq!(Recipe::parse(&resolved, "resolved.toml").unwrap(), recipe, "{resolved}");
    assert_eq!(recipe.data.scale, [1.0 / 255.0, 0.0]);
    recipe.data.set
}

#[test]
fn cifar100_has_fine_and_coarse_labels() {
    let colour = [3, 32, 32];
    let fine = Set::Cifar100 { dir: "cifar-100-binary".into(), labels: Labels::Fine };
    assert_eq!(set("set = \"cifar100\"", colour, 100), fine);
    assert_eq!(set("set = \"cifar100\"\nlabels = \"fine\"", colour, 100), fine);
    let coarse = Set::Cifar100 { dir: "else/where".into(), labels: Labels::Coarse };
    assert_eq!(set("set = \"cifar100\"\ndir = \"else/where\"\nlabels = \"coarse\"", colour, 20), coarse);
}

#[test]
fn idx_has_what_the_model_asks_for() {
    let wanted = |dir: &str, image, classes| Set::Idx { dir: dir.into(), image, classes };
    assert_eq!(set("set = \"idx\"", [1, 28, 28], 10), wanted("mnist", [1, 28, 28], 10));
    assert_eq!(set("set = \"idx\"\ndir = \"a/b\"", [2, 8, 9], 256), wanted("a/b", [2, 8, 9], 256));
}

#[test]
fn what_a_set_does_not_hold_is_refused() {
    let colour = [3, 32, 32];
    for (data, input, classes, line, parts) in [
        ("set = \"cifar100\"", [1, 8, 8], 100, 2, &["input = [1, 8, 8]", "cifar100", "[3, 32, 32]"][..]),
        ("set = \"cifar100\"", colour, 20, 3, &["classes = 20", "labels = \"fine\" has 100 classes"]),
        (
            "set = \"cifar100\"\nlabels = \"coarse\"",
            colour,
            100,
            3,
            &["classes = 100", "labels = \"coarse\" has 20 classes; write that"],
        ),
        ("set = \"cifar100\"\nlabels = \"corse\"", colour, 20, 33, &["labels = \"corse\"", "did you mean \"coarse\"?"]),
        ("set = \"cifar100\"\nlabels = 20", colour, 20, 33, &["labels = 20", "text in quotes"]),
        ("set = \"cifar100\"\ndir = \"\"", colour, 100, 33, &["name the folder"]),
        ("set = \"cifar10\"\nlabels = \"fine\"", colour, 10, 33, &["labels = \"fine\"", "only cifar100", "remove it"]),
        ("set = \"idx\"\nlabels = \"fine\"", [1, 8, 8], 10, 33, &["only cifar100", "remove it"]),
        ("set = \"idx\"\ndir = \"\"", [1, 8, 8], 10, 33, &["name the folder"]),
        ("set = \"idx\"", [1, 8, 8], 257, 3, &["classes = 257", "single bytes", "at most 256 classes"]),
        ("set = \"cifar1000\"", colour, 100, 32, &["did you mean \"cifar100\"?"]),
        (
            "labels = \"fine\"",
            colour,
            100,
            31,
            &["set is missing; add set = one of digits, cifar10, cifar100, idx, folder"],
        ),
    ] {
        let (at, message) = wrong(&text(data, input, classes));
        assert_eq!(at, line, "{data}: {message}");
        for part in parts {
            assert!(message.contains(part), "{data}: {message}\nshould say {part}");
        }
    }
}
