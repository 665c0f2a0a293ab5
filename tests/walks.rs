//! Walks: what people of different professions do with the program, from an empty folder to what they
//! came for, as scripts in `tests/walks`. That of a web developer is run by `web/tests/walk.test.mjs`.
#![cfg(target_os = "linux")] // bash, and the tools that a Linux system has
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::path::Path;
use std::process::Command;

/// Runs a script in an empty folder, with an empty home and these Vulkan drivers.
fn walk(name: &str, drivers: &str) {
    let base = tempfile::tempdir().unwrap();
    let (folder, home) = (base.path().join("folder"), base.path().join("home"));
    [&folder, &home].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let program = Path::new(env!("CARGO_BIN_EXE_halfwave")).parent().unwrap().to_path_buf();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([program].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/walks").join(format!("{name}.sh")));
    command.current_dir(folder).env_clear().env("PATH", path).env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
    command.env("VK_DRIVER_FILES", drivers).env("VK_ICD_FILENAMES", drivers);
    let output = command.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}:\n{text}\n{errors}");
}

#[test]
fn a_student_compares_two_networks() {
    walk("student", "none");
}

#[test]
fn a_researcher_reads_results_and_weights_in_python() {
    walk("researcher", "none");
}

#[test]
fn own_pictures_are_learnt_and_classified() {
    walk("pictures", "none");
}

#[test]
fn a_gpu_engineer_measures_and_translates_kernels() {
    match common::drivers().into_iter().find(|(name, _)| name == "lavapipe") {
        Some((_, icd)) => walk("gpu-engineer", &icd),
        None => {
            let required = std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "REQUIRE_GPU=1, but HALFWAVE_TEST_ICDS names no lavapipe");
            eprintln!("SKIPPED: HALFWAVE_TEST_ICDS names no lavapipe (tools/install-test-deps.sh)");
        }
    }
}
