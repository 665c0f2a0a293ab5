//! The computation graph: typed values in an append-only list of nodes.
//!
//! **Invariant:** a node's inputs have smaller ids, so id order is a valid schedule and no sorting
//! is needed.
//! **Invariant:** every node's type is the one that its operation infers from the types of its inputs.
//!
//! A node has one output, whose id is the node's id. The graph is generic over the set of
//! operations.

use crate::error::{Error, Result};
use crate::tensor::{Encoding, TensorType};
use std::fmt;

/// A value: the output of the node with this index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub usize);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// The part of a training step that a node belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// From the images to the loss.
    Forward,
    /// From the loss to the gradients.
    Backward,
    /// From the gradients to the new state.
    Update,
}

/// The interface that a graph requires of its operations.
pub trait Typed {
    /// Infers the output's type. The error says which shapes do not fit, and which would.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;
    /// The input that the output overwrites, for in-place updates of state.
    fn in_place(&self) -> Option<usize>;
}

/// An operation applied to earlier values.
#[derive(Clone, Debug)]
pub struct Node<O> {
    /// The operation.
    pub op: O,
    /// Its inputs.
    pub inputs: Vec<Value>,
    /// The output's type, as operations see it.
    pub ty: TensorType,
    /// Set where a float output is stored in half precision: the row of the table of scales with
    /// the factor that it is multiplied by ([`crate::halves`]). Readers of the value see floats.
    pub scale: Option<usize>,
    /// The layer that it belongs to.
    pub layer: String,
    /// The part of a step that it belongs to.
    pub phase: Phase,
}

/// Nodes in schedule order, and the values that are read after a run.
#[derive(Clone, Debug)]
pub struct Graph<O> {
    nodes: Vec<Node<O>>,
    /// Values that are read after a run, by name.
    pub outputs: Vec<(String, Value)>,
    /// Whether memory is minimised, even where sharing buffers adds dependencies between
    /// dispatches.
    pub compact: bool,
    /// Whether it runs between parts of another graph, whose values live on meanwhile.
    pub nested: bool,
    /// Number of nodes of the graph that follows this one in the same step. Numerical faults of
    /// that graph rank after those of this one.
    pub behind: usize,
    layer: String,
    phase: Phase,
}

