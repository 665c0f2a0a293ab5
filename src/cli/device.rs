//! Which device computes: one rule for every command. `--adapter` decides, else WGPU_ADAPTER_NAME, else the first GPU is taken; where there is no GPU, the CPU backend, because it is faster than
//! a software adapter. Whatever the user did not choose with `--adapter` is said once.

use super::terminal::{complain_once, say};
use super::{interrupt, kernels};
use halfwave::backend::gpu::{self, ADAPTER_NAME, AdapterReport, Environment, Found, GpuBackend, Request};
use halfwave::backend::{Backend, Device, cpu::CpuBackend};
use halfwave::train::run::About;
use halfwave::{Error, Result};
use std::path::Path;

/// What to do where there is no adapter.
pub(super) const NO_ADAPTER: &str = "\
no GPU adapter was found. Install a Vulkan driver: your GPU's own, or for a software one Mesa's lavapipe
(Debian, Ubuntu: apt install mesa-vulkan-drivers); `halfwave devices` then lists it";

/// A backend, and what is known of its device.
pub(super) struct Opened {
    pub(super) backend: Box<dyn Backend>,
    pub(super) device: Device,
}

/// What will compute.
pub(super) enum Choice {
    Cpu,
    Adapter(Found),
}

/// Adapters, and the variables that they were looked for by.
pub(super) struct Search {
    pub(super) environment: Environment,
    pub(super) found: Vec<Found>,
}

/// Why a device is the one to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    Asked,
    Variable,
    FirstGpu,
    NoGpu,
}

impl Search {
    /// Looks for adapters.
    pub(super) fn new() -> Result<Self> {
        let environment = Environment::read()?;
        let found = pollster::block_on(environment.find());
        Ok(Self { environment, found })
    }

    fn reports(&self) -> Vec<&AdapterReport> {
        self.found.iter().map(|found| &found.report).collect()
    }

    /// "no GPU was found", and what may be the reason.
    fn no_gpu(&self) -> String {
        let setting = self.environment.backend_setting.as_ref();
        format!("no GPU was found{}", setting.map_or(String::new(), |setting| format!(" with {setting}")))
    }

    /// What is computed on without `--adapter`, in words.
    pub(super) fn default_device(&self) -> Result<String> {
        let (index, reason) = decide(&self.reports(), None, self.environment.adapter.as_deref())?;
        let name = index.map_or("cpu".to_string(), |index| format!("{index}, {}", self.found[index].report.name));
        Ok(match reason {
            Reason::Variable => format!("{name} (chosen by {ADAPTER_NAME})"),
            Reason::NoGpu => format!("{name} ({})", self.no_gpu()),
            Reason::FirstGpu | Reason::Asked => name,
        })
    }

