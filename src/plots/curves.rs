//! Charts of the progress of training: loss, accuracies, learning rate, speed. Several runs share
//! each chart.

use super::chart::{Broken, Chart, Line, Unit};
use super::series::{Point, broken_from, by_epoch, by_step};
use crate::metrics::{EpochRow, Row};

/// A run's name and rows.
pub(crate) type Named<'a> = (&'a str, &'a [Row]);

/// A function that extracts a value from an epoch.
type Measure = fn(&EpochRow) -> Option<f32>;

/// Loss by step.
pub(crate) fn loss(runs: &[Named<'_>]) -> Chart {
    let lines =
        runs.iter().enumerate().map(|(at, (name, rows))| Line::through(*name, at, by_step(rows, |row| row.loss)));
    let broken = runs.iter().enumerate().filter_map(|(run, (name, rows))| {
        let step = broken_from(rows)?;
        let whose = if runs.len() > 1 { format!("{name}: ") } else { String::new() };
        Some(Broken { run, step, text: format!("{whose}not finite from step {step}") })
    });
    let chart = Chart::new("loss", "Training loss", "step", Unit::Number, lines.collect());
    Chart { y_name: "loss".into(), notice: "no step yet".into(), ..chart.logarithmic() }.broken_at(broken.collect())
}

/// Accuracy by epoch on every measured set.
pub(crate) fn accuracy(runs: &[Named<'_>]) -> Chart {
    let splits: [(&str, Measure); 3] = [
        ("test", |row| row.test_accuracy),
        ("validation", |row| row.validation_accuracy),
        ("train", |row| row.train_accuracy),
    ];
    let chart = Chart::new("accuracy", "Accuracy", "epoch", Unit::Percent, by_split(runs, &splits, 100.0));
    Chart { notice: "none measured yet".into(), ..chart.rising_to_all() }
}

/// Returns all charts of training that contain data; those of loss and accuracy are always
/// included.
pub(crate) fn learning(runs: &[Named<'_>]) -> Vec<Chart> {
    let held_out: [(&str, Measure); 2] = [("test", |row| row.test_loss), ("validation", |row| row.validation_loss)];
    let top5: [(&str, Measure); 1] = [("test", |row| row.test_top5)];
    let rates = runs.iter().enumerate().map(|(at, (name, rows))| Line::through(*name, at, rate(rows)));
    let more = [
        Chart { noisy: false, ..Chart::new("learning-rate", "Learning rate", "step", Unit::Number, rates.collect()) },
        Chart::new("held-out-loss", "Loss on held-out images", "epoch", Unit::Number, by_split(runs, &held_out, 1.0))
            .logarithmic(),
        Chart::new("top-5", "Top-5 accuracy", "epoch", Unit::Percent, by_split(runs, &top5, 100.0)).rising_to_all(),
    ];
    let more = more.into_iter().filter(|chart| !chart.lines.is_empty());
    [loss(runs), accuracy(runs)].into_iter().chain(more).collect()
}

/// Images per second by epoch.
pub(crate) fn speed(runs: &[Named<'_>]) -> Chart {
    let points = |rows: &[Row]| by_epoch(rows, |row| Some(row.images_per_s));
    let lines = runs.iter().enumerate().map(|(at, (name, rows))| Line::through(*name, at, points(rows)));
    let chart = Chart::new("images-per-second", "Training images per second", "epoch", Unit::Number, lines.collect());
    Chart { y_name: "images/s".into(), ..chart }
}

/// Returns one line for each run and split. A single run has one colour per split; several runs
/// have one colour each, and splits differ in their dashes.
fn by_split(runs: &[Named<'_>], splits: &[(&'static str, Measure)], scale: f64) -> Vec<Line> {
    let mut lines = Vec::new();
    for (run, (name, rows)) in runs.iter().enumerate() {
        for (at, &(split, value)) in splits.iter().enumerate() {
            let points = by_epoch(rows, |row| value(row).map(|value| scale * f64::from(value)));
            let alone = runs.len() == 1;
            let colour = if !alone {
                run
            } else if split == "train" {
                1
            } else {
                2 * at
            };
            let name = match (alone, splits.len()) {
                (true, _) => split.to_string(),
                (_, 1) => name.to_string(),
                _ => format!("{name}, {split}"),
            };
            lines.push(Line {
                part: split,
                colour,
                dash: if alone { 0 } else { at },
                ..Line::through(name, run, points)
            });
        }
    }
    lines
}

/// Returns the learning rate by step, without points on a straight line between their neighbours.
fn rate(rows: &[Row]) -> Vec<Point> {
    let points = by_step(rows, |row| row.lr);
    let mut kept: Vec<Point> = Vec::new();
    for (at, &point) in points.iter().enumerate() {
        let straight = kept.last().zip(points.get(at + 1)).is_some_and(|(before, next)| {
            let along = (point.0 - before.0) / (next.0 - before.0);
            let expected = before.1 + along * (next.1 - before.1);
            (point.1 - expected).abs() <= 1e-6 * (point.1.abs() + before.1.abs())
        });
        if !straight {
            kept.push(point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::StepRow;

    fn step(step: u64, loss: f32, lr: f32) -> Row {
        Row::Step(StepRow { step, epoch: 1, loss, lr, fault: None })
    }

    fn epoch(epoch: u64, test: f32) -> Row {
        Row::Epoch(EpochRow { epoch, train_accuracy: Some(0.9), test_accuracy: Some(test), ..Default::default() })
    }

    #[test]
    fn runs_lie_over_each_other() {
        let (a, b) = ([step(1, 2.0, 0.1), epoch(1, 0.5)], [step(1, 1.0, 0.1), step(2, f32::NAN, 0.1)]);
        let charts = learning(&[("a", &a), ("b", &b)]);
        let ids: Vec<_> = charts.iter().map(|chart| chart.id.as_str()).collect();
        assert_eq!(ids, ["loss", "accuracy", "learning-rate"], "what nobody measured is left out");
        let lines = |at: usize| {
            charts[at].lines.iter().map(|line| (line.name.as_str(), line.run, line.dash)).collect::<Vec<_>>()
        };
        assert_eq!(lines(0), [("a", 0, 0), ("b", 1, 0)]);
        assert_eq!(lines(1), [("a, test", 0, 0), ("a, train", 0, 2)], "of a run without epochs there is no line");
        assert_eq!((charts[0].broken[0].run, charts[0].broken[0].text.as_str()), (1, "b: not finite from step 2"));
        assert!(charts[0].x[1] >= 2.0, "the break is inside");
        assert_eq!(charts[1].lines[0].points, [(1.0, 50.0)]);
    }

    #[test]
    fn a_run_by_itself_has_a_colour_a_split() {
        let chart = accuracy(&[("a", &[epoch(1, 0.5), epoch(2, 0.8)])]);
        let lines: Vec<_> = chart.lines.iter().map(|line| (line.name.as_str(), line.colour, line.dash)).collect();
        assert_eq!(lines, [("test", 0, 0), ("train", 1, 0)]);
        assert!(chart.y[0] == 40.0 && chart.y[1] > 100.0, "{:?}", chart.y);
        assert_eq!(accuracy(&[("a", &[])]).lines, []);
    }

    #[test]
    fn a_rate_is_kept_where_it_bends() {
        let rows: Vec<_> =
            (1..=100).map(|at| step(at, 1.0, if at <= 50 { 0.1 } else { 0.1 - 0.001 * (at - 50) as f32 })).collect();
        let positions: Vec<_> = rate(&rows).iter().map(|point| point.0).collect();
        assert!(
            positions.len() <= 6 && positions.contains(&1.0) && positions.contains(&50.0) && positions.contains(&100.0),
            "{positions:?}"
        );
    }
}