impl<O: Typed> Default for Graph<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Typed> Graph<O> {
    /// Creates an empty graph.
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            outputs: Vec::new(),
            compact: false,
            nested: false,
            behind: 0,
            layer: String::new(),
            phase: Phase::Forward,
        }
    }

    /// Creates an empty graph with the same settings, to be filled by a pass.
    pub fn successor(&self) -> Self {
        Self { compact: self.compact, nested: self.nested, behind: self.behind, ..Self::new() }
    }

    /// Assigns the nodes appended from here on to this layer and phase.
    pub fn at(&mut self, layer: &str, phase: Phase) {
        self.layer = layer.to_string();
        self.phase = phase;
    }

    /// Runs `action` in another phase, then restores the current one.
    pub fn in_phase<T>(&mut self, phase: Phase, action: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.phase, phase);
        let done = action(self);
        self.phase = before;
        done
    }

    /// Appends a node.
    ///
    /// # Errors
    ///
    /// Returns an error if the shapes do not fit; the message names the layer and the shapes.
    pub fn add(&mut self, op: impl Into<O>, inputs: &[Value]) -> Result<Value> {
        let op = op.into();
        assert!(inputs.iter().all(|v| v.0 < self.nodes.len()), "inputs come before their node");
        let types: Vec<_> = inputs.iter().map(|&v| self.ty(v)).collect();
        let ty = op.infer(&types).map_err(|message| Error::Model(format!("layer \"{}\": {message}", self.layer)))?;
        let (layer, phase) = (self.layer.clone(), self.phase);
        self.nodes.push(Node { op, inputs: inputs.to_vec(), ty, scale: None, layer, phase });
        Ok(Value(self.nodes.len() - 1))
    }

    /// Stores a float value in half precision, multiplied by the scale in this row.
    pub fn store_half(&mut self, value: Value, scale: usize) {
        assert_eq!(self.ty(value).encoding, Encoding::F32, "{value} is stored in half precision");
        self.nodes[value.0].scale = Some(scale);
    }

    /// Sets or clears the row of a value's scale.
    pub fn set_scale(&mut self, value: Value, scale: Option<usize>) {
        self.nodes[value.0].scale = scale;
    }

    /// Returns a value's type in memory.
    pub fn stored(&self, value: Value) -> TensorType {
        let node = self.node(value);
        if node.scale.is_some() { node.ty.with(Encoding::F16) } else { node.ty.clone() }
    }

    /// Declares an output: a named value that is read after a run.
    pub fn output(&mut self, name: impl Into<String>, value: Value) {
        self.outputs.push((name.into(), value));
    }

    /// Returns the nodes in schedule order.
    pub fn nodes(&self) -> &[Node<O>] {
        &self.nodes
    }

    /// Returns the node that computes a value.
    pub fn node(&self, value: Value) -> &Node<O> {
        &self.nodes[value.0]
    }

    /// Returns a value's type.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.nodes[value.0].ty
    }

    /// Iterates over all values and their nodes, in schedule order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Value, &Node<O>)> {
        self.nodes.iter().enumerate().map(|(id, node)| (Value(id), node))
    }

    /// Returns, for each value, the last node that reads it; `None` if no node does.
    pub fn last_readers(&self) -> Vec<Option<Value>> {
        let mut last = vec![None; self.nodes.len()];
        for (value, node) in self.iter() {
            for input in &node.inputs {
                last[input.0] = Some(value);
            }
        }
        last
    }

    /// Checks the invariants; called after every pass.
    ///
    /// # Panics
    ///
    /// Panics if a pass violated one. That is a bug, never a user's mistake.
    pub fn verify(&self) {
        let last = self.last_readers();
        for (value, node) in self.iter() {
            assert!(node.inputs.iter().all(|input| input < &value), "{value} reads a later value");
            let types: Vec<_> = node.inputs.iter().map(|&v| self.ty(v)).collect();
            let inferred = node.op.infer(&types).unwrap_or_else(|message| panic!("{value}: {message}"));
            assert_eq!(inferred, node.ty, "type of {value} in layer {}", node.layer);
            assert!(node.scale.is_none() || node.ty.encoding == Encoding::F32, "{value} has a scale");
            if let Some(index) = node.op.in_place() {
                assert!(node.scale.is_none(), "{value} is updated in place in half precision");
                let old = node.inputs[index];
                assert_eq!(last[old.0], Some(value), "{value} overwrites {old}, which is read later");
                assert_eq!(self.ty(old), &node.ty, "{value} takes over memory of another type");
            }
        }
        for (name, value) in &self.outputs {
            assert!(value.0 < self.nodes.len(), "output {name} does not exist");
            assert!(self.node(*value).scale.is_none(), "output {name} is stored in half precision");
        }
    }

    /// Returns the same graph in another order, in which every value occurs once and after its
    /// inputs.
    ///
    /// # Errors
    ///
    /// Never returns an error for a verified graph.
    pub fn reordered(&self, order: &[Value]) -> Result<Self>
    where
        O: Clone,
    {
        assert_eq!(order.len(), self.nodes.len(), "an order of other values");
        let mut new = self.successor();
        let mut renamed = vec![None; self.nodes.len()];
        let place = |renamed: &[Option<Value>], value: Value| renamed[value.0].expect("inputs come before their node");
        for &value in order {
            let node = self.node(value);
            new.at(&node.layer, node.phase);
            let inputs: Vec<_> = node.inputs.iter().map(|&input| place(&renamed, input)).collect();
            let made = new.add(node.op.clone(), &inputs)?;
            new.nodes[made.0].scale = node.scale;
            renamed[value.0] = Some(made);
        }
        for (name, value) in &self.outputs {
            new.output(name.clone(), place(&renamed, *value));
        }
        Ok(new)
    }

    /// Rebuilds the graph node by node. `rewrite` gets each node with its inputs already renamed.
    /// It returns the value that replaces the node, usually after appending it to the new graph, or
    /// `None` to drop the node, which is allowed only if no remaining node reads it. Scales are not
    /// carried over: a rewrite of a graph that has them sets those of its new nodes.
    ///
    /// # Errors
    ///
    /// Returns the errors of `rewrite`.
    pub fn rebuild(
        &self,
        mut rewrite: impl FnMut(&mut Self, Value, &Node<O>, &[Value]) -> Result<Option<Value>>,
    ) -> Result<Self> {
        let mut new = self.successor();
        let mut renamed: Vec<Option<Value>> = Vec::with_capacity(self.nodes.len());
        for (value, node) in self.iter() {
            let inputs: Option<Vec<_>> = node.inputs.iter().map(|input| renamed[input.0]).collect();
            new.at(&node.layer, node.phase);
            // A node whose inputs were all dropped is dropped too.
            let made = match inputs {
                Some(inputs) => rewrite(&mut new, value, node, &inputs)?,
                None => None,
            };
            renamed.push(made);
        }
        for (name, value) in &self.outputs {
            let value = renamed[value.0].unwrap_or_else(|| panic!("a pass dropped the output {name}"));
            new.output(name.clone(), value);
        }
        Ok(new)
    }
}
