//! A curve of any length, kept in a bounded number of stretches, so that a run of millions of steps is drawn as fast as a short one.

use super::plot::Point;

/// More stretches than a terminal has columns of dots.
const MOST: usize = 2048;

/// Points that lie next to each other.
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

/// Values by place; the places rise.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    stretches: Vec<Stretch>,
    /// Points of a full stretch.
    stride: u64,
    /// The first place whose value was not finite.
    broken: Option<f64>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { stretches: Vec::new(), stride: 1, broken: None }
    }
}

impl Curve {
    /// Adds a point; of values that are not finite the first place is kept.
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

    /// Everything that was measured: the least and the largest of every stretch.
    pub(super) fn raw(&self) -> Vec<Point> {
        let ends = |stretch: &Stretch| [(stretch.middle(), stretch.low), (stretch.middle(), stretch.high)];
        // Until there are many, each is a point.
        let ends = self.stretches.iter().flat_map(ends);
        if self.stride == 1 { ends.step_by(2).collect() } else { ends.collect() }
    }

    /// Each stretch's mean over the twentieth of the curve around it: a few columns of dots.
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

    /// Whether the points are too few to be smoothed.
    pub(super) fn is_short(&self) -> bool {
        self.stretches.len() < 40
    }

    /// The first and the last place, and the least and the largest value; none without a point.
    pub(super) fn extent(&self) -> Option<[(f64, f64); 2]> {
        let all = self.stretches.iter().copied().reduce(|all, next| all.with(&next))?;
        Some([(all.first, all.last), (all.low, all.high)])
    }

    /// The last value; of a full stretch its mean.
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
