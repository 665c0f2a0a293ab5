//! Runs that somebody or something ends: by Ctrl-C once or twice, or by killing the process at any moment. Each goes on to the bits of an unbroken run.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::random::Random;
use halfwave::train::run::{BEST, CHECKPOINT, Saved};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// `halfwave train` without a GPU, in a folder.
fn train(dir: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfwave"));
    command.args(["train", "--adapter", "cpu", "--plain"]).args(args).current_dir(dir).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end, which must be a good one.
fn finished(child: Child) -> String {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Presses Ctrl-C, which arrives as two signals, as where a process and its group get one each.
fn press_ctrl_c(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id, &id]).status().unwrap().success());
}

/// Waits until a file is there and as long as wanted.
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
    // One long epoch, so that it is interrupted within.
    let recipe = base.path().join("long.toml");
    let text = "extends = \"digits\"\n[train]\nbatch = 4\nepochs = 1\n";
    fs::write(&recipe, text).unwrap();
    finished(train(base.path(), &["long.toml", "--out", "whole"]));
    let child = train(base.path(), &["long.toml", "--out", "cut"]);
    // A few rows of steps.
    wait_for(&base.path().join("cut/metrics.jsonl"), 300);
    press_ctrl_c(&child);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(130), "{out}{err}");
    assert!(err.contains("stopping after the step under way; once more to leave at once"), "{err}");
    assert!(out.contains("stopped after") && out.contains("  halfwave train --resume cut"), "{out}");
    let position = Saved::read(&base.path().join("cut")).unwrap().checkpoint.position;
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
    assert_eq!(Saved::read(&base.path().join("slow")).unwrap().checkpoint.position.step, 0);
}

#[test]
fn twenty_kills_at_any_moment_change_nothing() {
    const EPOCHS: u32 = 24;
    let base = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| base.path().join(name));
    let begun = Instant::now();
    let epochs = EPOCHS.to_string();
    finished(train(base.path(), &["--epochs", &epochs, "--out", "whole"]));
    // An epoch and what a start takes, twice: some die before they have done anything, some in the second epoch.
    let longest = begun.elapsed() / EPOCHS * 2;
    let (mut random, mut kills, mut steps) = (Random::new(7, "kills"), 0, Vec::new());
    while kills < 20 {
        // Without a checkpoint nothing was begun.
        let mut child = if killed.join(CHECKPOINT).exists() {
            train(base.path(), &["--resume", "killed"])
        } else {
            let _ = fs::remove_dir_all(&killed);
            train(base.path(), &["--epochs", &epochs, "--out", "killed"])
        };
        sleep(longest.mul_f64(random.unit()));
        if child.try_wait().unwrap().is_some() {
            // The machine has become faster, and the run is over already: it must be as good, and the rest is done to another one.
            finished(child);
            same_files(&whole, &killed);
            fs::remove_dir_all(&killed).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        steps.extend(Saved::read(&killed).ok().map(|saved| saved.checkpoint.position.step));
    }
    println!("steps that were saved when it was killed: {steps:?}");
    finished(train(base.path(), &["--resume", "killed"]));
    same_files(&whole, &killed);
}
