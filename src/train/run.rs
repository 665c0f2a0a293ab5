//! A run's folder: the files that a run writes, and how it is resumed from them.
//!
//! | file | what it holds |
//! |---|---|
//! | `recipe.toml` | the recipe with all defaults spelt out and command-line options applied |
//! | `run.json` | device, versions, seed, plan hash, dates |
//! | `metrics.jsonl` | a row per step and per epoch, [`super::metrics`] |
//! | `events.out.tfevents.0.halfwave` | the same rows, for TensorBoard |
//! | `curve.svg`, `curve.png` | loss and accuracy |
//! | `checkpoint.safetensors` | the state at the start, after every epoch and at the end |
//! | `best.safetensors` | the state after the best epoch, if there are validation images |
//! | `best-whole.safetensors` | the same of whole epochs, if the best is an incomplete one at the end |
//! | `run.lock` | the process that writes there now, [`super::claim`] |
//!
//! **Invariant:** every file appears complete or not at all, except `metrics.jsonl` and
//! TensorBoard's file, which grow by complete rows; a row truncated by a full disk or a kill is
//! dropped when the run is resumed.
//! **Invariant:** rows after the checkpoint are dropped too, so that a resumed run has the rows and
//! the bytes of one that was never interrupted.

use super::checkpoint::Checkpoint;
use super::claim::{Claim, LOCK};
use super::metrics::Row;
use super::run_info::Resumed;
#[doc(hidden)] // its former name
pub use super::run_info::RunInfo as About;
pub(super) use super::run_info::{RUN_INFO, now};
pub use super::run_info::{RunInfo, RunResult};
use super::tensorboard::{EVENTS, Events};
use super::{Event, Trainer, weights};
use crate::backend::Device;
use crate::error::{Error, Result};
use crate::files::{self, quoted};
use crate::recipe::Recipe;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Name of the checkpoint in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// File with the checkpoint of the epoch with the best validation accuracy so far, of equal ones the
/// first. Without validation images there is none: the last epoch counts.
pub const BEST: &str = "best.safetensors";
/// Name of that file while an incomplete epoch at the end of the run is the best: a longer run has no
/// such epoch, and returns to this file.
const BEST_WHOLE: &str = "best-whole.safetensors";
const RECIPE: &str = "recipe.toml";
pub(super) const METRICS: &str = "metrics.jsonl";
/// All files of a run.
const FILES: [&str; 7] = [METRICS, EVENTS, RECIPE, RUN_INFO, CHECKPOINT, "curve.svg", "curve.png"];

/// Minimum time between two drawings of the curve during a run.
const REDRAW: Duration = Duration::from_secs(5);

/// A checkpoint from a file with its recipe; its tensors fit that recipe's model.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRun {
    /// The file.
    pub path: PathBuf,
    /// The recipe of the run.
    pub recipe: Recipe,
    /// Position and tensors.
    pub checkpoint: Checkpoint,
}

#[doc(hidden)] // its former name
pub use SavedRun as Saved;

impl SavedRun {
    /// Reads a checkpoint from a file or from a run's folder.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no checkpoint, it is truncated or of another format, or its
    /// tensors or its position do not fit its own recipe.
    pub fn read(path: &Path) -> Result<Self> {
        let (path, bytes) = weights::read(path)?;
        let mut checkpoint = Checkpoint::from_bytes(&bytes, &path)?;
        let bad = |message: String| Error::Checkpoint { path: path.clone(), message };
        let mut recipe = Recipe::parse(&checkpoint.recipe, "its recipe").map_err(|error| bad(error.to_string()))?;
        // Until version 0.2, test images decided where there were no validation images.
        if recipe.train.patience > 0 && recipe.data.holds_none_out() {
            log::warn!("{}: train.patience is ignored, because there are no validation images", path.display());
            recipe.train.patience = 0;
        }
        checkpoint.check(&recipe).map_err(|error| bad(error.to_string()))?;
        let position = &mut checkpoint.position;
        // It was stopped by a patience that is ignored now, or, until version 0.2, in the last epoch.
        if recipe.data.holds_none_out() || recipe.train.length.reached(position.epoch, position.step) {
            position.stopped = false;
        }
        Ok(Self { path, recipe, checkpoint })
    }

    /// The network's class names, in the order of its outputs, if known:
    /// [`Checkpoint::class_names`].
    pub fn class_names(&self) -> Option<Vec<String>> {
        self.checkpoint.class_names(&self.recipe)
    }

