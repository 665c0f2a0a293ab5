//! Selection of the device, by one rule for every command: [`halfwave::backend::select`].
//!
//! `--adapter` takes precedence, then WGPU_ADAPTER_NAME, then the first GPU. Without a GPU the CPU
//! backend is used, because it is faster than a software adapter. Any choice that the user did not
//! make with `--adapter` is reported once.

use super::terminal::{print_message_once, print_status};
use super::{interrupt, kernels};
use halfwave::backend::gpu::{ADAPTER_NAME, AdapterReport, Environment, Found, GpuBackend, Request};
use halfwave::backend::select::{Reason, is_cpu, select};
use halfwave::backend::{Backend, Device, cpu::CpuBackend};
use halfwave::train::run::RunInfo;
use halfwave::{Error, Result};
use std::path::Path;

/// Message for a system without any adapter.
pub(super) const NO_ADAPTER: &str = "\
no GPU adapter was found. Install a Vulkan driver: that of your GPU, or Mesa's lavapipe, which runs in
software (Debian, Ubuntu: apt install mesa-vulkan-drivers); `halfwave devices` then lists it";

/// An open backend and its device.
pub(super) struct Opened {
    pub(super) backend: Box<dyn Backend>,
    pub(super) device: Device,
}

/// The selected device, before it is opened.
#[derive(Clone)]
pub(super) enum Choice {
    Cpu,
    Adapter(Found),
}

/// All adapters, and the environment variables that restricted the search.
pub(super) struct Search {
    pub(super) environment: Environment,
    pub(super) found: Vec<Found>,
}

impl Search {
    /// Enumerates the adapters.
    pub(super) fn new() -> Result<Self> {
        let environment = Environment::read()?;
        let found = pollster::block_on(environment.find());
        Ok(Self { environment, found })
    }

    fn reports(&self) -> Vec<&AdapterReport> {
        self.found.iter().map(|found| &found.report).collect()
    }

    /// Returns "no GPU was found", with the environment variable that may be the reason.
    fn no_gpu(&self) -> String {
        let setting = self.environment.backend_setting.as_ref();
        format!("no GPU was found{}", setting.map_or(String::new(), |setting| format!(" with {setting}")))
    }

    /// Returns a description of the device used without `--adapter`.
    pub(super) fn default_device(&self) -> Result<String> {
        let (index, reason) = select(&self.reports(), None, self.environment.adapter.as_deref())?;
        let name = index.map_or("cpu".to_string(), |index| format!("{index}, {}", self.found[index].report.name));
        Ok(match reason {
            Reason::Variable => format!("{name} (chosen by {ADAPTER_NAME})"),
            Reason::NoGpu => format!("{name} ({})", self.no_gpu()),
            Reason::FirstGpu | Reason::Asked => name,
        })
    }

    /// Reports which device was chosen, unless `--adapter` chose it.
    fn tell(&self, index: Option<usize>, reason: Reason) {
        match (reason, self.found.first()) {
            (Reason::Variable, _) => {
                let name = index.map_or("cpu", |index| &self.found[index].report.name);
                print_message_once("note", &format_args!("{ADAPTER_NAME} chooses {name}"));
            }
            (Reason::NoGpu, Some(Found { report, .. })) => print_message_once(
                "note",
                &format_args!(
                    "{}: computing with the CPU backend, which is faster than the software adapter {} (select it with --adapter 0)",
                    self.no_gpu(),
                    report.name
                ),
            ),
            (Reason::NoGpu, None) => print_message_once(
                "note",
                &format_args!(
                    "{}: computing with the CPU backend; `halfwave devices` says what a GPU needs",
                    self.no_gpu()
                ),
            ),
            (Reason::FirstGpu | Reason::Asked, _) => {}
        }
    }
}

