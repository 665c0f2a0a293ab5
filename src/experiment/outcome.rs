//! Results of a run, and statistics over several runs.

use crate::metrics::{EpochRow, Row};

/// Results of a finished run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Epoch and test accuracy in per cent, for every epoch in which it was measured: with
    /// validation images, only the last.
    pub curve: Vec<(u64, f64)>,
    /// Epoch and validation accuracy in per cent, if there are validation images.
    pub validation: Vec<(u64, f64)>,
    /// Training images per second; `None` for a run without an epoch.
    pub images_per_s: Option<f64>,
    /// The step at which the loss stopped being finite, if it did.
    pub diverged: Option<u64>,
    /// The adapter that was used.
    pub device: String,
}

impl Outcome {
    /// Extracts the results from a run's rows.
    pub fn new(rows: &[Row], device: &str) -> Self {
        let epochs = || {
            rows.iter().filter_map(|row| match row {
                Row::Epoch(row) => Some(row),
                Row::Step(_) => None,
            })
        };
        let measured = |share: fn(&EpochRow) -> Option<f32>| {
            epochs().filter_map(move |row| Some((row.epoch, 100.0 * f64::from(share(row)?)))).collect()
        };
        // The first epoch includes the compilation of kernels by the driver.
        let speeds: Vec<_> = epochs().map(|row| row.images_per_s).collect();
        let speeds = speeds.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(&speeds);
        let speeds: Vec<_> = speeds.iter().copied().filter(|speed| *speed > 0.0 && speed.is_finite()).collect();
        Self {
            curve: measured(|row| row.test_accuracy),
            validation: measured(|row| row.validation_accuracy),
            images_per_s: mean(&speeds.iter().map(|speed| speed.recip()).collect::<Vec<_>>()).map(f64::recip),
            diverged: rows.iter().find_map(|row| match row {
                Row::Step(row) if row.diverged() => Some(row.step),
                _ => None,
            }),
            device: device.to_string(),
        }
    }

    /// Returns the final accuracy in per cent, or `None` for a run that diverged.
    pub fn last(&self) -> Option<f64> {
        self.at_end(&self.curve)
    }

    /// Returns the final validation accuracy in per cent, or `None` for a run that diverged.
    pub fn validated(&self) -> Option<f64> {
        self.at_end(&self.validation)
    }

    fn at_end(&self, curve: &[(u64, f64)]) -> Option<f64> {
        curve.last().filter(|_| self.diverged.is_none()).map(|(_, accuracy)| *accuracy)
    }
}

/// Returns the mean, or `None` for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns the sample standard deviation, with divisor n − 1, or `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::StepRow;

    #[test]
    fn mean_and_deviation_are_those_of_known_numbers() {
        // Squared differences from 5: 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, divided by 7.
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), Some(5.0));
        assert!((deviation(&values).unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!((mean(&[]), deviation(&[]), deviation(&[3.0])), (None, None, None));
        assert_eq!((mean(&[3.0]), deviation(&[3.0, 3.0])), (Some(3.0), Some(0.0)));
    }

    fn epoch(epoch: u64, accuracy: Option<f32>, images_per_s: f64) -> Row {
        Row::Epoch(EpochRow { epoch, test_accuracy: accuracy, images_per_s, ..Default::default() })
    }

    #[test]
    fn the_last_validation_counts_unless_the_run_diverged() {
        let validated =
            |epoch, accuracy| Row::Epoch(EpochRow { epoch, validation_accuracy: Some(accuracy), ..Default::default() });
        let rows = [validated(1, 0.75), validated(2, 0.5), epoch(3, Some(0.9), 1.0), step(9, f32::NAN)];
        let outcome = Outcome::new(&rows[..3], "a");
        assert_eq!((outcome.validated(), &outcome.validation[..]), (Some(50.0), &[(1, 75.0), (2, 50.0)][..]));
        assert_eq!(Outcome::new(&rows, "a").validated(), None);
    }

    fn step(step: u64, loss: f32) -> Row {
        Row::Step(StepRow { step, epoch: 1, loss, lr: 0.1, fault: None })
    }

    #[test]
    fn an_outcome_is_what_the_rows_say() {
        let rows = [
            step(1, 2.0),
            epoch(1, Some(0.5), 10.0),
            epoch(2, Some(0.75), 100.0),
            epoch(3, None, 300.0),
            epoch(4, Some(0.625), 300.0),
        ];
        let outcome = Outcome::new(&rows, "a");
        assert_eq!(outcome.curve, [(1, 50.0), (2, 75.0), (4, 62.5)]);
        assert_eq!((outcome.last(), outcome.diverged), (Some(62.5), None));
        // The epochs have equal lengths, so their times add up; the first epoch, with compilation,
        // does not count.
        assert!((outcome.images_per_s.unwrap() - 3.0 / (1.0 / 100.0 + 2.0 / 300.0)).abs() < 1e-9);
        assert_eq!(Outcome::new(&rows[..2], "a").images_per_s, Some(10.0));
        assert_eq!(Outcome::new(&[], ""), Outcome::default());
    }

    #[test]
    fn a_run_that_diverged_has_no_accuracy_at_its_end() {
        let outcome =
            Outcome::new(&[step(1, 2.0), epoch(1, Some(0.5), 10.0), step(2, f32::NAN), step(3, f32::NAN)], "a");
        assert_eq!((outcome.diverged, outcome.last()), (Some(2), None));
    }
}
