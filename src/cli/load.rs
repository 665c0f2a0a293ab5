//! Loads recipes, data sets and trained networks named on the command line.

use super::device::{self, Opened};
use super::ranks::Group;
use super::set::SetArgs;
use super::terminal::{print_message, print_status};
use super::{AdapterArgs, DataArgs};
use halfwave::backend::Device;
use halfwave::data::{self, Classes, Dataset, FileKind};
use halfwave::export::{DeviceRunner, Packed};
use halfwave::recipe::{self, Data, Recipe, Set, Source};
use halfwave::train::run::SavedRun;
use halfwave::train::{Session, Trainer, weights};
use halfwave::{Error, Result};
use std::fmt;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Returns the built-in recipe of that name, or the recipe in that file or in standard input (`-`),
/// with the changes of options, and a name for its runs.
pub(super) fn recipe(wanted: Option<&str>, set: &SetArgs) -> Result<(Recipe, String)> {
    let wanted = wanted.unwrap_or("digits");
    let (mut source, name) = source(wanted)?;
    set.apply(&mut source)?;
    Ok((source.recipe()?, name))
}

/// Returns the text of such a recipe, and a name for its runs.
pub(super) fn source(wanted: &str) -> Result<(Source, String)> {
    if wanted == "-" {
        return Ok((Source::text(standard_input()?, STDIN).in_folder(""), STDIN.to_string()));
    }
    if let Some(source) = Source::builtin(wanted) {
        return Ok((source, wanted.to_string()));
    }
    let path = Path::new(wanted);
    // A path that cannot be examined is not a missing one; reading it says why.
    if matches!(path.try_exists(), Ok(false)) {
        let names = recipe::BUILTIN.map(|(name, _)| name);
        let longer: Vec<_> = names.into_iter().filter(|name| name.starts_with(wanted)).collect();
        let near = match longer.len() {
            1..=4 => Some(longer.join("\", or \"")),
            _ => recipe::near_file(path).or(recipe::nearest(wanted, &names).map(String::from)),
        };
        return Err(Error::Usage(match near {
            Some(near) => format!("{wanted}: no such file or built-in recipe; did you mean \"{near}\"?"),
            None if path.extension().is_some() || path.components().count() > 1 => {
                format!("{wanted}: no such file; check the path")
            }
            None => format!("{wanted}: no such file or built-in recipe ({})", names.join(", ")),
        }));
    }
    let name = path.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    Ok((Source::file(path)?, name))
}

/// Returns the files of such a recipe: its own, and those that it extends.
pub(super) fn recipe_files(wanted: Option<&str>) -> Result<Vec<PathBuf>> {
    match wanted {
        None | Some("-") => Ok(Vec::new()),
        Some(wanted) => {
            let names = source(wanted)?.0.chain()?;
            Ok(names.into_iter().filter(|name| recipe::builtin(name).is_none()).map(PathBuf::from).collect())
        }
    }
}

/// The name of standard input.
const STDIN: &str = "stdin";

