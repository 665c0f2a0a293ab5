//! Gradients, without a device: a small graph, differentiated by the pass and evaluated by the
//! reference implementations, compared with central differences of an independent definition in
//! double precision.
//!
//! **Tolerance.** Norm of the difference relative to the norm of the expected gradient. The
//! reference implementations add up at most some hundred f32 products, rounded independently: some
//! 1e-7 (measured: below 2e-7). The error of the differences is below 1e-8 (step 1e-4, f64). 1e-6
//! therefore always suffices; a wrong sign, factor or index gives an error of at least 1e-2.

use crate::graph::{Phase, Value};
use crate::ops::sample::Noise;
use crate::ops::{Graph, Leaf, Op, Role};
use crate::pass;
use crate::tensor::{Encoding, Tensor};
use std::collections::{BTreeSet, HashMap};

/// Bound on the relative error of gradients; its derivation is in the module's documentation.
pub const TOLERANCE: f64 = 1e-6;
const STEP: f64 = 1e-4;

/// A graph under construction, with the values of its leaves.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// The graph.
    pub graph: Graph,
    /// Values of its leaves, by name.
    pub leaves: HashMap<String, Tensor>,
}

impl Net {
    /// Creates an empty graph.
    pub fn new() -> Self {
        let mut graph = Graph::new();
        graph.at("net", Phase::Forward);
        Self { graph, leaves: HashMap::new() }
    }

    fn leaf(&mut self, name: &str, tensor: Tensor, role: Role) -> Value {
        let leaf = Leaf { name: name.to_string(), ty: tensor.ty.clone(), role };
        assert!(self.leaves.insert(name.to_string(), tensor).is_none(), "two leaves {name}");
        self.add(leaf, &[])
    }

    /// Adds a leaf that has a gradient, in any encoding.
    ///
    /// # Panics
    ///
    /// Panics if there is a leaf of this name.
    pub fn trained(&mut self, name: &str, tensor: Tensor) -> Value {
        self.leaf(name, tensor, Role::State { trained: true })
    }

    /// Adds a leaf without a gradient.
    ///
    /// # Panics
    ///
    /// Panics if there is a leaf of this name.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> Value {
        self.leaf(name, tensor, Role::Input)
    }

    /// Adds a node.
    ///
    /// # Panics
    ///
    /// Panics if the types of the inputs are invalid for the operation.
    pub fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Value {
        self.graph.add(op, inputs).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Computes all values, node by node, with the reference implementations.
    pub fn values(&self) -> Vec<Tensor> {
        evaluate(&self.graph, &self.leaves)
    }
}

/// A definition in double precision: values of the leaves in, values of the output out.
type Definition = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64>>;

/// A graph whose gradient is compared with that of a definition.
pub struct GradientCase {
    /// Name in messages.
    pub name: String,
    /// The graph with its values.
    pub net: Net,
    /// The value whose gradient is taken.
    pub root: Value,
    /// Whether the upstream gradient is random; otherwise the root is itself an objective.
    pub seeded: bool,
    /// Trained leaves with the real numbers that they represent.
    pub inputs: Vec<(Value, Vec<f64>)>,
    /// The definition of the root.
    pub definition: Definition,
}

impl GradientCase {
    /// Creates a case with a random upstream gradient; float leaves represent themselves.
    ///
    /// # Panics
    ///
    /// Panics if an input is not a leaf.
    pub fn new(
        name: impl Into<String>,
        net: Net,
        root: Value,
        inputs: &[Value],
        definition: impl Fn(&[Vec<f64>]) -> Vec<f64> + 'static,
    ) -> Self {
        let real = |value: Value| {
            let Op::Leaf(leaf) = &net.graph.node(value).op else { panic!("inputs of a case are leaves") };
            net.leaves[&leaf.name].to_f32().into_iter().map(f64::from).collect()
        };
        let inputs = inputs.iter().map(|&value| (value, real(value))).collect();
        Self { name: name.into(), net, root, seeded: true, inputs, definition: Box::new(definition) }
    }

