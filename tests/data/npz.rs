//! NumPy archives: those that Keras and MedMNIST distribute are read, and every error says what to
//! do. `npz/make.py` wrote the files with NumPy.
use crate::program::{fails, run};
use crate::recipes::{all_wrong, read_data, set_of};
use halfwave::data::{Dataset, Split};
use halfwave::recipe::{Data, Npz, Set, builtin};
use image::{GrayImage, Luma};
use std::fs;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/npz").join(name)
}

fn set(file: PathBuf, image: [usize; 3]) -> Data {
    Npz { file, image, classes: 3 }.into()
}

fn message(file: PathBuf, image: [usize; 3]) -> String {
    Dataset::load(&set(file, image)).expect_err("must fail").to_string()
}

/// Pixels and labels of a split.
fn images(split: &Split) -> (Vec<u8>, Vec<u16>) {
    (split.in_memory().unwrap().to_vec(), split.labels.clone())
}

/// Pixels that count from 0, and labels.
fn counted(len: u8, labels: &[u16]) -> (Vec<u8>, Vec<u16>) {
    ((0..len).collect(), labels.to_vec())
}

#[test]
fn archives_as_people_have_them_are_read() {
    for name in ["keras.npz", "big_endian.npz"] {
        let grey = Dataset::load(&set(file(name), [1, 2, 3])).unwrap();
        assert_eq!((grey.name.as_str(), &grey.class_names[..]), ("npz", &["0", "1", "2"].map(String::from)[..]));
        assert_eq!(images(&grey.train), counted(24, &[0, 1, 2, 0]), "{name}");
        assert_eq!((images(&grey.test), grey.validation), (counted(12, &[2, 1]), None), "{name}");
    }
    for name in ["medmnist.npz", "channels_first.npz"] {
        let colour = Dataset::load(&set(file(name), [3, 2, 3])).unwrap();
        assert_eq!(images(&colour.train), counted(72, &[0, 1, 2, 0]), "{name}");
        assert_eq!(images(&colour.validation.unwrap()), counted(18, &[2]), "{name}");
        assert_eq!(images(&colour.test), counted(36, &[1, 2]), "{name}");
    }
    // A recipe that holds out training images has two kinds of validation images.
    let held_out = Data { validation: halfwave::data::Validation::Share(0.25), ..set(file("medmnist.npz"), [3, 2, 3]) };
    let message = Dataset::load(&held_out).unwrap_err().to_string();
    assert!(message.contains("the data set has validation images of its own; write 0"), "{message}");
}

#[test]
fn an_archive_in_memory_is_the_same() {
    let bytes = || fs::read(file("medmnist.npz")).unwrap();
    let data = set("any.npz".into(), [3, 2, 3]);
    let given = |names: &[&str]| {
        let files = names.iter().map(|name| (*name, bytes()));
        Dataset::from_files(&data, files).map_err(|error| error.to_string())
    };
    let read = Dataset::load(&set(file("medmnist.npz"), [3, 2, 3])).unwrap();
    assert_eq!(given(&["readme.txt", "some/folder/MEDMNIST.NPZ"]).unwrap(), read);
    assert!(given(&["readme.txt"]).unwrap_err().contains("there are 0 .npz files"));
    assert!(given(&["a.npz", "b.npz"]).unwrap_err().contains("there are 2 .npz files; choose one"));
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    for (name, parts) in [
        ("floats", &["x_train: elements are 32-bit floats", "scale them to 0..255", ".astype(\"uint8\")"][..]),
        ("flags", &["x_train: elements are Booleans, but pixels must be bytes"]),
        ("objects", &["x_train: it holds pickled Python objects", "save one array of numbers"]),
        ("records", &["x_train: not a NumPy array of plain numbers"]),
        ("flat", &["x_train: its shape is (4, 6), but images have (n, height, width)", "reshape them"]),
        ("large", &["x_train: images of [1, 3, 3]", "model.input = [1, 2, 3]; write input = [1, 3, 3]"]),
        ("medmnist", &["train_images: images of [3, 2, 3]", "write input = [3, 2, 3]"]),
        ("fortran", &["x_train: it is stored in Fortran order; save numpy.ascontiguousarray"]),
        ("empty", &["x_train: there are no images in it"]),
        ("one_hot", &["y_train: its shape is (4, 3), but labels have (n,)", "one-hot rows, save .argmax(1)"]),
        ("float_labels", &["y_train: elements are 64-bit floats, but labels must be whole numbers"]),
        ("few_labels", &["y_train: 3 labels for 4 images in x_train; save one for each"]),
        ("high_label", &["label 3 of image 2 is not in 0 to 2", "are 0 to 3, which would be classes = 4"]),
        ("from_one", &["label 3 of image 2 is not in 0 to 2", "are 1 to 3, but must count from 0"]),
        ("negative", &["label -1 of image 1 is not in 0 to 2", "are -1 to 2, but must count from 0"]),
        (
            "unnamed",
            &[
                "there is no array x_train or train_images with the training images; the archive holds arr_0, arr_1.",
                "savez_compressed",
            ],
        ),
        (
            "no_labels",
            &[
                "there is no array y_test or test_labels with the test labels; the archive holds x_test, x_train, y_train.",
            ],
        ),
    ] {
        let message = message(file(&format!("{name}.npz")), [1, 2, 3]);
        assert!(message.starts_with("npz, ") && message.contains(&format!("{name}.npz")), "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{message}\nshould say {part}"));
    }
    assert!(message(file("none.npz"), [1, 2, 3]).contains("none.npz"));
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.npz");
    for (bytes, part) in [
        (&b"\x93NUMPY\x01\0v\0"[..], "other.npz: this is a NumPy array"),
        (b"<!DOCTYPE html>", "other.npz: this is an HTML page"),
        (b"", "other.npz: this is an empty file"),
        (&[7; 99], "other.npz: not a complete .npz archive"),
    ] {
        fs::write(&other, bytes).unwrap();
        let message = message(other.clone(), [1, 2, 3]);
        assert!(message.contains(part) && message.ends_with("fetch or save it again"), "{message}");
    }
}

