//! What a run shows while it goes on: a bar on a terminal, and a line an epoch either way.

use super::terminal::{duration, grouped, percent, say};
use halfwave::recipe::{Length, Recipe};
use halfwave::train::metrics::{EpochRow, Row};
use halfwave::train::{Event, Position};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Without a bar, a line is due after this time.
const QUIET: Duration = Duration::from_secs(20);

/// The viewer of a run's events.
pub(super) struct Progress {
    /// None where there is no terminal.
    bar: Option<ProgressBar>,
    steps: u64,
    epochs: u64,
    batch: usize,
    /// Steps between two lines of a run whose length is in steps.
    stride: u64,
    /// Sum and number of the losses of this epoch.
    losses: (f64, u64),
    /// The last losses, smoothed.
    loss: f64,
    /// Images and seconds, those of long ago counting less; none before the second call.
    work: Option<(f64, f64)>,
    called: (Instant, u64),
    said: (Instant, u64),
    test_accuracy: Option<f32>,
}

impl Progress {
    /// Of a run of `steps` steps, `epoch_steps` an epoch, which stands at `position`.
    pub(super) fn new(recipe: &Recipe, steps: u64, epoch_steps: u64, position: Position, plain: bool) -> Self {
        let bar = (!plain && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{percent:>3} % {bar:16.cyan/black.bright} {wide_msg}");
            let style = style.expect("the template is right").progress_chars("━╸━");
            ProgressBar::new(steps).with_position(position.step).with_style(style)
        });
        let stride = match recipe.train.length {
            Length::Steps(_) => steps.div_ceil(10),
            Length::Epochs(_) => u64::MAX,
        };
        let now = (Instant::now(), position.step);
        Self {
            bar,
            steps,
            epochs: steps.div_ceil(epoch_steps.max(1)),
            batch: recipe.train.batch,
            stride,
            losses: (0.0, 0),
            loss: f64::NAN,
            work: None,
            called: now,
            said: now,
            test_accuracy: None,
        }
    }

    /// Shows what happened up to `position`.
    pub(super) fn show(&mut self, events: &[Event], position: Position) {
        for event in events {
            match event {
                Event::Row(Row::Step(row)) => {
                    let loss = f64::from(row.loss);
                    self.losses = (self.losses.0 + loss, self.losses.1 + 1);
                    self.loss = if self.loss.is_nan() { loss } else { 0.9 * self.loss + 0.1 * loss };
                }
                Event::Row(Row::Epoch(row)) => self.epoch(row),
                Event::EpochEnd => self.losses = (0.0, 0),
            }
        }
        let (now, steps) = (Instant::now(), position.step - self.called.1);
        if !events.contains(&Event::EpochEnd) && steps > 0 {
            // The first call is left out: drivers compile then.
            if let Some((images, seconds)) = &mut self.work {
                *images = 0.9 * *images + (steps * self.batch as u64) as f64;
                *seconds = 0.9 * *seconds + (now - self.called.0).as_secs_f64();
            }
            self.work = self.work.or(Some((0.0, 0.0)));
        }
        self.called = (now, position.step);
        match &self.bar {
            Some(bar) => {
                bar.set_position(position.step);
                bar.set_message(self.message(position));
            }
            None => self.steps_line(position),
        }
    }

    /// A line for people who read a log, between the ends of epochs.
    fn steps_line(&mut self, position: Position) {
        let passed = position.step / self.stride != self.said.1 / self.stride;
        let at_end = position.batch == 0 || position.step == self.steps;
        if at_end {
            self.said = (Instant::now(), position.step);
        } else if passed || self.said.0.elapsed() > QUIET {
            let width = self.steps.to_string().len();
            let accuracy = percent(position.correct as f32 / position.seen.max(1) as f32);
            let speed = self.images_per_s().map_or("-".to_string(), |speed| grouped(speed.round() as u64));
            let (step, steps, loss) = (position.step, self.steps, self.loss);
            say(&format!("step {step:>width$}/{steps}   loss {loss:.4}   train {accuracy:>7}   {speed:>7} images/s"));
            self.said = (Instant::now(), step);
        }
    }

    /// None until it is known.
    fn images_per_s(&self) -> Option<f64> {
        self.work.filter(|work| work.1 > 0.0).map(|(images, seconds)| images / seconds)
    }

    fn message(&self, position: Position) -> String {
        let epoch = (position.epoch + 1).min(self.epochs);
        let speed = self.images_per_s();
        let left = speed.map(|speed| (self.steps - position.step) as f64 * self.batch as f64 / speed);
        let mut parts = Vec::new();
        parts.extend(left.map(|seconds| format!("{} left", duration(seconds.ceil()).replace(".0 s", " s"))));
        parts.push(format!("epoch {epoch}/{}", self.epochs));
        parts.push(format!("loss {:.3}", self.loss));
        if position.seen > 0 {
            parts.push(format!("train {}", percent(position.correct as f32 / position.seen as f32)));
        }
        parts.extend(self.test_accuracy.map(|accuracy| format!("test {}", percent(accuracy))));
        parts.extend(speed.map(|speed| format!("{} images/s", grouped(speed.round() as u64))));
        parts.join(" · ")
    }

    fn epoch(&mut self, row: &EpochRow) {
        let width = self.epochs.to_string().len();
        let accuracy = |share: Option<f32>| share.map_or("-".to_string(), percent);
        let line = format!(
            "epoch {:>width$}/{}   loss {:.4}   train {:>7}   test {:>7}   {:>7} images/s",
            row.epoch,
            self.epochs,
            self.losses.0 / self.losses.1.max(1) as f64,
            accuracy(row.train_accuracy),
            accuracy(row.test_accuracy),
            grouped(row.images_per_s.round() as u64)
        );
        self.test_accuracy = row.test_accuracy.or(self.test_accuracy);
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&line)),
            None => say(&line),
        }
    }

    /// The last that was measured.
    pub(super) fn test_accuracy(&self) -> Option<f32> {
        self.test_accuracy
    }
}

impl Drop for Progress {
    /// However a run ends, what is said next begins on a line of its own.
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