    /// Sets the real numbers that the nth leaf represents.
    ///
    /// # Panics
    ///
    /// Panics if their number is not that of the leaf's elements.
    #[must_use]
    pub fn real(mut self, index: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), self.inputs[index].1.len(), "{}", self.name);
        self.inputs[index].1 = values;
        self
    }

    /// Differentiates, and returns the gradients of the leaves, the upstream gradient and the stems
    /// involved.
    ///
    /// # Panics
    ///
    /// Panics if an operation has no derivative.
    pub fn differentiate(&mut self) -> (Vec<(Value, Value)>, Vec<f64>, BTreeSet<&'static str>) {
        let shape = self.net.graph.ty(self.root).shape.clone();
        let seed = Noise::new(self.name.len() as u64 + 99).floats(&shape);
        let upstream = if self.seeded { seed.to_f32().into_iter().map(f64::from).collect() } else { vec![1.0] };
        let seed = self.seeded.then(|| self.net.constant("seed", seed));
        let stems = self.stems_under_root();
        let forward = self.net.graph.nodes().len();
        let gradients = pass::differentiate(&mut self.net.graph, self.root, seed);
        let gradients = gradients.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.net.graph.verify();
        let backward = self.net.graph.nodes()[forward..].iter();
        let stems = stems.into_iter().chain(backward.map(|node| node.op.stem())).collect();
        (gradients, upstream, stems)
    }

    fn stems_under_root(&self) -> BTreeSet<&'static str> {
        let mut needed = vec![false; self.net.graph.nodes().len()];
        needed[self.root.0] = true;
        for (value, node) in self.net.graph.iter().rev() {
            if needed[value.0] {
                node.inputs.iter().for_each(|input| needed[input.0] = true);
            }
        }
        let nodes = self.net.graph.iter().filter(|(value, _)| needed[value.0]);
        nodes.map(|(_, node)| node.op.stem()).collect()
    }

    /// Returns the largest relative error of the gradients.
    ///
    /// # Errors
    ///
    /// Returns the leaf whose gradient is wrong, missing or zero.
    ///
    /// # Panics
    ///
    /// Panics if an operation has no derivative, or the definition's output has another length.
    pub fn check(mut self) -> Result<f64, String> {
        let (gradients, upstream, _) = self.differentiate();
        let values = self.net.values();
        let objective = |inputs: &[Vec<f64>]| {
            let y = (self.definition)(inputs);
            assert_eq!(y.len(), upstream.len(), "{}: the length of the definition's output", self.name);
            y.iter().zip(&upstream).map(|(y, d)| y * d).sum::<f64>()
        };
        let mut real: Vec<Vec<f64>> = self.inputs.iter().map(|(_, values)| values.clone()).collect();
        let mut worst = 0.0f64;
        for (index, &(leaf, _)) in self.inputs.iter().enumerate() {
            let found = gradients.iter().find(|(value, _)| *value == leaf);
            let gradient = &values[found.ok_or(format!("{}: input {index} has no gradient", self.name))?.1.0];
            let (mut difference, mut norm) = (0.0, 0.0);
            for (element, got) in gradient.to_f32().into_iter().enumerate() {
                let at = real[index][element];
                real[index][element] = at + STEP;
                let above = objective(&real);
                real[index][element] = at - STEP;
                let expected = (above - objective(&real)) / (2.0 * STEP);
                real[index][element] = at;
                difference += (f64::from(got) - expected).powi(2);
                norm += expected.powi(2);
            }
            if norm < 1e-6 {
                return Err(format!("{}: the gradient of input {index} is zero, so that nothing is tested", self.name));
            }
            let error = (difference / norm).sqrt();
            if error.is_nan() || error > TOLERANCE {
                return Err(format!("{}: the gradient of input {index} is off by {error:e}", self.name));
            }
            worst = worst.max(error);
        }
        Ok(worst)
    }
}

/// Compares the gradient of an operation for its inputs with that of its definition in double
/// precision; returns the largest relative error. The inputs should keep away from points where the
/// definition has no derivative.
///
/// # Errors
///
/// Returns the input whose gradient is wrong, missing or zero.
///
/// # Panics
///
/// Panics if the types of the inputs are invalid, or the operation has no derivative.
pub fn check_gradient(
    op: impl Into<Op>,
    inputs: &[Tensor],
    definition: impl Fn(&[Vec<f64>]) -> Vec<f64> + 'static,
) -> Result<f64, String> {
    let (mut net, op) = (Net::new(), op.into());
    let inputs: Vec<_> =
        inputs.iter().enumerate().map(|(i, x)| net.trained(&format!("input {i}"), x.clone())).collect();
    let name = op.stem();
    let root = net.add(op, &inputs);
    GradientCase::new(name, net, root, &inputs, definition).check()
}

/// Computes all values of a graph with the reference implementations, node by node, each in
/// separate memory.
///
/// # Panics
///
/// Panics if a leaf has no value, or a reference implementation writes to padding.
pub fn evaluate(graph: &Graph, leaves: &HashMap<String, Tensor>) -> Vec<Tensor> {
    let mut values: Vec<Tensor> = Vec::new();
    for node in graph.nodes() {
        let value = match &node.op {
            Op::Leaf(leaf) => leaves[&leaf.name].clone(),
            op => op.evaluate(&node.inputs.iter().map(|input| &values[input.0]).collect::<Vec<_>>()),
        };
        if value.ty.encoding == Encoding::F32 {
            let padded = value.view().numbers().iter().filter(|v| **v != 0.0).count();
            let logical = value.to_f32().iter().filter(|v| **v != 0.0).count();
            assert_eq!(padded, logical, "{} wrote into its padding", node.op.stem());
        }
        values.push(value);
    }
    values
}