/// Selects the device without opening it.
pub(super) fn choose(wanted: Option<&str>) -> Result<Choice> {
    if wanted.is_some_and(is_cpu) {
        return Ok(Choice::Cpu);
    }
    let mut search = Search::new()?;
    let (index, reason) = select(&search.reports(), wanted, search.environment.adapter.as_deref())?;
    search.tell(index, reason);
    Ok(index.map_or(Choice::Cpu, |index| Choice::Adapter(search.found.swap_remove(index))))
}

/// Selects devices for runs at the same time: each one that is wanted, or else all GPUs like the
/// first one. If there is only one GPU or none, the choice is that of [`choose`].
///
/// # Errors
///
/// Returns an error if there is no such adapter, or one is named twice.
pub(super) fn choose_all(wanted: &[String]) -> Result<Vec<Choice>> {
    if wanted.is_empty() {
        let alike = gpus_like_the_first()?;
        return if alike.len() > 1 { Ok(alike) } else { Ok(vec![choose(None)?]) };
    }
    // The CPU backend needs no driver, and searching would load all of them.
    let search = if wanted.iter().all(|name| is_cpu(name)) { None } else { Some(Search::new()?) };
    let reports = search.as_ref().map_or(Vec::new(), Search::reports);
    let mut seen: Vec<(Option<usize>, &str)> = Vec::new();
    for name in wanted {
        let (index, _) = select(&reports, Some(name), None)?;
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == index) {
            let device = index.map_or("the CPU backend", |index| &reports[index].name);
            return Err(Error::Usage(format!(
                "--adapter {name} is {device}, which --adapter {first} names already; name each adapter once"
            )));
        }
        seen.push((index, name));
    }
    let choice = |(index, _): (Option<usize>, &str)| match (index, &search) {
        (Some(index), Some(search)) => Choice::Adapter(search.found[index].clone()),
        _ => Choice::Cpu,
    };
    Ok(seen.into_iter().map(choice).collect())
}

/// Selects the device of the process of this number on a computer: the wanted one, or else the GPUs
/// like the first one in turn. Returns the number of these, too: 0 if there is no choice.
#[cfg(feature = "mpi")]
pub(super) fn choose_in_turn(wanted: Option<&str>, number: usize) -> Result<(Choice, usize)> {
    let mut alike = if wanted.is_some() { Vec::new() } else { gpus_like_the_first()? };
    match alike.len() {
        0 => Ok((choose(wanted)?, 0)),
        gpus => Ok((alike.swap_remove(number % gpus), gpus)),
    }
}

/// Returns the GPUs of the kind and with the API of the first one, because a GPU appears once for
/// each API; none if an environment variable names an adapter.
fn gpus_like_the_first() -> Result<Vec<Choice>> {
    let Search { environment, found } = Search::new()?;
    if environment.adapter.is_some() {
        return Ok(Vec::new());
    }
    let alike = |found: &Found, first: &AdapterReport| {
        !found.report.software && (found.report.kind, &found.report.backend) == (first.kind, &first.backend)
    };
    let first = found.first().map(|found| found.report.clone());
    let gpus = found.into_iter().filter(|found| first.as_ref().is_some_and(|first| alike(found, first)));
    Ok(gpus.map(Choice::Adapter).collect())
}

/// Selects and opens the device.
pub(super) fn open(wanted: Option<&str>) -> Result<Opened> {
    let choice = choose(wanted)?;
    let request = choice.request();
    choice.open(request)
}

/// Like `open`, for a run that is resumed.
pub(super) fn reopen(wanted: Option<&str>, run: &Path) -> Result<Opened> {
    choose(wanted)?.reopen(run)
}

/// Returns the error of a command about adapters for which the CPU backend was chosen.
fn no_cpu(refusal: &str) -> Error {
    Error::Usage(format!("{refusal}; choose an adapter with --adapter: `halfwave devices` lists them"))
}

