//! Shader modules without the checks that wgpu adds at run time, with unsafe code.
//!
//! wgpu clamps indices into workgroup memory, counts the rounds of every loop and guards every integer division. In the kernels that a step spends its time in, that takes 3 to 10 % of the time
//! on an NVIDIA H200 (`docs/measurements`): the checks stand in the innermost loops.
//!
//! A kernel asks for it with [`Launch::trusted`](crate::kernel::Launch::trusted), which states what has to hold. `HALFWAVE_CHECKS=1` keeps the checks in all kernels.

/// Whether the user asks for the checks in all kernels.
pub(super) fn checks_wanted() -> bool {
    std::env::var_os("HALFWAVE_CHECKS").is_some_and(|value| value != "0")
}

/// The module of a kernel that needs no checks.
#[allow(unsafe_code)]
pub(super) fn module(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: `Launch::trusted` is called in this crate alone, for kernels of which hold, by the argument that stands there and the tests it names: indices lie within the arrays
    // for all problems that a candidate accepts; every loop has a number of rounds that is known when it begins; no divisor is zero.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
