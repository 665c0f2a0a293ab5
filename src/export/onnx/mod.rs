//! ONNX and QONNX files of folded networks.
//!
//! Both read bytes and normalise them, so that a file is all that a program needs: input `images`,
//! uint8 `[batch, height, width, channels]`; output `logits`, float `[batch, classes]`. Layers are
//! computed in the order N, C, H, W. Metadata hold the class names (a JSON list under `classes`),
//! the facts of the network's card (`card.<name>`) and the version of this crate
//! (`halfwave_version`). A layer's last node and its output have the layer's name, other nodes
//! `<layer>/<part>`, arrays `<layer>.<array>`; a name that is taken gets a number.
//!
//! **Exactness.** Codes are floats with integer values, and so are sums of packed convolutions,
//! which are exact in any order. Floats of the first and the last layers are added in the order of
//! the program that runs the file, so that logits differ from the engine's in their last bits; a
//! float within such a difference of a threshold may get the neighbouring code.
//!
//! The modules: `proto`, the messages; `graph`, a builder; `input`, `layers` and `conv`, which
//! turn a network into nodes; `standard` and `qonnx`, in which the two forms differ.

mod conv;
mod graph;
mod input;
mod layers;
mod proto;
mod qonnx;
mod standard;

use crate::error::{Error, Result};
use graph::Graph;
use halfwave_infer::{Kind, Network};
use layers::Dialect;
use prost::Message;

/// Name of the output.
const LOGITS: &str = "logits";

/// The oldest version of the standard operators that has all that networks need, and onnxruntime
/// from 1.14 on.
const OPSET: i64 = 18;

/// How packed weights are stored. The larger type is used where a smaller one does not hold a
/// layer's integers: ±1 in 2 bits, integers of up to three sign planes in 4 bits, others in 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// INT8, in every version of ONNX.
    #[default]
    Int8,
    /// INT4 at least, from opset 21 on.
    Int4,
    /// INT2 at least, from opset 25 on.
    Int2,
}

/// Options of ONNX files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnnxOptions {
    /// How packed weights are stored.
    pub weights: Weights,
}

/// Returns an ONNX file of standard operators, for batches of any size.
///
/// # Errors
///
/// Returns an error if the network is invalid, a layer has no name, or the file would exceed 2 GiB.
pub fn onnx(network: &Network, options: &OnnxOptions) -> Result<Vec<u8>> {
    write(network, &standard::Standard::new(options), None)
}

/// Returns a QONNX file, for one image at a time: its tools want shapes that are known.
///
/// # Errors
///
/// Returns an error if the network is invalid, a layer has no name, or the file would exceed 2 GiB.
pub fn qonnx(network: &Network) -> Result<Vec<u8>> {
    write(network, &qonnx::Qonnx, Some(1))
}

fn write(network: &Network, dialect: &dyn Dialect, batch: Option<usize>) -> Result<Vec<u8>> {
    let types = network.check().map_err(|error| Error::Model(error.to_string()))?;
    if let Some(at) = network.layers.iter().position(|layer| layer.name.is_empty()) {
        return Err(Error::Model(format!("layer {} has no name, which ONNX needs for its values", at + 1)));
    }
    let mut graph = Graph::new(batch, OPSET, &[input::IMAGES, LOGITS]);
    let mut values = vec![input::normalised(&mut graph, &network.input)];
    for (layer, ty) in network.layers.iter().zip(&types[1..]) {
        let inputs: Vec<_> = layer.from.iter().map(|&from| (&values[from], &types[from])).collect();
        let value = layers::lower(&mut graph, dialect, layer, &inputs, ty);
        if ty.kind != Kind::Float {
            dialect.note(&mut graph, &value, ty.kind);
        }
        values.push(value);
    }
    let last = &values[values.len() - 1];
    let logits = graph.reserved("Flatten", LOGITS, &[last], &last.shaped(&[network.classes.len()]));
    graph.output(&logits, "a number per class; the largest is the answer");
    let classes = serde_json::to_string(&network.classes).map_err(|error| Error::Model(error.to_string()))?;
    let facts = [("classes", classes.as_str()), ("halfwave_version", crate::version::VERSION)];
    let facts = facts.map(|(key, value)| (key.to_string(), value.to_string())).into_iter();
    let card = network.card.iter().map(|(key, value)| (format!("card.{key}"), value.clone()));
    let doc = "A low-bit network, exported by halfwave. Codes and integer sums are stored as floats.".to_string();
    let model = graph.model("network", doc, facts.chain(card).collect());
    match model.encoded_len() {
        len if len > i32::MAX as usize => {
            Err(Error::Model(format!("an ONNX file has at most 2 GiB; this network's would have {} MiB", len >> 20)))
        }
        _ => Ok(model.encode_to_vec()),
    }
}
