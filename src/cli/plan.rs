//! `halfwave plan`: what one training step will do, without a device or for one of this machine.

use super::device::{self, Opened};
use super::load;
use super::step::{self, StepArgs};
use super::terminal::{bytes, grouped, print};
use clap::builder::NonEmptyStringValueParser;
use halfwave::Result;
use halfwave::caps::{Caps, DeviceClass};
use halfwave::model::{Model, trained_len};
use halfwave::plan::{Plan, PlanNode};
use halfwave::recipe::Recipe;
use halfwave::train::session;

/// Show what a training step does: kernels, buffers, memory, and what the same step would take in floats.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlanArgs {
    /// A recipe's file or the name of a built-in one [default: digits]
    recipe: Option<String>,
    #[command(flatten)]
    step: StepArgs,
    /// The kind of device that the kernels are chosen for, with WebGPU's default limits
    #[arg(long, value_enum, default_value = "gpu", conflicts_with = "adapter")]
    device_class: Class,
    /// Show the plan for an adapter of this machine, or "cpu", with its limits and the kernels that `halfwave tune` chose
    #[arg(long, value_name = "NAME|INDEX|cpu", value_parser = NonEmptyStringValueParser::new())]
    adapter: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  halfwave plan
  halfwave plan vgg-small --batch 32 --device-class software
  halfwave plan vgg-small --batch 128 --memory low --precision mixed
  halfwave plan vgg-small --batch 128 --accumulate 4
  halfwave plan vgg-small --adapter 0         as it runs on this machine";

/// A class of devices as it is typed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Class {
    /// GPUs
    Gpu,
    /// Drivers that compute on the CPU
    Software,
}

impl From<Class> for DeviceClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Gpu => Self::Gpu,
            Class::Software => Self::Software,
        }
    }
}

pub(super) fn plan(args: &PlanArgs) -> Result<()> {
    let (mut recipe, name) = load::recipe(args.recipe.as_deref())?;
    args.step.apply(&mut recipe)?;
    let (caps, of) = match &args.adapter {
        Some(wanted) => {
            let Opened { backend, device } = device::open(Some(wanted))?;
            (backend.caps().clone(), format!("for {device}"))
        }
        None => {
            let class = DeviceClass::from(args.device_class);
            let of = if class == DeviceClass::Gpu { "GPUs" } else { "software drivers" };
            (
                Caps::unlimited(class),
                format!("for {of} with WebGPU's default limits (--adapter takes those of an adapter)"),
            )
        }
    };
    let plans = session::step_plans(&recipe, recipe.train.batch, &caps)?;
    let plan = &plans[0];
    let about = format!("{}{}", describe(&recipe, &name)?, unpacked(&recipe.model));
    let limit = limit(plan).map_or(String::new(), |limit| format!("\n{limit}"));
    let head = format!("{} · plan {:016x} · {of}{limit}", step::describe(&recipe.train), plan.hash());
    let tables = match &plans[..] {
        [micro_batch, update] => format!(
            "each micro-batch\n\n{}\nthe update after the last one\n\n{}\nBoth plans share state and transient buffers: they take {} together.\n",
            marked(micro_batch, &caps),
            marked(update, &caps),
            bytes(Plan::peak_of([micro_batch, update]))
        ),
        _ => marked(plan, &caps),
    };
    print(&format!("{about}\n{head}\n\n{tables}"))
}

/// The plan as text, with "tuned" behind the launches whose kernels were chosen by measurement.
fn marked(plan: &Plan, caps: &Caps) -> String {
    let tuned = |node: &&PlanNode| {
        let inputs: Vec<_> = node.inputs.iter().map(|place| &place.ty).collect();
        let choice = caps.choices.get(&node.op.site(&inputs, &node.output.ty));
        choice.zip(node.offer.as_ref()).is_some_and(|(choice, offer)| choice.kernel == offer.kernel)
    };
    let steps: Vec<_> = plan.nodes.iter().filter(tuned).map(|node| node.steps.start.to_string()).collect();
    let text = plan.to_string();
    // Other tables follow behind an empty line.
    let launches = text.find("\n\n").unwrap_or(text.len());
    let mark = |line: &str| {
        let number = line.split(' ').next().unwrap_or_default();
        if steps.iter().any(|step| step == number) { format!("{line}  tuned\n") } else { format!("{line}\n") }
    };
    text[..launches].lines().map(mark).collect::<String>() + text[launches..].strip_prefix('\n').unwrap_or_default()
}

/// What a device must bind at once, where that is more than every device does.
fn limit(plan: &Plan) -> Option<String> {
    let baseline = Caps::baseline(plan.class).max_binding_bytes;
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
        format!(
            "more than any adapter has ({}): use a smaller batch, or accumulate gradients",
            bytes(MOST_BINDING_BYTES)
        )
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
