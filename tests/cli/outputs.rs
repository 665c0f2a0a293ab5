//! Files that a command writes: they replace neither what it reads nor each other.

use super::program::{command, ended, fails, finish, run};
use super::run_dir;
use halfwave::recipe::builtin;
use halfwave::train::run::{BEST, CHECKPOINT, SavedRun};
use std::fs::{self, File};
use std::path::Path;

const OVERWRITES: &str = "this would overwrite a file that the same command reads or writes; give another name";

/// Copies the files of a finished run.
fn copy_run(to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(run_dir()).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name() != "run.lock" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn outputs_are_neither_inputs_nor_each_other() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::create_dir(dir.join("folder")).unwrap();
    fs::write(dir.join("my.toml"), builtin("digits").unwrap()).unwrap();
    fs::write(dir.join("child.toml"), "extends = \"./my.toml\"\n").unwrap();
    fs::write(dir.join("a.json"), "{}").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("my.toml", dir.join("link")).unwrap();
    for args in [
        &["profile", "my.toml", "--json", "my.toml"][..],
        &["profile", "my.toml", "--html", "folder/../my.toml"],
        #[cfg(unix)]
        &["profile", "my.toml", "--trace", "link"],
        #[cfg(unix)]
        &["profile", "link", "--perfetto", "my.toml"],
        &["profile", "child.toml", "--json", "my.toml"],
        &["profile", "--diff", "a.json", "my.toml", "--html", "a.json"],
        &["profile", "--json", "new", "--html", "./new"],
        &["profile", "--trace", "folder/new", "--perfetto", "folder/../folder/new"],
        &["profile", "--kernel", "bconv", "--sweep", "channels=64", "--csv", "new", "--json", "new"],
        &["bench", "digits", "my.toml", "--json", "my.toml"],
        &["shader", "bconv", "--recipe", "my.toml", "--emit", "wgsl", "--out", "my.toml"],
        &["train", "--out", "folder", "--dump", "folder/checkpoint.safetensors"],
    ] {
        fails(dir, args, &[OVERWRITES]);
    }
    // The same command again replaces its own files; a recipe's name is not that of a file.
    for _ in 0..2 {
        run(dir, &["profile", "digits", "--adapter", "cpu", "--steps", "1", "--json", "digits", "--html", "p.html"]);
    }
}

#[test]
fn a_report_replaces_only_a_report() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    copy_run(&dir.join("r"));
    fs::write(dir.join("notes.txt"), "words").unwrap();
    fs::write(dir.join("index.html"), "<!doctype html><p>words").unwrap();
    for out in ["r/checkpoint.safetensors", "r/metrics.jsonl", "notes.txt", "index.html"] {
        fails(dir, &["report", "r", "--out", out], &[out, "not a page that halfwave wrote", "give another name"]);
    }
    fs::write(dir.join("empty.html"), "").unwrap();
    for out in ["new.html", "new.html", "empty.html"] {
        run(dir, &["report", "r", "--adapter", "cpu", "--out", out]);
    }
}

/// Names that differ only in characters or in case that file names may not keep apart.
#[test]
fn every_plot_has_a_file() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let names = ["日本", "中国", "a b", "a_b", "a-b", "A b"];
    names.iter().for_each(|name| copy_run(&dir.join(name)));
    let told = run(dir, &[&["report", "--adapter", "cpu", "--out", "r.html", "--plots", "plots"][..], &names].concat());
    let files = fs::read_dir(dir.join("plots")).unwrap().map(|entry| entry.unwrap().file_name());
    let files: Vec<_> = files.map(|name| name.into_string().unwrap().to_lowercase()).collect();
    let images = files.iter().filter(|name| name.ends_with(".png")).count();
    assert!(told.contains(&format!("\n{images} plots and images written")), "{images} in {told}");
    let confusion = files.iter().filter(|name| name.starts_with("confusion-") && name.ends_with(".svg"));
    assert_eq!(confusion.count(), names.len(), "{files:?}");
}

