//! The batches of an epoch, prefetched.
//!
//! **Invariant:** batches come in order and are those that [`Split::read`](super::Split::read)
//! gives. The amount prefetched is limited, and the prefetching thread ends when the reader is
//! dropped.
use super::{Dataset, Part};
use crate::{Error, Result};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Maximum number of batches to prefetch.
const MOST_BATCHES: usize = 4;

/// Maximum bytes of pixels to prefetch, unless a single batch takes more.
const MOST_BYTES: usize = 256 << 20;

/// Images of a batch with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// As returned by [`Split::read`](super::Split::read): N, H, W, C.
    pub pixels: Vec<u8>,
    /// One label per image.
    pub labels: Vec<u32>,
}

/// Prefetches batches on a separate thread, which decodes on all cores: at most four batches and
/// 256 MiB of pixels, but always one. Dropping it frees pending batches and stops decoding after
/// the pictures in progress.
pub struct Prefetch(Ahead<Result<Batch>>);

impl Prefetch {
    /// Starts to read `batches` of a part of `dataset`: indices in that split, in order. To resume
    /// within an epoch, give its remaining batches.
    ///
    /// # Errors
    ///
    /// Returns an error if the data set does not have the part, or the system cannot start a
    /// thread.
    pub fn new(dataset: Arc<Dataset>, part: Part, batches: Vec<Vec<u32>>) -> Result<Self> {
        let missing = || Error::Data(format!("{}: there are no {} images", dataset.name, part.name()));
        let image_len = dataset.part(part).ok_or_else(missing)?.image_len();
        let batch_bytes = image_len * batches.iter().map(Vec::len).max().unwrap_or(0);
        let count = batches.len();
        let read = move |at: usize, stop: &AtomicBool| {
            let (split, index) = (dataset.part(part).expect("the part exists"), &batches[at]);
            Ok(Batch { pixels: split.read_until(index, stop)?, labels: split.labels_at(index) })
        };
        Ahead::new(count, most_ahead(batch_bytes), read).map(Self)
    }
}

/// Number of batches of `batch_bytes` bytes to prefetch.
fn most_ahead(batch_bytes: usize) -> usize {
    (MOST_BYTES / batch_bytes.max(1)).clamp(1, MOST_BATCHES)
}

impl Iterator for Prefetch {
    /// A batch, or the error of the first file in it that cannot be decoded; the batches after it
    /// still follow.
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Items produced ahead of their use by a thread.
struct Ahead<T> {
    /// Number of items not yet returned.
    left: usize,
    made: Option<Receiver<T>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Produces items 0 to `count`, at most `most` of them ahead, which is at least 1. `make` may
    /// return early once its second argument is set.
    fn new(count: usize, most: usize, mut make: impl FnMut(usize, &AtomicBool) -> T + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        // One item is being produced or waits for room; the others are in the channel.
        let ((sender, made), stopped) = (sync_channel(most - 1), Arc::clone(&stop));
        let work = move || {
            for at in 0..count {
                let thing = make(at, &stopped);
                // The receiver is gone once this was dropped.
                if stopped.load(Ordering::Relaxed) || sender.send(thing).is_err() {
                    return;
                }
            }
        };
        let unlent = |error| Error::Data(format!("cannot start a thread to prefetch images: {error}"));
        let thread = Builder::new().name("prefetch".into()).spawn(work).map_err(unlent)?;
        Ok(Self { left: count, made: Some(made), thread: Some(thread), stop })
    }
}

impl<T> Iterator for Ahead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        match self.made.as_ref().and_then(|made| made.recv().ok()) {
            Some(thing) => Some(thing),
            // It ended early: only by a panic, which is passed on to the caller as if it had read
            // the images itself.
            None => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => resume_unwind(panic),
                _ => None,
            },
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes a thread that waits for room.
        self.made = None;
        // A panic has already been reported.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    /// Counts live instances.
    struct Counted(Arc<AtomicUsize>, usize);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn large_batches_are_few() {
        let mib = |mib: usize| most_ahead(mib << 20);
        assert_eq!([0, 1, 64, 65, 85, 86, 128, 129, 256, 257, 5000].map(mib), [4, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn things_come_in_order_and_few_are_ahead() {
        for most in 1..=4 {
            let (alive, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (counted, begins) = (Arc::clone(&alive), Arc::clone(&begun));
            let make = move |at, _: &AtomicBool| {
                begins.fetch_add(1, Ordering::SeqCst);
                counted.fetch_add(1, Ordering::SeqCst);
                Counted(Arc::clone(&counted), at)
            };
            let mut ahead = Ahead::new(40, most, make).unwrap();
            for at in 0..40 {
                // A slow reader: the maximum number of items is ready, and no more are started.
                let (began, wanted) = (Instant::now(), (at + most).min(40));
                while begun.load(Ordering::SeqCst) < wanted && began.elapsed() < Duration::from_secs(20) {
                    std::thread::yield_now();
                }
                if at % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
                assert_eq!(begun.load(Ordering::SeqCst), wanted, "{most} ahead");
                assert!(alive.load(Ordering::SeqCst) <= most);
                assert_eq!(ahead.next().unwrap().1, at);
            }
            assert!(ahead.next().is_none());
            assert_eq!(alive.load(Ordering::SeqCst), 0);
        }
    }

    #[test]
    fn a_reader_that_is_dropped_leaves_nothing() {
        // Before anything is taken, in the middle, and while the thread waits within an item.
        for taken in [0, 1, 7] {
            let alive = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&alive);
            let make = move |at, stop: &AtomicBool| {
                counted.fetch_add(1, Ordering::SeqCst);
                let counts = Counted(Arc::clone(&counted), at);
                while at == 8 && !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                counts
            };
            let mut ahead = Ahead::new(usize::MAX, 3, make).unwrap();
            assert!((0..taken).all(|at| ahead.next().unwrap().1 == at));
            let (stop, began) = (Arc::clone(&ahead.stop), Instant::now());
            drop(ahead);
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            // Items, closure and thread are gone: this is the last reference to them.
            assert_eq!((alive.load(Ordering::SeqCst), Arc::strong_count(&alive), Arc::strong_count(&stop)), (0, 1, 1));
        }
    }

    #[test]
    #[should_panic(expected = "the second one is broken")]
    fn a_panic_is_the_readers() {
        let mut ahead = Ahead::new(3, 2, |at, _| assert!(at != 1, "the second one is broken")).unwrap();
        ahead.by_ref().for_each(drop);
    }
}
