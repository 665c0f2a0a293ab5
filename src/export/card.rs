//! The card of an exported network: what is known about it, for people and for programs that
//! prepare its images.

use super::fold::{Trained, fold};
use crate::error::Result;
use crate::recipe::Recipe;
use crate::train::Checkpoint;
use halfwave_infer::Network;
use std::collections::BTreeMap;

/// Name of the card's entry with the recipe, which describes the network's images.
pub const RECIPE: &str = "recipe";

/// Name of the card's entry with the largest value of the data set's pixels, such as 16 for the
/// digits: a picture's 0 to 255 becomes 0 to this number.
pub const MAX_PIXEL: &str = "max pixel";

/// Folds a checkpoint of a recipe, whose classes have these names. The network's card holds the
/// recipe, the range of pixels, the position in the run, and the program's version.
///
/// # Errors
///
/// Returns an error as [`fold`] does.
pub fn of_run(checkpoint: &Checkpoint, recipe: &Recipe, classes: &[String]) -> Result<Network> {
    let set = &recipe.data.set;
    let normalise = checkpoint.normalise(recipe)?.centred(set.source(), recipe.model.input);
    let position = &checkpoint.position;
    let facts = [
        (RECIPE, checkpoint.recipe.clone()),
        (MAX_PIXEL, set.max_pixel().to_string()),
        ("halfwave", crate::version::VERSION.to_string()),
        ("data set", set.name().to_string()),
        ("steps", position.step.to_string()),
        ("epochs", position.epoch.to_string()),
    ];
    let card: BTreeMap<_, _> = facts.into_iter().map(|(name, fact)| (name.to_string(), fact)).collect();
    let tensors = &checkpoint.tensors;
    fold(&Trained { model: &recipe.model, tensors, normalise: &normalise, classes, card: &card })
}
