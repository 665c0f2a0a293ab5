//! Finding and opening an adapter.

use super::environment::Environment;
use super::trusted;
use crate::caps::{Caps, Choice, Coop, DeviceClass};
use crate::error::{Error, LESS_MEMORY, Result};
use crate::kernel::MOST_BUFFERS;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Properties of an adapter that are available before it is opened.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AdapterReport {
    /// The device's name.
    pub name: String,
    /// "Vulkan", "Metal", "Dx12" or "BrowserWebGpu".
    pub backend: String,
    /// The driver's name and version, if reported.
    pub driver: String,
    /// "discrete GPU", "integrated GPU", "virtual GPU", "software" or "other".
    pub kind: &'static str,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features that faster kernels could use, and timestamps.
    pub features: Vec<&'static str>,
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Storage buffers that a kernel can bind.
    pub storage_buffers: u32,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// Largest workgroup size in invocations.
    pub workgroup_threads: u32,
}

/// An adapter that can be opened.
#[derive(Clone)]
pub struct Found {
    /// Its properties.
    pub report: AdapterReport,
    pub(super) adapter: wgpu::Adapter,
}

impl Found {
    /// Returns the cooperative matrices that kernels use on it, unless `HALFWAVE_COOP=0` disables
    /// them.
    pub fn coop(&self) -> Option<Coop> {
        coop(&self.adapter)
    }
}

/// Reported features.
const FEATURES: [(&str, wgpu::Features); 5] = [
    ("shader-f16", wgpu::Features::SHADER_F16),
    ("subgroups", wgpu::Features::SUBGROUP),
    ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
    ("cooperative-matrix", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    ("pipeline-cache", wgpu::Features::PIPELINE_CACHE),
];

pub(super) fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let (kind, software) = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => ("discrete GPU", false),
        wgpu::DeviceType::IntegratedGpu => ("integrated GPU", false),
        wgpu::DeviceType::VirtualGpu => ("virtual GPU", false),
        wgpu::DeviceType::Cpu => ("software", true),
        wgpu::DeviceType::Other => ("other", false),
    };
    AdapterReport {
        name: if info.name.is_empty() { "unnamed adapter".to_string() } else { info.name },
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        kind,
        software,
        features: FEATURES.iter().filter(|(_, feature)| features.contains(*feature)).map(|(name, _)| *name).collect(),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        workgroup_threads: limits.max_compute_invocations_per_workgroup,
    }
}

/// Finds the adapters that can run compute shaders, GPUs before software, according to wgpu's
/// environment variables. In a browser, finds the one that it offers.
///
/// Invalid variables are logged; [`Environment::read`] returns them as errors.
pub async fn find() -> Vec<Found> {
    let environment = Environment::read().inspect_err(|error| log::error!("{error}"));
    environment.unwrap_or_default().find().await
}

/// Returns the version of wgpu that the crate is built with, as given in `Cargo.toml`.
pub fn wgpu_version() -> String {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().expect("cargo has read it");
    manifest["dependencies"]["wgpu"]["version"].as_str().expect("wgpu has a version").to_string()
}

/// Returns the adapter that `wanted` names, a number from the list or a part of its name; the first
/// adapter by default.
///
/// # Errors
///
/// Returns an error if there is none; the message lists those that exist.
pub fn choose(mut found: Vec<Found>, wanted: Option<&str>) -> Result<Found> {
    let reports: Vec<_> = found.iter().map(|found| &found.report).collect();
    let wanted = wanted.unwrap_or("0");
    match position(&reports, wanted) {
        Some(index) => Ok(found.swap_remove(index)),
        None => Err(no_such(&reports, &format!("no adapter \"{wanted}\""))),
    }
}

/// Returns the index of the adapter that `wanted` names, a number from the list or a part of its
/// name.
pub fn position(reports: &[&AdapterReport], wanted: &str) -> Option<usize> {
    match wanted.parse::<usize>() {
        // Longer numbers are parts of names, such as 4090. Short ones may be as well, but 1 is
        // unlikely to mean LLVM 15.
        Ok(index) if index < 100 => (index < reports.len()).then_some(index),
        _ => called(reports, wanted),
    }
}

/// Returns the index of the first adapter whose name contains `part`.
pub fn called(reports: &[&AdapterReport], part: &str) -> Option<usize> {
    reports.iter().position(|report| report.name.to_lowercase().contains(&part.to_lowercase()))
}

/// Returns an error for an adapter that does not exist, with a list of those that do.
pub fn no_such(reports: &[&AdapterReport], what: &str) -> Error {
    let names: Vec<_> = reports.iter().enumerate().map(|(i, report)| format!("{i}: {}", report.name)).collect();
    Error::Device(match names.is_empty() {
        true => format!("{what}; there is only cpu; `halfwave devices` says what a GPU needs"),
        false => format!("{what}; there are: {}, and cpu; `halfwave devices` shows more", names.join(", ")),
    })
}

/// The first fault of a device: a validation error, out of memory, or device loss.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<(Cause, String)>>>);

/// Severity of a fault's message; a later variant is more informative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// A command was rejected. A browser's device may do this before it reports its loss.
    Symptom,
    /// Device loss.
    Loss,
    /// Out of memory.
    Memory,
}

impl Fault {
    fn set(&self, cause: Cause, message: String) {
        log::error!("{message}");
        if let Ok(mut slot) = self.0.lock()
            && slot.as_ref().is_none_or(|(first, _)| *first < cause)
        {
            *slot = Some((cause, message));
        }
    }

    /// Returns an error once a fault has occurred.
    pub(super) fn check(&self) -> Result<()> {
        let message = self.0.lock().ok().and_then(|slot| slot.clone());
        message.map_or(Ok(()), |(cause, message)| match cause {
            Cause::Memory => Err(Error::Memory(message)),
            Cause::Symptom | Cause::Loss => Err(Error::Device(message)),
        })
    }
}

