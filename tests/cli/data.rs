//! User-provided images in various formats, on the command line.
use super::{command, fails, finish, run};
use halfwave::data::{Dataset, Split};
use halfwave::recipe::{Digits, builtin};
use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;

/// Digits that NumPy wrote.
const NPZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/npz/digits.npz");

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
    fs::write(dir.join("images/light/2.png"), super::tiff::planar()).unwrap();
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

/// Writes digits as IDX files.
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

    let digits = Dataset::load(&Digits.into()).unwrap();
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

#[test]
fn a_numpy_archive_is_trained_on() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let text = builtin("digits").unwrap().replace("set = \"digits\"", "set = \"npz\"\nfile = \"mine.npz\"");
    fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8")).unwrap();
    let train = ["train", "my.toml", "--steps", "3", "--out", "run", "--adapter", "cpu"];
    let wanted = ["npz: there is no file mine.npz; specify the .npz file: --data-dir FILE, or file = \"FILE\" in"];
    fails(dir, &train, &wanted);
    fails(
        dir,
        &[&train[..], &["--data-dir", "."]].concat(),
        &["npz: . is a folder, not a file; specify the .npz file"],
    );
    fs::copy(NPZ, dir.join("mine.npz")).unwrap();
    run(dir, &train);
    assert!(run(dir, &["eval", "run", "--adapter", "cpu"]).contains("of 40)"));
    fs::rename(dir.join("mine.npz"), dir.join("other.npz")).unwrap();
    assert!(run(dir, &["eval", "run", "--adapter", "cpu", "--data-dir", "other.npz"]).contains("of 40)"));
    GrayImage::from_pixel(8, 8, Luma([9])).save(dir.join("a.png")).unwrap();
    assert!(run(dir, &["predict", "run", "a.png", "--adapter", "cpu"]).contains('%'));
    let whole = fs::read(NPZ).unwrap();
    fs::write(dir.join("mine.npz"), &whole[..whole.len() / 2]).unwrap();
    fails(dir, &["eval", "run", "--adapter", "cpu"], &["npz, mine.npz: not a complete .npz archive"]);
}
