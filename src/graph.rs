//! The graph: typed values in an append-only list.
//!
//! **Invariant:** a node's inputs have smaller ids, so id order is a schedule and nothing ever sorts.
//! **Invariant:** every node's type is what its operation infers from its inputs' types.
//!
//! A node has one output; its id is the value's id. The graph does not know which operations exist: it is generic over them.

use crate::error::{Error, Result};
use crate::tensor::{Encoding, TensorType};
use std::fmt;

/// A value: the output of the node with this number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub usize);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// Which part of a step a node belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// From images to loss.
    Forward,
    /// From loss to gradients.
    Backward,
    /// From gradients to new state.
    Update,
}

/// What the graph asks of an operation.
pub trait Typed {
    /// The output's type, or which shapes do not fit and what would.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;
    /// The input whose memory the output takes over, for updates of state.
    fn in_place(&self) -> Option<usize>;
}

/// One operation on earlier values.
#[derive(Clone, Debug)]
pub struct Node<O> {
    /// What is done.
    pub op: O,
    /// To which values.
    pub inputs: Vec<Value>,
    /// The output's type, as operations see it.
    pub ty: TensorType,
    /// Where the output, of floats, is stored in half precision: the row of the table of scales that it is multiplied by ([`crate::halves`]). Who reads it sees floats.
    pub scale: Option<usize>,
    /// The layer it stems from.
    pub layer: String,
    /// The part of a step it belongs to.
    pub phase: Phase,
}

/// A schedule of nodes and the values that outlive it.
#[derive(Clone, Debug)]
pub struct Graph<O> {
    nodes: Vec<Node<O>>,
    /// Values to be read after a run, by name.
    pub outputs: Vec<(String, Value)>,
    /// Whether values are to take as little memory as they can, at the price of buffers that wait for each other.
    pub compact: bool,
    /// Nodes of the graph that is computed behind this one in the same step: its faults rank behind all of this one's.
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
    /// An empty graph.
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            outputs: Vec::new(),
            compact: false,
            behind: 0,
            layer: String::new(),
            phase: Phase::Forward,
        }
    }

    /// An empty graph that is to become what this one is for.
    pub fn successor(&self) -> Self {
        Self { compact: self.compact, behind: self.behind, ..Self::new() }
    }

    /// Nodes appended from here on belong to this layer and phase.
    pub fn at(&mut self, layer: &str, phase: Phase) {
        self.layer = layer.to_string();
        self.phase = phase;
    }

    /// Does something in another phase, and goes on in this one.
    pub fn in_phase<T>(&mut self, phase: Phase, action: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.phase, phase);
        let done = action(self);
        self.phase = before;
        done
    }

    /// Appends a node.
    ///
    /// # Errors
    /// When the shapes do not fit; the message names the layer and the shapes.
    pub fn add(&mut self, op: impl Into<O>, inputs: &[Value]) -> Result<Value> {
        let op = op.into();
        assert!(inputs.iter().all(|v| v.0 < self.nodes.len()), "inputs come before their node");
        let types: Vec<_> = inputs.iter().map(|&v| self.ty(v)).collect();
        let ty = op.infer(&types).map_err(|message| Error::Model(format!("layer \"{}\": {message}", self.layer)))?;
        let (layer, phase) = (self.layer.clone(), self.phase);
        self.nodes.push(Node { op, inputs: inputs.to_vec(), ty, scale: None, layer, phase });
        Ok(Value(self.nodes.len() - 1))
    }

    /// Stores a value of floats in half precision, multiplied by the scale in this row.
    pub fn store_half(&mut self, value: Value, scale: usize) {
        assert_eq!(self.ty(value).encoding, Encoding::F32, "{value} is stored in half precision");
        self.nodes[value.0].scale = Some(scale);
    }

    /// Stores a value as another one is stored.
    pub fn set_scale(&mut self, value: Value, scale: Option<usize>) {
        self.nodes[value.0].scale = scale;
    }

    /// How a value lies in memory.
    pub fn stored(&self, value: Value) -> TensorType {
        let node = self.node(value);
        if node.scale.is_some() { node.ty.with(Encoding::F16) } else { node.ty.clone() }
    }

    /// Names a value that is to be read after a run.
    pub fn output(&mut self, name: impl Into<String>, value: Value) {
        self.outputs.push((name.into(), value));
    }

    /// The nodes in schedule order.
    pub fn nodes(&self) -> &[Node<O>] {
        &self.nodes
    }

    /// The node that makes a value.
    pub fn node(&self, value: Value) -> &Node<O> {
        &self.nodes[value.0]
    }

    /// A value's type.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.nodes[value.0].ty
    }

    /// All values with their nodes, in schedule order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Value, &Node<O>)> {
        self.nodes.iter().enumerate().map(|(id, node)| (Value(id), node))
    }

    /// For each value, the last node that reads it; `None` where nobody does.
    pub fn last_readers(&self) -> Vec<Option<Value>> {
        let mut last = vec![None; self.nodes.len()];
        for (value, node) in self.iter() {
            for input in &node.inputs {
                last[input.0] = Some(value);
            }
        }
        last
    }

    /// Checks the invariants; run after every pass.
    ///
    /// # Panics
    /// When a pass broke one: that is a bug, not a user's mistake.
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

    /// The same graph in another order, which holds every value once and behind its inputs.
    ///
    /// # Errors
    /// None in a verified graph.
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

    /// Rebuilds the graph node by node: `rewrite` gets each node with its inputs already renamed and either appends something to the new graph
    /// and returns it, or drops the node by returning `None` (then nobody may read it).
    ///
    /// # Errors
    /// Whatever `rewrite` returns.
    pub fn rebuild(
        &self,
        mut rewrite: impl FnMut(&mut Self, Value, &Node<O>, &[Value]) -> Result<Option<Value>>,
    ) -> Result<Self> {
        let mut new = self.successor();
        let mut renamed: Vec<Option<Value>> = Vec::with_capacity(self.nodes.len());
        for (value, node) in self.iter() {
            let inputs: Option<Vec<_>> = node.inputs.iter().map(|input| renamed[input.0]).collect();
            new.at(&node.layer, node.phase);
            // A node all of whose inputs were dropped is dropped too: nobody can need it.
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
