//! Folded networks on a device: large batches, with the kernels of the training engine.

use super::graph::{Lowered, graph};
use crate::backend::{Backend, PlanId};
use crate::error::{Error, Result};
use crate::first_use;
use crate::pass::{fuse, simplify};
use crate::tensor::Tensor;
use halfwave_infer::Network;

/// A folded network that is loaded onto a device. Codes are those of the processor wherever sums are
/// integers; floats are added in the device's order.
pub struct DeviceRunner {
    backend: Box<dyn Backend>,
    network: Network,
    id: PlanId,
    batch: usize,
}

impl DeviceRunner {
    /// Compiles a network for `batch` images at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is invalid or does not fit the device, or if a layer has no
    /// kernel: a packed convolution with free levels or several bases.
    pub async fn new(network: Network, backend: impl Into<Box<dyn Backend>>, batch: usize) -> Result<Self> {
        let mut backend = backend.into();
        network.check().map_err(|error| Error::Model(error.to_string()))?;
        let Lowered { graph, arrays } = graph(&network, batch)?;
        let graph = fuse(&simplify(&graph)?)?;
        let plan = first_use::lower(&graph, &mut *backend).await?;
        let id = backend.load(plan).await?;
        for (name, tensor) in arrays {
            if backend.plan(id).port(&name).is_some() {
                backend.write(id, &name, &tensor.words);
            }
        }
        Ok(Self { backend, network, id, batch })
    }

    /// Returns the logits of images: bytes N, H, W, C.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or the bytes are not a whole number of images.
    pub async fn logits(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        let (input, classes) = (&self.network.input, self.network.classes.len());
        let len = input.len();
        if !images.len().is_multiple_of(len) {
            let message = format!("{} bytes are not a whole number of images of {len} bytes", images.len());
            return Err(Error::Data(message));
        }
        let [h, w, c] = input.shape;
        let mut all = Vec::with_capacity(images.len() / len * classes);
        for chunk in images.chunks(self.batch * len) {
            let mut values = input.values(chunk);
            values.resize(self.batch * len, 0.0);
            self.backend.write(self.id, "images", &Tensor::from_f32(&[self.batch, h, w, c], &values).words);
            self.backend.run(self.id)?;
            let ty = self.backend.plan(self.id).port("logits").expect("the graph's output").place.ty.clone();
            let words = self.backend.read(self.id, "logits").await?;
            all.extend(&Tensor { ty, words }.to_f32()[..chunk.len() / len * classes]);
        }
        Ok(all)
    }
}
