//! `run.json`: the device, kernels and settings of a run, so that a resumed run reproduces the same
//! bits.

use super::Trainer;
use super::metrics::Row;
use crate::backend::{Device, gpu};
use crate::caps::{Choice, DeviceClass};
use crate::error::{Error, Result};
use crate::files;
use crate::pass::Precision;
use crate::recipe::{Memory, Train};
use crate::version::{self, Origin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Name of the file in a run's folder.
pub(super) const RUN_INFO: &str = "run.json";

/// Contents of `run.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of halfwave.
    pub halfwave: String,
    /// Commit, command line, and name of the computer, since the run was started or last resumed.
    #[serde(flatten)]
    pub origin: Origin,
    /// Version of wgpu.
    pub wgpu: String,
    /// Device that computes, since the run was started or last resumed.
    #[serde(flatten)]
    pub device: Device,
    /// Device class for which kernels were chosen.
    #[serde(alias = "launch_shape")] // up to version 0.1
    pub device_class: DeviceClass,
    /// Kernels of a step's heavy operations, keyed by site, and all others that were chosen on this
    /// device: for the short batch at the end of an epoch and for evaluations.
    #[serde(default)]
    pub kernels: BTreeMap<String, Choice>,
    /// Kernels chosen on other devices, reused when the run returns to one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    elsewhere: Vec<Elsewhere>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Images per step.
    pub batch: usize,
    /// `train.precision`: how floats are stored between the operations of a step.
    #[serde(default = "precision")] // up to version 0.1
    pub precision: String,
    /// `train.memory`: what a step's memory is optimised for.
    #[serde(default = "memory")]
    pub memory: String,
    /// Micro-batches per step.
    #[serde(default = "accumulate")]
    pub accumulate: usize,
    /// Computers and devices of all ranks that train together, such as "gpu1: NVIDIA H200", since the
    /// run was started or last resumed; none for one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<String>,
    /// Number of trainable values.
    pub parameters: usize,
    /// Hash of a step's plan.
    pub plan_hash: String,
    /// Device memory of a step, in bytes.
    pub peak_bytes: u64,
    /// Start time, UTC, RFC 3339.
    pub started: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resumed: Vec<Resumed>,
    /// Time at which it was complete or diverged, UTC, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Its result so far, from the end of the first epoch on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
}

/// The result of a run at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Steps.
    pub steps: u64,
    /// Epochs, including an incomplete one at the end.
    pub epochs: u64,
    /// Wall time of all epochs, in seconds.
    pub seconds: f64,
    /// Accuracy on the test images when they were last evaluated.
    pub test_accuracy: Option<f32>,
    /// Mean loss on the test images when they were last evaluated.
    pub test_loss: Option<f32>,
    /// Epoch with the best accuracy on the validation images, if there are any.
    pub best_epoch: Option<u64>,
    /// That accuracy.
    pub best_accuracy: Option<f32>,
    /// Whether the loss is no longer a number.
    pub diverged: bool,
}

impl RunResult {
    /// Returns the result of a run with these rows; `None` before the end of the first epoch.
    pub(super) fn new(rows: &[Row], best: Option<(u64, f32)>, diverged: bool) -> Option<Self> {
        let epochs: Vec<_> =
            rows.iter().filter_map(|row| if let Row::Epoch(row) = row { Some(row) } else { None }).collect();
        let last = epochs.last()?;
        let tested = epochs.iter().rev().find(|row| row.test_accuracy.is_some());
        Some(Self {
            steps: last.step,
            epochs: last.epoch,
            seconds: epochs.iter().map(|row| row.seconds).filter(|seconds| seconds.is_finite()).sum(),
            test_accuracy: tested.and_then(|row| row.test_accuracy),
            test_loss: tested.and_then(|row| row.test_loss),
            best_epoch: best.map(|(epoch, _)| epoch),
            best_accuracy: best.map(|(_, accuracy)| accuracy),
            diverged,
        })
    }
}

/// Kernels of a run on a device that it is not using now.
#[derive(Debug, Serialize, Deserialize)]
struct Elsewhere {
    device: Device,
    kernels: BTreeMap<String, Choice>,
}

/// Names each rank by its computer and its device.
fn named(hosts: &[String], devices: &[String]) -> Vec<String> {
    hosts.iter().zip(devices).map(|(host, device)| format!("{host}: {device}")).collect()
}

