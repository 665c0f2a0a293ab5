//! Networks to train and compare, each with several seeds.

use super::Published;
use crate::recipe::Recipe;

/// Networks to compare, ready to run.
#[derive(Debug)]
pub struct Study {
    /// A name for titles.
    pub name: String,
    /// What is compared, in one line.
    pub about: String,
    /// What all networks have in common, in one line.
    pub setting: String,
    /// Notes needed to read the table, a sentence or two each.
    pub notes: Vec<String>,
    /// The networks.
    pub arms: Vec<StudyArm>,
    /// The keys of which a sweep tries several values; `None` for an experiment.
    pub keys: Option<Vec<String>>,
    /// Number of runs of each network, with seeds from 0.
    pub seeds: u64,
    /// Whether this is a setting for which results were published.
    pub published: bool,
}

/// One of the networks.
#[derive(Debug)]
pub struct StudyArm {
    /// Name of the arm, which begins the names of its folders.
    pub name: String,
    /// A short description.
    pub about: String,
    /// Name of the recipe that the arm changes.
    pub network: String,
    /// The recipe, with any seed.
    pub recipe: Recipe,
    /// A published result.
    pub published: Option<Published>,
    /// The values of the swept keys, in their order.
    pub values: Vec<String>,
}

impl Study {
    /// Returns the recipe of a run.
    pub fn recipe(&self, arm: usize, seed: u64) -> Recipe {
        let mut recipe = self.arms[arm].recipe.clone();
        recipe.train.seed = seed;
        recipe
    }

    /// Returns the name of a run's folder.
    pub fn run_name(&self, arm: usize, seed: u64) -> String {
        format!("{}-seed{seed}", self.arms[arm].name)
    }

    /// Returns the swept keys.
    pub(super) fn keys(&self) -> &[String] {
        self.keys.as_deref().unwrap_or_default()
    }
}
