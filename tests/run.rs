//! A run's folder: its contents, one seed gives one result, and a resumed run equals one that was
//! never interrupted.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
#[path = "run/dropout.rs"]
mod dropout;
#[path = "run/fixed.rs"]
mod fixed;
#[path = "run/images.rs"]
mod images;
#[path = "run/observer.rs"]
mod observer;
#[path = "run/optimizers.rs"]
mod optimizers;
#[path = "run/stop.rs"]
mod stop;
#[path = "run/tensorboard.rs"]
mod tensorboard;

use halfwave::backend::Device;
use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::data::{Data, Dataset, Validation};
use halfwave::recipe::{Length, Optimizer, Recipe, Schedule};
use halfwave::train::claim::Claim;
use halfwave::train::metrics::Row;
use halfwave::train::run::{BEST, CHECKPOINT, Run, SavedRun};
use halfwave::train::{Event, Trainer};
use pollster::block_on;
use std::fs;
use std::path::{Path, PathBuf};

/// Number of training images: two full batches and a short one.
const TRAIN_LEN: usize = 40;
const EPOCH_STEPS: u64 = 3;
const EPOCHS: u64 = 3;

fn recipe() -> Recipe {
    let mut recipe = Recipe::digits();
    recipe.train.length = Length::Epochs(EPOCHS);
    recipe.train.batch = 16;
    // Runs are shortened and made longer here, which a decreasing learning rate would reveal.
    recipe.train.schedule = Schedule::default();
    recipe
}

fn dataset(train_len: usize) -> Dataset {
    let mut data = Dataset::load(&Recipe::digits().data).unwrap();
    let first = |len: usize| (0..len as u32).collect::<Vec<_>>();
    data.train = data.train.select(&first(train_len));
    data.test = data.test.select(&first(40));
    data
}

fn trainer_on(recipe: Recipe, backend: Box<dyn Backend>) -> Trainer {
    block_on(Trainer::new(recipe, dataset(TRAIN_LEN), backend, false)).unwrap()
}

fn trainer(recipe: Recipe) -> Trainer {
    trainer_on(recipe, Box::new(CpuBackend::new()))
}

fn create(dir: &Path, recipe: Recipe) -> Run {
    block_on(Run::create(Claim::new(dir).unwrap(), trainer(recipe), &Device::cpu())).unwrap()
}

fn resume(dir: &Path, change: impl Fn(&mut Recipe)) -> Run {
    let claim = Claim::existing(dir).unwrap();
    let mut saved = SavedRun::read_folder(dir).unwrap();
    change(&mut saved.recipe);
    let mut trainer = trainer(saved.recipe.clone());
    saved.restore(&mut trainer).unwrap();
    block_on(Run::resume(claim, trainer, &Device::cpu())).unwrap()
}

fn finish(mut run: Run) {
    while !block_on(run.advance(u64::MAX)).unwrap().is_empty() {}
}

/// A whole run's folder in `base`; a run that is killed within its second epoch and resumed gives
/// the same rows and bytes.
fn whole_as_resumed(base: &Path, recipe: &Recipe) -> PathBuf {
    let [whole, killed] = ["whole", "killed"].map(|name| base.join(name));
    finish(create(&whole, recipe.clone()));
    let mut run = create(&killed, recipe.clone());
    for _ in 0..=EPOCH_STEPS {
        block_on(run.advance(1)).unwrap();
    }
    drop(run);
    finish(resume(&killed, |_| {}));
    assert_eq!(rows(&killed), rows(&whole));
    assert!(checkpoint(&killed) == checkpoint(&whole), "the checkpoints differ");
    whole
}

fn checkpoint(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(CHECKPOINT)).unwrap()
}

