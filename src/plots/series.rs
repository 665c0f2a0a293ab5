//! Rows as points of a plot: finite, smoothed, and limited to about the number of pixels.

use crate::metrics::{EpochRow, Row, StepRow};

/// A point: position and value.
pub(crate) type Point = (f64, f64);

/// Returns a value by step, where it is finite.
pub(crate) fn by_step(rows: &[Row], value: impl Fn(&StepRow) -> f32) -> Vec<Point> {
    let steps = rows.iter().filter_map(|row| match row {
        Row::Step(row) => Some((row.step as f64, f64::from(value(row)))),
        Row::Epoch(_) => None,
    });
    steps.filter(|point| point.1.is_finite()).collect()
}

/// Returns a value by epoch, where it was measured and is finite.
pub(crate) fn by_epoch(rows: &[Row], value: impl Fn(&EpochRow) -> Option<f64>) -> Vec<Point> {
    let epochs = epochs(rows).filter_map(|row| Some((row.epoch as f64, value(row)?)));
    epochs.filter(|point| point.1.is_finite()).collect()
}

/// Returns the rows of epochs.
pub(crate) fn epochs(rows: &[Row]) -> impl DoubleEndedIterator<Item = &EpochRow> {
    rows.iter().filter_map(|row| if let Row::Epoch(row) = row { Some(row) } else { None })
}

/// Returns the first step whose loss was not finite.
pub(crate) fn broken_from(rows: &[Row]) -> Option<u64> {
    rows.iter().find_map(|row| match row {
        Row::Step(row) if row.diverged() => Some(row.step),
        _ => None,
    })
}

/// Returns the moving average over a fortieth of the run.
pub(crate) fn smoothed(points: &[Point]) -> Vec<Point> {
    let half = points.len() / 80;
    let mut sums = vec![0.0];
    points.iter().for_each(|point| sums.push(sums[sums.len() - 1] + point.1));
    let mean = |(at, point): (usize, &Point)| {
        let (from, to) = (at.saturating_sub(half), (at + half + 1).min(points.len()));
        (point.0, (sums[to] - sums[from]) / (to - from) as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

/// Thins a line to at most `most` points: keeps the lowest and the highest point of every stretch.
pub(crate) fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(most / 2);
    let ends = |points: &[Point]| {
        let by_value = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        let [low, high] = [points.iter().min_by(by_value), points.iter().max_by(by_value)].map(|p| p.copied());
        if low.map(|p| p.0) <= high.map(|p| p.0) { [low, high] } else { [high, low] }
    };
    points.chunks(stretch).flat_map(ends).flatten().collect()
}

/// Returns the lowest and highest value, or `None` if there are none.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |found: Option<(f64, f64)>, v| match found {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_lines_straight_and_evens_out_noise() {
        let line: Vec<Point> = (0..400).map(|i| (f64::from(i), 3.0 * f64::from(i) + 1.0)).collect();
        for (smooth, point) in smoothed(&line).iter().zip(&line).skip(5).take(390) {
            assert!((smooth.1 - point.1).abs() < 1e-9);
        }
        let saw: Vec<Point> = (0..400).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        assert!(smoothed(&saw).iter().all(|p| (p.1 - 0.5).abs() < 0.1));
        assert_eq!(smoothed(&line[..1]), line[..1]);
        assert!(smoothed(&[]).is_empty());
    }

    #[test]
    fn thinning_keeps_extremes_and_order() {
        let mut points: Vec<Point> = (0..50_000).map(|i| (f64::from(i), f64::from(i % 13))).collect();
        points[777].1 = 99.0;
        points[40_001].1 = -5.0;
        let thin = thinned(&points, 1600);
        assert!(thin.len() <= 1600);
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert!(thin.contains(&(777.0, 99.0)) && thin.contains(&(40_001.0, -5.0)));
        assert_eq!(thinned(&points[..9], 1600), points[..9]);
    }
}
