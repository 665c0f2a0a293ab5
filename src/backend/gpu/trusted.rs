//! All unsafe code of the GPU backend: shader modules without wgpu's runtime checks, and wgpu's
//! experimental features.
//!
//! wgpu clamps indices into workgroup memory, counts the iterations of every loop and guards every
//! integer division. In the kernels that dominate a step, this takes 3 to 10% of the time on an
//! NVIDIA H200 (`docs/measurements`), because the checks are in the innermost loops.
//!
//! A kernel opts out with [`Launch::trusted`](crate::kernel::Launch::trusted), which states the
//! requirements. `HALFWAVE_CHECKS=1` keeps the checks in all kernels; cooperative matrices stay in
//! use unless `HALFWAVE_COOP=0` disables them.

/// Whether the user requests the checks in all kernels.
pub(super) fn checks_wanted() -> bool {
    std::env::var_os("HALFWAVE_CHECKS").is_some_and(|value| value != "0")
}

/// Creates the module of a kernel that needs no checks.
#[allow(unsafe_code)]
pub(super) fn module(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: `Launch::trusted` is called only in this crate, for kernels that meet the
    // requirements stated there, as verified by the tests that it names: indices lie within the
    // arrays for all problems that a candidate accepts; every loop has a fixed number of
    // iterations, known when it begins; no divisor is zero.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// Permits an adapter's experimental features of wgpu; only cooperative matrices are used.
#[allow(unsafe_code)]
pub(super) fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: wgpu warns that experimental features may have bugs that lead to undefined behaviour.
    // The features used are loads, stores and products of cooperative matrices of sizes and types
    // that the adapter reports, only in kernels of this crate, from and to workgroup memory within
    // its bounds, as verified by the contract tests, and in uniform control flow. The correctness
    // of wgpu and the driver is not proven: before such a kernel is used in a plan of a session,
    // with or without wgpu's checks, a small product of it is compared with the reference
    // implementation on that device (`src/first_use.rs`), so that a wrong kernel is not used. The
    // comparison itself, self-tests, timings of kernels and the probe of `src/profile/probes.rs`
    // run such kernels before that, and their results are not used.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
