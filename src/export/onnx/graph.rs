//! Builds an ONNX graph node by node. Every tensor gets a unique name and a type, so that the file
//! shows all shapes without shape inference.

use super::proto::{self, Annotation, Attribute, Dimension, Entry, Length, Shape, Tensor, TensorType, ValueInfo};
use std::collections::BTreeSet;

/// An element type, with its number in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float = 1,
    Uint8 = 2,
    Int8 = 3,
    Int32 = 6,
    Int64 = 7,
    Bool = 9,
    Int4 = 22,
    Int2 = 26,
}

/// A tensor of the graph.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) element: Element,
    /// The shape, without the batch if there is one.
    pub(super) shape: Vec<usize>,
    /// Whether the first dimension is the batch.
    pub(super) batched: bool,
}

impl Value {
    /// This type with another name.
    fn named(&self, name: String) -> Self {
        Self { name, ..self.clone() }
    }

    /// This value's type with another shape.
    pub(super) fn shaped(&self, shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), ..self.clone() }
    }

    /// This value's type with other elements.
    pub(super) fn of(&self, element: Element) -> Self {
        Self { element, ..self.clone() }
    }
}

/// An attribute's value.
pub(super) enum Attr<'a> {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'a str),
}

/// A graph under construction.
pub(super) struct Graph {
    /// The batch: any, or this many images.
    batch: Option<usize>,
    names: BTreeSet<String>,
    graph: proto::Graph,
    /// Version of the standard operators that the nodes need.
    pub(super) opset: i64,
    /// Domain of operators that are not standard, if there are any.
    domain: Option<&'static str>,
}

impl Graph {
    /// Creates an empty graph; `opset` is the oldest version of operators to declare, `reserved` are
    /// names that no layer may take.
    pub(super) fn new(batch: Option<usize>, opset: i64, reserved: &[&str]) -> Self {
        let names = reserved.iter().map(|name| name.to_string()).collect();
        Self { batch, names, graph: proto::Graph::default(), opset, domain: None }
    }

