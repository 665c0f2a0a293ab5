//! Compares every sample of every operation with its reference implementation, on every driver
//! that is there, with the kernels for both classes of devices.
//!
//! Most of the time goes into compiling kernels. `HALFWAVE_TEST_SAMPLES=N` takes at most N samples
//! of each kernel, for drivers that compile slowly. SwiftShader takes at most [`ON_SWIFTSHADER`] of the
//! kernels for GPUs, of which lavapipe takes all.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::gpu::GpuBackend;
use halfwave::caps::DeviceClass;

/// The products, most of whose time is compiling: a test of their own, so that two cores share the
/// work.
fn is_product(stem: &str) -> bool {
    stem.starts_with("conv") || stem.starts_with("bconv")
}

/// Samples of each kernel for GPUs on SwiftShader, where they take longest to compile and nobody uses them.
const ON_SWIFTSHADER: usize = 3;

/// Compares the wanted operations, of which there must be at least `least` outcomes.
fn conforms(class: DeviceClass, least: usize, wanted: impl Fn(&str) -> bool) {
    let Some(found) = common::adapter() else { return };
    let name = found.report.name.clone();
    let few = class == DeviceClass::Gpu && name.contains("SwiftShader");
    let all = if few { ON_SWIFTSHADER } else { usize::MAX };
    let most = std::env::var("HALFWAVE_TEST_SAMPLES").map_or(all, |number| number.parse().unwrap());
    let outcomes = pollster::block_on(async {
        let mut backend = GpuBackend::open(found, Some(class)).await.unwrap();
        halfwave::selftest::run_kernels(&mut backend, wanted, |_| true, most, |_| ()).await.unwrap()
    });
    assert!(outcomes.len() >= least, "only {} outcomes", outcomes.len());
    let failures: Vec<_> =
        outcomes.iter().filter_map(|o| Some(format!("{} {:?}: {}", o.stem, o.kernel, o.failure.as_ref()?))).collect();
    for outcome in &outcomes {
        let kernel = outcome.kernel.unwrap_or_default();
        println!(
            "{name} {class:?} {:<32} {kernel:<16} {:>3} samples, worst {:e}",
            outcome.stem, outcome.samples, outcome.worst
        );
    }
    assert!(failures.is_empty(), "{name}, {class:?}:\n{}", failures.join("\n"));
}

#[test]
fn kernels_for_software_drivers_conform() {
    common::on_each_driver("kernels_for_software_drivers_conform", || conforms(DeviceClass::Software, 140, |_| true));
}

#[test]
fn products_for_gpus_conform() {
    common::on_each_driver("products_for_gpus_conform", || conforms(DeviceClass::Gpu, 60, is_product));
}

#[test]
fn other_kernels_for_gpus_conform() {
    common::on_each_driver("other_kernels_for_gpus_conform", || {
        conforms(DeviceClass::Gpu, 120, |stem| !is_product(stem))
    });
}
