//! Callbacks of a run: what they are given, and that their errors end it.

use super::{EPOCH_STEPS, EPOCHS, checkpoint, create, finish, recipe, resume, rows, trainer};
use halfwave::metrics::{EpochRow, StepRow};
use halfwave::train::{Observer, Trainer};
use halfwave::{Error, Result};
use pollster::block_on;

/// Notes the trainer's step at each epoch; fails at a step or at an epoch, counted from 1.
#[derive(Default)]
struct Failing {
    at_step: u64,
    at_epoch: u64,
    steps: u64,
    ends: Vec<u64>,
}

impl Observer for Failing {
    fn step(&mut self, row: &StepRow) -> Result<()> {
        self.steps = row.step;
        if row.step == self.at_step { Err(Error::Usage("a step".into())) } else { Ok(()) }
    }

    fn epoch(&mut self, row: &EpochRow, trainer: &mut Trainer) -> Result<()> {
        let position = block_on(trainer.checkpoint())?.position;
        self.ends.push(position.step);
        if row.epoch == self.at_epoch { Err(Error::Usage("an epoch".into())) } else { Ok(()) }
    }
}

#[test]
fn a_callback_is_given_the_trainer_at_the_end_of_an_epoch() {
    let mut observer = Failing::default();
    block_on(trainer(recipe()).run(&mut observer)).unwrap();
    assert_eq!(observer.ends, (1..=EPOCHS).map(|epoch| epoch * EPOCH_STEPS).collect::<Vec<_>>());
    assert_eq!(observer.steps, EPOCHS * EPOCH_STEPS);
}

#[test]
fn an_error_of_a_callback_ends_the_run_which_can_be_resumed() {
    let base = tempfile::tempdir().unwrap();
    let whole = base.path().join("whole");
    finish(create(&whole, recipe()));
    for (at_step, at_epoch, name) in [(2, 0, "a step"), (0, 2, "an epoch")] {
        let mut observer = Failing { at_step, at_epoch, ..Failing::default() };
        let error = block_on(trainer(recipe()).run(&mut observer)).unwrap_err();
        assert_eq!(error.to_string(), name);
        assert!(observer.steps < EPOCHS * EPOCH_STEPS);

        let dir = base.path().join(name);
        let mut run = create(&dir, recipe());
        let error = block_on(run.run(&mut Failing { at_step, at_epoch, ..Failing::default() })).unwrap_err();
        assert_eq!(error.to_string(), name);
        drop(run);
        finish(resume(&dir, |_| {}));
        assert_eq!(rows(&dir), rows(&whole), "{name}");
        assert!(checkpoint(&dir) == checkpoint(&whole), "{name}: the checkpoints differ");
    }
}
