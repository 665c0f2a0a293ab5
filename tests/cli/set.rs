//! `--set`, `extends` with files, and recipes from standard input.

use super::program::{Done, command, ended, fails, finish, run};
use halfwave::recipe::{Recipe, builtin};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// Runs a command with a text as its standard input.
fn with_input(dir: &Path, args: &[&str], input: &[u8]) -> Done {
    let mut command = command(dir, args);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    ended(child)
}

#[test]
fn any_key_can_be_set() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("my.toml"), "extends = \"digits\"\n[train]\nbatch = 16\n").unwrap();
    let set = ["--set", "train.optimizer.lr=0.1", "--set", "layers.q*.bits=3", "--set", "train.batch=99"];
    let train = ["train", "my.toml", "--adapter", "cpu", "--steps", "1", "--batch", "8", "--out", "run"];
    let told = run(dir, &[&train[..], &set].concat());
    assert!(told.contains("batch of 8"), "the specific option counts: {told}");
    let text = fs::read_to_string(dir.join("run/recipe.toml")).unwrap();
    let recipe = Recipe::parse(&text, "run/recipe.toml").unwrap();
    assert_eq!((recipe.train.batch, recipe.train.optimizer.lr), (8, 0.1));
    assert_eq!((text.matches("\nbits = 3\n").count(), text.contains("--set")), (2, false), "{text}");
    // Without a command, too, and in every other command that takes a recipe.
    let alone = ["--set", "train.batch=8", "--adapter", "cpu", "--steps", "1", "--out", "alone"];
    assert!(run(dir, &alone).contains("batch of 8"));
    for args in [&["plan", "my.toml"][..], &["bench", "my.toml", "--adapter", "cpu", "--rounds", "1"]] {
        let out = run(dir, &[args, &["--set", "train.batch=8"]].concat());
        assert!(out.contains("batch of 8"), "{args:?}: {out}");
    }
    let shader = run(dir, &["shader", "--set", "layers.q*.bits=4"]);
    assert_ne!(shader, run(dir, &["shader"]));
    let refused = finish(command(dir, &["train", "--resume", "run", "--set", "train.batch=8"]));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    let said = "the argument '--resume <DIR>' cannot be used with '--set <KEY=VALUE>'";
    assert!(refused.err.contains(said), "{}", refused.err);
}

#[test]
fn a_wrong_change_names_its_option() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for (change, parts) in [
        ("train.lr", &["there is no \"=\"", "KEY=VALUE"][..]),
        ("=1", &["the key is missing"]),
        ("train..lr=1", &["\"train..lr\" is not a key"]),
        ("train.lr=1", &["[train]: unknown key \"lr\"; did you mean train.optimizer.lr?"]),
        ("train.batch=many", &["[train]: batch = \"many\": give a whole number"]),
        ("layers.q1.bits=9", &["layer \"q1\" (hwgq): bits = 9: give a whole number from 1 to 4"]),
        ("layers.conv9.filters=9", &["no layer has that name; did you mean \"conv1\"?"]),
        ("extends=vgg-small", &["name the recipe itself"]),
    ] {
        let option = format!("error: --set {change}: ");
        for command in [&["plan"][..], &["train", "--adapter", "cpu"], &["recipe", "digits", "--flat"]] {
            fails(dir, &[command, &["--set", change]].concat(), &[&[option.as_str()], parts].concat());
        }
    }
    for command in ["bench", "profile", "tune", "shader"] {
        fails(dir, &[command, "--set", "train.batch=many"], &["--set train.batch=many: [train]: batch = \"many\""]);
    }
    // An error in the file is that of the file.
    fs::write(dir.join("my.toml"), "extends = \"digits\"\n[train]\nbatch = 0\n").unwrap();
    let message = fails(dir, &["plan", "my.toml", "--set", "train.seed=3"], &["my.toml:3: [train]: batch = 0"]);
    assert!(message.ends_with("\n  3 | batch = 0\n    |         ^\n"), "{message}");
}

