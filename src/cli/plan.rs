//! `halfwave plan`: what one training step will do, without a device.

use super::load;
use super::terminal::{bytes, grouped, print};
use halfwave::Result;
use halfwave::caps::{Caps, LaunchShape};
use halfwave::model::{Model, trained_len};
use halfwave::plan::{Plan, PlanNode};
use halfwave::recipe::Recipe;
use halfwave::train::session;

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
    let plan = session::training_plan(&recipe, batch, &Caps::unlimited(args.shape.into()))?;
    let about = format!("{}{}", describe(&recipe, &name)?, unpacked(&recipe.model));
    let limit = limit(&plan).map_or(String::new(), |limit| format!("\n{limit}"));
    print(&format!("{about}\nbatch of {batch} · plan {:016x}{limit}\n\n{plan}", plan.hash()))
}

/// What a device must bind at once, where that is more than every device does.
fn limit(plan: &Plan) -> Option<String> {
    let baseline = Caps::baseline(plan.shape).max_binding_bytes;
    let largest = |node: &PlanNode| {
        let bindings = plan.steps[node.steps.clone()].iter().flat_map(|step| &step.bindings);
        bindings.map(|&(_, words)| words as u64 * 4).max().unwrap_or(0)
    };
    // Of equal ones the first.
    let node = plan.nodes.iter().rev().max_by_key(|node| largest(node))?;
    let needed = largest(node);
    if needed <= baseline {
        return None;
    }
    let [needs, default] = [needed, baseline].map(bytes);
    let advice = if needed > MOST_BINDING_BYTES {
        format!("more than any adapter has ({}): use a smaller batch", bytes(MOST_BINDING_BYTES))
    } else {
        format!("WebGPU's default is {default}; `halfwave devices` shows yours, and the CPU backend has none")
    };
    Some(format!("needs a storage binding of {needs} ({} of layer \"{}\"); {advice}", node.op.stem(), node.layer))
}

/// Vulkan states the limit in 32 bits, and kernels count elements in them.
const MOST_BINDING_BYTES: u64 = 4 << 30;

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
    let parameters = trained_len(&model.parameters()?);
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
