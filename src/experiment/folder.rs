//! The state of a run's folder in a study.

use super::Outcome;
use crate::error::{Error, Result};
use crate::metrics::Row;
use crate::recipe::Recipe;
use crate::train::folder::Folder;
use crate::train::run::{self, CHECKPOINT, SavedRun};
use std::path::Path;

/// How much of a run has been done.
#[derive(Debug)]
pub enum State {
    /// Nothing.
    New,
    /// A part, which can be resumed from here.
    Begun(Box<SavedRun>),
    /// The whole run.
    Over(Outcome),
}

impl State {
    /// Determines the state of a run of `recipe` on `train_len` training images in a folder.
    ///
    /// # Errors
    ///
    /// Returns an error, with advice, if the folder contains something else.
    pub fn of(dir: &Path, recipe: &Recipe, train_len: usize) -> Result<Self> {
        let taken = match run::check_new(dir) {
            Ok(()) => return Ok(Self::New),
            Err(error) => error,
        };
        if !dir.is_dir() {
            return Err(taken);
        }
        let advice = "remove it, or choose another folder (--out DIR)";
        if !dir.join(CHECKPOINT).exists() {
            let dir = dir.display();
            return Err(Error::Usage(format!(
                "{dir} holds a run without a checkpoint, which cannot be resumed; {advice}"
            )));
        }
        let damaged =
            |error: Error| Error::Usage(format!("{error}; to repeat this run, remove the folder {}", dir.display()));
        let saved = SavedRun::read_folder(dir).map_err(damaged)?;
        if saved.recipe != *recipe {
            let (dir, what) = (dir.display(), difference(&saved.recipe, recipe));
            return Err(Error::Usage(format!("{dir} holds a run of another recipe ({what}); {advice}")));
        }
        let folder = Folder::read(dir).map_err(damaged)?;
        let steps = folder.rows.iter().filter(|row| matches!(row, Row::Step(_))).count() as u64;
        if steps < saved.checkpoint.position.step {
            let (dir, step) = (dir.display(), saved.checkpoint.position.step);
            return Err(Error::Usage(format!(
                "{dir}: metrics.jsonl has {steps} of {step} steps, so the results of this run are lost; to repeat it, remove the folder"
            )));
        }
        let outcome = Outcome::new(&folder.rows, &folder.about.device.adapter);
        let position = &saved.checkpoint.position;
        let over = position.over(recipe.train.total_steps(train_len));
        Ok(if over || outcome.diverged.is_some() { Self::Over(outcome) } else { Self::Begun(Box::new(saved)) })
    }
}

/// Returns the first line in which two recipes differ.
fn difference(found: &Recipe, wanted: &Recipe) -> String {
    let (found, wanted) = (found.to_toml(), wanted.to_toml());
    let mut lines = found.lines().zip(wanted.lines());
    match lines.find(|(found, wanted)| found != wanted) {
        Some((found, wanted)) => format!("{} instead of {}", found.trim(), wanted.trim()),
        None => "the number of lines".to_string(),
    }
}
