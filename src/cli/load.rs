//! Recipes, data sets and trained networks by the names that commands give.

use super::device::{self, Opened};
use super::{AdapterArgs, DataArgs};
use halfwave::data::Dataset;
use halfwave::recipe::{self, Recipe, Set};
use halfwave::train::run::{Device, Saved};
use halfwave::train::{Session, Trainer};
use halfwave::{Error, Result};
use std::path::{Path, PathBuf};

/// The built-in recipe of that name, or the file; with a name for its runs.
pub(super) fn recipe(wanted: Option<&str>) -> Result<(Recipe, String)> {
    let wanted = wanted.unwrap_or("digits");
    if let Some(text) = recipe::builtin(wanted) {
        return Ok((Recipe::parse(text, wanted)?, wanted.to_string()));
    }
    let path = Path::new(wanted);
    if !path.exists() {
        let names = recipe::BUILTIN.map(|(name, _)| name).join(", ");
        return Err(Error::Usage(format!(
            "{wanted}: there is no such file, and no built-in recipe of that name ({names})"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let name = path.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    Ok((Recipe::parse(&text, wanted)?, name))
}

/// The data set of a recipe. CIFAR-10 comes from --data-dir, else from the recipe's folder, else from CIFAR10_DIR.
pub(super) fn dataset(set: &Set, args: &DataArgs) -> Result<Dataset> {
    let mut set = set.clone();
    match (&mut set, &args.data_dir) {
        (Set::Digits, Some(_)) => {
            return Err(Error::Usage("the digits are embedded; --data-dir is for recipes on cifar10".to_string()));
        }
        (Set::Digits, None) => {}
        (Set::Cifar10 { dir }, Some(given)) => *dir = given.clone(),
        (Set::Cifar10 { dir }, None) => {
            let known = std::env::var_os("CIFAR10_DIR").filter(|known| !known.is_empty() && !dir.is_dir());
            *dir = known.map_or(dir.clone(), PathBuf::from);
        }
    }
    if let Set::Cifar10 { dir } = &set
        && !dir.is_dir()
    {
        return Err(Error::Data(format!(
            "cifar10: there is no folder {}; unpack the binary version of CIFAR-10 and name its folder: --data-dir DIR, or CIFAR10_DIR=DIR",
            dir.display()
        )));
    }
    Dataset::load(&set)
}

/// Says which file a mistake is in, where the library knows the tensor alone.
pub(super) fn in_file(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Model(message) => Error::Checkpoint { path: path.to_path_buf(), message },
        other => other,
    }
}

/// A trained network on a device.
pub(super) struct Network {
    pub(super) saved: Saved,
    pub(super) session: Session,
    pub(super) device: Device,
}

impl Network {
    /// Loads what [`Saved::read`] gave.
    pub(super) fn open(saved: Saved, args: &AdapterArgs) -> Result<Self> {
        let Opened { backend, device } = device::open(args.adapter.as_deref())?;
        let mut session = pollster::block_on(Session::new(&saved.recipe, backend, false))?;
        session.set_tensors(&saved.checkpoint.tensors, "", 0).map_err(in_file(&saved.path))?;
        Ok(Self { saved, session, device })
    }
}

/// A trainer at the beginning of a recipe.
pub(super) fn trainer(recipe: Recipe, data: Dataset, opened: Opened, dump: bool) -> Result<(Trainer, Device)> {
    let session = pollster::block_on(Session::new(&recipe, opened.backend, dump))?;
    Ok((Trainer::new(recipe, data, session), opened.device))
}

/// What a class is called.
pub(super) fn class_name(set: &Set, class: usize) -> String {
    const CIFAR10: [&str; 10] =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    match set {
        Set::Cifar10 { .. } => CIFAR10.get(class).map_or_else(|| class.to_string(), |name| name.to_string()),
        Set::Digits => class.to_string(),
    }
}
