//! `halfwave plan`: shows what a training step does, without a device or for an adapter of this
//! machine.

use super::device::{self, Opened};
use super::load;
use super::output::JsonArgs;
use super::set::SetArgs;
use super::step::{self, StepArgs};
use super::terminal::{bytes, grouped, width};
use clap::builder::NonEmptyStringValueParser;
use halfwave::Result;
use halfwave::caps::{Caps, DeviceClass};
use halfwave::kernel::Cost;
use halfwave::model::{Model, ModelSummary};
use halfwave::plan::{Memory, Plan, PlanNode};
use halfwave::recipe::Recipe;

use halfwave::train::session;
use serde::Serialize;

/// Show what a training step does: kernels, buffers, memory, and the memory that the same step
/// would need in f32.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlanArgs {
    /// A recipe file, the name of a built-in recipe, or - for standard input [default: digits]
    recipe: Option<String>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    step: StepArgs,
    /// Kind of device to choose kernels for, with WebGPU's default limits
    #[arg(long, value_enum, default_value = "gpu", conflicts_with = "adapter")]
    device_class: Class,
    /// Show the plan for an adapter of this machine, or "cpu", with its limits and the kernels
    /// chosen by `halfwave tune`
    #[arg(long, value_name = "NAME|INDEX|cpu", value_parser = NonEmptyStringValueParser::new())]
    adapter: Option<String>,
    #[command(flatten)]
    json: JsonArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    recipe: &'a str,
    batch: usize,
    accumulate: usize,
    precision: &'static str,
    memory: &'static str,
    device_class: DeviceClass,
    /// One plan, or with micro-batches theirs and that of the update.
    plans: Vec<PlanOutput<'a>>,
    /// Memory of all plans together.
    peak_bytes: u64,
}

#[derive(Serialize)]
struct PlanOutput<'a> {
    hash: String,
    launches: Vec<Launch<'a>>,
    /// Launches that wait for earlier ones.
    waits: usize,
    /// Bytes that all launches read and write.
    moved_bytes: u64,
    memory: &'a Memory,
}

#[derive(Serialize)]
struct Launch<'a> {
    layers: String,
    kernel: &'a str,
    workgroups: [u32; 2],
    #[serde(flatten)]
    cost: &'a Cost,
}

impl<'a> PlanOutput<'a> {
    fn new(plan: &'a Plan) -> Self {
        let launch = |(at, step): (usize, &'a halfwave::plan::Step)| Launch {
            layers: plan.layers(at),
            kernel: &plan.kernels[step.kernel].label,
            workgroups: step.groups,
            cost: &step.cost,
        };
        Self {
            hash: format!("{:016x}", plan.hash()),
            launches: plan.steps.iter().enumerate().map(launch).collect(),
            waits: plan.waits(),
            moved_bytes: plan.steps.iter().map(|step| step.cost.bytes).sum(),
            memory: &plan.memory,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  halfwave plan
  halfwave plan vgg-small --batch 32 --device-class software
  halfwave plan vgg-small --batch 128 --memory low --precision mixed
  halfwave plan vgg-small --batch 128 --accumulate 4
  halfwave plan vgg-small --adapter 0         as it runs on this machine";

/// A device class as an argument.
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
    args.json.begin();
    let (mut recipe, name) = load::recipe(args.recipe.as_deref(), &args.set)?;
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
                format!("for {of} with WebGPU's default limits (use --adapter for those of an adapter)"),
            )
        }
    };
    let plans = session::step_plans(&recipe, recipe.train.batch, &caps)?;
    let plan = &plans[0];
    let about = format!("{}\n{}", describe(&recipe, &name)?, unpacked(&recipe.model));
    let limit = limit(plan).map_or(String::new(), |limit| format!("\n{limit}"));
    let head = format!("{} · plan {:016x} · {of}{limit}", step::describe(&recipe.train, 0), plan.hash());
    let tables = match &plans[..] {
        [micro_batch, update] => format!(
            "each micro-batch\n\n{}\nthe update after the last one\n\n{}\nBoth plans share state and transient buffers: they take {} together.\n",
            marked(micro_batch, &caps),
            marked(update, &caps),
            bytes(Plan::peak_of([micro_batch, update]))
        ),
        _ => marked(plan, &caps),
    };
    let train = &recipe.train;
    let output = Output {
        recipe: &name,
        batch: train.batch,
        accumulate: train.accumulate,
        precision: train.precision.name(),
        memory: train.memory.name(),
        device_class: plan.class,
        plans: plans.iter().map(PlanOutput::new).collect(),
        peak_bytes: Plan::peak_of(&plans),
    };
    args.json.print(&output, || format!("{about}{head}\n\n{tables}"))
}

