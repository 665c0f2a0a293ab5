//! Rows of `metrics.jsonl`: results of one step or one epoch.
//!
//! JSON has no NaN: a value that is not finite is written as `null` and read as NaN. A value that
//! was not measured is omitted.
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Row {
    /// After a step.
    Step(StepRow),
    /// After an epoch.
    Epoch(EpochRow),
}

/// Results of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct StepRow {
    /// Steps completed so far: 1 after the first.
    pub step: u64,
    /// Epoch of the step, counted from 1.
    pub epoch: u64,
    /// Mean loss of the batch, before the update.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f32,
    /// Learning rate of the update.
    #[serde(deserialize_with = "null_is_nan")]
    pub lr: f32,
    /// Layer or parameter in which non-finite values first appeared in this step, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl StepRow {
    /// Whether the step's results are unusable: its loss or a value within it is not finite.
    pub fn diverged(&self) -> bool {
        self.fault.is_some() || !self.loss.is_finite()
    }
}

/// Results of an epoch. Accuracies are shares, from 0 to 1; values that were not measured are
/// omitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(hashmap_as_object))]
pub struct EpochRow {
    /// Epoch, counted from 1.
    pub epoch: u64,
    /// Steps completed at its end.
    #[serde(default)]
    pub step: u64,
    /// Accuracy on the training images, each before the update that it took part in.
    #[serde(default, deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f32>,
    /// Accuracy on the validation images, which are held out of the training set.
    #[serde(default, deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f32>,
    /// Mean loss on the validation images.
    #[serde(default, deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f32>,
    /// Accuracy on the test images.
    #[serde(default, deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f32>,
    /// Mean loss on the test images.
    #[serde(default, deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f32>,
    /// Share of test images whose class is among the five largest logits; only for more than five
    /// classes.
    #[serde(default, deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub test_top5: Option<f32>,
    /// Training images per second of wall time; NaN if not measured because the run was resumed
    /// after the last step of the epoch.
    #[serde(deserialize_with = "null_is_nan_f64")]
    pub images_per_s: f64,
    /// Wall time of the epoch including its evaluation, in seconds.
    #[serde(default, deserialize_with = "null_is_nan_f64")]
    pub seconds: f64,
    /// Statistics of low-bit layers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, LayerRow>,
    /// What each rank has exchanged in the epoch's steps, in the order of ranks; none for one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankRow>,
}

/// The exchanges of a rank in the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct RankRow {
    /// Bytes that it has sent to other ranks, a mean over the steps.
    pub bytes_per_step: u64,
    /// Seconds that its steps took.
    #[serde(deserialize_with = "null_is_nan_f64")]
    pub seconds: f64,
    /// Those of them in which it has sent and received, or waited for other ranks.
    #[serde(deserialize_with = "null_is_nan_f64")]
    pub exchange_s: f64,
    /// Those of these for the statistics of batch-norms; 0 if each rank uses its own.
    #[serde(default, deserialize_with = "null_is_nan_f64")]
    pub batch_norm_s: f64,
}

/// Statistics of a low-bit layer at the end of an epoch. A layer has those that apply to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(default)]
pub struct LayerRow {
    /// Of a quantiser: the share of each code, lowest first.
    #[serde(deserialize_with = "nulls_are_nan", skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<f32>,
    /// The shares that its thresholds would give for inputs from the standard normal distribution.
    #[serde(deserialize_with = "nulls_are_nan", skip_serializing_if = "Vec::is_empty")]
    pub ideal: Vec<f32>,
    /// Share of inputs at which the surrogate passes a gradient.
    #[serde(deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub passed: Option<f32>,
    /// Of binary weights: the share whose sign differs from that at the end of the previous epoch.
    #[serde(deserialize_with = "some_nan", skip_serializing_if = "Option::is_none")]
    pub flipped: Option<f32>,
    /// Of binary weights: the scales α of the filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Spread>,
    /// Of fixed point: values that saturated since the run was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturated: Option<u64>,
}

/// Range and mean of a set of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct Spread {
    /// The minimum.
    #[serde(deserialize_with = "null_is_nan")]
    pub min: f32,
    /// The mean.
    #[serde(deserialize_with = "null_is_nan")]
    pub mean: f32,
    /// The maximum.
    #[serde(deserialize_with = "null_is_nan")]
    pub max: f32,
}