/// Reads a recipe from standard input.
fn standard_input() -> Result<String> {
    let (mut bytes, input) = (Vec::new(), std::io::stdin().lock());
    if input.is_terminal() {
        print_message("note", &"type or paste a recipe; Ctrl-D (on Windows Ctrl-Z, Enter) ends it");
    }
    input.take(recipe::MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io("standard input"))?;
    let wrong = |why: &str| {
        let advice = "- reads a recipe from it, as in: halfwave recipe digits | halfwave train -";
        Error::Usage(format!("standard input {why}; {advice}"))
    };
    if bytes.len() as u64 > recipe::MOST_BYTES {
        return Err(wrong("is too long for a recipe"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not text in UTF-8"))?;
    if text.trim().is_empty() { Err(wrong("is empty")) } else { Ok(text) }
}

/// Loads the images that a recipe's `[data]` section specifies.
pub(super) fn dataset(data: &Data, args: &DataArgs) -> Result<Dataset> {
    dataset_as(data, args, Classes::Counted)
}

/// Loads the images of a trained network's recipe, with classes matched by name: all classes are
/// required to resume a run, some are enough for an evaluation.
pub(super) fn dataset_of(saved: &SavedRun, args: &DataArgs, all: bool) -> Result<Dataset> {
    let data = &saved.recipe.data;
    match saved.checkpoint.trained_on.as_ref().map(|facts| &facts.classes[..]) {
        Some(names) => dataset_as(data, args, if all { Classes::All(names) } else { Classes::Among(names) }),
        None => dataset(data, args),
    }
}

/// Loads the images of a packed network's recipe, with classes matched by name.
pub(super) fn dataset_of_packed(packed: &Packed, args: &DataArgs) -> Result<Dataset> {
    dataset_as(&packed.recipe.data, args, Classes::Among(&packed.runner.network().classes))
}

fn dataset_as(data: &Data, args: &DataArgs, classes: Classes<'_>) -> Result<Dataset> {
    let mut set = located(&data.set, args)?;
    let name = set.name();
    if let Some(location) = set.location().filter(|location| !location.exists()) {
        let (what, path) = (location.what(), location.path.display());
        let value = if what == "folder" { "DIR" } else { "FILE" };
        let elsewhere = match location.variable {
            Some(variable) => format!("{variable}={value}"),
            None => format!("{} = \"{value}\" in the recipe's [data]", location.key.name),
        };
        let advice = format!("{}: --data-dir {value}, or {elsewhere}", location.advice);
        return Err(Error::Data(match FileKind::of_file(location.path) {
            Some(kind) => format!("{name}: {path} is {}, not a {what}; {advice}", kind.what),
            None if location.path.is_dir() => format!("{name}: {path} is a folder, not a {what}; {advice}"),
            None if location.path.exists() => format!("{name}: {path} is not a regular file; {advice}"),
            None => format!("{name}: there is no {what} {path}; {advice}"),
        }));
    }
    let (dataset, described) = Dataset::load_described(&Data { set, ..data.clone() }, classes)?;
    if let Some(described) = described {
        print_status(&described);
    }
    Ok(dataset)
}

/// Returns the background of a recipe's training images, as a share of the brightest pixel; `None`
/// if they are not available.
pub(super) fn background(recipe: &Recipe, args: &DataArgs) -> Option<f32> {
    let mut set = located(&recipe.data.set, args).ok()?;
    if set.location().is_some_and(|location| !location.exists()) {
        return None;
    }
    let most = f32::from(set.max_pixel());
    let train = Dataset::load(&Data::from(set)).ok()?.train;
    let every = train.len().div_ceil(SAMPLE).max(1);
    let index: Vec<u32> = (0..train.len()).step_by(every).map(|at| at as u32).collect();
    let [channels, height, width] = train.input;
    let pixels = train.centre_crops(&index).ok()?;
    let images = pixels.chunks_exact(channels * height * width);
    Some(images.map(|image| data::border(image, height, width)).sum::<f32>() / index.len() as f32 / most)
}

/// Number of training images whose background is looked at.
const SAMPLE: usize = 500;

/// Returns the names of a network's classes. For a checkpoint of an earlier version without names,
/// these are the class folders in `--data-dir`, or else numbers.
pub(super) fn class_names(saved: &SavedRun, args: &DataArgs) -> Result<Vec<String>> {
    let set = located(&saved.recipe.data.set, args)?;
    match saved.class_names() {
        Some(names) => Ok(names),
        None if args.data_dir.is_some() => data::class_names(&set),
        None => {
            let path = saved.path.display();
            print_message(
                "note",
                &format_args!(
                    "{path} does not contain class names, so classes are numbered; --data-dir DIR uses the names of its class folders, in order"
                ),
            );
            Ok((0..set.classes()).map(|class| class.to_string()).collect())
        }
    }
}

/// Returns the set with its location: `--data-dir` if given, else the recipe's; if that does not
/// exist, the environment variable's.
fn located(set: &Set, args: &DataArgs) -> Result<Set> {
    let mut located = set.clone();
    match (located.location(), &args.data_dir) {
        (None, Some(_)) => {
            return Err(Error::Usage(format!(
                "the {} are embedded; --data-dir applies only to recipes that read images from a folder",
                set.name()
            )));
        }
        (None, None) => {}
        (Some(location), Some(given)) => *location.path = given.clone(),
        (Some(location), None) if location.exists() => {}
        (Some(location), None) => {
            let known = location.variable.and_then(std::env::var_os).filter(|known| !known.is_empty());
            if let Some(known) = known {
                *location.path = known.into();
            }
        }
    }
    Ok(located)
}

/// Adds the file name to an error that names only a tensor.
pub(super) fn in_file(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Model(message) => Error::Checkpoint { path: path.to_path_buf(), message },
        other => other,
    }
}

/// A trained network in a file.
pub(super) enum Trained {
    /// A checkpoint.
    Checkpoint(Box<SavedRun>),
    /// A packed network.
    Packed(Box<Packed>),
}

impl Trained {
    /// Reads a checkpoint file, a packed file, or the checkpoint in a run's folder.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let (file, bytes) = weights::read(path)?;
        if halfwave_infer::is_packed(&bytes) {
            return Ok(Self::Packed(Box::new(Packed::read(&file, &bytes)?)));
        }
        Ok(Self::Checkpoint(Box::new(SavedRun::read(path)?)))
    }
}

/// What a packed network runs on.
pub(super) enum PackedOn {
    /// Threads of the processor.
    Processor(usize),
    /// An adapter.
    Device(Box<DeviceRunner>, Box<Device>),
}

/// Number of images that an adapter computes at once.
const DEVICE_BATCH: usize = 128;

impl PackedOn {
    /// The processor, or the adapter that is asked for.
    pub(super) fn open(packed: &Packed, args: &AdapterArgs) -> Result<Self> {
        match args.adapter.as_deref() {
            None | Some("cpu") => {
                Ok(Self::Processor(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)))
            }
            adapter => {
                let Opened { backend, device } = device::open(adapter)?;
                let network = packed.runner.network().clone();
                let runner = pollster::block_on(DeviceRunner::new(network, backend, DEVICE_BATCH));
                Ok(Self::Device(Box::new(runner.map_err(in_file(&packed.path))?), Box::new(device)))
            }
        }
    }

    /// Computes the logits of images: bytes N, H, W, C.
    pub(super) fn logits(&mut self, packed: &Packed, images: &[u8]) -> Result<Vec<f32>> {
        match self {
            Self::Processor(threads) => packed.logits(images, *threads),
            Self::Device(runner, _) => pollster::block_on(runner.logits(images)),
        }
    }
}

