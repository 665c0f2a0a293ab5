//! Runs a test once for each Vulkan driver.
//!
//! A process has one Vulkan loader configuration, so a test runs itself again for each driver in
//! `HALFWAVE_TEST_ICDS` (`name=/path/to/icd.json,…`). Without the variable it runs on the available
//! adapter; without an adapter it says so, and fails if `REQUIRE_GPU=1`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use halfwave::backend::gpu::{self, Found, Request};
use halfwave::caps::Choice;
use std::process::Command;

const CHILD: &str = "HALFWAVE_TEST_DRIVER";

/// Returns the drivers to test on: name and ICD file.
pub fn drivers() -> Vec<(String, String)> {
    let list = std::env::var("HALFWAVE_TEST_ICDS").unwrap_or_default();
    let entries = list.split(',').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| entry.split_once('=').expect("HALFWAVE_TEST_ICDS holds name=path"))
        .map(|(n, p)| (n.into(), p.into()))
        .collect()
}

/// This test binary again, running one test on one driver.
pub fn on_driver(test: &str, icd: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(CHILD, icd).env("VK_DRIVER_FILES", icd).env("VK_ICD_FILENAMES", icd);
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command
}

/// Runs `body` in a separate process on each driver, or in this process if no driver is given.
pub fn on_each_driver(test: &str, body: impl Fn()) {
    let drivers = drivers();
    if drivers.is_empty() || std::env::var_os(CHILD).is_some() {
        return body();
    }
    for (name, icd) in drivers {
        let output = on_driver(test, &icd).output().unwrap();
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        print!("{text}");
        assert!(output.status.success(), "{test} fails on {name}:\n{text}\n{errors}");
        assert!(text.contains("1 passed"), "{test} did not run on {name}:\n{text}");
    }
}

/// Runs `body` in a separate process on the driver with cooperative matrices whose ICD file
/// `HALFWAVE_TEST_COOP` gives (tools/coop-lavapipe.sh).
pub fn on_coop_driver(test: &str, body: impl Fn()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let Ok(icd) = std::env::var("HALFWAVE_TEST_COOP") else {
        let required = std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "REQUIRE_GPU=1, but HALFWAVE_TEST_COOP names no driver with cooperative matrices (tools/coop-lavapipe.sh prints one)"
        );
        return eprintln!(
            "SKIPPED: HALFWAVE_TEST_COOP names no driver with cooperative matrices (tools/coop-lavapipe.sh prints one)"
        );
    };
    let mut command = Command::new("tools/coop-lavapipe.sh");
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    let output = command.env(CHILD, icd).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{text}");
    assert!(output.status.success(), "{test} fails on cooperative matrices:\n{text}\n{errors}");
    assert!(text.contains("1 passed"), "{test} did not run on cooperative matrices:\n{text}");
}

/// Requests cooperative matrices for all expensive operations that support them.
pub fn on_matrices(found: &Found) -> Request {
    let size = if found.report.software { 8 } else { 16 };
    let choice = Choice { kernel: format!("coop{size}"), parts: None };
    let stems = ["bconv", "bconv_dx", "bconv_dw", "conv", "conv_dx", "conv_dw"];
    Request { choices: stems.map(|stem| (stem.to_string(), choice.clone())).into(), ..Request::default() }
}

/// Returns the first adapter. Having none is a failure if a GPU is required, and so is another
/// backend than `HALFWAVE_TEST_BACKEND`.
pub fn adapter() -> Option<Found> {
    let found = pollster::block_on(gpu::find()).into_iter().next();
    if let (Some(found), Ok(wanted)) = (&found, std::env::var("HALFWAVE_TEST_BACKEND")) {
        assert_eq!(
            found.report.backend, wanted,
            "{} is on another backend than HALFWAVE_TEST_BACKEND",
            found.report.name
        );
    }
    if found.is_none() {
        let required = std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_GPU=1, but there is no adapter (driver {:?})", std::env::var(CHILD));
        eprintln!("SKIPPED: there is no adapter; install a Vulkan driver (tools/install-test-deps.sh)");
    }
    found
}
