//! Several networks in one plot: the mean of each one's runs, with their standard deviation.

use super::chart::{Chart, Line, Unit};

/// Epoch, mean, and standard deviation if there are several runs.
pub type Means = Vec<(u64, f64, Option<f64>)>;

/// Number of solid lines; further lines are dashed, because colours are hard to distinguish.
const SOLID: usize = 4;

/// Creates a chart of accuracy in per cent by epoch, with a band of one standard deviation.
pub(crate) fn accuracy(title: &str, curves: &[(String, Means)]) -> Chart {
    let lines = curves.iter().enumerate().map(|(at, (name, means))| {
        let band = means.iter().filter_map(|&(epoch, mean, deviation)| {
            let deviation = deviation?;
            Some((epoch as f64, (mean - deviation).max(0.0), (mean + deviation).min(100.0)))
        });
        let points = means.iter().map(|&(epoch, mean, _)| (epoch as f64, mean)).collect();
        Line { band: band.collect(), dash: at / SOLID, ..Line::through(name, at, points) }
    });
    let chart = Chart::new("accuracy", title, "epoch", Unit::Percent, lines.collect());
    let y = [chart.y[0], chart.y[1].min(101.0)];
    Chart { y_name: "test accuracy".into(), notice: "no run is finished yet".into(), rising: true, y, ..chart }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_a_deviation_wide_and_no_accuracy_is_impossible() {
        let means = vec![(1, 50.0, Some(4.0)), (2, 99.0, Some(3.0)), (3, 80.0, None)];
        let curves: Vec<_> = (0..6).map(|at| (format!("arm {at}"), means.clone())).collect();
        let chart = accuracy("low-bit", &curves);
        assert_eq!(chart.lines.len(), 6);
        assert_eq!(chart.lines[0].points, [(1.0, 50.0), (2.0, 99.0), (3.0, 80.0)]);
        assert_eq!(chart.lines[0].band, [(1.0, 46.0, 54.0), (2.0, 96.0, 100.0)]);
        assert_eq!(chart.lines.iter().map(|line| (line.colour, line.dash)).collect::<Vec<_>>()[3..5], [(3, 0), (4, 1)]);
        assert!(chart.y[0] <= 46.0 && (100.0..=101.0).contains(&chart.y[1]), "{:?}", chart.y);
        assert!(accuracy("nothing", &[("a".into(), vec![])]).lines.is_empty());
    }
}
