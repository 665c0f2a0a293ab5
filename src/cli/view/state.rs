//! The state of a view, derived only from a run's rows. Pure: no terminal, no clock.

use super::curve::Curve;
use super::ranks::RankTimes;
use halfwave::train::metrics::{EpochRow, LayerRow, RankRow, Row, StepRow};
use halfwave::train::{Event, Position};

/// Properties that do not change during a run.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct RunSummary {
    pub(in crate::cli) folder: String,
    pub(in crate::cli) device: String,
    /// Number of steps of the whole run.
    pub(in crate::cli) steps: u64,
    /// Number of epochs of the whole run, including a partial last one.
    pub(in crate::cli) epochs: u64,
    pub(in crate::cli) epoch_steps: u64,
    /// Images per step.
    pub(in crate::cli) batch: usize,
    /// Names of the layers, in topological order.
    pub(in crate::cli) layers: Vec<String>,
    /// Devices of all ranks that train together, in their order; none if there are no others.
    pub(in crate::cli) ranks: Vec<String>,
}

/// Accuracy by epoch on one set of images, from 0 to 100.
#[derive(Debug, Default)]
pub(super) struct Accuracy {
    pub(super) curve: Curve,
    pub(super) last: Option<f64>,
    /// The best accuracy, and the first epoch that reached it.
    pub(super) best: Option<(f64, u64)>,
}

impl Accuracy {
    fn push(&mut self, epoch: u64, share: Option<f32>) {
        let Some(accuracy) = share.filter(|share| share.is_finite()).map(|share| 100.0 * f64::from(share)) else {
            return;
        };
        self.curve.push(epoch as f64, accuracy);
        self.last = Some(accuracy);
        if self.best.is_none_or(|(best, _)| accuracy > best) {
            self.best = Some((accuracy, epoch));
        }
    }
}

/// Everything that is displayed.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) about: RunSummary,
    pub(super) position: Position,
    /// Loss by step: of training and, where measured, of the validation and test sets.
    pub(super) loss: Curve,
    pub(super) validation_loss: Curve,
    pub(super) test_loss: Curve,
    /// The smoothed training loss.
    pub(super) recent_loss: Option<f64>,
    pub(super) learning_rate: Option<f32>,
    pub(super) train: Accuracy,
    pub(super) validation: Accuracy,
    pub(super) test: Accuracy,
    /// Top-5 accuracy on the test set, from 0 to 100.
    pub(super) top5: Option<f64>,
    /// Statistics of the low-bit layers in the last epoch that has them, in topological order.
    pub(super) layers: Vec<(String, LayerRow)>,
    pub(super) layers_epoch: u64,
    /// The times of all ranks in the last epoch, in their order; none until they are known.
    pub(super) ranks: Vec<RankTimes>,
    pub(super) images_per_s: Option<f64>,
    /// Wall time of the last epoch, including its evaluation.
    epoch_seconds: Option<f64>,
    /// Seconds since the view was opened.
    pub(super) elapsed: f64,
    /// Estimated remaining time of the run, and when it was estimated.
    expected: Option<(f64, f64)>,
    /// Index of the first visible layer if not all fit.
    pub(super) scroll: usize,
    /// The last note or line of the log.
    pub(super) note: Option<String>,
    /// Whether a stop was requested.
    pub(super) stopping: bool,
}

impl State {
    /// Creates the state of a run at `position`, with the rows written so far.
    pub(super) fn new(about: RunSummary, position: Position, rows: &[Row]) -> Self {
        let printable = |text: &String| text.replace(char::is_control, "?");
        let (folder, device) = (printable(&about.folder), printable(&about.device));
        let ranks = about.ranks.iter().map(printable).collect();
        let mut state = Self { about: RunSummary { folder, device, ranks, ..about }, position, ..Self::default() };
        rows.iter().for_each(|row| state.row(row));
        // These rows were measured earlier, possibly on other devices.
        state.epoch_seconds = None;
        state.ranks.clear();
        state
    }

    /// Applies the events up to `position`, at `elapsed` seconds.
    pub(super) fn update(&mut self, events: &[Event], position: Position, images_per_s: Option<f64>, elapsed: f64) {
        for event in events {
            if let Event::Row(row) = event {
                self.row(row);
            }
        }
        (self.position, self.images_per_s, self.elapsed) = (position, images_per_s, elapsed);
        let steps = self.about.steps.saturating_sub(position.step) as f64;
        let by_epochs = self.epoch_seconds.map(|seconds| steps * seconds / self.about.epoch_steps.max(1) as f64);
        let by_steps = self.step_seconds().map(|seconds| steps * seconds);
        // Whole epochs include evaluations.
        self.expected = by_epochs.or(by_steps).map(|left| (left, elapsed));
    }

