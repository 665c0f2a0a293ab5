//! A thread for each adapter, which works through the runs that wait.

use super::Planned;
use super::board::Board;
use crate::cli::UPDATE_INTERVAL;
use crate::cli::device::{Choice, Opened};
use crate::cli::terminal::print_message;
use halfwave::experiment::{Outcome, State};
use halfwave::train::claim::Claim;
use halfwave::train::run::Run;
use halfwave::train::{StepPacer, Trainer};
use halfwave::{Error, Result};
use std::thread;
use std::time::Instant;

/// Stack of a thread: that of a main thread, because training may run in either.
const STACK: usize = 8 << 20;

/// Works on all runs that wait, until there is none, a stop is requested, or one fails: the others
/// then finish their current runs.
pub(super) fn on_all(devices: Vec<Choice>, board: &Board<'_>) {
    let adapters = devices.len();
    let mut devices = devices.into_iter().enumerate();
    let first = devices.next();
    thread::scope(|scope| {
        for (adapter, choice) in devices {
            let name = format!("adapter {adapter}");
            let builder = thread::Builder::new().name(name.clone()).stack_size(STACK);
            let started = builder.spawn_scoped(scope, move || work(adapter, adapters, &choice, board));
            if let Err(error) = started {
                board.lock().failed = Some(Error::io(&name)(error));
            }
        }
        // The main thread has an adapter as well.
        if let Some((adapter, choice)) = first {
            work(adapter, adapters, &choice, board);
        }
    });
    board.lock().progress.clear();
}

/// Works on one adapter.
fn work(adapter: usize, adapters: usize, choice: &Choice, board: &Board<'_>) {
    while let Some((run, state)) = board.take(adapter) {
        let done = pollster::block_on(execute(adapter, choice, board, run, state));
        let error = match done.and_then(|outcome| board.over(adapter, run, outcome)) {
            Ok(()) => continue,
            Err(error) => error,
        };
        let mut inner = board.lock();
        inner.progress.end(adapter);
        match error {
            Error::Stopped => {}
            error if inner.failed.is_none() => {
                if adapters > 1 {
                    inner.progress.clear();
                    let (device, dir) = (choice.device().adapter, run.dir.display());
                    let what = format_args!("{device} failed in {dir}; the other adapters finish their current runs");
                    print_message("warning", &what);
                }
                inner.failed = Some(error);
            }
            error => print_message("warning", &error),
        }
        return;
    }
    board.lock().progress.end(adapter);
}

/// Executes a run to its end. If a stop is requested, its state is saved and `Error::Stopped`
/// returned.
async fn execute(
    adapter: usize,
    choice: &Choice,
    board: &Board<'_>,
    planned: &Planned,
    state: State,
) -> Result<Outcome> {
    let claim = match &state {
        State::Begun(_) => Claim::existing(&planned.dir)?,
        State::New | State::Over(_) => Claim::new(&planned.dir)?,
    };
    let Opened { backend, device } = match &state {
        State::Begun(_) => choice.clone().reopen(&planned.dir)?,
        State::New | State::Over(_) => choice.clone().open(choice.request())?,
    };
    let recipe = board.study.recipe(planned.arm, planned.seed);
    let mut trainer = Trainer::new(recipe, planned.images.clone(), backend, false).await?;
    let mut run = match state {
        State::Begun(saved) => {
            saved.restore(&mut trainer)?;
            Run::resume(claim, trainer, &device).await?
        }
        State::New | State::Over(_) => Run::create(claim, trainer, &device).await?,
    };
    let mut pacer = StepPacer::new(UPDATE_INTERVAL);
    loop {
        let asked = Instant::now();
        let before = run.trainer().position().step;
        match run.advance(pacer.steps()).await {
            Ok(events) if events.is_empty() => break,
            Ok(_) => {}
            Err(Error::Stopped) => {
                run.pause().await?;
                return Err(Error::Stopped);
            }
            // Divergence is a result as well.
            Err(error) if Outcome::new(run.rows(), &device.adapter).diverged.is_some() => {
                board.lock().progress.clear();
                print_message("note", &format_args!("{}: {error}", planned.dir.display()));
                break;
            }
            Err(error) => return Err(error),
        }
        board.lock().progress.steps(adapter, &mut run, before);
        pacer.took(asked.elapsed());
    }
    Ok(Outcome::new(run.rows(), &device.adapter))
}