impl fmt::Display for PackedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor(1) => f.write_str("the processor"),
            Self::Processor(threads) => write!(f, "the processor ({threads} threads)"),
            Self::Device(_, device) => write!(f, "{device}"),
        }
    }
}

/// A trained network on a device.
pub(super) struct Network {
    pub(super) saved: SavedRun,
    pub(super) session: Session,
    pub(super) device: Device,
}

impl Network {
    /// Opens a session with the tensors read by [`SavedRun::read`].
    pub(super) fn open(saved: SavedRun, args: &AdapterArgs) -> Result<Self> {
        let Opened { backend, device } = device::open(args.adapter.as_deref())?;
        let mut session = pollster::block_on(Session::new(&saved.recipe, backend, false))?;
        session.set_tensors(&saved.checkpoint.tensors, "", 0).map_err(in_file(&saved.path))?;
        Ok(Self { saved, session, device })
    }
}

/// Creates a trainer at the start of a recipe.
pub(super) fn trainer(
    recipe: Recipe,
    data: Dataset,
    opened: Opened,
    group: Option<&Group>,
    dump: bool,
) -> Result<(Trainer, Device)> {
    let device = opened.device.clone();
    let trainer = match group {
        Some(group) => group.trainer(recipe, data, opened)?,
        None => pollster::block_on(Trainer::new(recipe, data, opened.backend, dump))?,
    };
    Ok((trainer, device))
}

/// The name of a folder, or of a file without its extension.
pub(super) fn name_of(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = if resolved.is_dir() { resolved.file_name() } else { resolved.file_stem() };
    name.map_or("network".into(), |name| name.to_string_lossy().into_owned())
}
