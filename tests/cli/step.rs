//! The options that determine how a step is computed override the recipe, and are reported.

use super::program::{command, fails, finish, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Returns the losses of a run's steps.
fn losses(dir: &Path) -> Vec<String> {
    let rows = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    rows.filter_map(|row| row.get("loss").map(Value::to_string)).collect()
}

#[test]
fn precision_memory_and_micro_batches_can_be_typed() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let train = |args: &[&str]| run(dir, &[&["train", "--adapter", "cpu"], args].concat());
    let told = train(&[
        "--steps",
        "1",
        "--batch",
        "32",
        "--accumulate",
        "2",
        "--precision",
        "mixed",
        "--memory",
        "low",
        "--out",
        "all",
    ]);
    let about =
        "training on the CPU backend, batch of 32 in 2 micro-batches of 16, mixed precision, low memory, into all";
    assert!(told.contains(about), "{told}");
    let recipe = fs::read_to_string(dir.join("all/recipe.toml")).unwrap();
    for line in ["batch = 32", "accumulate = 2", "precision = \"mixed\"", "memory = \"low\""] {
        assert!(recipe.lines().any(|had| had == line), "{line} is not in {recipe}");
    }
    let about: Value = serde_json::from_slice(&fs::read(dir.join("all/run.json")).unwrap()).unwrap();
    assert_eq!((&about["batch"], &about["accumulate"]), (&32.into(), &2.into()));
    let plan = run(dir, &["plan", "all/recipe.toml", "--adapter", "cpu"]);
    let kib = |text: &str| text.split_whitespace().rev().find_map(|word| word.parse::<f64>().ok()).unwrap();
    let peaks: Vec<_> = plan.lines().filter(|line| line.starts_with("peak  ")).map(kib).collect();
    let [micro_batch, update] = peaks[..] else { panic!("{plan}") };
    let both = kib(plan.lines().last().unwrap());
    assert!(both > micro_batch.max(update) && both < micro_batch + update, "{both} of {micro_batch} and {update}");
    fails(dir, &["train", "--batch", "32", "--accumulate", "5"], &["a multiple of 5", "accumulate = 4"]);
}

/// Only the memory mode may change when a run is resumed: in single precision, the results are the
/// same.
#[test]
fn memory_may_change_on_resume() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let train = |args: &[&str]| run(dir, &[&["train", "--adapter", "cpu"], args].concat());
    for out in ["part", "other"] {
        train(&["--steps", "2", "--out", out]);
    }
    train(&["--resume", "other", "--steps", "4"]);
    let told = train(&["--resume", "part", "--steps", "4", "--memory", "low"]);
    assert!(told.contains("at step 2 of 4, batch of 64, low memory, on the CPU backend"), "{told}");
    assert_eq!(losses(&dir.join("part")), losses(&dir.join("other")));
    assert_eq!(losses(&dir.join("part")).len(), 4);
    let about: Value = serde_json::from_slice(&fs::read(dir.join("part/run.json")).unwrap()).unwrap();
    assert_eq!(about["memory"], "low");
    for option in [["--precision", "mixed"], ["--accumulate", "2"], ["--batch", "32"]] {
        let refused = finish(command(dir, &[&["train", "--resume", "part"][..], &option].concat()));
        assert!(refused.code == Some(2) && refused.err.contains("cannot be used with"), "{}", refused.err);
    }
}

#[test]
fn plans_are_shown_as_asked() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let peak = |args: &[&str]| {
        let plan = run(dir, &[&["plan", "vgg-small", "--batch", "128"], args].concat());
        plan.lines().find(|line| line.starts_with("peak")).unwrap().split("  ").last().unwrap().trim().to_string()
    };
    // The figures in README.
    assert_eq!(peak(&[]), "305.3 MiB");
    assert_eq!(peak(&["--memory", "low"]), "168.1 MiB");
    assert_eq!(peak(&["--memory", "low", "--precision", "mixed"]), "136.1 MiB");

    let text = "extends = \"vgg-small\"\n[train]\nbatch = 64\naccumulate = 4\n";
    fs::write(dir.join("accumulating.toml"), text).unwrap();
    let micro = run(dir, &["plan", "accumulating.toml"]);
    let head = "batch of 64 in 4 micro-batches of 16 · plan";
    for part in [head, "f32[16×32×32×128]", "accumulate", "the update after the last one", "Both plans share"] {
        assert!(micro.contains(part), "{part} is not in {micro}");
    }
    let typed = run(dir, &["plan", "vgg-small", "--batch", "64", "--accumulate", "4"]);
    assert_eq!(typed, micro.replacen("accumulating", "vgg-small", 1));
    let mixed = run(dir, &["plan", "--precision", "mixed"]);
    assert!(mixed.contains("batch of 64, mixed precision · plan") && mixed.contains("f16["), "{mixed}");
    fails(
        dir,
        &["plan", "accumulating.toml", "--batch", "6"],
        &["accumulate = 4", "a multiple of 4", "accumulate = 3"],
    );
}
