//! `halfwave shader`: shows the instructions of kernels, and their translations for each platform,
//! without a device.

use super::mix;
use super::plan::Class;
use super::terminal::{complain, grouped, print};
use super::{load, plan};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::Phase;
use halfwave::kernel::{Kernel, fold};
use halfwave::recipe::{self, Recipe};
use halfwave::shader::{Shader, Target};
use halfwave::tensor::TensorType;
use halfwave::train::session;
use halfwave::{Error, Result, ops};
use std::path::{Path, PathBuf};

/// Show the instruction mix of a kernel, or its translation for a platform.
///
/// Without a name, all kernels of the recipe's training step are listed. All constants are already
/// in the source: there are no override constants.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  halfwave shader
  halfwave shader bconv --recipe vgg-small --layer conv2
  halfwave shader bconv_tile64 --recipe vgg-small --emit msl
  halfwave shader conv --layer conv1 --device-class software --emit spirv --out conv.spv")]
pub(super) struct ShaderArgs {
    /// An operation ("bconv") or one of its kernels ("bconv_tile64") [default: all kernels of the
    /// recipe]
    stem: Option<String>,
    /// A recipe file, or the name of a built-in recipe [default: digits]
    #[arg(long)]
    recipe: Option<String>,
    /// Only the kernels of this layer
    #[arg(long)]
    layer: Option<String>,
    /// Only the kernels for this kind of device
    #[arg(long, value_enum)]
    device_class: Option<Class>,
    /// Print the translation for a platform instead of the instruction mix: WGSL for browsers,
    /// SPIR-V for Vulkan, MSL for Metal, HLSL for DX12, GLSL for OpenGL ES
    #[arg(long, value_enum, value_name = "TARGET")]
    emit: Option<Emit>,
    /// Write the translation to a file (SPIR-V in binary form) instead of printing it
    #[arg(long, value_name = "FILE", requires = "emit")]
    out: Option<PathBuf>,
}

/// A translation target as an argument.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Emit {
    Wgsl,
    Spirv,
    Msl,
    Hlsl,
    Glsl,
}

impl From<Emit> for Target {
    fn from(emit: Emit) -> Self {
        match emit {
            Emit::Wgsl => Self::Wgsl,
            Emit::Spirv => Self::Spirv,
            Emit::Msl => Self::Msl,
            Emit::Hlsl => Self::Hlsl,
            Emit::Glsl => Self::Glsl,
        }
    }
}

/// A kernel and its launches.
pub(super) struct Candidate {
    pub(super) kernel: Kernel,
    /// The operation's stem.
    stem: &'static str,
    pub(super) classes: Vec<DeviceClass>,
    pub(super) uses: Vec<Use>,
}

/// One launch.
#[derive(Clone, PartialEq)]
pub(super) struct Use {
    /// The layer and phase; `None` for a sample.
    pub(super) layer: Option<(String, Phase)>,
    /// The type of the operation's output, of which a kernel may compute only a part.
    pub(super) output: TensorType,
    pub(super) groups: [u32; 2],
}

pub(super) fn shader(args: &ShaderArgs) -> Result<()> {
    let (recipe, name) = load::recipe(args.recipe.as_deref())?;
    let classes = match args.device_class {
        Some(class) => vec![class.into()],
        None => vec![DeviceClass::Gpu, DeviceClass::Software],
    };
    let chosen = choose(args, &recipe, &name, &classes)?;
    match (args.emit, &args.stem, &args.layer) {
        (Some(emit), _, _) => translate(&chosen, emit.into(), args.out.as_deref()),
        (None, None, None) => print(&format!("{}\n\n{}", plan::describe(&recipe, &name)?, mix::list(&chosen)?)),
        (None, None, Some(_)) => print(&mix::list(&chosen)?),
        (None, Some(_), _) => print(&mix::views(&chosen)?),
    }
}

/// Returns the kernels that the arguments select: at least one.
fn choose(args: &ShaderArgs, recipe: &Recipe, name: &str, classes: &[DeviceClass]) -> Result<Vec<Candidate>> {
    let mut chosen = of_plan(recipe, classes)?;
    if let Some(stem) = &args.stem {
        // A launch of several operations has a label for each.
        let one_of = |label: &str| label.split(['+', ',']).any(|part| part == stem);
        let named = |candidate: &Candidate| {
            candidate.stem == stem || candidate.kernel.label == *stem || one_of(&candidate.kernel.label)
        };
        chosen.retain(named);
        if chosen.is_empty() {
            let mut samples = of_samples(classes);
            let stems = unknown(stem, &samples);
            samples.retain(named);
            match &args.layer {
                _ if samples.is_empty() => return Err(Error::Usage(elsewhere(stem, name).unwrap_or(stems))),
                Some(_) => {
                    return Err(Error::Usage(format!("{name} has no {stem}: omit --layer to see its samples")));
                }
                None => chosen = samples,
            }
        }
    }
    if let Some(layer) = &args.layer {
        let layers = layers(&chosen);
        for candidate in &mut chosen {
            candidate.uses.retain(|used| used.layer.as_ref().is_some_and(|(name, _)| name == layer));
        }
        chosen.retain(|candidate| !candidate.uses.is_empty());
        if chosen.is_empty() {
            let what = args.stem.as_deref().map_or(String::new(), |stem| format!(" with {stem}"));
            let layers = layers.join(", ");
            return Err(Error::Usage(format!("{name} has no layer {layer}{what}; there are {layers}")));
        }
    }
    Ok(chosen)
}