#[test]
fn flat_recipes_say_what_they_extend() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::create_dir(dir.join("lib")).unwrap();
    fs::write(dir.join("my.toml"), "extends = \"lib/base.toml\"\n[train]\nepochs = 3\n").unwrap();
    fs::write(dir.join("lib/base.toml"), "extends = \"vgg-small\"\n[train]\nbatch = 7\n").unwrap();
    assert_eq!(run(dir, &["recipe", "my.toml"]), fs::read_to_string(dir.join("my.toml")).unwrap());
    let flat = run(dir, &["recipe", "my.toml", "--flat", "--set", "train.seed=5"]);
    let start = "# my.toml extends lib/base.toml extends vgg-small\n# --set train.seed=5\n[model]\n";
    assert!(flat.starts_with(start), "{flat}");
    let recipe = Recipe::parse(&flat, "flat").unwrap();
    assert_eq!((recipe.train.batch, recipe.train.seed), (7, 5));
    // Changes cannot be shown in a text with comments: the resolved recipe is printed.
    assert_eq!(run(dir, &["recipe", "my.toml", "--set", "train.seed=5"]), flat);
    // A file in another folder, and a circle.
    let other = run(&dir.join("lib"), &["recipe", "../my.toml", "--flat"]);
    assert!(other.starts_with("# ../my.toml extends ../lib/base.toml extends vgg-small\n"), "{other}");
    fs::write(dir.join("lib/base.toml"), "extends = \"../my.toml\"\n").unwrap();
    let circle = "my.toml extends lib/base.toml extends lib/../my.toml";
    fails(dir, &["plan", "my.toml"], &["lib/base.toml:1: extends = \"../my.toml\": ", circle]);
}

#[test]
fn a_recipe_is_read_from_standard_input() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("base.toml"), "extends = \"digits\"\n[train]\nbatch = 8\n").unwrap();
    let text = b"extends = \"base.toml\"\n[train]\nseed = 3\n";
    let done = with_input(dir, &["train", "-", "--adapter", "cpu", "--steps", "1"], text);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
    assert!(done.out.contains("batch of 8, into runs/stdin-1"), "{}", done.out);
    let digits = builtin("digits").unwrap();
    assert_eq!(with_input(dir, &["recipe", "-"], digits.as_bytes()).out, digits);
    for command in ["plan", "bench", "profile", "train"] {
        for (input, part) in
            [(&b""[..], "standard input is empty"), (b" \n\n", "is empty"), (b"\xff\xfe", "not text in UTF-8")]
        {
            let done = with_input(dir, &[command, "-"], input);
            assert!(done.code == Some(1) && done.err.starts_with("error: ") && done.err.contains(part), "{}", done.err);
            assert!(done.err.contains("halfwave train -") && done.err.lines().count() == 1, "{}", done.err);
        }
    }
    let done = with_input(dir, &["plan", "-"], b"extends = \"digits\"\n[train]\nbach = 3\n");
    assert!(done.err.starts_with("error: stdin:3: [train]: unknown key \"bach\"; did you mean"), "{}", done.err);
}

#[test]
fn what_is_no_recipe_is_explained() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("mine.toml"), builtin("digits").unwrap()).unwrap();
    fails(dir, &["train", "vgg-smal"], &["vgg-smal: no such file or built-in recipe; did you mean \"vgg-small\"?"]);
    fails(dir, &["recipe", "resnet"], &["did you mean \"resnet20\", or \"resnet18\", or \"resnet50\"?"]);
    fails(dir, &["plan", "mien.toml"], &["did you mean \"mine.toml\"?"]);
    fails(dir, &["plan", "mine"], &["did you mean \"mine.toml\"?"]);
    fails(dir, &["plan", "nothing-like-it"], &["no such file or built-in recipe (digits, digits-float,"]);
    let run_dir = super::run_dir();
    fails(dir, &["train", &run_dir], &["this is the folder of a run", "its recipe is ", "run/recipe.toml", "--resume"]);
    let checkpoint = format!("{run_dir}/checkpoint.safetensors");
    fails(
        dir,
        &["train", &checkpoint],
        &["checkpoint.safetensors: this is a safetensors file", "recipe.toml", "--init"],
    );
    run(dir, &["export", &run_dir, "--out", "net.safetensors"]);
    fails(dir, &["train", "net.safetensors"], &["net.safetensors: this is a packed network", "halfwave eval"]);
}
