//! Runs that are made longer: the evaluation of an incomplete epoch is forgotten, and a run's validation
//! images stay the same.

use super::{checkpoint, dataset, finish, names, rows};
use halfwave::backend::{Device, cpu::CpuBackend};
use halfwave::data::{Dataset, Split, Validation};
use halfwave::recipe::{Length, Optimizer, Recipe};
use halfwave::train::Trainer;
use halfwave::train::claim::Claim;
use halfwave::train::run::{BEST, CHECKPOINT, Run, SavedRun};
use pollster::block_on;
use std::fs;
use std::path::Path;

/// A recipe of 30 images to train on, two steps an epoch, and 10 to validate with.
fn recipe(seed: u64, steps: u64) -> Recipe {
    let mut recipe = super::recipe();
    recipe.data.validation = Validation::Share(0.25);
    recipe.train.optimizer = Optimizer::sgd(0.2, 0.9, 0.0);
    (recipe.train.seed, recipe.train.length) = (seed, Length::Steps(steps));
    recipe
}

fn divided(recipe: &Recipe) -> Dataset {
    dataset(super::TRAIN_LEN).divided(&recipe.data).unwrap()
}

fn trainer(recipe: &Recipe, data: Dataset) -> Trainer {
    block_on(Trainer::new(recipe.clone(), data, Box::new(CpuBackend::new()), false)).unwrap()
}

fn create(dir: &Path, recipe: &Recipe) -> Run {
    let trainer = trainer(recipe, divided(recipe));
    block_on(Run::create(Claim::new(dir).unwrap(), trainer, &Device::cpu())).unwrap()
}

fn resume(dir: &Path, steps: u64) -> Run {
    let claim = Claim::existing(dir).unwrap();
    let mut saved = SavedRun::read_folder(dir).unwrap();
    saved.recipe.train.length = Length::Steps(steps);
    let mut trainer = trainer(&saved.recipe, divided(&saved.recipe));
    saved.restore(&mut trainer).unwrap();
    block_on(Run::resume(claim, trainer, &Device::cpu())).unwrap()
}

/// Rows, checkpoints and names of files are the same.
fn assert_same(dir: &Path, whole: &Path, what: &str) {
    assert_eq!(rows(dir), rows(whole), "{what}");
    assert!(checkpoint(dir) == checkpoint(whole), "{what}: the checkpoints differ");
    // One that was written before the run was made longer has the recipe of that time.
    let best = |dir: &Path| {
        let saved = SavedRun::read(&dir.join(BEST)).ok()?.checkpoint;
        Some((saved.position, saved.tensors))
    };
    assert!(best(dir) == best(whole), "{what}: the best checkpoints differ");
    assert_eq!(names(dir), names(whole), "{what}");
}

#[test]
fn an_incomplete_epoch_is_the_best_until_the_run_is_made_longer() {
    let base = tempfile::tempdir().unwrap();
    let (mut best, mut replaced) = (0, 0);
    for (seed, ends) in (0..3).flat_map(|seed| [1, 3].map(|ends| (seed, ends))) {
        // Ends with a whole epoch, and within the next one.
        for longer in [ends + 1, ends + 2] {
            let what = format!("seed {seed}, {ends} steps and then {longer}");
            let [whole, dir] = ["whole", "longer"].map(|name| base.path().join(format!("{name} {what}")));
            finish(create(&whole, &recipe(seed, longer)));
            let mut run = create(&dir, &recipe(seed, ends));
            let mut before = checkpoint(&dir);
            while run.trainer().position().step < ends - 1 {
                block_on(run.advance(1)).unwrap();
                before = checkpoint(&dir);
            }
            block_on(run.advance(1)).unwrap();
            let incomplete = run.best().unwrap().0 == ends / 2 + 1;
            // An earlier, whole epoch was the best before.
            replaced += usize::from(run.trainer().position().best_whole.is_some_and(|(epoch, _)| epoch > 0));
            drop(run);
            if incomplete {
                best += 1;
                assert_eq!(checkpoint(&dir), fs::read(dir.join(BEST)).unwrap(), "{what}");
            }
            // As if the run had been killed before it wrote its last checkpoint.
            let killed = base.path().join(format!("killed {what}"));
            fs::create_dir(&killed).unwrap();
            for name in names(&dir).iter().filter(|name| *name != "run.lock") {
                fs::copy(dir.join(name), killed.join(name)).unwrap();
            }
            fs::write(killed.join(CHECKPOINT), before).unwrap();
            for dir in [dir, killed] {
                finish(resume(&dir, longer));
                assert_same(&dir, &whole, &what);
            }
        }
    }
    assert!(best > 0 && replaced > 0, "of {best} incomplete epochs {replaced} replaced an earlier one");
}

/// Until version 0.2 a patience that ran out in the last epoch ended a run early, too.
#[test]
fn a_run_of_an_earlier_version_at_its_full_length_can_be_made_longer() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    finish(create(&dir, &recipe(0, 4)));
    let mut checkpoint = SavedRun::read(&dir).unwrap().checkpoint;
    checkpoint.position.stopped = true;
    fs::write(dir.join(CHECKPOINT), checkpoint.to_bytes()).unwrap();
    finish(resume(&dir, 6));
    assert_eq!(SavedRun::read(&dir).unwrap().checkpoint.position.step, 6);
}

/// Images of the run's own, of which some are missing or others are there when it is resumed.
#[test]
fn a_run_keeps_its_validation_images() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("run");
    let recipe = recipe(0, 2);
    finish(create(&dir, &recipe));
    let saved = SavedRun::read_folder(&dir).unwrap();
    let message = |change: &dyn Fn(&mut Dataset)| {
        let mut data = divided(&recipe);
        change(&mut data);
        saved.restore(&mut trainer(&recipe, data)).expect_err("must fail").to_string()
    };
    let none = message(&|data| data.validation = None);
    let wanted = "not the run's validation images: there are none; restore the run's data set, or start a new run";
    assert!(none.contains(wanted), "{none}");
    let with = |change: &dyn Fn(&mut Split)| message(&|data| change(data.validation.as_mut().unwrap()));
    let few = with(&|split| *split = split.select(&[0, 1]));
    assert!(few.contains("there are 2 of them, but the run was validated on 10"), "{few}");
    let others = with(&|split| split.labels.rotate_left(1));
    assert!(others.contains("the same number, but with other labels"), "{others}");

    // Earlier versions did not record them.
    let mut earlier = saved.clone();
    earlier.checkpoint.trained_on.as_mut().unwrap().validation = None;
    earlier.restore(&mut trainer(&recipe, divided(&recipe))).unwrap();
}