    fn row(&mut self, row: &Row) {
        match row {
            Row::Step(row) => self.step(row),
            Row::Epoch(row) => self.epoch(row),
        }
    }

    fn step(&mut self, row: &StepRow) {
        let loss = f64::from(row.loss);
        self.loss.push(row.step as f64, loss);
        self.recent_loss =
            Some(self.recent_loss.filter(|old| old.is_finite()).map_or(loss, |old| 0.9 * old + 0.1 * loss));
        self.learning_rate = Some(row.lr);
    }

    fn epoch(&mut self, row: &EpochRow) {
        self.train.push(row.epoch, row.train_accuracy);
        self.validation.push(row.epoch, row.validation_accuracy);
        self.test.push(row.epoch, row.test_accuracy);
        self.top5 = row.test_top5.map(|share| 100.0 * f64::from(share)).or(self.top5);
        // Rows of old runs do not contain the step.
        let place = if row.step > 0 { row.step } else { row.epoch * self.about.epoch_steps } as f64;
        for (curve, loss) in [(&mut self.validation_loss, row.validation_loss), (&mut self.test_loss, row.test_loss)] {
            loss.into_iter().for_each(|loss| curve.push(place, f64::from(loss)));
        }
        if !row.layers.is_empty() {
            let place = |name: &str| self.about.layers.iter().position(|known| known == name).unwrap_or(usize::MAX);
            self.layers =
                row.layers.iter().map(|(name, layer)| (name.replace(char::is_control, "?"), layer.clone())).collect();
            self.layers.sort_by_key(|(name, _)| place(name));
            self.layers_epoch = row.epoch;
        }
        self.ranks_of(row);
        self.epoch_seconds = Some(row.seconds).filter(|seconds| *seconds > 0.0 && seconds.is_finite());
    }

    /// Takes over the times of all ranks, unless nothing was measured in the epoch.
    fn ranks_of(&mut self, row: &EpochRow) {
        // The throughput is that of the first rank's clock.
        let first = row.ranks.first().map_or(0.0, |rank| rank.seconds);
        let steps = first * row.images_per_s / self.about.batch.max(1) as f64;
        let is_known = |rank: &RankRow| {
            rank.seconds.is_finite() && rank.seconds > 0.0 && (0.0..=rank.seconds).contains(&rank.exchange_s)
        };
        let are_all = row.ranks.len() == self.about.ranks.len() && row.ranks.iter().all(is_known);
        if are_all && steps.is_finite() && steps > 0.0 {
            let times = row.ranks.iter().map(|rank| RankTimes {
                computing: (rank.seconds - rank.exchange_s) / steps,
                exchanging: rank.exchange_s / steps,
                sent: rank.bytes_per_step,
            });
            self.ranks = times.collect();
        }
    }

    /// Returns the current epoch, counted from 1.
    pub(super) fn epoch_under_way(&self) -> u64 {
        (self.position.epoch + 1).min(self.about.epochs.max(1))
    }

    /// Returns the share of the run that is done.
    pub(super) fn done(&self) -> f64 {
        (self.position.step as f64 / self.about.steps.max(1) as f64).min(1.0)
    }

    /// Returns the seconds per step, or `None` until it is known.
    pub(super) fn step_seconds(&self) -> Option<f64> {
        let speed = self.images_per_s.filter(|speed| *speed > 0.0 && speed.is_finite())?;
        Some(self.about.batch as f64 / speed)
    }

    /// Returns the estimated seconds to the end of the run, or `None` until it is known.
    pub(super) fn left(&self) -> Option<f64> {
        self.expected.map(|(left, when)| (left - (self.elapsed - when)).max(0.0))
    }

