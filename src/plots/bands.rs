//! Several networks in one plot: the mean of each one's runs, with their standard deviation.

use super::chart::{Chart, Line, Unit};

/// Epoch, mean, and standard deviation if there are several runs.
pub type Means = Vec<(u64, f64, Option<f64>)>;

/// Name of the files of [`by_value`].
pub(crate) const BY_VALUE: &str = "by-value";

/// Number of solid lines; further lines are dashed, because colours are hard to distinguish.
const SOLID: usize = 4;

/// Creates a chart of the accuracy `y_name` in per cent by epoch, with a band of one standard deviation.
pub(crate) fn accuracy(title: &str, y_name: &str, curves: &[(String, Means)]) -> Chart {
    let lines = curves.iter().enumerate().map(|(at, (name, means))| {
        line(at, name, means.iter().map(|&(epoch, mean, deviation)| (epoch as f64, mean, deviation)))
    });
    finished(Chart::new("accuracy", title, "epoch", Unit::Percent, lines.collect()), y_name)
}

/// Name of a line; value of a setting, mean, and standard deviation if there are several runs.
pub type ByValue = (String, Vec<(f64, f64, Option<f64>)>);

/// Creates a chart of the accuracy `y_name` in per cent by the value of a setting.
pub(crate) fn by_value(title: &str, y_name: &str, key: &str, lines: &[ByValue]) -> Chart {
    let all = lines.iter().enumerate().map(|(at, (name, points))| line(at, name, points.iter().copied()));
    finished(Chart::new(BY_VALUE, title, key.to_string(), Unit::Percent, all.collect()).by_value(), y_name)
}

/// Creates a line with a band of one standard deviation.
fn line(at: usize, name: &str, points: impl Iterator<Item = (f64, f64, Option<f64>)> + Clone) -> Line {
    let band = points.clone().filter_map(|(x, mean, deviation)| {
        let deviation = deviation?;
        Some((x, (mean - deviation).max(0.0), (mean + deviation).min(100.0)))
    });
    let points = points.map(|(x, mean, _)| (x, mean)).collect();
    // The only line has no name.
    let name = if name.is_empty() { "mean" } else { name };
    Line { band: band.collect(), dash: at / SOLID, ..Line::through(name, at, points) }
}

fn finished(chart: Chart, y_name: &str) -> Chart {
    let y = [chart.y[0], chart.y[1].min(101.0)];
    Chart { y_name: y_name.into(), notice: "no run is finished yet".into(), rising: true, y, ..chart }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_a_deviation_wide_and_no_accuracy_is_impossible() {
        let means = vec![(1, 50.0, Some(4.0)), (2, 99.0, Some(3.0)), (3, 80.0, None)];
        let curves: Vec<_> = (0..6).map(|at| (format!("arm {at}"), means.clone())).collect();
        let chart = accuracy("low-bit", "test accuracy", &curves);
        assert_eq!(chart.lines.len(), 6);
        assert_eq!(chart.lines[0].points, [(1.0, 50.0), (2.0, 99.0), (3.0, 80.0)]);
        assert_eq!(chart.lines[0].band, [(1.0, 46.0, 54.0), (2.0, 96.0, 100.0)]);
        assert_eq!(chart.lines.iter().map(|line| (line.colour, line.dash)).collect::<Vec<_>>()[3..5], [(3, 0), (4, 1)]);
        assert!(chart.y[0] <= 46.0 && (100.0..=101.0).contains(&chart.y[1]), "{:?}", chart.y);
        let by_value = by_value(
            "lr",
            "validation accuracy",
            "train.optimizer.lr",
            &[(String::new(), vec![(0.01, 50.0, Some(4.0)), (0.1, 60.0, None)])],
        );
        assert_eq!((by_value.lines[0].name.as_str(), &by_value.lines[0].band[..]), ("mean", &[(0.01, 46.0, 54.0)][..]));
        assert!(by_value.values.is_some_and(|values| values.log));
        assert_eq!((chart.y_name.as_str(), by_value.y_name.as_str()), ("test accuracy", "validation accuracy"));
        assert!(accuracy("nothing", "test accuracy", &[("a".into(), vec![])]).lines.is_empty());
    }
}
