//! Exact values inside a network: codes, packed signs and integer sums of an inference, as stored
//! on the device.
//!
//! **Invariant:** everything here is exact and the same on every device, up to codes on the edge
//! between two levels.

use crate::backend::{Backend, PlanId};
use crate::bits;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::quantise::CodeStatistics;
use crate::ops::{Graph, Op};
use crate::plan::Port;
use crate::tensor::{Encoding, Tensor, TensorType, View};
use std::collections::HashSet;

/// Meaning of the integers of an [`Activation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exact {
    /// Codes of a quantiser, 0 to 2^bits − 1: `[n, h, w, c]`.
    Codes,
    /// Sums of a binary convolution: `[n, h, w, c]`.
    Sums,
    /// Packed signs of weights, 1 for positive.
    Signs,
}

/// An exact intermediate tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Activation {
    /// Layer that computes it.
    pub layer: String,
    /// Operation that computes it.
    pub stem: String,
    /// Meaning of its integers.
    pub exact: Exact,
    /// Shape and encoding.
    pub ty: TensorType,
    /// Contents in memory.
    pub words: Vec<u32>,
}

impl Activation {
    /// Codes or sums in row order without padding; for signs, the packed words.
    pub fn values(&self) -> Vec<i32> {
        match self.exact {
            Exact::Signs => self.words.iter().map(|&word| word as i32).collect(),
            _ => View::new(&self.ty, &self.words).ints(),
        }
    }

    /// Share of each code; `None` for sums and signs.
    pub fn shares(&self) -> Option<Vec<f64>> {
        let Encoding::Planes(bits) = self.ty.encoding else { return None };
        let mut counts = vec![0u64; 1 << bits];
        self.values().iter().for_each(|&code| counts[code as usize] += 1);
        let total = self.ty.len().max(1) as f64;
        Some(counts.into_iter().map(|count| count as f64 / total).collect())
    }

    /// Hash of the bits (FNV-1a over the words, little-endian).
    pub fn hash(&self) -> u64 {
        bits::fnv_1a(bits::FNV_START, bytemuck::cast_slice(&self.words))
    }
}

/// Makes every exact value of a graph an output. Of values computed in parts (slices and the inputs
/// of a concatenation) only the whole is exposed.
pub fn expose(graph: &mut Graph) {
    let joined = graph.iter().filter(|(_, node)| matches!(node.op, Op::Concat(_)));
    let joined: HashSet<Value> = joined.flat_map(|(_, node)| node.inputs.iter().copied()).collect();
    let name = |value: Value| {
        let node = graph.node(value);
        if matches!(node.op, Op::Slice(_)) || joined.contains(&value) {
            return None;
        }
        exact(node.op.stem(), &node.ty)?;
        Some((format!("{PREFIX}{}/{}", node.layer, node.op.stem()), value))
    };
    let named: Vec<_> = graph.iter().filter_map(|(value, _)| name(value)).collect();
    named.into_iter().for_each(|(name, value)| graph.output(name, value));
}

/// Prefix of the names of outputs that [`expose`] adds.
const PREFIX: &str = "exact/";

fn exact(stem: &str, ty: &TensorType) -> Option<Exact> {
    match ty.encoding {
        _ if stem == "sign" => Some(Exact::Signs),
        Encoding::Planes(_) => Some(Exact::Codes),
        Encoding::I16 | Encoding::I32 => Some(Exact::Sums),
        _ => None,
    }
}

/// Reads all outputs of a plan that [`expose`] added, after a run.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub async fn read(backend: &mut dyn Backend, id: PlanId) -> Result<Vec<Activation>> {
    let mut all = Vec::new();
    for Port { name, place } in backend.plan(id).outputs.clone() {
        let Some((layer, stem)) = name.strip_prefix(PREFIX).and_then(|name| name.split_once('/')) else { continue };
        let exact = exact(stem, &place.ty).expect("an exposed value is exact");
        let words = backend.read(id, &name).await?;
        all.push(Activation { layer: layer.to_string(), stem: stem.to_string(), exact, ty: place.ty, words });
    }
    Ok(all)
}

/// Makes the inputs of quantisers outputs of a graph, except those that are kept anyway.
pub(super) fn expose_quantisers(graph: &mut Graph) {
    let quantisers = graph.iter().filter(|(_, node)| matches!(node.op, Op::Quantise(_)));
    let named = quantisers.flat_map(|(value, node)| {
        let inputs = node.inputs.iter().enumerate();
        let inputs = inputs.filter(|(_, input)| !matches!(graph.node(**input).op, Op::Leaf(_)));
        inputs.map(move |(index, &input)| (read_name(value, index), input))
    });
    let named: Vec<_> = named.collect();
    named.into_iter().for_each(|(name, input)| graph.output(name, input));
}

/// Name of a quantiser's input as an output.
fn read_name(quantiser: Value, input: usize) -> String {
    format!("read/{}/{input}", quantiser.0)
}

/// Surveys every quantiser of a plan prepared by [`expose_quantisers`], after a run; returned with
/// their layers' names.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub(super) async fn code_statistics(backend: &mut dyn Backend, id: PlanId) -> Result<Vec<(String, CodeStatistics)>> {
    let mut all = Vec::new();
    for node in backend.plan(id).nodes.clone() {
        let Op::Quantise(op) = &node.op else { continue };
        let mut inputs = Vec::new();
        for (index, place) in node.inputs.iter().enumerate() {
            let plan = backend.plan(id);
            let kept = plan.state.iter().find(|port| port.place.slot == place.slot);
            let name = kept.map_or_else(|| read_name(node.value, index), |port| port.name.clone());
            inputs.push(Tensor { ty: place.ty.clone(), words: backend.read(id, &name).await? });
        }
        all.push((node.layer.clone(), op.code_statistics(&inputs.iter().map(Tensor::view).collect::<Vec<_>>())));
    }
    Ok(all)
}
