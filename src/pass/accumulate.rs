//! `accumulating`: gradient accumulation. A training step over several micro-batches consists of
//! two graphs: one adds the gradients of a micro-batch to the sums of the step, the other performs
//! the update once at the end.
//!
//! For a network without batch-norms the step equals that of the whole batch, except for the order
//! in which gradients and losses are added up: each image's loss has its weight in the whole step,
//! the gradient of a learned step size is scaled by the number of elements in the whole step, and
//! random numbers are drawn by an image's position in the step. Statistics of batch-norms are those
//! of a micro-batch, or of those that all ranks compute at the same time.

use super::build::build_part;
use super::objective::{keep, state};
use super::{ImageInput, Loss, Mode, Optimizer, differentiate, finish, fixed_point, objective, update};
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::{Model, Role};
use crate::ops::accumulate::Accumulate;
use crate::ops::{self, Graph, Leaf, Op, mean::Mean};
use crate::tensor::{Encoding, TensorType};

/// Name prefix of sums over micro-batches.
pub const ACCUMULATED: &str = "accumulated/";

/// The graphs of a step with micro-batches.
#[derive(Clone, Debug)]
pub struct Accumulating {
    /// The graph of a micro-batch. Leaves in addition to those of [`training`](super::training())
    /// on its images: input "micro" `[4]`, whose lane 0 is the micro-batch's index in the step, and
    /// state "accumulated/…" for each gradient and for the loss. The input "random" has a fifth
    /// number: how many images of the step come before it. Outputs: with `dump`, "logits".
    pub micro_batch: Graph,
    /// The graph of the update after all micro-batches: inputs "rates", "step", and "random" if the
    /// update draws random numbers; the same state.
    pub update: Graph,
}

/// The images of a micro-batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Number of images.
    pub images: usize,
    /// Images of the whole step.
    pub of: usize,
    /// Images of all ranks over which batch-norms compute their statistics; `None`: over those of this
    /// micro-batch.
    pub together: Option<usize>,
}

/// Builds the graphs of a step in micro-batches.
///
/// # Errors
///
/// Returns an error if a layer's shapes do not fit; the message names the layer.
pub fn accumulating(
    model: &Model,
    Part { images, of, together }: Part,
    image_input: &ImageInput,
    loss: &Loss,
    optimizer: &Optimizer,
    dump: bool,
) -> Result<Accumulating> {
    let (mut graph, logits) = build_part(model, [images, together.unwrap_or(images)], image_input, Mode::Train)?;
    let loss = objective(&mut graph, logits, loss)?;
    graph.verify();
    let gradients = differentiate(&mut graph, loss, None)?;
    if dump {
        graph.output("logits", logits);
    }
    graph.at("loss", Phase::Forward);
    let micro = graph.add(Leaf::input("micro", TensorType::f32(&[4])), &[])?;
    let mean = graph.add(Mean { of: Some(of) }, &[loss])?;
    accumulate(&mut graph, "loss", mean, micro)?;
    // Name, layer and type.
    let mut leaves: Vec<(String, String, TensorType)> = Vec::new();
    for &(leaf, gradient) in &gradients {
        let node = graph.node(leaf);
        let Op::Leaf(Leaf { name, ty, .. }) = &node.op else { unreachable!("gradients of leaves") };
        let (name, layer, ty) = (name.clone(), node.layer.clone(), ty.clone());
        graph.at(&layer, Phase::Update);
        let gradient = update::anew(&mut graph, gradient)?;
        accumulate(&mut graph, &name, gradient, micro)?;
        leaves.push((name, layer, ty));
    }
    #[cfg_attr(target_arch = "wasm32", expect(unused_mut))]
    let mut graph = share(&graph, of)?;
    #[cfg(not(target_arch = "wasm32"))] // no other ranks there
    if let Some(together) = together {
        graph = super::synchronise::synchronise(&graph, [images, together])?;
        graph.verify();
    }
    let mut micro_batch = finish(graph)?;
    let update = update_of(model, &leaves, optimizer)?;
    micro_batch.behind = update.nodes().len();
    Ok(Accumulating { micro_batch, update })
}

/// Adds a value to the sum of this name.
fn accumulate(graph: &mut Graph, name: &str, value: Value, micro: Value) -> Result<Value> {
    let ty = graph.ty(value).clone();
    let sum = graph.add(state(&format!("{ACCUMULATED}{name}"), ty), &[])?;
    graph.add(Accumulate, &[sum, value, micro])
}

/// Rescales the nodes of a micro-batch so that they compute their share of a step of `of` images.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub fn share(graph: &Graph, of: usize) -> Result<Graph> {
    let of = Some(of);
    graph.rebuild(|new, _, node, inputs| {
        let op: Op = match &node.op {
            Op::SoftmaxCrossEntropyBackward(op) => {
                ops::softmax_cross_entropy::SoftmaxCrossEntropyBackward { of, ..*op }.into()
            }
            Op::ClassLossBackward(op) => ops::class_loss::ClassLossBackward { of, ..*op }.into(),
            Op::QuantiseScale(op) => ops::quantise_backward::QuantiseScale { of, ..op.clone() }.into(),
            Op::Leaf(leaf) if leaf.name == "random" => {
                Leaf::input("random", TensorType::new(&[5], Encoding::U32)).into()
            }
            op => op.clone(),
        };
        new.add(op, inputs).map(Some)
    })
}

/// Builds the update from the accumulated sums, and the record of the step's metrics.
fn update_of(model: &Model, leaves: &[(String, String, TensorType)], optimizer: &Optimizer) -> Result<Graph> {
    let parameters = model.parameters()?;
    let mut graph = Graph::new();
    let mut gradients = Vec::new();
    for (name, layer, ty) in leaves {
        graph.at(layer, Phase::Update);
        let leaf = fixed_point::parameter_leaf(&mut graph, &parameters, name)?;
        gradients.push((leaf, graph.add(state(&format!("{ACCUMULATED}{name}"), ty.clone()), &[])?));
    }
    let role =
        |name: &str| parameters.iter().find(|known| known.name == name).map_or(Role::Trained, |known| known.role);
    update::update(&mut graph, &gradients, optimizer, role)?;
    fixed_point::round_parameters(&mut graph, &parameters)?;
    graph.at("loss", Phase::Forward);
    let mean = graph.add(state(&format!("{ACCUMULATED}loss"), TensorType::f32(&[2])), &[])?;
    keep(&mut graph, mean)?;
    graph.verify();
    finish(graph)
}
