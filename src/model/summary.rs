//! Sizes of a network: parameters, bits, multiply-adds, layer by layer and in total.

use super::{Alpha, Form, Layer, LayerKind, Model, ModelError, Shape, Weights, trained_len};
use crate::tensor::{Encoding, TensorType};
use serde::Serialize;

/// Bits of a float.
const FLOAT_BITS: usize = 32;

/// Sizes of a network for one image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSummary {
    /// Channels, height and width of an image.
    pub input: Shape,
    /// The layers, in order.
    pub layers: Vec<LayerSummary>,
    /// Trained values.
    pub parameters: u64,
    /// Values of the trained parameters that are kept in [`LayerSummary::weight_bits`] of fewer
    /// than 32 bits when the network is exported.
    pub low_bit_parameters: u64,
    /// Bytes of the trained parameters in f32.
    pub float_bytes: u64,
    /// Bytes of the trained parameters with packed weights in their bits.
    pub packed_bytes: u64,
    /// Multiply-adds of all convolutions and linear layers.
    pub multiply_adds: u64,
    /// Those of layers with packed weights over codes, which are computed on bits.
    pub bit_multiply_adds: u64,
    /// Operations on pairs of bits that compute them: each multiply-add takes one for each pair of
    /// a plane of the weight and a plane of the code.
    pub bit_operations: u64,
}

/// Sizes of a layer for one image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Name.
    pub name: String,
    /// Kind, as in a recipe.
    pub kind: &'static str,
    /// Names of the inputs.
    pub from: Vec<String>,
    /// Channels, height and width of the output.
    pub output: Shape,
    /// Bits of a value of the output: of a code, or 32.
    pub output_bits: usize,
    /// Bits of a weight: planes of a packed one, the format's of one in fixed point, or 32; `None`
    /// for a layer without weights.
    pub weight_bits: Option<usize>,
    /// Bits of an input of a layer with weights.
    pub input_bits: Option<usize>,
    /// Trained values.
    pub parameters: u64,
    /// Bytes of the trained parameters with packed weights in their bits, without padding, and
    /// their scales.
    pub packed_bytes: u64,
    /// Multiply-adds.
    pub multiply_adds: u64,
    /// Whether they are computed on bits.
    pub on_bits: bool,
}

impl Model {
    /// Returns the sizes of the network and of its layers.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Model::shapes`].
    pub fn summary(&self) -> Result<ModelSummary, ModelError> {
        let (shapes, parameters) = (self.shapes()?, self.parameters()?);
        let mut bits = Vec::with_capacity(self.layers.len());
        let mut layers = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let source = self.reads(index)?[0];
            let (input, input_bits) = source.map_or((self.input, FLOAT_BITS), |at| (shapes[at], bits[at]));
            bits.push(output_bits(layer, input, input_bits));
            let own: Vec<_> = parameters.iter().filter(|parameter| parameter.layer == layer.name).cloned().collect();
            let weights = layer.kind.weights();
            let parameters = trained_len(&own);
            layers.push(LayerSummary {
                name: layer.name.clone(),
                kind: layer.kind.name(),
                from: layer.from.clone(),
                output: shapes[index],
                output_bits: bits[index],
                weight_bits: weights.map(weight_bits),
                input_bits: weights.map(|_| input_bits),
                parameters,
                packed_bytes: packed_bytes(parameters, weights, shapes[index][0] as u64),
                multiply_adds: products(&layer.kind, input, shapes[index]),
                on_bits: layer.kind.packed_weights().is_some() && !self.unpacks(index),
            });
        }
        let sum = |of: &dyn Fn(&LayerSummary) -> u64| layers.iter().map(of).sum();
        let on_bits = |layer: &LayerSummary| if layer.on_bits { layer.multiply_adds } else { 0 };
        let pairs = |layer: &LayerSummary| (layer.weight_bits.unwrap_or(0) * layer.input_bits.unwrap_or(0)) as u64;
        let parameters = sum(&|layer| layer.parameters);
        Ok(ModelSummary {
            input: self.input,
            parameters,
            low_bit_parameters: sum(&|layer| {
                if layer.weight_bits.is_some_and(|bits| bits < FLOAT_BITS) { layer.parameters } else { 0 }
            }),
            float_bytes: 4 * parameters,
            packed_bytes: sum(&|layer| layer.packed_bytes),
            multiply_adds: sum(&|layer| layer.multiply_adds),
            bit_multiply_adds: sum(&on_bits),
            bit_operations: sum(&|layer| on_bits(layer) * pairs(layer)),
            layers,
        })
    }
}

/// Returns the bits of a layer's values, for an input of this shape and bits.
fn output_bits(layer: &Layer, input: Shape, input_bits: usize) -> usize {
    let definition = layer.kind.definition();
    match &layer.kind {
        LayerKind::MaxPool(_) => return input_bits,
        LayerKind::Fixed(fixed) => return fixed.format.iter().sum(),
        _ if definition.codes().is_none() => return FLOAT_BITS,
        _ => {}
    }
    let [c, h, w] = input;
    let learned = definition.learned(c).into_iter().map(|learned| TensorType::f32(&[learned.len]));
    let inputs: Vec<_> = [TensorType::f32(&[1, h, w, c])].into_iter().chain(learned).collect();
    let output = definition.operation(&[input]).map(|op| op.infer(&inputs.iter().collect::<Vec<_>>()));
    match output {
        Some(Ok(TensorType { encoding: Encoding::Planes(bits), .. })) => usize::from(bits),
        _ => FLOAT_BITS,
    }
}

fn weight_bits(weights: Weights) -> usize {
    match weights {
        Weights::Float => FLOAT_BITS,
        Weights::Packed(packed) => packed.form.planes(),
        Weights::Fixed(fixed) => fixed.format.iter().sum(),
    }
}

/// Returns the bytes of a layer's trained parameters: packed weights in their bits with their
/// scales, one per plane and filter or one per layer, and everything else in f32.
fn packed_bytes(parameters: u64, weights: Option<Weights>, filters: u64) -> u64 {
    let Some(packed) = weights.and_then(|weights| weights.packed()) else { return 4 * parameters };
    let scales = match packed.form {
        Form::Binary { alpha: Alpha::Filter, .. } => filters,
        Form::Abc { bases } => bases as u64,
        Form::Binary { .. } | Form::Dorefa { .. } => 1,
    };
    (parameters * packed.form.planes() as u64).div_ceil(8) + 4 * scales
}

/// Returns the multiply-adds of one layer for one image, in u64: a usize has 32 bits in the
/// browser.
fn products(kind: &LayerKind, input: Shape, output: Shape) -> u64 {
    let ([c, h, w], [k, p, q]) = (input.map(|side| side as u64), output.map(|side| side as u64));
    match kind {
        LayerKind::Conv(conv) => c / conv.groups as u64 * (conv.kernel[0] * conv.kernel[1]) as u64 * k * p * q,
        LayerKind::Linear(_) => c * h * w * k,
        _ => 0,
    }
}
