//! Recipes in files that extend files, and changes from outside.
use halfwave::recipe::{Length, Recipe, Source};
use std::fs;
use std::path::Path;

/// Writes files in a new folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = base.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    base
}

/// The error of a file, with the folder's path removed.
fn wrong(folder: &Path, name: &str) -> String {
    let error = Recipe::read(folder.join(name)).unwrap_err().to_string();
    crate::messages::collect(&error);
    error.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn a_file_extends_files_relative_to_itself() {
    let base = folder(&[
        ("my.toml", "extends = \"lib/mid.toml\"\n[train]\nepochs = 3\n"),
        ("lib/mid.toml", "extends = \"..\\\\base.toml\"\n[train]\nbatch = 32\nepochs = 9\n"),
        ("base.toml", "extends = \"./digits.toml\"\ntrain.seed = 7\n"),
        ("digits.toml", "extends = \"digits\"\n[[model.change]]\nmatch = \"q*\"\nbits = 1\n"),
    ]);
    let recipe = Recipe::read(base.path().join("my.toml")).unwrap();
    assert_eq!((recipe.train.length, recipe.train.batch, recipe.train.seed), (Length::Epochs(3), 32, 7));
    let source = Source::file(&base.path().join("my.toml")).unwrap();
    let chain = source.chain().unwrap();
    let names: Vec<_> = chain.iter().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["my.toml", "mid.toml", "base.toml", "digits.toml", "digits"]);
    // The same recipe as from its parts by hand.
    let by_hand = "extends = \"digits\"\n[train]\nepochs = 3\nbatch = 32\nseed = 7\n\
                   [[model.change]]\nmatch = \"q*\"\nbits = 1\n";
    assert_eq!(recipe.to_toml(), Recipe::parse(by_hand, "by hand").unwrap().to_toml());
}

#[test]
fn what_a_file_cannot_extend_is_an_error_at_its_line() {
    let base = folder(&[
        ("one.toml", "# …\nextends = \"two.toml\"\n"),
        ("two.toml", "extends = \"./sub/three.toml\"\n"),
        ("sub/three.toml", "\n\nextends = \"../one.toml\"\n"),
        ("missing.toml", "extends = \"./tow.toml\"\n"),
        ("stem.toml", "extends = \"two\"\n"),
        ("folder.toml", "extends = \"./sub\"\n"),
        ("deep.toml", "extends = \"bad.toml\"\n"),
        ("bad.toml", "extends = \"digits\"\n[train]\nbatch = 0\n"),
    ]);
    fs::write(base.path().join("latin1.toml"), [0xe9, 0xff]).unwrap();
    fs::write(base.path().join("bytes.toml"), "extends = \"latin1.toml\"\n").unwrap();
    for (name, parts) in [
        ("one.toml", &["sub/three.toml:3: extends = \"../one.toml\": the recipe would extend itself"][..]),
        (
            "missing.toml",
            &["missing.toml:1: extends = \"./tow.toml\": there is no file tow.toml; did you mean \"two.toml\"?"],
        ),
        ("stem.toml", &["stem.toml:1: ", "did you mean the file \"two.toml\"?"]),
        ("folder.toml", &["folder.toml:1: extends = \"./sub\": sub: this is a folder"]),
        ("bytes.toml", &["bytes.toml:1: ", "latin1.toml: this is not text in UTF-8"]),
        ("deep.toml", &["bad.toml:3: [train]: batch = 0: give", "\n  3 | batch = 0\n    |         ^"]),
    ] {
        let message = wrong(base.path(), name);
        for part in parts {
            assert!(message.contains(part), "{message}\nshould say {part}");
        }
    }
    let circle = wrong(base.path(), "one.toml");
    let chain = "one.toml extends two.toml extends sub/three.toml extends sub/../one.toml";
    assert!(circle.contains(chain), "{circle}");
    // A text has no folder.
    let error = Recipe::parse("\nextends = \"./two.toml\"", "pasted").unwrap_err().to_string();
    assert!(error.starts_with("pasted:2: ") && error.contains("can extend only built-in recipes"), "{error}");
}

