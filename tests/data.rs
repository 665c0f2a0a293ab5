//! Data sets in a run: the embedded digits with a recipe's scale and order, and a user's pictures.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "data/idx.rs"]
mod idx;
#[path = "data/layouts.rs"]
mod layouts;
#[path = "common/messages.rs"]
mod messages;
#[path = "data/npz.rs"]
mod npz;
#[path = "data/odd.rs"]
mod odd;
#[path = "data/pictures.rs"]
mod pictures;
#[path = "data/streaming.rs"]
mod streaming;
#[path = "common/tiff.rs"]
mod tiff;

use halfwave::data::{Dataset, Normalise, Split, class_names, epoch_batches};
use halfwave::recipe::{Cifar10, Cifar100, Digits, Folder, Idx, Labels, Pictures, Recipe, Set};
use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;

/// Leaves bytes of the given number of channels unchanged.
fn as_they_are(channels: usize) -> Normalise {
    Normalise { table: (0..256 * channels).map(|at| (at / channels) as f32).collect(), mean: None }
}

#[test]
fn a_run_sees_every_digit_once_an_epoch() {
    let recipe = Recipe::digits();
    let digits = Dataset::load(&recipe.data).unwrap();
    let train = &recipe.train;
    assert_eq!([digits.channels, digits.height, digits.width], recipe.model.input);
    let mut seen = vec![0; digits.train.len()];
    let mut steps = 0;
    for batch in epoch_batches(seen.len(), train.batch, train.seed, 0, recipe.data.shuffle, train.drop_last) {
        let (values, labels) = digits.train.normalised(&batch, &Normalise::new(&recipe.data)).unwrap();
        assert_eq!((values.len(), labels.len()), (batch.len() * 64, batch.len()));
        assert!(values.iter().all(|v| (-0.5..=0.5).contains(v)));
        assert!(labels.iter().all(|&label| (label as usize) < digits.classes));
        batch.iter().for_each(|&at| seen[at as usize] += 1);
        steps += 1;
    }
    assert_eq!(steps, train.epoch_steps(digits.train.len()));
    assert!(seen.iter().all(|&times| times == 1));
}

#[test]
fn missing_files_say_which_key_names_them() {
    let dir = Path::new("no/such/folder");
    for set in [
        Set::from(Cifar10 { dir: dir.into() }),
        Cifar100 { dir: dir.into(), labels: Labels::Fine }.into(),
        Idx { dir: dir.into(), image: [1, 28, 28], classes: 10 }.into(),
    ] {
        let message = Dataset::load(&set.into()).unwrap_err().to_string();
        assert!(message.contains("no/such/folder") && message.contains("[data] dir"), "{message}");
    }
}

#[test]
fn cifar100_of_another_length_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let message = || {
        let set = Cifar100 { dir: base.path().into(), labels: Labels::Coarse };
        Dataset::load(&set.into()).unwrap_err().to_string()
    };
    assert!(message().contains(": missing: train.bin, test.bin; all 2 files"), "{}", message());
    let train = fs::File::create(base.path().join("train.bin")).unwrap();
    // Long files of zeros take no disk space.
    for len in [0, 3074, 153_699_999, 153_700_001, 1 << 40] {
        train.set_len(len).unwrap();
        let wanted = format!("train.bin: {len} bytes instead of 153700000; fetch or unpack it again");
        assert!(message().contains(&wanted), "{}", message());
    }
    train.set_len(153_700_000).unwrap();
    assert!(message().contains(": missing: test.bin;"), "{}", message());
}

