//! `together`: makes nodes that can be computed together adjacent.
//!
//! A node moves forward to the earliest node that it can be computed with, as soon as all its
//! inputs exist; leaves move to directly before their first reader.
//!
//! A parameter is updated as soon as its gradient exists and its old value has no remaining reader,
//! which keeps the lifetimes of gradients short.
//!
//! Packing of parameters comes first: these launches access nothing that another launch has
//! touched, so that none of them waits (`Plan::waits`), and they may be postponed
//! (`plan::arrange`). The order is otherwise unchanged.

use crate::error::Result;
use crate::graph::{Node, Phase, Value};
use crate::ops::{Activity, Graph, Op, Role, fusion};

/// Applies the new order.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub fn together(graph: &Graph) -> Result<Graph> {
    let mut order: Vec<Value> = Vec::with_capacity(graph.nodes().len());
    let mut placed = vec![false; graph.nodes().len()];
    let packing = packing(graph);
    for value in packing.iter().copied().chain(graph.iter().map(|(value, _)| value)) {
        let node = graph.node(value);
        if placed[value.0] {
            continue;
        }
        let mut unit = vec![value];
        if !is_leaf(node) {
            for (next, node) in graph.iter().skip(value.0 + 1) {
                let is_placed = |value: Value| placed[value.0] || unit.contains(&value);
                let ready = |&input: &Value| is_placed(input) || is_leaf(graph.node(input));
                let fits = !is_placed(next) && node.inputs.iter().all(ready) && may_overwrite(graph, next, is_placed);
                if fits && fusion::extends(graph, &unit, &node.op, &node.inputs) {
                    unit.push(next);
                }
            }
        }
        let inputs = unit.iter().flat_map(|&member| &graph.node(member).inputs).copied();
        for value in inputs.filter(|&input| is_leaf(graph.node(input))).chain(unit.iter().copied()) {
            if !std::mem::replace(&mut placed[value.0], true) {
                order.push(value);
            }
        }
        update(graph, &mut order, &mut placed);
    }
    graph.reordered(&order)
}

/// Places all updates whose inputs are complete.
fn update(graph: &Graph, order: &mut Vec<Value>, placed: &mut [bool]) {
    for (value, node) in graph.iter().filter(|(_, node)| node.phase == Phase::Update && !is_leaf(node)) {
        let ready = !placed[value.0]
            && node.inputs.iter().all(|input| placed[input.0] || is_leaf(graph.node(*input)))
            && may_overwrite(graph, value, |other| placed[other.0]);
        if ready {
            let leaves = node.inputs.iter().copied().filter(|input| is_leaf(graph.node(*input)));
            for value in leaves.chain([value]) {
                if !std::mem::replace(&mut placed[value.0], true) {
                    order.push(value);
                }
            }
        }
    }
}

/// Returns the nodes that only pack parameters.
fn packing(graph: &Graph) -> Vec<Value> {
    let is_parameter =
        |node: &Node<Op>| matches!(&node.op, Op::Leaf(leaf) if leaf.role == Role::State { trained: true });
    let mut found = Vec::new();
    for (value, node) in graph.iter() {
        let known = |input: &Value| is_parameter(graph.node(*input)) || found.contains(input);
        if node.op.activity() == Some(Activity::Pack) && !node.inputs.is_empty() && node.inputs.iter().all(known) {
            found.push(value);
        }
    }
    found
}

fn is_leaf(node: &Node<Op>) -> bool {
    matches!(node.op, Op::Leaf(_))
}

/// Whether all readers of the value that a node overwrites are placed before it.
fn may_overwrite(graph: &Graph, value: Value, is_placed: impl Fn(Value) -> bool) -> bool {
    let node = graph.node(value);
    node.op.in_place().is_none_or(|index| {
        let readers = graph.iter().filter(|(_, reader)| reader.inputs.contains(&node.inputs[index]));
        readers.into_iter().all(|(reader, _)| reader == value || is_placed(reader))
    })
}
