//! A chart as data: the page draws it from JSON, and `plot.rs` as SVG and PNG.

use super::series::{Point, extent, thinned};
use serde::Serialize;
use std::borrow::Cow;

/// The unit in which values are displayed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Plain numbers.
    Number,
    /// Per cent.
    Percent,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Line {
    /// Name in the legend.
    pub(crate) name: String,
    /// The kind of data, if there are several lines per run.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) part: &'static str,
    /// Index of the run.
    pub(crate) run: usize,
    /// Index in the palette.
    pub(crate) colour: usize,
    /// 0 is solid, 1 dashed, 2 dotted.
    pub(crate) dash: usize,
    /// The points as measured; smoothing is a matter of drawing.
    pub(crate) points: Vec<Point>,
    /// Position, lower and upper value of a band around the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) band: Vec<(f64, f64, f64)>,
}

/// The point at which the loss of a run stopped being finite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Broken {
    /// Index of the run.
    pub(crate) run: usize,
    /// The first such step.
    pub(crate) step: u64,
    /// Description of the event.
    pub(crate) text: String,
}

/// Positions that are values of a setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    /// Values with a mark at the axis; empty for marks at even distances.
    pub(crate) ticks: Vec<f64>,
    /// Whether x is logarithmic.
    pub(crate) log: bool,
}

/// Lines over steps or epochs, or over values of a setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Chart {
    /// Used as the name of its files.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) x_name: Cow<'static, str>,
    pub(crate) y_name: String,
    pub(crate) unit: Unit,
    /// Whether y is logarithmic.
    pub(crate) log: bool,
    pub(crate) x: [f64; 2],
    pub(crate) y: [f64; 2],
    /// What positions are, unless they are steps or epochs.
    #[serde(skip)]
    pub(crate) values: Option<Values>,
    pub(crate) lines: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) broken: Vec<Broken>,
    /// Whether values are measured and scatter, so that smoothing them helps.
    pub(crate) noisy: bool,
    /// Text to display if there are no lines.
    pub(crate) notice: String,
    /// Whether values rise, so that there is room for the legend below.
    pub(crate) rising: bool,
}

/// Largest number of values that are marked at the axis.
const MOST_TICKS: usize = 10;

/// Maximum number of points of a chart: every step of usual runs, so that there is something to see
/// when zoomed in, in a page of a few megabytes.
const MOST_POINTS: usize = 100_000;
/// Number of points that every line may have, however many lines there are.
const POINTS_OF_A_LINE: usize = 1600;

impl Line {
    /// Creates a line through all points.
    pub(crate) fn through(name: impl Into<String>, run: usize, points: Vec<Point>) -> Self {
        Self { name: name.into(), run, colour: run, points, ..Self::default() }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.1).chain(self.band.iter().flat_map(|band| [band.1, band.2]))
    }
}

impl Chart {
    /// Creates a chart with ranges that fit its lines; lines without points are dropped.
    pub(crate) fn new(
        id: &str,
        title: &str,
        x_name: impl Into<Cow<'static, str>>,
        unit: Unit,
        lines: Vec<Line>,
    ) -> Self {
        let mut lines: Vec<_> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
        let most = POINTS_OF_A_LINE.max(MOST_POINTS / lines.len().max(1));
        for line in &mut lines {
            line.points = thinned(&line.points, most);
            line.points.iter_mut().for_each(|point| point.1 = rounded(point.1));
        }
        let positions = extent(lines.iter().flat_map(|line| &line.points).map(|point| point.0));
        let y = match extent(lines.iter().flat_map(Line::values)) {
            None => [0.0, 1.0],
            Some((low, high)) => {
                let rim = if high > low { 0.06 * (high - low) } else { 0.5_f64.min(0.5 * low.abs().max(1e-3)) };
                // An axis of values close to zero starts at zero.
                let bottom =
                    if low >= 0.0 { if low < 0.4 * high { 0.0 } else { (low - rim).max(0.0) } } else { low - rim };
                [bottom, high + rim]
            }
        };
        Self {
            id: id.into(),
            title: title.into(),
            x_name: x_name.into(),
            y_name: title.to_lowercase(),
            unit,
            log: false,
            x: positions.map_or([0.0, 1.0], |(first, last)| room(first, last)),
            y,
            values: None,
            lines,
            broken: Vec::new(),
            noisy: true,
            notice: "nothing measured yet".into(),
            rising: false,
        }
    }

