//! Progress of a study: one line per finished run, and on a terminal a line that is updated during
//! the runs.

use crate::cli::terminal::{self, duration, grouped, is_capable, print_status};
use halfwave::experiment::Outcome;
use halfwave::train::metrics::Row;
use halfwave::train::run::Run;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Interval between lines when output is not a terminal.
const QUIET: Duration = Duration::from_secs(20);

pub(super) struct Progress {
    /// Whether one line is updated in place.
    live: bool,
    runs: usize,
    /// Number of steps to execute, and of those executed so far.
    left: u64,
    done: u64,
    begun: Instant,
    /// The current run of each adapter.
    current: Vec<Option<Current>>,
}

/// A run in progress.
struct Current {
    label: String,
    begun: Instant,
    printed: Instant,
    /// The label with the last values.
    text: String,
}

impl Progress {
    /// Creates a progress display for `runs` runs with `left` steps in total.
    pub(super) fn new(runs: usize, left: u64, plain: bool, adapters: usize) -> Self {
        let live = !plain && std::io::stderr().is_terminal() && is_capable();
        let current = (0..adapters).map(|_| None).collect();
        Self { live, runs, left, done: 0, begun: Instant::now(), current }
    }

    /// Marks the start of a run, or its resumption.
    pub(super) fn begin(&mut self, adapter: usize, at: usize, name: &str) {
        let width = self.runs.to_string().len();
        let label = format!("[{:>width$}/{}] {name}", at + 1, self.runs);
        let now = Instant::now();
        self.current[adapter] = Some(Current { text: label.clone(), label, begun: now, printed: now });
        self.show();
    }

    /// Reports the steps completed since step `before`.
    pub(super) fn steps(&mut self, adapter: usize, run: &mut Run, before: u64) {
        let position = run.trainer().position();
        self.done += position.step - before;
        let rate = self.done as f64 / self.begun.elapsed().as_secs_f64();
        let seconds = self.left.saturating_sub(self.done) as f64 / rate;
        let live = self.live;
        let Some(current) = self.current[adapter].as_mut() else { return };
        if !live && current.printed.elapsed() < QUIET {
            return;
        }
        current.printed = Instant::now();
        let trainer = run.trainer();
        let epochs = trainer.total_steps().div_ceil(trainer.epoch_steps().max(1));
        let mut parts = vec![format!("epoch {}/{epochs}", (position.epoch + 1).min(epochs))];
        let latest = || run.rows().iter().rev();
        let loss = latest().find_map(|row| if let Row::Step(row) = row { Some(row.loss) } else { None });
        let test = latest().find_map(|row| if let Row::Epoch(row) = row { row.test_accuracy } else { None });
        parts.extend(loss.map(|loss| format!("loss {}", terminal::loss(loss.into()))));
        parts.extend(test.map(|test| format!("test {:.1}%", 100.0 * test)));
        current.text = format!("{}   {}", current.label, parts.join(" · "));
        let left = (seconds.is_finite() && seconds >= 1.0)
            .then(|| format!(" · {} left", duration(seconds.ceil()).replace(".0 s", " s")));
        let left = left.unwrap_or_default();
        if live {
            let texts: Vec<_> = self.current.iter().flatten().map(|current| current.text.as_str()).collect();
            self.rewrite(&(texts.join("  |  ") + &left));
        } else {
            print_status(&format!("{}{left}", current.text));
        }
    }

    /// Reports the result of a finished run.
    pub(super) fn over(&mut self, adapter: usize, outcome: &Outcome) {
        self.clear();
        let Some(current) = self.current[adapter].take() else { return };
        let accuracy = match (outcome.diverged, outcome.last()) {
            (Some(step), _) => format!("diverged at step {}", grouped(step)),
            (None, Some(last)) => format!("test {last:>5.1}%"),
            (None, None) => "not measured".to_string(),
        };
        let speed =
            outcome.images_per_s.map_or(String::new(), |speed| format!("   {} images/s", grouped(speed as u64)));
        let time = duration(current.begun.elapsed().as_secs_f64());
        let device = if self.current.len() > 1 { format!("   {}", outcome.device) } else { String::new() };
        print_status(&format!("{:<38}   {accuracy}{speed}   {time}{device}", current.label));
        self.show();
    }

    /// Marks that an adapter has no run.
    pub(super) fn end(&mut self, adapter: usize) {
        self.current[adapter] = None;
    }

    /// Clears the line before other output.
    pub(super) fn clear(&self) {
        self.rewrite("");
    }

    /// Displays the current runs.
    fn show(&self) {
        let texts: Vec<_> = self.current.iter().flatten().map(|current| current.text.as_str()).collect();
        self.rewrite(&texts.join("  |  "));
    }

    fn rewrite(&self, text: &str) {
        if self.live {
            // A line that wraps cannot be rewritten.
            let columns = ratatui::crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns.max(2)));
            let text: String = text.chars().take(columns - 1).collect();
            // A closed stderr is no reason to stop.
            let _ = write!(std::io::stderr().lock(), "\r{text}\x1b[K");
        }
    }
}

impl Drop for Progress {
    /// Clears the line, so that further output starts at its beginning.
    fn drop(&mut self) {
        self.clear();
    }
}