#[test]
fn changes_from_outside_are_the_last_word() {
    let base = folder(&[("my.toml", "extends = \"digits\"\n[train]\nbatch = 32\noptimizer.lr = 0.5\n")]);
    let with = |changes: &[&str]| {
        let mut source = Source::file(&base.path().join("my.toml")).unwrap();
        changes.iter().for_each(|change| source.set(change).unwrap());
        source.recipe()
    };
    let recipe = with(&["train.batch=16", "train.steps=9", "layers.q1.kind=sign", "train.batch=8"]).unwrap();
    assert_eq!((recipe.train.batch, recipe.train.length), (8, Length::Steps(9)));
    assert_eq!(recipe.train.optimizer.lr, 0.5);
    assert_eq!(recipe.model.layers.iter().map(|layer| layer.kind.name()).filter(|kind| *kind == "sign").count(), 1);
    // A kind and its keys come in any order, for tables and for layers.
    let changes = ["train.optimizer.kind=adam", "train.optimizer.lr=0.25", "layers.q*.kind=dorefa", "layers.q*.bits=3"];
    let text = with(&changes).unwrap().to_toml();
    for at in 1..changes.len() {
        let mut other = changes;
        other.rotate_left(at);
        assert_eq!(with(&other).unwrap().to_toml(), text, "{other:?}");
    }
    assert!(text.contains("kind = \"adam\"\nlr = 0.25") && text.matches("\nbits = 3\n").count() == 2, "{text}");
    for (change, error) in [
        ("train.optimizer.lr=fast", "[train.optimizer] (sgd): lr = \"fast\": give a finite number above 0"),
        ("train.lr=1", "[train]: unknown key \"lr\"; did you mean train.optimizer.lr?"),
        ("train.optimizr.lr=1", "[train]: unknown key \"optimizr\"; did you mean \"optimizer\"?"),
        ("bits=1", "recipe: unknown key \"bits\"; did you mean layers.NAME.bits?"),
        ("layer.q1.bits=1", "recipe: unknown key \"layer\"; did you mean \"layers\"?"),
        ("q1.bits=1", "recipe: unknown key \"q1\"; expected one of model, data, train, layers"),
        ("layers.q1.bits=9", "layer \"q1\" (hwgq): bits = 9: give a whole number from 1 to 4"),
        ("layers.q8.bits=1", "no layer has that name; did you mean \"q1\"?"),
        ("layers.zzz*.bits=1", "no layer has that name; there are conv1, bn1"),
        ("data.set=mnist", "[data]: set = \"mnist\": unknown; did you mean \"idx\" (MNIST, Fashion-MNIST,"),
        ("data.set=cifar10", "[data] (cifar10): set = \"cifar10\": it does not fit the model: the images"),
        (
            "model.classes=11",
            "layer \"fc\" (linear): the last layer gives 10×1×1 = 10 values, but there are 11 classes",
        ),
        ("model.classes=11", "units = 11; add --set layers.fc.units=11"),
        ("train.optimizer.kind=adam", "lr is missing; add --set train.optimizer.lr=0.05"),
        ("layers.conv2.kind=linear", "layer \"conv2\" (linear): units is missing; add --set layers.conv2.units=10"),
        ("layers.pool2.kernel=99", "layer \"pool2\" (max_pool): the 99×99 kernel is larger"),
    ] {
        let message = with(&[change]).unwrap_err().to_string();
        crate::messages::collect(&message);
        let words = message.strip_prefix(&format!("--set {change}: "));
        assert!(
            words.is_some_and(|words| words.contains(error) && !words.contains('\n')),
            "{message}\nshould say {error}"
        );
    }
    let fits = with(&["model.classes=11", "layers.fc.units=11", "data.set=folder"]).unwrap();
    assert_eq!(fits.model.classes, 11);
}
