//! Finding and opening an adapter.

use super::environment::Environment;
use crate::caps::{Caps, LaunchShape};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What is known of an adapter before it is opened.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AdapterReport {
    /// The device's name.
    pub name: String,
    /// "Vulkan", "Metal", "Dx12" or "BrowserWebGpu".
    pub backend: String,
    /// The driver's name and version, as far as it tells.
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
    /// Storage buffers a kernel can bind.
    pub storage_buffers: u32,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub workgroup_threads: u32,
}

/// An adapter that can be opened.
#[derive(Clone)]
pub struct Found {
    /// What is known of it.
    pub report: AdapterReport,
    pub(super) adapter: wgpu::Adapter,
}

/// Features worth reporting.
const FEATURES: [(&str, wgpu::Features); 4] = [
    ("shader-f16", wgpu::Features::SHADER_F16),
    ("subgroups", wgpu::Features::SUBGROUP),
    ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
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

/// The adapters that can run compute shaders, GPUs before software, as wgpu's environment variables ask for them. In a browser, the one that it offers.
///
/// A variable that cannot be followed is logged; [`Environment::read`] gives the error.
pub async fn find() -> Vec<Found> {
    let environment = Environment::read().inspect_err(|error| log::error!("{error}"));
    environment.unwrap_or_default().find().await
}

/// The version of wgpu that the crate is built with, as `Cargo.toml` asks for it.
pub fn wgpu_version() -> String {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().expect("cargo has read it");
    manifest["dependencies"]["wgpu"]["version"].as_str().expect("wgpu has a version").to_string()
}

/// The adapter that `wanted` names: a number from the list, or a part of its name; without a wish the first.
///
/// # Errors
/// When there is none; the message lists those that exist.
pub fn choose(mut found: Vec<Found>, wanted: Option<&str>) -> Result<Found> {
    let reports: Vec<_> = found.iter().map(|found| &found.report).collect();
    let wanted = wanted.unwrap_or("0");
    match position(&reports, wanted) {
        Some(index) => Ok(found.swap_remove(index)),
        None => Err(no_such(&reports, &format!("no adapter \"{wanted}\""))),
    }
}

/// The place of the adapter that `wanted` names: a number from the list, or a part of its name.
pub fn position(reports: &[&AdapterReport], wanted: &str) -> Option<usize> {
    match wanted.parse::<usize>() {
        // Longer numbers are parts of names: 4090. Short ones may be, too, but nobody who writes 1 means LLVM 15.
        Ok(index) if index < 100 => (index < reports.len()).then_some(index),
        _ => called(reports, wanted),
    }
}

/// The place of the first adapter with `part` in its name.
pub fn called(reports: &[&AdapterReport], part: &str) -> Option<usize> {
    reports.iter().position(|report| report.name.to_lowercase().contains(&part.to_lowercase()))
}

/// That none of these is what was asked for, with a list of them.
pub fn no_such(reports: &[&AdapterReport], what: &str) -> Error {
    let names: Vec<_> = reports.iter().enumerate().map(|(i, report)| format!("{i}: {}", report.name)).collect();
    let list = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    Error::Device(format!("{what}; there are: {list}, and cpu. `halfwave devices` shows more"))
}

/// The first fault of a device: a validation error, exhausted memory, loss.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<(Cause, String)>>>);

/// What a fault tells about its cause; the later tells more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// A command was refused. A browser's dying device does that before it says that it is lost.
    Symptom,
    /// Exhausted memory, or loss.
    Known,
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

    /// `Err` once something has gone wrong.
    pub(super) fn check(&self) -> Result<()> {
        let message = self.0.lock().ok().and_then(|slot| slot.clone());
        message.map_or(Ok(()), |(_, message)| Err(Error::Device(message)))
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

/// How an adapter is opened.
#[derive(Clone, Default, Debug)]
pub struct Request {
    /// How heavy kernels are launched; what suits the adapter's kind if it is not given.
    pub shape: Option<LaunchShape>,
    /// An empty folder for a record of all calls to the device, which wgpu's `player` can play again; not in browsers.
    pub api_trace: Option<PathBuf>,
}

impl From<Option<LaunchShape>> for Request {
    fn from(shape: Option<LaunchShape>) -> Self {
        Self { shape, api_trace: None }
    }
}

/// Opens an adapter with WebGPU's default limits, but buffers as large as it allows.
pub(super) async fn open(found: Found, request: Request) -> Result<Opened> {
    let Found { report, adapter } = found;
    let defaults = wgpu::Limits::default();
    let limits = adapter.limits();
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("halfwave"),
        required_features: adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16),
        required_limits: wgpu::Limits {
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            ..defaults.or_worse_values_from(&limits)
        },
        #[cfg(not(target_arch = "wasm32"))]
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
            on_error.set(Cause::Known, "the device is out of memory; use a smaller batch".to_string());
        }
        error => on_error.set(Cause::Symptom, format!("the device refused a command: {error}")),
    }));
    let on_loss = fault.clone();
    device.set_device_lost_callback(move |reason, message| {
        // Its own end is no loss: nobody holds the backend then, and nobody asks.
        let message = if message.is_empty() { format!("{reason:?}") } else { message };
        on_loss.set(Cause::Known, format!("the device was lost ({message}); go on from the last checkpoint"));
    });
    let granted = device.limits();
    let default_shape = if report.software { LaunchShape::Registers } else { LaunchShape::Tiled };
    let caps = Caps {
        shape: request.shape.unwrap_or(default_shape),
        max_binding_bytes: granted.max_storage_buffer_binding_size,
        max_buffer_bytes: granted.max_buffer_size,
        max_groups: granted.max_compute_workgroups_per_dimension as usize,
        uniform_align_bytes: granted.min_uniform_buffer_offset_alignment as usize,
        f16: device.features().contains(wgpu::Features::SHADER_F16),
        workgroup_bytes: granted.max_compute_workgroup_storage_size as usize,
        workgroup_threads: granted.max_compute_invocations_per_workgroup as usize,
        choices: BTreeMap::new(),
    };
    Ok(Opened { device, queue, caps, fault, report })
}