/// Returns the message for a kernel that exists but is not part of this plan, or `None` if there is
/// no such kernel.
fn elsewhere(label: &str, name: &str) -> Option<String> {
    let all = [DeviceClass::Gpu, DeviceClass::Software];
    let caps = all.map(Caps::unlimited);
    let is_kernel = ops::joint::cases().iter().any(|case| {
        let kernels = caps.iter().flat_map(|caps| case.kernels(caps));
        kernels.into_iter().any(|(kernel, _)| label == format!("{}_{kernel}", case.name))
    });
    if !is_kernel {
        return None;
    }
    let has = |recipe: &Recipe, class| {
        let plan = session::training_plan(recipe, recipe.train.batch, &Caps::unlimited(class));
        plan.is_ok_and(|plan| plan.kernels.iter().any(|kernel| kernel.label == label))
    };
    let found = recipe::BUILTIN.iter().find_map(|(known, text)| {
        let recipe = Recipe::parse(text, known).ok()?;
        all.into_iter().find(|class| has(&recipe, *class)).map(|class| (known, class))
    });
    let advice = match found {
        Some((known, DeviceClass::Gpu)) => format!("{known} uses it on GPUs: --recipe {known}"),
        Some((known, DeviceClass::Software)) => format!("{known} uses it on software drivers: --recipe {known}"),
        None => {
            "no built-in recipe uses it by default; `halfwave bench` measures it wherever it is applicable".to_string()
        }
    };
    Some(format!("{label} is a kernel, but a step of {name} does not use it; {advice}"))
}

/// Returns the message for an unknown name.
fn unknown(stem: &str, samples: &[Candidate]) -> String {
    let mut stems: Vec<_> = samples.iter().map(|candidate| candidate.stem).collect();
    stems.sort_unstable();
    stems.dedup();
    let mut names = stems.clone();
    names.extend(samples.iter().map(|candidate| candidate.kernel.label.as_str()));
    let near = recipe::nearest(stem, &names).map_or(String::new(), |near| format!(" did you mean \"{near}\"?"));
    format!("there is no kernel {stem};{near} operations are {}", stems.join(", "))
}

fn layers(candidates: &[Candidate]) -> Vec<String> {
    let mut layers: Vec<String> = Vec::new();
    for (layer, _) in candidates.iter().flat_map(|candidate| &candidate.uses).filter_map(|used| used.layer.as_ref()) {
        if !layers.contains(layer) {
            layers.push(layer.clone());
        }
    }
    layers
}

/// Adds a launch to its kernel's candidate, which is created if needed.
fn note(all: &mut Vec<Candidate>, kernel: &Kernel, stem: &'static str, class: DeviceClass, used: Use) {
    let known = all.iter().position(|candidate| candidate.kernel == *kernel).unwrap_or_else(|| {
        all.push(Candidate { kernel: kernel.clone(), stem, classes: Vec::new(), uses: Vec::new() });
        all.len() - 1
    });
    let candidate = &mut all[known];
    if !candidate.classes.contains(&class) {
        candidate.classes.push(class);
    }
    if !candidate.uses.contains(&used) {
        candidate.uses.push(used);
    }
}

/// Returns the kernels of a training step.
fn of_plan(recipe: &Recipe, classes: &[DeviceClass]) -> Result<Vec<Candidate>> {
    let mut all = Vec::new();
    for &class in classes {
        let plan = session::training_plan(recipe, recipe.train.batch, &Caps::unlimited(class))?;
        for node in &plan.nodes {
            for step in &plan.steps[node.steps.clone()] {
                let layer = Some((node.layer.clone(), node.phase));
                let used = Use { layer, output: node.output.stored(), groups: step.groups };
                note(&mut all, &plan.kernels[step.kernel], node.op.stem(), class, used);
            }
        }
    }
    Ok(all)
}

/// Returns the kernels of all operations, as launched by their test cases.
fn of_samples(classes: &[DeviceClass]) -> Vec<Candidate> {
    let mut all = Vec::new();
    for case in ops::joint::cases() {
        let (graph, unit) = case.graph();
        let first = &graph.nodes()[unit.start];
        for &class in classes {
            let caps = Caps::baseline(class);
            for launch in &ops::joint::program(&graph, unit.clone(), &caps).launches {
                let used = Use { layer: None, output: first.ty.clone(), groups: fold(launch.groups, caps.max_groups) };
                note(&mut all, &launch.kernel, first.op.stem(), class, used);
            }
        }
    }
    all
}

/// Prints or writes the first of the chosen kernels, and notes the others.
fn translate(chosen: &[Candidate], target: Target, out: Option<&Path>) -> Result<()> {
    let Some((first, others)) = chosen.split_first() else { return Ok(()) };
    let shader = Shader::of(&first.kernel)?;
    if let Some(path) = out {
        let bytes = match target {
            Target::Spirv => shader.spirv()?.iter().flat_map(|word| word.to_le_bytes()).collect(),
            _ => shader.emit(target)?.into_bytes(),
        };
        std::fs::write(path, &bytes).map_err(Error::io(path))?;
        let written = grouped(bytes.len() as u64);
        print(&format!("{}: {} as {}, {written} bytes\n", path.display(), mix::title(first), target.name()))?;
    } else {
        print(&shader.emit(target)?)?;
    }
    if !others.is_empty() {
        const NAMED: usize = 5;
        let names: Vec<_> = others.iter().take(NAMED).map(mix::title).collect();
        let more = others.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        complain(
            "note",
            &format_args!(
                "this is {}; others are {}{more}: choose with a kernel's name, --layer and --device-class",
                mix::title(first),
                names.join(", ")
            ),
        );
    }
    Ok(())
}
