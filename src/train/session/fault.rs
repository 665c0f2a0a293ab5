//! Where numbers cease to be finite.

use super::{Batch, Purpose, Session};
use crate::error::Result;
use crate::tensor::Tensor;
use std::fmt;

/// The first values of a step that are not all finite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A parameter, before the step, by its name.
    Parameter(String),
    /// What an operation of a layer gives.
    Output {
        /// The layer.
        layer: String,
        /// The operation.
        stem: &'static str,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "in the parameter {name}: the update before made it so"),
            Self::Output { layer, stem } => write!(f, "in the output of layer \"{layer}\" ({stem})"),
        }
    }
}

impl Session {
    /// The first values that are not all finite in the forward pass of a training step on `n` images, in the order of the layers; parameters before all others. Running statistics
    /// move on.
    ///
    /// # Errors
    /// When the device is lost.
    pub(in crate::train) async fn first_fault(&mut self, n: usize, batch: &Batch<'_>) -> Result<Option<Fault>> {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        for parameter in self.parameters.clone().into_iter().filter(|parameter| !parameter.counts()) {
            let words = self.backend.read(self.training(), &parameter.name).await?;
            for (name, tensor) in parameter.to_host(words) {
                if !finite(&tensor.values) {
                    return Ok(Some(Fault::Parameter(name)));
                }
            }
        }
        let id = self.plan_for(Purpose::Expose, n).await?;
        self.ports(id, n, batch).iter().for_each(|(name, words)| self.backend.write(id, name, words));
        if let Some(random) = self.random(id) {
            self.backend.write(id, "random", &random.words);
        }
        self.backend.run(id)?;
        for node in self.backend.plan(id).nodes.clone() {
            let port = self.backend.plan(id).outputs.iter().find(|port| port.place == node.output);
            let Some(name) = port.map(|port| port.name.clone()) else { continue };
            let tensor = Tensor { ty: node.output.ty, words: self.backend.read(id, &name).await? };
            if !finite(&tensor.to_f32()) {
                return Ok(Some(Fault::Output { layer: node.layer, stem: node.op.stem() }));
            }
        }
        Ok(None)
    }
}
