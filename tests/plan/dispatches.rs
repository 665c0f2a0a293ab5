//! Nodes that share a dispatch: what they may have in common.

use super::random_graph::random_graph;
use super::{RANDOM_GRAPHS, digits, digits_hwgq, residual, training};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::Value;
use halfwave::ops::{Graph, fusion};
use halfwave::plan::{Plan, PlanNode, arrange, lower};

/// Nodes computed by one dispatch run at the same time, unless they read each other's values or are
/// one unit; they may not touch what others write.
fn check_shared(graph: &Graph, plan: &Plan) -> usize {
    let mut shared = 0;
    let units = fusion::units(graph);
    let unit = |node: &PlanNode| units.iter().position(|unit| unit.contains(&node.value.0));
    for step in 0..plan.steps.len() {
        let nodes: Vec<_> = plan.nodes.iter().filter(|node| node.steps.contains(&step)).collect();
        // By node, the first one of its chain.
        let mut chain: Vec<usize> = (0..nodes.len()).collect();
        for (b, node) in nodes.iter().enumerate() {
            let inputs = &graph.node(node.value).inputs;
            for a in (0..b).filter(|&a| inputs.contains(&nodes[a].value) || unit(nodes[a]) == unit(node)) {
                let (from, to) = (chain[b].max(chain[a]), chain[b].min(chain[a]));
                chain.iter_mut().filter(|first| **first == from).for_each(|first| *first = to);
            }
        }
        let in_register = |value: Value| plan.nodes[value.0].in_register;
        let touched = |index: usize| {
            let inputs = graph.node(nodes[index].value).inputs.iter().filter(|input| !in_register(**input));
            let output = Some(nodes[index].value).filter(|value| !in_register(*value));
            inputs.chain(&output).map(|value| plan.nodes[value.0].output.slot).collect::<Vec<_>>()
        };
        for writer in (0..nodes.len()).filter(|&index| !nodes[index].in_register) {
            let slot = nodes[writer].output.slot;
            for other in (0..nodes.len()).filter(|&other| chain[other] != chain[writer]) {
                assert!(!touched(other).contains(&slot), "step {step}: {:?} and {:?}", nodes[writer], nodes[other]);
            }
        }
        shared += nodes.len() - 1;
    }
    for node in plan.nodes.iter().filter(|node| node.in_register) {
        let readers = plan.nodes.iter().filter(|other| graph.node(other.value).inputs.contains(&node.value));
        let readers: Vec<_> = readers.map(|reader| reader.steps.clone()).collect();
        // Its own dispatches are shared with them, or come before: the last one was postponed.
        for steps in &readers {
            let own = node.steps == *steps || node.steps.end <= steps.start;
            assert!(*steps == readers[0] && steps.len() == 1 && own, "{node:?} is read by another dispatch");
        }
        assert!(graph.outputs.iter().all(|(_, output)| *output != node.value), "{node:?} is an output");
    }
    shared
}

#[test]
fn nodes_of_one_dispatch_do_not_meet() {
    let caps = Caps::baseline(DeviceClass::Gpu);
    let shared = |graph: &Graph| {
        let arranged = arrange(graph, &caps).unwrap();
        arranged.verify();
        let [before, after] = [graph, &arranged].map(|graph| lower(graph, &caps).unwrap());
        assert!(
            after.steps.len() <= before.steps.len(),
            "{} launches became {}",
            before.steps.len(),
            after.steps.len()
        );
        check_shared(graph, &before) + check_shared(&arranged, &after)
    };
    let random: usize = (0..RANDOM_GRAPHS).map(|number| shared(&random_graph(number))).sum();
    println!("{random} nodes of random graphs have their dispatch in common with one before");
    assert!(random > RANDOM_GRAPHS as usize, "few launches are merged: the check covers nothing");
    for model in [digits(), digits_hwgq(), residual()] {
        assert!(shared(&training(&model, 8, true).unwrap()) > 0);
    }
}
