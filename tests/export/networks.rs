//! Networks with random weights and statistics.

use halfwave::data::Normalise;
use halfwave::export::{Trained, fold};
use halfwave::random::Random;
use halfwave::recipe::{Recipe, builtin};
use halfwave::train::HostTensor;
use halfwave_infer::Network;
use std::collections::BTreeMap;

/// A recipe with parameters.
pub(crate) struct Sample {
    pub(crate) recipe: Recipe,
    pub(crate) tensors: BTreeMap<String, HostTensor>,
    pub(crate) normalise: Normalise,
}

impl Sample {
    /// A built-in recipe with initial weights, and batch-norms of every direction: some channels
    /// fall, some are constant.
    pub(crate) fn noise(name: &str) -> Self {
        let mut recipe = Recipe::parse(builtin(name).unwrap(), name).unwrap();
        recipe.train.batch = 2;
        let mut tensors = BTreeMap::new();
        for parameter in recipe.model.parameters().unwrap() {
            for (name, mut tensor) in parameter.to_host(parameter.start(7).words) {
                let mut random = Random::new(7, &name);
                let mut uniform = |low: f32, high: f32| low + (high - low) * random.unit() as f32;
                let batch_norm = matches!(
                    recipe.model.layers.iter().find(|layer| layer.name == parameter.layer).unwrap().kind,
                    halfwave::model::LayerKind::BatchNorm(_)
                );
                for (at, value) in tensor.values.iter_mut().enumerate() {
                    match name.rsplit('.').next().unwrap() {
                        "running_mean" => *value = uniform(-0.5, 0.5),
                        "running_var" => *value = uniform(0.5, 1.5),
                        "weight" if batch_norm && at % 7 == 3 => *value = 0.0,
                        "weight" if batch_norm => *value = uniform(-0.5, 1.5),
                        "bias" => *value = uniform(-0.3, 0.3),
                        _ => {}
                    }
                }
                tensors.insert(name, tensor);
            }
        }
        let normalise = Normalise::new(&recipe.data).centred(recipe.data.set.source(), recipe.model.input);
        Self { recipe, tensors, normalise }
    }

    /// The folded network.
    pub(crate) fn fold(&self) -> halfwave::Result<Network> {
        let Self { recipe, tensors, normalise } = self;
        let classes: Vec<_> = (0..recipe.model.classes).map(|class| format!("class {class}")).collect();
        fold(&Trained { model: &recipe.model, tensors, normalise, classes: &classes, card: &BTreeMap::new() })
    }

    /// Random images with smooth areas, so that pools have ties.
    pub(crate) fn images(&self, count: usize) -> Vec<u8> {
        let mut random = Random::new(9, "images");
        let len = count * self.recipe.model.input.iter().product::<usize>();
        (0..len).map(|at| if at / 5 % 4 == 0 { 16 } else { random.word() as u8 }).collect()
    }
}
