//! Fusion of neighbouring nodes into shared launches: nodes that read the same tensor read it once,
//! and small results that follow from a reduction need no launch.
//!
//! A graph holds single operations, each with its own semantics and reference implementation
//! (`reference`); only launches are shared. The nodes of a *unit* are adjacent in the graph
//! (`pass::together` orders them so), and all of their outputs are live at the same time. An
//! operation that can share a launch declares so in its file and is listed in [`extends`] and
//! [`program`].

use super::half_scales::HalfScales;
use super::{Graph, Leaf, Op, Sample, batch_norm, batch_norm_backward, max_pool, sign};
use crate::caps::{Caps, DeviceClass};
use crate::graph::{Node, Phase, Value};
use crate::kernel::{Operand::OutputOf, Program};
use crate::tensor::{Tensor, TensorType};
use crate::variant::Offer;
use std::borrow::Cow;
use std::ops::Range;

/// Whether a node with this operation and these inputs can join the unit of the nodes before it.
pub fn extends(graph: &Graph, unit: &[Value], op: &Op, inputs: &[Value]) -> bool {
    let first = graph.node(unit[0]);
    match (&first.op, op) {
        (Op::MaxPool(pool), Op::MaxPoolArgmax(argmax)) => {
            unit.len() == 1 && pool.window == argmax.window && first.inputs == inputs
        }
        (Op::Alpha(alpha), Op::Sign(sign)) => {
            unit.len() == 1 && alpha.channels == sign.channels && first.inputs[0] == inputs[0]
        }
        (Op::HalfScales(_), Op::HalfSeen(_)) => unit.len() == 1 && inputs[0] == first.inputs[1],
        (Op::BatchNormStats(_), Op::BatchNormCoef(coef)) => unit.len() == 1 && !coef.running && inputs[0] == unit[0],
        (Op::BatchNormStats(_), Op::BatchNormRunning(running)) => {
            let [stats, coef] = unit else { return false };
            let coef_node = graph.node(*coef);
            let Op::BatchNormCoef(op) = &coef_node.op else { return false };
            let same_scale = running.scaled == op.scaled && running.step == op.step;
            inputs[1] == *stats && same_scale && (!op.scaled || inputs[2] == coef_node.inputs[1])
        }
        (Op::BatchNormSums(_), Op::Row(row)) => {
            let other = |&value: &Value| graph.node(value).op != Op::Row(*row);
            row.index < 2 && inputs[0] == unit[0] && unit.iter().all(other)
        }
        _ => false,
    }
}

/// Splits the nodes of a graph into units, in order.
pub fn units(graph: &Graph) -> Vec<Range<usize>> {
    let mut units: Vec<Range<usize>> = Vec::new();
    for (value, node) in graph.iter() {
        if let Some(unit) = units.last_mut() {
            let members: Vec<_> = unit.clone().map(Value).collect();
            if extends(graph, &members, &node.op, &node.inputs) {
                unit.end += 1;
                continue;
            }
        }
        units.push(value.0..value.0 + 1);
    }
    units
}

/// Device capabilities for a node: the kernel variant chosen for it, and which of its inputs are
/// stored in half precision.
pub(crate) fn seen_by<'c>(graph: &Graph, node: &Node<Op>, caps: &'c Caps) -> Cow<'c, Caps> {
    let types: Vec<_> = node.inputs.iter().map(|&input| graph.ty(input)).collect();
    let mut caps = node.op.caps(&types, &node.ty, caps);
    let half = |&index: &usize| graph.node(node.inputs[index]).scale.is_some();
    let halves = (0..node.inputs.len().min(32)).filter(half).fold(0, |bits, index| bits | 1 << index);
    if halves != 0 {
        caps.to_mut().half_inputs = halves;
    }
    caps
}

/// The launches of a unit.
pub fn program(graph: &Graph, unit: Range<usize>, caps: &Caps) -> Program {
    let nodes = &graph.nodes()[unit];
    let types = |node: &Node<Op>| node.inputs.iter().map(|&input| graph.ty(input)).collect::<Vec<&TensorType>>();
    let first = &nodes[0];
    match (&first.op, nodes.len()) {
        (op, 1) => op.program(&types(first), &first.ty, &seen_by(graph, first, caps)),
        (Op::MaxPool(op), _) => max_pool::with_argmax(op, &types(first), &first.ty).into(),
        (Op::Alpha(op), _) => {
            let Op::Sign(sign) = &nodes[1].op else { unreachable!("only sign extends alpha") };
            op.with_sign(sign, [types(first)[0], &first.ty, &nodes[1].ty], caps)
        }
        (Op::BatchNormStats(stats), _) => {
            let Op::BatchNormCoef(coef) = &nodes[1].op else { unreachable!("coefficients follow statistics") };
            let running = nodes.get(2).map(|node| match &node.op {
                Op::BatchNormRunning(running) => running,
                op => unreachable!("{} does not extend statistics", op.stem()),
            });
            batch_norm::together(stats, coef, running, types(first)[0], caps)
        }
        (Op::HalfScales(_), _) => HalfScales::with_seen(first.ty.rows()),
        (Op::BatchNormSums(sums), _) => {
            let rows = nodes.iter().enumerate().filter_map(|(behind, node)| match &node.op {
                Op::Row(row) => Some((row.index, OutputOf(behind))),
                _ => None,
            });
            sums.program_with(&types(first), &rows.collect::<Vec<_>>(), caps)
        }
        (op, _) => unreachable!("{} does not share a launch", op.stem()),
    }
}

