//! All kernels that halfwave runs: those of all samples; of the plans of all recipes (built-in ones
//! and the reference tests') for training, inference and evaluation for both device classes; and
//! the probes.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use halfwave::caps::{Caps, Coop, DeviceClass};
use halfwave::kernel::Kernel;
use halfwave::ops;
use halfwave::pass;
use halfwave::plan::lower;
use halfwave::profile::probes::Probe;
use halfwave::recipe::{BUILTIN, Recipe};
use halfwave::train::session::training_plan;
use std::collections::HashSet;

pub const CLASSES: [DeviceClass; 2] = [DeviceClass::Software, DeviceClass::Gpu];

/// GPUs with cooperative matrices like those of NVIDIA, AMD, Apple and lavapipe.
pub fn coop_caps() -> [Caps; 4] {
    let sizes = [(16, 32), (16, 64), (8, 32), (8, 8)];
    sizes.map(|(size, subgroup)| Caps {
        coop: Some(Coop { size, subgroup, emulated: false }),
        f16: true,
        workgroup_bytes: 32 << 10,
        ..Caps::baseline(DeviceClass::Gpu)
    })
}

/// Returns every kernel once.
pub fn all() -> Vec<Kernel> {
    let (mut known, mut all) = (HashSet::new(), Vec::new());
    let mut note = |kernel: &Kernel| {
        if known.insert(kernel.clone()) {
            all.push(kernel.clone());
        }
    };
    for case in ops::fusion::cases() {
        let (graph, unit) = case.graph();
        let devices = CLASSES.into_iter().map(Caps::baseline).chain(coop_caps());
        for (_, caps) in devices.flat_map(|caps| case.variants(&caps)) {
            let program = ops::fusion::program(&graph, unit.clone(), &caps);
            program.launches.iter().for_each(|launch| note(&launch.kernel));
        }
    }
    let references = std::fs::read_dir("tests/reference/recipes").unwrap().map(|entry| entry.unwrap().path());
    let references = references.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()));
    let built_in = BUILTIN.map(|(name, text)| (name.to_string(), text.to_string()));
    for (name, text) in built_in.into_iter().chain(references) {
        let recipe = Recipe::parse(&text, &name).unwrap();
        for caps in CLASSES.map(Caps::baseline) {
            let training = training_plan(&recipe, recipe.train.batch, &caps).unwrap();
            let (model, batch) = (&recipe.model, recipe.train.batch);
            let inference = pass::inference(model, batch).unwrap();
            let evaluation = pass::evaluation(model, batch, recipe.data.mean_image, &recipe.train.loss).unwrap();
            training.kernels.iter().for_each(&mut note);
            for graph in [inference, evaluation] {
                lower(&graph, &caps).unwrap().kernels.iter().for_each(&mut note);
            }
        }
    }
    // Values in half precision: with float kernels, and with matrices, which multiply them without
    // conversion.
    for name in ["digits", "vgg-small", "resnet20"] {
        let mut recipe = Recipe::parse(halfwave::recipe::builtin(name).unwrap(), name).unwrap();
        recipe.train.precision = pass::Precision::Mixed;
        for caps in CLASSES.into_iter().map(Caps::baseline).chain(coop_caps()) {
            training_plan(&recipe, 16, &caps).unwrap().kernels.iter().for_each(&mut note);
        }
    }
    Probe::ALL.iter().for_each(|probe| note(&probe.kernel()));
    all
}
