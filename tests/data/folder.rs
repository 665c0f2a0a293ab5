//! Class folders of pictures: what is read, keys, and runs of the program. How people lay folders
//! out is tested in `layouts.rs`, unusual files in `odd.rs`.
use super::{folder, greys, message, picture};
use crate::program::{command, fails, finish};
use crate::recipes::{all_wrong, read_data};
use halfwave::data::{Dataset, class_names};
use halfwave::recipe::{Fit, Folder, Pictures, Set, Undecodable, builtin};
use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;

#[test]
fn class_folders_are_a_data_set() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for at in 0..6 {
        picture(&dir.join(format!("dog/{at}.png")), 100 + at);
    }
    (0..5).for_each(|at| picture(&dir.join(format!("cat/{at}.bmp")), at));
    // Neither a text nor a truncated picture is read; hidden files are ignored.
    fs::write(dir.join("cat/2a.txt"), "words").unwrap();
    let whole = fs::read(dir.join("dog/3.png")).unwrap();
    fs::write(dir.join("dog/1a.png"), &whole[..whole.len() - 20]).unwrap();
    fs::create_dir_all(dir.join("dog/more")).unwrap();
    fs::create_dir_all(dir.join(".hidden")).unwrap();
    fs::write(dir.join("LICENCE"), "words").unwrap();
    let data = Dataset::load(&folder(dir, 2).into()).unwrap();
    assert_eq!(
        (data.name.as_str(), data.classes, data.class_names.as_slice()),
        ("folder", 2, &["cat".into(), "dog".into()][..])
    );
    assert_eq!([data.channels, data.height, data.width], [1, 2, 2]);
    // Every fifth picture by name, including the truncated one: its damage is found later and does
    // not move other pictures.
    assert_eq!(greys(&data.train), [0, 1, 2, 3, 100, 101, 102, 104, 105]);
    assert_eq!(data.train.labels, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert_eq!((greys(&data.test), data.test.labels.as_slice()), (vec![4, 103], &[0, 1][..]));
    assert_eq!(class_names(&folder(dir, 2)).unwrap(), ["cat", "dog"]);
}

#[test]
fn class_folders_may_be_split_already() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for (path, grey) in [("train/a/1.png", 1), ("train/b/1.png", 2), ("train/b/2.png", 3), ("test/b/9.png", 9)] {
        picture(&dir.join(path), grey);
    }
    let data = Dataset::load(&folder(dir, 2).into()).unwrap();
    assert_eq!((greys(&data.train), data.train.labels.as_slice()), (vec![1, 2, 3], &[0, 1, 1][..]));
    assert_eq!((greys(&data.test), data.test.labels.as_slice()), (vec![9], &[1][..]));
    picture(&dir.join("test/c/1.png"), 0);
    assert!(message(dir, 2).contains("test/c, but no train/c"), "{}", message(dir, 2));
    // Folders for test pictures that contain none are probably a mistake.
    fs::remove_dir_all(dir.join("test")).unwrap();
    fs::create_dir_all(dir.join("test/a")).unwrap();
    assert!(
        message(dir, 2).contains("test/ holds no picture that can be read; put pictures there"),
        "{}",
        message(dir, 2)
    );
    // Without any, a share is used for testing.
    fs::remove_dir_all(dir.join("test")).unwrap();
    assert!(message(dir, 2).contains("a share of 0.2 of each class"), "{}", message(dir, 2));
    (3..6).for_each(|at| picture(&dir.join(format!("train/b/{at}.png")), at));
    let data = Dataset::load(&folder(dir, 2).into()).unwrap();
    assert_eq!((greys(&data.train), greys(&data.test)), (vec![1, 2, 3, 3, 4], vec![5]));
}

#[test]
fn a_folder_that_is_no_data_set_says_what_to_do() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    assert!(message(&dir.join("none"), 2).contains("no such folder"));
    assert!(message(dir, 2).contains("there are no class folders"), "{}", message(dir, 2));
    ["a", "b"].iter().for_each(|name| (0..4).for_each(|at| picture(&dir.join(format!("{name}/{at}.png")), at)));
    assert!(
        message(dir, 3)
            .contains("2 classes (a, b), but model.classes = 3. Are these the classes? Then write classes = 2"),
        "{}",
        message(dir, 3)
    );
    assert!(message(dir, 2).contains("put 5 or more pictures into a class"), "{}", message(dir, 2));
    fs::create_dir(dir.join("c")).unwrap();
    fs::write(dir.join("c/0.png"), "words").unwrap();
    assert!(message(dir, 3).contains("c holds no picture that can be read"), "{}", message(dir, 3));
}

