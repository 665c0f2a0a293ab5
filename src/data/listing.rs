//! Picture files that are decoded on request.
//!
//! **Invariant:** an image has the same bytes regardless of the number of threads and of what else
//! is read. Apart from its name, a file takes a few bytes of memory, however large its picture is.
use super::picture::{self, Fault};
use super::{Fit, Undecodable};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Number of damaged files that are reported individually. After that, the count is reported
/// whenever it has doubled.
const NAMED: usize = 5;

/// How files become images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// Channels, height, width.
    pub(super) shape: [usize; 3],
    pub(super) fit: Fit,
    /// What to do with damaged files.
    pub(super) undecodable: Undecodable,
}

/// Picture files in one folder, or in its subfolders, as images of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    dir: PathBuf,
    /// All names relative to `dir`, concatenated.
    names: String,
    /// The end of each name.
    ends: Vec<usize>,
    reading: Reading,
    damaged: Damaged,
}

/// The names of damaged files that are skipped, shared by all listings selected from one.
#[derive(Clone, Debug, Default)]
struct Damaged(Arc<Mutex<BTreeSet<String>>>);

/// Damage found while reading does not make the data set a different one.
impl PartialEq for Damaged {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Damaged {
    fn holds(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Adds a name; the number of names if it is new.
    fn add(&self, name: &str) -> Option<usize> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.into()).then_some(names.len())
    }
}

impl Listing {
    /// An empty listing of the folder `dir`.
    pub(super) fn new(dir: &Path, reading: Reading) -> Self {
        Self { dir: dir.into(), names: String::new(), ends: Vec::new(), reading, damaged: Damaged::default() }
    }

    pub(super) fn push(&mut self, name: &str) {
        self.names += name;
        self.ends.push(self.names.len());
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name of a file, relative to the folder.
    pub fn name(&self, at: usize) -> &str {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[begin..self.ends[at]]
    }

    pub(super) fn select(&self, positions: &[u32]) -> Self {
        let mut part = Self { damaged: self.damaged.clone(), ..Self::new(&self.dir, self.reading) };
        positions.iter().for_each(|&at| part.push(self.name(at as usize)));
        part
    }

    /// The images at `index`, and the positions in `index`, ordered, of those left blank because
    /// their files cannot be decoded. Once `stop` is set, decoding ends.
    pub(super) fn decode(&self, index: &[u32], stop: &AtomicBool) -> (Vec<u8>, Vec<(usize, Fault)>) {
        let Reading { shape, fit, .. } = self.reading;
        let image_len: usize = shape.iter().product();
        let mut images = vec![0; index.len() * image_len];
        let decode = |(at, (image, &file)): (usize, (&mut [u8], &u32))| {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let name = self.name(file as usize);
            if self.damaged.holds(name) {
                return Some((at, Fault::known()));
            }
            match picture::fitted(&self.dir.join(name), shape, fit) {
                Ok(pixels) => {
                    image.copy_from_slice(&pixels);
                    None
                }
                Err(fault) => Some((at, fault)),
            }
        };
        let each = images.par_chunks_exact_mut(image_len.max(1)).zip(index).enumerate();
        let faults = each.filter_map(decode).collect();
        (images, faults)
    }

    /// Skips the damaged file at `at` if the recipe says so, and reports it once.
    ///
    /// # Errors
    ///
    /// Returns an error if the file must not be skipped, or could not be read at all: a later
    /// attempt may succeed, and a run that continued without the file would differ from an
    /// undisturbed one.
    pub(super) fn skip(&self, at: usize, fault: Fault) -> Result<()> {
        let name = self.name(at);
        if fault.unread || self.reading.undecodable == Undecodable::Refuse {
            let advice = match fault.unread {
                true => "make it readable again, and resume the run",
                false => "replace it with an intact picture and resume the run, or write undecodable = \"skip\"",
            };
            return Err(Error::Data(format!("{}; {advice}", fault.of(&self.dir.join(name)))));
        }
        let dir = self.dir.display();
        match self.damaged.add(name) {
            Some(count) if count <= NAMED => log::warn!("{dir}: skipped {name} ({})", fault.brief),
            Some(count) if count.is_power_of_two() => {
                log::warn!("{dir}: {count} files skipped so far, the last one {name} ({})", fault.brief);
            }
            Some(_) => log::debug!("{dir}: skipped {name} ({})", fault.brief),
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(shape: [usize; 3]) -> Reading {
        Reading { shape, fit: Fit::Stretch, undecodable: Undecodable::Skip }
    }

    #[test]
    fn names_lie_behind_each_other() {
        let mut listing = Listing::new(Path::new("dir"), reading([1, 1, 1]));
        assert!(listing.is_empty());
        ["a/1.png", "b/é.png", "b/22.png"].iter().for_each(|name| listing.push(name));
        assert_eq!(
            (listing.len(), listing.name(0), listing.name(1), listing.name(2)),
            (3, "a/1.png", "b/é.png", "b/22.png")
        );
        let part = listing.select(&[2, 0, 2]);
        assert_eq!((part.len(), part.name(0), part.name(1), part.name(2)), (3, "b/22.png", "a/1.png", "b/22.png"));
    }

    #[test]
    fn nothing_is_opened_once_it_is_stopped() {
        let mut listing = Listing::new(Path::new("no/such/folder"), reading([1, 1, 2]));
        ["a.png", "b.png"].iter().for_each(|name| listing.push(name));
        let faults = |stop| listing.decode(&[1, 0, 1], &AtomicBool::new(stop)).1;
        assert_eq!(faults(false).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(faults(true).is_empty());
        let (at, fault) = listing.decode(&[1, 0], &AtomicBool::new(false)).1.remove(0);
        let message = listing.skip([1, 0][at], fault).unwrap_err().to_string();
        assert!(message.contains("b.png") && message.contains("resume the run"), "{message}");
    }
}