// Defaults for files written before these settings existed.
fn precision() -> String {
    Precision::default().name().to_string()
}

fn memory() -> String {
    Memory::default().name().to_string()
}

fn accumulate() -> usize {
    1
}

/// Record of a resumption.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Resumed {
    pub(super) at: String,
    pub(super) step: u64,
    pub(super) adapter: String,
}

impl RunInfo {
    pub(super) fn new(trainer: &mut Trainer, device: &Device) -> Self {
        let Train { seed, batch, precision, memory, accumulate, .. } = trainer.recipe().train;
        let session = trainer.session();
        let plan = session.plan();
        Self {
            halfwave: version::VERSION.to_string(),
            origin: Origin::here(),
            wgpu: gpu::wgpu_version(),
            device: device.clone(),
            device_class: plan.class,
            kernels: session.choices(),
            elsewhere: Vec::new(),
            seed,
            batch,
            precision: precision.name().to_string(),
            memory: memory.name().to_string(),
            accumulate,
            ranks: named(session.rank_hosts(), session.rank_devices()),
            parameters: session.parameter_len(),
            plan_hash: format!("{:016x}", plan.hash()),
            peak_bytes: session.peak_bytes(),
            started: now(),
            resumed: Vec::new(),
            ended: None,
            result: None,
        }
    }

    /// Reads `run.json` from a run's folder; `None` if the file is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is damaged.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(RUN_INFO);
        let json = match files::read_to_string(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let damaged =
            |error| Error::Data(format!("{}: not what halfwave train writes there ({error})", path.display()));
        serde_json::from_str(&json).map(Some).map_err(damaged)
    }

    /// The kernels that the run used on a device, if it has run there.
    pub fn kernels_on(&self, device: &Device) -> Option<&BTreeMap<String, Choice>> {
        let elsewhere = self.elsewhere.iter().map(|elsewhere| (&elsewhere.device, &elsewhere.kernels));
        let all = [(&self.device, &self.kernels)].into_iter().chain(elsewhere);
        all.into_iter().find_map(|(known, kernels)| (known == device).then_some(kernels))
    }

    /// Takes over the history of the run that is resumed.
    pub(super) fn follow(&mut self, before: Self) {
        let Self { device, kernels, elsewhere, started, resumed, result, .. } = before;
        let last = Elsewhere { device, kernels };
        self.elsewhere = [last].into_iter().chain(elsewhere).filter(|past| past.device != self.device).collect();
        (self.started, self.resumed, self.result) = (started, resumed, result);
    }

    /// Warnings to print when the run described by `before` is resumed.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let bits = "its numbers may differ in their last bits from here on";
        let mut changes = Vec::new();
        let known = before.kernels_on(&self.device);
        if before.device != self.device {
            let driver = match before.device.driver.as_str() {
                "" => String::new(),
                driver => format!(" (driver {driver})"),
            };
            let kernels = match known {
                Some(_) => "the kernels used here before are used again",
                None => {
                    "kernels are chosen anew for this device; the kernels of the other device are kept in case the run returns to it"
                }
            };
            changes.push(format!("the run was previously on {}{driver}: {bits}; {kernels}", before.device));
        }
        let others: Vec<_> = known.into_iter().flatten().filter(|(site, had)| self.replaces(site, had)).collect();
        if let [(site, Choice { kernel, .. }), ..] = others[..] {
            let count = others.len();
            changes.push(format!(
                "{count} of the run's kernels can no longer be used here and are replaced, so {bits}: the first is {kernel} of {site}"
            ));
        } else if before.device == self.device && before.plan_hash != self.plan_hash && !self.spends_otherwise(before) {
            changes
                .push(format!("a step's kernels differ from those used before (halfwave {}): {bits}", before.halfwave));
        }
        changes
    }

    /// Whether only the memory setting differs, which leaves the computed values the same.
    fn spends_otherwise(&self, before: &Self) -> bool {
        self.memory != before.memory && self.precision == precision()
    }

    /// Whether a different kernel runs than before. If the number of parts was not recorded, any
    /// number matches.
    fn replaces(&self, site: &str, had: &Choice) -> bool {
        let Some(now) = self.kernels.get(site) else { return false };
        now.kernel != had.kernel || had.parts.is_some() && now.parts != had.parts
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("strings and numbers are JSON");
        files::replace_claimed(&dir.join(RUN_INFO), (text + "\n").as_bytes())
    }
}

