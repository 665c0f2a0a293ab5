//! Compares every sample of every operation with the reference implementation (`twin`), on every
//! available driver, with the kernels for both device classes.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::gpu::GpuBackend;
use halfwave::caps::DeviceClass;

fn conforms(class: DeviceClass) {
    let Some(found) = common::adapter() else { return };
    let name = found.report.name.clone();
    let outcomes = pollster::block_on(async {
        let mut backend = GpuBackend::open(found, Some(class)).await.unwrap();
        halfwave::selftest::run(&mut backend, |_| true).await.unwrap()
    });
    assert!(outcomes.len() >= 30, "only {} operations were run", outcomes.len());
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
fn registers_conform() {
    common::on_each_driver("registers_conform", || conforms(DeviceClass::Software));
}

#[test]
fn tiles_conform() {
    common::on_each_driver("tiles_conform", || conforms(DeviceClass::Gpu));
}
