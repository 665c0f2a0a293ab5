//! Picture files that are decoded when they are asked for.
//!
//! **Invariant:** an image is the same bytes however many threads decode and whatever else is read. A file takes its name and
//! a few bytes of memory, however large its picture is.
use super::picture;
use crate::recipe::Fit;
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Picture files in one folder, or in folders inside it, as images of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    dir: PathBuf,
    /// All names, from `dir` on, one behind the other.
    names: String,
    /// Where each ends.
    ends: Vec<usize>,
    shape: [usize; 3],
    fit: Fit,
}

impl Listing {
    /// No files yet, of the folder `dir`; pictures become images of the `shape` (channels, height, width).
    pub(super) fn new(dir: &Path, shape: [usize; 3], fit: Fit) -> Self {
        Self { dir: dir.into(), names: String::new(), ends: Vec::new(), shape, fit }
    }

    pub(super) fn push(&mut self, name: &str) {
        self.names += name;
        self.ends.push(self.names.len());
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name of a file, from the folder on.
    pub fn name(&self, at: usize) -> &str {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[begin..self.ends[at]]
    }

    pub(super) fn select(&self, places: &[u32]) -> Self {
        let mut part = Self::new(&self.dir, self.shape, self.fit);
        places.iter().for_each(|&at| part.push(self.name(at as usize)));
        part
    }

    /// The images at `index`, and which of them (as places in `index`) are blank because their files cannot be decoded. Once
    /// `stop` is set, nothing more is decoded.
    pub(super) fn decode(&self, index: &[u32], stop: &AtomicBool) -> (Vec<u8>, Vec<(usize, Error)>) {
        let image_len: usize = self.shape.iter().product();
        let mut images = vec![0; index.len() * image_len];
        let decode = |(at, (image, &file)): (usize, (&mut [u8], &u32))| {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            match picture::fitted(&self.dir.join(self.name(file as usize)), self.shape, self.fit) {
                Ok(pixels) => {
                    image.copy_from_slice(&pixels);
                    None
                }
                Err(error) => Some((at, error)),
            }
        };
        let each = images.par_chunks_exact_mut(image_len.max(1)).zip(index).enumerate();
        let faults = each.filter_map(decode).collect();
        (images, faults)
    }

    /// The same, or the first error.
    pub(super) fn read(&self, index: &[u32], stop: &AtomicBool) -> Result<Vec<u8>> {
        let (images, faults) = self.decode(index, stop);
        match faults.into_iter().next() {
            None => Ok(images),
            // The order of an epoch is a permutation of all places: one that falls away would change every run.
            Some((_, error)) => Err(Error::Data(format!(
                "{error}; it was counted before it was decoded, and cannot be skipped now: put a whole picture in its \
                 place and resume the run, or remove it and begin anew"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_behind_each_other() {
        let mut listing = Listing::new(Path::new("dir"), [1, 1, 1], Fit::Stretch);
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
        let mut listing = Listing::new(Path::new("no/such/folder"), [1, 1, 2], Fit::Stretch);
        ["a.png", "b.png"].iter().for_each(|name| listing.push(name));
        let faults = |stop| listing.decode(&[1, 0, 1], &AtomicBool::new(stop)).1;
        assert_eq!(faults(false).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(faults(true).is_empty());
        let message = listing.read(&[1, 0], &AtomicBool::new(false)).unwrap_err().to_string();
        assert!(message.contains("b.png") && message.contains("resume the run"), "{message}");
    }
}
