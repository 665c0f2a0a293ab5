//! Callbacks of a run.

use super::metrics::{EpochRow, Row, StepRow};
use super::{Event, Trainer};
use crate::error::Result;
use crate::pass::RING;

/// Receives the progress of a run: [`Trainer::run`](super::Trainer::run). A closure over rows is an
/// observer.
pub trait Observer {
    /// Receives the metrics of a step. They arrive in order, up to a few hundred steps at a time.
    fn step(&mut self, _row: &StepRow) {}

    /// Receives the metrics of an epoch.
    fn epoch(&mut self, _row: &EpochRow) {}

    /// Whether the run should end now. Asked after each group of steps.
    fn stops(&mut self) -> bool {
        false
    }
}

impl<F: FnMut(&Row)> Observer for F {
    fn step(&mut self, row: &StepRow) {
        self(&Row::Step(row.clone()));
    }

    fn epoch(&mut self, row: &EpochRow) {
        self(&Row::Epoch(row.clone()));
    }
}

impl Trainer {
    /// Runs until the end of the recipe, or until the observer stops it.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Trainer::advance`] does.
    pub async fn run(&mut self, observer: &mut dyn Observer) -> Result<()> {
        loop {
            let events = self.advance(RING as u64).await?;
            if events.is_empty() && self.over() || observe(observer, &events) {
                return Ok(());
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl super::run::Run {
    /// Runs until the end of the recipe, or until the observer stops it, and writes all files.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Run::advance`](Self::advance) does.
    pub async fn run(&mut self, observer: &mut dyn Observer) -> Result<()> {
        loop {
            let events = self.advance(RING as u64).await?;
            if events.is_empty() && self.trainer().over() {
                return Ok(());
            }
            if observe(observer, &events) {
                return self.pause().await;
            }
        }
    }
}

/// Passes events on to an observer; returns whether it ends the run.
fn observe(observer: &mut dyn Observer, events: &[Event]) -> bool {
    for event in events {
        match event {
            Event::Row(Row::Step(row)) => observer.step(row),
            Event::Row(Row::Epoch(row)) => observer.epoch(row),
            Event::EpochEnd => {}
        }
    }
    observer.stops()
}
