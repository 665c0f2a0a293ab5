//! The end of a run whose values are no longer finite.

use super::Trainer;
use crate::error::{Error, Result};
use crate::train::checkpoint::Checkpoint;
use crate::train::session::NonFinite;

impl Trainer {
    fn divergence(&self, step: u64, fault: Option<&NonFinite>) -> Error {
        let lr = self.recipe.train.lr(step - 1, self.dataset.train.len());
        let first = fault.map_or(String::new(), |fault| format!("; it started {fault}"));
        let lr = if lr < 1e5 { lr.to_string() } else { format!("{lr:e}") };
        let advice = match step {
            1 => {
                "check the initial weights and how images are normalised, or start a new run with a lower train.optimizer.lr"
            }
            _ => "start a new run with a lower train.optimizer.lr",
        };
        Error::Diverged(format!(
            "found NaN or infinity at step {step}: training has diverged{first}; {advice} (the learning rate of this step was {lr})"
        ))
    }

    /// Fails once a value in a step was not finite.
    pub(super) fn check_healthy(&self) -> Result<()> {
        match &self.diverged {
            Some((step, fault)) => Err(self.divergence(*step, fault.as_ref())),
            None => Ok(()),
        }
    }

    /// The first step in which a value was not finite, if there is one: training has diverged.
    pub fn diverged(&self) -> Option<u64> {
        self.diverged.as_ref().map(|(step, _)| *step)
    }

    /// The error of a diverged run, with the place where values first ceased to be finite: restores
    /// a checkpoint of the same epoch, repeats the steps from there, and inspects all values of the
    /// step that failed. The run must not be continued afterwards.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or the checkpoint belongs to another run.
    pub async fn diagnose(&mut self, checkpoint: &Checkpoint) -> Result<Option<Error>> {
        let Some((step, checked)) = self.diverged.clone() else { return Ok(None) };
        // Other ranks would have to repeat the steps, too.
        if self.session.ranks() > 1 {
            return Ok(None);
        }
        self.restore(checkpoint)?;
        while self.position.step + 1 < step {
            self.advance(step - 1 - self.position.step).await?;
        }
        self.flush().await?;
        let batches = self.batches(self.position.epoch);
        let of = batches[self.position.batch as usize].len();
        let batch = self.batch(self.position.step, &batches, self.position.batch as usize)?;
        // If the forward pass is finite: the place that the check on the device found in the
        // gradients or updates.
        let fault = self.session.first_non_finite(of, &batch).await?.or(checked);
        Ok(Some(self.divergence(step, fault.as_ref())))
    }
}
