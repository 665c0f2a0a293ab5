//! User errors and their messages.
use super::{command, fails, finish, run, run_dir};
use halfwave::recipe::builtin;
use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;

#[test]
fn a_folder_in_the_place_of_a_file_is_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::create_dir(dir.join("empty")).unwrap();
    let run_dir = run_dir();
    for command in ["plan", "train"] {
        fails(
            dir,
            &[command, "empty"],
            &["empty: this is a folder; to write a recipe for the images in it: halfwave new empty"],
        );
        fails(dir, &[command, &run_dir], &["this is the folder of a run; its recipe is", "run/recipe.toml"]);
    }
    fails(dir, &["predict", &run_dir, "empty", "--adapter", "cpu"], &["empty: this is a folder"]);
}

#[test]
fn a_dump_takes_the_place_of_no_file() {
    let checkpoint = format!("{}/checkpoint.safetensors", run_dir());
    let before = fs::read(&checkpoint).unwrap();
    let base = tempfile::tempdir().unwrap();
    let args = ["train", "--adapter", "cpu", "--steps", "1", "--dump", &checkpoint];
    fails(base.path(), &args, &[&checkpoint, "already", "choose another name"]);
    assert!(fs::read(&checkpoint).unwrap() == before, "the checkpoint is another");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["train", "--help"], &["--version"]] {
        let mut help = command(base.path(), args);
        help.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let output = help.spawn().unwrap().wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.starts_with("error: standard output: no space left"), "{args:?}: {err}");
        let done = finish(command(base.path(), args));
        assert!(done.code == Some(0) && done.out.contains("halfwave") && done.err.is_empty(), "{args:?}");
    }
}

#[test]
fn a_run_that_goes_on_tells_the_loss_of_the_whole_epoch() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("my.toml"), builtin("digits").unwrap().replace("kind = \"linear\"  ", "kind = \"constant\""))
        .unwrap();
    let train = |args: &[&str]| run(dir, &[&["train", "--adapter", "cpu"], args].concat());
    let loss = |out: &str| {
        let line = out.lines().find(|line| line.starts_with("epoch 1/1")).unwrap_or_else(|| panic!("{out}"));
        line.split_whitespace().skip_while(|word| *word != "loss").nth(1).unwrap().to_string()
    };
    let whole = loss(&train(&["my.toml", "--epochs", "1", "--out", "whole"]));
    let first = loss(&train(&["my.toml", "--steps", "9", "--out", "parts"]));
    assert_ne!(first, whole);
    assert_eq!(loss(&train(&["--resume", "parts", "--epochs", "1"])), whole);
}

#[test]
fn a_log_tells_what_happens_inside() {
    let base = tempfile::tempdir().unwrap();
    let mut train = command(base.path(), &["train", "--adapter", "cpu", "--steps", "1", "--out", "run"]);
    train.env("RUST_LOG", "info");
    let done = finish(train);
    assert_eq!(done.code, Some(0), "{}", done.err);
    for part in ["info: plan Train of 64 images: ", " launches, ", "info: run: saved step 1\n"] {
        assert!(done.err.contains(part), "{part} is not in {}", done.err);
    }
}

/// Writes an image and its parent folder.
fn picture(path: &Path, grey: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(8, 8, Luma([grey])).save(path).unwrap();
}

#[test]
fn test_images_without_some_of_the_classes_are_worth_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for at in 0..8 {
        picture(&dir.join(format!("pictures/train/dark/{at}.png")), 10 + at);
        picture(&dir.join(format!("pictures/train/light/{at}.png")), 200 + at);
    }
    picture(&dir.join("pictures/val/dark/0.png"), 15);
    let text = builtin("digits").unwrap().replace("classes = 10", "classes = 2").replace("units = 10", "units = 2");
    let text = text.replace("set = \"digits\"", "set = \"folder\"\ndir = \"pictures\"");
    fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8").replace("scale = [0.0625, -0.5]", ""))
        .unwrap();
    let train =
        |out: &str| finish(command(dir, &["train", "my.toml", "--adapter", "cpu", "--steps", "1", "--out", out]));
    let done = train("poor");
    let warning = "warning: pictures: the test images are the 1 picture in val/, with none of light; put pictures of every class there, or remove val/\n";
    assert_eq!((done.code, done.err.as_str()), (Some(0), warning));
    picture(&dir.join("pictures/val/light/0.png"), 205);
    let done = train("better");
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
}

/// A pipe that nobody writes to would be waited for.
#[cfg(unix)]
#[test]
fn pipes_are_refused() {
    // The contents of the folder in which the program runs are compared afterwards.
    let (base, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (dir, pipe) = (base.path(), beside.path().join("pipe"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    fs::write(dir.join("my.toml"), format!("extends = \"{pipe}\"\n[train]\nbatch = 8\n")).unwrap();
    for args in [&["train", pipe][..], &["train", "my.toml"], &["eval", pipe], &["predict", &run_dir(), pipe]] {
        fails(dir, args, &["pipe: not a regular file; give the name of one"]);
    }
}
