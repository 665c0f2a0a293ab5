//! Which kernels were found fast, or wrong, on an adapter: kept from one command to the next.

use super::kept::{self, Content, Kept};
use super::terminal::complain_once;
use halfwave::backend::Device;
use halfwave::backend::gpu::Request;
use halfwave::caps::Choice;
use halfwave::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is known of kernels on an adapter.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Kernels {
    /// The fastest for operations with certain shapes, as `halfwave tune` measured them.
    pub(super) choices: BTreeMap<String, Choice>,
    /// Whether kernels agreed with their references when they were first used.
    pub(super) verdicts: BTreeMap<String, bool>,
}

impl Content for Kernels {
    const NAME: &'static str = "kernels";
    const VERSION: u32 = 1;
    const WITHOUT: &'static str = "choosing kernels by estimate";
}

impl Kernels {
    /// The kernels that are never taken because they were found wrong, as `stem/name`.
    pub(super) fn shut_out(&self) -> Vec<&str> {
        self.verdicts.iter().filter(|(_, right)| !**right).map(|(kernel, _)| kernel.as_str()).collect()
    }
}

/// The file of a device.
///
/// # Errors
/// When there is no cache folder.
pub(super) fn file(device: &Device) -> Result<PathBuf> {
    kept::file::<Kernels>(device).ok_or_else(|| {
        Error::Usage("there is no cache folder to keep the result in; name one with HALFWAVE_CACHE_DIR".to_string())
    })
}

/// What is kept of a device.
pub(super) fn of(device: &Device) -> Kernels {
    let file = kept::file::<Kernels>(device);
    file.and_then(|file| Kept::read(&file, device)).map_or_else(Kernels::default, |kept| kept.content)
}

/// Changes what is kept of a device, while no other process does.
///
/// # Errors
/// When it cannot be written.
pub(super) fn change<R>(device: &Device, change: impl FnOnce(&mut Kernels) -> R) -> Result<R> {
    let file = file(device)?;
    let _lock = kept::lock(&file)?;
    let mut kernels = of(device);
    let result = change(&mut kernels);
    Kept::new(device.clone(), kernels).write(&file)?;
    Ok(result)
}

/// How to open a device with what is known of it; what becomes known is kept, too.
pub(super) fn request(device: &Device) -> Request {
    let Kernels { choices, verdicts } = of(device);
    let device = device.clone();
    let keep = move |kernel: &str, right: bool| {
        let changed = change(&device, |kernels| kernels.verdicts.insert(kernel.to_string(), right));
        if let Err(error) = changed {
            complain_once("note", &format_args!("{}", kept::not_kept::<Kernels>(&error)));
        }
    };
    Request { choices, verdicts, on_verdict: Some(Box::new(keep)), ..Request::default() }
}