    /// Reads a run's folder with the length set in its `recipe.toml`: that may be edited to make a
    /// run longer, but not in any other way.
    ///
    /// # Errors
    ///
    /// Returns an error if the two recipes belong to different runs.
    pub fn read_folder(dir: &Path) -> Result<Self> {
        let mut saved = Self::read(dir)?;
        let path = dir.join(RECIPE);
        let text = match files::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(saved),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let mut edited = Recipe::parse(&text, &path.display().to_string())?;
        if edited.data.holds_none_out() {
            edited.train.patience = 0; // as in the checkpoint's recipe
        }
        saved.recipe.train.length = edited.train.length;
        if saved.recipe != edited {
            return Err(Error::Usage(format!(
                "{}: not the recipe that the checkpoint was trained with; undo the change (only epochs or steps may differ), or start a new run: halfwave train {} --init {}",
                path.display(),
                quoted(&path),
                quoted(&saved.path)
            )));
        }
        Ok(saved)
    }

    /// Restores a trainer of this recipe to the checkpoint's state.
    ///
    /// # Errors
    ///
    /// Returns an error if the trainer's model is a different one.
    pub fn restore(&self, trainer: &mut Trainer) -> Result<()> {
        let bad = |error: Error| Error::Checkpoint { path: self.path.clone(), message: error.to_string() };
        trainer.restore(&self.checkpoint).map_err(bad)
    }
}

/// A run that writes its folder, to which no other process writes in the meantime.
pub struct Run {
    dir: PathBuf,
    trainer: Trainer,
    metrics: File,
    metrics_bytes: u64,
    events: Events,
    rows: Vec<Row>,
    about: RunInfo,
    /// Title of its curve.
    #[cfg_attr(not(feature = "report"), expect(dead_code))]
    title: String,
    drawn: Instant,
    /// `None` until the run is fully created.
    _claim: Option<Claim>,
}

/// The files of a run in `dir`, whether they exist or not.
pub fn files_in(dir: &Path) -> Vec<PathBuf> {
    FILES.iter().chain(&[BEST, BEST_WHOLE]).map(|name| dir.join(name)).collect()
}

/// Checks that a new run can be written to `dir`: it holds no run and is not a file.
///
/// # Errors
///
/// Returns an error if this is not so; the message says what to do instead.
pub fn check_new(dir: &Path) -> Result<()> {
    if dir.join(LOCK).exists() {
        // A folder that is being written to is reported first.
        drop(Claim::existing(dir)?);
    }
    check_empty(dir)
}

/// The same check, without regard to the lock.
pub(super) fn check_empty(dir: &Path) -> Result<()> {
    if FILES.iter().any(|name| dir.join(name).exists()) {
        if !dir.join(CHECKPOINT).exists() {
            return Err(Error::Usage(format!(
                "{} holds the remains of a run that ended before its first checkpoint; delete it or choose another folder (--out)",
                dir.display()
            )));
        }
        return Err(Error::Usage(format!(
            "{} already holds a run; resume it (--resume {}) or choose another folder (--out)",
            dir.display(),
            quoted(dir)
        )));
    }
    if dir.exists() && !dir.is_dir() {
        return Err(Error::Usage(format!("{} is not a folder; choose another one (--out)", dir.display())));
    }
    Ok(())
}

impl Run {
    /// Starts a run in a folder claimed for a new one, and writes all its files once, so that disk
    /// errors show at once. Nothing is left behind after an error.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be written.
    pub async fn create(claim: Claim, trainer: Trainer, device: &Device) -> Result<Self> {
        let dir = claim.dir().to_path_buf();
        // Where files cannot be locked, the run that creates this file first owns the folder.
        let path = dir.join(METRICS);
        let metrics = OpenOptions::new().append(true).create_new(true).open(&path).map_err(Error::io(&path))?;
        match Self::begin(&dir, trainer, metrics, device).await {
            Ok(run) => Ok(Self { _claim: Some(claim), ..run }),
            Err(error) => {
                FILES.iter().for_each(|name| drop(fs::remove_file(dir.join(name))));
                Err(error)
            }
        }
    }

    async fn begin(dir: &Path, mut trainer: Trainer, metrics: File, device: &Device) -> Result<Self> {
        files::replace_claimed(&dir.join(RECIPE), trainer.recipe().to_toml().as_bytes())?;
        let about = RunInfo::new(&mut trainer, device);
        about.write(dir)?;
        let mut run = Self::new(dir, trainer, metrics, (Vec::new(), 0), about)?;
        let checkpoint = run.checkpoint().await?;
        run.save(&checkpoint)?;
        run.draw()?;
        Ok(run)
    }

