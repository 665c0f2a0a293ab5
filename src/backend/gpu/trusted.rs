//! All unsafe code of the GPU backend: shader modules without the checks that wgpu adds at run time, and wgpu's experimental features.
//!
//! wgpu clamps indices into workgroup memory, counts the rounds of every loop and guards every integer division. In the kernels that a step spends its time in, that takes 3 to 10 % of the time
//! on an NVIDIA H200 (`docs/measurements`): the checks stand in the innermost loops.
//!
//! A kernel asks for it with [`Launch::trusted`](crate::kernel::Launch::trusted), which states what has to hold. `HALFWAVE_CHECKS=1` keeps the checks in all kernels; cooperative matrices stay in
//! use, and `HALFWAVE_COOP=0` does without them.

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

/// Leave to use the experimental features of wgpu that an adapter has: cooperative matrices alone.
#[allow(unsafe_code)]
pub(super) fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: wgpu warns that what is experimental may have bugs that lead to undefined behaviour. What is used of it are loads, stores and products of cooperative matrices of sizes and types that
    // the adapter names, in kernels of this crate alone, from and to workgroup memory at places that lie within it, as the contract tests hold, and in uniform control flow. That wgpu and the driver
    // do these right is not proven: before such a kernel computes anything of a plan of a session, with wgpu's checks or without, a small product of it is compared with the reference on that device
    // (`src/first_use.rs`), so that a wrong one is not used further. The comparison itself, self-tests, timings of kernels and the probe of `src/profile/probes.rs` run them before, and use no result.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