    /// Says which device was chosen, unless `--adapter` did.
    fn tell(&self, index: Option<usize>, reason: Reason) {
        match (reason, self.found.first()) {
            (Reason::Variable, _) => {
                let name = index.map_or("cpu", |index| &self.found[index].report.name);
                complain_once("note", &format_args!("{ADAPTER_NAME} chooses {name}"));
            }
            (Reason::NoGpu, Some(Found { report, .. })) => complain_once(
                "note",
                &format_args!(
                    "{}: computing with the CPU backend, which is faster than the software adapter {} (--adapter 0 takes that)",
                    self.no_gpu(),
                    report.name
                ),
            ),
            (Reason::NoGpu, None) => complain_once(
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

/// The place of the adapter to use, none for the CPU backend: as `--adapter` wants it, else as the variable names it, else the first GPU.
fn decide(reports: &[&AdapterReport], wanted: Option<&str>, named: Option<&str>) -> Result<(Option<usize>, Reason)> {
    match (wanted, named) {
        (Some(wanted), _) if is_cpu(wanted) => Ok((None, Reason::Asked)),
        (Some(wanted), _) => match gpu::position(reports, wanted) {
            Some(index) => Ok((Some(index), Reason::Asked)),
            None => Err(gpu::no_such(reports, &format!("no adapter \"{wanted}\""))),
        },
        (None, Some(named)) if is_cpu(named) => Ok((None, Reason::Variable)),
        (None, Some(named)) => match gpu::called(reports, named) {
            Some(index) => Ok((Some(index), Reason::Variable)),
            None => Err(gpu::no_such(reports, &format!("{ADAPTER_NAME}={named}: no adapter has that in its name"))),
        },
        (None, None) => match reports.iter().position(|report| !report.software) {
            Some(index) => Ok((Some(index), Reason::FirstGpu)),
            None => Ok((None, Reason::NoGpu)),
        },
    }
}

/// What will compute, before it is opened.
pub(super) fn choose(wanted: Option<&str>) -> Result<Choice> {
    if wanted.is_some_and(is_cpu) {
        return Ok(Choice::Cpu);
    }
    let mut search = Search::new()?;
    let (index, reason) = decide(&search.reports(), wanted, search.environment.adapter.as_deref())?;
    search.tell(index, reason);
    Ok(index.map_or(Choice::Cpu, |index| Choice::Adapter(search.found.swap_remove(index))))
}

/// Chooses and opens.
pub(super) fn open(wanted: Option<&str>) -> Result<Opened> {
    let choice = choose(wanted)?;
    let request = choice.request();
    choice.open(request)
}

/// The same for a run that goes on: with the kernels that it had on this device, and no others, whatever was measured since.
pub(super) fn reopen(wanted: Option<&str>, run: &Path) -> Result<Opened> {
    let choice = choose(wanted)?;
    let mut request = choice.request();
    // That the file is damaged is said when the run goes on.
    let about = About::read(run).ok().flatten();
    if let Some(kernels) = about.as_ref().and_then(|about| about.kernels_on(&choice.device())) {
        request.choices.clone_from(kernels);
    }
    choice.open(request)
}

/// An adapter, for commands that are about adapters: a software one where there is no GPU, never the CPU backend. `refusal` is said of that.
pub(super) fn adapter(wanted: Option<&str>, refusal: &str) -> Result<Found> {
    let cpu = || Error::Usage(format!("{refusal}; choose an adapter"));
    if wanted.is_some_and(is_cpu) {
        return Err(cpu());
    }
    let mut search = Search::new()?;
    let index = match decide(&search.reports(), wanted, search.environment.adapter.as_deref())? {
        (Some(index), reason) => {
            search.tell(Some(index), reason);
            index
        }
        (None, Reason::NoGpu) => {
            let Some(Found { report, .. }) = search.found.first() else {
                return Err(Error::Device(NO_ADAPTER.to_string()));
            };
            complain_once("note", &format_args!("{}: taking the software adapter {}", search.no_gpu(), report.name));
            0
        }
        (None, _) => return Err(cpu()),
    };
    Ok(search.found.swap_remove(index))
}

/// An adapter to measure for later commands, and what makes them take it.
pub(super) struct Measurable {
    pub(super) found: Found,
    /// Where it is not what is taken without `--adapter`: its place in the list.
    pub(super) only_as: Option<usize>,
}

/// An adapter whose kernels are to be measured for later commands: one that these would take. Where that is the CPU backend, because there is no GPU, nothing, and it is said why.
pub(super) fn measurable(wanted: Option<&str>, refusal: &str) -> Result<Option<Measurable>> {
    let cpu = || Error::Usage(format!("{refusal}; choose an adapter"));
    if wanted.is_some_and(is_cpu) {
        return Err(cpu());
    }
    let mut search = Search::new()?;
    let named = search.environment.adapter.as_deref();
    let default = decide(&search.reports(), None, named).ok().and_then(|(index, _)| index);
    match decide(&search.reports(), wanted, named)? {
        (Some(index), reason) => {
            search.tell(Some(index), reason);
            let only_as = (default != Some(index)).then_some(index);
            Ok(Some(Measurable { found: search.found.swap_remove(index), only_as }))
        }
        (None, Reason::NoGpu) => {
            let advice = match search.found.first() {
                Some(Found { report, .. }) => format!("for the software adapter {}, add --adapter 0", report.name),
                None => "`halfwave devices` says what a GPU needs".to_string(),
            };
            say(&format!("{}, and {refusal}; {advice}", search.no_gpu()));
            Ok(None)
        }
        (None, _) => Err(cpu()),
    }
}

impl Choice {
    /// What it is.
    pub(super) fn device(&self) -> Device {
        match self {
            Self::Cpu => Device::cpu(),
            Self::Adapter(found) => Device::from(&found.report),
        }
    }

    /// How to open it with what is known of it.
    pub(super) fn request(&self) -> Request {
        match self {
            Self::Cpu => Request::default(),
            Self::Adapter(found) => kernels::request(&Device::from(&found.report)),
        }
    }

    /// Opens it.
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

/// Whether this names the CPU backend.
fn is_cpu(wanted: &str) -> bool {
    wanted.eq_ignore_ascii_case("cpu")
}

/// What asks for this device again.
pub(super) fn wanted(device: &Device) -> String {
    if device.backend == "cpu" { "cpu".to_string() } else { device.adapter.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, kind: &'static str) -> AdapterReport {
        AdapterReport {
            name: name.to_string(),
            backend: "Vulkan".to_string(),
            driver: String::new(),
            kind,
            software: kind == "software",
            features: Vec::new(),
            max_binding_bytes: 0,
            max_buffer_bytes: 0,
            storage_buffers: 0,
            workgroup_bytes: 0,
            workgroup_threads: 0,
        }
    }

    #[test]
    fn one_rule_chooses_the_device() {
        let (card, chip, soft) = (
            report("GeForce 4090", "discrete GPU"),
            report("UHD", "integrated GPU"),
            report("llvmpipe 15", "software"),
        );
        let (machine, poor): (Vec<_>, Vec<_>) = (vec![&card, &chip, &soft], vec![&soft]);
        for (reports, wanted, named, expected) in [
            (&machine, None, None, (Some(0), Reason::FirstGpu)),
            (&poor, None, None, (None, Reason::NoGpu)),
            (&vec![], None, None, (None, Reason::NoGpu)),
            // A software adapter is used where it is named, never by itself.
            (&poor, Some("0"), None, (Some(0), Reason::Asked)),
            (&poor, Some("LLVM"), None, (Some(0), Reason::Asked)),
            (&poor, None, Some("llvm"), (Some(0), Reason::Variable)),
            (&machine, None, Some("uhd"), (Some(1), Reason::Variable)),
            (&machine, None, Some("CPU"), (None, Reason::Variable)),
            // The option wins.
            (&machine, Some("1"), Some("nosuchcard"), (Some(1), Reason::Asked)),
            (&machine, Some("cpu"), Some("uhd"), (None, Reason::Asked)),
            // A number that is not in the list is a part of a name; the variable holds names alone.
            (&machine, Some("4090"), None, (Some(0), Reason::Asked)),
            (&machine, None, Some("15"), (Some(2), Reason::Variable)),
        ] {
            assert_eq!(decide(reports, wanted, named).unwrap(), expected, "{wanted:?} {named:?}");
        }
        let message = decide(&machine, None, Some("nosuchcard")).unwrap_err().to_string();
        let parts = ["WGPU_ADAPTER_NAME=nosuchcard: no adapter", "0: GeForce 4090, 1: UHD, 2: llvmpipe 15, and cpu"];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        let message = decide(&poor, Some("7"), None).unwrap_err().to_string();
        assert!(message.contains("no adapter \"7\"; there are: 0: llvmpipe 15, and cpu"), "{message}");
    }
}
