//! Runs with validation images: what decides, what is reported, and how `patience` ends a run.

use super::program::{command, fails, finish, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A network that does not learn, so that the first epoch stays the best.
const IDLE: &str = "\
[model]
input = [1, 8, 8]
classes = 10
[[model.layers]]
kind = \"linear\"
name = \"fc\"
units = 10
[data]
set = \"digits\"
validation = 0.1
[train]
batch = 64
epochs = 2
patience = 1
[train.optimizer]
kind = \"sgd\"
lr = 1e-9
";

fn train(dir: &Path, args: &[&str]) -> String {
    fs::write(dir.join("idle.toml"), IDLE).unwrap();
    // A note says that the accuracy is at chance.
    let done = finish(command(dir, &[&["train", "idle.toml", "--adapter", "cpu"], args].concat()));
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.out
}

fn report(dir: &Path, run_dir: &str) -> Value {
    serde_json::from_str(&run(dir, &["report", run_dir, "--adapter", "cpu", "--json", "-q"])).unwrap()
}

#[test]
fn a_run_that_patience_ends_is_not_an_interrupted_one() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let out = train(dir, &["--epochs", "8", "--out", "run"]);
    assert!(out.contains("ended early: validation accuracy has not improved for 1 epoch"), "{out}");
    let shown = &report(dir, "run")["runs"][0];
    assert_eq!((shown["state"].as_str(), shown["best_epoch"].as_u64()), (Some("ended early, epoch 2 of 8"), Some(1)));
    fails(dir, &["train", "--resume", "run", "--epochs", "9"], &["run ended early", "--init run/checkpoint"]);
}

/// The last epoch is the end of the recipe, whether or not patience runs out there.
#[test]
fn a_run_of_full_length_can_be_made_longer() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let out = train(dir, &["--out", "run"]);
    assert!(out.contains("epoch 2/2") && !out.contains("ended early"), "{out}");
    assert_eq!(report(dir, "run")["runs"][0]["state"], "complete");
    let out = run(dir, &["train", "--resume", "run", "--epochs", "3", "--adapter", "cpu"]);
    assert!(out.contains("epoch 3/3") && out.contains("test accuracy"), "{out}");
}

/// A report chooses by validation images, and states the test accuracy of the last state.
#[test]
fn a_report_shows_what_decides() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    train(dir, &["--out", "run"]);
    let about: Value = serde_json::from_slice(&fs::read(dir.join("run/run.json")).unwrap()).unwrap();
    let shown = &report(dir, "run")["runs"][0];
    for key in ["best_epoch", "best_accuracy", "test_accuracy"] {
        assert!(shown[key].is_number() && shown[key] == about["result"][key], "{key}: {shown} {about}");
    }
    assert_eq!(shown["tested"], shown["test_accuracy"]);
    // Without validation images there is no best epoch.
    train(dir, &["--set", "data.validation=0", "--set", "train.patience=0", "--out", "none"]);
    let shown = &report(dir, "none")["runs"][0];
    assert!(shown["best_epoch"].is_null() && shown["best_accuracy"].is_null(), "{shown}");
    assert!(shown["test_accuracy"].is_number(), "{shown}");
}

/// The images of each part are counted, the accuracy printed is that of a stated epoch, and the commands that are
/// suggested use the best one.
#[test]
fn training_says_what_is_held_out_and_which_state_counts() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let out =
        train(dir, &["--set", "train.evaluate_every=2", "--epochs", "4", "--set", "train.patience=0", "--out", "run"]);
    assert!(out.contains("digits: 1,293 images to train on, 144 for validation, 360 to test on"), "{out}");
    let line = |epoch: &str| out.lines().find(|line| line.starts_with(epoch)).unwrap();
    assert!(line("epoch 1/4").contains("validation      -   test      -"), "{out}");
    assert!(line("epoch 2/4").contains("%   test      -"), "{out}");
    assert!(out.contains("validation accuracy was highest after epoch 2:"), "{out}");
    assert!(out.contains("the test accuracy is that of the last epoch, 4"), "{out}");
    assert!(out.contains("\n  halfwave eval run/best.safetensors\n"), "{out}");
    let out = train(dir, &["--epochs", "1", "--out", "one"]);
    assert!(out.contains("\n  halfwave eval one\n"), "the best epoch is the last: {out}");

    let done = finish(command(
        dir,
        &["train", "idle.toml", "--set", "data.validation=0.001", "--adapter", "cpu", "--out", "few"],
    ));
    assert!(done.err.contains("the accuracy on 1 validation image says little"), "{}", done.err);
    assert!(done.out.contains("1,436 images to train on, 1 for validation"), "{}", done.out);
}