/// A small test case of one program: a single operation, or several that share launches.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the case: the operation's stem, or a name for the fused operations.
    pub name: &'static str,
    /// Operations, each with the indices of its inputs among the case's inputs followed by the
    /// outputs so far.
    pub nodes: Vec<(Op, Vec<usize>)>,
    /// Inputs of all operations.
    pub inputs: Vec<Tensor>,
}

impl From<Sample> for Case {
    fn from(sample: Sample) -> Self {
        let inputs = (0..sample.inputs.len()).collect();
        Self { name: sample.op.stem(), nodes: vec![(sample.op, inputs)], inputs: sample.inputs }
    }
}

impl Case {
    /// Builds the case as a graph with the inputs "in0", "in1", …; returns it with its nodes, which
    /// form one unit.
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not match or the nodes do not form one unit.
    pub fn graph(&self) -> (Graph, Range<usize>) {
        let mut graph = Graph::new();
        graph.at(self.name, Phase::Forward);
        let mut values = Vec::new();
        let mut add = |op: Op, inputs: &[Value]| graph.add(op, inputs).unwrap_or_else(|error| panic!("{error}"));
        for (i, tensor) in self.inputs.iter().enumerate() {
            values.push(add(Leaf::input(&format!("in{i}"), tensor.ty.clone()).into(), &[]));
        }
        for (op, inputs) in &self.nodes {
            let inputs: Vec<_> = inputs.iter().map(|&at| values[at]).collect();
            values.push(add(op.clone(), &inputs));
        }
        graph.verify();
        let unit = self.inputs.len()..values.len();
        assert_eq!(units(&graph).last(), Some(&unit), "{} does not form one unit", self.name);
        (graph, unit)
    }

    /// The capabilities that select each kernel variant of the case, the default variant first; the
    /// given capabilities if there is no choice.
    ///
    /// For software drivers, only the default variant is returned: such a driver runs all variants
    /// when it is treated as a GPU.
    pub fn variants(&self, caps: &Caps) -> Vec<(Option<&'static str>, Caps)> {
        let mut kernels = self.kernels(caps);
        if caps.class == DeviceClass::Software {
            kernels.truncate(1);
        }
        match kernels.is_empty() {
            true => vec![(None, caps.clone())],
            false => kernels.into_iter().map(|(kernel, caps)| (Some(kernel), caps)).collect(),
        }
    }

    /// The capabilities that select each kernel variant that the device supports, with the
    /// variants' names; empty if there is no choice.
    pub fn kernels(&self, caps: &Caps) -> Vec<(&'static str, Caps)> {
        let [(op, inputs)] = self.nodes.as_slice() else { return Vec::new() };
        let types: Vec<_> = inputs.iter().map(|&at| &self.inputs[at].ty).collect();
        let output = op.infer(&types).expect("a valid case");
        let offers = op.candidates(&types, &output, caps).into_iter();
        offers.map(|Offer { kernel, .. }| (kernel, caps.clone().choosing(op.stem(), kernel))).collect()
    }

    /// The outputs of all nodes, computed by the reference implementations (`reference`).
    pub fn expected(&self) -> Vec<Tensor> {
        let mut values = self.inputs.clone();
        for (op, inputs) in &self.nodes {
            values.push(op.evaluate(&inputs.iter().map(|&at| &values[at]).collect::<Vec<_>>()));
        }
        values.split_off(self.inputs.len())
    }
}

/// Small test cases of every operation and of every fused unit, with odd sizes.
pub fn cases() -> Vec<Case> {
    let alone = super::samples().into_iter().map(Case::from);
    alone
        .chain(max_pool::fused_cases())
        .chain(sign::Alpha::fused_cases())
        .chain(batch_norm::fused_cases())
        .chain(batch_norm_backward::BatchNormSums::fused_cases())
        .chain(HalfScales::fused_cases())
        .collect()
}
