//! Data about an adapter that is kept between commands, in the user's cache folder: one file for
//! each kind of content, keyed by adapter, driver, halfwave version and format version.
//!
//! **Invariant:** the cache is a convenience: any problem with it results in a note, never in an
//! error.

use super::terminal::print_message_once;
use halfwave::backend::Device;
use halfwave::bits::{FNV_START, fnv_1a};
use halfwave::{Error, Result, files};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A kind of content.
pub(super) trait Content: Serialize + DeserializeOwned {
    /// Name used as the prefix of file names, and in messages.
    const NAME: &'static str;
    /// Version of the format.
    const VERSION: u32;
    /// What happens without the content, for messages.
    const WITHOUT: &'static str;
}

/// Content together with the device it belongs to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Kept<T> {
    /// Version of halfwave.
    halfwave: String,
    /// Version of the format.
    version: u32,
    /// The device.
    pub(super) device: Device,
    /// Time of the measurement, in UTC.
    pub(super) when: String,
    #[serde(flatten)]
    pub(super) content: T,
}

impl<T: Content> Kept<T> {
    /// Creates new content.
    pub(super) fn new(device: Device, content: T) -> Self {
        let when = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        Self { halfwave: halfwave::version::VERSION.to_string(), version: T::VERSION, device, when, content }
    }

    /// Reads a file; returns `None` unless it is complete and belongs to this device.
    pub(super) fn read(file: &Path, device: &Device) -> Option<Self> {
        let useless = |why: &dyn std::fmt::Display| {
            print_message_once("note", &format_args!("{} is unusable ({why}); {}", file.display(), T::WITHOUT));
        };
        // Reading a pipe could block.
        let text = match regular(file).and_then(|()| fs::read_to_string(file)) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    useless(&error);
                }
                return None;
            }
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(kept) => {
                let own = (halfwave::version::VERSION, T::VERSION);
                let same = kept.device == *device && (kept.halfwave.as_str(), kept.version) == own;
                if !same {
                    useless(&"it belongs to another device or version");
                }
                same.then_some(kept)
            }
            Err(error) => {
                useless(&error);
                None
            }
        }
    }

    /// Writes the content to a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written, or if the path is not a regular file.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("what is kept is plain data") + "\n";
        make_folder(file)?;
        regular(file).or_else(unless_missing).map_err(Error::io(file))?;
        files::replace(file, text.as_bytes())
    }
}

/// Returns the message for content that cannot be saved.
pub(super) fn not_kept<T: Content>(error: &Error) -> String {
    format!("the {} are not saved: {error}; set HALFWAVE_CACHE_DIR to another folder", T::NAME)
}

/// Number of attempts to take a lock that another process holds, and the pause between them. Locks
/// are held only briefly.
const ATTEMPTS: (u32, Duration) = (250, Duration::from_millis(20));

/// Prevents other processes from changing a file until the lock is dropped.
///
/// The lock is on a separate file, which is never deleted, because the file itself is replaced.
///
/// # Errors
///
/// Returns an error if the lock file cannot be created, or if another process does not release it
/// in time.
pub(super) fn lock(file: &Path) -> Result<File> {
    make_folder(file)?;
    let path = file.with_extension("lock");
    regular(&path).or_else(unless_missing).map_err(Error::io(&path))?;
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let lock = opened.map_err(Error::io(&path))?;
    let (attempts, pause) = ATTEMPTS;
    for _ in 0..attempts {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
            Err(TryLockError::Error(error)) => {
                log::warn!(
                    "{}: files cannot be locked here ({error}); data saved by several processes at once may be lost",
                    path.display()
                );
                return Ok(lock);
            }
        }
    }
    Err(Error::Usage(format!("{}: another process holds the lock; try again when it has ended", path.display())))
}

/// Creates the parent folder of a file.
fn make_folder(file: &Path) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))
}

