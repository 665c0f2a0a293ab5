//! Sources of a run's images and their processing: on the device or prefetched, shifted and
//! mirrored, held out; and statistics of low-bit layers per epoch.

use super::{EPOCH_STEPS, checkpoint, create, dataset, finish, recipe, resume, rows, trainer, whole_as_resumed};
use halfwave::backend::cpu::CpuBackend;
use halfwave::data::{Dataset, Normalise};
use halfwave::recipe::{Augment, Folder, Length, Padding, Recipe};
use halfwave::train::claim::Claim;
use halfwave::train::metrics::{EpochRow, Row};
use halfwave::train::run::SavedRun;
use halfwave::train::{Trainer, checkpoint::MEAN_IMAGE};
use image::{GrayImage, Luma};
use pollster::block_on;
use std::path::Path;

fn augmented() -> Recipe {
    let mut recipe = recipe();
    recipe.data.augment = Augment { pad: 1, padding: Padding::Replicate, mirror: true, cutout: 3 };
    recipe.data.mean_image = true;
    recipe
}

fn epochs(dir: &Path) -> Vec<EpochRow> {
    let rows = rows(dir).into_iter();
    rows.filter_map(|row| if let Row::Epoch(row) = row { Some(row) } else { None }).collect()
}

#[test]
fn a_resumed_run_draws_the_same_shifts() {
    let base = tempfile::tempdir().unwrap();
    let whole = whole_as_resumed(base.path(), &augmented());
    let plain = base.path().join("plain");
    finish(create(&plain, recipe()));
    assert!(checkpoint(&plain) != checkpoint(&whole), "images were changed");

    // The mean image is that of the training images, and is stored in the checkpoint.
    let saved = SavedRun::read(&whole).unwrap();
    let (data, normalise) = (dataset(40), Normalise::new(&recipe().data));
    let mean = &saved.checkpoint.tensors[MEAN_IMAGE];
    assert_eq!(mean.shape, [8, 8, 1]);
    let (values, _) = data.train.normalised(&(0..40).collect::<Vec<_>>(), &normalise).unwrap();
    for (at, mean) in mean.values.iter().enumerate() {
        let expected = (0..40).map(|n| f64::from(values[n * 64 + at])).sum::<f64>() / 40.0;
        assert!((f64::from(*mean) - expected).abs() < 1e-7, "{at}: {mean} {expected}");
    }
    assert_eq!(saved.checkpoint.normalise(&saved.recipe).unwrap().mean.as_ref(), Some(&mean.values));
}

/// The digits as pictures in class folders: a training set of 30 and a test set of 10.
fn pictures(dir: &Path) {
    let data = Dataset::load(&Recipe::digits().data).unwrap();
    let pixels = data.train.in_memory().unwrap();
    for (at, image) in pixels.chunks_exact(64).take(160).enumerate() {
        let class = dir.join(data.train.labels[at].to_string());
        std::fs::create_dir_all(&class).unwrap();
        let pixel = |x: u32, y: u32| Luma([image[(y * 8 + x) as usize] * 15]);
        GrayImage::from_fn(8, 8, pixel).save(class.join(format!("{at:04}.png"))).unwrap();
    }
}

#[test]
fn a_streamed_run_is_that_of_images_on_the_device() {
    let base = tempfile::tempdir().unwrap();
    let images = base.path().join("images");
    pictures(&images);
    let run = |name: &str, stream_above: u64, killed: bool| {
        let mut recipe = recipe();
        recipe.data.augment = Augment { pad: 2, padding: Padding::Reflect, mirror: false, cutout: 0 };
        recipe.data.set = Folder {
            dir: images.clone(),
            image: [1, 8, 8],
            classes: 10,
            pictures: halfwave::recipe::Pictures { stream_above, ..Default::default() },
        }
        .into();
        recipe.train.length = Length::Epochs(2);
        let make = |recipe: &Recipe| {
            let data = Dataset::load(&recipe.data).unwrap();
            block_on(Trainer::new(recipe.clone(), data, Box::new(CpuBackend::new()), false)).unwrap()
        };
        let dir = base.path().join(name);
        let device = halfwave::backend::Device::cpu();
        let claim = Claim::new(&dir).unwrap();
        let mut run = block_on(halfwave::train::run::Run::create(claim, make(&recipe), &device)).unwrap();
        if killed {
            block_on(run.advance(3)).unwrap();
            block_on(run.pause()).unwrap();
            drop(run);
            let claim = Claim::existing(&dir).unwrap();
            let saved = SavedRun::read_folder(&dir).unwrap();
            let mut trainer = make(&saved.recipe);
            saved.restore(&mut trainer).unwrap();
            run = block_on(halfwave::train::run::Run::resume(claim, trainer, &device)).unwrap();
        }
        finish(run);
        (rows(&dir), SavedRun::read(&dir).unwrap().checkpoint.tensors)
    };
    let resident = run("resident", 1024, false);
    assert!(resident.0.len() > 10);
    assert!(run("streamed", 0, false) == resident, "prefetched images give a different run");
    assert!(run("interrupted", 0, true) == resident, "a run that was interrupted within an epoch differs");
}

