//! Selection of the device, by one rule for the library and for every command of the program.

use super::gpu::{self, ADAPTER_NAME, AdapterReport};
use crate::Result;

/// The reason for choosing a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The caller named it.
    Asked,
    /// The environment variable [`ADAPTER_NAME`] names it.
    Variable,
    /// It is the first GPU.
    FirstGpu,
    /// There is no GPU. The CPU backend is faster than a software adapter.
    NoGpu,
}

/// Returns the index of the adapter to use, or `None` for the CPU backend: the one that is `wanted`,
/// a number or a part of a name, else the one that the variable `named`, else the first GPU.
///
/// # Errors
///
/// Returns an error if there is no such adapter; the message lists those that exist.
pub fn select(
    reports: &[&AdapterReport],
    wanted: Option<&str>,
    named: Option<&str>,
) -> Result<(Option<usize>, Reason)> {
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

/// Returns whether `wanted` names the CPU backend.
pub fn is_cpu(wanted: &str) -> bool {
    wanted.eq_ignore_ascii_case("cpu")
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
            // A software adapter is used only when it is named.
            (&poor, Some("0"), None, (Some(0), Reason::Asked)),
            (&poor, Some("LLVM"), None, (Some(0), Reason::Asked)),
            (&poor, None, Some("llvm"), (Some(0), Reason::Variable)),
            (&machine, None, Some("uhd"), (Some(1), Reason::Variable)),
            (&machine, None, Some("CPU"), (None, Reason::Variable)),
            // The option takes precedence.
            (&machine, Some("1"), Some("nosuchcard"), (Some(1), Reason::Asked)),
            (&machine, Some("cpu"), Some("uhd"), (None, Reason::Asked)),
            // A number that is not a valid index is matched against names; the variable only
            // matches names.
            (&machine, Some("4090"), None, (Some(0), Reason::Asked)),
            (&machine, None, Some("15"), (Some(2), Reason::Variable)),
        ] {
            assert_eq!(select(reports, wanted, named).unwrap(), expected, "{wanted:?} {named:?}");
        }
        let message = select(&machine, None, Some("nosuchcard")).unwrap_err().to_string();
        let parts = ["WGPU_ADAPTER_NAME=nosuchcard: no adapter", "0: GeForce 4090, 1: UHD, 2: llvmpipe 15, and cpu"];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        let message = select(&poor, Some("7"), None).unwrap_err().to_string();
        assert!(message.contains("no adapter \"7\"; there are: 0: llvmpipe 15, and cpu"), "{message}");
    }
}