#[test]
fn a_folder_says_how_pictures_become_images() {
    let keys = |data: &str, input| {
        let (data, resolved) = read_data(&format!("set = \"folder\"\n{data}"), input, 10);
        let source = data.set.source();
        let Set::Folder(Folder { pictures, image, .. }) = data.set else { panic!("it is a folder") };
        assert_eq!(image, input);
        (pictures, source, resolved)
    };
    let (pictures, source, resolved) = keys("", [3, 8, 12]);
    assert_eq!((&pictures, source), (&Pictures::default(), [3, 8, 12]));
    let spelt = "test_share = 0.2\nfit = \"stretch\"\nresize = 8\nundecodable = \"skip\"\nstream_above = 1024\n";
    assert!(resolved.contains(spelt), "{resolved}");
    // The shorter side of the input is the default.
    assert_eq!(keys("resize = 8", [3, 8, 12]).0, Pictures::default());
    let all = "test_share = 0.25\nfit = \"crop\"\nresize = 11\nundecodable = \"refuse\"\nstream_above = 0";
    let (pictures, source, _) = keys(all, [3, 8, 12]);
    let (fit, undecodable) = (Fit::Crop, Undecodable::Refuse);
    assert_eq!(pictures, Pictures { test_share: 0.25, fit, resize: Some(11), undecodable, stream_above: 0 });
    // 16.5 columns are rounded to 17.
    assert_eq!(source, [3, 11, 17]);
    assert_eq!(keys("resize = 256", [1, 224, 224]).1, [1, 256, 256]);
}

#[test]
fn wrong_keys_are_refused() {
    all_wrong(&[
        ("set = \"folder\"\nfit = \"cut\"", [1, 8, 8], 10, 33, &["fit = \"cut\"", "expected one of stretch, crop"]),
        ("set = \"folder\"\ntest_share = 0", [1, 8, 8], 10, 33, &["test_share = 0", "above 0 and below 1"]),
        ("set = \"folder\"\ntest_share = 1", [1, 8, 8], 10, 33, &["test_share = 1", "such as 0.2"]),
        ("set = \"folder\"\nresize = 7", [1, 8, 8], 10, 33, &["resize = 7", "model.input is 8", "at least that"]),
        ("set = \"folder\"\nresize = 20000", [1, 8, 8], 10, 33, &["resize = 20000", "from 1 to 16384"]),
        (
            "set = \"folder\"\nresize = 9000",
            [1, 8, 16],
            10,
            33,
            &["images of 9000 × 18000 pixels", "longer than 16384"],
        ),
        (
            "set = \"folder\"\nundecodable = \"drop\"",
            [1, 8, 8],
            10,
            33,
            &["undecodable", "expected one of skip, refuse"],
        ),
        ("set = \"folder\"\nstream_above = -1", [1, 8, 8], 10, 33, &["stream_above = -1", "whole number from 0"]),
    ]);
}

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
    assert_eq!(done.err, "warning: pictures: 1 file skipped: dark/words.txt (a text file)\n");
    let done = with(&["eval", "run"]);
    assert!(done.out.contains("of 4)") && done.out.contains("\nlight "), "{}{}", done.out, done.err);
    // Images of a size that does not occur among the training images.
    GrayImage::from_pixel(30, 30, Luma([225])).save(dir.join("new.png")).unwrap();
    let done = with(&["predict", "run", "new.png"]);
    let scaled = "note: the image of 30 × 30 pixels was scaled to 8 × 8, as the training images were\n";
    assert!(done.err == scaled && done.out.contains("light "), "{}{}", done.out, done.err);
    let done = finish(command(dir, &["predict", "run", "new.png", "--adapter", "cpu"]));
    assert!(done.err == scaled && done.out.contains("light "), "names are in the checkpoint: {}{}", done.out, done.err);
    let wrong = |dir| ["train", "my.toml", "--adapter", "cpu", "--data-dir", dir];
    fails(dir, &wrong("run"), &["no class folders"]);
    fs::create_dir(dir.join("pictures/none")).unwrap();
    // A folder without images is not a class; one with images may be.
    let done = with(&["train", "my.toml", "--steps", "1", "--out", "again"]);
    assert!(done.err.contains("none/ (a folder without pictures)"), "{}", done.err);
    assert!(
        done.out
            .contains("pictures: 2 classes (dark, light); 16 images to train on, 4 to test on (test_share = 0.2)\n"),
        "{}",
        done.out
    );
    GrayImage::new(4, 4).save(dir.join("pictures/none/0.png")).unwrap();
    fails(
        dir,
        &wrong("pictures"),
        &["3 classes (dark, light, none), but model.classes = 2. Are these the classes? Then write classes = 3"],
    );
    // An archive in place of a folder.
    fs::write(dir.join("pictures.zip"), b"PK\x03\x04 and so on").unwrap();
    fails(dir, &wrong("pictures.zip"), &["pictures.zip is a zip archive, not a folder", "--data-dir DIR"]);
}

