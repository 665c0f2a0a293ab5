//! Callbacks of a run.

use super::metrics::{EpochRow, Row, StepRow};
use super::{Event, Trainer};
use crate::error::{Error, Result};
use crate::pass::RING;

/// Receives the progress of a run: [`Trainer::run`](super::Trainer::run). A closure over rows is an
/// observer that cannot fail.
///
/// An error of a callback ends the run, which returns it: an observer that writes files need not keep
/// the error until the run asks whether it [stops](Self::stops).
pub trait Observer {
    /// Receives the metrics of a step. They arrive in order, up to a few hundred steps at a time, and
    /// the trainer may be that many steps ahead; therefore it is not passed here.
    ///
    /// # Errors
    ///
    /// Any error ends the run.
    fn step(&mut self, _row: &StepRow) -> Result<()> {
        Ok(())
    }

    /// Receives the metrics of an epoch, and the trainer, which is at the end of that epoch: its
    /// [checkpoint](Trainer::checkpoint) or its [session](Trainer::session)'s tensors are those that
    /// were evaluated. The trainer must not be advanced here.
    ///
    /// # Errors
    ///
    /// Any error ends the run.
    fn epoch(&mut self, _row: &EpochRow, _trainer: &mut Trainer) -> Result<()> {
        Ok(())
    }

    /// Whether the run should end now. Asked after each group of steps.
    fn stops(&mut self) -> bool {
        false
    }
}

impl<F: FnMut(&Row)> Observer for F {
    fn step(&mut self, row: &StepRow) -> Result<()> {
        self(&Row::Step(row.clone()));
        Ok(())
    }

    fn epoch(&mut self, row: &EpochRow, _trainer: &mut Trainer) -> Result<()> {
        self(&Row::Epoch(row.clone()));
        Ok(())
    }
}

/// What trains in groups of steps: a trainer, or a run, which also writes files.
trait Advance {
    async fn advance(&mut self, limit: u64) -> Result<Vec<Event>>;
    fn trainer(&mut self) -> &mut Trainer;
}

/// The reason for which a run ended without an error of its own.
enum End {
    /// The recipe's end.
    Complete,
    /// The observer ended it, with an error or without.
    Observer(Result<()>),
}

/// Trains until the end of the recipe, or until the observer ends it.
async fn observed(training: &mut impl Advance, observer: &mut dyn Observer) -> Result<End> {
    loop {
        let events = training.advance(RING as u64).await?;
        if events.is_empty() && training.trainer().over() {
            return Ok(End::Complete);
        }
        match notify(observer, &events, training.trainer()) {
            Ok(false) => {}
            ended => return Ok(End::Observer(ended.map(|_| ()))),
        }
    }
}

/// Passes events on to an observer; returns whether it ends the run.
fn notify(observer: &mut dyn Observer, events: &[Event], trainer: &mut Trainer) -> Result<bool, Error> {
    for event in events {
        match event {
            Event::Row(Row::Step(row)) => observer.step(row)?,
            Event::Row(Row::Epoch(row)) => observer.epoch(row, trainer)?,
            Event::EpochEnd => {}
        }
    }
    Ok(observer.stops())
}

impl Advance for Trainer {
    async fn advance(&mut self, limit: u64) -> Result<Vec<Event>> {
        Trainer::advance(self, limit).await
    }

    fn trainer(&mut self) -> &mut Trainer {
        self
    }
}

impl Trainer {
    /// Runs until the end of the recipe, or until the observer stops it.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Trainer::advance`] does, or that of the observer.
    pub async fn run(&mut self, observer: &mut dyn Observer) -> Result<()> {
        match observed(self, observer).await? {
            End::Complete => Ok(()),
            End::Observer(result) => result,
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod files {
    use super::{Advance, End, Event, Observer, Result, Trainer, observed};
    use crate::train::run::Run;

    impl Advance for Run {
        async fn advance(&mut self, limit: u64) -> Result<Vec<Event>> {
            Run::advance(self, limit).await
        }

        fn trainer(&mut self) -> &mut Trainer {
            Run::trainer(self)
        }
    }

    impl Run {
        /// Runs until the end of the recipe, or until the observer stops it, and writes all files.
        ///
        /// # Errors
        ///
        /// Returns an error as [`Run::advance`](Self::advance) does, or that of the observer, after
        /// which the run can be resumed.
        pub async fn run(&mut self, observer: &mut dyn Observer) -> Result<()> {
            match observed(self, observer).await? {
                End::Complete => Ok(()),
                End::Observer(result) => {
                    self.pause().await?;
                    result
                }
            }
        }
    }
}