/// All rows, without speed and time.
fn rows(dir: &Path) -> Vec<Row> {
    let mut rows = Row::parse_all(&fs::read_to_string(dir.join("metrics.jsonl")).unwrap(), "metrics.jsonl").unwrap();
    for row in &mut rows {
        if let Row::Epoch(row) = row {
            (row.images_per_s, row.seconds) = (0.0, 0.0);
        }
    }
    rows
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_holds_the_whole_run() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("new/run");
    let mut run = create(&dir, recipe());
    let files = [
        "checkpoint.safetensors",
        "curve.png",
        "curve.svg",
        "events.out.tfevents.0.halfwave",
        "metrics.jsonl",
        "recipe.toml",
        "run.json",
    ];
    assert_eq!(names(&dir), [&files[..], &["run.lock"]].concat(), "before the first step");
    let plan_hash = format!("{:016x}", run.trainer().session().plan().hash());
    finish(run);
    // Without validation images, no epoch is the best.
    assert_eq!(names(&dir), files);

    let written = fs::read_to_string(dir.join("recipe.toml")).unwrap();
    assert_eq!(Recipe::parse(&written, "recipe.toml").unwrap(), recipe());
    let about: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
    assert_eq!((&about["adapter"], &about["backend"]), (&"cpu".into(), &"cpu".into()));
    assert_eq!((&about["seed"], &about["plan_hash"]), (&0.into(), &plan_hash.into()));
    assert_eq!((&about["halfwave"], &about["device_class"]), (&env!("CARGO_PKG_VERSION").into(), &"software".into()));
    assert_eq!((&about["precision"], &about["memory"]), (&"f32".into(), &"normal".into()));
    assert_eq!(about["accumulate"], 1);
    for key in ["wgpu", "driver", "kind", "started"] {
        assert!(about[key].is_string(), "{key} in {about}");
    }
    assert!(about["peak_bytes"].as_u64() > Some(100_000) && about["parameters"].as_u64() > Some(20_000), "{about}");

    let rows = rows(&dir);
    let steps: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Step(row) => Some((row.step, row.epoch, row.lr)),
            Row::Epoch(_) => None,
        })
        .collect();
    let expected: Vec<_> = (0..EPOCHS * EPOCH_STEPS).map(|step| (step + 1, step / EPOCH_STEPS + 1, 0.05)).collect();
    assert_eq!(steps, expected);
    assert_eq!(rows.len() as u64, EPOCHS * (EPOCH_STEPS + 1));
    let Some(Row::Epoch(last)) = rows.last() else { panic!("the last row is an epoch's") };
    assert!(last.epoch == EPOCHS && last.train_accuracy > Some(0.4) && last.test_accuracy > Some(0.0), "{last:?}");
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    assert!(text.lines().filter(|line| line.contains("images_per_s")).count() as u64 == EPOCHS && text.ends_with('\n'));

    let saved = SavedRun::read(&dir).unwrap();
    assert_eq!(saved, SavedRun::read(&dir.join(CHECKPOINT)).unwrap());
    let position = saved.checkpoint.position;
    assert_eq!((position.step, position.epoch, position.batch), (EPOCHS * EPOCH_STEPS, EPOCHS, 0));
    for name in ["conv1.weight", "bn1.running_mean", "fc.bias", "velocity/conv2.weight"] {
        assert!(saved.checkpoint.tensors.contains_key(name), "{name}");
    }
}

/// The best epoch's checkpoint is kept, and the last few that the recipe asks for.
#[test]
fn the_best_and_the_last_checkpoints_are_kept() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    let mut wanted = recipe();
    wanted.train.keep = 2;
    wanted.train.length = Length::Epochs(5);
    wanted.data.validation = Validation::Share(0.25);
    let data = Dataset::load(&Data { limit: Some(80), test_limit: Some(40), ..wanted.data.clone() }).unwrap();
    let trainer = block_on(Trainer::new(wanted, data, Box::new(CpuBackend::new()), false)).unwrap();
    let mut run = block_on(Run::create(Claim::new(&dir).unwrap(), trainer, &Device::cpu())).unwrap();
    let mut seen = Vec::new();
    while let events @ [_, ..] = &block_on(run.advance(u64::MAX)).unwrap()[..] {
        if events.contains(&Event::EpochEnd) {
            seen.push(SavedRun::read(&dir).unwrap().checkpoint);
        }
    }
    let kept: Vec<_> = names(&dir).into_iter().filter(|name| name.starts_with("epoch-")).collect();
    assert_eq!(kept, ["epoch-0004.safetensors", "epoch-0005.safetensors"]);
    for (name, checkpoint) in kept.iter().zip(&seen[3..]) {
        assert_eq!(SavedRun::read(&dir.join(name)).unwrap().checkpoint, *checkpoint);
    }
    let accuracies: Vec<_> = rows(&dir)
        .into_iter()
        .filter_map(|row| if let Row::Epoch(row) = row { row.validation_accuracy } else { None })
        .collect();
    let best = (0..5).fold(0, |best, epoch| if accuracies[epoch] > accuracies[best] { epoch } else { best });
    assert_eq!(run.best(), Some((best as u64 + 1, accuracies[best])));
    assert_eq!(SavedRun::read(&dir.join(BEST)).unwrap().checkpoint, seen[best], "{accuracies:?}");
}

