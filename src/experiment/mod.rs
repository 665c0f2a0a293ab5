//! Studies: networks that are trained in the same way with several seeds, and compared with each
//! other and with published results.
//!
//! A study has arms; every arm is a recipe, and each of its runs is an ordinary run. Its arms come
//! from an experiment, which changes a preset's network in one respect, or from a sweep, which
//! tries combinations of values for keys of a recipe:
//!
//! ```text
//! Experiment + Preset ──┐
//! recipe + Sweep ───────┴─▶ Study: one Recipe per arm, × seeds ──▶ runs ── Outcome::new ──▶ Table, curves
//! ```
//!
//! **Invariant:** a published number is given with its source, and a difference to it is computed
//! only for runs with the same network and images.
//!
//! ```
//! use halfwave::experiment::{find, preset};
//! let study = find("low-bit")?.study(preset("smoke")?, 2)?;
//! assert_eq!(study.recipe(0, 1).model.classes, 10);
//! # Ok::<(), halfwave::Error>(())
//! ```

mod arms;
mod folder;
mod outcome;
mod presets;
mod published;
mod study;
mod sweep;
mod table;

pub use arms::Arm;
pub use folder::State;
pub use outcome::{Outcome, deviation, mean};
pub use presets::{PRESETS, Preset};
pub use published::Published;
pub use study::{Study, StudyArm};
pub use sweep::Sweep;
pub use table::{ByValue, Table};

use crate::error::{Error, Result};
use crate::recipe::{self, Recipe, nearest};

/// Networks to compare.
#[derive(Debug)]
pub struct Experiment {
    /// Name of the experiment.
    pub name: &'static str,
    /// What is compared, in one line.
    pub about: &'static str,
    /// Notes needed to read its table, one sentence each.
    pub notes: &'static [&'static str],
    /// The networks that are compared.
    pub arms: &'static [Arm],
    /// Number of epochs in the published setting, if it differs from that of the networks' recipes.
    epochs: Option<u64>,
}

/// All experiments: the five of Cai et al. (2017), in their order, and the learning curve of one
/// run.
pub const EXPERIMENTS: &[Experiment] = arms::EXPERIMENTS;

/// Returns the experiment of that name.
///
/// # Errors
///
/// Returns an error that lists the known experiments if there is none of that name.
pub fn find(name: &str) -> Result<&'static Experiment> {
    let names: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
    let found = EXPERIMENTS.iter().find(|experiment| experiment.name == name);
    found.ok_or_else(|| unknown("experiment", name, &names))
}

/// Returns the preset of that name.
///
/// # Errors
///
/// Returns an error that lists the known presets if there is none of that name.
pub fn preset(name: &str) -> Result<&'static Preset> {
    let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| unknown("preset", name, &names))
}

fn unknown(what: &str, name: &str, names: &[&str]) -> Error {
    let advice = match nearest(name, names) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("there are {}", names.join(", ")),
    };
    Error::Usage(format!("there is no {what} \"{name}\"; {advice}"))
}

impl Experiment {
    /// Returns the recipe of an arm, given its index.
    ///
    /// # Errors
    ///
    /// Returns an error if a network and the changes to it are not compatible; tests parse all of
    /// them.
    pub fn recipe(&self, arm: usize, preset: &Preset) -> Result<Recipe> {
        let arm = &self.arms[arm];
        let epochs = preset.epochs.or(self.epochs).map_or(String::new(), |epochs| format!("epochs = {epochs}\n"));
        let text = format!("{}\n{}\n[train]\n{epochs}", arm.text(self.name, preset), preset.settings);
        Recipe::parse(&text, &format!("{}, arm {}", self.name, arm.name))
    }

    /// Returns the experiment with a preset and this number of seeds, ready to run.
    ///
    /// # Errors
    ///
    /// Returns an error if a network and the changes to it are not compatible; tests parse all of
    /// them.
    pub fn study(&self, preset: &Preset, seeds: u64) -> Result<Study> {
        let arm = |(at, arm): (usize, &Arm)| {
            Ok(StudyArm {
                name: arm.name.into(),
                about: arm.about.into(),
                network: arm.base(self.name, preset).into(),
                recipe: self.recipe(at, preset)?,
                published: arm.known().copied(),
                values: Vec::new(),
            })
        };
        Ok(Study {
            name: self.name.into(),
            about: self.about.into(),
            setting: format!("preset {}: {}", preset.name, preset.about),
            notes: self.notes.iter().map(|note| note.to_string()).collect(),
            arms: self.arms.iter().enumerate().map(arm).collect::<Result<_>>()?,
            keys: None,
            seeds,
            published: preset.published,
        })
    }
}

/// Returns the text of a built-in recipe.
fn builtin(name: &str) -> &'static str {
    recipe::builtin(name).expect("the tests read every arm of every preset")
}

#[cfg(test)]
mod tests;
