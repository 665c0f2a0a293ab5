//! Ranks on GPUs train what ranks on the CPU backend train.

use crate::{common, on_devices, recipe_of};
use halfwave::backend::{Backend, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::recipe::{Exchange, Recipe};
use halfwave::train::Checkpoint;
use pollster::block_on;

/// The state of two ranks after a step: the velocities are the gradients.
fn after_a_step(recipe: &Recipe, open: &(dyn Fn() -> Box<dyn Backend> + Sync)) -> Checkpoint {
    let mut all = on_devices(open, recipe, 2, |_, mut trainer, _, _| {
        block_on(trainer.advance(1)).unwrap();
        block_on(trainer.flush()).unwrap();
        block_on(trainer.checkpoint()).unwrap()
    });
    all.swap_remove(0)
}

/// In several buckets, so that a device compresses gradients while it computes others.
#[test]
fn ranks_on_each_driver_exchange_what_those_of_the_cpu_do() {
    common::on_each_driver("devices::ranks_on_each_driver_exchange_what_those_of_the_cpu_do", || {
        let hidden = [256, 512].map(|units| format!("name = \"hidden{units}\"\nkind = \"linear\"\nunits = {units}"));
        let mut wide = recipe_of(true, &hidden, "");
        let mut wrong = Vec::new();
        for gradients in [Exchange::F16, Exchange::Int8] {
            let Some(found) = common::adapter() else { return };
            wide.train.ranks.gradients = gradients;
            let open = || Box::new(block_on(GpuBackend::open(found.clone(), None)).unwrap()) as Box<dyn Backend>;
            let gpu = after_a_step(&wide, &open).tensors;
            let cpu = after_a_step(&wide, &|| Box::new(CpuBackend::new())).tensors;
            for (name, expected) in cpu.iter().filter(|(name, _)| name.starts_with("velocity/")) {
                let norm =
                    |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
                let pairs = expected.values.iter().zip(&gpu[name].values);
                let error = norm(&mut pairs.map(|(a, b)| a - b)) / norm(&mut expected.values.iter().copied());
                println!("{gradients:?} {name}: {error:.1e}");
                // Float sums differ in their last bits, which a few stochastic roundings make visible.
                if error > if gradients == Exchange::Int8 { 5e-3 } else { 1e-3 } {
                    wrong.push((gradients, name.clone(), error));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    });
}
