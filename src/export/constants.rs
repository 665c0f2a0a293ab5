//! Evaluation of everything that depends on parameters only, by reference implementations.

use crate::error::{Error, Result};
use crate::graph::Value;
use crate::model::Model;
use crate::ops::{Graph, Leaf, Op};
use crate::tensor::Tensor;
use crate::train::HostTensor;
use std::collections::BTreeMap;

/// Name of the leaf that holds the images.
const IMAGES: &str = "images";

/// Returns, for each value of an inference graph, its tensor if it does not depend on the images.
///
/// # Errors
///
/// Returns an error if a parameter is missing, has another shape, or is not finite.
pub(super) fn constants(
    model: &Model,
    graph: &Graph,
    tensors: &BTreeMap<String, HostTensor>,
) -> Result<Vec<Option<Tensor>>> {
    let parameters = model.parameters()?;
    let get = |name: &str| tensors.get(name).cloned();
    let mut known: Vec<Option<Tensor>> = Vec::with_capacity(graph.nodes().len());
    for (_, node) in graph.iter() {
        let value = match &node.op {
            Op::Leaf(Leaf { name, .. }) if name == IMAGES => None,
            Op::Leaf(Leaf { name, .. }) => {
                let parameter = parameters.iter().find(|parameter| parameter.name == *name);
                let tensor = parameter.map(|parameter| parameter.find("", get)).transpose()?.flatten();
                Some(tensor.ok_or_else(|| Error::Model(format!("the tensor {name} is missing")))?)
            }
            op => {
                let inputs = node.inputs.iter().map(|&Value(at)| known[at].as_ref()).collect::<Option<Vec<_>>>();
                inputs.map(|inputs| op.evaluate(&inputs))
            }
        };
        known.push(value);
    }
    Ok(known)
}
