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

impl Found {
    /// The cooperative matrices that kernels use on it, unless `HALFWAVE_COOP=0` forbids it.
    pub fn coop(&self) -> Option<Coop> {
        coop(&self.adapter)
    }
}

/// Features worth reporting.
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

/// Hears whether a kernel, named as in [`Caps::verdicts`], agreed with its reference.
pub type OnVerdict = Box<dyn Fn(&str, bool)>;

/// How an adapter is opened.
#[derive(Default)]
pub struct Request {
    /// The class of devices that kernels are chosen for; the adapter's own if it is not given.
    pub class: Option<DeviceClass>,
    /// Kernels that are wanted: [`Caps::choices`].
    pub choices: BTreeMap<String, Choice>,
    /// Whether all kernels run with wgpu's checks, as `HALFWAVE_CHECKS=1` asks, too.
    pub checks: bool,
    /// What is known of kernels on this adapter: [`Caps::verdicts`].
    pub verdicts: BTreeMap<String, bool>,
    /// Hears of every verdict to come.
    pub on_verdict: Option<OnVerdict>,
    /// Cooperative matrices to emulate, instead of the adapter's own; it must have half floats.
    pub emulate: Option<Coop>,
    /// An empty folder for a record of all calls to the device, which wgpu's `player` can play again; not in browsers.
    pub api_trace: Option<PathBuf>,
}

impl From<Option<DeviceClass>> for Request {
    fn from(class: Option<DeviceClass>) -> Self {
        Self { class, ..Self::default() }
    }
}

/// The largest cooperative matrices of half floats with sums in f32 that kernels can use: square ones, of subgroups whose size is known, with two numbers of a matrix at least for each invocation
/// (`shaders/coop_tile.wgsl` keeps so many of each there).
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

/// Opens an adapter with WebGPU's default limits, but buffers as large as it allows, and as many as a kernel can use.
pub(super) async fn open(found: Found, request: Request) -> Result<Opened> {
    let Found { report, adapter } = found;
    let defaults = wgpu::Limits::default();
    let limits = adapter.limits();
    let coop = coop(&adapter);
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
            on_error.set(Cause::Known, format!("the device is out of memory; {LESS_MEMORY}"));
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
