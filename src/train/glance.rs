//! How many steps to ask for at a time: the fewer read-backs the better, but somebody is watching.

use std::time::Duration;

/// The number of steps that takes about as long as a watcher waits for news; found by doubling and halving.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    wait: Duration,
    steps: u64,
}

impl Glance {
    /// For a watcher who waits so long; one step at first.
    pub fn new(wait: Duration) -> Self {
        Self { wait, steps: 1 }
    }

    /// Steps to ask for.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Notes how long that many took.
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
        let mut glance = Glance::new(Duration::from_millis(150));
        assert_eq!(glance.steps(), 1);
        let steps = [quick, quick, quick, slow, slow, slow, slow].map(|time| {
            glance.took(time);
            glance.steps()
        });
        assert_eq!(steps, [2, 4, 8, 4, 2, 1, 1]);
        (0..100).for_each(|_| glance.took(quick));
        assert_eq!(glance.steps(), 1 << 20);
    }
}
