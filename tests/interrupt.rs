//! Interrupted runs: by Ctrl-C once or twice, or by killing the process at any moment. Each resumes
//! to the bits of an uninterrupted run.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::random::Random;
use halfwave::train::folder::Folder;
use halfwave::train::run::{BEST, CHECKPOINT, SavedRun};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// `halfwave train` without a GPU, in a folder.
fn train(dir: &Path, args: &[&str]) -> Child {
    train_by(dir, DEFAULT, args)
}

/// A command that starts the program with no signal ignored, however this test was started.
const DEFAULT: &[&str] = if cfg!(target_os = "linux") { &["env", "--default-signal=INT,TERM,HUP"] } else { &["env"] };

/// The same, started by another program.
fn train_by(dir: &Path, starter: &[&str], args: &[&str]) -> Child {
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).args([env!("CARGO_BIN_EXE_halfwave"), "train", "--adapter", "cpu", "--plain"]);
    command.args(args).current_dir(dir).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends signals to a process, named as for `kill`, repeatedly if a name is repeated.
fn send(child: &Child, signal: &str, times: usize) {
    let ids = vec![child.id().to_string(); times];
    assert!(Command::new("kill").arg(format!("-{signal}")).args(ids).status().unwrap().success());
}

/// So that there is a best epoch.
const VALIDATION: &str = "data.validation=0.1";

/// Writes a recipe with one long epoch, so that the run is interrupted within it.
fn long(dir: &Path) {
    fs::write(
        dir.join("long.toml"),
        "extends = \"digits\"\n[data]\nvalidation = 0.1\n[train]\nbatch = 4\nepochs = 1\n",
    )
    .unwrap();
}

/// Waits for the end, which must be successful.
fn finished(child: Child) -> String {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Presses Ctrl-C, which arrives as two signals, as if a process and its group get one each.
fn press_ctrl_c(child: &Child) {
    send(child, "INT", 2);
}

/// Waits until a file exists and has the wanted length.
fn wait_for(path: &Path, bytes: u64) {
    let begun = Instant::now();
    while fs::metadata(path).map_or(0, |file| file.len()) < bytes {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} stays short", path.display());
        sleep(Duration::from_millis(5));
    }
}

fn same_files(a: &Path, b: &Path) {
    for name in [CHECKPOINT, BEST] {
        assert!(fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap(), "{name} differs");
    }
}

#[test]
fn ctrl_c_saves_within_an_epoch_and_says_how_to_go_on() {
    let base = tempfile::tempdir().unwrap();
    long(base.path());
    finished(train(base.path(), &["long.toml", "--out", "whole"]));
    let child = train(base.path(), &["long.toml", "--out", "cut"]);
    // A few rows of steps.
    wait_for(&base.path().join("cut/metrics.jsonl"), 300);
    press_ctrl_c(&child);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(130), "{out}{err}");
    assert!(err.contains("stopping after the current step; repeat to quit immediately"), "{err}");
    assert!(out.contains("stopped after") && out.contains("  halfwave train --resume cut"), "{out}");
    let position = SavedRun::read(&base.path().join("cut")).unwrap().checkpoint.position;
    assert!(position.epoch == 0 && position.batch > 0, "it was saved within the epoch: {position:?}");
    let out = finished(train(base.path(), &["--resume", "cut"]));
    assert!(out.contains(&format!("at step {} of", position.step)), "{out}");
    same_files(&base.path().join("whole"), &base.path().join("cut"));
}

