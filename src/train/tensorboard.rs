//! A copy of a run's rows as an event file, which TensorBoard can read during the run:
//! `tensorboard --logdir runs`.
//!
//! | tag | per |
//! |---|---|
//! | `loss/train`, `learning_rate` | step |
//! | `loss/validation`, `loss/test`, `accuracy/train`, `accuracy/validation`, `accuracy/test`, `accuracy/test_top5`, `images_per_s`, `seconds` | epoch |
//! | `layers/<layer>/passed`, `flipped`, `alpha/min`, `alpha/mean`, `alpha/max`, `saturated`, and the histogram `codes` | epoch and layer |
//!
//! The axis is steps, for epochs too. Values that a row does not have are omitted.
//!
//! **Invariant:** the file is one record with the format's version, then one record per row of
//! `metrics.jsonl`. It grows by complete records; when a run is resumed, records that are truncated
//! or belong to dropped rows are cut off, and missing records of rows are written. The other
//! records keep their wall times.

mod record;

use super::metrics::{EpochRow, LayerRow, Row};
use crate::error::{Error, Result};
use record::{Event, Histogram, Summary, Value, record};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Name of the file in a run's folder; TensorBoard recognises it by `tfevents`.
pub(super) const EVENTS: &str = "events.out.tfevents.0.halfwave";
/// The format version that supports summaries by tag.
const VERSION: &str = "brain.Event:2";

/// An event file that grows with a run.
pub(super) struct Events {
    path: PathBuf,
    file: File,
    /// Length of the file.
    bytes: u64,
    /// Step of the last row.
    step: u64,
}

impl Events {
    /// Opens the file in the folder `dir` and synchronises it with `rows`, which is empty for a new
    /// run.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read or written.
    pub(super) fn open(dir: &Path, rows: &[Row]) -> Result<Self> {
        let path = dir.join(EVENTS);
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut before = Vec::new();
        let read = opened.and_then(|mut file| file.read_to_end(&mut before).map(|_| file));
        let file = read.map_err(Error::io(&path))?;
        let steps = steps(0, rows);
        let wanted = std::iter::once(&0).chain(&steps);
        let fits = record::whole(&before).into_iter().zip(wanted).take_while(|((_, step), wanted)| step == *wanted);
        let (kept, bytes) = fits.fold((0, 0), |(kept, bytes), ((length, _), _)| (kept + 1, bytes + length as u64));
        file.set_len(bytes).map_err(Error::io(&path))?;
        let mut events = Self { path, file, bytes, step: 0 };
        if kept == 0 {
            let file_version = Some(VERSION.to_string());
            events.write(&record(&Event { wall_time: now(), step: 0, file_version, summary: None }))?;
        }
        let (known, missing) = rows.split_at(kept.max(1) - 1);
        events.step = steps[..known.len()].last().copied().unwrap_or(0);
        events.append(missing)?;
        Ok(events)
    }

    /// Writes the records of further rows.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written; no part of a record is left then.
    pub(super) fn append(&mut self, rows: &[Row]) -> Result<()> {
        let (wall_time, steps) = (now(), steps(self.step, rows));
        let event = |(row, &step): (&Row, &u64)| {
            let summary = Some(Summary { values: values(row) });
            record(&Event { wall_time, step, file_version: None, summary })
        };
        self.write(&rows.iter().zip(&steps).flat_map(event).collect::<Vec<u8>>())?;
        self.step = steps.last().copied().unwrap_or(self.step);
        Ok(())
    }