/// Formats the plan, with "tuned" behind launches whose kernels were chosen by measurement.
fn marked(plan: &Plan, caps: &Caps) -> String {
    plan.print(width(), |node| {
        let inputs: Vec<_> = node.inputs.iter().map(|place| &place.ty).collect();
        let choice = caps.choices.get(&node.op.site(&inputs, &node.output.ty));
        let tuned = choice.zip(node.offer.as_ref()).is_some_and(|(choice, offer)| choice.kernel == offer.kernel);
        if tuned { "tuned" } else { "" }
    })
}

/// Returns a line about the storage binding size that the plan needs, if it exceeds WebGPU's
/// default limit.
fn limit(plan: &Plan) -> Option<String> {
    let baseline = Caps::baseline(plan.class).max_binding_bytes;
    let largest = |node: &PlanNode| {
        let bindings = plan.steps[node.steps.clone()].iter().flat_map(|step| &step.bindings);
        bindings.map(|&(_, words)| words as u64 * 4).max().unwrap_or(0)
    };
    // The first of several maxima.
    let node = plan.nodes.iter().rev().max_by_key(|node| largest(node))?;
    let needed = largest(node);
    if needed <= baseline {
        return None;
    }
    let [needs, default] = [needed, baseline].map(bytes);
    let advice = if needed > MOST_BINDING_BYTES {
        format!(
            "more than any adapter supports ({}): use a smaller batch, or accumulate gradients",
            bytes(MOST_BINDING_BYTES)
        )
    } else {
        format!(
            "WebGPU's default is {default}; `halfwave devices` shows the limits of your adapters, and the CPU backend has none"
        )
    };
    Some(format!("needs a storage binding of {needs} ({} of layer \"{}\"); {advice}", node.op.stem(), node.layer))
}

/// Vulkan specifies the limit in 32 bits, and kernels count elements in 32 bits.
const MOST_BINDING_BYTES: u64 = 4 << 30;

/// Returns a line about layers that unpack their weights because their inputs are floats, or an
/// empty string.
pub(super) fn unpacked(model: &Model) -> String {
    let layers = model.layers.iter().enumerate().filter(|(index, _)| model.unpacks(*index));
    let names: Vec<_> = layers.map(|(_, layer)| layer.name.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("weights unpacked, because the inputs are floats: {}\n", names.join(", ")),
    }
}

/// Describes a recipe's model in one line.
///
/// For example `digits: 12 layers, 25,754 weights and biases (25,882 parameters with those of other
/// layers), 0.6 million multiply-adds per image, 98% of them with 1-bit weights`.
pub(super) fn describe(recipe: &Recipe, name: &str) -> Result<String> {
    let model = &recipe.model;
    let ModelSummary { layers, parameters, multiply_adds, bit_multiply_adds, .. } = model.summary()?;
    let weights = layers.iter().filter(|layer| layer.weight_bits.is_some()).map(|layer| layer.parameters).sum();
    let share = bit_multiply_adds as f64 / multiply_adds.max(1) as f64;
    let binary =
        if share > 0.0 { format!(", {:.0}% of them with 1-bit weights", 100.0 * share) } else { String::new() };
    let others = if parameters > weights {
        format!(" ({} parameters with those of other layers)", grouped(parameters))
    } else {
        String::new()
    };
    let millions = multiply_adds as f64 / 1e6;
    Ok(format!(
        "{name}: {} layers, {} weights and biases{others}, {millions:.1} million multiply-adds per image{binary}",
        model.layers.len(),
        grouped(weights)
    ))
}
