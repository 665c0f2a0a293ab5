//! What an experiment finds in the folder of one of its runs.

use super::Outcome;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::train::folder::Folder;
use crate::train::run::{self, CHECKPOINT, Saved};
use std::path::Path;

/// What there is of a run.
#[derive(Debug)]
pub enum State {
    /// Nothing.
    New,
    /// A part: it goes on from here.
    Begun(Box<Saved>),
    /// All.
    Over(Outcome),
}

impl State {
    /// What the folder holds of a run of this recipe over so many training images.
    ///
    /// # Errors
    /// When it holds something else; with what to do.
    pub fn of(dir: &Path, recipe: &Recipe, train_len: usize) -> Result<Self> {
        let taken = match run::check_new(dir) {
            Ok(()) => return Ok(Self::New),
            Err(error) => error,
        };
        if !dir.is_dir() {
            return Err(taken);
        }
        let advice = "remove it, or choose another folder for the experiment (--out DIR)";
        if !dir.join(CHECKPOINT).exists() {
            let dir = dir.display();
            return Err(Error::Usage(format!("{dir} holds a run without a checkpoint, which cannot go on; {advice}")));
        }
        let saved = Saved::read_folder(dir)?;
        if saved.recipe != *recipe {
            let (dir, what) = (dir.display(), difference(&saved.recipe, recipe));
            return Err(Error::Usage(format!("{dir} holds a run of another recipe ({what}); {advice}")));
        }
        let folder = Folder::read(dir)?;
        let outcome = Outcome::new(&folder.rows, &folder.about.device.adapter);
        let position = &saved.checkpoint.position;
        let over = position.over(recipe.train.total_steps(train_len));
        Ok(if over || outcome.diverged.is_some() { Self::Over(outcome) } else { Self::Begun(Box::new(saved)) })
    }
}

/// The first line in which two recipes differ.
fn difference(found: &Recipe, wanted: &Recipe) -> String {
    let (found, wanted) = (found.to_toml(), wanted.to_toml());
    let mut lines = found.lines().zip(wanted.lines());
    match lines.find(|(found, wanted)| found != wanted) {
        Some((found, wanted)) => format!("{} instead of {}", found.trim(), wanted.trim()),
        None => "it is longer or shorter".to_string(),
    }
}
