//! Opening what computes. Every choice that the user did not make is said aloud, once.

use super::interrupt;
use super::terminal::complain;
use halfwave::backend::Device;
use halfwave::backend::gpu::{self, GpuBackend, Request};
use halfwave::backend::{Backend, cpu::CpuBackend};
use halfwave::caps::LaunchShape;
use halfwave::{Error, Result};
use std::fmt;

/// What to do where there is no adapter.
pub(super) const NO_ADAPTER: &str = "\
no GPU adapter was found. Install a Vulkan driver: your GPU's own, or for a software one Mesa's lavapipe
(Debian, Ubuntu: apt install mesa-vulkan-drivers); `halfwave devices` then lists it";

/// A backend, and what is known of its device.
pub(super) struct Opened {
    pub(super) backend: Box<dyn Backend>,
    pub(super) device: Device,
}

/// The adapter that was asked for, or the best there is, or the CPU backend.
pub(super) fn open(wanted: Option<&str>, request: Request) -> Result<Opened> {
    let mut opened = choose(wanted, request)?;
    opened.backend.stop_by(interrupt::stop());
    Ok(opened)
}

fn choose(wanted: Option<&str>, request: Request) -> Result<Opened> {
    let cpu = || Opened { backend: Box::new(CpuBackend::new()), device: Device::cpu() };
    if is_cpu(wanted) {
        return Ok(cpu());
    }
    let found = pollster::block_on(gpu::find());
    if found.is_empty() && wanted.is_none() {
        complain("note", &NO_ADAPTER);
        complain(
            "note",
            &"COMPUTING WITH THE CPU BACKEND: the same plan, without a GPU's speed (--adapter cpu asks for this)",
        );
        return Ok(cpu());
    }
    let chosen = gpu::choose(found, wanted)?;
    if chosen.report.software && wanted.is_none() {
        let name = &chosen.report.name;
        complain(
            "note",
            &format_args!(
                "no GPU was found; {name} is a software adapter and computes on the CPU (--adapter cpu does so without a driver, and faster)"
            ),
        );
    }
    let backend = pollster::block_on(GpuBackend::open(chosen, request))?;
    let device = Device::from(backend.report());
    Ok(Opened { backend: Box::new(backend), device })
}

/// An adapter, never the CPU backend.
pub(super) fn open_gpu(wanted: Option<&str>, shape: LaunchShape) -> Result<GpuBackend> {
    let found = pollster::block_on(gpu::find());
    if found.is_empty() && wanted.is_none() {
        return Err(Error::Device(NO_ADAPTER.to_string()));
    }
    pollster::block_on(GpuBackend::open(gpu::choose(found, wanted)?, Some(shape)))
}

/// Whether the CPU backend was asked for.
pub(super) fn is_cpu(wanted: Option<&str>) -> bool {
    wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case("cpu"))
}

/// What asks for this device again.
pub(super) fn wanted(device: &Device) -> String {
    if device.backend == "cpu" { "cpu".to_string() } else { device.adapter.clone() }
}

/// A device in a few words.
pub(super) struct Named<'a>(pub(super) &'a Device);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Device { adapter, backend, kind, .. } = self.0;
        if backend == "cpu" { write!(f, "the CPU backend") } else { write!(f, "{adapter} · {backend} · {kind}") }
    }
}