/// A pipe that nobody writes to would be waited for, and a device may never end.
#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let pipe = |path: &str| {
        let _ = fs::remove_file(dir.join(path));
        assert!(std::process::Command::new("mkfifo").arg(dir.join(path)).status().unwrap().success());
    };
    fs::write(dir.join("a.json"), "{}").unwrap();
    pipe("pipe");
    copy_run(&dir.join("no-metrics"));
    pipe("no-metrics/metrics.jsonl");
    copy_run(&dir.join("no-recipe"));
    pipe("no-recipe/recipe.toml");
    for args in [
        &["profile", "--diff", "pipe", "a.json"][..],
        &["profile", "--diff", "/dev/zero", "a.json"],
        &["report", "no-metrics", "--adapter", "cpu"],
        &["train", "--resume", "no-metrics", "--epochs", "2", "--adapter", "cpu"],
        &["train", "--resume", "no-recipe"],
        &["new", "pipe"],
    ] {
        let done = finish(command(dir, args));
        assert!(done.code == Some(1) && done.err.contains("regular file"), "{args:?}: {}", done.err);
    }
    let mut endless = command(dir, &["train", "-"]);
    endless.stdin(File::open("/dev/zero").unwrap());
    let done = ended(endless.spawn().unwrap());
    assert!(done.code == Some(1) && done.err.contains("standard input is too long for a recipe"), "{}", done.err);
}

#[test]
fn a_best_checkpoint_that_was_deleted_is_not_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let limits = ["--set", "data.limit=100", "--set", "data.test_limit=40", "--set", "data.validation=0.2"];
    let first = [&["train", "--adapter", "cpu", "--epochs", "1", "--out", "r"][..], &limits].concat();
    // It may say that the network has learned nothing yet.
    assert_eq!(finish(command(dir, &first)).code, Some(0));
    let checkpoint = dir.join("r").join(CHECKPOINT);
    let mut saved = SavedRun::read(&checkpoint).unwrap().checkpoint;
    saved.position.best_accuracy = 1.0;
    fs::write(checkpoint, saved.to_bytes()).unwrap();
    fs::remove_file(dir.join("r").join(BEST)).unwrap();
    let told = run(dir, &["train", "--resume", "r", "--adapter", "cpu", "--epochs", "2"]);
    assert!(told.contains("highest after epoch 1: 100.0%; its best.safetensors no longer exists"), "{told}");
}

#[test]
fn advice_fits_the_mistake() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("a.json"), "{}").unwrap();
    fs::write(dir.join("a.pftrace"), b"\x0a\xff\xfe\x01").unwrap();
    let size = |size| ["profile", "--kernel", "bconv", "--sweep", "channels=64", "--size", "batch=1", "--size", size];
    for (args, wanted) in [
        (
            &["train", "--set", "data.limit=5", "--set", "data.validation=0.1"][..],
            &["limit = 5: ", "but there are 10 classes; give more images"][..],
        ),
        (&["train", "--set", "data.validation=\"0.1\""], &["validation = \"0.1\": ", "such as 0.1, or \"auto\""]),
        (&["train", "--set", "data.validation=\"autos\""], &["validation = \"autos\""]),
        (&["profile", "--diff", "a.pftrace", "a.json"], &["a.pftrace: it is not a profile; `halfwave profile --json"]),
        (&size("batch=2"), &["--size batch=2: batch is given twice; give it once"]),
    ] {
        fails(dir, args, wanted);
    }
    let sweep = ["sweep", "digits", "--adapter", "cpu", "--steps", "1", "--seeds", "1", "--set", "train.batch=[8]"];
    let told = run(dir, &[&sweep[..], &["--out", "s", "--plain"]].concat());
    assert!(told.contains("1 × 1 run into s") && told.contains("\n1 run in "), "{told}");
    let again = run(dir, &[&sweep[..], &["--out", "s", "--plain"]].concat());
    assert!(again.contains("it is already finished") && again.contains("the run was already finished"), "{again}");
}