    /// Uses a logarithmic axis if values span more than a factor of twenty, which would look flat
    /// on a linear axis.
    pub(crate) fn logarithmic(mut self) -> Self {
        if let Some((low, high)) = extent(self.lines.iter().flat_map(Line::values)).filter(|(low, _)| *low > 0.0)
            && high / low > 20.0
        {
            (self.log, self.y) = (true, [low / 1.2, high * 1.2]);
        }
        self
    }

    /// Makes positions values of a setting, on a logarithmic axis if they are positive and span at
    /// least a factor of ten.
    pub(crate) fn by_value(mut self) -> Self {
        let mut values: Vec<_> = self.lines.iter().flat_map(|line| &line.points).map(|point| point.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (Some(&low), Some(&high)) = (values.first(), values.last()) else { return self };
        let log = low > 0.0 && high / low >= 10.0;
        if log {
            let room = (high / low).powf(0.03);
            self.x = [low / room, high * room];
            self.x_name = format!("{} (log scale)", self.x_name).into();
        }
        self.values = Some(Values { ticks: if values.len() <= MOST_TICKS { values } else { Vec::new() }, log });
        self
    }

    /// Sets the range for accuracies: from the highest multiple of ten below the values to 100%, or
    /// beyond if needed.
    pub(crate) fn rising_to_all(mut self) -> Self {
        if let Some((low, high)) = extent(self.lines.iter().flat_map(Line::values)) {
            let bottom = (10.0 * ((low - 1.0) / 10.0).floor()).max(low.min(0.0));
            self.y = [bottom, high.max(100.0) + 0.04 * (100.0 - bottom)];
        }
        self.rising = true;
        self
    }

    /// Extends the range to the points at which runs stopped being finite.
    pub(crate) fn broken_at(mut self, broken: Vec<Broken>) -> Self {
        if self.lines.is_empty() {
            self.notice = broken.first().map_or(self.notice, |broken| broken.text.clone());
        } else {
            let positions = self.lines.iter().flat_map(|line| &line.points).map(|point| point.0);
            let positions = extent(positions.chain(broken.iter().map(|broken| broken.step as f64)));
            self.x = positions.map_or(self.x, |(first, last)| room(first, last));
        }
        self.broken = broken;
        self
    }
}

/// Rounds to six digits: plots show no more, and a page with fewer characters is smaller.
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return value;
    }
    let scale = 10_f64.powi(5 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Gives charts of the same quantity a common range of values, so that they can be compared.
pub(crate) fn alike(mut charts: Vec<Chart>) -> Vec<Chart> {
    if let Some((low, high)) = extent(charts.iter().flat_map(|chart| chart.y)) {
        charts.iter_mut().for_each(|chart| chart.y = [low, high]);
    }
    charts
}

/// Returns a range with a small margin on both sides.
fn room(first: f64, last: f64) -> [f64; 2] {
    let room = if last > first { 0.012 * (last - first) } else { 1.0 };
    [first - room, last + room]
}

/// Shares of codes by epoch, with the ideal shares for normally distributed inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Stack {
    /// Used as the name of its files.
    pub(crate) id: String,
    pub(crate) title: String,
    /// Index of the run.
    pub(crate) run: usize,
    pub(crate) epochs: Vec<u64>,
    /// Indexed by epoch and code.
    pub(crate) shares: Vec<Vec<f32>>,
    /// Indexed by code; empty if unknown.
    pub(crate) ideal: Vec<f32>,
}

