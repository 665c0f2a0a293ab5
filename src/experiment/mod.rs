//! Experiments: networks that differ in one respect, trained in the same way with several seeds,
//! and compared with each other and with published results.
//!
//! An experiment is a list of arms; each arm is a set of changes to a preset's network, in the
//! syntax of a recipe. So every arm is a recipe ([`Experiment::recipe`]), and each of its runs is
//! an ordinary run:
//!
//! ```text
//! Experiment + Preset ── recipe ──▶ one Recipe per arm, × seeds ──▶ runs ── Outcome::new ──▶ Table, curves
//! ```
//!
//! **Invariant:** a published number is given with its source, and a difference to it is computed
//! only for runs with the same network and images.
//!
//! ```
//! use halfwave::experiment::{find, preset};
//! let recipe = find("low-bit")?.recipe(0, preset("smoke")?)?;
//! assert_eq!(recipe.model.classes, 10);
//! # Ok::<(), halfwave::Error>(())
//! ```

mod arms;
mod folder;
mod outcome;
mod presets;
mod published;
mod table;

pub use arms::Arm;
pub use folder::State;
pub use outcome::{Outcome, deviation, mean};
pub use presets::{PRESETS, Preset};
pub use published::Published;
pub use table::Table;

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
        Some(meant) => format!("did you mean {meant}?"),
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

    /// Returns the name of a run's folder.
    pub fn run_name(&self, arm: usize, seed: u64) -> String {
        format!("{}-seed{seed}", self.arms[arm].name)
    }
}

/// Returns the text of a built-in recipe.
fn builtin(name: &str) -> &'static str {
    recipe::builtin(name).expect("the tests read every arm of every preset")
}

#[cfg(test)]
mod tests;