/// Returns an error unless the path is a regular file.
fn regular(file: &Path) -> io::Result<()> {
    match fs::metadata(file)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Maps a missing file to `Ok`.
fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Returns the file for this kind of content of a device, or `None` if there is no cache folder.
pub(super) fn file<T: Content>(device: &Device) -> Option<PathBuf> {
    Some(folder(std::env::var_os("HALFWAVE_CACHE_DIR"))?.join(file_name::<T>(device)))
}

/// Returns `HALFWAVE_CACHE_DIR`, or a folder in the user's cache folder.
fn folder(named: Option<OsString>) -> Option<PathBuf> {
    let named = named.filter(|named| !named.is_empty());
    named.map(PathBuf::from).or_else(|| Some(dirs::cache_dir()?.join("halfwave")))
}

fn file_name<T: Content>(device: &Device) -> String {
    let Device { adapter, backend, driver, .. } = device;
    let key = format!("{adapter}\n{backend}\n{driver}\n{}\n{}", halfwave::version::VERSION, T::VERSION);
    format!("{}-{:016x}.json", T::NAME, fnv_1a(FNV_START, key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    struct Numbers {
        numbers: Vec<u32>,
    }

    impl Content for Numbers {
        const NAME: &'static str = "numbers";
        const VERSION: u32 = 3;
        const WITHOUT: &'static str = "doing without";
    }

    type Sample = Kept<Numbers>;

    fn sample() -> Sample {
        let device = Device { adapter: "a".into(), backend: "Vulkan".into(), driver: "1".into(), kind: "other".into() };
        Kept::new(device, Numbers { numbers: vec![1, 2] })
    }

    #[test]
    fn what_is_kept_comes_back_if_it_is_whole_and_of_the_same_device() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("a/b/kept.json");
        let sample = sample();
        assert_eq!(Sample::read(&file, &sample.device), None);
        sample.write(&file).unwrap();
        assert_eq!(Sample::read(&file, &sample.device), Some(sample.clone()));
        let other = Device { driver: "2".to_string(), ..sample.device.clone() };
        assert_eq!(Sample::read(&file, &other), None);
        assert_ne!(file_name::<Numbers>(&sample.device), file_name::<Numbers>(&other));
        Kept { version: Numbers::VERSION + 1, ..sample.clone() }.write(&file).unwrap();
        assert_eq!(Sample::read(&file, &sample.device), None);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(Sample::read(&file, &sample.device), None);
        // A file where a folder should be, and a folder where a file should be.
        assert!(sample.write(&file.join("below.json")).is_err());
        let folder = base.path().join("folder.json");
        fs::create_dir(&folder).unwrap();
        assert_eq!(Sample::read(&folder, &sample.device), None);
        assert!(sample.write(&folder).is_err() && folder.is_dir());
    }

    /// Reading and locking do not block on a pipe.
    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_place_of_a_file_is_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let [file, lock_file] = ["kept.json", "kept.lock"].map(|name| base.path().join(name));
        for path in [&file, &lock_file] {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }
        let sample = sample();
        assert_eq!(Sample::read(&file, &sample.device), None);
        assert!(sample.write(&file).unwrap_err().to_string().contains("not a regular file"));
        assert!(lock(&file).unwrap_err().to_string().contains("not a regular file"));
        assert!(!fs::metadata(&file).unwrap().is_file());
    }

    /// Reading, changing and writing are atomic: no concurrent change is lost.
    #[test]
    fn changes_of_many_are_all_kept() {
        let base = tempfile::tempdir().unwrap();
        let (file, device) = (base.path().join("kept.json"), sample().device);
        let add = |number: u32| {
            let _lock = lock(&file).unwrap();
            let mut numbers = Sample::read(&file, &device).map_or_else(Vec::new, |kept| kept.content.numbers);
            numbers.push(number);
            Kept::new(device.clone(), Numbers { numbers }).write(&file).unwrap();
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || (0..10).for_each(|at| add(10 * thread + at)));
            }
        });
        let mut numbers = Sample::read(&file, &device).unwrap().content.numbers;
        numbers.sort_unstable();
        assert_eq!(numbers, (0..80).collect::<Vec<_>>());
    }

    #[test]
    fn the_cache_folder_can_be_chosen() {
        assert_eq!(folder(Some("/somewhere".into())), Some(PathBuf::from("/somewhere")));
        assert!(folder(Some("".into())).is_none_or(|folder| folder.ends_with("halfwave")));
    }
}
