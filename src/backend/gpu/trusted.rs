//! The one unsafe call of the crate: shader modules without bounds checks.
//!
//! **Audit.** Without the checks an index out of bounds or an endless loop in a shader is undefined behaviour on the device. Only shaders of this crate get here; every
//! one of them guards its indices itself (`row < rows`, clamped addresses), its loops count up to a bound, and the conformance tests run each of them with guard words
//! behind every output. The gain is measured in `docs/measurements/`. Browsers ignore the request and always check.

/// Compiles one of the crate's own shaders.
#[allow(unsafe_code)]
pub(super) fn shader_module(device: &wgpu::Device, label: &str, wgsl: &str) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
    // SAFETY: see the audit above.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
