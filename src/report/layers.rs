//! Charts of the statistics of low-bit layers, one per layer: codes and their ideal shares,
//! gradients passed by surrogates, sign changes, scales.

use crate::metrics::LayerRow;
use crate::plots::chart::{Chart, Line, Stack, Unit, alike, file_name};
use crate::plots::curves::Named;
use crate::plots::series::{by_epoch, epochs};
use serde::Serialize;
use std::collections::BTreeSet;

/// Maximum number of epochs in a stack of codes.
const MOST_EPOCHS: usize = 120;

/// Charts of one quantity, one per layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) charts: Vec<Chart>,
}

/// A value or a band of a layer.
struct Measure {
    id: &'static str,
    title: &'static str,
    text: &'static str,
    unit: Unit,
    value: fn(&LayerRow) -> Option<f64>,
    band: fn(&LayerRow) -> Option<(f64, f64)>,
}

const MEASURES: [Measure; 4] = [
    Measure {
        id: "passed",
        title: "Surrogate pass share",
        text: "The share of a quantiser’s inputs at which its surrogate passes the gradient.",
        unit: Unit::Percent,
        value: |row| row.passed.map(|share| 100.0 * f64::from(share)),
        band: |_| None,
    },
    Measure {
        id: "flipped",
        title: "Sign flips",
        text: "The share of binary weights whose sign changed since the previous epoch.",
        unit: Unit::Percent,
        value: |row| row.flipped.map(|share| 100.0 * f64::from(share)),
        band: |_| None,
    },
    Measure {
        id: "alpha",
        title: "Scales α of binary weights",
        text: "Mean over the filters, with the range from the smallest to the largest.",
        unit: Unit::Number,
        value: |row| row.alpha.map(|alpha| f64::from(alpha.mean)),
        band: |row| row.alpha.map(|alpha| (f64::from(alpha.min), f64::from(alpha.max))),
    },
    Measure {
        id: "saturated",
        title: "Saturated fixed-point values",
        text: "Number of values that exceeded the range of their format since the start of the run.",
        unit: Unit::Number,
        value: |row| row.saturated.map(|count| count as f64),
        band: |_| None,
    },
];

/// Returns the names of all layers in the rows.
fn layers(runs: &[Named<'_>]) -> BTreeSet<String> {
    runs.iter().flat_map(|(_, rows)| epochs(rows)).flat_map(|row| row.layers.keys().cloned()).collect()
}

/// Returns all groups that contain data; runs share each chart.
pub(super) fn groups(runs: &[Named<'_>]) -> Vec<Group> {
    let layers = layers(runs);
    let group = |measure: &Measure| {
        let charts = layers.iter().map(|layer| chart(runs, layer, measure)).filter(|chart| !chart.lines.is_empty());
        Group { title: measure.title, text: measure.text, charts: alike(charts.collect()) }
    };
    MEASURES.iter().map(group).filter(|group| !group.charts.is_empty()).collect()
}

fn chart(runs: &[Named<'_>], layer: &str, measure: &Measure) -> Chart {
    let lines = runs.iter().enumerate().map(|(at, (name, rows))| {
        let points = by_epoch(rows, |row| (measure.value)(row.layers.get(layer)?));
        let bands = epochs(rows).filter_map(|row| {
            let (low, high) = (measure.band)(row.layers.get(layer)?)?;
            (low.is_finite() && high.is_finite()).then_some((row.epoch as f64, low, high))
        });
        let band = bands.collect();
        Line { band, ..Line::through(*name, at, points) }
    });
    let id = format!("{}-{}", measure.id, file_name(layer));
    let chart = Chart::new(&id, layer, "epoch", measure.unit, lines.collect());
    Chart { y_name: measure.title.to_lowercase(), ..chart }
}

/// Returns the codes of every quantiser of every run.
pub(super) fn codes(runs: &[Named<'_>]) -> Vec<Stack> {
    let mut stacks = Vec::new();
    for layer in layers(runs) {
        for (run, (name, rows)) in runs.iter().enumerate() {
            let told = || epochs(rows).filter_map(|row| Some((row.epoch, row.layers.get(&layer)?)));
            let levels = told().map(|(_, row)| row.codes.len()).max().unwrap_or(0);
            let all: Vec<_> = told().filter(|(_, row)| levels > 0 && row.codes.len() == levels).collect();
            let Some((_, last)) = all.last() else { continue };
            let ideal = if last.ideal.len() == levels { last.ideal.clone() } else { Vec::new() };
            // Evenly spaced epochs, including the last.
            let apart = all.len().div_ceil(MOST_EPOCHS);
            let shown: Vec<_> = all.iter().rev().step_by(apart).rev().collect();
            stacks.push(Stack {
                id: format!("codes-{}-{}", file_name(name), file_name(&layer)),
                title: if runs.len() > 1 { format!("{layer} · {name}") } else { layer.clone() },
                run,
                epochs: shown.iter().map(|(epoch, _)| *epoch).collect(),
                shares: shown.iter().map(|(_, row)| row.codes.clone()).collect(),
                ideal,
            });
        }
    }
    stacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{EpochRow, Row, Spread};

    fn epoch(epoch: u64, layers: &[(&str, LayerRow)]) -> Row {
        let layers = layers.iter().map(|(name, row)| (name.to_string(), row.clone())).collect();
        Row::Epoch(EpochRow { epoch, layers, ..Default::default() })
    }

    fn quantiser(codes: &[f32]) -> LayerRow {
        LayerRow { codes: codes.to_vec(), ideal: vec![0.5; codes.len()], passed: Some(0.75), ..Default::default() }
    }

    #[test]
    fn a_layer_has_a_chart_of_each_thing_it_tells() {
        let alpha = Some(Spread { min: 0.1, mean: 0.2, max: 0.4 });
        let weights = LayerRow { flipped: Some(0.01), alpha, ..Default::default() };
        let rows = [epoch(1, &[("q1", quantiser(&[0.4, 0.6])), ("conv2", weights)]), epoch(2, &[])];
        let groups = groups(&[("a", &rows), ("old", &[epoch(1, &[])])]);
        let told: Vec<_> = groups.iter().flat_map(|group| &group.charts).map(|chart| chart.id.as_str()).collect();
        assert_eq!(told, ["passed-q1", "flipped-conv2", "alpha-conv2"]);
        assert_eq!(groups[0].charts[0].lines[0].points, [(1.0, 75.0)]);
        let band = &groups[2].charts[0].lines[0].band;
        assert!(band.len() == 1 && (band[0].2 - 0.4).abs() < 1e-6 && groups[2].charts[0].y[1] > 0.4);
        assert_eq!(super::groups(&[("old", &[epoch(1, &[])])]), []);
    }

    #[test]
    fn long_runs_show_some_epochs_and_the_last() {
        let rows: Vec<_> = (1..=1000).map(|at| epoch(at, &[("q/1", quantiser(&[0.25; 4]))])).collect();
        let stacks = codes(&[("a b", &rows)]);
        assert_eq!((stacks.len(), stacks[0].id.as_str()), (1, "codes-a-b-q-1"));
        assert!(stacks[0].epochs.len() <= MOST_EPOCHS && stacks[0].epochs.last() == Some(&1000));
        assert_eq!(stacks[0].shares.len(), stacks[0].epochs.len());
        // A quantiser whose bits changed between two runs in one folder: the rows with more codes
        // are used.
        let mixed = [epoch(1, &[("q", quantiser(&[0.5, 0.5]))]), epoch(2, &[("q", quantiser(&[0.25; 4]))])];
        assert_eq!(codes(&[("a", &mixed)])[0].epochs, [2]);
    }
}
