//! `halfwave sweep` as a user runs it: every combination of values and seeds is trained, on one
//! adapter or several at once; the table has the numbers of the runs; the same command finishes
//! what is missing; and every mistake is reported before any work.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
#[path = "common/program.rs"]
mod program;

use common::drivers;
use halfwave::train::run::{CHECKPOINT, SavedRun};
use program::{command, fails, finish, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Learning rates × bits, with two seeds.
const GRID: [&str; 8] =
    ["sweep", "digits", "--set", "train.optimizer.lr=[0.1,0.001]", "--set", "layers.q*.bits=[1,2]", "--seeds", "2"];

/// A few small steps.
const LENGTH: [&str; 5] = ["--steps", "6", "--batch", "32", "--plain"];

/// The runs' folders in a sweep's folder.
fn runs(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    entries.map(|path| path.file_name().unwrap().to_str().unwrap().to_string()).collect()
}

/// The names of the runs of `GRID`.
fn grid() -> BTreeSet<String> {
    let arms = ["lr=0.1,q.bits=1", "lr=0.1,q.bits=2", "lr=0.001,q.bits=1", "lr=0.001,q.bits=2"];
    arms.iter().flat_map(|arm| [format!("{arm}-seed0"), format!("{arm}-seed1")]).collect()
}

/// The accuracy in per cent in the last row of a run.
fn last(dir: &Path) -> f64 {
    let rows = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let row: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    100.0 * row["test_accuracy"].as_f64().unwrap()
}

fn bytes(dir: &Path, run: &str) -> Vec<u8> {
    fs::read(dir.join(run).join(CHECKPOINT)).unwrap()
}

#[test]
fn a_grid_is_trained_compared_and_finished_by_the_same_command() {
    let base = tempfile::tempdir().unwrap();
    let ask = [&GRID[..], &LENGTH, &["--adapter", "cpu"]].concat();
    let out = run(base.path(), &ask);
    let dir = base.path().join("runs/digits-sweep");
    for part in [
        "digits-sweep: train.optimizer.lr=[0.1,0.001] × layers.q*.bits=[1,2]",
        "4 × 2 runs into runs/digits-sweep",
        "[8/8] lr=0.001,q.bits=2, seed 1",
        "by-value.png",
        "halfwave report runs/digits-sweep",
    ] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    assert_eq!(runs(&dir), grid());
    let saved = SavedRun::read(&dir.join("lr=0.001,q.bits=2-seed1")).unwrap().recipe;
    assert_eq!((saved.train.optimizer.lr, saved.train.seed, saved.train.batch), (0.001, 1, 32));
    assert_eq!(saved.to_toml().lines().filter(|line| *line == "bits = 2").count(), 2);
    // Mean and standard deviation are those of the last rows.
    let csv = fs::read_to_string(dir.join("table.csv")).unwrap();
    let mut means = Vec::new();
    for line in csv.lines().skip(1) {
        let (arm, rest) = line.strip_prefix('"').unwrap().split_once("\",").unwrap();
        let [a, b] = [0, 1].map(|seed| last(&dir.join(format!("{arm}-seed{seed}"))));
        let cells: Vec<_> = rest.split(',').collect();
        let [mean, deviation]: [f64; 2] = [cells[4], cells[5]].map(|cell| cell.parse().unwrap());
        assert!((mean - (a + b) / 2.0).abs() < 1e-3, "{line}: {a} and {b}");
        assert!((deviation - (a - b).abs() / 2f64.sqrt()).abs() < 1e-3, "{line}: {a} and {b}");
        assert_eq!(arm, format!("lr={},q.bits={}", cells[7], cells[8]));
        means.push((mean, arm.to_string()));
    }
    // The terminal has the best arm first, with a mark.
    means.sort_by(|a, b| b.0.total_cmp(&a.0));
    let table: Vec<_> = out.lines().skip_while(|line| !line.starts_with("combination ")).skip(1).take(4).collect();
    for ((mean, arm), line) in means.iter().zip(&table) {
        assert!(line.contains(&format!("{mean:.2} ± ")), "{mean} {arm}: {out}");
    }
    assert!(table[0].contains(" * ") && table[1..].iter().all(|line| !line.contains('*')), "{out}");
    let markdown = fs::read_to_string(dir.join("table.md")).unwrap();
    assert!(markdown.contains(&format!("| **{}** |", means[0].1)), "{markdown}");
    assert!(markdown.contains("halfwave sweep digits --set 'train.optimizer.lr=[0.1,0.001]' --set "), "{markdown}");
    for plot in ["accuracy.png", "by-value.png"] {
        assert!(image::open(dir.join(plot)).unwrap().width() >= 1000, "{plot}");
    }

    // What is missing is trained again, with the same result; the rest is kept.
    let lost = ["lr=0.1,q.bits=1-seed1", "lr=0.001,q.bits=2-seed0"];
    let before = lost.map(|run| bytes(&dir, run));
    lost.iter().for_each(|run| fs::remove_dir_all(dir.join(run)).unwrap());
    let again = run(base.path(), &ask);
    assert!(again.contains("6 of them are already finished") && again.contains("6 of them finished before"), "{again}");
    assert!(before == lost.map(|run| bytes(&dir, run)));
    let means = |csv: &str| csv.lines().map(|line| line.split(',').take(8).collect::<String>()).collect::<Vec<_>>();
    assert_eq!(means(&fs::read_to_string(dir.join("table.csv")).unwrap()), means(&csv));
    // Another setting in the same folder is a mistake.
    let other = [&GRID[..], &["--steps", "7", "--adapter", "cpu"]].concat();
    fails(base.path(), &other, &["lr=0.1,q.bits=1-seed0 holds a run of another recipe", "--out DIR"]);
    // Lost results are not counted as finished.
    let metrics = dir.join("lr=0.1,q.bits=1-seed0/metrics.jsonl");
    let rows = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, "").unwrap();
    let parts = ["metrics.jsonl has 0 of 6 steps", "to repeat it, remove the folder"];
    fails(base.path(), &ask, &parts);
    fs::write(&metrics, rows).unwrap();
    fs::write(dir.join("lr=0.1,q.bits=1-seed0/run.json"), "{}").unwrap();
    fails(base.path(), &ask, &["run.json", "to repeat this run, remove the folder"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_says_how_to_go_on() {
    let base = tempfile::tempdir().unwrap();
    let ask = ["sweep", "digits", "--set", "layers.q*.bits=[1,2]", "--epochs", "6", "--adapter", "cpu", "--plain"];
    let child = command(base.path(), &ask).spawn().unwrap();
    let dir = base.path().join("runs/digits-sweep");
    let rows = dir.join("q.bits=2-seed0/metrics.jsonl");
    let begun = std::time::Instant::now();
    while fs::metadata(&rows).map_or(0, |file| file.len()) < 200 {
        assert!(begun.elapsed().as_secs() < 120, "the second run does not begin");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let done = program::ended(child);
    assert_eq!(done.code, Some(143), "{}{}", done.out, done.err);
    let again = "  halfwave sweep digits --set 'layers.q*.bits=[1,2]' --epochs 6 --adapter cpu --plain\n";
    assert!(done.out.contains("everything up to here is saved in runs/digits-sweep") && done.out.contains(again));
    let out = run(base.path(), &ask);
    assert!(out.contains("2 × 1 runs") && out.contains("1 of them are already finished"), "{out}");
    // The interrupted run has the bits of one that was not.
    let second = "q.bits=2-seed0";
    let before = bytes(&dir, second);
    fs::remove_dir_all(dir.join(second)).unwrap();
    run(base.path(), &ask);
    assert!(before == bytes(&dir, second));
    // More values: the finished runs are kept.
    let more = [&ask[..3], &["layers.q*.bits=[1,2,3]"], &ask[4..]].concat();
    assert!(run(base.path(), &more).contains("3 × 1 runs into runs/digits-sweep; 2 of them are already finished"));
}

#[test]
fn two_adapters_share_the_runs() {
    let base = tempfile::tempdir().unwrap();
    let (name, icd) = match drivers().into_iter().find(|(name, _)| name == "lavapipe") {
        Some(driver) => driver,
        None => return println!("skipped: HALFWAVE_TEST_ICDS names no lavapipe"),
    };
    let sweep = |args: &[&str]| {
        let mut command = command(base.path(), &[&GRID[..6], &LENGTH, &["--out", "both"], args].concat());
        command.env("VK_DRIVER_FILES", &icd).env("VK_ICD_FILENAMES", &icd);
        command.env("HALFWAVE_CACHE_DIR", base.path().join("cache"));
        finish(command)
    };
    let twice = sweep(&["--adapter", "0", "--adapter", "llvmpipe"]);
    let parts = ["error: --adapter llvmpipe is llvmpipe", "which --adapter 0 names already; name each adapter once"];
    assert!(twice.code == Some(1) && parts.iter().all(|part| twice.err.contains(part)), "{}", twice.err);
    let unknown = sweep(&["--adapter", "cpu", "--adapter", "nosuch"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("no adapter \"nosuch\"; there are: 0: llvmpipe"), "{name}");
    assert!(!base.path().join("both").exists());
    let done = sweep(&["--adapter", "cpu", "--adapter", "llvmpipe"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
    assert!(done.out.contains("on the CPU backend and llvmpipe"), "{}", done.out);
    let dir = base.path().join("both");
    let all: BTreeSet<_> = grid().into_iter().filter(|run| run.ends_with("seed0")).collect();
    assert_eq!(runs(&dir), all);
    let adapter = |run: &String| -> String {
        let about: Value = serde_json::from_slice(&fs::read(dir.join(run).join("run.json")).unwrap()).unwrap();
        about["adapter"].as_str().unwrap().to_string()
    };
    let adapters: BTreeSet<_> = all.iter().map(adapter).collect();
    assert_eq!(adapters.len(), 2, "both work: {adapters:?}");
    let csv = fs::read_to_string(dir.join("table.csv")).unwrap();
    assert!(csv.lines().skip(1).all(|line| line.contains(",digits,1,1,0,")), "{csv}");

    // One adapter fails in the third run: the other one finishes its own, and the fourth is not started.
    let dir = base.path().join("broken");
    let mut broken = command(base.path(), &[&GRID[..6], &LENGTH, &["--out", "broken"]].concat());
    broken.args(["--adapter", "cpu", "--adapter", "0"]).env("VK_DRIVER_FILES", &icd).env("VK_ICD_FILENAMES", &icd);
    let child = broken.env("HALFWAVE_CACHE_DIR", base.path().join("cache")).spawn().unwrap();
    let begun = std::time::Instant::now();
    while !dir.join("lr=0.1,q.bits=1-seed0").exists() {
        assert!(begun.elapsed().as_secs() < 60, "no run begins");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let third = dir.join("lr=0.001,q.bits=1-seed0");
    fs::create_dir(&third).unwrap();
    fs::write(third.join("curve.svg"), "of another program").unwrap();
    let done = program::ended(child);
    assert_eq!(done.code, Some(1), "{}{}", done.out, done.err);
    for part in [
        "failed in broken/lr=0.001,q.bits=1-seed0; the other adapters finish their current runs",
        "2 of 4 runs are finished and kept in broken; run the same command to continue",
        "\nerror: broken/lr=0.001,q.bits=1-seed0",
    ] {
        assert!(done.err.contains(part), "{part} is not in {}", done.err);
    }
    assert_eq!(runs(&dir).len(), 3);
    assert_eq!(fs::read_to_string(dir.join("table.md")).unwrap().matches("| 0 of 1 |").count(), 2);
}

#[test]
fn mistakes_are_said_before_any_work() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let sweep = |args: &[&'static str]| [&["sweep", "digits", "--adapter", "cpu"], args].concat();
    let lr = "train.optimizer.lr=[0.1,0.03]";
    fails(dir, &sweep(&["--set", "train.optimizer.rate=[1,2]"]), &["--set train.optimizer.rate=1: "]);
    fails(
        dir,
        &sweep(&["--set", "data.mean=[0.5]"]),
        &["a sweep tries each value of a list", "--fix 'data.mean=[0.5]'"],
    );
    let many = format!("train.batch=[{}]", (1..=1001).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    fails(dir, &["sweep", "digits", "--set", &many], &["1001 combinations are more than 1000", "--random N"]);
    fails(dir, &sweep(&["--set", "train.optimizer.lr=0.1..0.3"]), &["a range needs a random search"]);
    fails(dir, &sweep(&["--set", lr, "--data", "x"]), &["the digits are embedded"]);
    fails(dir, &sweep(&["--set", lr, "--batch", "32", "--accumulate", "5"]), &["32", "5"]);
    fails(dir, &sweep(&["--set", lr, "--adapter", "cpu"]), &["--adapter cpu is the CPU backend", "once"]);
    fails(dir, &sweep(&[]), &["there is nothing to sweep"]);
    fails(dir, &["sweep", "digit", "--set", lr], &["did you mean \"digits\""]);
    fs::write(dir.join("file"), "x").unwrap();
    fails(dir, &sweep(&["--set", lr, "--out", "file"]), &["file is not a folder"]);
}