/// An opened device.
pub(super) struct Opened {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) caps: Caps,
    pub(super) fault: Fault,
    pub(super) report: AdapterReport,
}

/// Callback for the verdict on a kernel, named as in [`Caps::verdicts`]: whether it agreed with the
/// reference implementation.
pub type OnVerdict = Box<dyn Fn(&str, bool)>;

/// Options for opening an adapter.
#[derive(Default)]
pub struct Request {
    /// The device class that kernels are chosen for; the adapter's own by default.
    pub class: Option<DeviceClass>,
    /// Requested kernels: [`Caps::choices`].
    pub choices: BTreeMap<String, Choice>,
    /// Whether all kernels run with wgpu's checks, which `HALFWAVE_CHECKS=1` also enables.
    pub checks: bool,
    /// Known verdicts on kernels on this adapter: [`Caps::verdicts`].
    pub verdicts: BTreeMap<String, bool>,
    /// Called for every new verdict.
    pub on_verdict: Option<OnVerdict>,
    /// Cooperative matrices to emulate, instead of the adapter's own; the adapter must support half
    /// floats.
    pub emulate: Option<Coop>,
    /// An empty folder in which all calls to the device are recorded, for replay with wgpu's
    /// `player`; only with the feature `trace`, and not in browsers.
    pub api_trace: Option<PathBuf>,
}

impl From<Option<DeviceClass>> for Request {
    fn from(class: Option<DeviceClass>) -> Self {
        Self { class, ..Self::default() }
    }
}

/// Returns the largest usable cooperative matrices of half floats with f32 accumulation: square
/// ones, for subgroups of a known size, with at least two elements per invocation, as
/// `shaders/coop_tile.wgsl` requires.
fn coop(adapter: &wgpu::Adapter) -> Option<Coop> {
    let (features, info) = (adapter.features(), adapter.get_info());
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
    let subgroup = info.subgroup_min_size as usize;
    let off = std::env::var_os("HALFWAVE_COOP").is_some_and(|value| value == "0");
    if off || !features.contains(needed) || info.subgroup_min_size != info.subgroup_max_size {
        return None;
    }
    let properties = adapter.cooperative_matrix_properties().into_iter();
    let (half, float) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let usable = properties.filter(|of| of.ab_type == half && of.cr_type == float);
    let sizes = usable.filter(|of| of.m_size == of.n_size && of.n_size == of.k_size).map(|of| of.m_size as usize);
    let size = sizes.filter(|size| [8, 16].contains(size) && 2 * subgroup <= size * size).max()?;
    Some(Coop { size, subgroup, emulated: false })
}

/// Opens an adapter with WebGPU's default limits, except that the sizes of buffers and workgroup
/// memory are the adapter's, and the number of storage buffers is the most that a kernel can use.
pub(super) async fn open(found: Found, request: Request) -> Result<Opened> {
    let Found { report, adapter } = found;
    let defaults = wgpu::Limits::default();
    let limits = adapter.limits();
    let coop = coop(&adapter);
    if request.api_trace.is_some() && !cfg!(all(feature = "trace", not(target_arch = "wasm32"))) {
        return Err(Error::Usage("this build records no calls; enable the feature `trace` of halfwave".to_string()));
    }
    let mut features = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16;
    features.set(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, coop.is_some());
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("halfwave"),
        required_features: adapter.features() & features,
        experimental_features: if coop.is_some() { trusted::experimental() } else { Default::default() },
        required_limits: wgpu::Limits {
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage.min(MOST_BUFFERS as u32),
            ..defaults.or_worse_values_from(&limits)
        },
        #[cfg(all(feature = "trace", not(target_arch = "wasm32")))]
        trace: request.api_trace.map_or(wgpu::Trace::Off, wgpu::Trace::Directory),
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::Device(format!("{} cannot be opened: {error}", report.name)))?;
    let fault = Fault::default();
    let on_error = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| match error {
        wgpu::Error::OutOfMemory { .. } => {
            on_error.set(Cause::Memory, format!("the device is out of memory; {LESS_MEMORY}"));
        }
        error => on_error.set(Cause::Symptom, format!("the device refused a command: {error}")),
    }));
    let on_loss = fault.clone();
    device.set_device_lost_callback(move |reason, message| {
        // Not reached for an ordinary shutdown: the backend has been dropped by then.
        let message = if message.is_empty() { format!("{reason:?}") } else { message };
        on_loss.set(Cause::Loss, format!("the device was lost ({message}); resume from the last checkpoint"));
    });
    let granted = device.limits();
    let own_class = if report.software { DeviceClass::Software } else { DeviceClass::Gpu };
    let caps = Caps {
        class: request.class.unwrap_or(own_class),
        max_binding_bytes: granted.max_storage_buffer_binding_size,
        max_buffer_bytes: granted.max_buffer_size,
        max_groups: granted.max_compute_workgroups_per_dimension as usize,
        max_buffers: granted.max_storage_buffers_per_shader_stage as usize,
        uniform_align_bytes: granted.min_uniform_buffer_offset_alignment as usize,
        f16: device.features().contains(wgpu::Features::SHADER_F16),
        coop: request.emulate.map(|coop| Coop { emulated: true, ..coop }).or(coop),
        workgroup_bytes: granted.max_compute_workgroup_storage_size as usize,
        workgroup_threads: granted.max_compute_invocations_per_workgroup as usize,
        choices: request.choices,
        checks: request.checks || trusted::checks_wanted(),
        half_inputs: 0,
        verdicts: request.verdicts,
    };
    Ok(Opened { device, queue, caps, fault, report })
}
