//! `halfwave experiment` as a user runs it: it creates its runs, table and plot; a second call
//! keeps completed runs; an interrupted one resumes with the same bits; and every mistake is
//! reported before any work.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "common/program.rs"]
mod program;

use halfwave::experiment::{EXPERIMENTS, PRESETS, find, preset};
use halfwave::train::run::{CHECKPOINT, SavedRun};
use program::{command, ended, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Returns all files below a folder, with their modification times.
fn files(dir: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut all = BTreeMap::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs::metadata(&path).unwrap().modified().unwrap());
        }
    }
    all
}

/// Runs a command that must fail with one line of advice and no other output, and change no file.
fn fails(dir: &Path, args: &[&str], parts: &[&str]) {
    let before = files(dir);
    let err = program::fails(dir, args, parts);
    assert_eq!(err.trim_end().lines().count(), 1, "{err}");
    assert!(files(dir) == before, "{args:?} has written something");
}

/// Returns the accuracies of a table.csv, by arm.
fn accuracies(csv: &str) -> Vec<(String, f64)> {
    let cells = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    cells.map(|cells| (cells[0].to_string(), cells[5].parse().unwrap())).collect()
}

#[test]
fn an_experiment_ends_in_a_table_and_a_plot_and_is_kept() {
    let base = tempfile::tempdir().unwrap();
    let ask = ["experiment", "low-bit", "--adapter", "cpu", "--plain"];
    let out = run(base.path(), &ask);
    let dir = base.path().join("runs/low-bit-smoke");
    for part in ["preset smoke", "4 × 2 runs", "[8/8] bw-hwgq, seed 1", "halfwave report runs/low-bit-smoke"] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let csv = read("table.csv");
    let found = accuracies(&csv);
    assert_eq!(found.iter().map(|(arm, _)| arm.as_str()).collect::<Vec<_>>(), ["float", "bw", "bw-sign", "bw-hwgq"]);
    // Chance is 10%.
    assert!(found.iter().all(|(_, accuracy)| (40.0..=100.0).contains(accuracy)), "{found:?}");
    // The number is that of the runs' last rows.
    let last = |seed: u64| {
        let rows = fs::read_to_string(dir.join(format!("bw-sign-seed{seed}/metrics.jsonl"))).unwrap();
        let row: serde_json::Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
        100.0 * row["test_accuracy"].as_f64().unwrap()
    };
    assert!((found[2].1 - (last(0) + last(1)) / 2.0).abs() < 1e-3, "{found:?}");
    assert_eq!(read("by-epoch.csv").lines().count(), 1 + 4 * 3);
    assert!(read("table.md").contains("| bw-hwgq | 1-bit weights, 2-bit HWGQ | 2 |"), "{}", read("table.md"));
    let svg = read("accuracy.svg");
    assert!(["float", "bw", "bw-sign", "bw-hwgq", "epoch"].iter().all(|name| svg.contains(name)));
    assert!(image::open(dir.join("accuracy.png")).unwrap().width() >= 1000);
    let saved = SavedRun::read(&dir.join("bw-sign-seed1")).unwrap();
    assert_eq!(saved.recipe.train.seed, 1);
    let expected = find("low-bit").unwrap().recipe(2, preset("smoke").unwrap()).unwrap();
    assert_eq!(saved.recipe.model, expected.model);

    // Again: nothing is trained, and the table is the same.
    let checkpoint = |files: &BTreeMap<PathBuf, SystemTime>| {
        files.iter().filter(|(path, _)| path.ends_with(CHECKPOINT)).map(|(_, time)| *time).collect::<Vec<_>>()
    };
    let before = files(&dir);
    let again = run(base.path(), &ask);
    assert!(again.contains("8 of them are already finished") && !again.contains("[8/8]"), "{again}");
    assert!(checkpoint(&before) == checkpoint(&files(&dir)) && checkpoint(&before).len() == 8);
    assert_eq!(read("table.csv"), csv);
    // A run that cannot be trained is also a result.
    let rows = dir.join("bw-seed1/metrics.jsonl");
    let broken = fs::read_to_string(&rows).unwrap() + "{\"step\":70,\"epoch\":4,\"loss\":null,\"lr\":0.05}\n";
    fs::write(&rows, broken).unwrap();
    let diverged = run(base.path(), &ask);
    assert!(diverged.lines().any(|line| line.starts_with("bw  ") && line.contains("2, 1 diverged")), "{diverged}");
    // A subset of the seeds is allowed; another recipe in the same folder is a mistake.
    assert!(run(base.path(), &[&ask[..], &["--seeds", "1"]].concat()).contains("4 × 1 runs"));
    let mine = ["train", "digits", "--adapter", "cpu", "--steps", "1", "--plain", "--out", "mine/bw-hwgq-seed0"];
    run(base.path(), &mine);
    let parts = ["mine/bw-hwgq-seed0 holds a run of another recipe", "steps = 1 instead of epochs = 3", "--out DIR"];
    fails(base.path(), &[&ask[..], &["--out", "mine"]].concat(), &parts);
    fs::remove_file(base.path().join("mine/bw-hwgq-seed0").join(CHECKPOINT)).unwrap();
    fails(base.path(), &[&ask[..], &["--out", "mine"]].concat(), &["without a checkpoint", "remove it"]);
}

