//! Exchanges between ranks within a step: statistics of batch-norms over the images of all ranks, and the sums
//! that their gradients need ([`crate::ops::synchronise`]).
//!
//! **Invariant:** all ranks exchange the values of a graph in the same order, that of its nodes, whatever
//! kernels their devices run; a rank without images in a round takes part with empty messages.

use super::Session;
use crate::backend::PlanId;
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::ops::batch_norm_moments::add_moments;
use crate::ops::synchronise::{Shared, Synchronise};
use crate::plan::Plan;

/// A place in a plan at which ranks exchange a value.
struct Point {
    /// The first dispatch that needs the combined value.
    step: usize,
    /// The port that holds the value.
    port: String,
    what: Synchronise,
}

/// The places at which ranks exchange values, in order.
fn points(plan: &Plan) -> Vec<Point> {
    let nodes = plan.nodes.iter().filter_map(|node| match node.op {
        Op::Synchronise(what) => Some((node.steps.start, node.inputs[0].slot, what)),
        _ => None,
    });
    let named = nodes.map(|(step, slot, what)| {
        let port = plan.outputs.iter().find(|port| port.place.slot == slot);
        Point { step, port: port.expect("a value that ranks exchange is an output").name.clone(), what }
    });
    named.collect()
}

impl Session {
    /// Runs a plan of this rank's images, exchanges values where it says so, and in the `last` part of a step also the
    /// gradients that are complete on all ranks.
    ///
    /// # Errors
    ///
    /// Returns an error if the device or the connection to another rank is lost.
    pub(in crate::train::session) async fn run_synchronised(&mut self, id: PlanId, last: bool) -> Result<()> {
        let plan = self.backend.plan(id);
        let (points, end) = (points(plan), plan.steps.len());
        let complete = if last { self.complete_after(plan) } else { Vec::new() };
        let mut from = 0;
        for Point { step, port, what } in points {
            self.run_until(id, &mut from, step, &complete).await?;
            self.exchange_ready(self.underway.agreed).await?;
            let words = self.backend.read(id, &port).await?;
            let combined = self.combine(what.shared, what.rows, &words)?;
            self.backend.write(id, &port, &combined);
        }
        self.run_until(id, &mut from, end, &complete).await
    }

    /// Runs a plan's dispatches from `from` until `to`, and makes buckets ready on the way.
    async fn run_until(&mut self, id: PlanId, from: &mut usize, to: usize, complete: &[usize]) -> Result<()> {
        while let Some(&cut) = complete.get(self.underway.ready).filter(|&&cut| cut <= to) {
            self.run_from(id, from, cut)?;
            self.make_ready(true).await?;
        }
        self.run_from(id, from, to)
    }

    fn run_from(&mut self, id: PlanId, from: &mut usize, to: usize) -> Result<()> {
        if *from < to {
            self.backend.run_part(id, *from..to)?;
            // A step runs as a whole.
            self.backend.obey_stops(false);
            *from = to;
        }
        Ok(())
    }

    /// Takes part in the exchanges of a round in which this rank has no images; in the `last` one of a step all of its
    /// gradients are complete. `computed` is false if it had none in the whole step.
    ///
    /// # Errors
    ///
    /// Returns an error if the device or the connection to another rank is lost.
    pub(in crate::train::session) async fn join_synchronisation(&mut self, last: bool, computed: bool) -> Result<()> {
        while last && self.underway.ready < self.buckets.len() {
            self.make_ready(computed).await?;
        }
        for Point { what, .. } in points(self.backend.plan(self.training())) {
            self.exchange_ready(self.underway.agreed).await?;
            self.combine(what.shared, 0, &[])?;
        }
        Ok(())
    }

    /// Exchanges a value that stands for `rows` rows of this rank, and returns what replaces it.
    fn combine(&mut self, shared: Shared, rows: usize, words: &[u32]) -> Result<Vec<u32>> {
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        let message: Vec<u32> =
            [rows, self.underway.ready].iter().map(|&n| n as u32).chain(words.iter().copied()).collect();
        let all = ranks.gather_statistics(&message)?;
        self.underway.agreed = all.iter().map(|part| part[1] as usize).min().unwrap_or(0);
        let parts = all.iter().filter(|part| part[0] > 0).map(|part| (f64::from(part[0]), &part[2..]));
        Ok(combined(shared, rows as f64, &parts.collect::<Vec<_>>()))
    }
}

/// Combines the values of all ranks, each with the number of its rows, for one with `mine` rows. Floats are
/// added in the order of ranks in double precision.
fn combined(shared: Shared, mine: f64, parts: &[(f64, &[u32])]) -> Vec<u32> {
    let Some(&(_, first)) = parts.first() else { return Vec::new() };
    let number = |words: &[u32], index: usize| f64::from(f32::from_bits(words[index]));
    let store = |value: f64| (value as f32).to_bits();
    let total: f64 = parts.iter().map(|(rows, _)| rows).sum();
    match shared {
        Shared::Moments => {
            let mut sum = vec![0; first.len()];
            parts.iter().for_each(|(_, words)| add_moments(&mut sum, words));
            sum
        }
        Shared::Gradients => {
            let sum = |index: usize| parts.iter().map(|(_, words)| number(words, index)).sum::<f64>();
            (0..first.len()).map(|index| store(sum(index) * (mine / total))).collect()
        }
        Shared::Statistics => {
            let (lanes, mut out) = (first.len() / 2, vec![0; first.len()]);
            for c in 0..lanes {
                // Chan's formula for the mean and the sum of squared deviations of two sets.
                let (_, mean, deviation) =
                    parts.iter().fold((0.0, 0.0, 0.0), |(count, mean, deviation), (rows, words)| {
                        let (all, delta) = (count + rows, number(words, c) - mean);
                        let within = deviation + number(words, lanes + c) * rows;
                        (all, mean + delta * (rows / all), within + delta * delta * (count * rows / all))
                    });
                (out[c], out[lanes + c]) = (store(mean), store(deviation / total));
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Shared, combined};

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn statistics_are_those_of_all_rows() {
        // The rows 1, 2, 3 and 5, 9 of one channel: mean 4, squared deviations 9 + 4 + 1 + 1 + 25.
        let (a, b) = (bits(&[2.0, 2.0 / 3.0]), bits(&[7.0, 4.0]));
        let all = combined(Shared::Statistics, 3.0, &[(3.0, &a), (2.0, &b)]);
        assert_eq!(all, bits(&[4.0, 8.0]));
        // Of one rank they are unchanged.
        assert_eq!(combined(Shared::Statistics, 3.0, &[(3.0, &a)]), a);
    }

    #[test]
    fn gradients_are_scaled_to_this_ranks_rows() {
        let (a, b) = (bits(&[6.0, -1.0]), bits(&[2.0, 5.0]));
        let parts: [(f64, &[u32]); 2] = [(3.0, &a), (1.0, &b)];
        assert_eq!(combined(Shared::Gradients, 3.0, &parts), bits(&[6.0, 3.0]));
        assert_eq!(combined(Shared::Gradients, 1.0, &parts), bits(&[2.0, 1.0]));
    }

    #[test]
    fn moments_carry_into_the_high_word() {
        let (a, b) = ([u32::MAX, u32::MAX, 1], [3, 2, 4]);
        assert_eq!(combined(Shared::Moments, 1.0, &[(1.0, &a), (1.0, &b)]), [2, 1, 6]);
    }
}
