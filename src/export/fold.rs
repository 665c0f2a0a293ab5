//! From a checkpoint to a folded network.

use super::constants::constants;
use super::lower::{lower, trim};
use super::thresholds;
use crate::data::Normalise;
use crate::error::{Error, Result};
use crate::graph::Value;
use crate::model::Model;
use crate::ops::Op;
use crate::pass::{ImageInput, Mode, build};
use crate::train::HostTensor;
use halfwave_infer::{Input, Layer, Network, Op as Folded};
use std::collections::BTreeMap;

/// A trained network and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// The layers.
    pub model: &'a Model,
    /// Parameters under PyTorch's names and layouts, as in a checkpoint.
    pub tensors: &'a BTreeMap<String, HostTensor>,
    /// Normalisation of images of the model's input size.
    pub normalise: &'a Normalise,
    /// The class names, in the order of the logits.
    pub classes: &'a [String],
    /// Facts for people, by name.
    pub card: &'a BTreeMap<String, String>,
}

/// Folds a network: everything that depends on parameters alone is computed, and where the input of
/// a quantiser is a monotonic function of an integer sum, both become integer thresholds per
/// channel. Codes, sums and logits are those of the CPU backend, bit for bit.
///
/// # Errors
///
/// Returns an error if a layer computes something that folded networks do not have, such as an
/// operation from outside of this crate, or if a parameter is missing.
pub fn fold(trained: &Trained<'_>) -> Result<Network> {
    let Trained { model, tensors, normalise, classes, card } = *trained;
    let (graph, logits) = build(model, 1, &ImageInput::Floats, Mode::Infer)?;
    let known = constants(model, &graph, tensors)?;
    let [c, h, w] = model.input;
    let mut layers: Vec<Layer> = Vec::new();
    // For each value of the graph, its index among the input and the layers' outputs.
    let mut places = vec![0; graph.nodes().len()];
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (Value(at), node) in graph.iter() {
        if known[at].is_some() || matches!(node.op, Op::Leaf(_)) {
            continue;
        }
        let constant = |index: usize| node.inputs.get(index).and_then(|&Value(input)| known[input].as_ref());
        let read = node.inputs.iter().find(|&&Value(input)| known[input].is_none());
        let read = *read.expect("a value that is not known reads one");
        let (mut op, inputs) = lower(node, constant, graph.ty(read).encoding)
            .map_err(|what| Error::Model(format!("layer \"{}\": {what} cannot be exported", node.layer)))?;
        if let Folded::Conv { weight, filters, .. } = &mut op {
            *weight = trim(weight, graph.ty(read).channels(), *filters);
        }
        let count = names.entry(node.layer.clone()).or_default();
        *count += 1;
        let mut name = if *count == 1 { node.layer.clone() } else { format!("{}_{count}", node.layer) };
        // A layer of the model may have this name.
        while *count > 1 && model.layers.iter().any(|layer| layer.name == name) {
            name.push('_');
        }
        layers.push(Layer { name, from: inputs.iter().map(|&input| places[node.inputs[input].0]).collect(), op });
        places[at] = layers.len();
    }
    let input =
        Input { shape: [h, w, c], table: normalise.table.clone(), mean: normalise.mean.clone().unwrap_or_default() };
    let network = Network { input, layers, classes: classes.to_vec(), card: card.clone() };
    let network = thresholds::fold(network, places[logits.0])?;
    network.check().map_err(|error| Error::Model(error.to_string()))?;
    Ok(network)
}