#[cfg(unix)]
#[test]
fn an_experiment_that_is_interrupted_goes_on_to_the_same_bits() {
    let base = tempfile::tempdir().unwrap();
    let ask = |out: &'static str| ["experiment", "learning-curve", "--adapter", "cpu", "--plain", "--out", out];
    let child = command(base.path(), &ask("cut")).spawn().unwrap();
    // After some rows of the second run.
    let rows = base.path().join("cut/hwgq-seed1/metrics.jsonl");
    let begun = std::time::Instant::now();
    while fs::metadata(&rows).map_or(0, |file| file.len()) < 200 {
        assert!(begun.elapsed().as_secs() < 120, "the second run does not begin");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // The folder is locked meanwhile.
    let second = program::finish(command(base.path(), &ask("cut")));
    assert!(second.code == Some(1) && second.err.starts_with("error: cut is in use: process"), "{}", second.err);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let done = ended(child);
    assert_eq!(done.code, Some(143), "{}{}", done.out, done.err);
    let command = "  halfwave experiment learning-curve --adapter cpu --plain --out cut\n";
    assert!(done.out.contains("stopped") && done.out.contains(command), "{}", done.out);
    assert!(fs::read_to_string(base.path().join("cut/table.md")).unwrap().contains("| 1 of 2 |"));
    let position = SavedRun::read(&base.path().join("cut/hwgq-seed1")).unwrap().checkpoint.position;
    assert!((1..69).contains(&position.step), "{position:?}");
    assert!(run(base.path(), &ask("cut")).contains("1 of them are already finished"));
    run(base.path(), &ask("whole"));
    for name in ["hwgq-seed0", "hwgq-seed1"] {
        let bytes = |out: &str| fs::read(base.path().join(out).join(name).join(CHECKPOINT)).unwrap();
        assert!(bytes("cut") == bytes("whole"), "{name} differs");
    }
}

#[test]
fn experiments_are_listed_and_mistakes_are_said_before_any_work() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let list = run(dir, &["experiment"]);
    let names = EXPERIMENTS.iter().map(|known| known.name).chain(PRESETS.iter().map(|known| known.name));
    for name in names {
        assert!(list.lines().any(|line| line.starts_with(&format!("  {name} "))), "{name} is not in {list}");
    }
    let cpu = |args: &[&'static str]| [&["experiment"], args, &["--adapter", "cpu"]].concat();
    fails(
        dir,
        &cpu(&["methods", "--adapter", "CPU"]),
        &["--adapter cpu is the CPU backend, which --adapter CPU names already"],
    );
    fails(dir, &cpu(&["surogates"]), &["did you mean \"surrogates\"?"]);
    fails(dir, &cpu(&["methods", "--preset", "medium"]), &["no preset \"medium\"", "smoke, small, paper"]);
    fails(dir, &cpu(&["methods", "--preset", "small"]), &["cifar-10-batches-bin", "--data-dir"]);
    fails(dir, &cpu(&["methods", "--data", "x"]), &["the digits are embedded"]);
    fs::write(dir.join("file"), "x").unwrap();
    fails(dir, &cpu(&["methods", "--out", "file"]), &["file is not a folder"]);
}
