//! Graphs by which ranks sum gradients in few bits ([`crate::ops::compress`]), or votes on flips
//! ([`crate::ops::vote`]) in their place.
//!
//! Each rank compresses its gradients ([`compress`]) and sends every other rank the blocks that the other
//! one sums. A rank decompresses and adds what it has received, compresses the sum ([`merge`]) and sends
//! it to all others, and every rank decompresses the whole sum ([`unpack`]). Signs lose most of a number, so what
//! a message omits, of a gradient or of a sum, is added to the next one of the same place (error feedback in both
//! directions: Zheng, Huang, Kwok, NeurIPS 2019); with equal scales the merged sign is the majority's. A vote is
//! cast anew in each step, and omits nothing.

use super::objective::state;
use super::{Optimizer, Target};
use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::ops::accumulate::Accumulate;
use crate::ops::add::Add;
use crate::ops::compress::{BLOCK, Compress, Format};
use crate::ops::decompress::{Decompress, Feedback};
use crate::ops::{Graph, Leaf};
use crate::pass::ACCUMULATED;
use crate::random;
use crate::tensor::{Encoding, TensorType};
use std::ops::Range;

/// A gradient that is exchanged in few bits, or votes on the flips of a weight, which replace its gradient.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// The parameter's name.
    pub name: String,
    /// Its layer.
    pub layer: String,
    /// Type of the parameter.
    pub ty: TensorType,
    /// Input channels, if it is the weight of filters.
    pub channels: Option<usize>,
    /// The format of its messages; [`Format::Vote`] for votes.
    pub format: Format,
}

/// Name prefix of the state that holds what messages have omitted so far.
pub const RESIDUAL: &str = "residual/";
/// Name prefix of the outputs with compressed gradients or sums, followed by a number.
pub const MESSAGE: &str = "message/";
/// Name prefix of the inputs with the messages to decompress, followed by a number.
pub const RECEIVED: &str = "received/";

/// Adds the key of the random numbers, if messages of some gradients use any.
fn key(graph: &mut Graph, gradients: &[Gradient]) -> Result<Option<Value>> {
    let uses_random = gradients.iter().any(|gradient| gradient.format.uses_random());
    uses_random.then(|| graph.add(Leaf::input("random", TensorType::new(&[5], Encoding::U32)), &[])).transpose()
}

/// Compresses a value, with the state `residual` for what messages omit if the format is coarse; `random` is the key
/// of the random numbers.
fn compressed(
    graph: &mut Graph,
    format: Format,
    x: Value,
    name: &str,
    random: Option<Value>,
    channels: Option<usize>,
) -> Result<Value> {
    let stream = random::stream(name) as u32;
    if format != Format::Sign {
        let random = random.filter(|_| format.uses_random());
        let inputs: Vec<_> = [x].into_iter().chain(random).collect();
        return graph.add(Compress { format, stream }, &inputs);
    }
    let residual = graph.add(state(&format!("{RESIDUAL}{name}"), graph.ty(x).clone()), &[])?;
    let x = graph.add(Add, &[x, residual])?;
    let message = graph.add(Compress { format, stream }, &[x])?;
    graph.add(Feedback { format, channels }, &[residual, x, message])?;
    Ok(message)
}

/// Votes on the flips of a weight, given the gradient of this rank, one of so many; overwrites the gradient.
fn vote(graph: &mut Graph, name: &str, gradient: Value, optimizer: &Optimizer, ranks: usize) -> Result<Value> {
    let ty = graph.ty(gradient).clone();
    let weight = graph.add(state(name, ty.clone()), &[])?;
    let mut states = [gradient; 2];
    for (place, what) in states.iter_mut().zip(optimizer.states(true)) {
        *place = graph.add(state(&format!("{what}/{name}"), ty.clone()), &[])?;
    }
    // Weights that flip have no learning rate.
    let (rates, lr_scale, decay) = (gradient, 1.0, 0.0);
    optimizer.rule.vote(&mut Target { graph, weight, gradient, rates, states, lr_scale, decay, binary: true }, ranks)
}

/// Compresses the gradients of this rank, one of so many; outputs "message/…".
///
/// # Errors
///
/// Returns an error for a vote if the optimiser flips no weights.
pub fn compress(gradients: &[Gradient], optimizer: &Optimizer, ranks: usize) -> Result<Graph> {
    let mut graph = Graph::new();
    let random = key(&mut graph, gradients)?;
    for (index, Gradient { name, layer, ty, channels, format }) in gradients.iter().enumerate() {
        graph.at(layer, Phase::Update);
        let sum = graph.add(state(&format!("{ACCUMULATED}{name}"), ty.clone()), &[])?;
        let sent = match format {
            Format::Vote => vote(&mut graph, name, sum, optimizer, ranks)?,
            _ => sum,
        };
        let message = compressed(&mut graph, *format, sent, name, random, *channels)?;
        graph.output(format!("{MESSAGE}{index}"), message);
    }
    graph.verify();
    Ok(graph)
}

/// Number of words in some blocks of a gradient.
fn words_in(ty: &TensorType, part: &Range<usize>) -> usize {
    (part.end * BLOCK).min(ty.words()) - part.start * BLOCK
}

/// Adds the blocks `parts` of all ranks' messages: inputs "received/…", outputs "message/…", for each gradient of
/// which this rank sums blocks.
///
/// # Errors
///
/// Never returns an error for at least one rank.
pub fn merge(gradients: &[Gradient], parts: &[Range<usize>], ranks: usize) -> Result<Graph> {
    let mut graph = Graph::new();
    let random = key(&mut graph, gradients)?;
    for (index, (&Gradient { ref name, ref layer, ref ty, format, .. }, part)) in
        gradients.iter().zip(parts).enumerate()
    {
        if part.is_empty() {
            continue;
        }
        graph.at(layer, Phase::Update);
        let shape = vec![words_in(ty, part)];
        let words = TensorType::new(&[ranks * part.len() * format.block_words()], Encoding::U32);
        let received = graph.add(Leaf::input(&format!("{RECEIVED}{index}"), words), &[])?;
        let sum = graph.add(Decompress { format, messages: ranks, shape, channels: None }, &[received])?;
        let message = compressed(&mut graph, format, sum, &format!("{name}/sum"), random, None)?;
        graph.output(format!("{MESSAGE}{index}"), message);
    }
    graph.verify();
    Ok(graph)
}

/// Replaces this rank's gradients by the sums of all ranks: inputs "received/…" and "micro".
///
/// # Errors
///
/// Never returns an error for gradients of at least one number.
pub fn unpack(gradients: &[Gradient]) -> Result<Graph> {
    let mut graph = Graph::new();
    // Micro-batch 0 overwrites.
    let micro = graph.add(Leaf::input("micro", TensorType::f32(&[4])), &[])?;
    for (index, Gradient { name, layer, ty, channels, format }) in gradients.iter().enumerate() {
        graph.at(layer, Phase::Update);
        let received = graph.add(Leaf::input(&format!("{RECEIVED}{index}"), format.message(ty)), &[])?;
        let op = Decompress { format: *format, messages: 1, shape: ty.shape.clone(), channels: *channels };
        let sum = graph.add(op, &[received])?;
        let place = graph.add(state(&format!("{ACCUMULATED}{name}"), ty.clone()), &[])?;
        graph.add(Accumulate, &[place, sum, micro])?;
    }
    graph.verify();
    Ok(graph)
}
