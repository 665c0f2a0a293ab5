//! `halfwave shader`: what kernels consist of, and what each platform gets for them, without a device.

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

/// Show what a kernel consists of, or the text that a platform gets for it.
///
/// Without a name, all kernels of the recipe's training step are listed. All constants are already in the text: there are no override constants.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  halfwave shader
  halfwave shader bconv --recipe vgg-small --layer conv2
  halfwave shader bconv_tile64 --recipe vgg-small --emit msl
  halfwave shader conv --layer conv1 --device-class software --emit spirv --out conv.spv")]
pub(super) struct ShaderArgs {
    /// An operation ("bconv") or one of its kernels ("bconv_tile64") [default: all of the recipe's]
    stem: Option<String>,
    /// A recipe's file or the name of a built-in one [default: digits]
    #[arg(long)]
    recipe: Option<String>,
    /// Kernels of this layer alone
    #[arg(long)]
    layer: Option<String>,
    /// Only the kernels for this kind of device
    #[arg(long, value_enum)]
    device_class: Option<Class>,
    /// Print what a platform gets, instead of the mix: browsers WGSL, Vulkan SPIR-V, Metal MSL, DX12 HLSL, OpenGL ES GLSL
    #[arg(long, value_enum, value_name = "TARGET")]
    emit: Option<Emit>,
    /// Write it to a file, SPIR-V as it is, instead of printing it
    #[arg(long, value_name = "FILE", requires = "emit")]
    out: Option<PathBuf>,
}

/// A target as it is typed.
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

/// A kernel with those who launch it.
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
    /// The layer; `None` for a sample.
    pub(super) layer: Option<(String, Phase)>,
    /// What the operation makes, of which a kernel may make a part only.
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

/// The kernels that the arguments name: at least one.
fn choose(args: &ShaderArgs, recipe: &Recipe, name: &str, classes: &[DeviceClass]) -> Result<Vec<Candidate>> {
    let mut chosen = of_plan(recipe, classes)?;
    if let Some(stem) = &args.stem {
        // A launch of several operations has the label of each.
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
                    return Err(Error::Usage(format!("{name} has no {stem}: leave out --layer to see its samples")));
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

/// What to say of a kernel that exists, but not in this plan; nothing of others.
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
        Some((known, DeviceClass::Gpu)) => format!("{known} has it, for GPUs: --recipe {known}"),
        Some((known, DeviceClass::Software)) => format!("{known} has it, for software drivers: --recipe {known}"),
        None => "no built-in recipe has it by estimate; `halfwave bench` times it wherever it fits".to_string(),
    };
    Some(format!("{label} is a kernel, but not one that a step of {name} takes; {advice}"))
}

/// What to say of a name that nothing has.
fn unknown(stem: &str, samples: &[Candidate]) -> String {
    let mut stems: Vec<_> = samples.iter().map(|candidate| candidate.stem).collect();
    stems.sort_unstable();
    stems.dedup();
    let mut names = stems.clone();
    names.extend(samples.iter().map(|candidate| candidate.kernel.label.as_str()));
    let near = recipe::nearest(stem, &names).map_or(String::new(), |near| format!(" did you mean \"{near}\"?"));
    format!("no kernel is called {stem};{near} operations are {}", stems.join(", "))
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

/// Adds a launch to those of its kernel.
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

/// The kernels of a training step.
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

/// The kernels of all operations, as their tests launch them.
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

/// Prints or writes the first of the chosen kernels, and says which others there are.
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