#[test]
fn a_second_ctrl_c_leaves_at_once() {
    let base = tempfile::tempdir().unwrap();
    // A step that takes seconds.
    let layer = "[[model.layers]]\nname = \"c\"\nkind = \"conv\"\nfilters = 768\nkernel = 5\npadding = 2\n";
    let second = layer.replace("\"c\"", "\"d\"");
    let text = format!(
        "[model]\ninput = [1, 8, 8]\nclasses = 10\n{layer}{second}[[model.layers]]\nname = \"fc\"\nkind = \"linear\"\nunits = 10\n[data]\nset = \"digits\"\n[train]\nbatch = 64\nsteps = 9\n[train.optimizer]\nkind = \"sgd\"\nlr = 0.001\n"
    );
    fs::write(base.path().join("slow.toml"), text).unwrap();
    let mut child = train(base.path(), &["slow.toml", "--out", "slow"]);
    wait_for(&base.path().join("slow/curve.png"), 1);
    press_ctrl_c(&child);
    sleep(Duration::from_millis(400));
    assert!(child.try_wait().unwrap().is_none(), "the first lets the step end");
    let pressed = Instant::now();
    press_ctrl_c(&child);
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let out = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(130), "{out}");
    assert!(!out.contains("stopped after"), "after {:?}: {out}", pressed.elapsed());
    assert_eq!(SavedRun::read(&base.path().join("slow")).unwrap().checkpoint.position.step, 0);
}

#[test]
fn twenty_kills_at_any_moment_change_nothing() {
    const EPOCHS: u32 = 24;
    let base = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| base.path().join(name));
    let begun = Instant::now();
    let epochs = EPOCHS.to_string();
    finished(train(base.path(), &["--epochs", &epochs, "--set", VALIDATION, "--out", "whole"]));
    // Twice the time of an epoch including the start-up: some processes are killed before they have
    // done anything, some in the second epoch.
    let longest = begun.elapsed() / EPOCHS * 2;
    let (mut random, mut kills, mut steps) = (Random::new(7, "kills"), 0, Vec::new());
    while kills < 20 {
        // Without a checkpoint there is nothing to resume.
        let mut child = if killed.join(CHECKPOINT).exists() {
            train(base.path(), &["--resume", "killed"])
        } else {
            let _ = fs::remove_dir_all(&killed);
            train(base.path(), &["--epochs", &epochs, "--set", VALIDATION, "--out", "killed"])
        };
        sleep(longest.mul_f64(random.unit()));
        if child.try_wait().unwrap().is_some() {
            // The machine has become faster, and the run has already ended: it must be correct, and
            // the remaining kills are applied to another run.
            finished(child);
            same_files(&whole, &killed);
            fs::remove_dir_all(&killed).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        steps.extend(SavedRun::read(&killed).ok().map(|saved| saved.checkpoint.position.step));
    }
    println!("steps that were saved when it was killed: {steps:?}");
    finished(train(base.path(), &["--resume", "killed"]));
    same_files(&whole, &killed);
}

#[test]
fn each_signal_has_its_exit_code() {
    let base = tempfile::tempdir().unwrap();
    long(base.path());
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let child = train(base.path(), &["long.toml", "--epochs", "50", "--out", signal]);
        wait_for(&base.path().join(signal).join("metrics.jsonl"), 300);
        send(&child, signal, 1);
        let Output { status, stdout, .. } = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(code), "{signal}: {status}");
        assert!(String::from_utf8(stdout).unwrap().contains("stopped after"), "{signal}");
    }
}

#[test]
fn what_is_ignored_at_the_start_stays_ignored() {
    let base = tempfile::tempdir().unwrap();
    long(base.path());
    let ignoring = |traps: &'static str| ["sh", "-c", traps, "sh"];
    let traps = [
        ("HUP", "trap '' HUP; exec \"$@\""),
        ("INT", "trap '' INT; exec \"$@\""),
        ("TERM", "trap '' TERM; exec \"$@\""),
    ];
    for (signal, trap) in traps {
        let child = train_by(base.path(), &ignoring(trap), &["long.toml", "--out", signal]);
        wait_for(&base.path().join(signal).join("metrics.jsonl"), 300);
        send(&child, signal, 2);
        assert!(finished(child).contains("test accuracy"), "{signal}");
        same_files(&base.path().join("HUP"), &base.path().join(signal));
    }
    // The other signals still have their effect.
    let child = train_by(base.path(), &["nohup"], &["long.toml", "--epochs", "50", "--out", "nohup"]);
    wait_for(&base.path().join("nohup/metrics.jsonl"), 300);
    send(&child, "HUP", 1);
    let rows = fs::metadata(base.path().join("nohup/metrics.jsonl")).unwrap().len();
    wait_for(&base.path().join("nohup/metrics.jsonl"), rows + 300);
    send(&child, "TERM", 1);
    let status = child.wait_with_output().unwrap().status;
    assert_eq!(status.code(), Some(143), "{status}");
}

