//! Measurements of a step besides its loss: duration of dispatches, captures for a debugger,
//! gradients.

use super::Session;
use crate::error::Result;
use crate::model::Parameter;
use crate::pass::{ACCUMULATED, RING};
use crate::profile::{self, Measurement};
use crate::random::Random;
use crate::tensor::Tensor;
use crate::train::HostTensor;
use std::collections::BTreeMap;

impl Session {
    /// Measures a training step of a full batch, or of its first micro-batch without the update, in
    /// `rounds` rounds: see [`profile::measure()`]. The images are noise. The session is unchanged:
    /// state is saved before and restored afterwards. `progress` is called with the number of
    /// completed rounds.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn measure(&mut self, rounds: usize, progress: impl FnMut(usize)) -> Result<Measurement> {
        let waiting = self.measured().await?;
        // Raw words: the state of a diverged run is restored too.
        let mut kept = Vec::new();
        for name in self.state() {
            let words = self.get(&name).await?;
            kept.push((name, words));
        }
        let (id, n) = (self.training(), self.at_once());
        let mut random = Random::new(1, "profile");
        let labels: Vec<_> = (0..n).map(|_| random.below(self.model.classes as u32)).collect();
        let inputs = [
            ("labels", Tensor::from_u32(&[n], &labels)),
            ("step", Tensor::from_u32(&[1], &[(self.step % RING as u64) as u32])),
            // The optimiser's state and statistics change, weights do not (except those that the
            // optimiser flips): nothing can diverge.
            ("rates", Tensor::from_f32(&[4], &self.optimizer.rates(0.0, self.step + 1))),
            ("micro", Tensor::from_f32(&[4], &[0.0; 4])),
        ];
        // A micro-batch does not include the update.
        let inputs = inputs.into_iter().filter(|(name, _)| self.backend.plan(id).port(name).is_some());
        let inputs = inputs.chain(self.random(id, 0).map(|random| ("random", random)));
        let inputs = inputs.map(|(name, tensor)| (name.to_string(), tensor.words));
        let noise = self.noise();
        let noise = noise.part(self.share(self.batch).len(), 0..n);
        let inputs: Vec<_> = self.ports(id, n, &noise).into_iter().chain(inputs).collect();
        inputs.iter().for_each(|(name, words)| self.backend.write(id, name, words));
        let measured = profile::measure(&mut *self.backend, id, &inputs, rounds, progress).await;
        kept.iter().for_each(|(name, words)| self.put(name, words));
        self.go_to(self.step);
        self.measured = waiting;
        measured
    }

    /// Runs the training step once, on the inputs of the last one, inside a capture of the attached
    /// graphics debugger, if any. The state changes.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or the backend does not support captures.
    pub async fn capture(&mut self) -> Result<()> {
        self.backend.capture(self.training()).await
    }

    /// "logits" and `grad/<name>` of the last training step of a full batch; the session must have
    /// been created with `dump`.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub async fn gradients(&mut self) -> Result<BTreeMap<String, HostTensor>> {
        assert!(self.dump, "a session made with `dump` keeps gradients");
        let mut all = BTreeMap::new();
        let accumulates = !self.is_whole();
        let values = if accumulates { self.logits.clone() } else { self.logits_of(self.training()).await? };
        let classes = self.model.classes;
        all.insert("logits".to_string(), HostTensor { shape: vec![values.len() / classes, classes], values });
        for parameter in self.parameters.clone().into_iter().filter(Parameter::trained) {
            let prefix = if accumulates { ACCUMULATED } else { "grad/" };
            let gradient = self.get(&format!("{prefix}{}", parameter.name)).await?;
            let parts = parameter.to_host(gradient).into_iter();
            all.extend(parts.map(|(name, tensor)| (format!("grad/{name}"), tensor)));
        }
        Ok(all)
    }
}