#[test]
fn one_seed_gives_one_result() {
    let base = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| base.path().join(name));
    let other = Recipe { train: halfwave::recipe::Train { seed: 1, ..recipe().train }, ..recipe() };
    for (dir, recipe) in [(&a, recipe()), (&b, recipe()), (&c, other)] {
        finish(create(dir, recipe));
    }
    assert_eq!(rows(&a), rows(&b));
    assert!(checkpoint(&a) == checkpoint(&b), "the checkpoints of two equal runs differ");
    assert_ne!(rows(&a), rows(&c));
}

#[test]
fn one_seed_gives_one_result_on_each_driver() {
    common::on_each_driver("one_seed_gives_one_result_on_each_driver", || {
        let base = tempfile::tempdir().unwrap();
        let mut results = Vec::new();
        for (name, limit) in [("a", u64::MAX), ("b", 1)] {
            let Some(found) = common::adapter() else { return };
            let backend = block_on(GpuBackend::open(found, None)).unwrap();
            let device = Device::from(backend.report());
            let dir = base.path().join(name);
            let trainer = trainer_on(recipe(), Box::new(backend));
            let mut run = block_on(Run::create(Claim::new(&dir).unwrap(), trainer, &device)).unwrap();
            // The number of steps per call has no effect.
            while !block_on(run.advance(limit)).unwrap().is_empty() {}
            results.push((rows(&dir), checkpoint(&dir)));
        }
        assert!(results[0] == results[1], "two equal runs differ");
    });
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let base = tempfile::tempdir().unwrap();
    let whole = base.path().join("whole");
    finish(create(&whole, recipe()));
    for killed_after in [0, 1, EPOCH_STEPS - 1, EPOCH_STEPS, EPOCH_STEPS + 1, 2 * EPOCH_STEPS + 2] {
        let dir = base.path().join(format!("killed-after-{killed_after}"));
        let mut run = create(&dir, recipe());
        for _ in 0..killed_after {
            block_on(run.advance(1)).unwrap();
        }
        drop(run);
        let metrics = dir.join("metrics.jsonl");
        let torn = fs::read_to_string(&metrics).unwrap() + "{\"step\":77,\"epo";
        fs::write(&metrics, torn).unwrap();
        let run = resume(&dir, |_| {});
        assert_eq!(
            rows(&dir).len() as u64,
            killed_after / EPOCH_STEPS * (EPOCH_STEPS + 1),
            "rows after the checkpoint"
        );
        finish(run);
        assert_eq!(rows(&dir), rows(&whole), "killed after {killed_after}");
        assert!(checkpoint(&dir) == checkpoint(&whole), "killed after {killed_after}: the checkpoints differ");
        let about: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
        assert_eq!(about["resumed"][0]["step"], killed_after / EPOCH_STEPS * EPOCH_STEPS);
    }
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let base = tempfile::tempdir().unwrap();
    let (whole, dir) = (base.path().join("whole"), base.path().join("longer"));
    let steps = |steps| Recipe {
        train: halfwave::recipe::Train { length: Length::Steps(steps), ..recipe().train },
        ..recipe()
    };
    finish(create(&whole, steps(8)));
    // Ends within the second epoch, whose row is that of a partial epoch.
    finish(create(&dir, steps(5)));
    assert_eq!(rows(&dir).len(), 5 + 2);
    finish(resume(&dir, |recipe| recipe.train.length = Length::Steps(8)));
    assert_eq!(rows(&dir), rows(&whole));
    assert!(checkpoint(&dir) == checkpoint(&whole), "the checkpoints differ");

    let mut run = resume(&dir, |_| {});
    assert!(block_on(run.advance(1)).unwrap().is_empty(), "nothing is left to do");
    assert_eq!(rows(&dir), rows(&whole), "and nothing is lost");
}

#[test]
fn the_recipe_of_a_run_may_change_in_length_alone() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    finish(create(
        &dir,
        Recipe { train: halfwave::recipe::Train { length: Length::Steps(1), ..recipe().train }, ..recipe() },
    ));
    let path = dir.join("recipe.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("steps = 1", "steps = 2")).unwrap();
    assert_eq!(SavedRun::read_folder(&dir).unwrap().recipe.train.length, Length::Steps(2));
    let changed = text.replace("lr = 0.05", "lr = 0.06");
    assert_ne!(changed, text);
    fs::write(&path, changed).unwrap();
    let message = SavedRun::read_folder(&dir).unwrap_err().to_string();
    assert!(message.contains("recipe.toml: not the recipe") && message.contains("--init"), "{message}");
}