#[test]
fn classes_of_cifar100_have_their_names() {
    for (labels, len, first, last) in
        [(Labels::Fine, 100, "apple", "worm"), (Labels::Coarse, 20, "aquatic_mammals", "vehicles_2")]
    {
        let set = Set::from(Cifar100 { dir: "anywhere".into(), labels });
        let names = class_names(&set).unwrap();
        assert_eq!((names.len(), set.classes()), (len, len));
        assert_eq!((names[0].as_str(), names[len - 1].as_str()), (first, last));
        // The set's lists are in alphabetical order.
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}

/// The real files, in the folder given by `CIFAR10_DIR`.
#[test]
fn cifar10_is_whole() {
    let Some(dir) = std::env::var_os("CIFAR10_DIR").filter(|dir| !dir.is_empty()) else {
        eprintln!("SKIPPED: CIFAR10_DIR is not set; name the folder with CIFAR-10's binary version");
        return;
    };
    let data = Dataset::load(&Cifar10 { dir: dir.into() }.into()).unwrap();
    assert_eq!((data.channels, data.height, data.width, data.classes), (3, 32, 32, 10));
    for (split, each) in [(&data.train, 5000), (&data.test, 1000)] {
        let pixels = split.in_memory().unwrap();
        assert_eq!(pixels.len(), split.len() * split.image_len());
        let count = |class: u16| split.labels.iter().filter(|&&label| label == class).count();
        assert!((0..10).all(|class| count(class) == each), "every class has {each} images");
        assert!(pixels.iter().any(|&pixel| pixel != pixels[0]), "pictures are not blank");
    }
}

/// A uniformly grey picture of 4 × 2 pixels.
fn picture(path: &Path, grey: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(4, 2, Luma([grey])).save(path).unwrap();
}

fn folder(dir: &Path, classes: usize) -> Set {
    Folder { dir: dir.into(), image: [1, 2, 2], classes, pictures: Pictures::default() }.into()
}

fn message(dir: &Path, classes: usize) -> String {
    let message = Dataset::load(&folder(dir, classes).into()).unwrap_err().to_string();
    messages::collect(&message);
    message
}

/// The grey value of each image; all pixels of an image must be equal.
fn greys(split: &Split) -> Vec<u8> {
    let pixels = split.in_memory().unwrap();
    assert_eq!(pixels.len(), 4 * split.len());
    assert!(pixels.chunks_exact(4).all(|image| image.iter().all(|&pixel| pixel == image[0])));
    pixels.iter().copied().step_by(4).collect()
}

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
fn images_in_memory_are_checked() {
    let split = |labels: &[u16]| Split::new([3, 1, 2], vec![7; 6 * labels.len()], labels.into());
    let load = |names: &[&str], train: Split, test: Split| {
        let names = names.iter().map(|name| name.to_string()).collect();
        Dataset::images(names, [3, 1, 2], train, test).map_err(|error| error.to_string())
    };
    let data = load(&["a", "b"], split(&[0, 1, 0]), split(&[1])).unwrap();
    assert_eq!((data.classes, data.channels, data.height, data.width), (2, 3, 1, 2));
    let short = Split::new([3, 1, 2], vec![7; 11], vec![0, 1]);
    for (names, train, test, part) in [
        (&[][..], split(&[]), split(&[]), "0 classes"),
        (&["a"; 65_537], split(&[0]), split(&[0]), "65537 classes"),
        (&["a", "b"], short, split(&[1]), "11 bytes of training images are not 2 images"),
        (&["a", "b"], split(&[0, 1]), split(&[2]), "label 2 of test image 0 is not below 2"),
        (&["a", "b"], split(&[0, 0]), split(&[1]), "\"b\" has no image to train on"),
        (&["a", "b"], split(&[0, 1]), split(&[]), "no image to test on"),
    ] {
        let message = load(names, train, test).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_recipe_is_trained_on_its_own_data_alone() {
    let text = Recipe::digits().to_toml().replace("set = \"digits\"", "set = \"folder\"");
    let recipe = Recipe::parse(&text, "folder").unwrap();
    let images = |classes: u16, shape: [usize; 3], train_len: usize| {
        let labels: Vec<u16> = (0..classes).cycle().take(train_len).collect();
        let split =
            |labels: &[u16]| Split::new(shape, vec![0; labels.len() * shape.iter().product::<usize>()], labels.into());
        let names = (0..classes).map(|class| format!("class {class}")).collect();
        Dataset::images(names, shape, split(&labels), split(&[0])).unwrap()
    };
    let message = |data: &Dataset, recipe: &Recipe| data.check(recipe).unwrap_err().to_string();
    images(10, [1, 8, 8], 70).check(&recipe).unwrap();
    assert!(
        message(&images(9, [1, 8, 8], 70), &recipe).contains("class 6, class 7, class 8), but model.classes = 10. Are")
    );
    assert!(message(&images(10, [1, 8, 9], 70), &recipe).contains("[1, 8, 9]"));
    assert!(message(&images(10, [1, 8, 8], 70), &Recipe::digits()).contains("set = \"folder\""));
    let mut whole = recipe.clone();
    whole.train.drop_last = true;
    assert!(message(&images(10, [1, 8, 8], 20), &whole).contains("no batch is left of the 20"));
    Dataset::load(&Digits.into()).unwrap().check(&Recipe::digits()).unwrap();
}
