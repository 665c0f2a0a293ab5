//! `halfwave devices`: what could compute.

use super::device::NO_ADAPTER;
use super::terminal::{bytes, complain, grouped, print};
use halfwave::Result;
use halfwave::backend::gpu;

/// The list of adapters, and the CPU backend.
pub(super) fn devices() -> Result<()> {
    let found = pollster::block_on(gpu::find());
    let reports: Vec<_> = found.into_iter().map(|found| found.report).collect();
    let name_len = reports.iter().map(|report| report.name.chars().count()).max().unwrap_or(0).max(12);
    let mut text = format!("{:<6} {:<name_len$}  {:<8} kind\n", "index", "name", "backend");
    for (index, report) in reports.iter().enumerate() {
        let kind = if report.software { "software: computes on the CPU" } else { report.kind };
        let features = if report.features.is_empty() { "none".to_string() } else { report.features.join(", ") };
        let limits = [
            format!("binding {}", bytes(report.max_binding_bytes)),
            format!("buffer {}", bytes(report.max_buffer_bytes)),
            format!("{} storage buffers", grouped(u64::from(report.storage_buffers))),
            format!("workgroup {} and {} threads", bytes(u64::from(report.workgroup_bytes)), report.workgroup_threads),
        ];
        text += &format!("{index:<6} {:<name_len$}  {:<8} {kind}\n", report.name, report.backend);
        text += &format!("       driver    {}\n", report.driver);
        text += &format!("       features  {features}\n");
        text += &format!("       limits    {}\n", limits.join(", "));
    }
    text += &format!(
        "{:<6} {:<name_len$}  {:<8} the kernels' twins in Rust: no driver needed\n",
        "cpu", "CPU backend", "-"
    );
    print(&text)?;
    if reports.is_empty() {
        complain("note", &NO_ADAPTER);
    }
    Ok(())
}
