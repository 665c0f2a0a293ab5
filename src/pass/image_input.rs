//! `image_input`: how a step gets its images.

use super::build::Mode;
use super::fixed_point::random_leaf;
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::{INPUT, Model};
use crate::ops::gather::{Augment, Gather};
use crate::ops::{Graph, Leaf, Role};
use crate::random;
use crate::tensor::{Encoding, TensorType};

/// How a step gets its images.
#[derive(Clone, PartialEq, Debug)]
pub enum ImageInput {
    /// As normalised floats: input "images" `[n, h, w, c]`.
    Floats,
    /// As bytes, which the device gathers, augments and normalises: input "index" `[n]`, state
    /// "input.table" `[256, c]` and, with a per-pixel mean, "input.mean" `[h, w, c]`.
    Bytes(Bytes),
}

/// Images as bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bytes {
    /// Height and width of a stored image, at least those of the model's input.
    pub source: [usize; 2],
    /// Where the images are stored.
    pub store: Store,
    /// Augmentation.
    pub augment: Augment,
    /// Whether a per-pixel mean is subtracted.
    pub mean: bool,
}

/// Where a step's images are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// All images of a run reside on the device, as state "store/0", "store/1", … of `part_images`
    /// images each, except the last.
    Resident {
        /// Number of images in total.
        images: usize,
        /// Number of images in one part.
        part_images: usize,
    },
    /// Each batch is uploaded separately: input "store/0".
    Batch,
}

/// Returns the name of a part of the store.
pub fn store_name(part: usize) -> String {
    format!("store/{part}")
}

/// Name prefix of bytes and their normalisation during evaluation, whose images differ from the
/// run's and may have another size.
pub const EVALUATION: &str = "evaluation/";

/// Appends the images of a batch `[n, h, w, c]`.
pub(super) fn images(
    graph: &mut Graph,
    model: &Model,
    batch: usize,
    image_input: &ImageInput,
    mode: Mode,
) -> Result<Value> {
    let [c, h, w] = model.input;
    graph.at(INPUT, Phase::Forward);
    let ImageInput::Bytes(bytes) = image_input else {
        return graph.add(Leaf::input("images", TensorType::f32(&[batch, h, w, c])), &[]);
    };
    let [source_h, source_w] = bytes.source;
    let (images, part_images, role) = match bytes.store {
        Store::Resident { images, part_images } => (images, part_images, Role::State { trained: false }),
        Store::Batch => (batch, batch, Role::Input),
    };
    let stream = random::stream("input/augment") as u32;
    let (source, size) = ([source_h, source_w, c], [h, w]);
    let gather = Gather { source, size, images, part_images, augment: bytes.augment, mean: bytes.mean, stream };
    let prefix = if mode == Mode::Infer { EVALUATION } else { "" };
    let mut leaf = |name: &str, ty, role| graph.add(Leaf { name: format!("{prefix}{name}"), ty, role }, &[]);
    let kept = Role::State { trained: false };
    let mut inputs = vec![
        leaf("index", TensorType::new(&[batch], Encoding::U32), Role::Input)?,
        leaf("input.table", TensorType::f32(&[256, c]), kept)?,
    ];
    let mean = if bytes.mean { Some(leaf("input.mean", TensorType::f32(&source), kept)?) } else { None };
    let parts = gather.parts().enumerate();
    let parts = parts.map(|(part, (_, images))| leaf(&store_name(part), gather.part_type(images), role));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if gather.uses_random() {
        inputs.push(random_leaf(graph)?);
    }
    inputs.extend(mean.into_iter().chain(parts));
    graph.add(gather, &inputs)
}
