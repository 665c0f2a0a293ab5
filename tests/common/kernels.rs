//! Every kernel that halfwave runs: those of all samples, of all built-in recipes' plans for training and inference in both launch shapes, and the probes.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use halfwave::caps::{Caps, LaunchShape};
use halfwave::kernel::Kernel;
use halfwave::ops;
use halfwave::pass;
use halfwave::plan::lower;
use halfwave::profile::probes::Probe;
use halfwave::recipe::{BUILTIN, Recipe};
use halfwave::train::session::training_plan;
use std::collections::HashSet;

pub const SHAPES: [LaunchShape; 2] = [LaunchShape::Registers, LaunchShape::Tiled];

/// Every kernel once.
pub fn all() -> Vec<Kernel> {
    let (mut known, mut all) = (HashSet::new(), Vec::new());
    let mut note = |kernel: &Kernel| {
        if known.insert(kernel.clone()) {
            all.push(kernel.clone());
        }
    };
    for case in ops::joint::cases() {
        let (graph, unit) = case.graph();
        for (_, caps) in SHAPES.into_iter().flat_map(|shape| case.variants(&Caps::baseline(shape))) {
            let program = ops::joint::program(&graph, unit.clone(), &caps);
            program.launches.iter().for_each(|launch| note(&launch.kernel));
        }
    }
    for (name, text) in BUILTIN {
        let recipe = Recipe::parse(text, name).unwrap();
        for caps in SHAPES.map(Caps::baseline) {
            let training = training_plan(&recipe, recipe.train.batch, &caps).unwrap();
            let inference = pass::inference(&recipe.model, recipe.train.batch).unwrap();
            training.kernels.iter().for_each(&mut note);
            lower(&inference, &caps).unwrap().kernels.iter().for_each(&mut note);
        }
    }
    Probe::ALL.iter().for_each(|probe| note(&probe.kernel()));
    all
}
