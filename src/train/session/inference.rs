//! Inference of a session: logits, and what layers compute on the way.

use super::{Purpose, Session, non_finite};
use crate::backend::PlanId;
use crate::error::Result;
use crate::ops::quantise::CodeStatistics;
use crate::tensor::Tensor;
use crate::train::inspect::{self, Activation};

impl Session {
    /// Logits of images (n, h, w, c, scaled) with running statistics: one value per class and
    /// image, all finite.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or a value within the network is not finite.
    pub async fn logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        let image_len: usize = self.model.input.iter().product();
        let full = self.at_once();
        let id = self.plan_for(Purpose::Infer, full).await?;
        let mut out: Vec<f32> = Vec::new();
        for chunk in images.chunks(full * image_len) {
            // Images are independent here: a short batch is padded with blank images.
            let mut padded = chunk.to_vec();
            padded.resize(full * image_len, 0.0);
            let words = self.images(&padded, full).words;
            self.backend.write(id, "images", &words);
            self.backend.run(id)?;
            let ty = self.backend.plan(id).port("logits").expect("an inference plan has logits").place.ty.clone();
            let words = self.backend.read(id, "logits").await?;
            let logits = Tensor { ty, words }.to_f32();
            out.extend(&logits[..chunk.len() / image_len * self.model.classes]);
        }
        self.check_finite(id).await?;
        if out.iter().any(|logit| !logit.is_finite()) {
            return Err(non_finite::not_finite(non_finite::IN_LOGITS));
        }
        Ok(out)
    }

    /// Starts an inference on images (n, h, w, c, scaled), for one of the inspection purposes.
    async fn infer(&mut self, purpose: Purpose, images: &[f32]) -> Result<PlanId> {
        let batch = images.len() / self.model.input.iter().product::<usize>();
        let id = self.plan_for(purpose, batch).await?;
        let images = self.images(images, batch);
        self.backend.write(id, "images", &images.words);
        self.backend.run(id)?;
        Ok(id)
    }

    /// Every exact intermediate tensor of an inference on images (n, h, w, c, scaled), in layer
    /// order.
    ///
    /// Each number of images gets its own plan, which is kept: use few different numbers.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or the images do not fit into its memory.
    pub async fn inspect(&mut self, images: &[f32]) -> Result<Vec<Activation>> {
        let id = self.infer(Purpose::Inspect, images).await?;
        inspect::read(&mut *self.backend, id).await
    }

    /// Codes and surrogates of every quantiser in an inference on images (n, h, w, c, scaled), with
    /// the names of their layers, in order.
    ///
    /// Each number of images gets its own plan, which is kept: use few different numbers.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or the images do not fit into its memory.
    pub async fn quantisers(&mut self, images: &[f32]) -> Result<Vec<(String, CodeStatistics)>> {
        if !self.model.layers.iter().any(|layer| layer.kind.makes_codes()) {
            return Ok(Vec::new());
        }
        let id = self.infer(Purpose::CodeStatistics, images).await?;
        inspect::code_statistics(&mut *self.backend, id).await
    }
}
