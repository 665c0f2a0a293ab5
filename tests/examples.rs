//! The examples run as their headers say: on arrays, with an observer, with an operation of their
//! own, and on a checkpoint that one of them has written.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that cargo has built from an example.
fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_halfwave")).parent().unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing; run cargo build --examples first", program.display());
    program
}

fn run(name: &str, dir: &Path, args: &[&Path]) -> String {
    let mut command = Command::new(example(name));
    // Without drivers the CPU backend is chosen on every machine.
    command.args(args).current_dir(dir).env("VK_DRIVER_FILES", "").env("TMPDIR", dir).env("WGPU_BACKEND", "vulkan");
    let output = command.output().unwrap();
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {text}\n{errors}");
    text
}

/// The number before the last percent sign.
fn last_percentage(text: &str) -> f32 {
    let before = &text[..text.rfind('%').unwrap()];
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_network_on_arrays_is_trained_saved_and_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let text = run("network", dir.path(), &[]);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(last_percentage(&text) > 85.0, "{text}");
    let checkpoint = dir.path().join("network.safetensors");
    let lines = run("inspect", dir.path(), &[&checkpoint, Path::new("3")]);
    let layers: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Codes of the quantiser, packed signs and sums of the binary convolution.
    let ops: Vec<_> = layers.iter().map(|layer| layer["op"].as_str().unwrap()).collect();
    for op in ["quantise", "sign", "bconv"] {
        assert!(ops.contains(&op), "{lines}");
    }
}

#[test]
fn an_observer_ends_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let text = run("observer", dir.path(), &[]);
    assert!(last_percentage(&text) >= 95.0 && text.lines().count() < 20, "{text}");
    // Only the last epoch reached the accuracy that ends the run.
    let others: Vec<_> = text.lines().rev().skip(1).map(last_percentage).collect();
    assert!(others.iter().all(|accuracy| *accuracy < 95.0), "{text}");
}

#[test]
fn an_operation_from_outside_is_tested_and_trained() {
    let dir = tempfile::tempdir().unwrap();
    let text = run("custom_operation", dir.path(), &[]);
    for part in ["squared_relu_backward: largest error", "gradient: largest error", "kind = \"squared_relu\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(last_percentage(&text) > 80.0, "{text}");
}