#[test]
fn an_epoch_tells_what_low_bit_layers_did() {
    let base = tempfile::tempdir().unwrap();
    let dir = whole_as_resumed(base.path(), &recipe());
    let epochs = epochs(&dir);
    assert_eq!(epochs.len(), 3);
    for row in &epochs {
        assert!(row.layers.keys().eq(["conv2", "conv3", "q1", "q2"]), "{:?}", row.layers.keys());
        for quantiser in ["q1", "q2"].map(|name| &row.layers[name]) {
            assert_eq!((quantiser.codes.len(), quantiser.ideal.len()), (4, 4));
            for shares in [&quantiser.codes, &quantiser.ideal] {
                assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{shares:?}");
            }
            assert!((quantiser.ideal[0] - 0.5).abs() < 1e-6);
            let passed = quantiser.passed.unwrap();
            // Clipped: the codes 1 and 2, and a part of 3, are between 0 and the top level.
            let low = quantiser.codes[1] + quantiser.codes[2];
            assert!((low..=low + quantiser.codes[3]).contains(&passed) && passed > 0.1, "{quantiser:?}");
        }
        for conv in ["conv2", "conv3"].map(|name| &row.layers[name]) {
            let alpha = conv.alpha.unwrap();
            assert!(0.0 < alpha.min && alpha.min < alpha.mean && alpha.mean < alpha.max, "{alpha:?}");
            assert!((0.0..0.5).contains(&conv.flipped.unwrap()));
        }
        assert!(row.test_loss.unwrap() > 0.0 && row.test_top5.unwrap() >= row.test_accuracy.unwrap());
        assert_eq!(row.step, row.epoch * EPOCH_STEPS);
    }
    assert!(epochs.iter().any(|row| row.layers["conv2"].flipped.unwrap() > 0.0), "no sign changed");

    // The last flips computed from checkpoints.
    let mut trainer = trainer(recipe());
    let weights = |trainer: &mut Trainer| block_on(trainer.session().latent_weights()).unwrap();
    let start = weights(&mut trainer);
    while trainer.position().epoch == 0 {
        block_on(trainer.advance(1)).unwrap();
    }
    let end = weights(&mut trainer);
    for layer in ["conv2", "conv3"] {
        let [before, after] = [&start, &end].map(|weights| &weights[&format!("{layer}.weight")].values);
        let flips = before.iter().zip(after).filter(|(a, b)| (**a >= 0.0) != (**b >= 0.0)).count();
        let share = flips as f32 / before.len() as f32;
        assert_eq!(epochs[0].layers[layer].flipped, Some(share), "{layer}");
    }
}

#[test]
fn a_run_is_chosen_by_what_is_held_out_and_ends_when_it_gets_no_better() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    let mut recipe = recipe();
    (recipe.data.validation, recipe.data.limit) = (halfwave::data::Validation::Share(0.25), Some(80));
    (recipe.train.length, recipe.train.patience) = (Length::Epochs(60), 2);
    let make = |recipe: Recipe| {
        let data = Dataset::load(&recipe.data).unwrap();
        assert_eq!((data.train.len(), data.validation.as_ref().unwrap().len()), (60, 20));
        block_on(Trainer::new(recipe, data, Box::new(CpuBackend::new()), false)).unwrap()
    };
    let device = halfwave::backend::Device::cpu();
    let claim = Claim::new(&dir).unwrap();
    let mut run = block_on(halfwave::train::run::Run::create(claim, make(recipe), &device)).unwrap();
    while !block_on(run.advance(u64::MAX)).unwrap().is_empty() {}
    let (best, accuracy) = run.best().unwrap();
    let epochs = epochs(&dir);
    assert!(epochs.len() < 60, "it did not end early");
    assert_eq!(epochs.len() as u64, best + 2, "two epochs without anything better");
    let watched: Vec<_> = epochs.iter().map(|row| row.validation_accuracy.unwrap()).collect();
    assert_eq!(watched.iter().copied().reduce(f32::max), Some(accuracy));
    assert_eq!(watched.iter().position(|v| *v == accuracy), Some(best as usize - 1), "of equal ones the first");
    let tested: Vec<_> = epochs.iter().map(|row| row.test_accuracy.is_some()).collect();
    assert!(tested[tested.len() - 1] && tested.iter().filter(|tested| **tested).count() == 1, "{tested:?}");

    // The run is finished, and stays so.
    let saved = SavedRun::read_folder(&dir).unwrap();
    assert!(saved.checkpoint.position.stopped);
    let mut trainer = make(saved.recipe.clone());
    saved.restore(&mut trainer).unwrap();
    assert!(trainer.over() && block_on(trainer.advance(1)).unwrap().is_empty());
}

#[test]
fn a_run_that_was_prolonged_within_an_epoch_counts_the_same_flips() {
    let base = tempfile::tempdir().unwrap();
    let [whole, prolonged] = ["whole", "prolonged"].map(|name| base.path().join(name));
    let steps = |count| {
        let mut recipe = recipe();
        recipe.train.length = Length::Steps(count);
        recipe
    };
    finish(create(&whole, steps(6)));
    finish(create(&prolonged, steps(4)));
    finish(resume(&prolonged, |recipe| recipe.train.length = Length::Steps(6)));
    let last = |dir: &Path| epochs(dir).pop().unwrap();
    assert_eq!(last(&prolonged).layers, last(&whole).layers);
}
