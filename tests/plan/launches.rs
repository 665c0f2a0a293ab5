//! How many launches a step takes, and how many of them wait for an earlier one.

use super::{Caps, LaunchShape};
use halfwave::recipe::{Recipe, builtin};
use halfwave::train::session::training_plan;

/// Recipe, launches of a training step with its own batch, and those that wait.
const STEPS: [(&str, usize, usize); 4] =
    [("digits", 54, 48), ("vgg-small", 88, 79), ("resnet20", 322, 318), ("resnet18", 262, 240)];

#[test]
fn steps_take_as_many_launches_as_known() {
    let counted = STEPS.map(|(name, ..)| {
        let recipe = Recipe::parse(builtin(name).unwrap(), name).unwrap();
        let plan = training_plan(&recipe, recipe.train.batch, &Caps::baseline(LaunchShape::Tiled)).unwrap();
        (name, plan.steps.len(), plan.waits())
    });
    assert_eq!(counted, STEPS);
}
