//! How images reach a session: as floats, or as bytes from which the device builds a batch.

use super::Session;
use crate::backend::PlanId;
use crate::data::Normalise;
use crate::error::Result;
use crate::pass::{Bytes, ImageInput, Store, store_name};
use crate::random::{self, Random};
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::ops::Range;

/// A batch for the next step.
pub(in crate::train) enum Batch<'a> {
    Floats(Cow<'a, [f32]>),
    Positions(Cow<'a, [u32]>),
    Bytes(Cow<'a, [u8]>),
}

impl Batch<'_> {
    /// A range of its `n` images.
    pub(super) fn part(&self, n: usize, images: Range<usize>) -> Batch<'_> {
        fn of<T: Clone>(all: &[T], n: usize, images: Range<usize>) -> Cow<'_, [T]> {
            let each = all.len() / n;
            all[images.start * each..images.end * each].into()
        }
        match self {
            Self::Floats(values) => Batch::Floats(of(values, n, images)),
            Self::Positions(positions) => Batch::Positions(of(positions, n, images)),
            Self::Bytes(pixels) => Batch::Bytes(of(pixels, n, images)),
        }
    }
}

/// Bytes as the words of a port of `words` words.
pub(super) fn words(bytes: &[u8], words: usize) -> Vec<u32> {
    let mut out = vec![0u32; words];
    bytemuck::cast_slice_mut::<u32, u8>(&mut out)[..bytes.len()].copy_from_slice(bytes);
    out
}

impl Session {
    /// Sets how bytes are normalised for the network.
    ///
    /// # Panics
    ///
    /// Panics if the session does not take bytes, or the per-pixel mean does not match the one it
    /// was created for.
    pub fn set_normalise(&mut self, normalise: &Normalise) {
        let id = self.training();
        let channels = self.model.input[0];
        let table = Tensor::from_f32(&[256, channels], &normalise.table);
        self.backend.write(id, "input.table", &table.words);
        if let Some(mean) = &normalise.mean {
            let ty = self.backend.plan(id).port("input.mean").expect("a per-pixel mean was announced").place.ty.clone();
            self.backend.write(id, "input.mean", &Tensor::from_f32(&ty.shape, mean).words);
        }
    }

    /// Writes all images of the run to the device, as bytes N, H, W, C. They stay there.
    ///
    /// # Panics
    ///
    /// Panics if the session was not created for this number of images of this size.
    pub fn set_store(&mut self, pixels: &[u8]) {
        let ImageInput::Bytes(bytes) = self.image_input else { panic!("the session takes floats") };
        let Store::Resident { images, part_images } = bytes.store else { panic!("each batch brings its images") };
        assert_eq!(pixels.len(), images * self.image_bytes(), "bytes of {images} images");
        let id = self.training();
        for (part, pixels) in pixels.chunks(part_images * self.image_bytes()).enumerate() {
            let (name, words) = self.part(id, part, pixels);
            self.backend.write(id, &name, &words);
        }
    }

    /// A part of the store: its port, and the words to write there.
    fn part(&self, id: PlanId, part: usize, pixels: &[u8]) -> (String, Vec<u32>) {
        let name = store_name(part);
        let port_words = self.backend.plan(id).port(&name).expect("a plan has its store").place.ty.words();
        (name, words(pixels, port_words))
    }

    /// Bytes of an image in the store.
    fn image_bytes(&self) -> usize {
        let ImageInput::Bytes(bytes) = self.image_input else { panic!("the session takes floats") };
        bytes.source[0] * bytes.source[1] * self.model.input[0]
    }

    /// The contents of a plan's ports for a step on these `n` images.
    pub(super) fn ports(&self, id: PlanId, n: usize, batch: &Batch<'_>) -> Vec<(String, Vec<u32>)> {
        let index = |positions: &[u32]| ("index".to_string(), Tensor::from_u32(&[n], positions).words);
        match batch {
            Batch::Floats(values) => vec![("images".to_string(), self.images(values, n).words)],
            Batch::Positions(positions) => vec![index(positions)],
            Batch::Bytes(pixels) => {
                assert_eq!(pixels.len(), n * self.image_bytes(), "bytes of {n} images");
                vec![self.part(id, 0, pixels), index(&(0..n as u32).collect::<Vec<_>>())]
            }
        }
    }

    /// Noise for this rank's part of a full batch.
    pub(super) fn noise(&self) -> Batch<'static> {
        let (n, mut random) = (self.share(self.batch).len(), Random::new(0, "noise"));
        match self.image_input {
            ImageInput::Floats => {
                let values = n * self.model.input.iter().product::<usize>();
                Batch::Floats(random::uniform(0, "noise", values).into())
            }
            ImageInput::Bytes(Bytes { store: Store::Resident { images, .. }, .. }) => {
                Batch::Positions((0..n).map(|_| random.below(images as u32)).collect())
            }
            ImageInput::Bytes(_) => Batch::Bytes((0..n * self.image_bytes()).map(|_| random.word() as u8).collect()),
        }
    }

    /// Runs one training step on normalised images (n, h, w, c) with labels, in a session that takes
    /// floats.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    ///
    /// # Panics
    ///
    /// Panics if the number of values does not match the number of labels, or a label is not below
    /// the number of classes.
    pub async fn train_step(&mut self, images: &[f32], labels: &[u32], lr: f32) -> Result<()> {
        self.step_on(&Batch::Floats(images.into()), labels, labels.len(), lr).await
    }

    /// Runs one training step on the images at these indices of the store, with labels.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    ///
    /// # Panics
    ///
    /// Panics if there are not as many indices as labels, one lies outside the store, or a label is
    /// not below the number of classes.
    pub async fn train_on(&mut self, positions: &[u32], labels: &[u32], lr: f32) -> Result<()> {
        let ImageInput::Bytes(bytes) = self.image_input else { panic!("the session takes floats") };
        let Store::Resident { images, .. } = bytes.store else { panic!("each batch brings its images") };
        assert!(positions.iter().all(|&place| (place as usize) < images), "positions in the store");
        self.step_on(&Batch::Positions(positions.into()), labels, labels.len(), lr).await
    }

    /// Runs one training step on images as bytes (n, h, w, c) with labels, in a session whose
    /// batches carry their images.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    ///
    /// # Panics
    ///
    /// Panics if the number of bytes does not match the number of labels, or a label is not below
    /// the number of classes.
    pub async fn train_bytes(&mut self, pixels: &[u8], labels: &[u32], lr: f32) -> Result<()> {
        self.step_on(&Batch::Bytes(pixels.into()), labels, labels.len(), lr).await
    }
}