impl Row {
    /// Epoch of the row, counted from 1.
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Step(row) => row.epoch,
            Self::Epoch(row) => row.epoch,
        }
    }

    /// Reads all rows of a `metrics.jsonl`; `file` is the name used in errors. Empty lines and
    /// unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error at the first line that is neither a step nor an epoch.
    pub fn parse_all(text: &str, file: &str) -> Result<Vec<Self>> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parse = |(at, line): (usize, &str)| {
            let what = "neither the metrics of a step nor those of an epoch; remove the line";
            serde_json::from_str(line).map_err(|_| Error::Data(format!("{file}:{}: {what}", at + 1)))
        };
        lines.map(parse).collect()
    }

    /// The row as one line of JSON, without the line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers are always JSON")
    }
}

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

fn some_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    null_is_nan(deserializer).map(Some)
}

fn nulls_are_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let values = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}

fn null_is_nan_f64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let rows = vec![
            Row::Step(StepRow { step: 1, epoch: 0, loss: 2.375, lr: 0.05, fault: None }),
            Row::Epoch(EpochRow {
                epoch: 1,
                step: 23,
                train_accuracy: Some(0.9),
                images_per_s: 1e4,
                layers: BTreeMap::from([("fc".to_string(), LayerRow { flipped: Some(0.5), ..Default::default() })]),
                ..Default::default()
            }),
        ];
        let text: String = rows.iter().map(|row| row.to_json() + "\n").collect();
        assert!(text.starts_with(r#"{"step":1,"epoch":0,"loss":2.375,"lr":0.05}"#), "{text}");
        assert!(text.contains(r#"{"epoch":1,"step":23,"train_accuracy":0.9,"images_per_s":10000.0,"seconds":0.0,"layers":{"fc":{"flipped":0.5}}}"#), "{text}");
        assert_eq!(Row::parse_all(&text, "metrics.jsonl").unwrap(), rows);
    }

    #[test]
    fn what_is_not_finite_is_null() {
        let row = Row::Step(StepRow { step: 7, epoch: 1, loss: f32::INFINITY, lr: 0.1, fault: None });
        assert!(row.to_json().contains("\"loss\":null"));
        let read = Row::parse_all(&row.to_json(), "metrics.jsonl").unwrap();
        assert!(matches!(&read[..], [Row::Step(row)] if row.loss.is_nan() && row.step == 7));
    }

    /// Every number of a row that is not finite is read back by the program that wrote it.
    #[test]
    fn rows_of_a_broken_network_come_back() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let spread = Spread { min: broken, mean: broken, max: broken };
            let layer = LayerRow {
                codes: vec![broken, 0.5],
                ideal: vec![broken],
                passed: Some(broken),
                flipped: Some(broken),
                alpha: Some(spread),
                saturated: Some(1),
            };
            let step = StepRow { step: 1, epoch: 1, loss: broken, lr: broken, fault: Some("layer \"q1\"".into()) };
            let epoch = EpochRow {
                epoch: 1,
                step: 1,
                train_accuracy: Some(broken),
                validation_accuracy: Some(broken),
                validation_loss: Some(broken),
                test_accuracy: Some(broken),
                test_loss: Some(broken),
                test_top5: Some(broken),
                images_per_s: f64::from(broken),
                seconds: f64::from(broken),
                layers: BTreeMap::from([("conv2".to_string(), layer)]),
                ranks: vec![RankRow {
                    bytes_per_step: 1,
                    seconds: f64::from(broken),
                    exchange_s: f64::from(broken),
                    batch_norm_s: 0.0,
                }],
            };
            let text: String = [Row::Step(step), Row::Epoch(epoch)].iter().map(|row| row.to_json() + "\n").collect();
            let read = Row::parse_all(&text, "metrics.jsonl").unwrap();
            let again: String = read.iter().map(|row| row.to_json() + "\n").collect();
            assert_eq!(again, text, "everything written is read back");
            // One null for each number that was set, and no other.
            assert_eq!(text.matches("null").count(), 2 + 8 + 2 + 2 + 3 + 2, "{text}");
            let Row::Epoch(epoch) = &read[1] else { panic!() };
            assert!(epoch.test_loss.unwrap().is_nan() && epoch.layers["conv2"].alpha.unwrap().max.is_nan());
            assert!(matches!(&read[0], Row::Step(row) if row.diverged() && row.fault.is_some()));
        }
    }

    #[test]
    fn a_foreign_line_is_named() {
        let text = "\n{\"epoch\":1,\"images_per_s\":3,\"new\":[]}\n{\"epoch\":1,\n";
        let message = Row::parse_all(text, "metrics.jsonl").unwrap_err().to_string();
        assert!(message.starts_with("metrics.jsonl:3:"), "{message}");
    }
}