#[test]
fn no_cut_or_change_panics() {
    for name in ["keras.npz", "medmnist.npz"] {
        let (whole, data) = (fs::read(file(name)).unwrap(), set("a.npz".into(), [3, 2, 3]));
        let data = if name == "keras.npz" { set("a.npz".into(), [1, 2, 3]) } else { data };
        let read = |bytes: Vec<u8>| Dataset::from_files(&data, [("a.npz", bytes)]);
        let wanted = read(whole.clone()).unwrap();
        for at in 0..whole.len() {
            let error = read(whole[..at].to_vec()).expect_err("a cut archive");
            assert!(error.to_string().contains("fetch or save it again"), "cut at {at}: {error}");
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                // Dates and the like do not matter; other changes are found by checksums.
                if let Ok(read) = read(changed) {
                    assert_eq!(read, wanted, "byte {at} of {name} is {value}");
                }
            }
        }
    }
}

#[test]
fn npz_names_a_file() {
    let wanted = |file: &str| Set::from(Npz { file: file.into(), image: [3, 28, 28], classes: 9 });
    assert_eq!(set_of("set = \"npz\"", [3, 28, 28], 9), wanted("mnist.npz"));
    let (data, resolved) = read_data("set = \"npz\"\nfile = \"a/pathmnist.npz\"", [3, 28, 28], 9);
    assert_eq!(data.set, wanted("a/pathmnist.npz"));
    let written = "[data]\nset = \"npz\"\nfile = \"a/pathmnist.npz\"\nscale = [0.003921569, 0.0]\nmean_image = false\n";
    assert!(resolved.contains(written), "{resolved}");
}

#[test]
fn wrong_keys_are_refused() {
    all_wrong(&[
        ("set = \"npz\"\nfile = \"\"", [1, 8, 8], 10, 33, &["name the .npz file"]),
        (
            "set = \"npz\"\ndir = \"a\"",
            [1, 8, 8],
            10,
            33,
            &["\"dir\", which only cifar10", "expected one of set, file, scale"],
        ),
        ("set = \"npz\"", [1, 8, 8], 70_000, 3, &["classes = 70000", "npz has at most 65536 classes"]),
    ]);
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
    fs::copy(file("digits.npz"), dir.join("mine.npz")).unwrap();
    run(dir, &train);
    assert!(run(dir, &["eval", "run", "--adapter", "cpu"]).contains("of 40)"));
    fs::rename(dir.join("mine.npz"), dir.join("other.npz")).unwrap();
    assert!(run(dir, &["eval", "run", "--adapter", "cpu", "--data-dir", "other.npz"]).contains("of 40)"));
    GrayImage::from_pixel(8, 8, Luma([9])).save(dir.join("a.png")).unwrap();
    assert!(run(dir, &["predict", "run", "a.png", "--adapter", "cpu"]).contains('%'));
    let whole = fs::read(file("digits.npz")).unwrap();
    fs::write(dir.join("mine.npz"), &whole[..whole.len() / 2]).unwrap();
    fails(dir, &["eval", "run", "--adapter", "cpu"], &["npz, mine.npz: not a complete .npz archive"]);
}
