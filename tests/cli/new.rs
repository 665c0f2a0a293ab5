//! `halfwave new`: recipes for data sets of every kind.

use super::program::{command, fails, finish, run};
use halfwave::data::{Data, Dataset, Validation};
use halfwave::recipe::Recipe;
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;
use std::path::Path;

/// Writes pictures of two classes that differ in their colour.
fn pictures(dir: &Path, count: u32, side: u32) {
    for (class, colour) in [("day", [200, 180, 90]), ("night", [10, 20, 60])] {
        fs::create_dir_all(dir.join(class)).unwrap();
        for at in 0..count {
            let shade = |x: u32| (x * 3 + at * 5) as u8 % 40;
            let image = RgbImage::from_fn(side + at % 3, side, |x, _| Rgb(colour.map(|part| part + shade(x))));
            image.save(dir.join(class).join(format!("{at}.png"))).unwrap();
        }
    }
}

fn recipe(path: &Path) -> Recipe {
    Recipe::parse(&fs::read_to_string(path).unwrap(), "new.toml").unwrap()
}

#[test]
fn a_folder_of_pictures_gets_a_recipe_that_trains() {
    let base = tempfile::tempdir().unwrap();
    pictures(&base.path().join("sky"), 30, 40);
    let out = run(base.path(), &["new", "sky"]);
    assert!(out.contains("2 classes (day, night); 48 images to train on, 12 to test on"), "{out}");
    assert!(out.contains("halfwave train sky.toml") && out.contains("scaled to 32 × 32"), "{out}");
    let written = recipe(&base.path().join("sky.toml"));
    assert_eq!(
        (written.model.input, written.model.classes, written.data.validation),
        ([3, 32, 32], 2, Validation::Share(0.0))
    );
    // Normalised pixels have mean 0 and standard deviation 1.
    let data = Dataset::load(&Data { validation: Validation::Share(0.0), ..written.data.clone() });
    assert!(data.is_err(), "the folder is relative to the working directory");
    let done = run(base.path(), &["train", "sky.toml", "--adapter", "cpu", "--epochs", "2", "--out", "run"]);
    assert!(done.contains("test accuracy 100.0%"), "{done}");
    // With enough images, a tenth is held out.
    pictures(&base.path().join("skies"), 70, 16);
    let out = run(base.path(), &["new", "skies"]);
    assert!(out.contains("112 images to train on (a tenth of which training holds out for validation), 28"), "{out}");
    assert_eq!(recipe(&base.path().join("skies.toml")).data.validation, Validation::Auto);
    // Nothing is overwritten.
    fails(base.path(), &["new", "sky"], &["sky.toml", "already exists"]);
    run(base.path(), &["new", "sky", "--size", "16", "--out", "small.toml"]);
    assert_eq!(recipe(&base.path().join("small.toml")).model.input, [3, 16, 16]);
}

#[test]
fn a_split_that_is_taken_for_a_class_is_pointed_out() {
    let base = tempfile::tempdir().unwrap();
    pictures(&base.path().join("sky/train"), 6, 16);
    pictures(&base.path().join("sky/tst"), 6, 16);
    let done = finish(command(base.path(), &["new", "sky"]));
    assert!(done.out.contains("written to sky.toml"), "{}", done.out);
    assert!(done.err.starts_with("warning: sky: the folder train is used as a class"), "{}", done.err);
}

#[test]
fn other_sets_are_recognised_by_their_files() {
    let base = tempfile::tempdir().unwrap();
    let idx = base.path().join("drawings");
    fs::create_dir(&idx).unwrap();
    let dims = |dims: &[u32]| dims.iter().flat_map(|dim| dim.to_be_bytes()).collect::<Vec<_>>();
    for (split, count) in [("train", 60u32), ("t10k", 6)] {
        let images =
            [vec![0, 0, 8, 3], dims(&[count, 20, 20]), (0..count * 400).map(|at| (at * 7 % 251) as u8).collect()];
        let labels = [vec![0, 0, 8, 1], dims(&[count]), (0..count).map(|at| (at % 3) as u8).collect()];
        fs::write(idx.join(format!("{split}-images-idx3-ubyte")), images.concat()).unwrap();
        fs::write(idx.join(format!("{split}-labels-idx1-ubyte")), labels.concat()).unwrap();
    }
    let out = run(base.path(), &["new", "drawings"]);
    assert!(
        out.contains("idx: 3 classes (0, 1, 2); 60 images to train on, 6 to test on; images of 20 × 20 pixels, grey"),
        "{out}"
    );
    let written = recipe(&base.path().join("drawings.toml"));
    assert_eq!((written.model.input, written.model.classes, written.data.augment.mirror), ([1, 20, 20], 3, false));
    run(base.path(), &["train", "drawings.toml", "--adapter", "cpu", "--steps", "2", "--out", "run"]);

    let grey = base.path().join("grey/a");
    fs::create_dir_all(&grey).unwrap();
    GrayImage::from_fn(12, 12, |x, _| Luma([x as u8 * 20])).save(grey.join("1.png")).unwrap();
    fails(base.path(), &["new", "grey"], &["grey: there is only one class, a"]);
    fs::create_dir(base.path().join("grey/b")).unwrap();
    fails(base.path(), &["new", "grey"], &["only a holds pictures that can be read; b holds none: put some there"]);
    fs::write(base.path().join("grey/b/1.heic"), b"\0\0\0\x18ftypheic").unwrap();
    fails(base.path(), &["new", "grey"], &["b holds none, but b/1.heic (a HEIC picture)", "PNG or JPEG"]);
    fails(
        base.path(),
        &["new", "drawings", "--size", "32", "--out", "x.toml"],
        &["--size applies to folders of pictures"],
    );
    fails(base.path(), &["new", "none/such"], &["none/such: no such folder or file"]);
    fs::write(base.path().join("a.zip"), b"PK\x03\x04\x14\0").unwrap();
    fails(base.path(), &["new", "a.zip"], &["a.zip: this is a zip archive; unpack it first"]);
    // A misspelt folder is noticed, even with -q.
    let done = finish(command(base.path(), &["new", "mine", "-q"]));
    assert!(done.code == Some(0) && base.path().join("mine.toml").exists(), "{}", done.err);
    assert!(
        done.err.starts_with("warning: there is no folder mine: mine.toml is a copy of the recipe"),
        "{}",
        done.err
    );
}

/// A class may have any name that a folder may have.
#[cfg(unix)]
#[test]
fn control_characters_in_names_stay_out_of_the_recipe() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    pictures(&dir.join("sky"), 6, 16);
    fs::rename(dir.join("sky/day"), dir.join("sky/day\nb = 5 #\r\x1b[31m\x7f")).unwrap();
    let out = run(dir, &["new", "sky"]);
    assert!(out.contains("2 classes (day?b = 5 #??[31m?, night)"), "{out}");
    let text = fs::read_to_string(dir.join("sky.toml")).unwrap();
    assert!(!text.contains("\nb = 5") && !text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
    recipe(&dir.join("sky.toml"));
}
