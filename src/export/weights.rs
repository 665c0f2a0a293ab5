//! Weights as the network uses them, for tools that compute in floats.

use super::constants::constants;
use crate::error::Result;
use crate::graph::Value;
use crate::model::{Form, Layout, Model};
use crate::ops::code::SignPlanes;
use crate::ops::{Op, unpack::Unpack};
use crate::pass::{ImageInput, Mode, build};
use crate::train::HostTensor;
use std::collections::BTreeMap;

/// Returns a checkpoint's parameters under PyTorch's names, without the optimiser's state; the
/// latent weights of packed layers are replaced by the weights that the layers use, such as
/// α·sign(w).
///
/// # Errors
///
/// Returns an error if a parameter is missing or has another shape.
pub fn used_weights(model: &Model, tensors: &BTreeMap<String, HostTensor>) -> Result<BTreeMap<String, HostTensor>> {
    let (graph, _) = build(model, 1, &ImageInput::Floats, Mode::Infer)?;
    let known = constants(model, &graph, tensors)?;
    let mut used = BTreeMap::new();
    for parameter in model.parameters()?.iter().filter(|parameter| !parameter.counts()) {
        used.extend(parameter.host().into_iter().map(|(name, _)| (name.clone(), tensors[&name].clone())));
        let kind = model.layers.iter().find(|layer| layer.name == parameter.layer).map(|layer| &layer.kind);
        let (Some(packed), &Layout::Filters { channels, .. }) =
            (kind.and_then(|kind| kind.packed_weights()), &parameter.layout)
        else {
            continue;
        };
        let find = |wanted: fn(&Op) -> bool| {
            let mut nodes = graph.iter().filter(|(_, node)| node.layer == parameter.layer && wanted(&node.op));
            nodes.find_map(|(Value(at), _)| known[at].as_ref()).expect("a packed layer has signs and scales")
        };
        let signs = find(|op| matches!(op, Op::Sign(_) | Op::DorefaWeight(_) | Op::AbcWeight(_)));
        let alpha = find(|op| matches!(op, Op::Alpha(_) | Op::AbcAlpha(_)));
        let planes = match packed.form {
            Form::Abc { bases } => SignPlanes::Bases(bases),
            form => SignPlanes::Binary(form.planes()),
        };
        let weight = Op::from(Unpack { channels, planes }).evaluate(&[signs, alpha]);
        used.extend(parameter.to_host(weight.words));
    }
    Ok(used)
}