    fn write(&mut self, records: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(records) {
            // Cut off a partially written record.
            let _ = self.file.set_len(self.bytes);
            return Err(Error::io(&self.path)(error));
        }
        self.bytes += records.len() as u64;
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

/// The step of each row, after `before`: older files do not have one for epochs.
fn steps(before: u64, rows: &[Row]) -> Vec<u64> {
    let step = |last: &mut u64, row: &Row| {
        *last = (*last).max(match row {
            Row::Step(row) => row.step,
            Row::Epoch(row) => row.step,
        });
        Some(*last)
    };
    rows.iter().scan(before, step).collect()
}

/// The values of a row, by tag.
fn values(row: &Row) -> Vec<Value> {
    match row {
        Row::Step(row) => {
            [("loss/train", row.loss), ("learning_rate", row.lr)].map(|(tag, value)| scalar(tag.into(), value)).into()
        }
        Row::Epoch(row) => epoch(row),
    }
}

fn scalar(tag: String, value: f32) -> Value {
    Value { tag, simple_value: Some(value), histogram: None }
}

fn epoch(row: &EpochRow) -> Vec<Value> {
    let measured = [
        ("loss/validation", row.validation_loss),
        ("loss/test", row.test_loss),
        ("accuracy/train", row.train_accuracy),
        ("accuracy/validation", row.validation_accuracy),
        ("accuracy/test", row.test_accuracy),
        ("accuracy/test_top5", row.test_top5),
        ("images_per_s", Some(row.images_per_s as f32)),
        // Older rows have none.
        ("seconds", Some(row.seconds as f32).filter(|&seconds| seconds != 0.0)),
    ];
    let measured = measured.into_iter().filter_map(|(tag, value)| Some(scalar(tag.into(), value?)));
    measured.chain(row.layers.iter().flat_map(|(name, row)| layer(name, row))).collect()
}

fn layer(name: &str, row: &LayerRow) -> Vec<Value> {
    let tag = |what: &str| format!("layers/{name}/{what}");
    let scalars = [
        ("passed", row.passed),
        ("flipped", row.flipped),
        ("alpha/min", row.alpha.map(|alpha| alpha.min)),
        ("alpha/mean", row.alpha.map(|alpha| alpha.mean)),
        ("alpha/max", row.alpha.map(|alpha| alpha.max)),
        ("saturated", row.saturated.map(|count| count as f32)),
    ];
    let scalars = scalars.into_iter().filter_map(|(what, value)| Some(scalar(tag(what), value?)));
    let histogram = (!row.codes.is_empty()).then(|| Histogram::of_codes(&row.codes));
    let codes = histogram.map(|codes| Value { tag: tag("codes"), simple_value: None, histogram: Some(codes) });
    scalars.chain(codes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Spread, StepRow};
    use std::collections::BTreeMap;

    #[test]
    fn every_value_has_a_tag() {
        let full = LayerRow {
            codes: vec![0.5, 0.25, 0.25],
            ideal: vec![0.5, 0.3, 0.2],
            passed: Some(0.9),
            flipped: Some(0.01),
            alpha: Some(Spread { min: 0.1, mean: 0.2, max: 0.3 }),
            saturated: Some(7),
        };
        let row = EpochRow {
            epoch: 1,
            train_accuracy: Some(0.9),
            validation_accuracy: Some(0.8),
            validation_loss: Some(0.7),
            test_accuracy: Some(0.6),
            test_loss: Some(0.5),
            test_top5: Some(1.0),
            images_per_s: 100.0,
            seconds: 2.0,
            layers: BTreeMap::from([("q1".to_string(), full), ("fc".to_string(), LayerRow::default())]),
            ..Default::default()
        };
        let found = values(&Row::Epoch(row));
        let tags: Vec<_> = found.iter().map(|value| value.tag.as_str()).collect();
        let expected = "loss/validation loss/test accuracy/train accuracy/validation accuracy/test accuracy/test_top5 images_per_s seconds \
            layers/q1/passed layers/q1/flipped layers/q1/alpha/min layers/q1/alpha/mean layers/q1/alpha/max layers/q1/saturated layers/q1/codes";
        assert_eq!(tags, expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!(found[1].simple_value, Some(0.5));
        let codes = found.last().and_then(|value| value.histogram.clone());
        assert_eq!(codes.map(|codes| codes.buckets), Some(vec![0.5, 0.25, 0.25]));
        let old = EpochRow { epoch: 1, images_per_s: f64::NAN, ..Default::default() };
        assert_eq!(values(&Row::Epoch(old)).len(), 1, "values not measured are omitted");
    }

    #[test]
    fn epochs_of_older_files_are_at_their_last_step() {
        let step = |step| Row::Step(StepRow { step, epoch: 1, loss: 1.0, lr: 0.1, fault: None });
        let epoch = |step| Row::Epoch(EpochRow { epoch: 1, step, ..Default::default() });
        assert_eq!(steps(0, &[step(1), step(2), epoch(0), step(3), epoch(3)]), [1, 2, 2, 3, 3]);
        assert_eq!(steps(7, &[epoch(0)]), [7]);
    }
}
