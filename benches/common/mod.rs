//! Common parts of the benchmarks of a training step.

use halfwave::Result;
use halfwave::backend::{Backend, PlanId};
use halfwave::ops::sample::Noise;
use halfwave::plan::Plan;
use halfwave::recipe::Recipe;
use halfwave::tensor::Tensor;

/// Loads a training plan of a recipe, for `batch` images that are uploaded with each step, with
/// initial values and a batch of noise.
pub(crate) fn load(backend: &mut dyn Backend, plan: Plan, recipe: &Recipe, batch: usize, lr: f32) -> Result<PlanId> {
    let id = pollster::block_on(backend.load(plan))?;
    for parameter in recipe.model.parameters()? {
        backend.write(id, &parameter.name, &parameter.start(0).words);
    }
    let mut noise = Noise::new(1);
    for name in ["input.table", "store/0", "index"] {
        let ty = backend.plan(id).port(name).expect("a step has images").place.ty.clone();
        let words = match name {
            "input.table" => noise.floats(&ty.shape).words,
            "index" => noise.words(&ty.shape, batch as u32).words,
            _ => noise.words(&ty.shape, u32::MAX).words,
        };
        backend.write(id, name, &words);
    }
    backend.write(id, "labels", &noise.words(&[batch], recipe.model.classes as u32).words);
    backend.write(id, "step", &[0; 4]);
    backend.write(id, "rates", &Tensor::from_f32(&[4], &recipe.train.optimizer.rates(lr, 1)).words);
    Ok(id)
}