#[test]
fn one_bad_picture_ends_no_run() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for (class, grey) in [("dark", 20), ("light", 220)] {
        fs::create_dir_all(dir.join("images").join(class)).unwrap();
        for at in 0..10 {
            let path = dir.join(format!("images/{class}/{at}.png"));
            GrayImage::from_pixel(5, 7, Luma([grey + at])).save(path).unwrap();
        }
    }
    // A truncated PNG file and a TIFF file that makes the decoder panic; both are training images.
    let whole = fs::read(dir.join("images/dark/3.png")).unwrap();
    fs::write(dir.join("images/dark/3.png"), &whole[..whole.len() - 20]).unwrap();
    fs::write(dir.join("images/light/2.png"), crate::tiff::planar()).unwrap();
    let digits = builtin("digits").unwrap();
    let text = digits.replace("classes = 10", "classes = 2").replace("units = 10", "units = 2");
    let text = text.replace("set = \"digits\"", "set = \"folder\"").replace("scale = [0.0625, -0.5]", "KEYS");
    // The schedule depends on the length of a run, which differs between the runs compared here.
    let text = text.split("[train.schedule]").next().unwrap().to_string();
    let train = |keys: &str, args: &[&str]| {
        fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8").replace("KEYS", keys)).unwrap();
        finish(command(dir, &[&["train", "--adapter", "cpu"], args].concat()))
    };
    let done = train("", &["my.toml", "--epochs", "2", "--out", "memory"]);
    let [cut, panics] = ["dark/3.png (a damaged PNG file)", "light/2.png (its decoder failed)"];
    assert_eq!((done.code, done.err), (Some(0), format!("warning: images: 2 files skipped: {cut}, {panics}\n")));
    assert!(done.out.contains("2 classes (dark, light); 14 images to train on, 4 to test on"), "{}", done.out);

    let done = train("stream_above = 0", &["my.toml", "--epochs", "2", "--out", "files"]);
    let mut lines: Vec<&str> = done.err.lines().collect();
    lines.sort_unstable();
    let wanted = [cut, panics].map(|file| format!("warning: images: skipped {file}"));
    assert_eq!((done.code, lines), (Some(0), wanted.iter().map(String::as_str).collect()), "{}", done.out);
    // Interrupted and resumed, it gives bit-identical results.
    train("stream_above = 0", &["my.toml", "--epochs", "1", "--out", "again"]);
    let done = train("stream_above = 0", &["--resume", "again", "--epochs", "2"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let checkpoint = |run: &str| fs::read(dir.join(run).join("checkpoint.safetensors")).unwrap();
    let weights = |run| halfwave::train::checkpoint::from_bytes(&checkpoint(run), Path::new(run)).unwrap().0;
    assert!(weights("files") == weights("again"));

    for (keys, wanted) in [
        ("undecodable = \"refuse\"", &["images: 2 files cannot be used:", cut, panics][..]),
        (
            "undecodable = \"refuse\"\nstream_above = 0",
            &["replace it with an intact picture", "undecodable = \"skip\""],
        ),
    ] {
        let done = train(keys, &["my.toml", "--epochs", "1", "--out", "refused"]);
        assert_eq!(done.code, Some(1), "{}", done.err);
        let errors: Vec<_> = done.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && wanted.iter().all(|part| errors[0].contains(part)), "{}", done.err);
        assert!(!done.err.contains("panicked"), "{}", done.err);
        fs::remove_dir_all(dir.join("refused")).unwrap_or_default();
    }
    let done = finish(command(dir, &["predict", "files", "images/light/2.png", "--adapter", "cpu"]));
    assert_eq!(done.code, Some(1));
    assert!(
        done.err.contains("error: images/light/2.png: not a picture that can be read (its decoder failed)"),
        "{}",
        done.err
    );
    assert!(!done.err.contains("panicked"), "{}", done.err);
}
