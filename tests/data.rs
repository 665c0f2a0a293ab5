//! Data sets: what is common to them, and a file for each with its reading, faults, keys and a run of
//! the program.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "data/cifar.rs"]
mod cifar;
#[path = "data/folder.rs"]
mod folder;
#[path = "data/idx.rs"]
mod idx;
#[path = "data/layouts.rs"]
mod layouts;
#[path = "data/npz.rs"]
mod npz;
#[path = "data/odd.rs"]
mod odd;
#[path = "data/pictures.rs"]
mod pictures;
#[path = "common/program.rs"]
mod program;
#[path = "common/recipes.rs"]
mod recipes;
#[path = "data/streaming.rs"]
mod streaming;
#[path = "common/tiff.rs"]
mod tiff;

use halfwave::data::{Dataset, Normalise, Split, epoch_batches};
use halfwave::recipe::{Cifar10, Cifar100, Digits, Folder, Idx, Labels, Pictures, Recipe, Set};
use image::{GrayImage, Luma};
use program::messages;
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
