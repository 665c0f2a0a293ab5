//! Images of one's own, in whatever form, as the command meets them.
use super::{command, fails, finish, run};
use halfwave::data::{Dataset, Split};
use halfwave::recipe::{Set, builtin};
use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;

#[test]
fn a_folder_of_pictures_is_trained_on() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for (class, grey) in [("dark", 20), ("light", 220)] {
        fs::create_dir_all(dir.join("pictures").join(class)).unwrap();
        for at in 0..10 {
            let path = dir.join(format!("pictures/{class}/{at}.png"));
            GrayImage::from_pixel(5, 7, Luma([grey + at])).save(path).unwrap();
        }
    }
    fs::write(dir.join("pictures/dark/words.txt"), "words").unwrap();
    let digits = builtin("digits").unwrap();
    let text = digits.replace("classes = 10", "classes = 2").replace("units = 10", "units = 2");
    let text = text.replace("set = \"digits\"", "set = \"folder\"").replace("scale = [0.0625, -0.5]", "");
    fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8")).unwrap();
    fails(dir, &["train", "my.toml", "--adapter", "cpu"], &["no folder images", "--data-dir"]);

    let data = ["--adapter", "cpu", "--data-dir", "pictures"];
    let with = |args: &[&str]| finish(command(dir, &[args, &data].concat()));
    let done = with(&["train", "my.toml", "--steps", "12", "--out", "run"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.err, "warning: pictures: 1 file skipped, no picture that can be read: dark/words.txt\n");
    let done = with(&["eval", "run"]);
    assert!(done.out.contains("of 4)") && done.out.contains("\nlight "), "{}{}", done.out, done.err);
    // Pictures of a size that no training picture had.
    GrayImage::from_pixel(30, 30, Luma([225])).save(dir.join("new.png")).unwrap();
    let done = with(&["predict", "run", "new.png"]);
    assert!(done.err.is_empty() && done.out.contains("light "), "{}{}", done.out, done.err);
    let done = finish(command(dir, &["predict", "run", "new.png", "--adapter", "cpu"]));
    assert!(
        done.err.is_empty() && done.out.contains("light "),
        "names are in the checkpoint: {}{}",
        done.out,
        done.err
    );
    let wrong = |dir| ["train", "my.toml", "--adapter", "cpu", "--data-dir", dir];
    fails(dir, &wrong("run"), &["no class folders"]);
    fs::create_dir(dir.join("pictures/none")).unwrap();
    fails(dir, &wrong("pictures"), &["3 classes (dark, light, none), but model.classes = 2"]);
}

/// Digits as IDX files.
fn write_idx(dir: &Path, part: &str, split: &Split) {
    let head = |dims: &[u32]| -> Vec<u8> {
        [0, 0, 8, dims.len() as u8].into_iter().chain(dims.iter().flat_map(|dim| dim.to_be_bytes())).collect()
    };
    let (count, labels): (_, Vec<u8>) = (split.len() as u32, split.labels.iter().map(|&label| label as u8).collect());
    fs::write(
        dir.join(format!("{part}-images-idx3-ubyte")),
        [&head(&[count, 8, 8])[..], split.in_memory().unwrap()].concat(),
    )
    .unwrap();
    fs::write(dir.join(format!("{part}-labels.idx1-ubyte")), [head(&[count]), labels].concat()).unwrap();
}

#[test]
fn idx_files_are_trained_on() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let text = builtin("digits").unwrap().replace("set = \"digits\"", "set = \"idx\"\ndir = \"mine\"");
    fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8")).unwrap();
    let train = ["train", "my.toml", "--steps", "3", "--out", "run", "--adapter", "cpu"];
    fails(dir, &train, &["idx: there is no folder mine", "four IDX files", "--data-dir DIR"]);
    fs::create_dir(dir.join("mine")).unwrap();
    fails(dir, &train, &["idx, mine: missing: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images"]);

    let digits = Dataset::load(&Set::Digits.into()).unwrap();
    write_idx(&dir.join("mine"), "train", &digits.train);
    write_idx(&dir.join("mine"), "t10k", &digits.test);
    run(dir, &train);
    assert!(run(dir, &["eval", "run", "--adapter", "cpu"]).contains("of 360)"));
    GrayImage::from_pixel(8, 8, Luma([9])).save(dir.join("a.png")).unwrap();
    assert!(run(dir, &["predict", "run", "a.png", "--adapter", "cpu"]).contains('%'));

    let images = dir.join("mine/t10k-images-idx3-ubyte");
    let whole = fs::read(&images).unwrap();
    fs::write(&images, &whole[..whole.len() - 1]).unwrap();
    fails(dir, &["eval", "run", "--adapter", "cpu"], &["t10k-images-idx3-ubyte: 23039 bytes", "ask for 23040"]);
}
