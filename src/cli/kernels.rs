//! Kernel choices and verdicts of an adapter, kept between commands.

use super::kept::{self, Content, Kept};
use super::terminal::print_message_once;
use halfwave::backend::Device;
use halfwave::backend::gpu::Request;
use halfwave::caps::Choice;
use halfwave::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Known facts about the kernels on an adapter.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Kernels {
    /// The fastest kernel for each operation with given shapes, as measured by `halfwave tune`.
    pub(super) choices: BTreeMap<String, Choice>,
    /// Whether each kernel agreed with its reference implementation on first use.
    pub(super) verdicts: BTreeMap<String, bool>,
}

impl Content for Kernels {
    const NAME: &'static str = "kernels";
    const VERSION: u32 = 1;
    const WITHOUT: &'static str = "choosing kernels by estimate";
}

impl Kernels {
    /// Returns the kernels that are excluded because their results were wrong, as `stem/name`.
    pub(super) fn excluded(&self) -> Vec<&str> {
        self.verdicts.iter().filter(|(_, right)| !**right).map(|(kernel, _)| kernel.as_str()).collect()
    }
}

/// Returns the cache file of a device.
///
/// # Errors
///
/// Returns an error if there is no cache folder.
pub(super) fn file(device: &Device) -> Result<PathBuf> {
    kept::file::<Kernels>(device).ok_or_else(|| {
        Error::Usage("there is no cache folder for the results; set HALFWAVE_CACHE_DIR to a folder".to_string())
    })
}

/// Returns the cached data of a device.
pub(super) fn of(device: &Device) -> Kernels {
    let file = kept::file::<Kernels>(device);
    file.and_then(|file| Kept::read(&file, device)).map_or_else(Kernels::default, |kept| kept.content)
}

/// Changes the cached data of a device, under a lock.
///
/// # Errors
///
/// Returns an error if the file cannot be locked or written.
pub(super) fn change<R>(device: &Device, change: impl FnOnce(&mut Kernels) -> R) -> Result<R> {
    let file = file(device)?;
    let _lock = kept::lock(&file)?;
    let mut kernels = of(device);
    let result = change(&mut kernels);
    Kept::new(device.clone(), kernels).write(&file)?;
    Ok(result)
}

/// Returns the options to open a device with, including its cached data; new verdicts are cached as
/// well.
pub(super) fn request(device: &Device) -> Request {
    let Kernels { choices, verdicts } = of(device);
    let device = device.clone();
    let keep = move |kernel: &str, right: bool| {
        let changed = change(&device, |kernels| kernels.verdicts.insert(kernel.to_string(), right));
        if let Err(error) = changed {
            print_message_once("note", &format_args!("{}", kept::not_kept::<Kernels>(&error)));
        }
    };
    Request { choices, verdicts, on_verdict: Some(Box::new(keep)), ..Request::default() }
}
