//! Progress of an experiment: one line per finished run, and on a terminal a line that is updated
//! during a run.

use crate::cli::terminal::{duration, grouped, is_capable, print_status};
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
    run_begun: Instant,
    printed: Instant,
    /// The label of the current run.
    label: String,
}

impl Progress {
    /// Creates a progress display for `runs` runs with `left` steps in total.
    pub(super) fn new(runs: usize, left: u64, plain: bool) -> Self {
        let (live, now) = (!plain && std::io::stderr().is_terminal() && is_capable(), Instant::now());
        Self { live, runs, left, done: 0, begun: now, run_begun: now, printed: now, label: String::new() }
    }

    /// Marks the start of a run, or its resumption.
    pub(super) fn begin(&mut self, at: usize, name: &str) {
        let width = self.runs.to_string().len();
        self.label = format!("[{:>width$}/{}] {name}", at + 1, self.runs);
        (self.run_begun, self.printed) = (Instant::now(), Instant::now());
        self.rewrite(&self.label);
    }

    /// Reports the steps completed since step `before`.
    pub(super) fn steps(&mut self, run: &mut Run, before: u64) {
        let position = run.trainer().position();
        self.done += position.step - before;
        if !self.live && self.printed.elapsed() < QUIET {
            return;
        }
        self.printed = Instant::now();
        let trainer = run.trainer();
        let epochs = trainer.total_steps().div_ceil(trainer.epoch_steps().max(1));
        let mut parts = vec![format!("epoch {}/{epochs}", (position.epoch + 1).min(epochs))];
        let latest = || run.rows().iter().rev();
        let loss = latest().find_map(|row| if let Row::Step(row) = row { Some(row.loss) } else { None });
        let test = latest().find_map(|row| if let Row::Epoch(row) = row { row.test_accuracy } else { None });
        parts.extend(loss.map(|loss| format!("loss {loss:.3}")));
        parts.extend(test.map(|test| format!("test {:.1}%", 100.0 * test)));
        let rate = self.done as f64 / self.begun.elapsed().as_secs_f64();
        let seconds = self.left.saturating_sub(self.done) as f64 / rate;
        if self.done > 0 && seconds >= 1.0 {
            parts.push(format!("{} left", duration(seconds.ceil()).replace(".0 s", " s")));
        }
        let text = format!("{}   {}", self.label, parts.join(" · "));
        if self.live { self.rewrite(&text) } else { print_status(&text) }
    }

    /// Reports the result of a finished run.
    pub(super) fn over(&self, outcome: &Outcome) {
        self.clear();
        let accuracy = match (outcome.diverged, outcome.last()) {
            (Some(step), _) => format!("diverged at step {}", grouped(step)),
            (None, Some(last)) => format!("test {last:>5.1}%"),
            (None, None) => "not measured".to_string(),
        };
        let speed =
            outcome.images_per_s.map_or(String::new(), |speed| format!("   {} images/s", grouped(speed as u64)));
        let time = duration(self.run_begun.elapsed().as_secs_f64());
        print_status(&format!("{:<38}   {accuracy}{speed}   {time}", self.label));
    }

    /// Clears the line before other output.
    pub(super) fn clear(&self) {
        self.rewrite("");
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