/// A confusion matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Matrix {
    /// Used as the name of its files.
    pub(crate) id: String,
    pub(crate) title: String,
    /// Index of the run.
    pub(crate) run: usize,
    pub(crate) classes: Vec<String>,
    /// `[class][predicted]`: number of images.
    pub(crate) counts: Vec<Vec<usize>>,
    pub(crate) loss: f64,
}

/// Replaces all characters that are not portable in a file name.
pub(crate) fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> Chart {
        let points = (1..).map(f64::from).zip(values.iter().copied()).collect();
        Chart::new("id", "Title", "step", Unit::Number, vec![Line::through("a", 0, points)])
    }

    #[test]
    fn values_have_six_digits() {
        for (value, expected) in [(0.0, 0.0), (0.1_f32.into(), 0.1), (-1234.5678, -1234.57), (1e-30, 1e-30), (3.0, 3.0)]
        {
            assert!((rounded(value) - expected).abs() <= 1e-12 * expected.abs(), "{value}");
        }
        assert!(rounded(f64::from(f32::MAX)).is_finite() && rounded(f64::from(f32::MIN_POSITIVE)) > 0.0);
    }

    #[test]
    fn ranges_hold_all_values() {
        for values in [&[1.0][..], &[0.0, 0.0], &[-3.0, 5.0], &[100.0, 101.0], &[-1.0], &[1e-9, 1e9]] {
            for chart in [chart(values), chart(values).logarithmic(), chart(values).rising_to_all()] {
                assert!(chart.y[0] < chart.y[1] && chart.x[0] < chart.x[1], "{values:?}: {:?}", chart.y);
                assert!(
                    values.iter().all(|value| (chart.y[0]..=chart.y[1]).contains(value)),
                    "{values:?}: {:?}",
                    chart.y
                );
            }
        }
        assert!(chart(&[0.001, 1.0]).logarithmic().log && !chart(&[0.5, 1.0]).logarithmic().log);
        let both = alike(vec![chart(&[1.0, 2.0]), chart(&[5.0, 9.0])]);
        assert!(both[0].y == both[1].y && both[0].y[1] > 9.0);
    }

    #[test]
    fn values_of_a_setting_are_marked_and_have_room() {
        let at = |values: &[f64]| {
            let points = values.iter().map(|value| (*value, 50.0)).collect();
            Chart::new("id", "Title", "lr".to_string(), Unit::Percent, vec![Line::through("a", 0, points)]).by_value()
        };
        let rates = at(&[0.001, 0.01, 0.1]);
        assert_eq!(rates.values, Some(Values { ticks: vec![0.001, 0.01, 0.1], log: true }));
        assert!(rates.x[0] > 0.0 && rates.x[0] < 0.001 && rates.x[1] > 0.1);
        assert_eq!(at(&[1.0, 2.0, 4.0]).values, Some(Values { ticks: vec![1.0, 2.0, 4.0], log: false }));
        assert!(!at(&[0.0, 1.0]).values.unwrap().log);
        let many: Vec<_> = (1..50).map(f64::from).collect();
        assert!(at(&many).values.unwrap().ticks.is_empty());
        assert_eq!(at(&[]).values, None);
    }

    #[test]
    fn a_chart_has_a_limited_number_of_points() {
        let points: Vec<Point> = (0..200_000).map(|at| (f64::from(at), f64::from(at % 7))).collect();
        let of = |lines: usize| {
            let lines = (0..lines).map(|run| Line::through("a", run, points.clone())).collect();
            Chart::new("id", "Title", "step", Unit::Number, lines).lines[0].points.len()
        };
        assert!((50_000..=100_000).contains(&of(1)), "{}", of(1));
        assert!((10_000..=20_000).contains(&of(5)), "{}", of(5));
        assert!((800..=1600).contains(&of(70)), "{}", of(70));
    }
}