    /// Resumes the run in a folder that was claimed ([`Claim::existing`]) before its checkpoint was
    /// read; the trainer has been restored from that checkpoint ([`SavedRun::restore`]). Rows after it
    /// are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder's files cannot be read or written.
    pub async fn resume(claim: Claim, mut trainer: Trainer, device: &Device) -> Result<Self> {
        let dir = claim.dir();
        let mut about = RunInfo::new(&mut trainer, device);
        match RunInfo::read(dir) {
            Ok(Some(before)) => {
                about.changes(&before).iter().for_each(|change| log::warn!("{change}"));
                about.follow(before);
            }
            Ok(None) => {}
            Err(error) => log::warn!(
                "{error}; the run's start time and kernels are unknown, so its numbers may differ in their last bits from here on"
            ),
        }
        let position = trainer.position();
        about.resumed.push(Resumed { at: now(), step: position.step, adapter: device.adapter.clone() });
        let path = dir.join(METRICS);
        let text = match files::read_to_string(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(path)(error)),
            text => text.unwrap_or_default(),
        };
        let over = trainer.over();
        let (text, rows) = kept(&text, &path, |row| match row {
            Row::Step(row) => row.step <= position.step,
            Row::Epoch(row) => row.epoch <= position.epoch + u64::from(over),
        })?;
        if rows.iter().filter(|row| matches!(row, Row::Step(_))).count() as u64 != position.step {
            log::warn!("{}: rows of steps before {} are missing", path.display(), position.step);
        }
        files::replace_claimed(&path, text.as_bytes())?;
        if !over {
            rename(&dir.join(BEST_WHOLE), &dir.join(BEST))?;
            let best = (position.best_epoch > 0).then_some((position.best_epoch, position.best_accuracy));
            about.result = RunResult::new(&rows, best, false);
        }
        let metrics = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        files::replace_claimed(&dir.join(RECIPE), trainer.recipe().to_toml().as_bytes())?;
        about.write(dir)?;
        let mut run = Self::new(dir, trainer, metrics, (rows, text.len() as u64), about)?;
        let checkpoint = run.checkpoint().await?;
        run.save(&checkpoint)?;
        Ok(Self { _claim: Some(claim), ..run })
    }

    fn new(
        dir: &Path,
        trainer: Trainer,
        metrics: File,
        (rows, metrics_bytes): (Vec<Row>, u64),
        about: RunInfo,
    ) -> Result<Self> {
        let name = dir.file_name().map_or("run".into(), |name| name.to_string_lossy());
        let title = format!("{name} on {}", about.device.adapter);
        let (events, drawn) = (Events::open(dir, &rows)?, Instant::now());
        let dir = dir.to_path_buf();
        Ok(Self { dir, trainer, metrics, metrics_bytes, events, rows, about, title, drawn, _claim: None })
    }

    /// Advances by at most `limit` steps, as [`Trainer::advance`] does, and writes the results. No
    /// events: the run is finished.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, the training diverges or the disk cannot be written;
    /// the last checkpoint is kept then. Returns [`Error::Stopped`] when a stop is requested:
    /// [`Run::pause`] then saves all that is finished.
    pub async fn advance(&mut self, limit: u64) -> Result<Vec<Event>> {
        let events = match self.trainer.advance(limit).await {
            Ok(events) => events,
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(error) => {
                // These are useful now, but the error takes precedence.
                let _ = self.draw();
                if self.trainer.diverged().is_some() {
                    let _ = self.write_result();
                }
                return Err(self.diagnosed(error).await);
            }
        };
        self.note(&events)?;
        if events.contains(&Event::EpochEnd) {
            // A run that is killed between these files resumes from the previous checkpoint and
            // writes them again.
            let checkpoint = self.checkpoint().await?;
            self.keep(&checkpoint)?;
            self.save(&checkpoint)?;
            self.write_result()?;
            if self.trainer.over() || self.drawn.elapsed() > REDRAW {
                self.draw()?;
            }
        }
        Ok(events)
    }

    /// Writes the result so far to `run.json`.
    fn write_result(&mut self) -> Result<()> {
        let (best, diverged) = (self.best(), self.trainer.diverged().is_some());
        self.about.result = RunResult::new(&self.rows, best, diverged);
        self.about.ended = (diverged || self.trainer.over()).then(now);
        self.about.write(&self.dir)
    }

    /// The error of a run that diverged, with the layer in which it did so if that is found.
    async fn diagnosed(&mut self, error: Error) -> Error {
        if self.trainer.diverged().is_none() {
            return error;
        }
        let Ok(saved) = SavedRun::read(&self.dir) else { return error };
        self.trainer.diagnose(&saved.checkpoint).await.ok().flatten().unwrap_or(error)
    }

    /// Writes the rows of events.
    fn note(&mut self, events: &[Event]) -> Result<()> {
        let before = self.rows.len();
        self.rows.extend(events.iter().filter_map(|event| match event {
            Event::Row(row) => Some(row.clone()),
            Event::EpochEnd => None,
        }));
        let text: String = self.rows[before..].iter().map(|row| row.to_json() + "\n").collect();
        if let Err(error) = self.metrics.write_all(text.as_bytes()) {
            // Cut off a partially written row.
            let _ = self.metrics.set_len(self.metrics_bytes);
            return Err(Error::io(self.dir.join(METRICS))(error));
        }
        self.metrics_bytes += text.len() as u64;
        self.events.append(&self.rows[before..])
    }

    /// The bytes of a checkpoint of the current state.
    async fn checkpoint(&mut self) -> Result<Vec<u8>> {
        Ok(self.trainer.checkpoint().await?.to_bytes())
    }

    fn save(&self, checkpoint: &[u8]) -> Result<()> {
        // The rows must not be older than the checkpoint, even after a system crash.
        self.metrics.sync_data().map_err(Error::io(self.dir.join(METRICS)))?;
        files::replace_claimed(&self.dir.join(CHECKPOINT), checkpoint)?;
        log::info!("{}: saved step {}", self.dir.display(), self.trainer.position().step);
        Ok(())
    }

    /// Keeps an epoch's checkpoint if it is the best so far, or among the last that the recipe
    /// keeps.
    fn keep(&mut self, checkpoint: &[u8]) -> Result<()> {
        let (epoch, keep) = (self.trainer.position().epoch, self.trainer.recipe().train.keep);
        if self.rows.last().map(Row::epoch) == self.best().map(|(best, _)| best) {
            if self.trainer.position().best_whole.is_some_and(|(epoch, _)| epoch > 0) {
                rename(&self.dir.join(BEST), &self.dir.join(BEST_WHOLE))?;
            }
            files::replace_claimed(&self.dir.join(BEST), checkpoint)?;
        }
        if keep > 0 && self.trainer.position().batch == 0 {
            let of = |epoch: u64| self.dir.join(format!("epoch-{epoch:04}.safetensors"));
            files::replace_claimed(&of(epoch), checkpoint)?;
            if let Some(old) = epoch.checked_sub(keep).map(of).filter(|old| old.exists()) {
                fs::remove_file(&old).map_err(Error::io(&old))?;
            }
        }
        Ok(())
    }

    /// Epoch with the best validation accuracy so far, and that accuracy; of equal ones the first.
    /// `None` without validation images: the last epoch counts.
    pub fn best(&mut self) -> Option<(u64, f32)> {
        let position = self.trainer.position();
        (position.best_epoch > 0).then_some((position.best_epoch, position.best_accuracy))
    }

    /// Saves the current state, also within an epoch: [`Run::resume`] continues from here.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, the training has diverged, or the disk cannot be
    /// written.
    pub async fn pause(&mut self) -> Result<()> {
        let events = self.trainer.flush().await?;
        self.note(&events)?;
        if self.trainer.diverged().is_some() {
            // The last checkpoint is of a network that has not diverged: it is kept.
            self.advance(1).await?;
        }
        let checkpoint = self.checkpoint().await?;
        self.save(&checkpoint)?;
        self.draw()
    }

    fn draw(&mut self) -> Result<()> {
        self.drawn = Instant::now();
        #[cfg(feature = "report")]
        crate::plots::curve(&self.rows, &self.title, &self.dir)?;
        Ok(())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The trainer, for viewers that show more than the rows.
    pub fn trainer(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// All rows so far, including those from before the run was resumed.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Renames a file if it exists.
fn rename(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(from)(error)),
        _ => Ok(()),
    }
}

