//! Progress of a run: a view on a terminal, and one line per epoch in any case.

use super::terminal::{self, grouped, percent, print_status};
use super::view::View;
use halfwave::recipe::Length;
use halfwave::train::metrics::{EpochRow, RankRow, Row};
use halfwave::train::{Event, Position, Trainer};
use std::time::{Duration, Instant};

/// Interval between lines when there is no view.
const QUIET: Duration = Duration::from_secs(20);

/// Displays a run's events.
pub(super) struct Progress {
    /// `None` if there is no terminal.
    view: Option<View>,
    steps: u64,
    epochs: u64,
    batch: usize,
    /// Whether there are validation images.
    is_validated: bool,
    /// Steps between two lines, for a run whose length is given in steps.
    stride: u64,
    /// Sum and number of the losses of this epoch.
    losses: (f64, u64),
    /// The smoothed loss.
    loss: f64,
    /// Images and seconds, weighted towards recent steps; `None` before the second call.
    work: Option<(f64, f64)>,
    called: (Instant, u64),
    printed: (Instant, u64),
    test_accuracy: Option<f32>,
}

impl Progress {
    /// Creates the display of a run, with the rows written so far.
    pub(super) fn new(trainer: &Trainer, rows: &[Row], view: Option<View>) -> Self {
        let (position, steps, epoch_steps) = (trainer.position(), trainer.total_steps(), trainer.epoch_steps());
        let recipe = trainer.recipe();
        let stride = match recipe.train.length {
            Length::Steps(_) => steps.div_ceil(10),
            Length::Epochs(_) => u64::MAX,
        };
        let now = (Instant::now(), position.step);
        let mut losses = (0.0, 0);
        for row in rows {
            if let Row::Step(row) = row
                && row.epoch > position.epoch
            {
                losses = (losses.0 + f64::from(row.loss), losses.1 + 1);
            }
        }
        Self {
            view,
            steps,
            epochs: steps.div_ceil(epoch_steps.max(1)),
            batch: recipe.train.batch,
            is_validated: trainer.is_validated(),
            stride,
            losses,
            loss: f64::NAN,
            work: None,
            called: now,
            printed: now,
            test_accuracy: None,
        }
    }

    /// Shows the events up to `position`.
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
            // The first call is excluded, because drivers compile then.
            if let Some((images, seconds)) = &mut self.work {
                *images = 0.9 * *images + (steps * self.batch as u64) as f64;
                *seconds = 0.9 * *seconds + (now - self.called.0).as_secs_f64();
            }
            self.work = self.work.or(Some((0.0, 0.0)));
        }
        self.called = (now, position.step);
        match &self.view {
            Some(view) => view.show(events, position, self.images_per_s()),
            None => self.steps_line(position),
        }
    }

    /// Prints a line between the ends of epochs, for logs.
    fn steps_line(&mut self, position: Position) {
        let passed = position.step / self.stride != self.printed.1 / self.stride;
        let at_end = position.batch == 0 || position.step == self.steps;
        if at_end {
            self.printed = (Instant::now(), position.step);
        } else if passed || self.printed.0.elapsed() > QUIET {
            let width = self.steps.to_string().len();
            let accuracy = percent(position.correct as f32 / position.seen.max(1) as f32);
            let speed = self.images_per_s().map_or("-".to_string(), |speed| grouped(speed.round() as u64));
            let (step, steps, loss) = (position.step, self.steps, self.loss);
            print_status(&format!(
                "step {step:>width$}/{steps}   loss {loss:.4}   train {accuracy:>6}   {speed:>7} images/s"
            ));
            self.printed = (Instant::now(), step);
        }
    }

    /// Returns the throughput, or `None` until it is known.
    fn images_per_s(&self) -> Option<f64> {
        self.work.filter(|work| work.1 > 0.0).map(|(images, seconds)| images / seconds)
    }

    fn epoch(&mut self, row: &EpochRow) {
        let width = self.epochs.to_string().len();
        let accuracy = |share: Option<f32>| share.map_or("-".to_string(), percent);
        let held_out = match self.is_validated {
            true => format!("validation {:>6}   ", accuracy(row.validation_accuracy)),
            false => String::new(),
        };
        // Neither is known if only the evaluation of the epoch remained.
        let (sum, count) = self.losses;
        let loss = if count > 0 { terminal::loss(sum / count as f64) } else { "-".to_string() };
        let speed = row.images_per_s;
        let speed = if speed.is_finite() { grouped(speed.round() as u64) } else { "-".to_string() };
        let line = format!(
            "epoch {:>width$}/{}   loss {loss:>6}   train {:>6}   {held_out}test {:>6}   {speed:>7} images/s{}",
            row.epoch,
            self.epochs,
            accuracy(row.train_accuracy),
            accuracy(row.test_accuracy),
            exchanged(row)
        );
        self.test_accuracy = row.test_accuracy.or(self.test_accuracy);
        print_status(&line);
    }

    /// Closes the view, and returns the last measured test accuracy.
    pub(super) fn finish(self) -> Option<f32> {
        self.test_accuracy
    }
}

/// What the ranks of an epoch have exchanged: the most bytes per step, and the least and the largest shares of their
/// time.
fn exchanged(row: &EpochRow) -> String {
    let Some(bytes) = row.ranks.iter().map(|rank| rank.bytes_per_step).max() else { return String::new() };
    let shares = |of: fn(&RankRow) -> f64| {
        let shares = row.ranks.iter().map(|rank| 100.0 * of(rank) / rank.seconds.max(1e-9));
        let (least, most) =
            shares.fold((f64::INFINITY, 0.0f64), |(least, most), share| (least.min(share), most.max(share)));
        format!("{least:.0} to {most:.0}%")
    };
    let batch_norms = match row.ranks.iter().any(|rank| rank.batch_norm_s > 0.0) {
        true => format!(", {} for batch-norms", shares(|rank| rank.batch_norm_s)),
        false => String::new(),
    };
    let (count, bytes, all) = (row.ranks.len(), terminal::bytes(bytes), shares(|rank| rank.exchange_s));
    format!("   {count} ranks: {bytes} per step, {all} of the time in exchanges{batch_norms}")
}
