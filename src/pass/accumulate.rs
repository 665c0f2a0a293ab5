//! `accumulating`: a training step of several micro-batches, as two graphs: one that adds the gradients of a micro-batch to what the step has by then, and the update that follows once.
//!
//! Of a network without batch-norms the step is that of the whole batch, but for the order in which gradients and losses are added up: each image's loss counts by its share of the step, a learned step's gradient is scaled
//! by all of its elements, and random numbers are drawn by an image's place in the step. The statistics of batch-norms are those of a micro-batch.

use super::objective::{keep, state};
use super::{Feed, Loss, Mode, Optimizer, build, differentiate, finish, fixed_point, objective, update};
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::model::{Model, Role};
use crate::ops::accumulate::Accumulate;
use crate::ops::{self, Graph, Leaf, Op, mean::Mean};
use crate::tensor::{Encoding, TensorType};

/// What the names of sums over micro-batches begin with.
pub const ACCUMULATED: &str = "accumulated/";

/// The graphs of a step in micro-batches.
#[derive(Clone, Debug)]
pub struct Accumulating {
    /// Of a micro-batch. Leaves besides those of [`training`](super::training()) on its images: input "micro" `[4]`, whose lane 0 is its number in the step, and state "accumulated/…" for each gradient and for the loss; of random
    /// numbers, one more than for a whole batch: the images of the step before it. Outputs: with `dump`, "logits".
    pub micro_batch: Graph,
    /// Of what follows all of them: inputs "rates", "step", "random" where the update draws numbers; the same state.
    pub update: Graph,
}

/// The graphs of a step on `of` images, for a micro-batch of `images` of them.
///
/// # Errors
/// When a layer does not fit; the message names it.
pub fn accumulating(
    model: &Model,
    [images, of]: [usize; 2],
    feed: &Feed,
    loss: &Loss,
    optimizer: &Optimizer,
    dump: bool,
) -> Result<Accumulating> {
    let (mut graph, logits) = build(model, images, feed, Mode::Train)?;
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
    // By name, with the layer.
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
    let mut micro_batch = finish(share(&graph, of)?)?;
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

/// Lets the nodes of a micro-batch compute what they would in a step of `of` images.
///
/// # Errors
/// None in a verified graph.
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

/// The update from the sums, and the step's measures.
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
    fixed_point::settle(&mut graph, &parameters)?;
    graph.at("loss", Phase::Forward);
    let mean = graph.add(state(&format!("{ACCUMULATED}loss"), TensorType::f32(&[2])), &[])?;
    keep(&mut graph, mean)?;
    graph.verify();
    finish(graph)
}