/// The lines of a `metrics.jsonl` up to the first that is not wanted or is truncated, and their
/// rows.
pub(super) fn kept(text: &str, path: &Path, wanted: impl Fn(&Row) -> bool) -> Result<(String, Vec<Row>)> {
    // A truncated row has no line end.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut rows = Row::parse_all(whole, &path.display().to_string())?;
    let count = rows.iter().position(|row| !wanted(row)).unwrap_or(rows.len());
    rows.truncate(count);
    let lines = whole.lines().filter(|line| !line.trim().is_empty()).take(count);
    Ok((lines.flat_map(|line| [line, "\n"]).collect(), rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_later_rows_are_dropped() {
        let lines =
            "{\"step\":1,\"epoch\":1,\"loss\":2.5,\"lr\":0.1}\n{\"step\":2,\"epoch\":1,\"loss\":null,\"lr\":0.1}\n";
        let first = |row: &Row| matches!(row, Row::Step(row) if row.step == 1);
        let (path, torn) = (Path::new("metrics.jsonl"), format!("{lines}{{\"step\":3,\"ep"));
        let (text, rows) = kept(&torn, path, |_| true).unwrap();
        assert_eq!((text.as_str(), rows.len()), (lines, 2));
        let (text, rows) = kept(&torn, path, first).unwrap();
        assert_eq!((text.lines().count(), rows.len()), (1, 1));
        assert_eq!(kept("{\"st", path, |_| true).unwrap(), (String::new(), Vec::new()));
        assert!(kept("[]\n", path, |_| true).unwrap_err().to_string().contains("metrics.jsonl:1"));
    }
}
