//! `memory = "low"`: less memory, and the same bits.

use super::{built_in, cpu, gpu, outcome, small};
use crate::common;
use halfwave::backend::Backend;
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::{Phase, Typed};
use halfwave::ops::Op;
use halfwave::plan::Plan;
use halfwave::recipe::{BUILTIN, Memory, Recipe};
use halfwave::train::session::training_plan;

pub(super) fn low(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.train.memory = Memory::Low;
    recipe
}

fn plan(recipe: &Recipe, batch: usize) -> Plan {
    training_plan(recipe, batch, &Caps::unlimited(DeviceClass::Gpu)).unwrap()
}

/// Returns the values of the forward pass that the backward pass recomputes, by layer and
/// operation.
fn again(plan: &Plan) -> Vec<String> {
    let of = |phase: Phase| plan.nodes.iter().filter(move |node| node.phase == phase);
    let forward: Vec<_> = of(Phase::Forward).map(|node| (&node.layer, node.op.stem())).collect();
    let twice = of(Phase::Backward).filter(|node| forward.contains(&(&node.layer, node.op.stem())));
    twice.map(|node| format!("{} {}", node.layer, node.op.stem())).collect()
}

fn overwritten(plan: &Plan) -> usize {
    plan.nodes.iter().filter(|node| matches!(node.op, Op::BatchNormDx(_)) && node.op.in_place().is_some()).count()
}

/// Counted, not measured: the bytes in the buffers of a plan.
#[test]
fn vgg_small_takes_less_than_half() {
    let recipe = built_in("vgg-small");
    let [normal, low] = [recipe.clone(), low(&recipe)].map(|recipe| plan(&recipe, 128));
    assert!(again(&normal).is_empty() && overwritten(&normal) == 0, "{:?}", again(&normal));
    assert_eq!(again(&low), ["input gather", "conv1 conv"]);
    assert_eq!(overwritten(&low), 3);
    let mib = |plan: &Plan| [plan.memory.transient, plan.memory.peak].map(|bytes| bytes >> 20);
    assert_eq!([mib(&normal), mib(&low)], [[269, 305], [132, 168]]);
    // PyTorch needs 603 MB for this step in f32.
    assert_eq!(normal.memory.peak, 320_167_120);
    assert!(normal.memory.peak * 100 <= 603_000_000 * 55, "{} bytes", normal.memory.peak);
    assert!(low.memory.peak * 10 <= 603_000_000 * 3, "{} bytes", low.memory.peak);
    // Most of it is for two float tensors of the first layers: the gradients before and after a
    // convolution, or a batch-norm's input and gradient.
    assert_eq!((128 * 32 * 32 * 128 * 4 * 2) >> 20, 128);
    assert_eq!([normal.memory.state, normal.memory.ports], [low.memory.state, low.memory.ports]);
}

/// Sums of packed convolutions are recomputed, too, if they are part of the peak; and no plan needs
/// more memory than without.
#[test]
fn sums_are_computed_again_where_they_stand_at_the_peak() {
    let built_in = BUILTIN.map(|(name, _)| (name.to_string(), built_in(name)));
    let mut sums = Vec::new();
    for (name, recipe) in small().into_iter().chain(built_in) {
        let [normal, low] = [recipe.clone(), low(&recipe)].map(|recipe| plan(&recipe, recipe.train.batch));
        assert!(low.memory.peak <= normal.memory.peak, "{name}: {} and {}", low.memory.peak, normal.memory.peak);
        println!("{name}: {} → {}: {:?}", normal.memory.peak, low.memory.peak, again(&low));
        if again(&low).iter().any(|what| what.ends_with(" bconv")) {
            sums.push(name);
        }
    }
    assert!(!sums.is_empty(), "nowhere are sums computed again");
}

fn differs(name: &str, recipe: &Recipe, backend: impl Fn() -> Box<dyn Backend>) {
    let [normal, low] = [recipe.clone(), low(recipe)].map(|recipe| outcome(&recipe, 4, backend()));
    assert_eq!(normal.losses, low.losses, "{name}");
    assert_eq!(normal.tensors.keys().collect::<Vec<_>>(), low.tensors.keys().collect::<Vec<_>>());
    for (tensor, bits) in &normal.tensors {
        assert!(*bits == low.tensors[tensor], "{name}: {tensor} differs");
    }
}

#[test]
fn every_bit_is_the_same_on_the_cpu() {
    let mut computed_again = 0;
    for (name, recipe) in small() {
        let plan = plan(&low(&recipe), recipe.train.batch);
        computed_again += again(&plan).len();
        differs(&name, &recipe, cpu);
    }
    differs("digits", &Recipe::digits(), cpu);
    // To ensure that the test covers something.
    assert!(computed_again > 20, "{computed_again} values were computed again");
}

#[test]
fn every_bit_is_the_same_on_each_driver() {
    common::on_each_driver("low::every_bit_is_the_same_on_each_driver", || {
        if gpu().is_none() {
            return;
        }
        let small = small();
        differs("digits", &Recipe::digits(), || gpu().unwrap());
        for name in ["structure", "hwgq-uniform", "shortcut", "abc", "dropout", "fixed-stochastic", "concat-codes"] {
            differs(name, &small[name], || gpu().unwrap());
        }
    });
}