    /// Returns `name`, or if it is taken, `name_2`, `name_3`, …
    fn unique(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.to_string()).chain(numbered);
        let name = candidates.find(|name| !self.names.contains(name)).unwrap_or_default();
        self.names.insert(name.clone());
        name
    }

    /// Declares the graph's input.
    pub(super) fn input(&mut self, name: &str, element: Element, shape: &[usize], doc: &str) -> Value {
        let value = Value { name: name.into(), element, shape: shape.to_vec(), batched: true };
        let info = self.info(&value, Some(doc));
        self.graph.input.push(info);
        value
    }

    /// Declares the graph's output, which a node has computed.
    pub(super) fn output(&mut self, value: &Value, doc: &str) {
        self.graph.value_info.retain(|info| info.name.as_ref() != Some(&value.name));
        let info = self.info(value, Some(doc));
        self.graph.output.push(info);
    }

    /// Adds an initialiser of these bytes.
    pub(super) fn initialiser(&mut self, name: &str, element: Element, shape: &[usize], bytes: Vec<u8>) -> Value {
        let name = self.unique(name);
        self.graph.initializer.push(Tensor {
            dims: shape.iter().map(|&len| len as i64).collect(),
            data_type: Some(element as i32),
            name: Some(name.clone()),
            raw_data: Some(bytes),
        });
        Value { name, element, shape: shape.to_vec(), batched: false }
    }

    /// Adds an initialiser of floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initialiser(name, Element::Float, shape, bytes)
    }

    /// Adds one float.
    pub(super) fn float(&mut self, name: &str, value: f32) -> Value {
        self.floats(name, &[], &[value])
    }

    /// Adds a list of integers.
    pub(super) fn ints(&mut self, name: &str, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initialiser(name, Element::Int64, &[values.len()], bytes)
    }

    /// Adds a node of a standard operator. Its output has the node's name, and the type of `like`.
    pub(super) fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attr<'_>)],
        like: &Value,
    ) -> Value {
        let name = self.unique(name);
        self.node_of("", operator, name, inputs, attributes, like)
    }

    /// Adds a node of an operator of another domain.
    pub(super) fn custom(
        &mut self,
        (domain, operator): (&'static str, &str),
        name: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attr<'_>)],
        like: &Value,
    ) -> Value {
        self.domain = Some(domain);
        let name = self.unique(name);
        self.node_of(domain, operator, name, inputs, attributes, like)
    }

    /// Adds a node with a reserved name.
    pub(super) fn reserved(&mut self, operator: &str, name: &str, inputs: &[&Value], like: &Value) -> Value {
        self.node_of("", operator, name.to_string(), inputs, &[], like)
    }

    fn node_of(
        &mut self,
        domain: &str,
        operator: &str,
        name: String,
        inputs: &[&Value],
        attributes: &[(&str, Attr<'_>)],
        like: &Value,
    ) -> Value {
        self.graph.node.push(proto::Node {
            input: inputs.iter().map(|value| value.name.clone()).collect(),
            output: vec![name.clone()],
            name: Some(name.clone()),
            op_type: Some(operator.into()),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            doc_string: None,
            domain: Some(domain.to_string()).filter(|domain| !domain.is_empty()),
        });
        let value = like.named(name);
        let info = self.info(&value, None);
        self.graph.value_info.push(info);
        value
    }

    /// Notes a tensor's quantisation under a key that tools of QONNX read.
    pub(super) fn annotate(&mut self, value: &Value, ty: &str) {
        let entry = Entry { key: Some("finn_datatype".into()), value: Some(ty.into()) };
        self.graph
            .quantization_annotation
            .push(Annotation { tensor_name: Some(value.name.clone()), quant_parameter_tensor_names: vec![entry] });
    }

    fn info(&self, value: &Value, doc: Option<&str>) -> ValueInfo {
        let known = |len: &usize| Length::Known(*len as i64);
        let batch = self.batch.as_ref().map_or_else(|| Length::Named("batch".into()), known);
        let lengths = value.batched.then_some(batch).into_iter().chain(value.shape.iter().map(known));
        let dim = lengths.map(|length| Dimension { value: Some(length) }).collect();
        let ty = TensorType { elem_type: Some(value.element as i32), shape: Some(Shape { dim }) };
        ValueInfo {
            name: Some(value.name.clone()),
            ty: Some(proto::Type { tensor_type: Some(ty) }),
            doc_string: doc.map(str::to_string),
        }
    }

    /// Returns the model that consists of this graph.
    pub(super) fn model(mut self, name: &str, doc: String, facts: Vec<(String, String)>) -> proto::Model {
        self.graph.name = Some(name.into());
        let domain = |domain: &str, version| proto::OperatorSet { domain: Some(domain.into()), version: Some(version) };
        let entry = |(key, value)| Entry { key: Some(key), value: Some(value) };
        proto::Model {
            ir_version: Some(ir_version(self.opset)),
            producer_name: Some("halfwave".into()),
            producer_version: Some(crate::version::VERSION.into()),
            doc_string: Some(doc),
            opset_import: std::iter::once(domain("", self.opset))
                .chain(self.domain.map(|name| domain(name, 1)))
                .collect(),
            graph: Some(self.graph),
            metadata_props: facts.into_iter().map(entry).collect(),
        }
    }
}

/// The version of the file format that came with a version of the standard operators
/// ([versioning](https://github.com/onnx/onnx/blob/main/docs/Versioning.md)).
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        _ => 13,
    }
}

fn attribute(name: &str, value: &Attr<'_>) -> Attribute {
    let mut attribute = Attribute { name: Some(name.into()), ..Attribute::default() };
    // The numbers of `AttributeProto.AttributeType`.
    attribute.kind = Some(match value {
        Attr::Float(value) => {
            attribute.f = Some(*value);
            1
        }
        Attr::Int(value) => {
            attribute.i = Some(*value);
            2
        }
        Attr::Text(value) => {
            attribute.s = Some(value.as_bytes().to_vec());
            3
        }
        Attr::Ints(values) => {
            attribute.ints.clone_from(values);
            7
        }
    });
    attribute
}
