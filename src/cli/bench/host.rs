//! The computer that a benchmark ran on.

use serde::Serialize;

/// Properties of the host that affect timings, besides the device.
#[derive(Serialize)]
pub(super) struct Host {
    /// The processor's name, if the system reports it.
    cpu: Option<String>,
    /// Number of cores available to this process.
    cores: usize,
    /// Operating system and architecture.
    os: String,
}

impl Host {
    /// Returns the properties of this computer.
    pub(super) fn this() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpu: cpu(), cores, os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH) }
    }
}

#[cfg(target_os = "linux")]
fn cpu() -> Option<String> {
    model(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// Returns the first model name in `/proc/cpuinfo`; most ARM systems report none.
#[cfg(any(target_os = "linux", test))]
fn model(cpuinfo: &str) -> Option<String> {
    let value = |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_string());
    cpuinfo.lines().find_map(value)
}

#[cfg(target_os = "macos")]
fn cpu() -> Option<String> {
    let output = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (!name.is_empty()).then_some(name)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn cpu() -> Option<String> {
    std::env::var("PROCESSOR_IDENTIFIER").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_its_name() {
        assert_eq!(model("processor\t: 0\nmodel name\t: A B 7\nmodel name\t: C\n").as_deref(), Some("A B 7"));
        assert_eq!(model("processor\t: 0\nmodel\t: 1\n"), None);
    }
}
