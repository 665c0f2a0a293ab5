//! `halfwave plan`: what one training step will do, without a device.

use super::load;
use super::terminal::{grouped, print};
use halfwave::Result;
use halfwave::caps::{Caps, LaunchShape};
use halfwave::model::Model;
use halfwave::recipe::Recipe;
use halfwave::train::{parameters, session};

/// Show what a training step does: kernels, buffers, memory, and what the same step would take in floats.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  halfwave plan\n  halfwave plan vgg-small --batch 32 --shape registers")]
pub(super) struct PlanArgs {
    /// A recipe's file or the name of a built-in one [default: digits]
    recipe: Option<String>,
    /// Images in a step, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// How heavy kernels are launched: "tiled" suits GPUs, "registers" software adapters
    #[arg(long, value_enum, default_value = "tiled")]
    shape: Shape,
}

/// A launch shape as it is typed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Shape {
    Tiled,
    Registers,
}

impl From<Shape> for LaunchShape {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Tiled => Self::Tiled,
            Shape::Registers => Self::Registers,
        }
    }
}

pub(super) fn plan(args: &PlanArgs) -> Result<()> {
    let (recipe, name) = load::recipe(args.recipe.as_deref())?;
    let batch = args.batch.map_or(recipe.train.batch, |batch| batch as usize);
    let plan = session::training_plan(&recipe, batch, &Caps::baseline(args.shape.into()))?;
    let about = format!("{}{}", describe(&recipe, &name)?, unpacked(&recipe.model));
    print(&format!("{about}\nbatch of {batch} · plan {:016x}\n\n{plan}", plan.hash()))
}

/// A line about layers whose packed weights read floats, if there are any.
fn unpacked(model: &Model) -> String {
    let layers = model.layers.iter().enumerate().filter(|(index, _)| model.unpacks(*index));
    let names: Vec<_> = layers.map(|(_, layer)| layer.name.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("\nunpacked, for they read floats, in which no bits can be counted: {}", names.join(", ")),
    }
}

/// A recipe's model in a line: `digits: 12 layers, 25,754 weights and biases (25,882 parameters with those of other layers), 0.6 million multiply-adds an image, 98 % of them with 1-bit weights`.
pub(super) fn describe(recipe: &Recipe, name: &str) -> Result<String> {
    let model = &recipe.model;
    let (weights, multiply_adds) = (model.weights_len()?, model.multiply_adds()?);
    let share = model.binary_multiply_adds()? as f64 / multiply_adds.max(1) as f64;
    let binary =
        if share > 0.0 { format!(", {:.0} % of them with 1-bit weights", 100.0 * share) } else { String::new() };
    let parameters = parameters::trained_len(&parameters::of(model)?);
    let others = if parameters > weights {
        format!(" ({} parameters with those of other layers)", grouped(parameters))
    } else {
        String::new()
    };
    let millions = multiply_adds as f64 / 1e6;
    Ok(format!(
        "{name}: {} layers, {} weights and biases{others}, {millions:.1} million multiply-adds an image{binary}",
        model.layers.len(),
        grouped(weights)
    ))
}