/// The current time in UTC, RFC 3339, to the second.
pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(kernel: &str, parts: Option<usize>) -> Choice {
        Choice { kernel: kernel.to_string(), parts }
    }

    fn device(adapter: &str) -> Device {
        let [adapter, backend, driver, kind] = [adapter, "Vulkan", "1.0", "GPU"].map(str::to_string);
        Device { adapter, backend, driver, kind }
    }

    fn about(adapter: &str, kernel: &str) -> RunInfo {
        RunInfo {
            halfwave: "1".to_string(),
            wgpu: "2".to_string(),
            device: device(adapter),
            device_class: DeviceClass::Gpu,
            kernels: [("conv a -> b".to_string(), choice(kernel, Some(2)))].into(),
            elsewhere: Vec::new(),
            seed: 0,
            batch: 1,
            precision: "mixed".to_string(),
            memory: "low".to_string(),
            accumulate: 2,
            ranks: Vec::new(),
            parameters: 1,
            plan_hash: kernel.to_string(),
            peak_bytes: 0,
            started: "then".to_string(),
            resumed: Vec::new(),
            origin: Origin::default(),
            ended: None,
            result: None,
        }
    }

    #[test]
    fn kernels_of_each_device_are_kept() {
        let mut second = about("b", "tile");
        second.follow(about("a", "folded"));
        let mut third = about("a", "folded");
        third.follow(second);
        let kernel =
            |adapter: &str| third.kernels_on(&device(adapter)).map(|kernels| kernels["conv a -> b"].kernel.clone());
        assert_eq!(["a", "b", "c"].map(kernel), [Some("folded".to_string()), Some("tile".to_string()), None]);
        assert_eq!((third.elsewhere.len(), third.started.as_str()), (1, "then"));
        let read: RunInfo = serde_json::from_str(&serde_json::to_string(&third).unwrap()).unwrap();
        assert_eq!(read.elsewhere[0].kernels, third.elsewhere[0].kernels);
    }

    /// A file of version 0.1 lacks the settings that did not exist then.
    #[test]
    fn earlier_files_are_read() {
        let mut json = serde_json::to_value(about("a", "tile")).unwrap();
        let read = |json: &serde_json::Value| {
            let about: RunInfo = serde_json::from_value(json.clone()).unwrap();
            (about.precision, about.memory, about.accumulate)
        };
        assert_eq!(read(&json), ("mixed".to_string(), "low".to_string(), 2));
        for key in ["precision", "memory", "accumulate"] {
            assert!(json.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
        assert_eq!(read(&json), ("f32".to_string(), "normal".to_string(), 1));
    }

    #[test]
    fn what_differs_is_said_and_nothing_else() {
        let changes = |now: &RunInfo, before: &RunInfo| now.changes(before).join("\n");
        assert_eq!(changes(&about("a", "tile"), &about("a", "tile")), "");
        let other = changes(&about("b", "tile"), &about("a", "tile"));
        assert!(
            other.contains("the run was previously on a · Vulkan · GPU (driver 1.0):") && other.contains("chosen anew"),
            "{other}"
        );
        let mut from_cpu = about("a", "tile");
        from_cpu.device = Device::cpu();
        let other = changes(&about("b", "tile"), &from_cpu);
        assert!(other.starts_with("the run was previously on the CPU backend:"), "{other}");
        let gone = changes(&about("a", "tile"), &about("a", "unknown"));
        assert!(gone.contains("the first is unknown of conv a -> b") && !gone.contains("previously on"), "{gone}");
        // Earlier versions recorded a single part, and every estimate.
        let mut before = about("a", "tile");
        before.kernels.insert("conv a -> b".to_string(), choice("tile", None));
        assert_eq!(changes(&about("a", "tile"), &before), "");
        before.plan_hash = "other".to_string();
        assert!(changes(&about("a", "tile"), &before).starts_with("a step's kernels differ"));
        // Identical values are guaranteed in single precision but not in mixed precision.
        before.memory = "normal".to_string();
        assert!(changes(&about("a", "tile"), &before).starts_with("a step's kernels differ"));
        let single = |mut about: RunInfo| {
            about.precision = "f32".to_string();
            about
        };
        assert_eq!(changes(&single(about("a", "tile")), &single(before)), "");
        let mut back = about("b", "tile");
        back.follow(about("a", "tile"));
        assert!(changes(&about("a", "tile"), &back).contains("the kernels used here before"));
    }
}
