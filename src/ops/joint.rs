//! Nodes that are computed together, by fewer launches than each by itself: what reads the same tensor reads it once, and what follows from a few numbers costs no launch.
//!
//! A graph holds single operations, each with its own meaning and twin; only launches are shared. The nodes of a *unit* stand one behind the other (`pass::together` sees to that), and all
//! of their outputs live at once. An operation that can be computed with others says so in its file, and is listed in [`extends`] and [`program`].

use super::half_scales::HalfScales;
use super::{Graph, Leaf, Op, Sample, batch_norm, batch_norm_backward, max_pool, sign};
use crate::caps::{Caps, DeviceClass};
use crate::graph::{Node, Phase, Value};
use crate::kernel::{Operand::OutputOf, Program};
use crate::tensor::{Tensor, TensorType};
use crate::variant::Offer;
use std::borrow::Cow;
use std::ops::Range;

/// Whether a node with this operation and these inputs can be computed together with the unit of nodes before it.
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

/// The nodes of a graph in units, in order.
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

/// The device as a node sees it: what was chosen for its site, and which of its inputs lie in half precision.
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
            let Op::Sign(sign) = &nodes[1].op else { unreachable!("what extends alpha") };
            op.with_sign(sign, [types(first)[0], &first.ty, &nodes[1].ty], caps)
        }
        (Op::BatchNormStats(stats), _) => {
            let Op::BatchNormCoef(coef) = &nodes[1].op else { unreachable!("what follows from statistics") };
            let running = nodes.get(2).map(|node| match &node.op {
                Op::BatchNormRunning(running) => running,
                op => unreachable!("{} does not follow from statistics", op.stem()),
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
        (op, _) => unreachable!("{} is computed alone", op.stem()),
    }
}

/// A small case of what one program computes: an operation by itself, or several together.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is a case of: the operation's stem, or how the operations are called together.
    pub name: &'static str,
    /// Operations, each with the places of its inputs among the case's inputs and, behind them, the outputs so far.
    pub nodes: Vec<(Op, Vec<usize>)>,
    /// Inputs of all of them.
    pub inputs: Vec<Tensor>,
}

impl From<Sample> for Case {
    fn from(sample: Sample) -> Self {
        let inputs = (0..sample.inputs.len()).collect();
        Self { name: sample.op.stem(), nodes: vec![(sample.op, inputs)], inputs: sample.inputs }
    }
}

impl Case {
    /// The case as a graph with the inputs "in0", "in1", …, and its nodes, which are one unit.
    ///
    /// # Panics
    /// When the shapes do not fit, or when the nodes are not computed together.
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
        assert_eq!(units(&graph).last(), Some(&unit), "{} is not computed together", self.name);
        (graph, unit)
    }

    /// The capabilities under which each of its kernels computes it, those of the preferred one first; the only ones where there is no choice.
    ///
    /// Of the class of software drivers, the preferred kernel alone: such a driver runs all of them as a device of the class of GPUs.
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

    /// The capabilities under which it is computed by each kernel that a device can run, where there is a choice.
    pub fn kernels(&self, caps: &Caps) -> Vec<(&'static str, Caps)> {
        let [(op, inputs)] = self.nodes.as_slice() else { return Vec::new() };
        let types: Vec<_> = inputs.iter().map(|&at| &self.inputs[at].ty).collect();
        let output = op.infer(&types).expect("a case fits");
        let offers = op.candidates(&types, &output, caps).into_iter();
        offers.map(|Offer { kernel, .. }| (kernel, caps.clone().choosing(op.stem(), kernel))).collect()
    }

    /// The outputs of all nodes by their twins.
    pub fn expected(&self) -> Vec<Tensor> {
        let mut values = self.inputs.clone();
        for (op, inputs) in &self.nodes {
            values.push(op.evaluate(&inputs.iter().map(|&at| &values[at]).collect::<Vec<_>>()));
        }
        values.split_off(self.inputs.len())
    }
}

/// Small cases of every operation, and of all that are computed together; with odd sizes.
pub fn cases() -> Vec<Case> {
    let alone = super::samples().into_iter().map(Case::from);
    alone
        .chain(max_pool::joint_cases())
        .chain(sign::Alpha::joint_cases())
        .chain(batch_norm::joint_cases())
        .chain(batch_norm_backward::BatchNormSums::joint_cases())
        .chain(HalfScales::joint_cases())
        .collect()
}
