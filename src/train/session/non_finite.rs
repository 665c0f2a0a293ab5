//! Localisation of values that are not finite.

use super::{Batch, Purpose, Session};
use crate::backend::PlanId;
use crate::error::{Error, Result};
use crate::graph::Phase;
use crate::kernel::FAULT;
use crate::pass::ACCUMULATED;
use crate::tensor::{LANES, Tensor};
use std::fmt;

/// The first values of a step that are not all finite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NonFinite {
    /// A parameter or its optimiser state, by name.
    Parameter(String),
    /// An input or the output of an operation of a layer.
    Layer {
        /// The layer.
        layer: String,
        /// The operation.
        stem: &'static str,
    },
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "in the parameter {name}"),
            Self::Layer { layer, stem } => write!(f, "in layer \"{layer}\" ({stem})"),
        }
    }
}

/// Location given when non-finite values appear only in the logits.
pub(super) const IN_LOGITS: &str = "in the logits";

/// The error of an inference whose results are not finite.
pub(super) fn not_finite(place: &str) -> Error {
    Error::Diverged(format!(
        "the network computes NaN or infinity, {place}: its weights or its input are too large; train it again with a lower train.optimizer.lr, or check how images are normalised"
    ))
}

impl Session {
    /// Decodes a fault word of a plan: the first of its nodes that encountered a value that is not
    /// finite.
    fn locate(&self, id: PlanId, word: u32) -> Option<NonFinite> {
        let plan = self.backend.plan(id);
        let node = plan.faulty(word)?;
        let updated = plan.state.iter().find(|port| port.place.slot == node.output.slot && node.phase == Phase::Update);
        Some(match updated {
            Some(port) => {
                let name = port.name.strip_prefix(ACCUMULATED).unwrap_or(&port.name);
                NonFinite::Parameter(name.to_string())
            }
            None => NonFinite::Layer { layer: node.layer.clone(), stem: node.op.stem() },
        })
    }

    /// Where the first value of a training step on `images` images was not finite, from its
    /// measured word ([`super::Measured::fault`]).
    pub(in crate::train) fn step_non_finite(&self, images: usize, word: u32) -> Option<NonFinite> {
        self.known_ids(images).into_iter().find_map(|id| self.locate(id, word))
    }

    /// Fails if a value in a run of this plan was not finite; the word is then reset to 0.
    pub(super) async fn check_finite(&mut self, id: PlanId) -> Result<()> {
        if self.backend.plan(id).port(FAULT).is_none() {
            return Ok(());
        }
        let word = self.backend.read(id, FAULT).await?[0];
        self.check_word(id, word)
    }

    /// Like [`Self::check_finite`], for a fault word that has been read.
    pub(super) fn check_word(&mut self, id: PlanId, word: u32) -> Result<()> {
        let Some(fault) = self.locate(id, word) else { return Ok(()) };
        self.clear_fault();
        match fault {
            // The loss reads the logits, and otherwise only integers.
            NonFinite::Layer { stem, .. } if stem == self.loss.op().stem() => Err(not_finite(IN_LOGITS)),
            fault => Err(not_finite(&format!("first {fault}"))),
        }
    }

    /// Resets the fault word.
    pub(super) fn clear_fault(&mut self) {
        self.put(FAULT, &[0; LANES]);
    }

    /// The first values that are not all finite in the forward pass of a training step on `of`
    /// images, in layer order; parameters come first. Running statistics are updated.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub(in crate::train) async fn first_non_finite(
        &mut self,
        of: usize,
        batch: &Batch<'_>,
    ) -> Result<Option<NonFinite>> {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        for parameter in self.parameters.clone().into_iter().filter(|parameter| !parameter.counts()) {
            let words = self.get(&parameter.name).await?;
            for (name, tensor) in parameter.to_host(words) {
                if !finite(&tensor.values) {
                    return Ok(Some(NonFinite::Parameter(name)));
                }
            }
        }
        let n = self.share(of).len();
        for images in self.rounds(of).into_iter().map(|round| round.images).filter(|images| !images.is_empty()) {
            let id = self.plan_for(Purpose::Expose, images.len()).await?;
            let part = batch.part(n, images.clone());
            self.ports(id, images.len(), &part).iter().for_each(|(name, words)| self.backend.write(id, name, words));
            if let Some(random) = self.random(id, images.start) {
                self.backend.write(id, "random", &random.words);
            }
            self.backend.run(id)?;
            for node in self.backend.plan(id).nodes.clone() {
                let port = self.backend.plan(id).outputs.iter().find(|port| port.place == node.output);
                let Some(name) = port.map(|port| port.name.clone()) else { continue };
                let tensor = Tensor { ty: node.output.ty, words: self.backend.read(id, &name).await? };
                if !finite(&tensor.to_f32()) {
                    return Ok(Some(NonFinite::Layer { layer: node.layer, stem: node.op.stem() }));
                }
            }
        }
        Ok(None)
    }
}
