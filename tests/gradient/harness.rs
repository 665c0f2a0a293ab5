//! A gradient case: a small graph with values for its leaves, differentiated by the pass and
//! evaluated by the reference implementations (`reference`), compared with central differences of
//! an independent f64 reference.
//!
//! **Tolerance.** Norm of the difference relative to the norm of the reference. The `reference`s
//! add up at most some hundred f32 products, rounded independently: some 1e-7 (measured: below
//! 2e-7). The error of the reference is below 1e-8 (step 1e-4, f64). 1e-6 therefore always
//! suffices; a wrong sign, factor or index gives an error of at least 1e-2.

use crate::evaluate::evaluate;
use halfwave::graph::{Phase, Value};
use halfwave::ops::sample::Noise;
use halfwave::ops::{Graph, Leaf, Op, Role};
use halfwave::pass;
use halfwave::tensor::Tensor;
use std::collections::{BTreeSet, HashMap};

/// See the module's documentation.
pub(crate) const TOLERANCE: f64 = 1e-6;
const STEP: f64 = 1e-4;

/// A graph under construction, with the values of its leaves.
pub(crate) struct Net {
    pub(crate) graph: Graph,
    pub(crate) leaves: HashMap<String, Tensor>,
}

impl Net {
    pub(crate) fn new() -> Self {
        let mut graph = Graph::new();
        graph.at("net", Phase::Forward);
        Self { graph, leaves: HashMap::new() }
    }

    fn leaf(&mut self, name: &str, tensor: Tensor, role: Role) -> Value {
        let leaf = Leaf { name: name.to_string(), ty: tensor.ty.clone(), role };
        assert!(self.leaves.insert(name.to_string(), tensor).is_none(), "two leaves {name}");
        self.graph.add(leaf, &[]).unwrap()
    }

    /// Adds a leaf that has a gradient, in any encoding.
    pub(crate) fn trained(&mut self, name: &str, tensor: Tensor) -> Value {
        self.leaf(name, tensor, Role::State { trained: true })
    }

    /// Adds a leaf without a gradient.
    pub(crate) fn constant(&mut self, name: &str, tensor: Tensor) -> Value {
        self.leaf(name, tensor, Role::Input)
    }

    pub(crate) fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Value {
        self.graph.add(op, inputs).unwrap()
    }

    /// Computes all values, node by node, with the reference implementations.
    pub(crate) fn values(&self) -> Vec<Tensor> {
        evaluate(&self.graph, &self.leaves)
    }
}

/// The function of a case on real numbers: f64 values of the leaves in, f64 outputs out.
type Reference = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64>>;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) net: Net,
    pub(crate) root: Value,
    /// Whether the upstream gradient is random; otherwise the root is itself an objective.
    pub(crate) seeded: bool,
    /// Trained leaves with the real numbers that they represent.
    pub(crate) inputs: Vec<(Value, Vec<f64>)>,
    pub(crate) reference: Reference,
}

impl Case {
    /// A case with a random upstream gradient; float leaves represent themselves.
    pub(crate) fn new(
        name: impl Into<String>,
        net: Net,
        root: Value,
        inputs: &[Value],
        reference: impl Fn(&[Vec<f64>]) -> Vec<f64> + 'static,
    ) -> Self {
        let real = |value: Value| {
            let Op::Leaf(leaf) = &net.graph.node(value).op else { panic!("inputs of a case are leaves") };
            net.leaves[&leaf.name].to_f32().into_iter().map(f64::from).collect()
        };
        let inputs = inputs.iter().map(|&value| (value, real(value))).collect();
        Self { name: name.into(), net, root, seeded: true, inputs, reference: Box::new(reference) }
    }

    /// Sets the real numbers that the nth leaf represents.
    pub(crate) fn real(mut self, index: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), self.inputs[index].1.len(), "{}", self.name);
        self.inputs[index].1 = values;
        self
    }

    /// Differentiates, and returns the gradients of the leaves, the upstream gradient and the stems
    /// involved.
    pub(crate) fn differentiate(&mut self) -> (Vec<(Value, Value)>, Vec<f64>, BTreeSet<&'static str>) {
        let shape = self.net.graph.ty(self.root).shape.clone();
        let seed = Noise::new(self.name.len() as u64 + 99).floats(&shape);
        let upstream = if self.seeded { seed.to_f32().into_iter().map(f64::from).collect() } else { vec![1.0] };
        let seed = self.seeded.then(|| self.net.constant("seed", seed));
        let stems = self.stems_under_root();
        let forward = self.net.graph.nodes().len();
        let gradients = pass::differentiate(&mut self.net.graph, self.root, seed).unwrap();
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

    /// Returns the largest relative error of the gradients, or the leaf whose gradient is wrong.
    pub(crate) fn check(mut self) -> Result<f64, String> {
        let (gradients, upstream, _) = self.differentiate();
        let values = self.net.values();
        let objective = |inputs: &[Vec<f64>]| {
            let y = (self.reference)(inputs);
            assert_eq!(y.len(), upstream.len(), "{}: the reference's length", self.name);
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
