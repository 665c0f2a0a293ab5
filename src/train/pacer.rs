//! Number of steps to request at a time: few read-backs, but frequent enough updates for a viewer.

use std::time::Duration;

/// Number of steps that take about one update interval, found by doubling and halving.
#[derive(Clone, Copy, Debug)]
pub struct StepPacer {
    wait: Duration,
    steps: u64,
}

impl StepPacer {
    /// Starts with one step for the given update interval.
    pub fn new(wait: Duration) -> Self {
        Self { wait, steps: 1 }
    }

    /// Steps to request.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Records how long those steps took.
    pub fn took(&mut self, time: Duration) {
        self.steps = if time < self.wait { self.steps * 2 } else { self.steps / 2 }.clamp(1, 1 << 20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_quick_and_shrink_when_they_are_not() {
        let [quick, slow] = [1, 200].map(Duration::from_millis);
        let mut pacer = StepPacer::new(Duration::from_millis(150));
        assert_eq!(pacer.steps(), 1);
        let steps = [quick, quick, quick, slow, slow, slow, slow].map(|time| {
            pacer.took(time);
            pacer.steps()
        });
        assert_eq!(steps, [2, 4, 8, 4, 2, 1, 1]);
        (0..100).for_each(|_| pacer.took(quick));
        assert_eq!(pacer.steps(), 1 << 20);
    }
}