/// Selects an adapter for commands that are about adapters: a software one if there is no GPU,
/// never the CPU backend. `refusal` starts the error message if the CPU backend was requested.
pub(super) fn adapter(wanted: Option<&str>, refusal: &str) -> Result<Found> {
    if wanted.is_some_and(is_cpu) {
        return Err(no_cpu(refusal));
    }
    let mut search = Search::new()?;
    let index = match select(&search.reports(), wanted, search.environment.adapter.as_deref())? {
        (Some(index), reason) => {
            search.tell(Some(index), reason);
            index
        }
        (None, Reason::NoGpu) => {
            let Some(Found { report, .. }) = search.found.first() else {
                return Err(Error::Device(NO_ADAPTER.to_string()));
            };
            print_message_once(
                "note",
                &format_args!("{}: using the software adapter {}", search.no_gpu(), report.name),
            );
            0
        }
        (None, _) => return Err(no_cpu(refusal)),
    };
    Ok(search.found.swap_remove(index))
}

/// An adapter to measure for later commands.
pub(super) struct Measurable {
    pub(super) found: Found,
    /// The adapter's index, if it is not the one used without `--adapter`.
    pub(super) only_as: Option<usize>,
}

/// Selects an adapter whose kernels are measured for later commands.
///
/// Returns `None`, after reporting the reason, if later commands would use the CPU backend because
/// there is no GPU.
pub(super) fn measurable(wanted: Option<&str>, refusal: &str) -> Result<Option<Measurable>> {
    if wanted.is_some_and(is_cpu) {
        return Err(no_cpu(refusal));
    }
    let mut search = Search::new()?;
    let named = search.environment.adapter.as_deref();
    let default = select(&search.reports(), None, named).ok().and_then(|(index, _)| index);
    match select(&search.reports(), wanted, named)? {
        (Some(index), reason) => {
            search.tell(Some(index), reason);
            let only_as = (default != Some(index)).then_some(index);
            Ok(Some(Measurable { found: search.found.swap_remove(index), only_as }))
        }
        (None, Reason::NoGpu) => {
            let advice = match search.found.first() {
                Some(Found { report, .. }) => format!("to use the software adapter {}, add --adapter 0", report.name),
                None => "`halfwave devices` says what a GPU needs".to_string(),
            };
            print_status(&format!("{}, and {refusal}; {advice}", search.no_gpu()));
            Ok(None)
        }
        (None, _) => Err(no_cpu(refusal)),
    }
}

impl Choice {
    /// Returns the device.
    pub(super) fn device(&self) -> Device {
        match self {
            Self::Cpu => Device::cpu(),
            Self::Adapter(found) => Device::from(&found.report),
        }
    }

    /// Returns the options to open it with, including the known kernel choices.
    pub(super) fn request(&self) -> Request {
        match self {
            Self::Cpu => Request::default(),
            Self::Adapter(found) => kernels::request(&Device::from(&found.report)),
        }
    }

    /// Opens the device for a run that is resumed: uses the kernels that the run used on this
    /// device, even if others have been measured as faster since.
    pub(super) fn reopen(self, run: &Path) -> Result<Opened> {
        let mut request = self.request();
        // A damaged file is reported when the run is resumed.
        let about = RunInfo::read(run).ok().flatten();
        if let Some(kernels) = about.as_ref().and_then(|about| about.kernels_on(&self.device())) {
            request.choices.clone_from(kernels);
        }
        self.open(request)
    }

    /// Opens the device.
    pub(super) fn open(self, request: Request) -> Result<Opened> {
        let mut opened = match self {
            Self::Cpu => Opened { backend: Box::new(CpuBackend::new()), device: Device::cpu() },
            Self::Adapter(found) => {
                let backend = pollster::block_on(GpuBackend::open(found, request))?;
                let device = Device::from(backend.report());
                Opened { backend: Box::new(backend), device }
            }
        };
        opened.backend.stop_by(interrupt::stop());
        Ok(opened)
    }
}

/// Returns the `--adapter` value that selects this device.
pub(super) fn wanted(device: &Device) -> String {
    if device.backend == "cpu" { "cpu".to_string() } else { device.adapter.clone() }
}
