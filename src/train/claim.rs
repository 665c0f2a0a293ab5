//! Exclusive write access to a folder: one process at a time, by an advisory lock of the operating
//! system on a file in it. The lock ends with the process, however it ends, so a lock file that was
//! left behind has no effect.
//!
//! Readers take no lock: every file in a run's folder is complete at all times ([`super::run`]).

use super::run;
use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Name of the lock file in a folder. It records who holds the lock, and is removed at the end.
pub const LOCK: &str = "run.lock";

/// Number of attempts to create a folder that other processes remove before the lock is taken.
const ATTEMPTS: usize = 100;

/// Exclusive write access to a folder, until dropped.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    lock: File,
    /// Folders created by this claim, innermost first; at the end they are removed if empty.
    made: Vec<PathBuf>,
}

impl Claim {
    /// Claims a folder for a new run.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder already holds a run, another process writes in it, or it
    /// cannot be written.
    pub fn new(dir: &Path) -> Result<Self> {
        run::check_new(dir)?;
        let claim = Self::folder(dir)?;
        // Another process may have started and finished a run in between.
        run::check_empty(dir)?;
        Ok(claim)
    }

    /// Claims a folder for a new run: the first of `<base>/<name>-1`, `-2`, … that does not exist.
    /// Processes that ask at the same time each get a different one.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be written.
    pub fn numbered(base: &Path, name: &str) -> Result<Self> {
        let (mut made, mut number, mut attempts) = (missing(base), 1u32, 0);
        loop {
            let dir = base.join(format!("{name}-{number}"));
            match fs::create_dir_all(base).and_then(|()| fs::create_dir(&dir)) {
                Ok(()) => {
                    made.insert(0, dir.clone());
                    return Self::take(&dir, made);
                }
                // Anything of that name, including a dangling link.
                Err(_) if dir.symlink_metadata().is_ok() => number += 1,
                // Another process that created the base has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(Error::io(&dir)(error)),
            }
        }
    }

    /// Claims any folder, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if another process writes in the folder, or it cannot be written.
    pub fn folder(dir: &Path) -> Result<Self> {
        Self::take(dir, missing(dir))
    }

    /// Claims an existing folder.
    ///
    /// # Errors
    ///
    /// Returns an error if another process writes in the folder, or it cannot be written.
    pub fn existing(dir: &Path) -> Result<Self> {
        Self::take(dir, Vec::new())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn take(dir: &Path, made: Vec<PathBuf>) -> Result<Self> {
        match Self::lock(dir, !made.is_empty()) {
            Ok(lock) => Ok(Self { dir: dir.to_path_buf(), lock, made }),
            Err(error) => {
                remove(&made);
                Err(error)
            }
        }
    }

    /// The locked file of a folder; with `make`, a missing folder is created.
    fn lock(dir: &Path, make: bool) -> Result<File> {
        let path = dir.join(LOCK);
        for _ in 0..ATTEMPTS {
            if make {
                fs::create_dir_all(dir).map_err(Error::io(dir))?;
            }
            let mut lock = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound && make => continue,
                opened => opened.map_err(Error::io(&path))?,
            };
            if !locked(lock.try_lock(), dir) {
                return Err(in_use(dir, &mut lock));
            }
            // The owner may have removed the file since it was opened: then the lock is on a file
            // that others cannot see.
            if bears(&lock, &path) {
                // The text is only informative, so writing it may fail.
                let text = format!("{} {}\n", std::process::id(), run::now());
                let _ = lock.set_len(0).and_then(|()| lock.write_all(text.as_bytes()));
                return Ok(lock);
            }
        }
        Err(Error::Usage(format!("{}: other processes keep taking the folder; try again", dir.display())))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let path = self.dir.join(LOCK);
        // The folder may have been moved and replaced by another. Windows cannot detect this, so
        // the file is left there.
        if cfg!(unix) && bears(&self.lock, &path) {
            let _ = fs::remove_file(&path);
        }
        remove(&self.made);
    }
}

/// Removes those of the folders that are empty.
fn remove(folders: &[PathBuf]) {
    folders.iter().for_each(|dir| drop(fs::remove_dir(dir)));
}

/// The folders that must be created for `dir`, innermost first.
fn missing(dir: &Path) -> Vec<PathBuf> {
    let absent = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    dir.ancestors().take_while(absent).map(Path::to_path_buf).collect()
}