/// Until version 0.2 test images decided where there were no validation images, so that such recipes could
/// have a `patience`.
#[test]
fn a_run_of_an_earlier_version_with_patience_is_resumed_without_it() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    assert!(recipe().data.holds_none_out());
    finish(create(&dir, recipe()));
    let path = dir.join("recipe.toml");
    let text = fs::read_to_string(&path).unwrap();
    let earlier = text.replace("patience = 0", "patience = 1");
    assert_ne!(earlier, text);
    fs::write(&path, &earlier).unwrap();
    let mut checkpoint = SavedRun::read(&dir).unwrap().checkpoint;
    checkpoint.recipe = earlier;
    fs::write(dir.join(CHECKPOINT), checkpoint.to_bytes()).unwrap();

    // Longer than a patience of one epoch could allow.
    let mut longer = resume(&dir, |recipe| recipe.train.length = Length::Epochs(EPOCHS + 3));
    assert_eq!(longer.trainer().recipe().train.patience, 0);
    while !block_on(longer.advance(u64::MAX)).unwrap().is_empty() {}
    assert_eq!(longer.trainer().position().epoch, EPOCHS + 3);
    assert!(!longer.trainer().position().stopped && !dir.join(BEST).exists());
}

#[test]
fn a_folder_is_used_once() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    drop(create(&dir, recipe()));
    let before = (names(&dir), checkpoint(&dir));
    let message = Claim::new(&dir).unwrap_err().to_string();
    assert!(message.contains("already holds a run") && message.contains("--resume"), "{message}");
    assert_eq!((names(&dir), checkpoint(&dir)), before);
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_left_alone() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "words").unwrap();
    for place in [file.join("run"), file.clone()] {
        let message = Claim::new(&place).unwrap_err().to_string();
        assert!(message.contains(file.to_str().unwrap()), "{message}");
    }
    assert_eq!(names(base.path()), ["file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "words");
}

/// Simulates a full disk when a checkpoint is written: the part file links to a device that is
/// always full.
#[cfg(target_os = "linux")]
fn fill_disk(dir: &Path) {
    std::os::unix::fs::symlink("/dev/full", dir.join("checkpoint.safetensors.part")).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_tears_nothing() {
    let base = tempfile::tempdir().unwrap();
    let (whole, dir, empty) = (base.path().join("whole"), base.path().join("full"), base.path().join("empty"));
    finish(create(&whole, recipe()));

    fs::create_dir(&empty).unwrap();
    fill_disk(&empty);
    let claim = Claim::new(&empty).unwrap();
    let message = block_on(Run::create(claim, trainer(recipe()), &Device::cpu())).err().expect("must fail").to_string();
    assert!(message.contains("empty/checkpoint.safetensors") && message.contains("no space left"), "{message}");
    assert!(names(&empty).is_empty(), "{:?}", names(&empty));

    let mut run = create(&dir, recipe());
    while !block_on(run.advance(u64::MAX)).unwrap().contains(&Event::EpochEnd) {}
    let before = checkpoint(&dir);
    fill_disk(&dir);
    let message = block_on(run.advance(u64::MAX)).unwrap_err().to_string();
    assert!(message.contains("full/checkpoint.safetensors") && message.contains("no space left"), "{message}");
    assert!(checkpoint(&dir) == before, "the old checkpoint is kept");
    drop(run);
    finish(resume(&dir, |_| {}));
    assert_eq!(rows(&dir), rows(&whole));
    assert!(checkpoint(&dir) == checkpoint(&whole), "the checkpoints differ");
}

#[test]
fn a_run_that_diverges_says_so_and_keeps_what_it_had() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    let mut wild = recipe();
    wild.train.optimizer = Optimizer::sgd(1e38, 0.9, 0.0);
    let mut run = create(&dir, wild);
    let before = checkpoint(&dir);
    let message = loop {
        match block_on(run.advance(1)) {
            Ok(events) => assert!(!events.is_empty(), "the run ended"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(message.contains("diverged") && message.contains("train.optimizer.lr"), "{message}");
    // The weights of the second step are large, and their squares are not finite.
    assert!(message.contains("at step 2: ") && message.contains("it started in layer \"bn1\""), "{message}");
    assert!(matches!(rows(&dir).last(), Some(Row::Step(row)) if !row.loss.is_finite()));
    assert!(fs::read_to_string(dir.join("metrics.jsonl")).unwrap().contains("\"loss\":null"));
    assert!(checkpoint(&dir) == before, "no checkpoint of a network that is broken");

    // Nor by a pause, which is the first call to report it.
    let dir = base.path().join("paused");
    let mut wild = recipe();
    wild.train.optimizer = Optimizer::sgd(1e38, 0.9, 0.0);
    (wild.train.batch, wild.data.shuffle) = (8, false);
    let mut run = create(&dir, wild);
    let before = checkpoint(&dir);
    let heard = block_on(run.advance(4)).unwrap();
    assert!(heard.iter().all(|event| matches!(event, Event::Row(Row::Step(row)) if row.loss.is_finite())), "{heard:?}");
    assert!(block_on(run.pause()).unwrap_err().to_string().contains("diverged"));
    assert!(checkpoint(&dir) == before, "no checkpoint of a network that is broken");
}

/// The layer in which values cease to be finite is found by repeating the steps since the last
/// checkpoint.
#[test]
fn the_first_layer_that_is_not_finite_is_named() {
    let base = tempfile::tempdir().unwrap();
    let mut trainer = trainer(recipe());
    let mut start = block_on(trainer.session().tensors()).unwrap();
    // After this batch-norm values are large but finite; the product of the last layer is not.
    start.get_mut("bn3.weight").unwrap().values.fill(1e37);
    start.get_mut("fc.weight").unwrap().values.fill(10.0);
    trainer.initialise(&start).unwrap();
    let claim = Claim::new(&base.path().join("run")).unwrap();
    let mut run = block_on(Run::create(claim, trainer, &Device::cpu())).unwrap();
    let message = loop {
        if let Err(error) = block_on(run.advance(4)) {
            break error.to_string();
        }
    };
    assert!(message.contains("at step 1: ") && message.contains("in layer \"fc\" (conv)"), "{message}");
}

#[test]
fn checkpoints_that_do_not_fit_are_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    drop(create(&dir, recipe()));
    let path = dir.join(CHECKPOINT);
    let good = SavedRun::read(&dir).unwrap().checkpoint;
    let message = |change: &dyn Fn(&mut halfwave::train::Checkpoint)| {
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&path, bad.to_bytes()).unwrap();
        let message = match SavedRun::read(&dir) {
            Ok(saved) => saved.restore(&mut trainer(recipe())).expect_err("must fail").to_string(),
            Err(error) => error.to_string(),
        };
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        message
    };
    assert!(message(&|c| drop(c.tensors.remove("bn1.running_var"))).contains("bn1.running_var is missing"));
    assert!(message(&|c| drop(c.tensors.remove("velocity/fc.weight"))).contains("velocity/fc.weight is missing"));
    assert!(message(&|c| drop(c.tensors.insert("fc.bias".into(), c.tensors["bn3.bias"].clone()))).contains("[10]"));
    assert!(message(&|c| c.recipe = "[model]".into()).contains("its recipe:1"));
    assert!(message(&|c| c.recipe = recipe().to_toml().replace("filters = 64", "filters = 65")).contains("conv3"));
    assert!(message(&|c| c.position.batch = 7).contains("batch 7"));
    assert!(message(&|c| c.position.epoch = u64::MAX).contains("different data"));
    let facts = |change: &dyn Fn(&mut halfwave::train::TrainedOn)| message(&|c| change(c.trained_on.as_mut().unwrap()));
    assert_eq!(good.trained_on.as_ref().unwrap().classes.join(""), "0123456789");
    let few = facts(&|f| f.images += 1);
    assert!(few.contains("there are 40 of them, but the run was trained on 41") && few.contains("--init"), "{few}");
    assert!(facts(&|f| f.labels = "0".repeat(16)).contains("the same number, but with other labels"));
    assert!(facts(&|f| f.classes.swap(3, 4)).contains("class 3 is \"3\", but \"4\" in the network"));
    assert!(facts(&|f| drop(f.classes.pop())).contains("9 class names for 10 classes"));
    for (name, bad) in [("fc.weight", f32::NAN), ("bn1.running_var", f32::INFINITY), ("velocity/fc.bias", f32::NAN)] {
        let message = message(&|c| c.tensors.get_mut(name).unwrap().values[2] = bad);
        assert!(message.contains(&format!("the tensor {name} holds {bad} (value 2 of ")), "{message}");
    }
    // Earlier versions did not record what a network was trained on.
    let old = halfwave::train::Checkpoint { trained_on: None, ..good.clone() };
    fs::write(&path, old.to_bytes()).unwrap();
    SavedRun::read(&dir).unwrap().restore(&mut trainer(recipe())).unwrap();
}
