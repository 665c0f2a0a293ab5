//! A curve of any length stored in a bounded number of stretches, so that a run of millions of
//! steps is drawn as fast as a short one.

use super::plot::Point;

/// Maximum number of stretches: more than a terminal has columns of dots.
const MOST: usize = 2048;

/// Consecutive points.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    first: f64,
    last: f64,
    low: f64,
    high: f64,
    sum: f64,
    points: u64,
}

impl Stretch {
    fn middle(&self) -> f64 {
        (self.first + self.last) / 2.0
    }

    fn with(&self, next: &Self) -> Self {
        Self {
            first: self.first,
            last: next.last,
            low: self.low.min(next.low),
            high: self.high.max(next.high),
            sum: self.sum + next.sum,
            points: self.points + next.points,
        }
    }
}

/// Values by position, in ascending order of position.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    stretches: Vec<Stretch>,
    /// Number of points in a full stretch.
    stride: u64,
    /// The position of the first value that was not finite.
    broken: Option<f64>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { stretches: Vec::new(), stride: 1, broken: None }
    }
}

impl Curve {
    /// Adds a point. Of non-finite values, only the first position is stored.
    pub(super) fn push(&mut self, place: f64, value: f64) {
        if !value.is_finite() {
            self.broken = self.broken.or(Some(place));
            return;
        }
        let point = Stretch { first: place, last: place, low: value, high: value, sum: value, points: 1 };
        match self.stretches.last_mut() {
            Some(last) if last.points < self.stride => *last = last.with(&point),
            _ => self.stretches.push(point),
        }
        if self.stretches.len() > MOST {
            let pair = |pair: &[Stretch]| pair[1..].iter().fold(pair[0], |joined, next| joined.with(next));
            self.stretches = self.stretches.chunks(2).map(pair).collect();
            self.stride *= 2;
        }
    }

    /// Returns the smallest and largest value of every stretch.
    pub(super) fn raw(&self) -> Vec<Point> {
        let ends = |stretch: &Stretch| [(stretch.middle(), stretch.low), (stretch.middle(), stretch.high)];
        // As long as each stretch is one point, the two are equal.
        let ends = self.stretches.iter().flat_map(ends);
        if self.stride == 1 { ends.step_by(2).collect() } else { ends.collect() }
    }

    /// Returns each stretch's moving average over a twentieth of the curve, which is a few columns
    /// of dots.
    pub(super) fn smooth(&self) -> Vec<Point> {
        let half = self.stretches.len() / 40;
        let mut sums = vec![(0.0, 0)];
        for stretch in &self.stretches {
            let (sum, points) = sums[sums.len() - 1];
            sums.push((sum + stretch.sum, points + stretch.points));
        }
        let mean = |(at, stretch): (usize, &Stretch)| {
            let (from, to) = (sums[at.saturating_sub(half)], sums[(at + half + 1).min(self.stretches.len())]);
            (stretch.middle(), (to.0 - from.0) / (to.1 - from.1) as f64)
        };
        self.stretches.iter().enumerate().map(mean).collect()
    }

    /// Returns whether there are too few points for smoothing.
    pub(super) fn is_short(&self) -> bool {
        self.stretches.len() < 40
    }

    /// Returns the range of positions and the range of values, or `None` if there are no points.
    pub(super) fn extent(&self) -> Option<[(f64, f64); 2]> {
        let all = self.stretches.iter().copied().reduce(|all, next| all.with(&next))?;
        Some([(all.first, all.last), (all.low, all.high)])
    }

    /// Returns the last value, or the mean of the last stretch.
    pub(super) fn last(&self) -> Option<f64> {
        self.stretches.last().map(|stretch| stretch.sum / stretch.points as f64)
    }

    pub(super) fn broken(&self) -> Option<f64> {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_extremes_in_few_stretches() {
        let mut curve = Curve::default();
        for step in 1..=1_000_000u32 {
            let value = if step == 777_777 { 99.0 } else { f64::from(step % 2) };
            curve.push(f64::from(step), value);
        }
        assert!(curve.raw().len() <= 2 * MOST, "{}", curve.raw().len());
        assert_eq!(curve.extent(), Some([(1.0, 1e6), (0.0, 99.0)]));
        let smooth = curve.smooth();
        assert!(smooth.iter().all(|point| (point.1 - 0.5).abs() < 0.1), "{smooth:?}");
        assert!(smooth.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_short_curve_is_as_it_was_measured() {
        let mut curve = Curve::default();
        assert!(curve.raw().is_empty() && curve.smooth().is_empty() && curve.extent().is_none());
        for (place, value) in [(1.0, 3.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, f64::INFINITY)] {
            curve.push(place, value);
        }
        assert_eq!(curve.raw(), [(1.0, 3.0), (3.0, 1.0)]);
        assert_eq!(curve.smooth(), curve.raw());
        assert_eq!((curve.broken(), curve.is_short()), (Some(2.0), true));
    }
}
