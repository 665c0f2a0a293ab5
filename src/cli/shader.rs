//! `halfwave shader`: shows the instructions of kernels, and their translations for each platform,
//! without a device.

use super::mix;
use super::plan::Class;
use super::set::SetArgs;
use super::terminal::{grouped, print, print_message};
use super::{load, plan};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::Phase;
use halfwave::kernel::{Kernel, fold};
use halfwave::recipe::{self, Recipe};
use halfwave::shader::{Shader, Target};
use halfwave::tensor::TensorType;
use halfwave::train::session;
use halfwave::{Error, Result, files, ops};
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
    /// A recipe file, the name of a built-in recipe, or - for standard input [default: digits]
    #[arg(long)]
    recipe: Option<String>,
    #[command(flatten)]
    set: SetArgs,
    /// Only the kernels of this layer
    #[arg(long)]
    layer: Option<String>,
    /// Only the kernels for this kind of device
    #[arg(long, value_enum)]
    device_class: Option<Class>,
    /// Print the translation for a platform instead of the instruction mix: WGSL for browsers,
    /// SPIR-V for Vulkan, MSL for Metal, HLSL for DX12
    #[arg(long, value_enum, value_name = "TARGET")]
    emit: Option<Emit>,
    /// Write the translation to a file instead of printing it; needed for SPIR-V, which is binary
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
}

impl From<Emit> for Target {
    fn from(emit: Emit) -> Self {
        match emit {
            Emit::Wgsl => Self::Wgsl,
            Emit::Spirv => Self::Spirv,
            Emit::Msl => Self::Msl,
            Emit::Hlsl => Self::Hlsl,
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
    let (recipe, name) = load::recipe(args.recipe.as_deref(), &args.set)?;
    files::check_outputs(&args.out, load::recipe_files(args.recipe.as_deref())?)?;
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
            chosen = of_samples(classes, 1);
            chosen.retain(named);
            if chosen.is_empty() {
                chosen = of_samples(classes, usize::MAX);
                let unknown = unknown(stem, &chosen);
                chosen.retain(named);
                if chosen.is_empty() {
                    return Err(Error::Usage(unknown));
                }
            }
            if args.layer.is_some() {
                return Err(Error::Usage(format!("{name} has no {stem}: omit --layer to see its samples")));
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

/// Returns the kernels of all operations, as launched by their test cases: the first `most`
/// variants of each, which a plan would choose in this order.
fn of_samples(classes: &[DeviceClass], most: usize) -> Vec<Candidate> {
    let mut all = Vec::new();
    for case in ops::fusion::cases() {
        let (graph, unit) = case.graph();
        let first = &graph.nodes()[unit.start];
        for &class in classes {
            for (_, caps) in case.variants(&Caps::baseline(class)).into_iter().take(most) {
                for launch in &ops::fusion::program(&graph, unit.clone(), &caps).launches {
                    let groups = fold(launch.groups, caps.max_groups);
                    let used = Use { layer: None, output: first.ty.clone(), groups };
                    note(&mut all, &launch.kernel, first.op.stem(), class, used);
                }
            }
        }
    }
    all
}

/// Prints or writes the first of the chosen kernels, and notes the others.
fn translate(chosen: &[Candidate], target: Target, out: Option<&Path>) -> Result<()> {
    let Some((first, others)) = chosen.split_first() else { return Ok(()) };
    let bytes = Shader::of(&first.kernel)?.emit(target)?;
    if let Some(path) = out {
        files::replace(path, &bytes)?;
        let written = grouped(bytes.len() as u64);
        print(&format!("{}: {} as {}, {written} bytes\n", path.display(), mix::title(first), target.name()))?;
    } else if target == Target::Spirv {
        return Err(Error::Usage("SPIR-V is binary: add --out FILE to write it to a file".to_string()));
    } else {
        print(&String::from_utf8_lossy(&bytes))?;
    }
    if !others.is_empty() {
        const NAMED: usize = 5;
        let names: Vec<_> = others.iter().take(NAMED).map(mix::title).collect();
        let more = others.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        print_message(
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