    /// Returns the training accuracy of the current epoch, from 0 to 100; between two epochs, that
    /// of the last one.
    pub(super) fn train_accuracy(&self) -> Option<f64> {
        let Position { seen, correct, .. } = self.position;
        if seen > 0 { Some(100.0 * correct as f64 / seen as f64) } else { self.train.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfwave::train::metrics::Spread;
    use std::collections::BTreeMap;

    fn about() -> RunSummary {
        let layers = ["conv2", "q2", "conv10"].map(str::to_string).to_vec();
        RunSummary { steps: 100, epochs: 5, epoch_steps: 20, batch: 8, layers, ..RunSummary::default() }
    }

    fn step(step: u64, loss: f32) -> Event {
        Event::Row(Row::Step(StepRow { step, epoch: 1, loss, lr: 0.5, fault: None }))
    }

    fn at(step: u64) -> Position {
        Position { step, epoch: step / 20, batch: step % 20, ..Position::default() }
    }

    #[test]
    fn rates_and_times_follow_from_speed_and_then_from_whole_epochs() {
        let mut state = State::new(about(), at(0), &[]);
        assert_eq!((state.left(), state.step_seconds(), state.epoch_under_way()), (None, None, 1));
        state.update(&[step(1, 2.0)], at(10), Some(16.0), 5.0);
        assert_eq!((state.step_seconds(), state.left(), state.done()), (Some(0.5), Some(45.0), 0.1));
        state.elapsed = 15.0;
        assert_eq!(state.left(), Some(35.0), "it is counted down while nothing comes");
        let row = EpochRow { epoch: 1, seconds: 20.0, test_accuracy: Some(0.5), ..EpochRow::default() };
        state.update(&[Event::Row(Row::Epoch(row)), Event::EpochEnd], at(20), Some(16.0), 20.0);
        assert_eq!((state.left(), state.epoch_under_way()), (Some(80.0), 2));
        state.update(&[], at(100), Some(0.0), 99.0);
        assert_eq!((state.left(), state.step_seconds(), state.epoch_under_way()), (Some(0.0), None, 5));
    }

    #[test]
    fn a_run_that_goes_on_has_its_rows_but_not_their_speed() {
        let epoch =
            |epoch: u64, test: f32| EpochRow { epoch, test_accuracy: Some(test), seconds: 9.0, ..EpochRow::default() };
        let rows = [0.5, 0.75, 0.625].into_iter().zip(1..).map(|(test, at)| Row::Epoch(epoch(at, test)));
        let mut state = State::new(about(), at(60), &rows.collect::<Vec<_>>());
        assert_eq!((state.test.last, state.test.best), (Some(62.5), Some((75.0, 2))));
        state.update(&[], at(60), None, 1.0);
        assert_eq!(state.left(), None);
    }

    #[test]
    fn losses_of_epochs_stand_where_they_were_measured() {
        let mut state = State::new(about(), at(0), &[]);
        let row =
            |epoch, step, test| Row::Epoch(EpochRow { epoch, step, test_loss: Some(test), ..EpochRow::default() });
        state.row(&row(1, 20, 1.5));
        state.row(&row(2, 0, 1.0));
        assert_eq!(state.test_loss.raw(), [(20.0, 1.5), (40.0, 1.0)]);
        assert!(state.validation_loss.extent().is_none());
    }

    #[test]
    fn layers_keep_the_order_of_the_model() {
        let mut state = State::new(about(), at(0), &[]);
        let layer = LayerRow { alpha: Some(Spread { min: 0.1, mean: 0.2, max: 0.3 }), ..LayerRow::default() };
        let names = ["conv10", "conv2", "other", "q2"].map(|name| (name.to_string(), layer.clone()));
        let full = EpochRow { epoch: 3, layers: BTreeMap::from(names), ..EpochRow::default() };
        state.row(&Row::Epoch(full));
        state.row(&Row::Epoch(EpochRow { epoch: 4, ..EpochRow::default() }));
        let names: Vec<_> = state.layers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, state.layers_epoch), (vec!["conv2", "q2", "conv10", "other"], 3));
    }

    #[test]
    fn what_is_not_finite_does_not_stick() {
        let mut state = State::new(about(), at(0), &[]);
        state.update(&[step(1, f32::NAN), step(2, 3.0)], at(2), Some(f64::NAN), 1.0);
        assert_eq!((state.recent_loss, state.loss.broken(), state.step_seconds()), (Some(3.0), Some(1.0), None));
        let row = EpochRow { epoch: 1, test_accuracy: Some(f32::NAN), seconds: f64::NAN, ..EpochRow::default() };
        state.update(&[Event::Row(Row::Epoch(row))], at(20), None, 2.0);
        assert!(state.test.curve.extent().is_none() && state.test.last.is_none() && state.left().is_none());
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let about = RunSummary { folder: "runs/\u{1b}[31m".into(), ..about() };
        assert_eq!(State::new(about, at(0), &[]).about.folder, "runs/?[31m");
    }
}
