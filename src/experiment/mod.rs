//! Experiments: networks that differ in one thing, trained alike and with several seeds, and held against each other and against what was published.
//!
//! An experiment is a list of arms, and an arm is what it changes in the network of a preset, in the words of a recipe. So every arm is a recipe ([`Experiment::recipe`]), and every run of it a run like any other:
//!
//! ```text
//! Experiment + Preset ── recipe ──▶ a Recipe an arm, × seeds ──▶ runs ── Outcome::new ──▶ Table, curves
//! ```
//!
//! **Invariant:** a published number stands beside its source, and a difference is taken only from runs of the network and the images that it is of.
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
    /// What it is asked for by.
    pub name: &'static str,
    /// What is compared, in a line.
    pub about: &'static str,
    /// What one has to know to read its table: a sentence each.
    pub notes: &'static [&'static str],
    /// What is compared.
    pub arms: &'static [Arm],
    /// Epochs in the published setting, where they are not those of the networks' recipes.
    epochs: Option<u64>,
}

/// All experiments: the five of Cai et al. (2017), in their order, and the curve of one run.
pub const EXPERIMENTS: &[Experiment] = arms::EXPERIMENTS;

/// The experiment of that name.
///
/// # Errors
/// When there is none; with those that there are.
pub fn find(name: &str) -> Result<&'static Experiment> {
    let names: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
    let found = EXPERIMENTS.iter().find(|experiment| experiment.name == name);
    found.ok_or_else(|| unknown("experiment", name, &names))
}

/// The preset of that name.
///
/// # Errors
/// When there is none; with those that there are.
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
    /// The recipe of an arm, by place.
    ///
    /// # Errors
    /// When a network and the changes to it do not go together; tests parse all of them.
    pub fn recipe(&self, arm: usize, preset: &Preset) -> Result<Recipe> {
        let arm = &self.arms[arm];
        let epochs = preset.epochs.or(self.epochs).map_or(String::new(), |epochs| format!("epochs = {epochs}\n"));
        let text = format!("{}\n{}\n[train]\n{epochs}", arm.text(self.name, preset), preset.settings);
        Recipe::parse(&text, &format!("{}, arm {}", self.name, arm.name))
    }

    /// The name of a run's folder.
    pub fn run_name(&self, arm: usize, seed: u64) -> String {
        format!("{}-seed{seed}", self.arms[arm].name)
    }
}

/// A built-in recipe's text.
fn builtin(name: &str) -> &'static str {
    recipe::builtin(name).expect("the tests read every arm of every preset")
}

#[cfg(test)]
mod tests;