#[test]
fn a_run_has_one_process() {
    let base = tempfile::tempdir().unwrap();
    long(base.path());
    let first = train(base.path(), &["long.toml", "--out", "run"]);
    wait_for(&base.path().join("run/metrics.jsonl"), 300);
    // A stopped process (by Ctrl-Z for example) still owns the folder.
    send(&first, "STOP", 1);
    for args in [&["--resume", "run"][..], &["--resume", "./run/"], &["long.toml", "--out", "run"]] {
        let Output { status, stderr, .. } = train(base.path(), args).wait_with_output().unwrap();
        let err = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), err.lines().count()), (Some(1), 1), "{err}");
        let process = format!(" is in use: process {} has been writing there since 2", first.id());
        assert!(err.starts_with("error: ") && err.contains(&process), "{err}");
    }
    // Readers are allowed.
    assert!(Folder::read(&base.path().join("run")).unwrap().rows.len() > 2);
    // A killed process is not the owner.
    send(&first, "KILL", 1);
    assert_eq!(first.wait_with_output().unwrap().status.signal(), Some(9));
    finished(train(base.path(), &["--resume", "run"]));
    let steps = Folder::read(&base.path().join("run"))
        .unwrap()
        .rows
        .iter()
        .filter(|row| row.to_json().starts_with("{\"step\""))
        .count();
    assert_eq!(steps, 324);
    assert!(!base.path().join("run/run.lock").exists());
}

#[test]
fn of_runs_that_begin_at_the_same_moment_each_has_a_folder() {
    let base = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..4).map(|_| train(base.path(), &["--steps", "2"])).collect();
    let into = |out: String| out.split_once("into runs/").unwrap().1.lines().next().unwrap().to_string();
    let mut folders: Vec<_> = all.into_iter().map(|child| into(finished(child))).collect();
    folders.sort();
    assert_eq!(folders, ["digits-1", "digits-2", "digits-3", "digits-4"]);
    // The same folder is given only once.
    let all: Vec<_> = (0..4).map(|_| train(base.path(), &["--steps", "2", "--out", "new/one"])).collect();
    let outputs: Vec<_> = all.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    assert_eq!(outputs.iter().filter(|output| output.status.success()).count(), 1);
    for output in outputs.iter().filter(|output| !output.status.success()) {
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains("error: new/one is in use") || err.contains("error: new/one holds a run"), "{err}");
    }
    assert!(Folder::read(&base.path().join("new/one")).unwrap().rows.len() >= 3);
}

#[test]
fn a_request_to_end_during_the_start_leaves_a_run_or_nothing() {
    let base = tempfile::tempdir().unwrap();
    long(base.path());
    for at in 0..12 {
        let dir = base.path().join("run");
        let child = train(base.path(), &["long.toml", "--out", "run"]);
        sleep(Duration::from_millis(10 * at));
        send(&child, "TERM", 1);
        let status = child.wait_with_output().unwrap().status;
        if status.signal() == Some(15) {
            assert!(!dir.exists(), "ended after {at}");
        } else {
            assert!(status.code() == Some(143) && SavedRun::read(&dir).is_ok(), "{status}");
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}

/// Earlier measurements are printed and written.
#[test]
fn a_benchmark_that_is_stopped_keeps_what_it_has() {
    let base = tempfile::tempdir().unwrap();
    let mut command = Command::new(DEFAULT[0]);
    command.args(&DEFAULT[1..]).args([env!("CARGO_BIN_EXE_halfwave"), "bench", "digits", "vgg-small"]);
    command.args(["--adapter", "cpu", "--rounds", "200", "--batch", "4", "--json", "bench.json"]);
    command.current_dir(base.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("vgg-small, batch of 4")), "the second recipe does not begin");
    press_ctrl_c(&child);
    let rest: Vec<_> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.iter().any(|line| line.starts_with("digits, batch of 4: ")), "{rest:?}");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(base.path().join("bench.json")).unwrap()).unwrap();
    assert_eq!(json["recipes"].as_array().unwrap().len(), 1);
}