/// Whether this process may write. Where files cannot be locked it may, with a warning.
fn locked(outcome: Result<(), TryLockError>, dir: &Path) -> bool {
    match outcome {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => {
            let dir = dir.display();
            log::warn!("{dir}: files cannot be locked here ({error}); make sure that no other process trains there");
            true
        }
    }
}

/// Whether `path` still names this file.
#[cfg(unix)]
fn bears(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let same = |file: fs::Metadata, named: fs::Metadata| id(file) == id(named);
    file.metadata().is_ok_and(|file| fs::metadata(path).is_ok_and(|named| same(file, named)))
}

/// Lock files are never removed here.
#[cfg(not(unix))]
fn bears(_: &File, _: &Path) -> bool {
    true
}

/// The error when the folder is in use: who holds the lock, if that can be read, and what to do.
fn in_use(dir: &Path, lock: &mut File) -> Error {
    let mut text = String::new();
    let read = lock.read_to_string(&mut text);
    let dir = dir.display();
    Error::Usage(match text.split_once(' ').filter(|_| read.is_ok()) {
        Some((process, since)) => format!(
            "{dir} is in use: process {process} has been writing there since {}; wait until it ends, stop it (kill {process}), or choose another folder",
            since.trim()
        ),
        None => format!("{dir} is in use: another process writes there; wait until it ends, or choose another folder"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_folder_has_one_owner_and_is_left_as_it_was() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/b");
        let claim = Claim::new(&dir).unwrap();
        for again in [Claim::new(&dir), Claim::folder(&dir), Claim::existing(&dir)] {
            let message = again.unwrap_err().to_string();
            let process = format!("process {} ", std::process::id());
            assert!(message.contains("a/b is in use") && message.contains(&process), "{message}");
        }
        drop(claim);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0, "nothing is left");
        fs::create_dir_all(&dir).unwrap();
        // A lock file left by a killed process has no effect.
        fs::write(dir.join(LOCK), "1 2026-01-01T00:00:00Z\n").unwrap();
        drop(Claim::existing(&dir).unwrap());
        assert!(dir.is_dir() && fs::read_dir(&dir).unwrap().next().is_none());
        assert!(Claim::existing(&base.path().join("c")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_moved_folder_stays_claimed_and_its_successor_is_not_touched() {
        let base = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| base.path().join(name));
        let first = Claim::new(&a).unwrap();
        fs::rename(&a, &b).unwrap();
        assert!(Claim::existing(&b).unwrap_err().to_string().contains("in use"));
        let second = Claim::new(&a).unwrap();
        drop(first);
        assert!(Claim::existing(&a).unwrap_err().to_string().contains("in use"));
        drop(second);
    }

    #[test]
    fn where_nothing_can_be_locked_a_run_goes_on() {
        let error = std::io::Error::from(ErrorKind::Unsupported);
        assert!(locked(Err(TryLockError::Error(error)), Path::new("a")) && locked(Ok(()), Path::new("a")));
        assert!(!locked(Err(TryLockError::WouldBlock), Path::new("a")));
    }

    #[test]
    fn numbers_are_the_first_free_and_each_is_given_once() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("new/runs");
        let claim = || Claim::numbered(&runs, "a").unwrap();
        drop(claim());
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0, "nothing is left");
        fs::create_dir_all(runs.join("a-2")).unwrap();
        let claims = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let found: BTreeSet<_> = claims.iter().map(|claim| claim.dir().to_path_buf()).collect();
        let wanted = (1..=17).filter(|n| *n != 2).map(|n| runs.join(format!("a-{n}")));
        assert_eq!(found, wanted.collect());
    }

    /// Owners come and go while others wait for their turn: never two at a time.
    #[test]
    fn never_two_owners_while_lock_files_come_and_go() {
        let base = tempfile::tempdir().unwrap();
        let (dir, owners) = (base.path().join("a"), std::sync::atomic::AtomicUsize::new(0));
        let turns = std::thread::scope(|scope| {
            let take = || {
                let mut turns = 0;
                for _ in 0..300 {
                    let Ok(_claim) = Claim::new(&dir) else { continue };
                    assert_eq!(owners.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two owners");
                    std::thread::yield_now();
                    owners.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    turns += 1;
                }
                turns
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert!(turns >= 4, "{turns}");
    }
}
