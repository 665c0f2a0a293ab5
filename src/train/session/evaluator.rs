//! Batches of an evaluation: images go to the device as bytes, and the results of all images are
//! read back at the end, in one piece.

use super::non_finite::not_finite;
use super::{Arriving, Purpose, Session, images};
use crate::backend::PlanId;
use crate::data::Normalise;
use crate::error::Result;
use crate::kernel::FAULT;
use crate::ops::evaluation_record::COLUMNS;
use crate::pass::{EVALUATED_BATCHES, EVALUATION, store_name};
use crate::tensor::Tensor;
use crate::train::evaluate::ImageResult;
use std::collections::VecDeque;
use std::ops::Range;

/// Number of batches in flight besides the latest. Kept small, because images stay in memory until
/// the device takes them, and a stop waits for them.
const AHEAD: usize = 3;

/// Batches evaluated one after the other, with running statistics.
pub(in crate::train) struct Evaluator<'s> {
    session: &'s mut Session,
    id: PlanId,
    /// Number of images of each batch whose rows are on the device.
    sizes: Vec<usize>,
    /// The fault word of each batch in flight. A batch is finished when its word has arrived.
    under_way: VecDeque<Arriving>,
    results: Vec<ImageResult>,
}

impl Session {
    /// Starts an evaluation of images, normalised by `normalise`.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, the model does not fit it, or a stop is requested.
    pub(in crate::train) async fn evaluator(&mut self, normalise: &Normalise) -> Result<Evaluator<'_>> {
        let [c, h, w] = self.model.input;
        let id = self.plan_for(Purpose::Evaluate { mean: normalise.mean.is_some() }, self.at_once()).await?;
        let table = Tensor::from_f32(&[256, c], &normalise.table);
        let mean = normalise.mean.as_ref().map(|mean| Tensor::from_f32(&[h, w, c], mean));
        for (name, tensor) in [("input.table", Some(table)), ("input.mean", mean)] {
            if let Some(tensor) = tensor {
                self.backend.write(id, &format!("{EVALUATION}{name}"), &tensor.words);
            }
        }
        Ok(Evaluator { session: self, id, sizes: Vec::new(), under_way: VecDeque::new(), results: Vec::new() })
    }
}

impl Evaluator<'_> {
    /// Images per full batch.
    pub(in crate::train) fn full(&self) -> usize {
        self.session.at_once()
    }

    /// The part of `len` images that this rank evaluates.
    pub(in crate::train) fn share(&self, len: usize) -> Range<usize> {
        self.session.share(len)
    }

    /// Starts a batch: bytes n, h, w, c in the network's input size, at most a full batch, and
    /// their labels.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, a value within the network was not finite in an
    /// earlier batch, or a stop is requested.
    ///
    /// # Panics
    ///
    /// Panics if the number of bytes does not match the number of labels, or a label is not below
    /// the number of classes.
    pub(in crate::train) async fn batch(&mut self, pixels: &[u8], labels: &[u32]) -> Result<()> {
        let (n, full, model) = (labels.len(), self.session.at_once(), &self.session.model);
        assert!(labels.iter().all(|&label| (label as usize) < model.classes), "labels below the number of classes");
        assert_eq!(pixels.len(), n * model.input.iter().product::<usize>(), "bytes of {n} images");
        if n == 0 {
            return Ok(());
        }
        if self.sizes.len() == EVALUATED_BATCHES {
            self.collect().await?;
        }
        // Images are independent here: a short batch is padded with copies of its last image, which
        // are not counted.
        let index: Vec<_> = (0..full).map(|at| at.min(n - 1) as u32).collect();
        let labels: Vec<_> = index.iter().map(|&at| labels[at as usize]).collect();
        let store = format!("{EVALUATION}{}", store_name(0));
        let (id, backend) = (self.id, &mut self.session.backend);
        let words = backend.plan(id).port(&store).expect("a plan has its store").place.ty.words();
        backend.write(id, &store, &images::words(pixels, words));
        backend.write(id, &format!("{EVALUATION}index"), &Tensor::from_u32(&[full], &index).words);
        backend.write(id, "labels", &Tensor::from_u32(&[full], &labels).words);
        backend.write(id, "batch", &Tensor::from_u32(&[1], &[self.sizes.len() as u32]).words);
        backend.run(id)?;
        self.sizes.push(n);
        self.under_way.push_back(backend.read(id, FAULT));
        self.wait(AHEAD).await
    }

    /// The results of all images, in order; waits for batches in flight.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or a value within the network is not finite.
    pub(in crate::train) async fn finish(mut self) -> Result<Vec<ImageResult>> {
        self.collect().await?;
        Ok(self.results)
    }

    /// Waits until at most `left` batches are in flight.
    async fn wait(&mut self, left: usize) -> Result<()> {
        while self.under_way.len() > left {
            let Some(word) = self.under_way.pop_front() else { break };
            let word = word.await?[0];
            self.check(word)?;
        }
        Ok(())
    }

    /// Collects the rows on the device.
    async fn collect(&mut self) -> Result<()> {
        if self.sizes.is_empty() {
            return Ok(());
        }
        let words = self.session.backend.read(self.id, "judged").await?;
        self.under_way.clear();
        let batches = words.chunks(self.session.at_once() * COLUMNS).zip(std::mem::take(&mut self.sizes));
        let rows = batches.flat_map(|(rows, images)| rows.as_chunks::<COLUMNS>().0.iter().take(images));
        let rows: Vec<_> = rows.map(|row| row.map(f32::from_bits)).collect();
        // A fault word stays set once a fault has occurred.
        self.check(rows.last().map_or(0, |row| row[3] as u32))?;
        // The logits may be finite and still too large for the loss.
        if rows.iter().any(|[loss, ..]| !loss.is_finite()) {
            return Err(not_finite("in the loss"));
        }
        let result =
            |[loss, class, rank, _]: [f32; COLUMNS]| ImageResult { loss, class: class as usize, rank: rank as usize };
        self.results.extend(rows.into_iter().map(result));
        Ok(())
    }

    /// Fails if a value was not finite; the fault word is then reset to 0.
    fn check(&mut self, word: u32) -> Result<()> {
        self.session.check_word(self.id, word)
    }
}
