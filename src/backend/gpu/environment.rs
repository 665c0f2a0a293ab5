//! wgpu's environment variables `WGPU_BACKEND`, `WGPU_ADAPTER_NAME` and `WGPU_POWER_PREF`. Settings
//! that cannot be honoured are errors; they are not ignored.

use super::adapter::{Found, report};
use crate::error::{Error, Result};

const BACKEND: &str = "WGPU_BACKEND";
/// The variable that selects an adapter by name.
pub const ADAPTER_NAME: &str = "WGPU_ADAPTER_NAME";
const POWER: &str = "WGPU_POWER_PREF";

/// The selectable backends, with their aliases in wgpu.
const BACKENDS: [(&[&str], wgpu::Backends); 6] = [
    (&["vulkan", "vk"], wgpu::Backends::VULKAN),
    (&["metal", "mtl"], wgpu::Backends::METAL),
    (&["dx12", "d3d12"], wgpu::Backends::DX12),
    (&["gl", "gles", "opengl"], wgpu::Backends::GL),
    (&["webgpu"], wgpu::Backends::BROWSER_WEBGPU),
    (&["noop"], wgpu::Backends::NOOP),
];

/// Which adapters are searched, and their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    backends: wgpu::Backends,
    low_power: bool,
    /// Part of the adapter's name, if one is requested.
    pub adapter: Option<String>,
    /// `WGPU_BACKEND=…`, if it is set.
    pub backend_setting: Option<String>,
}

impl Default for Environment {
    /// All backends of this build, the fastest adapter first.
    fn default() -> Self {
        let backends = wgpu::Instance::enabled_backend_features();
        Self { backends, low_power: false, adapter: None, backend_setting: None }
    }
}

impl Environment {
    /// Reads the process's environment variables.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable has an unknown value, or names a backend that this build does
    /// not have.
    pub fn read() -> Result<Self> {
        Self::of(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Interprets the variables; an empty one counts as unset.
    fn of(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name| get(name).map(|value| value.trim().to_string()).filter(|value| !value.is_empty());
        let mut environment = Self { adapter: get(ADAPTER_NAME), ..Self::default() };
        if let Some(value) = get(BACKEND) {
            environment.backends = backends(&value, environment.backends)?;
            environment.backend_setting = Some(format!("{BACKEND}={value}"));
        }
        if let Some(value) = get(POWER) {
            environment.low_power = match value.to_lowercase().as_str() {
                "low" => true,
                "high" | "none" => false,
                _ => return Err(Error::Usage(format!("{POWER}={value}: set it to low, high or none, or unset it"))),
            };
        }
        Ok(environment)
    }

    /// Finds the adapters that can run compute shaders, GPUs before software. In a browser, finds
    /// the one that it offers.
    pub async fn find(&self) -> Vec<Found> {
        let from_env = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor { backends: self.backends, ..from_env });
        #[cfg(not(target_arch = "wasm32"))]
        let adapters = instance.enumerate_adapters(self.backends).await;
        #[cfg(target_arch = "wasm32")]
        let adapters: Vec<_> = {
            let options = wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            };
            instance.request_adapter(&options).await.into_iter().collect()
        };
        let mut found: Vec<_> =
            adapters.into_iter().map(|adapter| Found { report: report(&adapter), adapter }).collect();
        let mut order = ["discrete GPU", "integrated GPU", "virtual GPU", "other", "software"];
        if self.low_power {
            order.swap(0, 1);
        }
        found.sort_by_key(|found| order.iter().position(|&kind| kind == found.report.kind));
        found
    }
}

/// Parses a comma-separated list of backends, and keeps those that this build has.
fn backends(value: &str, built: wgpu::Backends) -> Result<wgpu::Backends> {
    let mut asked = wgpu::Backends::empty();
    let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
    for word in words {
        let known = BACKENDS.iter().find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(word)));
        let Some((_, backend)) = known else {
            return Err(Error::Usage(format!("{BACKEND}={value}: there is no backend \"{word}\"; {}", offer(built))));
        };
        asked |= *backend;
    }
    match asked & built {
        none if none.is_empty() => {
            Err(Error::Usage(format!("{BACKEND}={value}: this build does not have it; {}", offer(built))))
        }
        some => Ok(some),
    }
}

/// Returns the supported values of `WGPU_BACKEND`.
fn offer(built: wgpu::Backends) -> String {
    let names = BACKENDS.iter().filter(|(_, backend)| built.contains(*backend)).map(|(names, _)| names[0]);
    let (here, system) = (names.collect::<Vec<_>>().join(" or "), std::env::consts::OS);
    format!(
        "halfwave computes with vulkan, metal or dx12, on {system} with {here}: set it to that, or unset it for any"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Environment::of(get).map_err(|error| error.to_string())
    }

    #[test]
    fn backends_are_read_as_wgpu_reads_them() {
        let (all, vulkan) = (wgpu::Backends::all(), wgpu::Backends::VULKAN);
        for (value, expected) in [
            ("vulkan", vulkan),
            ("VK", vulkan),
            (" vulkan , Metal", vulkan | wgpu::Backends::METAL),
            ("d3d12,", wgpu::Backends::DX12),
            ("gl,opengl,gles", wgpu::Backends::GL),
        ] {
            assert_eq!(backends(value, all).unwrap(), expected, "{value}");
        }
        // Further entries, for other machines, are ignored.
        assert_eq!(backends("metal,dx12,vulkan,gl", vulkan).unwrap(), vulkan);
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_that_names_the_variable() {
        let vulkan = wgpu::Backends::VULKAN;
        for (value, part) in [
            ("vulkann", "there is no backend \"vulkann\""),
            ("vulkan;dx12", "there is no backend \"vulkan;dx12\""),
            ("vulkan,cuda", "there is no backend \"cuda\""),
            ("gl", "this build does not have it"),
            ("metal,dx12", "this build does not have it"),
            (",", "this build does not have it"),
        ] {
            let message = backends(value, vulkan).unwrap_err().to_string();
            let start = format!("WGPU_BACKEND={value}: ");
            assert!(message.starts_with(&start) && message.contains(part), "{message}");
            assert!(message.contains("with vulkan: set it"), "{message}");
        }
        let message = of(&[(POWER, "medium")]).unwrap_err();
        assert_eq!(message, "WGPU_POWER_PREF=medium: set it to low, high or none, or unset it");
    }

    #[test]
    fn what_is_not_set_changes_nothing() {
        let empty = [(BACKEND, ""), (ADAPTER_NAME, "  "), (POWER, "")];
        assert_eq!(of(&empty), Ok(Environment::default()));
        assert_eq!(of(&[]), Ok(Environment::default()));
        let set = of(&[(ADAPTER_NAME, "llvm"), (POWER, "Low")]).unwrap();
        assert_eq!((set.adapter.as_deref(), set.low_power), (Some("llvm"), true));
        assert_eq!(of(&[(POWER, "high")]), Ok(Environment::default()));
    }
}
