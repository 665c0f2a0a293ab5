//! Passes: from a model to a graph, and from graph to graph. The graph is verified after each.
//!
//! [`build()`] (model → forward graph) → [`objective()`] (adds the loss) → [`differentiate()`] (adds the
//! backward pass) → [`update()`] (adds the optimiser) → [`record()`] (records metrics) → [`simplify()`]
//! (common subexpressions, dead nodes) → [`fuse()`] (folds batch-norms into their readers, gradients
//! of pools and sums into those of batch-norms, and concatenates gradients of slices) →
//! [`together()`] (makes nodes that are computed together adjacent) → [`Precision::store`] (selects
//! values for half precision, if requested).

mod accumulate;
mod build;
mod differentiate;
#[cfg(not(target_arch = "wasm32"))]
pub mod exchange;
mod fixed_point;
mod fuse;
mod halves;
mod image_input;
mod join;
mod objective;
mod optimizer;
mod recompute;
mod simplify;
#[cfg(not(target_arch = "wasm32"))]
mod synchronise;
mod together;
mod update;

pub use accumulate::{ACCUMULATED, Accumulating, Part, accumulating, share};
pub use build::{Mode, build};
pub use differentiate::differentiate;
pub use fuse::fuse;
pub use halves::Precision;
pub use image_input::{Bytes, EVALUATION, ImageInput, Store, store_name};
pub use objective::{EVALUATED_BATCHES, Loss, RING, objective, record, record_evaluation};
pub(crate) use optimizer::matches as matches_glob;
pub use optimizer::{Group, Optimizer};
pub use recompute::low_memory;
pub use simplify::simplify;
pub use together::together;
pub use update::update;

pub use crate::ops::adam::Moments;
pub use crate::ops::rule::{Target, UpdateRule};
pub use crate::ops::{Rule, rules::*};

use crate::error::Result;
use crate::model::{Model, Role};
use crate::ops::gather::Augment;
use crate::ops::{Graph, Op};
use crate::tensor::Encoding;

/// Builds the graph of one training step on `batch` images. With `dump`, "logits" and "grad/…" of
/// every parameter are added to the outputs.
///
/// # Errors
///
/// Returns an error if a layer's shapes do not fit; the message names the layer.
pub fn training(
    model: &Model,
    batch: usize,
    image_input: &ImageInput,
    loss: &Loss,
    optimizer: &Optimizer,
    dump: bool,
) -> Result<Graph> {
    let (mut graph, logits) = build(model, batch, image_input, Mode::Train)?;
    let loss = objective(&mut graph, logits, loss)?;
    graph.verify();
    let gradients = differentiate(&mut graph, loss, None)?;
    graph.verify();
    if dump {
        graph.output("logits", logits);
        for (leaf, gradient) in &gradients {
            let Op::Leaf(leaf) = &graph.node(*leaf).op else { unreachable!("gradients of leaves") };
            let name = format!("grad/{}", leaf.name);
            graph.output(name, *gradient);
        }
    }
    let parameters = model.parameters()?;
    let role =
        |name: &str| parameters.iter().find(|known| known.name == name).map_or(Role::Trained, |known| known.role);
    update(&mut graph, &gradients, optimizer, role)?;
    fixed_point::round_parameters(&mut graph, &parameters)?;
    record(&mut graph, loss)?;
    graph.verify();
    finish(graph)
}

/// Builds the forward pass of a training step with every float value as an output: "value/0",
/// "value/1", …
///
/// # Errors
///
/// Returns an error if a layer's shapes do not fit; the message names the layer.
pub fn exposed(model: &Model, batch: usize, image_input: &ImageInput) -> Result<Graph> {
    let (mut graph, _) = build(model, batch, image_input, Mode::Train)?;
    let floats = graph.iter().filter(|(_, node)| {
        node.ty.encoding == Encoding::F32 && node.op.in_place().is_none() && !matches!(node.op, Op::Leaf(_))
    });
    let floats: Vec<_> = floats.map(|(value, _)| value).collect();
    floats.into_iter().enumerate().for_each(|(index, value)| graph.output(format!("value/{index}"), value));
    graph.verify();
    let graph = simplify(&graph)?;
    graph.verify();
    Ok(graph)
}

/// Builds the graph that computes "logits" of `batch` images with running statistics; input
/// "images" `[n, h, w, c]`, normalised.
///
/// # Errors
///
/// Returns an error if a layer's shapes do not fit; the message names the layer.
pub fn inference(model: &Model, batch: usize) -> Result<Graph> {
    let (mut graph, logits) = build(model, batch, &ImageInput::Floats, Mode::Infer)?;
    graph.output("logits", logits);
    graph.verify();
    finish(graph)
}

/// Builds the graph that evaluates `batch` images of bytes with running statistics and without
/// augmentation: see [`record_evaluation`]. Leaves: those of a batch of bytes, with a per-pixel mean if `mean`
/// is set, under names that begin with [`EVALUATION`]; those of [`objective()`] and [`record_evaluation()`].
///
/// # Errors
///
/// Returns an error if a layer's shapes do not fit; the message names the layer.
pub fn evaluation(model: &Model, batch: usize, mean: bool, loss: &Loss) -> Result<Graph> {
    let [_, h, w] = model.input;
    let bytes = Bytes { source: [h, w], store: Store::Batch, augment: Augment::default(), mean };
    let (mut graph, logits) = build(model, batch, &ImageInput::Bytes(bytes), Mode::Infer)?;
    let losses = objective(&mut graph, logits, loss)?;
    record_evaluation(&mut graph, logits, losses)?;
    graph.verify();
    finish(graph)
}

fn finish(graph: Graph) -> Result<Graph> {
    let graph = simplify(&graph)?;
    graph.verify();
    let graph = simplify(&fuse(&graph)?)?;
    graph.verify();
    let graph = together(&graph)?;
    graph.verify();
    Ok(graph)
}
