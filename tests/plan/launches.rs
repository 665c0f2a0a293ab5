//! The number of launches of a step, and how many of them wait for an earlier one.

use super::{Caps, DeviceClass};
use halfwave::recipe::{Recipe, builtin};
use halfwave::train::session::training_plan;

/// Recipe, launches of a training step with its batch size, and how many of them wait.
const STEPS: [(&str, usize, usize); 4] =
    [("digits", 36, 34), ("vgg-small", 58, 56), ("resnet20", 254, 250), ("resnet18", 184, 182)];

#[test]
fn steps_take_as_many_launches_as_known() {
    let counted = STEPS.map(|(name, ..)| {
        let recipe = Recipe::parse(builtin(name).unwrap(), name).unwrap();
        let plan = training_plan(&recipe, recipe.train.batch, &Caps::baseline(DeviceClass::Gpu)).unwrap();
        (name, plan.steps.len(), plan.waits())
    });
    assert_eq!(counted, STEPS);
}

/// More storage buffers reduce the number; with none, no launches are merged.
#[test]
fn more_buffers_take_fewer_launches() {
    let recipe = Recipe::parse(builtin("resnet20").unwrap(), "resnet20").unwrap();
    let counts = [0, 8, 10, 24].map(|max_buffers| {
        let caps = Caps { max_buffers, ..Caps::baseline(DeviceClass::Gpu) };
        training_plan(&recipe, recipe.train.batch, &caps).unwrap().steps.len()
    });
    assert_eq!(counts, [405, 254, 249, 249]);
}
