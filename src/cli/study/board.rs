//! The runs that wait, the results, and the progress, shared by the threads of all adapters.

use super::progress::Progress;
use super::{Planned, write};
use crate::cli::interrupt;
use halfwave::experiment::{Outcome, State, Study, Table};
use halfwave::{Error, Result};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What all threads know.
pub(super) struct Board<'a> {
    pub(super) study: &'a Study,
    pub(super) out: &'a Path,
    pub(super) runs: &'a [Planned],
    inner: Mutex<Inner>,
}

/// What they change.
pub(super) struct Inner {
    /// The states of the runs that are neither finished nor taken.
    waiting: Vec<Option<State>>,
    /// By arm and seed.
    pub(super) outcomes: Vec<Vec<Option<Outcome>>>,
    pub(super) progress: Progress,
    /// The first error; no run is started after it.
    pub(super) failed: Option<Error>,
}

impl<'a> Board<'a> {
    pub(super) fn new(
        study: &'a Study,
        out: &'a Path,
        runs: &'a [Planned],
        states: Vec<State>,
        plain: bool,
        adapters: usize,
    ) -> Self {
        let mut outcomes = vec![vec![None; study.seeds as usize]; study.arms.len()];
        let mut left = 0;
        let mut waits = |(run, state): (&Planned, State)| {
            left += run.steps_left(study, &state);
            match state {
                State::Over(outcome) => {
                    outcomes[run.arm][run.seed as usize] = Some(outcome);
                    None
                }
                state => Some(state),
            }
        };
        let waiting = runs.iter().zip(states).map(&mut waits).collect();
        let progress = Progress::new(runs.len(), left, plain, adapters);
        Self { study, out, runs, inner: Mutex::new(Inner { waiting, outcomes, progress, failed: None }) }
    }

    /// Returns access to what changes. A thread that panics ends the program after the others.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of finished runs.
    pub(super) fn finished(&self) -> usize {
        self.lock().finished()
    }

    /// Takes a run that waits, and displays it as the one of this adapter; `None` if there is none,
    /// or no further run is to be started.
    pub(super) fn take(&self, adapter: usize) -> Option<(&'a Planned, State)> {
        let mut inner = self.lock();
        if inner.failed.is_some() || interrupt::asked() {
            return None;
        }
        let (at, state) = inner.waiting.iter_mut().enumerate().find_map(|(at, state)| Some((at, state.take()?)))?;
        let run = &self.runs[at];
        let name = format!("{}, seed {}", self.study.arms[run.arm].name, run.seed);
        inner.progress.begin(adapter, at, &name);
        Some((run, state))
    }

    /// Records the result of a run, and writes the table and plots.
    pub(super) fn over(&self, adapter: usize, run: &Planned, outcome: Outcome) -> Result<()> {
        let mut inner = self.lock();
        inner.progress.over(adapter, &outcome);
        inner.outcomes[run.arm][run.seed as usize] = Some(outcome);
        write(&Table::new(self.study, &inner.outcomes), self.study, self.out)
    }

    /// Returns everything at the end.
    pub(super) fn into_inner(self) -> Inner {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns the number of finished runs.
    pub(super) fn finished(&self) -> usize {
        self.outcomes.iter().flatten().flatten().count()
    }
}
